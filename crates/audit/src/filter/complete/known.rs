//! What is known of a filter's words without looking at events: fields, operators, and the values some fields have.

use super::super::fields::{self, Below, FIELDS, Field, FieldId, FieldInfo, FieldType, KEY_ALIASES, LATENCY_PARTS};
use super::super::kinds::KINDS;
use super::super::lex::Keyword;
use super::{Item, TokenKind, value_text};

/// The characters a value begins with: quotes and escapes aside, up to a wildcard.
pub(super) fn value_prefix(written: &str) -> String {
    let quoted = written.starts_with('"');
    let mut prefix = String::new();
    let mut characters = written.chars().skip(usize::from(quoted));
    while let Some(character) = characters.next() {
        match character {
            '\\' => prefix.extend(characters.next()),
            '"' if quoted => break,
            '*' | '?' if !quoted => break,
            other => prefix.push(other),
        }
    }
    prefix
}

/// Whether its values repeat, so that a list of them helps: not those that every event has for itself.
pub(super) fn has_countable_values(field: &Field) -> bool {
    let one_each = matches!(field.info.id, FieldId::AuditId | FieldId::Id | FieldId::Seq | FieldId::ResourceVersion | FieldId::ObjectUid);
    !one_each && !matches!(field.kind(), FieldType::Time | FieldType::Duration)
}

/// Verbs of Kubernetes, for a field that takes any word.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// Moments in words, as the language reads them.
const MOMENTS: [&str; 5] = ["today", "yesterday", "now-1h", "now-24h", "now-7d"];

pub(super) fn known_values(field: &Field, prefix: &str) -> Vec<Item> {
    let item = |text: &str, detail: String| Item { text: value_text(text), label: text.to_owned(), kind: TokenKind::Value, detail };
    let of = |values: &[&str]| values.iter().filter(|value| begins(value, prefix)).map(|value| item(value, String::new())).collect();
    match field.kind() {
        FieldType::Verb => of(&VERBS),
        FieldType::Time => of(&MOMENTS),
        FieldType::Object => {
            let kinds = KINDS.iter().filter(|kind| begins(kind.plural, prefix) || kind.short.iter().any(|short| short.eq_ignore_ascii_case(prefix)));
            kinds.map(|kind| item(kind.plural, kind.short.join(", "))).collect()
        }
        kind => of(kind.values()),
    }
}

fn begins(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

pub(super) fn keywords(words: &[Keyword], prefix: &str) -> Vec<Item> {
    let word = |keyword: &Keyword| match keyword {
        Keyword::And => ("and", "both must hold"),
        Keyword::Or => ("or", "one must hold"),
        Keyword::Not => ("not", "it must not hold"),
    };
    let fitting = words.iter().map(word).filter(|(word, _)| begins(word, prefix));
    fitting.map(|(word, detail)| Item { text: format!("{word} "), label: word.to_owned(), kind: TokenKind::Word, detail: detail.to_owned() }).collect()
}

pub(super) fn operators(field: &Field) -> Vec<Item> {
    const ANY: [(&str, &str); 3] = [(":", "has the value, or one of (a or b)"), ("=", "is exactly, wildcards taken literally"), ("!=", "is not")];
    const ORDERED: [(&str, &str); 4] = [("<", "is below"), ("<=", "is at most"), (">", "is above"), (">=", "is at least")];
    let ordered = if field.kind().is_ordered() { &ORDERED[..] } else { &[] };
    let item =
        |(text, detail): &(&str, &str)| Item { text: (*text).to_owned(), label: (*text).to_owned(), kind: TokenKind::Operator, detail: (*detail).to_owned() };
    ANY.iter().chain(ordered).map(item).collect()
}

/// The fields a name that begins so may become; then those that have it inside, such as `username`.
pub(super) fn field_items(prefix: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut inside = Vec::new();
    for info in FIELDS.iter().filter(|info| info.id != FieldId::LatencyPart) {
        let names = || info.aliases.iter().copied().chain([info.name]);
        if let Some(name) = names().find(|name| begins(name, prefix)) {
            items.push(field_item(name, ending(info), info.note));
        } else if prefix.len() > 1
            && let Some(name) = names().find(|name| name.to_ascii_lowercase().contains(&prefix.to_ascii_lowercase()))
        {
            inside.push(field_item(name, ending(info), info.note));
        }
    }
    items.extend(KEY_ALIASES.iter().filter(|alias| begins(alias.name, prefix)).map(|alias| field_item(alias.name, ":", alias.note)));
    if prefix.to_ascii_lowercase().starts_with("latency.") {
        let note = fields::info(FieldId::LatencyPart).note;
        items.extend(LATENCY_PARTS.iter().map(|part| format!("latency.{part}")).filter(|name| begins(name, prefix)).map(|name| field_item(&name, ":", note)));
    }
    items.extend(inside);
    items
}

/// What follows the name: a key or path, or the operator most people want.
fn ending(info: &FieldInfo) -> &'static str {
    match info.below {
        Below::Key | Below::Path | Below::PathOrNothing => ".",
        Below::Nothing | Below::LatencyPartOrNothing => ":",
    }
}

fn field_item(name: &str, ending: &str, detail: &str) -> Item {
    Item { text: format!("{name}{ending}"), label: name.to_owned(), kind: TokenKind::Field, detail: detail.to_owned() }
}

/// For a name that has its operator.
pub(super) fn without_operator(item: Item) -> Item {
    Item { text: item.text.trim_end_matches(':').to_owned(), ..item }
}
