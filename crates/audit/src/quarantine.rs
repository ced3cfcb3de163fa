//! The seam to the quarantine: what could not be taken as an event, kept whole with the reason.

use std::sync::Arc;

use crate::journal::{AppendError, Origin};
use crate::time::Timestamp;

/// Something that was refused, as it came (after redaction where it could be read, as decision 6 says).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it came.
    pub at: Timestamp,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Where in its file or body it stood, such as `audit.log:88121` or `items[17]`.
    pub place: String,
    /// The value of the metric label `reason`: malformed, too_large.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub detail: String,
    /// The bytes; of something larger than the quarantine keeps only the beginning.
    pub bytes: Vec<u8>,
    /// How many bytes it had.
    pub size: u64,
}

/// Keeps what was refused, up to a bound; the oldest goes out first and is counted.
pub trait Quarantine: Send + Sync {
    /// Keeps `items`; they are durable when this returns `Ok`. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk does not take them: the sender must then not be acknowledged.
    fn put(&self, items: Vec<Refused>) -> Result<(), AppendError>;
}
