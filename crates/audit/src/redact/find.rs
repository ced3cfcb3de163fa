//! What is secret in a JSON text: one walk over its tokens, without recursion, that keeps places and leaves
//! replacing them to the caller.
//!
//! Whether a member `data` is a Secret's is often known only behind it (`kind` may come last, an event's
//! `objectRef` stands outside the body), so values are noted as candidates and become sure when an object
//! around them turns out to be about secrets.

use std::ops::Range;

use base64::Engine as _;

use super::mapped::Mapped;
use super::shapes::credentials;
use super::uri::uri_credentials;
use crate::json::{Brackets, JsonError, RawJson, Scanner};

/// How deep JSON inside strings inside JSON is followed; last-applied-configuration is one level.
const MAX_NESTED_TEXTS: usize = 4;

/// Something to replace.
#[derive(Debug)]
pub(super) struct Finding {
    /// Where it stands.
    pub(super) at: Range<usize>,
    /// What stands around the replacement: nothing inside a string, else a quote as it is spelled there.
    pub(super) quote: String,
    /// What is hashed; `None` is the text as it is spelled there.
    value: Option<Vec<u8>>,
    why: Why,
}

impl Finding {
    /// Something inside a string that is secret whatever stands around it.
    pub(super) fn sure(at: Range<usize>, value: Vec<u8>) -> Self {
        Self { at, quote: String::new(), value: Some(value), why: Why::Sure }
    }

    /// What is hashed, of a finding in `text`.
    pub(super) fn value<'v>(&'v self, text: &'v [u8]) -> &'v [u8] {
        self.value.as_deref().unwrap_or_else(|| &text[self.at.clone()])
    }
}

/// What makes a candidate a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is one by its shape or name.
    Sure,
    /// An object around it is a Secret.
    SecretData,
    /// An object around it is about tokens.
    Token,
}

/// The sure findings in `text`, in rising order and without overlaps: of two the outer one.
///
/// # Errors
/// Where `text` is no JSON value.
pub(super) fn secrets(text: &str) -> Result<Vec<Finding>, JsonError> {
    let mut findings = walk(text, MAX_NESTED_TEXTS)?;
    findings.retain(|finding| finding.why == Why::Sure);
    findings.sort_by_key(|finding| (finding.at.start, std::cmp::Reverse(finding.at.end)));
    let mut behind = 0;
    findings.retain(|finding| {
        let apart = finding.at.start >= behind;
        if apart {
            behind = finding.at.end;
        }
        apart
    });
    Ok(findings)
}

fn walk(text: &str, nested_texts: usize) -> Result<Vec<Finding>, JsonError> {
    let mut walk = Walk { text, nested_texts, scanner: Scanner::new(text.as_bytes()), open: Brackets::default(), frames: Vec::new(), findings: Vec::new() };
    walk.value(Place::default())?;
    while !walk.frames.is_empty() {
        walk.part()?;
    }
    walk.scanner.expect_end()?;
    Ok(walk.findings)
}

/// An open object or array.
struct Frame {
    place: Place,
    start: usize,
    /// The first finding inside it.
    first_finding: usize,
    empty: bool,
    about_secrets: bool,
    about_tokens: bool,
    /// In an operation of a JSON patch: whether its path leads to a Secret's data, and its value.
    patch_path: Option<PatchPath>,
    patch_value: Option<Range<usize>>,
}

/// What a value is to the object it stands in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Plain,
    Kind,
    Resource,
    Subresource,
    ObjectRef,
    RequestUri,
    /// The line of the legacy text format that an event was read from: its `uri="…"` is the request's.
    LegacyLine,
    /// The member `data` or `stringData`.
    Data(Spelling),
    /// A value in it.
    Datum(Spelling),
    Token,
    PatchPath,
    PatchValue,
}

/// How a Secret spells a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Base64,
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PatchPath {
    /// `/data` or `/stringData` itself.
    Data(Spelling),
    /// A value in it.
    Datum(Spelling),
}

