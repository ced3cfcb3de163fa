//! The times people write: `--since` and `--until` of the command line, `since` and `until` of the API.
//!
//! ```text
//! 90s 15m 6h 7d 2w 1h30m        that long before now
//! now  now-6h  today  yesterday  by the clock of UTC
//! 2026-11-22  2026-11-22T09:53  2026-11-22T09:53:33.059705  2026-11-22T10:53:33+01:00
//! ```
//!
//! A date or time without a zone is UTC, and stands for its first moment. `since` belongs to the range and
//! `until` does not, so `2026-11-22` to `2026-11-23` is one day and `yesterday` to `today` is yesterday.
//! Everything is a function of its arguments: `now` is one of them.

use crate::search::TimeRange;
use crate::time::Timestamp;

/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 64;
const SECONDS_PER_DAY: u64 = 86_400;
const FORMS: &str = "write a duration back such as `90s`, `15m`, `6h`, `7d` or `1h30m`, `today`, `yesterday`, \
                     a date such as `2026-11-22`, or RFC 3339 such as `2026-11-22T09:53:33Z`";

/// Which end of the range a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The first moment.
    Since,
    /// The moment after the last.
    Until,
}

impl Bound {
    /// The name of its parameter; the flag is the same behind `--`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Since => "since",
            Self::Until => "until",
        }
    }
}

/// What is wrong with one time, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TimeError {
    /// What is wrong, with the text in backquotes.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// What is wrong with a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", bound.as_str())]
pub struct RangeError {
    /// Which end is wrong; of a reversed range it is `until`.
    pub bound: Bound,
    /// What is wrong with it.
    pub error: TimeError,
}

/// Reads both ends of a range; a missing end is no bound.
///
/// # Errors
/// Everything that is wrong: each end that is no time, a `since` behind `now`, or an end before its start.
pub fn parse_range(since: Option<&str>, until: Option<&str>, now: Timestamp) -> Result<TimeRange, Vec<RangeError>> {
    let mut errors = Vec::new();
    let mut read =
        |bound: Bound, text: Option<&str>| text.and_then(|text| parse_time(text, now).map_err(|error| errors.push(RangeError { bound, error })).ok());
    let range = TimeRange { since: read(Bound::Since, since), until: read(Bound::Until, until) };
    if errors.is_empty() {
        errors.extend(disorder(&range, now));
    }
    if errors.is_empty() { Ok(range) } else { Err(errors) }
}

/// A range whose ends are times, but which cannot hold an event.
fn disorder(range: &TimeRange, now: Timestamp) -> Option<RangeError> {
    let since = range.since?;
    if since > now {
        return Some(RangeError {
            bound: Bound::Since,
            error: TimeError {
                message: format!("`{}` lies in the future (now is {})", since.rfc3339_nano(), now.rfc3339_nano()),
                help: "name a moment that has passed, such as `6h`".to_owned(),
            },
        });
    }
    let until = range.until.filter(|until| *until <= since)?;
    Some(RangeError {
        bound: Bound::Until,
        error: TimeError {
            message: format!("the range ends at `{}`, not after its start `{}`", until.rfc3339_nano(), since.rfc3339_nano()),
            help: "swap the two, or leave one out; the end itself is not part of the range".to_owned(),
        },
    })
}

/// Reads one time.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return Err(error("a time of over 64 characters".to_owned(), FORMS));
    }
    match text {
        "now" => return Ok(now),
        "today" => return Ok(day_start(now, 0)),
        "yesterday" => return Ok(day_start(now, 1)),
        _ => {}
    }
    if let Some(duration) = text.strip_prefix("now-") {
        return back(text, duration, now);
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) && !looks_like_date(text) {
        return back(text, text, now);
    }
    absolute(text)
}

/// Whether it begins as a date does: four digits and a dash.
fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

fn day_start(now: Timestamp, days_back: i64) -> Timestamp {
    Timestamp::new((now.day() - days_back) * SECONDS_PER_DAY as i64, 0).unwrap_or(now)
}

fn back(text: &str, duration: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    let seconds = parse_seconds(duration).map_err(|help| error(format!("`{}` is not a time", printable(text)), help))?;
    let too_far = || error(format!("`{text}` reaches back before year 0"), "leave the bound out to have everything");
    let seconds = i64::try_from(seconds).map_err(|_| too_far())?;
    let moment = now.seconds().checked_sub(seconds).ok_or_else(too_far)?;
    Timestamp::new(moment, now.nanoseconds()).ok_or_else(too_far)
}

