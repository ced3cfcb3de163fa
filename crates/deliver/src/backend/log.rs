//! The log backend: a line an event, into a file that is rotated, or to standard output.
//!
//! Names and rules of rotation are those of kube-apiserver ([`rotation`](super::rotation)); beyond it: the file is opened again on request
//! (SIGHUP, after an external rotation), one that was deleted is noticed and made anew, a failed write leaves no half line behind, two
//! rotations in one millisecond get two names, and where a rotation fails (a single file that is bind-mounted) writing goes on.
//!
//! Source of the behaviour: `k8s.io/apiserver/plugin/pkg/audit/log` and `AuditLogOptions` in `pkg/server/options/audit.go` (v0.36.3).

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decklog_audit::Timestamp;
use decklog_audit::backend::{Emitted, Processed, Processing, Stopping};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::carrier::{Carrier, Line, legacy_of};
use super::errors::{Plugin, PluginErrors};
use super::rotation::{BackupNames, Keep};

/// `--audit-log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogFormat {
    Legacy,
    Json,
}

/// Where lines go, and what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The file; nothing is standard output.
    pub path: Option<PathBuf>,
    /// How events are written.
    pub format: LogFormat,
    /// A file has at most so many bytes; 0 is without a bound, and without rotation.
    pub max_bytes: u64,
    /// Old files are removed after so many days; 0 is never.
    pub max_age_days: u64,
    /// So many old files are kept; 0 is all.
    pub max_backups: usize,
    /// Whether old files are packed.
    pub compress: bool,
    /// What becomes of a line that no file takes.
    pub oversize: Oversize,
}

/// A line above [`LogConfig::max_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// It is lost and counted, as in kube-apiserver.
    Lost,
    /// It gets a file of its own, behind a journal, where nothing is lost.
    Kept,
}

/// The log.
pub struct LogBackend {
    format: LogFormat,
    errors: PluginErrors,
    output: Output,
}

enum Output {
    Standard,
    File(Arc<LogFile>),
}

/// Why a line is lost.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("write length {length} exceeds maximum file size {max_bytes}")]
    TooLong { length: usize, max_bytes: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unencodable(#[from] decklog_audit::backend::Unencodable),
}

impl LogBackend {
    /// Opens the log. A file's folder is made (0700) and the file too (0600).
    ///
    /// # Errors
    /// The folder or the file cannot be made or opened.
    pub fn open(config: &LogConfig, errors: PluginErrors) -> io::Result<Self> {
        let output = match &config.path {
            None => Output::Standard,
            Some(path) => Output::File(Arc::new(LogFile::open(path, config)?)),
        };
        Ok(Self { format: config.format, errors, output })
    }

    /// The file is closed, and opened (or made) again by its name at the next event.
    pub fn reopen(&self) {
        if let Output::File(file) = &self.output {
            file.state().file = None;
        }
    }
}

impl std::fmt::Display for LogBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("log")
    }
}

impl Carrier for LogBackend {
    fn line(&self, event: &Emitted<'_>) -> Line {
        match self.format {
            LogFormat::Json => Line::json(event),
            LogFormat::Legacy => Line::Written(event.legacy_line()),
        }
    }

    fn stored_line(&self, line: &[u8]) -> Line {
        let legacy = if self.format == LogFormat::Legacy { legacy_of(line) } else { None };
        legacy.map_or_else(|| Line::stored(line), |legacy| Line::Written(legacy.into()))
    }

    /// A file has no receiver that knows what it has already.
    fn is_repeatable(&self) -> bool {
        false
    }

    fn carry(&self, lines: Vec<Line>) -> Processing {
        let mut processed = Processed::Stored;
        let mut lose = |error: WriteError, lines: &[Line]| {
            processed = Processed::Failed;
            self.errors.count(Plugin::Log, &error, lines);
        };
        match &self.output {
            Output::Standard => {
                let mut out = io::stdout().lock();
                for line in lines {
                    let written = match &line {
                        Line::Written(text) => out.write_all(text).and_then(|()| out.flush()).map_err(WriteError::from),
                        Line::Unencodable(_) => Err(decklog_audit::backend::Unencodable.into()),
                    };
                    if let Err(error) = written {
                        lose(error, &[line]);
                    }
                }
            }
            Output::File(file) => file.write(&lines, &mut lose),
        }
        Processing::Done(processed)
    }

