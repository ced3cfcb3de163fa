//! Times and durations as filters write them, and ranges of both.
//!
//! A time names an interval: `2026-11-22` a day, `2026-11-22T09:53` a minute, `now-6h` one nanosecond.
//! Everything is nanoseconds in 128 bits, so that no sum or difference of times can overflow.

use std::fmt;

use crate::time::Timestamp;

const SECOND: i128 = 1_000_000_000;

/// Nanoseconds since the epoch.
pub fn nanoseconds_of(time: Timestamp) -> i128 {
    i128::from(time.seconds()) * SECOND + i128::from(time.nanoseconds())
}

/// The moment so many nanoseconds from the epoch, held inside the years 0 to 9999.
pub fn timestamp_at(nanoseconds: i128) -> Timestamp {
    let at = hold(nanoseconds);
    Timestamp::new(at.div_euclid(SECOND) as i64, at.rem_euclid(SECOND) as u32).unwrap_or_default()
}

/// Moments from `start` on and before `end`, in nanoseconds since the epoch; `None` is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment.
    pub start: Option<i128>,
    /// The moment after the last.
    pub end: Option<i128>,
}

impl TimeRange {
    /// Whether `time` lies in it.
    pub fn contains(self, time: Timestamp) -> bool {
        let at = nanoseconds_of(time);
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at < end)
    }
}

/// Why a text names no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeMistake {
    /// Not written like a time.
    Form,
    /// Written like one, but there is no such day or hour.
    Calendar,
}

/// The interval a text names: its first nanosecond and the one after its last.
pub fn parse_time(text: &str, now: Timestamp) -> Result<(i128, i128), TimeMistake> {
    const DAY: i128 = 86_400 * SECOND;
    let now = nanoseconds_of(now);
    let midnight = now.div_euclid(DAY) * DAY;
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "now" => return Ok((now, now + 1)),
        "today" => return Ok((midnight, midnight + DAY)),
        "yesterday" => return Ok((midnight - DAY, midnight)),
        _ => {}
    }
    if let Some(offset) = lower.strip_prefix("now") {
        let sign = match offset.bytes().next() {
            Some(b'-') => -1,
            Some(b'+') => 1,
            _ => return Err(TimeMistake::Form),
        };
        let duration = parse_duration(&offset[1..]).filter(|duration| *duration >= 0).ok_or(TimeMistake::Form)?;
        let at = hold(now + sign * duration);
        return Ok((at, at + 1));
    }
    parse_partial(text)
}

const FIRST: i128 = -62_167_219_200 * SECOND;
/// The last nanosecond of the year 9999.
pub(super) const LAST: i128 = 253_402_300_800 * SECOND - 1;

/// Keeps a moment inside the years 0 to 9999, the span of event times.
fn hold(at: i128) -> i128 {
    at.clamp(FIRST, LAST)
}

/// `YYYY-MM-DD`, `…THH`, `…THH:MM`, `…THH:MM:SS`, `…THH:MM:SS.f…`; from minutes on with `Z` or an offset.
/// Without one it is UTC.
fn parse_partial(text: &str) -> Result<(i128, i128), TimeMistake> {
    if !text.is_ascii() {
        return Err(TimeMistake::Form);
    }
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    if !has_form(date, "dddd-dd-dd") {
        return Err(TimeMistake::Form);
    }
    let (clock, zone) = match clock {
        None => ("", "Z"),
        Some(clock) => match clock.find(['Z', 'z', '+', '-']) {
            Some(at) => (&clock[..at], &clock[at..]),
            None => (clock, "Z"),
        },
    };
    if !(zone.eq_ignore_ascii_case("z") || has_form(&zone[1..], "dd:dd")) {
        return Err(TimeMistake::Form);
    }
    let (whole, fraction) = clock.split_once('.').map_or((clock, None), |(whole, fraction)| (whole, Some(fraction)));
    let fraction_ok = fraction.is_none_or(|fraction| (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit()));
    let (rest, unit) = match whole.len() {
        0 if !text.contains(['T', 't', ' ']) => ("00:00:00", 86_400 * SECOND),
        2 if has_form(whole, "dd") => (":00:00", 3600 * SECOND),
        5 if has_form(whole, "dd:dd") => (":00", 60 * SECOND),
        8 if has_form(whole, "dd:dd:dd") => ("", SECOND),
        _ => return Err(TimeMistake::Form),
    };
    let offset_without_minutes = unit == 3600 * SECOND && !zone.eq_ignore_ascii_case("z");
    if !fraction_ok || (fraction.is_some() && unit != SECOND) || offset_without_minutes {
        return Err(TimeMistake::Form);
    }
    let unit = fraction.map_or(unit, |fraction| 10i128.pow(9 - fraction.len() as u32));
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    let full = format!("{date}T{whole}{rest}{fraction}{}", zone.to_ascii_uppercase());
    let start = nanoseconds_of(Timestamp::parse_rfc3339(&full).ok_or(TimeMistake::Calendar)?);
    Ok((start, start + unit))
}