/// Reads a duration such as `1h30m`: whole numbers, each with a unit (`s m h d w`). Gives seconds, or what
/// to write instead.
fn parse_seconds(text: &str) -> Result<u64, &'static str> {
    let mut rest = text;
    let mut total = 0u64;
    if rest.is_empty() {
        return Err(FORMS);
    }
    while !rest.is_empty() {
        let digits = rest.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|symbol: char| symbol.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let number: u64 = match number.parse() {
            Ok(number) => number,
            Err(_) if number.is_empty() => return Err(FORMS),
            Err(_) => return Err("leave the bound out to have everything"),
        };
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => SECONDS_PER_DAY,
            "w" => 7 * SECONDS_PER_DAY,
            "" => return Err("a number needs a unit: `s`, `m` (minutes), `h`, `d` or `w`"),
            "M" | "mo" | "mon" | "y" | "Y" => return Err("months and years differ in length: count in days, such as `30d`"),
            "." | "," => return Err("write whole numbers, such as `1h30m` for one and a half hours"),
            "ms" | "us" | "µs" | "ns" => return Err("the smallest unit is `s`; for less, write the time as RFC 3339"),
            _ => return Err(FORMS),
        };
        let seconds = number.checked_mul(unit).and_then(|seconds| total.checked_add(seconds));
        total = seconds.ok_or("leave the bound out to have everything")?;
        rest = tail;
    }
    Ok(total)
}

/// A date, a date and time without a zone (UTC), or RFC 3339.
fn absolute(text: &str) -> Result<Timestamp, TimeError> {
    if !looks_like_date(text) {
        let help = match text {
            "tomorrow" => "name a moment that has passed, such as `today`",
            _ if text.starts_with('-') => "a duration already reaches back: leave the `-` out",
            _ if text.starts_with("now") => "after `now` only `-` and a duration can follow, such as `now-6h`",
            _ => FORMS,
        };
        return Err(error(format!("`{}` is not a time", printable(text)), help));
    }
    // People and tools write a space where RFC 3339 has `T`; section 5.6 of it allows that for reading.
    let mut spelled = text.to_owned();
    if spelled.is_char_boundary(10) && spelled.is_char_boundary(11) && spelled.get(10..11) == Some(" ") {
        spelled.replace_range(10..11, "T");
    }
    let full = match spelled.len() {
        10 => format!("{spelled}T00:00:00Z"),
        16 => format!("{spelled}:00Z"),
        17 if spelled.ends_with('Z') => format!("{}:00Z", &spelled[..16]),
        _ if has_zone(&spelled) => spelled,
        _ => format!("{spelled}Z"),
    };
    Timestamp::parse_rfc3339(&full).ok_or_else(|| {
        error(format!("`{}` is no moment of the calendar", printable(text)), "write it as `2026-11-22`, `2026-11-22T09:53` or `2026-11-22T09:53:33Z`")
    })
}

/// Whether a time of day is followed by `Z` or an offset.
fn has_zone(text: &str) -> bool {
    text.ends_with('Z') || text.get(11..).is_some_and(|time| time.contains(['+', '-']))
}

/// Text of a stranger, fit for a message: control characters and backquotes are replaced.
fn printable(text: &str) -> String {
    text.chars().map(|symbol| if symbol.is_control() || symbol == '`' { '\u{fffd}' } else { symbol }).collect()
}

