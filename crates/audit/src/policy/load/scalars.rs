//! What a scalar is, by YAML 1.1 as go-yaml v2 reads it (`go.yaml.in/yaml/v2/resolve.go`).

use base64::Engine as _;

use super::Value;

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes: its text decides what it is.
    Plain,
    /// In quotes or a block: text.
    Quoted,
}

const TRUE: [&str; 11] = ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
const FALSE: [&str; 11] = ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];
const NULL: [&str; 5] = ["", "~", "null", "Null", "NULL"];
const NOT_FINITE: [&str; 12] = [".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"];

/// The value of a scalar. `tag` is its tag without `!!`, or with the `!` of one that is not YAML's own.
///
/// # Errors
/// Why go-yaml refuses it.
pub(super) fn resolve(text: &str, style: Style, tag: Option<&str>) -> Result<Value, String> {
    match tag {
        None if style == Style::Quoted => Ok(Value::Text(text.to_owned())),
        None => plain(text),
        Some("str") => Ok(Value::Text(text.to_owned())),
        Some("binary") => {
            let compact: String = text.chars().filter(|character| !matches!(character, '\n' | '\r')).collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(compact).map_err(|_| format!("`{text}` is not base64"))?;
            // What is not UTF-8 becomes so when go-yaml's value is written as JSON.
            Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Some(tag @ ("null" | "bool" | "int" | "float" | "timestamp")) => {
            let value = plain(text)?;
            let found = match &value {
                Value::Null => "null",
                Value::Bool(_) => "bool",
                Value::Number(number) if is_integer(number) => "int",
                Value::Number(_) => "float",
                _ if is_timestamp(text) => "timestamp",
                _ => "str",
            };
            if tag == found || (tag, found) == ("float", "int") { Ok(value) } else { Err(format!("`{text}` is no `!!{tag}`")) }
        }
        // Tags that go-yaml does not know leave the text alone.
        Some(_) => Ok(Value::Text(text.to_owned())),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    if NULL.contains(&text) {
        return Ok(Value::Null);
    }
    if TRUE.contains(&text) {
        return Ok(Value::Bool(true));
    }
    if FALSE.contains(&text) {
        return Ok(Value::Bool(false));
    }
    if NOT_FINITE.contains(&text) {
        return Err(format!("`{text}` is a number that JSON does not have"));
    }
    if is_number(text) {
        return Ok(Value::Number(text.to_owned()));
    }
    Ok(Value::Text(text.to_owned()))
}

fn is_number(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'.') => is_go_float(text),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain = text.replace('_', "");
            is_integer(&plain) || (is_yaml_float(&plain) && plain.parse::<f64>().is_ok_and(f64::is_finite))
        }
        _ => false,
    }
}

/// As Go's `strconv.ParseInt` or `ParseUint` with base 0 reads it, within 64 bits.
pub(super) fn is_integer(text: &str) -> bool {
    let text = text.replace('_', "");
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text.as_str()),
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
        return false;
    }
    match u64::from_str_radix(digits, base) {
        Ok(number) if negative => number <= 1 << 63,
        Ok(number) => !text.starts_with('+') || number <= i64::MAX as u64,
        Err(_) => false,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_yaml_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let all_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_mantissa = all_digits(whole) && fraction.is_none_or(all_digits) && (!whole.is_empty() || fraction.is_some_and(|digits| !digits.is_empty()));
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        !digits.is_empty() && all_digits(digits)
    };
    is_mantissa && exponent.is_none_or(is_exponent)
}

/// What begins with a dot and Go's `strconv.ParseFloat` reads.
fn is_go_float(text: &str) -> bool {
    // An underscore is only read in literals with a base, which do not begin with a dot.
    is_yaml_float(text) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether a text begins as go-yaml's times do; none of them could be read as anything else but text.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' && bytes[5].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_those_of_yaml_1_1() {
        let number = |text: &str| Value::Number(text.to_owned());
        let same = |text: &str| Value::Text(text.to_owned());
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("Null", Value::Null),
            ("yes", Value::Bool(true)),
            ("On", Value::Bool(true)),
            ("n", Value::Bool(false)),
            ("yEs", same("yEs")),
            ("0", number("0")),
            ("0123", number("0123")),
            ("089", number("089")),
            ("0x1F", number("0x1F")),
            ("0b101", number("0b101")),
            ("1_000", number("1_000")),
            ("-1e3", number("-1e3")),
            (".5", number(".5")),
            ("1.", number("1.")),
            ("1:30", same("1:30")),
            ("2001-01-01", same("2001-01-01")),
            ("2001-01-01T00:00:00Z", same("2001-01-01T00:00:00Z")),
            ("18446744073709551615", number("18446744073709551615")),
            ("99999999999999999999999", number("99999999999999999999999")),
            ("1.2.3", same("1.2.3")),
            ("-", same("-")),
            ("0x", same("0x")),
            ("system:nodes", same("system:nodes")),
        ] {
            assert_eq!(resolve(text, Style::Plain, None), Ok(value), "{text}");
            assert_eq!(resolve(text, Style::Quoted, None), Ok(same(text)), "{text}");
        }
        assert!(resolve(".inf", Style::Plain, None).is_err());
    }

    #[test]
    fn tags_decide_or_refuse() {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        assert_eq!(resolve("12", Style::Plain, Some("str")), text("12"));
        assert_eq!(resolve("TWV0YWRhdGE=", Style::Plain, Some("binary")), text("Metadata"));
        assert!(resolve("?", Style::Plain, Some("binary")).is_err());
        assert_eq!(resolve("12", Style::Quoted, Some("int")), Ok(Value::Number("12".to_owned())));
        assert_eq!(resolve("12", Style::Plain, Some("float")), Ok(Value::Number("12".to_owned())));
        assert!(resolve("a", Style::Plain, Some("int")).is_err());
        assert_eq!(resolve("a", Style::Plain, Some("!mine")), text("a"));
    }
}
