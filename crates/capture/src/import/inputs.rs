//! What is to be imported: files, folders with all that is in them, standard input.

use std::path::{Path, PathBuf};

use crate::rotation;

/// One thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it is; `None` is standard input.
    pub path: Option<PathBuf>,
    /// Its name for people: the path as given, with what was found below a folder; `-` for standard input.
    pub name: String,
    /// Its size on disk, where known.
    pub size: Option<u64>,
    /// Whether it was found in a folder: then something that is no log is left alone.
    pub found: bool,
}

/// A path that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}`: {source}")]
pub struct InputError {
    /// As given, or below a folder that was given.
    pub path: String,
    /// The system's reason.
    pub source: std::io::Error,
}

/// Finds everything that `arguments` name, in the order to read it: arguments as given, folders sorted by
/// name, backups of a rotated log before it, oldest first. What cannot be read is told beside.
pub fn find_inputs(arguments: &[PathBuf]) -> (Vec<Input>, Vec<InputError>) {
    let (mut inputs, mut errors) = (Vec::new(), Vec::new());
    for argument in arguments {
        if argument.as_os_str() == "-" {
            inputs.push(Input { path: None, name: "-".to_owned(), size: None, found: false });
            continue;
        }
        match std::fs::metadata(argument) {
            Ok(metadata) if metadata.is_dir() => walk(argument, &mut inputs, &mut errors),
            Ok(metadata) => inputs.push(Input {
                path: Some(argument.clone()),
                name: argument.display().to_string(),
                size: metadata.is_file().then_some(metadata.len()),
                found: false,
            }),
            Err(source) => errors.push(InputError { path: argument.display().to_string(), source }),
        }
    }
    (inputs, errors)
}

/// Links to folders are not followed, so that the walk ends.
fn walk(folder: &Path, inputs: &mut Vec<Input>, errors: &mut Vec<InputError>) {
    let mut waiting = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = waiting.pop() {
        let mut error_at = |path: &Path, source| errors.push(InputError { path: path.display().to_string(), source });
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(source) => {
                error_at(&folder, source);
                continue;
            }
        };
        for entry in entries {
            let kind = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)));
            match kind {
                Ok((path, kind)) if kind.is_dir() => waiting.push(path),
                Ok((path, _)) => match std::fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => files.push((path, metadata.len())),
                    Ok(_) => {}
                    Err(source) => error_at(&path, source),
                },
                Err(source) => error_at(&folder, source),
            }
        }
    }
    files.sort_by_cached_key(|(path, _)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (log, time, name) = rotation::order_key(&name);
        (path.parent().map(Path::to_owned), log, time, name.to_owned())
    });
    inputs.extend(files.into_iter().map(|(path, size)| Input { name: path.display().to_string(), path: Some(path), size: Some(size), found: true }));
}