/// Whether `text` is written like `form`, in which `d` is any digit.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(|(byte, want)| if want == b'd' { byte.is_ascii_digit() } else { byte == want })
}

/// Writes an interval so that [`parse_time`] reads it again, or `None` if no single time names it.
pub fn time_text(start: i128, end: i128) -> Option<String> {
    let text = moment_text(start);
    let length = match end - start {
        length if length == 86_400 * SECOND && text.ends_with("T00:00:00.000000000Z") => 10,
        length if length == 3600 * SECOND && text.ends_with(":00:00.000000000Z") => 13,
        length if length == 60 * SECOND && text.ends_with(":00.000000000Z") => 16,
        length if length == SECOND && text.ends_with(".000000000Z") => 19,
        length => {
            let digits = (1..=9usize).find(|digits| length == 10i128.pow(9 - *digits as u32) && start % length == 0)?;
            20 + digits
        }
    };
    Some(if length <= 10 { text[..length].to_owned() } else { format!("{}Z", &text[..length]) })
}

/// `YYYY-MM-DDTHH:MM:SS.fffffffffZ`.
fn moment_text(at: i128) -> String {
    let time = timestamp_at(at);
    format!("{}{:09}Z", &time.micro_text().as_str()[..20], time.nanoseconds())
}

/// Durations from `min` to `max` nanoseconds, both included; `None` is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRange {
    /// The shortest.
    pub min: Option<i128>,
    /// The longest.
    pub max: Option<i128>,
}

impl DurationRange {
    /// Whether `nanoseconds` lies in it.
    pub fn contains(self, nanoseconds: i128) -> bool {
        self.min.is_none_or(|min| min <= nanoseconds) && self.max.is_none_or(|max| nanoseconds <= max)
    }
}

/// Units, longest first, with their nanoseconds. Go's, and `d`.
const UNITS: [(&str, i128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
    ("d", 86_400 * SECOND),
];

/// The longest duration taken: 20,000 years, twice the span of event times.
const LONGEST: i128 = 20_000 * 366 * 86_400 * SECOND;

/// Reads Go's spelling of durations, such as `1h30m`, `1.5s`, `70.755µs`, in nanoseconds.
pub fn parse_duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let number_end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.contains('.') {
            return None;
        }
        let unit_end = tail.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(tail.len());
        let unit = UNITS.iter().find(|(name, _)| *name == &tail[..unit_end])?.1;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total += whole * unit;
        let mut scale = unit;
        for digit in fraction.bytes().take(15) {
            total += scale * i128::from(digit - b'0') / 10;
            scale /= 10;
        }
        if total > LONGEST {
            return None;
        }
        rest = &tail[unit_end..];
    }
    Some(if negative { -total } else { total })
}

