//! How small a generated policy's log shall be, as people write it: `500MB/day`, `20GiB/week`, `50%`.

/// How small the log shall be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At most so many bytes in a time.
    Rate {
        /// Bytes.
        bytes: u64,
        /// In so many seconds.
        seconds: u64,
    },
    /// At most so many hundredths of what was recorded.
    Percent(u8),
}

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
/// Exact as a number with a fraction.
const MAX_BYTES: f64 = 9e15;
const TIMES: [(&str, u64); 4] = [("hour", 3_600), ("day", 86_400), ("week", 604_800), ("month", 2_592_000)];

impl Goal {
    /// Reads one.
    ///
    /// # Errors
    /// What to write, where it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no budget: write bytes a time, such as 500MB/day, or a share of what was recorded, such as 50%");
        let text = text.trim();
        if let Some(percent) = text.strip_suffix('%') {
            return percent.parse().ok().filter(|percent| (1..=100).contains(percent)).map(Self::Percent).ok_or_else(wrong);
        }
        let (size, time) = text.split_once('/').ok_or_else(wrong)?;
        let (digits, unit) = size.split_at(size.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(size.len()));
        let unit = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?.1;
        let seconds = TIMES.iter().find(|(name, _)| *name == time).ok_or_else(wrong)?.1;
        let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
        let bytes = digits.parse::<f64>().ok().filter(|_| is_number).map(|number| number * unit as f64).filter(|bytes| *bytes < MAX_BYTES).ok_or_else(wrong)?;
        Ok(Self::Rate { bytes: bytes as u64, seconds })
    }

    /// Bytes it allows for traffic of `seconds` whose recorded lines had `recorded` bytes; nothing where the traffic is one moment,
    /// of which no rate can be told.
    #[must_use]
    pub fn bytes(self, seconds: f64, recorded: u64) -> Option<u64> {
        match self {
            Self::Rate { bytes, seconds: each } => (seconds > 0.0).then(|| (bytes as f64 * seconds / each as f64) as u64),
            Self::Percent(percent) => Some((u128::from(recorded) * u128::from(percent) / 100) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets() {
        assert_eq!(Goal::parse("500MB/day"), Ok(Goal::Rate { bytes: 500_000_000, seconds: 86_400 }));
        assert_eq!(Goal::parse("2gib/week"), Ok(Goal::Rate { bytes: 2 << 30, seconds: 604_800 }));
        assert_eq!(Goal::parse("1.5GB/day"), Ok(Goal::Rate { bytes: 1_500_000_000, seconds: 86_400 }));
        assert_eq!(Goal::parse("50%"), Ok(Goal::Percent(50)));
        for wrong in ["", "500MB", "500/day", "MB/day", "500MB/d", "0%", "101%", "%", "-1%", "99999999999999TB/day", "1.5.1GB/day", ".5GB/day", ".GB/day"] {
            assert!(Goal::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_budget_is_of_the_time_that_was_seen() {
        let goal = Goal::Rate { bytes: 86_400, seconds: 86_400 };
        assert_eq!(goal.bytes(60.0, 1_000_000), Some(60));
        assert_eq!(goal.bytes(0.0, 1_000_000), None);
        assert_eq!(Goal::Percent(50).bytes(0.0, 1_001), Some(500));
    }
}
