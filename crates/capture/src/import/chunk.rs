//! A part of a file on its way from the reading thread to those that parse.

use std::ops::Range;
use std::sync::Arc;

use decklog_audit::intake::Form;

use crate::split::{Bad, Place};

/// Pieces of one file, in order, with the place of each.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The file's name as given.
    pub file: Arc<str>,
    bytes: Vec<u8>,
    values: Vec<Value>,
    /// What is no event for sure.
    pub bad: Vec<Bad>,
    bad_bytes: usize,
    /// The list version last seen; items share it.
    version: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Value {
    range: Range<usize>,
    version: Option<Arc<str>>,
    place: Place,
}

impl Chunk {
    pub(super) fn new(file: Arc<str>) -> Self {
        Self { file, bytes: Vec::new(), values: Vec::new(), bad: Vec::new(), bad_bytes: 0, version: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8], form: Form<'_>, place: Place) {
        let version = match form {
            Form::Line => None,
            Form::ListItem(version) => {
                if self.version.as_deref() != Some(version) {
                    self.version = Some(Arc::from(version));
                }
                self.version.clone()
            }
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.values.push(Value { range: start..self.bytes.len(), version, place });
    }

    pub(super) fn push_bad(&mut self, bad: Bad) {
        self.bad_bytes += bad.bytes.len() + std::mem::size_of::<Bad>();
        self.bad.push(bad);
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.bad_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.bad.is_empty()
    }

    /// The values that may be events.
    pub fn values(&self) -> impl Iterator<Item = (&[u8], Form<'_>, Place)> {
        self.values.iter().map(|value| {
            let form = value.version.as_deref().map_or(Form::Line, Form::ListItem);
            (&self.bytes[value.range.clone()], form, value.place)
        })
    }

    /// `audit.log:88121`, and for an item of a list `list.json:1 items[17]`.
    pub fn place_text(&self, place: Place) -> String {
        match place.item {
            Some(item) => format!("{}:{} items[{item}]", self.file, place.line),
            None => format!("{}:{}", self.file, place.line),
        }
    }
}
