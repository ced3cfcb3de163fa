//! Failures as text for people and as JSON for scripts.

use std::fmt::Write as _;
use std::io::Write as _;

use super::{Failure, Failures, Place};
use crate::output::{Paint, Style, escape};

/// How failures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorFormat {
    /// `error: …`, place, help and notes.
    Text(Paint),
    /// One JSON object a line, for `-o json`.
    Json,
}

/// Writes every cause to stderr. A stderr that is gone is no reason to fail.
pub(crate) fn print(failures: &Failures, format: ErrorFormat) {
    if failures.is_silent() {
        return;
    }
    let mut text = String::new();
    for failure in failures.causes() {
        match format {
            ErrorFormat::Text(paint) => write_text(failure, paint, &mut text),
            ErrorFormat::Json => write_json(failure, &mut text),
        }
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn write_text(failure: &Failure, paint: Paint, out: &mut String) {
    let place = failure.place.as_deref();
    let error = paint.paint(Style::Error, "error:");
    let spot = place.map(spot).unwrap_or_default();
    let _ = writeln!(out, "{error} {spot}{}", escape(&failure.message));
    let pointed = place.and_then(pointer);
    if let Some((line, marks)) = &pointed {
        let _ = write!(out, "  {line}\n  {}", paint.paint(Style::Error, marks));
        match &failure.help {
            Some(help) => drop(writeln!(out, " help: {}", escape(help))),
            None => out.push('\n'),
        }
    } else if let Some(help) = &failure.help {
        let _ = writeln!(out, "  help: {}", escape(help));
    }
    for note in &failure.notes {
        let _ = writeln!(out, "  note: {}", escape(note));
    }
}

/// `decklog.yaml:14:5: `, or nothing for a text of the command line.
fn spot(place: &Place) -> String {
    match (&place.file, place.line) {
        (None, _) => String::new(),
        (Some(file), 0) => format!("{}: ", escape(file)),
        (Some(file), line) => format!("{}:{line}:{}: ", escape(file), place.column),
    }
}

/// The line and the marks under the wrong part. A long line is cut to what is around it.
pub(crate) fn pointer(place: &Place) -> Option<(String, String)> {
    const AROUND: usize = 60;
    let text = place.text.as_deref()?;
    let characters: Vec<char> = text.chars().map(|c| if crate::output::is_hostile(c) { '\u{fffd}' } else { c }).collect();
    let column = (place.column.max(1) - 1).min(characters.len());
    let start = if characters.len() > 2 * AROUND { column.saturating_sub(AROUND).min(characters.len()) } else { 0 };
    let end = characters.len().min(start + 2 * AROUND + 1);
    let mut shown: String = characters[start..end].iter().collect();
    let mut before = column - start.min(column);
    // Indentation says nothing here: the line stands by itself.
    let indent = shown.chars().take_while(|c| *c == ' ').count().min(before);
    shown.drain(..indent);
    before -= indent;
    let room = shown.chars().count().saturating_sub(before).max(1);
    let marks = format!("{}{}", " ".repeat(before), "^".repeat(place.length.clamp(1, room)));
    Some((shown, marks))
}

fn write_json(failure: &Failure, out: &mut String) {
    let mut error = serde_json::Map::new();
    error.insert("code".into(), failure.code.into());
    error.insert("message".into(), failure.message.clone().into());
    if let Some(help) = &failure.help {
        error.insert("help".into(), help.clone().into());
    }
    if !failure.notes.is_empty() {
        error.insert("notes".into(), failure.notes.clone().into());
    }
    if let Some(place) = &failure.place {
        if let Some(file) = &place.file {
            error.insert("file".into(), file.clone().into());
        }
        if place.line > 0 {
            error.insert("line".into(), place.line.into());
        }
        if place.column > 0 {
            error.insert("column".into(), place.column.into());
            error.insert("length".into(), place.length.into());
        }
    }
    let _ = writeln!(out, "{}", serde_json::json!({ "error": error }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn text(failure: &Failure) -> String {
        let mut out = String::new();
        write_text(failure, Paint::OFF, &mut out);
        out
    }

    #[test]
    fn points_at_the_wrong_part_of_a_filter() {
        let failure = Failure::usage("unknown-field", "unknown field `usr`")
            .at(Place { column: 16, length: 3, text: Some("verb:delete and usr:bob".into()), ..Place::default() })
            .help("did you mean `user`? all fields: decklog help fields");
        assert_eq!(
            text(&failure),
            "error: unknown field `usr`\n  verb:delete and usr:bob\n                  ^^^ help: did you mean `user`? all fields: decklog help fields\n"
                .replace("                  ^^^", &format!("  {}^^^", " ".repeat(15)))
        );
    }

    #[test]
    fn points_into_a_file_without_its_indentation() {
        let failure = Failure::usage("unknown-setting", "`retention.maxage` is not a setting")
            .at(Place { file: Some("decklog.yaml".into()), line: 14, column: 3, length: 6, text: Some("  maxage: 400d".into()) })
            .help("did you mean `maxAge`?");
        assert_eq!(text(&failure), "error: decklog.yaml:14:3: `retention.maxage` is not a setting\n  maxage: 400d\n  ^^^^^^ help: did you mean `maxAge`?\n");
    }

    #[test]
    fn hostile_text_and_places_outside_of_the_line_do_no_harm() {
        for column in [0, 1, 5, 500, usize::MAX / 2] {
            for length in [0, 1, 1000, usize::MAX] {
                let failure =
                    Failure::usage("x", "bad \u{1b}[31m thing").at(Place { column, length, text: Some("a\u{202e}b\u{7}".repeat(80)), ..Place::default() });
                assert!(!text(&failure).contains(['\u{1b}', '\u{202e}', '\u{7}']));
            }
        }
    }

    #[test]
    fn json_has_the_keys_scripts_look_for() {
        let mut out = String::new();
        let place = Place { file: Some("f".into()), line: 2, column: 3, length: 4, text: None };
        write_json(&Failure::usage("bad", "m").at(place).help("h"), &mut out);
        assert_eq!(out, "{\"error\":{\"code\":\"bad\",\"column\":3,\"file\":\"f\",\"help\":\"h\",\"length\":4,\"line\":2,\"message\":\"m\"}}\n");
    }
}
