//! Which rows of a group may match, by what the file says of them beside their values.

use std::ops::Range;

use decklog_audit::Filter;

use super::files::{FileReader, OpenFile, ReadFailure};

/// What of a filter statistics can tell about.
pub(crate) struct Narrowing {
}

impl Narrowing {
    pub(crate) fn of(_filter: &Filter) -> Self {
        Self {}
    }

    /// The rows of a group that may match; `None` if none does.
    pub(crate) fn rows(&self, _reader: &FileReader, file: &OpenFile, group: usize) -> Result<Option<Vec<Range<usize>>>, ReadFailure> {
        Ok(Some(vec![0..file.n_rows(group)]))
    }
}