fn error(message: String, help: &str) -> TimeError {
    TimeError { message, help: help.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-11-24T20:15:30.5Z";

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339(NOW).unwrap()
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(parse_time(text, now()).map(Timestamp::rfc3339_nano), Ok(expected.to_owned()), "{text}");
    }

    fn check_error(text: &str, message: &str, help: &str) {
        let error = parse_time(text, now()).unwrap_err();
        assert!(error.message.contains(message) && error.help.contains(help), "{text}: {error:?}");
    }

    #[test]
    fn durations_reach_back_from_now() {
        check("90s", "2026-11-24T20:14:00.5Z");
        check("15m", "2026-11-24T20:00:30.5Z");
        check("6h", "2026-11-24T14:15:30.5Z");
        check("7d", "2026-11-17T20:15:30.5Z");
        check("2w", "2026-11-10T20:15:30.5Z");
        check("1h30m", "2026-11-24T18:45:30.5Z");
        check("now-6h", "2026-11-24T14:15:30.5Z");
        check("0s", "2026-11-24T20:15:30.5Z");
    }

    #[test]
    fn words_and_dates_are_utc_and_mean_their_first_moment() {
        check("now", "2026-11-24T20:15:30.5Z");
        check("today", "2026-11-24T00:00:00Z");
        check("yesterday", "2026-11-23T00:00:00Z");
        check("2026-11-22", "2026-11-22T00:00:00Z");
        check("2026-11-22T09:53", "2026-11-22T09:53:00Z");
        check("2026-11-22T09:53Z", "2026-11-22T09:53:00Z");
        check("2026-11-22 09:53:33", "2026-11-22T09:53:33Z");
        check("2026-11-22T09:53:33.059705", "2026-11-22T09:53:33.059705Z");
        check("2026-11-22T10:53:33+01:00", "2026-11-22T09:53:33Z");
        check(" 2026-11-22T09:53:33Z ", "2026-11-22T09:53:33Z");
    }

    #[test]
    fn errors_say_what_to_write() {
        check_error("90", "`90` is not a time", "a number needs a unit");
        check_error("7days", "`7days`", "duration back");
        check_error("2M", "`2M`", "30d");
        check_error("1.5h", "`1.5h`", "1h30m");
        check_error("500ms", "`500ms`", "smallest unit");
        check_error("-6h", "`-6h`", "leave the `-` out");
        check_error("now+6h", "`now+6h`", "now-6h");
        check_error("tomorrow", "`tomorrow`", "today");
        check_error("", "`` is not a time", "duration back");
        check_error("2026-02-30", "no moment of the calendar", "2026-11-22");
        check_error("2026-11-22T25:00:00Z", "no moment of the calendar", "2026-11-22");
        check_error("9999999999w", "reaches back", "leave the bound out");
        check_error("99999999999999999999999s", "is not a time", "leave the bound out");
        check_error("a\u{1b}[31m`", "`a\u{fffd}[31m\u{fffd}`", "");
    }

    #[test]
    fn ranges_are_checked_whole() {
        let range = parse_range(Some("yesterday"), Some("today"), now()).unwrap();
        assert_eq!(range.since.unwrap().rfc3339_nano(), "2026-11-23T00:00:00Z");
        assert_eq!(parse_range(None, None, now()), Ok(TimeRange::default()));
        assert!(parse_range(Some("6h"), Some("2030-01-01"), now()).is_ok());
        let bounds = |since, until| parse_range(Some(since), Some(until), now()).unwrap_err().iter().map(|error| error.bound).collect::<Vec<_>>();
        assert_eq!(bounds("x", "y"), [Bound::Since, Bound::Until]);
        assert_eq!(bounds("1h", "2h"), [Bound::Until]);
        assert_eq!(bounds("today", "today"), [Bound::Until]);
        assert_eq!(bounds("2027-01-01", "2028-01-01"), [Bound::Since]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = parse_time(&text, now());
        }

        #[test]
        fn near_misses_are_read_or_refused(text in "(now-|-)?[0-9]{0,5}[-:TZ smhdw.+µ0-9]{0,40}") {
            let _ = parse_time(&text, now());
        }

        #[test]
        fn what_we_print_reads_the_same(seconds in -62_167_219_200i64..253_402_300_799, nanoseconds in 0u32..1_000_000_000) {
            let moment = Timestamp::new(seconds, nanoseconds).unwrap();
            prop_assert_eq!(parse_time(&moment.rfc3339_nano(), now()).unwrap(), moment);
        }

        #[test]
        fn a_sum_of_units_is_the_sum(weeks in 0u64..100, days in 0u64..100, hours in 0u64..1000, minutes in 0u64..1000, seconds in 0u64..100_000) {
            let text = format!("{weeks}w{days}d{hours}h{minutes}m{seconds}s");
            let total = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds;
            prop_assert_eq!(now().seconds() - parse_time(&text, now()).unwrap().seconds(), total as i64);
        }
    }
}