struct Walk<'a> {
    text: &'a str,
    nested_texts: usize,
    scanner: Scanner<'a>,
    open: Brackets,
    frames: Vec<Frame>,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    /// The next part of the innermost object or array.
    fn part(&mut self) -> Result<(), JsonError> {
        let object = self.open.innermost_is_object();
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let first = std::mem::take(&mut frame.empty);
        let inside = frame.place;
        if !self.scanner.more(first, if object { b'}' } else { b']' })? {
            self.close();
            return Ok(());
        }
        if !object {
            return self.value(Place::Plain);
        }
        let key = self.scanner.key()?;
        let content = &self.text[key.start..key.end];
        self.string(content, key.start, Place::Plain);
        let name = Mapped::json(content).text;
        self.value(match inside {
            Place::Data(spelling) => Place::Datum(spelling),
            // An event inside a string is no event.
            _ if matches!(&*name, "objectRef" | "requestURI") && self.nested_texts < MAX_NESTED_TEXTS => Place::Plain,
            _ => place_of(&name),
        })
    }

    fn value(&mut self, place: Place) -> Result<(), JsonError> {
        let byte = self.scanner.peek()?;
        let start = self.scanner.at;
        match byte {
            b'{' | b'[' => {
                self.open.push(byte == b'{').map_err(|kind| self.scanner.error(kind))?;
                self.scanner.at += 1;
                self.frames.push(Frame {
                    // A list in the place of a Secret's data is no map of values.
                    place: if byte == b'['
                        && let Place::Data(spelling) = place
                    {
                        Place::Datum(spelling)
                    } else {
                        place
                    },
                    start,
                    first_finding: self.findings.len(),
                    empty: true,
                    about_secrets: false,
                    about_tokens: false,
                    patch_path: None,
                    patch_value: None,
                });
                return Ok(());
            }
            b'"' => {
                let span = self.scanner.string()?;
                self.string(&self.text[span.start..span.end], span.start, place);
            }
            _ => {
                self.scanner.skip_value()?;
                if byte != b'n' {
                    self.whole(place, start..self.scanner.at, self.findings.len());
                }
            }
        }
        if place == Place::PatchValue
            && let Some(frame) = self.frames.last_mut()
        {
            frame.patch_value = Some(start..self.scanner.at);
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        self.open.pop();
        let at = frame.start..self.scanner.at;
        if frame.patch_path.is_some() || frame.place == Place::PatchValue {
            self.patch(&frame, at.clone());
        }
        self.confirm(&frame);
        self.whole(frame.place, at, frame.first_finding);
        if frame.place == Place::ObjectRef
            && let Some(outer) = self.frames.last_mut()
        {
            outer.about_secrets |= frame.about_secrets;
            outer.about_tokens |= frame.about_tokens;
        }
    }

    fn confirm(&mut self, frame: &Frame) {
        for finding in &mut self.findings[frame.first_finding..] {
            if (frame.about_secrets && finding.why == Why::SecretData) || (frame.about_tokens && finding.why == Why::Token) {
                finding.why = Why::Sure;
            }
        }
    }

    /// A value that is no string: where one would be secret, all of it is. Candidates inside it, from
    /// `first_finding` on, share its fate from here on and are let go.
    fn whole(&mut self, place: Place, at: Range<usize>, first_finding: usize) {
        let why = match place {
            Place::Datum(_) => Why::SecretData,
            Place::Data(_) if !self.text[at.clone()].starts_with('{') => Why::SecretData,
            Place::Token => Why::Token,
            _ => return,
        };
        let inside = self.findings.split_off(first_finding);
        self.findings.extend(inside.into_iter().filter(|finding| finding.why != why));
        self.findings.push(Finding { at, quote: "\"".to_owned(), value: None, why });
    }

    /// A JSON patch operation that ends, or its value that does.
    fn patch(&mut self, frame: &Frame, at: Range<usize>) {
        if frame.place == Place::PatchValue
            && let Some(operation) = self.frames.last_mut()
        {
            operation.patch_value = Some(at);
        }
        let (Some(path), Some(value)) = (frame.patch_path, frame.patch_value.clone()) else { return };
        let raw = RawJson::scanned(&self.text[value.clone()]);
        match path {
            PatchPath::Data(spelling) if self.text[value.clone()].starts_with('{') => {
                let (outer, mut members) = (raw.as_str(), raw.members());
                while let Some((_, datum)) = members.next() {
                    let start = value.start + members.offset() - datum.as_str().len();
                    debug_assert_eq!(&outer[start - value.start..][..datum.as_str().len()], datum.as_str());
                    self.datum(datum, start, spelling);
                }
            }
            PatchPath::Data(spelling) | PatchPath::Datum(spelling) => self.datum(raw, value.start, spelling),
        }
    }

    fn datum(&mut self, raw: RawJson<'a>, start: usize, spelling: Spelling) {
        match raw.as_str().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(content) => self.candidate(&Mapped::json(content), start + 1..start + 1 + content.len(), Place::Datum(spelling)),
            None if raw == RawJson::NULL => {}
            None => self.whole(Place::Datum(spelling), start..start + raw.as_str().len(), self.findings.len()),
        }
    }

    /// A string, keys included: what it says of the object it stands in, and what in it is secret.
    fn string(&mut self, content: &'a str, start: usize, place: Place) {
        if content.is_empty() {
            return;
        }
        let mapped = Mapped::json(content);
        if let Some(frame) = self.frames.last_mut() {
            match place {
                Place::Kind => {
                    frame.about_secrets |= matches!(&*mapped.text, "Secret" | "SecretList");
                    frame.about_tokens |= matches!(&*mapped.text, "TokenRequest" | "TokenReview");
                }
                Place::Resource if frame.place == Place::ObjectRef => {
                    frame.about_secrets |= mapped.text == "secrets";
                    frame.about_tokens |= mapped.text == "tokenreviews";
                }
                Place::Subresource if frame.place == Place::ObjectRef => frame.about_tokens |= mapped.text == "token",
                Place::PatchPath => frame.patch_path = patch_path(&mapped.text),
                _ => {}
            }
        }
        self.candidate(&mapped, start..start + content.len(), place);
        if place == Place::RequestUri {
            for credential in uri_credentials(&mapped.text) {
                let at = mapped.origin(credential.at);
                self.findings.push(Finding::sure(start + at.start..start + at.end, credential.value.into_bytes()));
            }
            return;
        }
        if place == Place::LegacyLine {
            self.legacy_uris(&mapped, start);
        }
        if self.nested(&mapped, start).is_some() {
            return;
        }
        let mut parts = Vec::new();
        credentials(&mapped.text, &mut parts);
        for part in parts {
            let value = mapped.text.as_bytes()[part.clone()].to_vec();
            let at = mapped.origin(part);
            self.findings.push(Finding::sure(start + at.start..start + at.end, value));
        }
    }

    /// The credentials in the URI of a line of the legacy text format. A value may quote what looks like a field, so
    /// every such place is looked at.
    fn legacy_uris(&mut self, mapped: &Mapped<'_>, start: usize) {
        const FIELD: &str = "uri=\"";
        for (at, _) in mapped.text.match_indices(FIELD) {
            let uri_start = at + FIELD.len();
            let uri = &mapped.text[uri_start..];
            let uri = &uri[..uri.find('"').unwrap_or(uri.len())];
            for credential in uri_credentials(uri) {
                let at = mapped.origin(uri_start + credential.at.start..uri_start + credential.at.end);
                self.findings.push(Finding::sure(start + at.start..start + at.end, credential.value.into_bytes()));
            }
        }
    }

    /// A string where a secret one would stand. An empty one and a mark hold no secret.
    fn candidate(&mut self, mapped: &Mapped<'_>, at: Range<usize>, place: Place) {
        let (why, spelling) = match place {
            Place::Data(spelling) | Place::Datum(spelling) => (Why::SecretData, spelling),
            Place::Token => (Why::Token, Spelling::Text),
            _ => return,
        };
        if mapped.text.is_empty() || super::key::is_mark(&mapped.text) {
            return;
        }
        self.findings.push(Finding { at, quote: String::new(), value: Some(value_of(&mapped.text, spelling)), why });
    }

    /// JSON inside a string, such as the annotation last-applied-configuration: its findings are ours.
    fn nested(&mut self, mapped: &Mapped<'_>, start: usize) -> Option<()> {
        let text = &*mapped.text;
        if !text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        if self.nested_texts == 0 {
            // Too deep to be a manifest: with an object about secrets around it, all of it is one.
            self.findings.push(Finding { at: mapped.whole(start), quote: String::new(), value: Some(text.as_bytes().to_vec()), why: Why::SecretData });
            return None;
        }
        for inner in walk(text, self.nested_texts - 1).ok()? {
            let value = Some(inner.value(text.as_bytes()).to_vec());
            let at = mapped.origin(inner.at);
            let quote = inner.quote.replace('\\', "\\\\").replace('"', "\\\"");
            self.findings.push(Finding { at: start + at.start..start + at.end, quote, value, why: inner.why });
        }
        Some(())
    }
}

