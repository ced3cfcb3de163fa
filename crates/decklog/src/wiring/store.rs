//! A data directory, open for writing: journal, quarantine, redaction.

use std::path::Path;
use std::sync::Arc;

use decklog_audit::intake::Intake;
use decklog_audit::redact::Redactor;
use decklog_audit::search::Stop;
use decklog_capture::{CaptureMetrics, Recorder};
use decklog_store::{LocalJournal, LocalQuarantine, OpenError, QuarantineConfig, TABLE_READER, Table, TableMetrics};

use super::keys::{former_key, redaction_key};
use super::table::{LateTable, PAUSES};
use crate::config::{Config, RedactMode};
use crate::failure::Failure;
use crate::place;

/// Everything that records events.
pub(crate) struct Store {
    /// The journal.
    pub(crate) journal: Arc<LocalJournal>,
    /// The quarantine.
    pub(crate) quarantine: Arc<LocalQuarantine>,
    /// The table of events, which the journal fills; where it cannot be opened events are taken all the same.
    pub(crate) table: LateTable,
    /// What the table counts, as soon as it is open.
    pub(crate) table_metrics: TableMetrics,
    /// What captures events hands them to this.
    pub(crate) recorder: Recorder,
}

impl Store {
    /// Opens the data directory and recovers what a crash left; blocks on the disk. The lock is taken first: what
    /// follows (a new redaction key) must be done by one process only.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        let data_dir = &config.data_dir;
        let journal = LocalJournal::open(data_dir, journal_config(config, TABLE_READER)).map_err(|error| open_failure(&error, data_dir))?;
        let quarantine = LocalQuarantine::open(data_dir, QuarantineConfig::default()).map_err(|error| open_failure(&error, data_dir))?;
        let redactor = match config.redact.mode {
            RedactMode::Default => {
                let key = redaction_key(&config.redaction_key_file())?;
                let former = former_key(data_dir, &key)?;
                let redactor = Redactor::new(key);
                Some(Arc::new(match former {
                    Some(former) => redactor.with_former(former),
                    None => redactor,
                }))
            }
            RedactMode::Off => None,
        };
        let journal = Arc::new(journal);
        let table_metrics = TableMetrics::default();
        place::record(config)?;
        let table = {
            let (place, journal, table_config, metrics) = (place::of_config(config)?, Arc::clone(&journal), table_config(config), table_metrics.clone());
            LateTable::open(move || Table::open(&place, &journal, table_config.clone(), metrics.clone()), PAUSES)
        };
        let quarantine = Arc::new(quarantine);
        let max_event_bytes = usize::try_from(config.journal.max_event_size.0).unwrap_or(usize::MAX);
        let recorder = Recorder {
            intake: Arc::new(Intake { redactor, max_event_bytes }),
            journal: Arc::clone(&journal) as _,
            quarantine: Arc::clone(&quarantine) as _,
            metrics: CaptureMetrics::default(),
        };
        Ok(Self { journal, quarantine, table, table_metrics, recorder })
    }

    /// Waits until the table has everything, then closes. Blocks on the disk.
    pub(crate) fn finish(&self) {
        if let Ok(table) = self.table.get()
            && let Err(error) = table.flush(&Stop::default())
        {
            tracing::warn!(%error, "the newest events are in the journal alone");
        }
        self.close();
    }

    /// Writes what waits to the table, then closes everything. Blocks on the disk.
    pub(crate) fn close(&self) {
        self.table.close();
        self.journal.close();
    }
}

/// The settings of the table, as its own.
pub(crate) fn table_config(config: &Config) -> decklog_store::table::TableConfig {
    decklog_store::table::TableConfig {
        flush_every: config.table.flush_every,
        flush_bytes: config.table.flush_bytes.0,
        compact_to: config.table.compact_to.0,
        max_age: config.retention.max_age,
        max_size: config.retention.max_size.map(|size| size.0),
        ..decklog_store::table::TableConfig::default()
    }
}

/// An error with everything behind it.
pub(crate) fn whole_reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The settings of the journal, as its own; `reader` is the one that holds the only other copy.
pub(super) fn journal_config(config: &Config, reader: &str) -> decklog_store::JournalConfig {
    decklog_store::JournalConfig {
        segment_size: config.journal.segment_size.0,
        // What the reader has is kept elsewhere; what it has not is never removed.
        max_size: Some(config.journal.keep.0),
        never_overtaken: vec![reader.to_owned()],
        ..decklog_store::JournalConfig::default()
    }
}

/// Where a holder of the lock listens, as far as its command line says; else where servers listen by default.
fn listens_on(holder: &str) -> &str {
    let mut words = holder.split([' ', '=', '`']);
    words.find(|word| *word == "--listen").and_then(|_| words.next()).filter(|address| !address.is_empty()).unwrap_or("127.0.0.1:7080")
}

/// Why the data directory cannot be opened, and what to do.
pub(crate) fn open_failure(error: &OpenError, data_dir: &Path) -> Failure {
    let reason = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    match error {
        OpenError::Locked { holder, .. } => Failure::failed("in-use", format!("the data directory {} is in use by {}", data_dir.display(), holder.trim()))
            .help(format!("ask that server: --server http://{}", listens_on(holder))),
        _ => Failure::failed("data-directory", format!("{error}{reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_the_server_that_has_the_directory() {
        assert_eq!(listens_on("process 7 (`decklog serve --listen 127.0.0.1:7099 --data-dir S`) since x"), "127.0.0.1:7099");
        assert_eq!(listens_on("process 7 (`decklog serve --listen=127.0.0.1:7099`) since x"), "127.0.0.1:7099");
        assert_eq!(listens_on("process 7 (`decklog serve`) since x"), "127.0.0.1:7080");
    }
}
