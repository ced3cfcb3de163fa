//! Every chunking of every shape gives the same pieces; what is bad stands alone.

use proptest::prelude::*;

use super::*;
use crate::testing::{item, line, list};

/// Pieces as text: `line|item VERSION: BYTES`, or `bad REASON PLACE: BYTES`.
fn split_in(text: &[u8], chunk: usize, limit: usize) -> Vec<String> {
    let mut splitter = Splitter::new(limit).taking_an_array();
    let mut pieces = Vec::new();
    let drain = |splitter: &mut Splitter, pieces: &mut Vec<String>| {
        while let Some(piece) = splitter.next() {
            pieces.push(match piece {
                Piece::Value { bytes, form: Form::Line, place } => format!("{place} {}", String::from_utf8_lossy(bytes)),
                Piece::Value { bytes, form: Form::ListItem(version), place } => {
                    format!("{place} {version} {}", String::from_utf8_lossy(bytes))
                }
                Piece::Bad(bad) => format!("bad {} {} {} {}", bad.reason, bad.place, bad.size, String::from_utf8_lossy(&bad.bytes)),
            });
        }
    };
    for chunk in text.chunks(chunk.max(1)) {
        splitter.feed(chunk);
        drain(&mut splitter, &mut pieces);
    }
    splitter.end();
    drain(&mut splitter, &mut pieces);
    pieces
}

#[track_caller]
fn check(text: impl AsRef<[u8]>, expected: &[String]) {
    let text = text.as_ref();
    for chunk in [usize::MAX, 1000, 64, 7, 1] {
        assert_eq!(split_in(text, chunk, 10_000), expected, "in chunks of {chunk}");
    }
}

fn in_list(index: u64, bytes: &str) -> String {
    format!("items[{index}] audit.k8s.io/v1 {bytes}")
}

fn bad(place: &str, bytes: &str) -> String {
    format!("bad malformed {place} {} {bytes}", bytes.len())
}