fn place_of(name: &str) -> Place {
    match name {
        "kind" => Place::Kind,
        "resource" => Place::Resource,
        "subresource" => Place::Subresource,
        "objectRef" => Place::ObjectRef,
        "requestURI" => Place::RequestUri,
        "decklog.io/line" => Place::LegacyLine,
        "data" => Place::Data(Spelling::Base64),
        "stringData" => Place::Data(Spelling::Text),
        "token" => Place::Token,
        "path" => Place::PatchPath,
        "value" => Place::PatchValue,
        _ => Place::Plain,
    }
}

/// Where a JSON pointer leads, as far as it matters here.
fn patch_path(pointer: &str) -> Option<PatchPath> {
    let pointer = pointer.trim_matches('/');
    let (name, rest) = pointer.split_once('/').map_or((pointer, None), |(name, rest)| (name, Some(rest)));
    let spelling = match name {
        "data" => Spelling::Base64,
        "stringData" => Spelling::Text,
        _ => return None,
    };
    Some(if rest.is_some() { PatchPath::Datum(spelling) } else { PatchPath::Data(spelling) })
}

/// What is hashed of a Secret's value: the decoded bytes, so that `data` and `stringData` of one value,
/// and a token in a Secret and elsewhere, have one hash.
fn value_of(text: &str, spelling: Spelling) -> Vec<u8> {
    if spelling == Spelling::Base64
        && let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(text)
    {
        return decoded;
    }
    text.as_bytes().to_vec()
}