/// Writes a duration so that [`parse_duration`] reads it again.
pub struct DurationText(pub i128);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let with_fraction = |f: &mut fmt::Formatter<'_>, unit: i128, digits: usize, name: &str| {
            let fraction = format!("{:0digits$}", size % unit);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            write!(f, "{}{point}{fraction}{name}", size / unit)
        };
        match size {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{size}ns"),
            1_000..1_000_000 => with_fraction(f, 1_000, 3, "us"),
            1_000_000..SECOND => with_fraction(f, 1_000_000, 6, "ms"),
            _ => {
                let (hours, minutes, rest) = (size / (3600 * SECOND), size / (60 * SECOND) % 60, size % (60 * SECOND));
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                if rest == 0 {
                    return Ok(());
                }
                let fraction = format!("{:09}", rest % SECOND);
                let fraction = fraction.trim_end_matches('0');
                let point = if fraction.is_empty() { "" } else { "." };
                write!(f, "{}{point}{fraction}s", rest / SECOND)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, nanoseconds) in [
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            ("1h30m", 5400 * SECOND),
            ("80us", 80_000),
            ("184.906\u{b5}s", 184_906),
            ("1.236918645s", 1_236_918_645),
            ("0", 0),
            ("-2s", -2 * SECOND),
            ("3.134µs", 3134),
        ] {
            assert_eq!(parse_duration(text), Some(nanoseconds), "{text}");
        }
        for text in ["", "-", "500", "ms", "1.2.3s", "1x", "s1", "9999999999999999999h", "1h 2m", "."] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_the_interval_it_names() {
        let now = Timestamp::parse_rfc3339("2026-11-22T10:00:00.5Z").unwrap();
        let seconds = |text: &str| parse_time(text, now).map(|(start, end)| end - start);
        assert_eq!(seconds("2026-11-22"), Ok(86_400 * SECOND));
        assert_eq!(seconds("today"), Ok(86_400 * SECOND));
        assert_eq!(seconds("2026-11-22T09"), Ok(3600 * SECOND));
        assert_eq!(seconds("2026-11-22T09:53+01:00"), Ok(60 * SECOND));
        assert_eq!(seconds("2026-11-22T09:53:20Z"), Ok(SECOND));
        assert_eq!(seconds("2026-11-22T09:53:20.123456Z"), Ok(1000));
        assert_eq!(seconds("now-6h"), Ok(1));
        assert_eq!(parse_time("now-6h", now).unwrap().0, nanoseconds_of(now) - 6 * 3600 * SECOND);
        assert_eq!(seconds("2026-13-01"), Err(TimeMistake::Calendar));
        assert_eq!(seconds("2026-11-22T25"), Err(TimeMistake::Calendar));
        for text in
            ["", "T", "2026", "2026-11-22T", "2026-11-22T09:5", "2026-11-22T09:53:20.", "2026-11-22Z", "2026-11-22T09+01:00", "now6h", "now-", "now--1h"]
        {
            assert_eq!(seconds(text), Err(TimeMistake::Form), "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_and_durations_print_as_they_read(second in -62_167_219_200i64..253_402_300_799, nanosecond in 0u32..1_000_000_000, unit in 0usize..13, size in any::<i64>()) {
            let units: Vec<i128> = (0..10).map(|power| 10i128.pow(power)).chain([60 * SECOND, 3600 * SECOND, 86_400 * SECOND]).collect();
            let unit = units[unit];
            let start = (i128::from(second) * SECOND + i128::from(nanosecond)).div_euclid(unit) * unit;
            let text = time_text(start, start + unit).unwrap();
            prop_assert_eq!(parse_time(&text, Timestamp::default()), Ok((start, start + unit)));
            prop_assert_eq!(parse_duration(&DurationText(size.into()).to_string()), Some(size.into()));
        }

        #[test]
        fn no_text_makes_them_panic(text in any::<String>(), close in "[-0-9T:.Znowdhmsu+µ]{0,30}") {
            for text in [text, close] {
                let _ = parse_time(&text, Timestamp::default());
                let _ = parse_duration(&text);
            }
        }
    }
}
