//! Sizes and durations, which always carry their unit: a bare number is never guessed.

use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const DURATION_UNITS: [(&str, u64); 6] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (unit, factor) = SIZE_UNITS[..5].iter().rev().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)).unwrap_or(&SIZE_UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Reads `64MiB`. The error says what to write.
pub(crate) fn parse_size(text: &str) -> Result<ByteSize, String> {
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err("write a number and a unit, such as 64MiB".to_owned());
    }
    if unit.is_empty() {
        return Err(format!("a size needs a unit: {digits}B, {digits}MiB, {digits}GiB"));
    }
    let factor = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| "the units of size are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB".to_owned())?;
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).map(ByteSize).ok_or_else(|| "this is more than 16 EiB".to_owned())
}

/// Reads `1h30m`. The error says what to write.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut millis = 0_u64;
    if rest.is_empty() {
        return Err("write a number and a unit, such as 30d".to_owned());
    }
    while !rest.is_empty() {
        let (digits, tail) = split(rest);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let unit = &tail[..end];
        if digits.is_empty() {
            return Err("write numbers and units, such as 1h30m or 30d".to_owned());
        }
        if unit.is_empty() {
            return Err(format!("a duration needs a unit: {digits}s, {digits}m, {digits}h, {digits}d"));
        }
        let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| "the units of time are ms, s, m, h, d, w".to_owned())?;
        let part = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        millis = part.and_then(|part| millis.checked_add(part)).ok_or_else(|| "this is longer than decklog can count".to_owned())?;
        rest = &tail[end..];
    }
    Ok(Duration::from_millis(millis))
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64MiB"), Ok(ByteSize(64 << 20)));
        assert_eq!(parse_size("2gib"), Ok(ByteSize(2 << 30)));
        assert_eq!(parse_size("10MB"), Ok(ByteSize(10_000_000)));
        assert_eq!(parse_size("0B"), Ok(ByteSize(0)));
        for wrong in ["", "MiB", "64", "64 MiB", "64Mi", "-1B", "1.5GiB", "99999999999TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
        assert_eq!(ByteSize(1500).to_string(), "1500B");
        assert_eq!(ByteSize(0).to_string(), "0B");
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("400d"), Ok(Duration::from_secs(400 * 86400)));
        assert_eq!(parse_duration("2w"), Ok(Duration::from_secs(14 * 86400)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "5", "h", "5y", "1h30", "1 h", "-1h", "99999999999999999999d", "99999999999999999w"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
