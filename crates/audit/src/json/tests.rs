use super::*;
use proptest::prelude::*;

const GOOD: &[&str] = &[
    "null",
    "true",
    "-0",
    "1.50",
    "1e400",
    "-1E+2",
    "\"\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "[]",
    "{}",
    "[[],{}]",
    "{\"a\":1,\"a\":2}",
    "{\"a\":[1,2,{\"b\":null}],\"c\":\"\\\\\\\"\"}",
    "18446744073709551616",
    "\"\\u0000\\/\"",
    "[\"long string without any escape in it\",\"é\"]",
];
const BAD: &[&str] = &[
    "nul1",
    "01",
    "1.",
    "-",
    "1e",
    ".5",
    "+1",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\u{1}\"",
    "[1,]",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "[1 2]",
    "{\"a\":1,}",
    "]",
    "'a'",
    "{a:1}",
    "[}",
    "{]",
    "NaN",
    "",
    "[,1]",
    "{\"a\":1]",
    "tru",
    "\"abc",
    "[",
    "{",
    "{\"a\":",
    "[1,",
];

#[test]
fn takes_what_json_is_and_nothing_else() {
    for text in GOOD {
        let raw = RawJson::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(raw.as_str(), *text);
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
    }
    for text in BAD {
        assert!(RawJson::parse(text).is_err(), "{text}");
    }
    assert_eq!(RawJson::parse("1 2").unwrap_err().kind, JsonErrorKind::Trailing);
}

#[test]
fn says_incomplete_only_when_more_could_help() {
    for text in GOOD.iter().filter(|text| text.len() > 1) {
        for cut in 0..text.len() {
            if let Err(error) = scan_value(&text.as_bytes()[..cut]) {
                assert_eq!(error.kind, JsonErrorKind::Incomplete, "{} of {text}", &text.as_bytes()[..cut].escape_ascii());
            } else {
                panic!("{cut} bytes of {text} taken as a whole value");
            }
        }
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(RawJson::parse(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(RawJson::parse(&deep(MAX_DEPTH + 1)).unwrap_err().kind, JsonErrorKind::TooDeep);
    assert_eq!(scan_value("[".repeat(1 << 20).as_bytes()).unwrap_err().kind, JsonErrorKind::TooDeep);
    assert_eq!(tokens(RawJson::parse(&deep(MAX_DEPTH)).unwrap()).count(), 2 * MAX_DEPTH);
}

#[test]
fn strings_lose_their_escapes_as_in_go() {
    let text = |json: &'static str| RawJson::parse(json).unwrap().as_string().unwrap();
    assert_eq!(text(r#""a\u0041\n\/\"""#), "aA\n/\"");
    assert_eq!(text(r#""\ud83d\ude00""#), "😀");
    assert_eq!(text(r#""\ud800x\udc00\ud83d\u0041""#), "\u{fffd}x\u{fffd}\u{fffd}A");
}

#[test]
fn white_space_goes_and_nothing_else() {
    let spaced = " {\t\"a b\" : [ 1 ,\n 2.50 , \"\\\" x \" ] ,\r\n\"a b\":{ } } ";
    assert_eq!(RawJson::parse(spaced).unwrap().compact(), "{\"a b\":[1,2.50,\"\\\" x \"],\"a b\":{}}");
}

#[test]
fn tokens_and_parts_agree() {
    let raw = RawJson::parse(r#"{"a":[1,{"b":null}],"c":{},"a":"x"}"#).unwrap();
    let all: Vec<_> = tokens(raw).collect();
    use Token::*;
    assert_eq!(
        all,
        [
            ObjectStart,
            Key("a".into()),
            ArrayStart,
            Number("1"),
            ObjectStart,
            Key("b".into()),
            Null,
            ObjectEnd,
            ArrayEnd,
            Key("c".into()),
            ObjectStart,
            ObjectEnd,
            Key("a".into()),
            String("x".into()),
            ObjectEnd
        ]
    );
    assert_eq!(raw.members().count(), 3);
    assert_eq!(raw.member("a").unwrap().as_string().unwrap(), "x");
    assert_eq!(raw.members().next().unwrap().1.elements().count(), 2);
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_any_text(text in "[\\[\\]{}:,\"0-9eE+\\-. ntrufalse\\\\\u{1}é]{0,24}") {
        prop_assert_eq!(RawJson::parse(&text).is_ok(), serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{:?}", text);
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan_value(&bytes);
        if let Ok(raw) = RawJson::parse_bytes(&bytes) {
            let _ = tokens(raw).count();
            let _ = raw.compact();
        }
    }
}