    fn stop(&self) -> Stopping<'_> {
        Box::pin(async {
            if let Output::File(file) = &self.output {
                file.tidied().await;
            }
        })
    }
}

/// A file with its old ones.
struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    oversize: Oversize,
    keep: Keep,
    names: BackupNames,
    state: Mutex<State>,
    /// Held by who removes and packs old files.
    tidying: Arc<tokio::sync::Mutex<()>>,
    tidy_again: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    file: Option<File>,
    size: u64,
    /// Lines that are written together.
    buffer: Vec<u8>,
    /// Whether the failure to rotate was told.
    told_rotation: bool,
}

/// Lines are written together up to so many bytes.
const BUFFER_BYTES: usize = 256 << 10;

impl LogFile {
    fn open(path: &Path, config: &LogConfig) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            max_bytes: config.max_bytes,
            oversize: config.oversize,
            keep: Keep { max_backups: config.max_backups, max_age_days: config.max_age_days, compress: config.compress },
            names: BackupNames::of(path),
            state: Mutex::default(),
            tidying: Arc::default(),
            tidy_again: Arc::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines, as many together as the file takes.
    fn write(&self, lines: &[Line], lose: &mut dyn FnMut(WriteError, &[Line])) {
        let mut state = self.state();
        // A file that was deleted has no name any more: what would be written to it nobody could read.
        if let Some(file) = &state.file
            && file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
        {
            tracing::warn!("the audit log `{}` was deleted; a new one is made", self.path.display());
            state.file = None;
        }
        let mut at = 0;
        while at < lines.len() {
            let n_fit = match self.fill(&mut state, &lines[at..]) {
                Ok(n_fit) => n_fit,
                Err(error) => {
                    lose(error, &lines[at..=at]);
                    at += 1;
                    continue;
                }
            };
            match self.write_buffer(&mut state) {
                Ok(()) => {}
                Err(error) if n_fit == 1 => lose(error.into(), &lines[at..=at]),
                // Where not all fit, some may.
                Err(_) => {
                    for line in &lines[at..at + n_fit] {
                        let written = self.fill(&mut state, std::slice::from_ref(line)).and_then(|_| Ok(self.write_buffer(&mut state)?));
                        if let Err(error) = written {
                            lose(error, std::slice::from_ref(line));
                        }
                    }
                }
            }
            at += n_fit;
        }
    }

    /// Makes the file ready for the first of `lines` and puts as many as fit into the buffer: at least that one.
    fn fill(&self, state: &mut State, lines: &[Line]) -> Result<usize, WriteError> {
        state.buffer.clear();
        let mut n_fit = 0;
        for line in lines {
            let text = match line {
                Line::Written(text) => text,
                Line::Unencodable(_) if n_fit > 0 => break,
                Line::Unencodable(_) => return Err(decklog_audit::backend::Unencodable.into()),
            };
            let length = text.len() as u64;
            if n_fit == 0 {
                if self.max_bytes > 0 && length > self.max_bytes && self.oversize == Oversize::Lost {
                    return Err(WriteError::TooLong { length: text.len(), max_bytes: self.max_bytes });
                }
                self.make_ready(state, length)?;
            } else if (self.max_bytes > 0 && state.size + state.buffer.len() as u64 + length > self.max_bytes) || state.buffer.len() + text.len() > BUFFER_BYTES
            {
                break;
            }
            state.buffer.extend_from_slice(text);
            n_fit += 1;
        }
        Ok(n_fit)
    }

    /// Opens the file if it is not, and rotates where a line of this length does not fit.
    fn make_ready(&self, state: &mut State, length: u64) -> io::Result<()> {
        let is_full = match &state.file {
            Some(_) => state.size > 0 && state.size + length > self.max_bytes,
            None => {
                self.open_existing(state)?;
                self.tidy();
                // The first time a file that is just full is full, later it is not.
                state.size > 0 && state.size + length >= self.max_bytes
            }
        };
        if self.max_bytes > 0 && is_full {
            match self.rotate(state) {
                Ok(()) => self.tidy(),
                Err(error) => {
                    if !std::mem::replace(&mut state.told_rotation, true) {
                        tracing::error!("cannot rotate the audit log `{}`: {error}; it grows over its bound", self.path.display());
                    }
                }
            }
        }
        Ok(())
    }