#[test]
fn lists_in_any_order_and_white_space() {
    let (a, b) = (item(1), item(2));
    let both = [in_list(0, &a), in_list(1, &b)];
    check(list(&[a.clone(), b.clone()]), &both);
    check(format!(r#"{{"items":[{a},{b}],"kind":"EventList","metadata":{{"x":[1]}},"apiVersion":"audit.k8s.io/v1"}}"#), &both);
    check(format!("\r\n {{ \"metadata\" : {{ }} ,\n\"items\"\t: [ {a} ,\n {b} ] , \"kind\":\"EventList\"\n}} \n"), &both);
    check(format!(r#"{{"items":[{a},{b}]}}"#), &both);
    check(format!(r#"{{"kind":"EventList","items":[{a}],"items":[{b}]}}"#), &both);
    check(r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":null}"#, &[]);
    check(r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}"#, &[]);
    check(r#"{"kind":"EventList"}"#, &[]);
    check("", &[]);
    check(" \n\t", &[]);
}

#[test]
fn a_bare_array_at_the_start_is_a_list() {
    let (a, b) = (item(1), item(2));
    check(format!("[{a},{b}]"), &[in_list(0, &a), in_list(1, &b)]);
    check(format!("\u{feff}\n [\n {a} ,\n {b}\n]\n{a}\n"), &[in_list(0, &a), in_list(1, &b), format!("line 6 {a}")]);
    check("[]", &[]);
    check(format!("[{a},7,{b}]"), &[in_list(0, &a), in_list(1, "7"), in_list(2, &b)]);
    // Further on it is a broken line, which takes nothing with it.
    check(format!("{a}\n[{{ not JSON\n{b}\n"), &[format!("line 1 {a}"), bad("line 2", "[{ not JSON"), format!("line 3 {b}")]);
    check(format!("[ERROR] no event\n{b}\n"), &[bad("line 1", "[ERROR] no event"), format!("line 2 {b}")]);
}

/// What follows the white space decides what stands before it, but not for ever.
#[test]
fn endless_white_space_is_not_kept() {
    let event = item(1);
    for start in [format!("{}{event}}}", list(&[]).trim_end().trim_end_matches("]}")), "[".to_owned()] {
        let mut splitter = Splitter::new(10_000).taking_an_array();
        splitter.feed(start.as_bytes());
        for _ in 0..300 {
            while splitter.next().is_some() {}
            splitter.feed(&[b' '; 100_000]);
        }
        assert!(splitter.memory_bytes() < 3 * KEPT_BYTES, "{} bytes behind {start}", splitter.memory_bytes());
    }
}

#[test]
fn the_lists_version_is_given_to_its_items() {
    let a = item(1);
    let old = format!("items[0] audit.k8s.io/v1beta1 {a}");
    check(format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[{a}]}}"#), std::slice::from_ref(&old));
    let late = format!(r#"{{"kind":"EventList","items":[{a}],"apiVersion":"audit.k8s.io/v1beta1"}}"#);
    assert_eq!(split_in(late.as_bytes(), usize::MAX, 10_000), [old]);
    // Too late to be seen before the items: they are kept, and it is said.
    assert_eq!(split_in(late.as_bytes(), 16, 10_000), [in_list(0, &a), "bad malformed line 1 0 ".to_owned()]);
}

#[test]
fn documents_one_after_the_other() {
    let (a, b) = (line(1), line(2));
    let pretty = "{\n  \"kind\": \"Event\",\n  \"auditID\": \"x\",\n  \"user\": {\n    \"a\": []\n  }\n}";
    check(format!("{a}\n{b}\n"), &[format!("line 1 {a}"), format!("line 2 {b}")]);
    check(format!("\u{feff}{a}\r\n\r\n\n{b}"), &[format!("line 1 {a}"), format!("line 4 {b}")]);
    check(format!("{a}{b}"), &[format!("line 1 {a}"), format!("line 1 {b}")]);
    check(format!("{pretty}\n{a}"), &[format!("line 1 {pretty}"), format!("line 8 {a}")]);
    check(format!("{a}\n{}{b}", list(&[item(3)])), &[format!("line 1 {a}"), in_list(0, &item(3)), format!("line 3 {b}")]);
}

#[test]
fn broken_lines_stand_alone() {
    let (a, b) = (line(1), line(2));
    for broken in [
        "no json at all",
        "{\"a\":1",
        "{\"a\":tru}",
        "{\"a\":\"b",
        "{\"a\":",
        "{\"kind\":\"Event\",\"auditID\":\"x\",",
        "{\"kind\":\"Event\",\"items\":[{\"a",
        "[1,2",
        "}",
        "]",
        "\"",
        "{{{{",
        "{\"a\":1}}",
        "null",
        "\u{1}\u{2}",
    ] {
        let expected_last = if broken == "{\"a\":1}}" {
            vec![format!("line 1 {a}"), "line 2 {\"a\":1}".to_owned(), bad("line 2", "}"), format!("line 3 {b}")]
        } else {
            vec![format!("line 1 {a}"), bad("line 2", broken), format!("line 3 {b}")]
        };
        check(format!("{a}\n{broken}\n{b}\n"), &expected_last);
    }
    let cut = &b[..b.len() - 20];
    check(format!("{a}\n{cut}"), &[format!("line 1 {a}"), bad("line 2", cut)]);
    let broken_pretty = "{\n  \"kind\": \"Event\",\n  \"auditID\": oops,\n  \"x\": {\n    \"y\": 1\n  }\n}";
    check(format!("{a}\n{broken_pretty}\n{b}"), &[format!("line 1 {a}"), bad("line 2", broken_pretty), format!("line 9 {b}")]);
}

#[test]
fn broken_items_stand_alone() {
    let (a, b, c) = (item(1), item(2), item(3));
    for broken in [
        "{\"a\":tru}",
        "{\"a\":1",
        "{\"a\":\"b",
        "{\"a\":{\"b\":[1}",
        "{\"level\":\"Metadata,\"auditID\":\"x\"}",
        "tru",
        "{\"a\" 1}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":01}",
        "{]",
        "}{",
    ] {
        check(list(&[a.clone(), broken.to_owned(), b.clone(), c.clone()]), &[in_list(0, &a), bad("items[1]", broken), in_list(2, &b), in_list(3, &c)]);
    }
}

#[test]
fn broken_items_of_other_writers_stand_alone_if_their_brackets_close() {
    let (a, b) = (r#"{"auditID":"1","stage":"x"}"#, r#"{"auditID":"2","stage":"y"}"#);
    let text = format!("{{\"kind\":\"EventList\",\"items\":[\n {a},\n {{\"x\":oops, \"y\":{{\"z\":[]}}}},\n {b}\n]}}");
    check(text, &[in_list(0, a), bad("items[1]", r#"{"x":oops, "y":{"z":[]}}"#), in_list(2, b)]);
}

#[test]
fn cut_lists_say_so() {
    let a = item(1);
    let text = list(&[a.clone(), item(2)]);
    let cut = &text[..text.len() - 40];
    let pieces = split_in(cut.as_bytes(), 100, 10_000);
    assert_eq!(pieces.len(), 2, "{pieces:?}");
    assert!(pieces[1].starts_with("bad malformed items[1]"));
    check(format!(r#"{{"kind":"EventList","items":[{a},"#), &[in_list(0, &a), "bad malformed items[1] 0 ".to_owned()]);
}

#[test]
fn what_is_too_large_or_too_deep_ends_at_its_own_bracket_whatever_is_inside() {
    // A body that looks like an event must not become one.
    let forged = item(666);
    let filler = "x".repeat(12_000);
    let large = format!(r#"{{"level":"Request","auditID":"1","requestObject":{{"a":[{{"b":1}},{forged}],"filler":"{filler}\"}}]","c":[{forged}]}}}}"#);
    let deep = format!(r#"{{"level":"Request","auditID":"1","requestObject":{}{}{},{forged}{}}}"#, "[".repeat(1100), forged, "]".repeat(1099), "]");
    let (a, b) = (item(1), item(2));
    check(list(&[a.clone(), large.clone(), b.clone()]), &[in_list(0, &a), format!("bad too_large items[1] {} {large}", large.len()), in_list(2, &b)]);
    check(list(&[a.clone(), deep.clone(), b.clone()]), &[in_list(0, &a), bad("items[1]", &deep), in_list(2, &b)]);
    check(format!("{}\n{deep}\n{}", line(1), line(2)), &[format!("line 1 {}", line(1)), bad("line 2", &deep), format!("line 3 {}", line(2))]);
    let garbage = "y".repeat(12_000);
    check(
        format!("{}\n{garbage}\n{}", line(1), line(2)),
        &[format!("line 1 {}", line(1)), format!("bad too_large line 2 {} {garbage}", garbage.len()), format!("line 3 {}", line(2))],
    );
}

#[test]
fn the_text_before_a_syntax_error_is_never_searched_for_events() {
    let forged = item(666);
    let broken = format!(r#"{{"level":"Request","auditID":"1","requestObject":[{forged},{forged}],"x":oops}}"#);
    check(list(&[item(1), broken.clone(), item(2)]), &[in_list(0, &item(1)), bad("items[1]", &broken), in_list(2, &item(2))]);
}

#[test]
fn an_endless_value_takes_bounded_memory() {
    for start in ["{\"kind\":\"EventList\",\"items\":[{\"a\":\"", "{\"a\":[", "garbage", "{\"kind\":\"EventList\",\"items\":[oops", "[[[["] {
        let mut splitter = Splitter::new(100_000);
        splitter.feed(start.as_bytes());
        for _ in 0..2000 {
            while splitter.next().is_some() {}
            splitter.feed(&[b'1'; 10_000]);
            assert!(splitter.memory_bytes() < (KEPT_BYTES * 2) + 500_000, "{start}");
        }
        while splitter.next().is_some() {}
        splitter.end();
        let Some(Piece::Bad(bad)) = splitter.next() else { panic!("{start}") };
        assert!(bad.size > 19_900_000, "{start} {}", bad.size);
    }
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("1".to_owned()), Just("\"x\"".to_owned()), Just("null".to_owned()), Just("\"a\\\"}]\\\\\"".to_owned())];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| format!("[{}]", parts.join(" , "))),
            prop::collection::vec(inner, 0..4)
                .prop_map(|parts| format!("{{{}}}", parts.iter().map(|part| format!("\"k\" :{part}")).collect::<Vec<_>>().join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_items(bodies in prop::collection::vec(json_text(), 0..8), chunk in 1usize..200, listed: bool) {
        let items: Vec<String> = bodies.iter().map(|body| format!("{{\"auditID\":\"1\",\"requestObject\":{body}}}")).collect();
        let (text, expected): (String, Vec<String>) = if listed {
            (list(&items), items.iter().enumerate().map(|(index, item)| in_list(index as u64, item)).collect())
        } else {
            (items.join("\n"), items.iter().enumerate().map(|(index, item)| format!("line {} {item}", index + 1)).collect())
        };
        prop_assert_eq!(split_in(text.as_bytes(), chunk, 10_000), expected);
    }

    #[test]
    fn any_bytes_end_and_none_is_lost(bytes: Vec<u8>, prefix in 0usize..4, chunk in 1usize..50) {
        let starts = [String::new(), "{\"kind\":\"EventList\",\"items\":[".to_owned(), list(&[item(1), item(2)]), line(1)];
        let text = [starts[prefix].as_bytes(), &bytes].concat();
        split_in(&text, chunk, 500);
    }

    #[test]
    fn damage_anywhere_leaves_the_other_events(at in 0usize..2000, byte: u8, chunk in 1usize..500) {
        let mut text = list(&(0..8).map(item).collect::<Vec<_>>()).into_bytes();
        let at = at % text.len();
        text[at] = byte;
        let pieces = split_in(&text, chunk, 10_000);
        let head_length = list(&[]).len() - 3;
        let whole = (0..8).filter(|number| pieces.iter().any(|piece| piece.ends_with(&format!(" audit.k8s.io/v1 {}", item(*number))))).count();
        if at >= head_length {
            prop_assert!(whole >= 6, "{} of 8 left: {:?}", whole, pieces);
        }
    }
}
