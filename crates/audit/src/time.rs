//! A moment in UTC, and the exact spellings Kubernetes uses for it.
//!
//! Audit events carry `metav1.MicroTime` (six fraction digits); the removed versions v1alpha1 and v1beta1
//! carry `metav1.Time` (whole seconds). Nanoseconds are kept because the legacy log format prints them.

use std::fmt;

/// A moment: nanoseconds since 1970-01-01T00:00:00Z, from year 0 to year 9999.
///
/// The default is the epoch itself; a missing time is `Option::None`, never a default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

const SECONDS_PER_DAY: i64 = 86_400;
const MIN_SECONDS: i64 = -62_167_219_200; // 0000-01-01T00:00:00Z
const GO_ZERO_SECONDS: i64 = -62_135_596_800; // 0001-01-01T00:00:00Z
const MAX_SECONDS: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z

impl Timestamp {
    /// The moment `seconds` and `nanoseconds` after the epoch; `None` outside years 0 to 9999 or for
    /// nanoseconds of a second or more.
    pub fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        ((MIN_SECONDS..=MAX_SECONDS).contains(&seconds) && nanoseconds < 1_000_000_000).then_some(Self { seconds, nanoseconds })
    }

    /// From microseconds since the epoch, held inside years 0 to 9999.
    pub fn from_micros(micros: i64) -> Self {
        Self { seconds: micros.div_euclid(1_000_000).clamp(MIN_SECONDS, MAX_SECONDS), nanoseconds: (micros.rem_euclid(1_000_000) as u32) * 1_000 }
    }

    /// From what `std::time::SystemTime::now` gave, held inside years 1970 to 9999.
    pub fn from_system(now: std::time::SystemTime) -> Self {
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: (since.as_secs() as i64).min(MAX_SECONDS), nanoseconds: since.subsec_nanos() }
    }

    /// The same moment in whole microseconds, the rest cut off.
    #[must_use]
    pub fn to_micros(self) -> Self {
        Self::from_micros(self.micros())
    }

    /// Microseconds since the epoch, cut, not rounded.
    pub fn micros(self) -> i64 {
        self.seconds * 1_000_000 + i64::from(self.nanoseconds / 1_000)
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// Reads `metav1.MicroTime`: `YYYY-MM-DDTHH:MM:SS.ffffff` and `Z` or an offset, as Go's `time.Parse`
    /// takes the layout `2006-01-02T15:04:05.000000Z07:00` (six fraction digits, `.` or `,` before them).
    pub fn parse_micro(text: &str) -> Option<Self> {
        let parsed = Parsed::read(text)?;
        (parsed.fraction_digits == 6).then_some(parsed.timestamp)?.into()
    }

    /// Reads `metav1.Time`: RFC 3339 as Go's `time.Parse(time.RFC3339, …)` takes it, any number of fraction
    /// digits or none.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        Some(Parsed::read(text)?.timestamp)
    }

    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`, as `metav1.MicroTime` is written (cut to microseconds).
    pub fn micro_text(self) -> MicroText {
        let (year, month, day) = civil_from_days(self.seconds.div_euclid(SECONDS_PER_DAY));
        let second_of_day = self.seconds.rem_euclid(SECONDS_PER_DAY) as u32;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |at: usize, digits: usize, mut value: u32| {
            for index in (at..at + digits).rev() {
                text[index] = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year as u32);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, second_of_day / 3600);
        put(14, 2, second_of_day / 60 % 60);
        put(17, 2, second_of_day % 60);
        put(20, 6, self.nanoseconds / 1_000);
        MicroText(text)
    }

    /// Whether Go takes it for no time at all (`time.Time.IsZero`: the first moment of year 1).
    pub fn is_zero_in_go(self) -> bool {
        self.seconds == GO_ZERO_SECONDS && self.nanoseconds == 0
    }

    /// RFC 3339 with as many fraction digits as are not zero, as Go's `time.RFC3339Nano` prints UTC.
    pub fn rfc3339_nano(self) -> String {
        self.rfc3339_nano_at(0)
    }

    /// [`Timestamp::rfc3339_nano`] in a time zone `offset_seconds` east of UTC.
    pub fn rfc3339_nano_at(self, offset_seconds: i32) -> String {
        let seconds = (self.seconds + i64::from(offset_seconds)).clamp(MIN_SECONDS, MAX_SECONDS);
        let micro = Self { seconds, ..self }.micro_text();
        let mut text = micro.as_str()[..19].to_owned();
        if self.nanoseconds != 0 {
            let digits = format!(".{:09}", self.nanoseconds);
            text.push_str(digits.trim_end_matches('0'));
        }
        if offset_seconds == 0 {
            text.push('Z');
        } else {
            let minutes = offset_seconds.unsigned_abs() / 60;
            let sign = if offset_seconds < 0 { '-' } else { '+' };
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        text
    }

    /// The day it lies in: days since 1970-01-01.
    pub fn day(self) -> i64 {
        self.seconds.div_euclid(SECONDS_PER_DAY)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.micro_text().as_str())
    }
}

/// The 27 characters of a `metav1.MicroTime`.
#[derive(Clone, Copy)]
pub struct MicroText([u8; 27]);

impl MicroText {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits and separators are ASCII")
    }
}

struct Parsed {
    timestamp: Timestamp,
    fraction_digits: usize,
}

impl Parsed {
    fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |at: usize, digits: usize| -> Option<u32> {
            bytes.get(at..at + digits)?.iter().try_fold(0u32, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
        };
        let literal = |at: usize, byte: u8| (bytes.get(at) == Some(&byte)).then_some(());
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        literal(4, b'-')?;
        literal(7, b'-')?;
        literal(10, b'T')?;
        let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
        literal(13, b':')?;
        literal(16, b':')?;
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut at = 19;
        let mut nanoseconds = 0;
        let mut fraction_digits = 0;
        if matches!(bytes.get(at), Some(b'.' | b',')) {
            at += 1;
            while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
                if fraction_digits < 9 {
                    nanoseconds = nanoseconds * 10 + u32::from(digit - b'0');
                }
                fraction_digits += 1;
                at += 1;
            }
            if fraction_digits == 0 {
                return None;
            }
            for _ in fraction_digits..9 {
                nanoseconds *= 10;
            }
        }
        let offset_seconds = match bytes.get(at)? {
            b'Z' if bytes.len() == at + 1 => 0,
            sign @ (b'+' | b'-') if bytes.len() == at + 6 && bytes[at + 3] == b':' => {
                let (hours, minutes) = (number(at + 1, 2)?, number(at + 4, 2)?);
                if hours > 24 || minutes > 60 {
                    return None;
                }
                let size = i64::from(hours * 3600 + minutes * 60);
                if *sign == b'-' { -size } else { size }
            }
            _ => return None,
        };
        let seconds = days_from_civil(i64::from(year), month, day) * SECONDS_PER_DAY + i64::from(hour * 3600 + minute * 60 + second) - offset_seconds;
        Some(Self { timestamp: Timestamp::new(seconds, nanoseconds)?, fraction_digits })
    }
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_times_read_and_print_the_same() {
        for text in ["2026-11-22T09:53:33.059705Z", "0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999999Z", "2024-02-29T00:00:00.000000Z"] {
            assert_eq!(Timestamp::parse_micro(text).unwrap().micro_text().as_str(), text);
        }
    }

    #[test]
    fn micro_times_have_six_digits() {
        for text in [
            "2026-11-22T09:53:33Z",
            "2026-11-22T09:53:33.1Z",
            "2026-11-22T09:53:33.1234567Z",
            "2026-02-29T00:00:00.000000Z",
            "2026-11-22T24:00:00.000000Z",
            "",
            "2026-11-22T09:53:33.059705",
        ] {
            assert_eq!(Timestamp::parse_micro(text), None, "{text}");
        }
        assert_eq!(Timestamp::parse_micro("2026-11-22T10:53:33.059705+01:00"), Timestamp::parse_micro("2026-11-22T09:53:33.059705Z"));
    }

    #[test]
    fn nanoseconds_are_cut_and_trimmed() {
        let time = Timestamp::new(1_767_323_045, 999).unwrap();
        assert_eq!(time.micro_text().as_str(), "2026-01-02T03:04:05.000000Z");
        assert_eq!(time.rfc3339_nano(), "2026-01-02T03:04:05.000000999Z");
        assert_eq!(Timestamp::new(1_767_323_045, 0).unwrap().rfc3339_nano(), "2026-01-02T03:04:05Z");
        assert_eq!(Timestamp::new(1_767_323_045, 0).unwrap().rfc3339_nano_at(-1800), "2026-01-02T02:34:05-00:30");
    }

    #[test]
    fn every_day_of_the_calendar_survives() {
        for day in (MIN_SECONDS / SECONDS_PER_DAY)..=(MAX_SECONDS / SECONDS_PER_DAY) {
            let (year, month, day_of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, day_of_month), day);
        }
    }
}
