use proptest::prelude::*;

use super::*;
use crate::filter::ast::Expression;
use crate::filter::{Filter, fields};
use crate::json::RawJson;
use crate::time::Timestamp;

/// The completion where `|` stands.
fn at(text: &str) -> Completion {
    let cursor = text.find('|').map(|byte| text[..byte].chars().count()).unwrap();
    complete(&text.replacen('|', "", 1), cursor)
}

fn labels(text: &str) -> Vec<String> {
    at(text).items.into_iter().map(|item| item.label).collect()
}

fn wanted(text: &str) -> Option<(String, String)> {
    at(text).wanted.map(|wanted| (wanted.field.to_string(), wanted.prefix))
}

fn applied(text: &str, completion: &Completion, item: &Item) -> String {
    let characters: Vec<char> = text.chars().collect();
    let part = |range: &[char]| range.iter().collect::<String>();
    part(&characters[..completion.start]) + &item.text + &part(&characters[completion.end..])
}

fn kinds(text: &str) -> String {
    let tokens = complete(text, 0).tokens;
    tokens.iter().map(|token| token.kind.as_str().chars().next().unwrap()).collect()
}

#[test]
fn every_piece_is_named() {
    // f(ield) o(perator) v(alue) w(ord) p(aren) t(ext)
    for (text, expected) in [
        ("", ""),
        ("verb:get", "fov"),
        ("verb : get", "fov"),
        ("user:a,b and not \"x y\"", "fovovwwt"),
        ("user:(a or not b, c) d", "fopvwwvovpt"),
        ("user:(a and (b or c)) e:f", "fopvwpvwvppfov"),
        ("(verb:get or latency.etcd >= 1s)", "pfovwfovp"),
        ("verb == get", "fov"),
        ("usr:bob", "fov"),
        ("user:\"a b", "fov"),
        ("user:\"\\q\" verb:get", "fovfov"),
        ("annotations.a.b/c:x *", "fovt"),
        (") a ,b", "ptt"),
        ("verb:", "fo"),
        ("a\\", "t"),
    ] {
        assert_eq!(kinds(text), expected, "{text}");
    }
}

#[test]
fn fields_operators_and_words_where_they_may_stand() {
    let first = &at("us|").items[0];
    assert_eq!((first.text.as_str(), first.label.as_str(), first.detail.as_str()), ("user:", "user", "who authenticated; missing on 401"));
    assert_eq!(labels("|")[0], "not");
    assert!(labels("username|").contains(&"user.username".to_owned()));
    assert_eq!(labels("verb:get |")[..3], ["and", "or", "not"]);
    assert_eq!(labels("verb:get a|")[..2], ["and", "auditID"]);
    assert_eq!(labels("verb |")[..3], [":", "=", "!="]);
    assert_eq!(labels("code |")[..7], [":", "=", "!=", "<", "<=", ">", ">="]);
    assert_eq!(labels("user:(a |"), ["or", "and"]);
    assert_eq!(labels("latency.et|:1s"), ["latency.etcd"]);
    assert_eq!(at("latency.et|:1s").items[0].text, "latency.etcd");
    assert!(labels("\"us|").is_empty());
    assert!(labels("deci|").contains(&"decision".to_owned()));
}

