//! Values of flags as Go reads them (`strconv`, `time.ParseDuration`), with its messages.

use decklog_audit::event::go_quoted;

use super::GoDuration;

pub(super) fn int(text: &str) -> Result<i64, String> {
    let wrong = |why: &str| format!("strconv.ParseInt: parsing {}: {why}", go_quoted(text));
    let (sign, digits) = match text.as_bytes() {
        [b'-', ..] => (-1, &text[1..]),
        [b'+', ..] => (1, &text[1..]),
        _ => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err(wrong("invalid syntax"));
    }
    i128::from_str_radix(digits, base).ok().and_then(|value| i64::try_from(sign * value).ok()).ok_or_else(|| wrong("value out of range"))
}

pub(super) fn float32(text: &str) -> Result<f32, String> {
    text.parse().map_err(|_| format!("strconv.ParseFloat: parsing {}: invalid syntax", go_quoted(text)))
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", go_quoted(text))),
    }
}

/// `1h15m30.918s`, `-5ms`, `0`.
pub(super) fn duration(text: &str) -> Result<GoDuration, String> {
    let invalid = || format!("time: invalid duration {}", go_quoted(text));
    let (sign, mut rest) = match text.as_bytes() {
        [b'-', ..] => (-1.0, &text[1..]),
        [b'+', ..] => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(GoDuration(0));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        let (amount, after) = rest.split_at(end);
        let amount: f64 = if amount == "." { return Err(invalid()) } else { amount.parse().map_err(|_| invalid())? };
        let end = after.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let nanoseconds = match unit {
            "" => return Err(format!("time: missing unit in duration {}", go_quoted(text))),
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(format!("time: unknown unit {} in duration {}", go_quoted(unit), go_quoted(text))),
        };
        total += amount * nanoseconds;
        rest = after;
    }
    if total >= 9.223_372_036_854_775e18 {
        return Err(invalid());
    }
    Ok(GoDuration((sign * total).round() as i64))
}

/// As Go prints a duration of whole milliseconds or more: `30s`, `1m0s`, `500ms`.
pub(super) fn go_duration_text(duration: GoDuration) -> String {
    let seconds = duration.0 as f64 / 1e9;
    match duration.0.abs() {
        0..1_000_000_000 => format!("{}ms", duration.0 as f64 / 1e6),
        1_000_000_000..60_000_000_000 => format!("{seconds}s"),
        _ => format!("{}m{}s", (seconds / 60.0).trunc(), seconds % 60.0),
    }
}
