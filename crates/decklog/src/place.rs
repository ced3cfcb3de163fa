//! Where the table of a data directory lies: what the configuration says, else what the data directory's own record says,
//! else its folder `table`.
//!
//! Whoever writes a table elsewhere leaves a record of it in the data directory, so that reading commands find it, and
//! an import or a server without that setting goes on with the same table instead of beginning another one. The record
//! holds a URL, never a credential: those of S3 are in AWS_* variables.

use std::io;
use std::path::Path;

use decklog_store::TablePlace;

use crate::config::Config;
use crate::failure::Failure;

/// The file with the URL.
const RECORD: &str = "table.place";

/// The folder of a table whose place nobody names.
fn default_place(data_dir: &Path) -> TablePlace {
    TablePlace::local(data_dir.join("table"))
}

/// The table of a configuration.
///
/// # Errors
/// When the record cannot be read.
pub(crate) fn of_config(config: &Config) -> Result<TablePlace, Failure> {
    match &config.table.place {
        Some(place) => Ok(place.clone()),
        None => of_data_dir(&config.data_dir),
    }
}

/// The table of a data directory whose configuration is not known.
///
/// # Errors
/// When the record cannot be read.
pub(crate) fn of_data_dir(data_dir: &Path) -> Result<TablePlace, Failure> {
    Ok(recorded(data_dir)?.unwrap_or_else(|| default_place(data_dir)))
}

/// What the record says of a table that lies elsewhere.
///
/// # Errors
/// When it cannot be read, or is no place.
pub(crate) fn recorded(data_dir: &Path) -> Result<Option<TablePlace>, Failure> {
    let path = data_dir.join(RECORD);
    let failure = |reason: String| {
        Failure::failed("table-place", format!("`{}` is to say where the table lies: {reason}", path.display()))
            .help("write the place into it, or name it with --config FILE or table.place; without the file it is the folder `table` beside it")
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => TablePlace::parse(&text).map(Some).map_err(|error| failure(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(error.to_string())),
    }
}

/// Leaves the record of a table that a configuration puts elsewhere.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn record(config: &Config) -> Result<(), Failure> {
    let Some(place) = &config.table.place else { return Ok(()) };
    let (path, part) = (config.data_dir.join(RECORD), config.data_dir.join(format!("{RECORD}.part")));
    let failure = |reason: String| Failure::failed("table-place", format!("cannot write `{}`: {reason}", path.display()));
    let url = place.url().map_err(|error| failure(error.to_string()))?;
    let is_default = default_place(&config.data_dir).url().is_ok_and(|default| default == url);
    let written = if is_default {
        std::fs::remove_file(&path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    } else if std::fs::read_to_string(&path).is_ok_and(|known| known.trim() == url.as_str()) {
        Ok(())
    } else {
        std::fs::write(&part, format!("{url}\n")).and_then(|()| std::fs::rename(&part, &path))
    };
    written.map_err(|error| failure(error.to_string()))
}