#[test]
fn values_are_known_or_wanted() {
    assert_eq!(labels("outcome:|"), ["allowed", "denied", "error"]);
    assert_eq!(labels("outcome:D|"), ["denied"]);
    assert_eq!(labels("outcome:(denied or |"), ["allowed", "denied", "error"]);
    assert_eq!(labels("final:t|"), ["true"]);
    assert_eq!(labels("object:deploy|"), ["deployments"]);
    assert_eq!(labels("verb:delete|"), ["delete", "deletecollection"]);
    assert_eq!(wanted("user:|"), Some(("user.username".to_owned(), String::new())));
    assert_eq!(wanted("verb:get ns:ku| or a"), Some(("objectRef.namespace".to_owned(), "ku".to_owned())));
    assert_eq!(wanted("user:\"system:a|"), Some(("user.username".to_owned(), "system:a".to_owned())));
    assert_eq!(wanted("user:(a, b|"), Some(("user.username".to_owned(), "b".to_owned())));
    assert_eq!(wanted("user:a,|"), Some(("user.username".to_owned(), String::new())));
    assert_eq!(wanted("user:ma*|"), Some(("user.username".to_owned(), "ma".to_owned())));
    assert_eq!(wanted("user != ma|"), Some(("user.username".to_owned(), "ma".to_owned())));
    for none in ["usr:a|", "time:|", "seq:1|", "a|", "user:a |", "user:\"a\"|"] {
        assert_eq!(wanted(none), None, "{none}");
    }
    assert_eq!((value_text("a"), value_text("a b"), value_text("a*"), value_text("not")), ("a".into(), "\"a b\"".into(), "\"a*\"".into(), "\"not\"".into()));
}

fn n_clauses(expression: &Expression) -> usize {
    match expression {
        Expression::All | Expression::Text(_) => 0,
        Expression::And(parts) | Expression::Or(parts) => parts.iter().map(n_clauses).sum(),
        Expression::Not(inner) => n_clauses(inner),
        Expression::Clause(_) => 1,
    }
}

#[test]
fn the_parser_finds_the_same_fields() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/filter/cases.jsonl");
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let text = RawJson::parse(line).unwrap().member("filter").unwrap().as_string().unwrap().into_owned();
        let filter = Filter::parse(&text, Timestamp::default()).unwrap();
        let fields: Vec<_> = complete(&text, 0).tokens.into_iter().filter(|token| token.kind == TokenKind::Field).collect();
        assert_eq!(fields.len(), n_clauses(filter.expression()), "{text}");
        for token in fields {
            let name: String = text.chars().skip(token.start).take(token.length).collect();
            assert!(Field::parse(&name).is_ok(), "{name} in {text}");
        }
    }
}

#[test]
fn what_is_offered_can_be_taken() {
    for text in ["", "verb:get and ", "not ", "(", "verb:get ", "a or (b "] {
        let completion = complete(text, text.len());
        for item in &completion.items {
            let new = applied(text, &completion, item);
            let taken = complete(&new, 0).tokens.into_iter().find(|token| token.start == completion.start).unwrap();
            // `annotations.` waits for its key, and is a text until then.
            let expected = if item.text.ends_with('.') { TokenKind::Text } else { item.kind };
            assert_eq!(taken.kind, expected, "{new}");
        }
    }
    for name in fields::names() {
        let text = format!("verb:get and {name}:");
        let completion = complete(&text, text.len());
        for item in &completion.items {
            let new = applied(&text, &completion, item);
            assert!(Filter::parse(&new, Timestamp::default()).is_ok(), "{new}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_has_tokens_and_an_end(text in "(?:[a-z]{1,4}|[ \"():,.*?\\\\=<>!~]|and|or|not|user|verb:|é){0,24}|.{0,40}", cursor in 0usize..60) {
        let completion = complete(&text, cursor);
        let characters: Vec<char> = text.chars().collect();
        let cursor = cursor.min(characters.len());
        prop_assert!(completion.start <= cursor && cursor <= completion.end && completion.end <= characters.len());
        prop_assert!(completion.items.len() <= MAX_ITEMS);
        let mut end = 0;
        for token in &completion.tokens {
            prop_assert!(token.start >= end && token.length > 0);
            prop_assert!(characters[end..token.start].iter().all(|character| character.is_whitespace()));
            end = token.start + token.length;
        }
        prop_assert!(end <= characters.len());
        prop_assert!(characters[end..].iter().all(|character| character.is_whitespace()));
        for item in &completion.items {
            complete(&applied(&text, &completion, item), cursor);
        }
    }

    #[test]
    fn values_read_back(value in ".{1,20}") {
        let text = format!("user:{}", value_text(&value));
        let tokens = complete(&text, 0).tokens;
        prop_assert_eq!(tokens.len(), 3, "{}", text);
        prop_assert!(Filter::parse(&text, Timestamp::default()).is_ok());
    }
}