    fn open_existing(&self, state: &mut State) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        state.size = file.metadata()?.len();
        state.file = Some(file);
        Ok(())
    }

    /// The file gets the name of an old one, and a new one its mode and owner.
    fn rotate(&self, state: &mut State) -> io::Result<()> {
        let old = std::fs::metadata(&self.path)?;
        let mut now = Timestamp::from_system(std::time::SystemTime::now());
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let backup = loop {
            let name = self.names.at(now);
            let mut packed = name.clone();
            packed.push(".gz");
            if !folder.join(&name).try_exists()? && !folder.join(&packed).try_exists()? {
                break folder.join(name);
            }
            now = Timestamp::from_micros(now.micros() + 1_000);
        };
        std::fs::rename(&self.path, &backup)?;
        let file = OpenOptions::new().create(true).append(true).mode(old.mode() & 0o7777).open(&self.path)?;
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        // Only root can give a file away; then it stays ours.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        (state.file, state.size, state.told_rotation) = (Some(file), 0, false);
        Ok(())
    }

    fn write_buffer(&self, state: &mut State) -> io::Result<()> {
        let State { file, size, buffer, .. } = state;
        let Some(open) = file else { return Err(io::ErrorKind::NotFound.into()) };
        match open.write_all(buffer) {
            Ok(()) => {
                *size += buffer.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line would spoil the next one too.
                let _ = open.set_len(*size);
                *file = None;
                Err(error)
            }
        }
    }

    /// Removes and packs old files, beside the writing.
    fn tidy(&self) {
        if self.keep == Keep::default() {
            return;
        }
        self.tidy_again.store(true, Ordering::Release);
        let Ok(tidying) = self.tidying.clone().try_lock_owned() else { return };
        let (path, names, keep, again) = (self.path.clone(), self.names.clone(), self.keep, self.tidy_again.clone());
        let spawned = std::thread::Builder::new().name("audit-log-tidy".to_owned()).spawn(move || {
            let _tidying = tidying;
            while again.swap(false, Ordering::AcqRel) {
                tell_tidied(&path, &names, keep);
            }
        });
        if let Err(error) = spawned {
            tracing::warn!("cannot tidy the old files of the audit log: {error}");
        }
    }

    async fn tidied(&self) {
        let _tidying = self.tidying.lock().await;
        // Something may have come in just after the last look.
        if self.tidy_again.swap(false, Ordering::AcqRel) {
            let (path, names, keep) = (self.path.clone(), self.names.clone(), self.keep);
            // A thread that broke has told why.
            let _ = tokio::task::spawn_blocking(move || tell_tidied(&path, &names, keep)).await;
        }
    }
}

fn tell_tidied(log: &Path, names: &BackupNames, keep: Keep) {
    if let Err(error) = tidy(log, names, keep) {
        tracing::warn!("cannot tidy the old files of the audit log `{}`: {error}", log.display());
    }
}

fn tidy(log: &Path, names: &BackupNames, keep: Keep) -> io::Result<()> {
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            found.push(entry.file_name());
        }
    }
    let plan = names.plan(found.iter().map(|name| name.as_os_str()), keep, Timestamp::from_system(std::time::SystemTime::now()));
    for name in plan.remove {
        std::fs::remove_file(folder.join(name))?;
    }
    for name in plan.compress {
        pack(&folder.join(name))?;
    }
    Ok(())
}

/// Packs a file into one of the same mode and owner, and removes it.
fn pack(path: &Path) -> io::Result<()> {
    let mut packed = path.as_os_str().to_owned();
    packed.push(".gz");
    let mut from = File::open(path)?;
    let old = from.metadata()?;
    let written = (|| {
        let to = OpenOptions::new().create(true).truncate(true).write(true).mode(old.mode() & 0o7777).open(&packed)?;
        let _ = fchown(&to, Some(old.uid()), Some(old.gid()));
        let mut encoder = GzEncoder::new(to, Compression::default());
        io::copy(&mut from, &mut encoder)?;
        encoder.finish()?.sync_all()
    })();
    match written {
        Ok(()) => std::fs::remove_file(path),
        Err(error) => {
            let _ = std::fs::remove_file(&packed);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
