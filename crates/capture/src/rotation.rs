//! Names of rotated audit logs: `audit-2026-11-22T09-51-56.085.log`, with `.gz` when compressed.
//!
//! As `gopkg.in/natefinch/lumberjack.v2` 2.2.1, which kube-apiserver uses, makes them: stem, dash, UTC time to
//! the millisecond, the extension from the last dot on. Names order as their times do.

/// A backup's name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backup<'a> {
    /// The name of the log it was once.
    pub(crate) live_stem: &'a str,
    /// The log's extension with its dot; may be empty.
    pub(crate) extension: &'a str,
    /// The moment of rotation as it is in the name; orders as text.
    pub(crate) time: &'a str,
    /// Whether it was compressed.
    pub(crate) compressed: bool,
}

const TIME: &str = "0000-00-00T00-00-00.000";

/// Takes a file name apart, if it is a backup's.
pub(crate) fn parse(name: &str) -> Option<Backup<'_>> {
    let (plain, compressed) = match name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")) {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    // The extension holds no dot but its first, the time holds one.
    let mut ends: Vec<usize> = plain.match_indices('.').map(|(at, _)| at).collect();
    ends.push(plain.len());
    ends.into_iter()
        .filter_map(|end| {
            let start = end.checked_sub(TIME.len())?;
            let time = plain.get(start..end)?;
            let live_stem = plain.get(..start)?.strip_suffix('-')?;
            let extension = &plain[end..];
            let fits = is_time(time) && !live_stem.is_empty() && !extension.get(1..).unwrap_or_default().contains('.');
            fits.then_some(Backup { live_stem, extension, time, compressed })
        })
        .next_back()
}

/// The parts of a live log's name: stem, and extension from the last dot on.
pub(crate) fn stem_of(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) => name.split_at(dot),
        None => (name, ""),
    }
}

/// Orders names so that backups stand before their live log, oldest first.
pub(crate) fn order_key(name: &str) -> (String, String, &str) {
    const BEHIND_EVERY_TIME: &str = "~";
    match parse(name) {
        Some(backup) => (format!("{}{}", backup.live_stem, backup.extension), backup.time.to_owned(), name),
        None => {
            let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
            (plain.to_owned(), BEHIND_EVERY_TIME.to_owned(), name)
        }
    }
}

fn is_time(text: &str) -> bool {
    text.len() == TIME.len() && text.bytes().zip(TIME.bytes()).all(|(byte, model)| if model == b'0' { byte.is_ascii_digit() } else { byte == model })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_backups() {
        let backup = |live_stem, extension, time, compressed| Some(Backup { live_stem, extension, time, compressed });
        assert_eq!(parse("audit-2026-11-22T09-51-56.085.log"), backup("audit", ".log", "2026-11-22T09-51-56.085", false));
        assert_eq!(parse("audit-2026-11-22T09-51-56.085.log.gz"), backup("audit", ".log", "2026-11-22T09-51-56.085", true));
        assert_eq!(parse("kube.audit-x-2026-11-22T09-51-56.085"), backup("kube.audit-x", "", "2026-11-22T09-51-56.085", false));
        for other in
            ["audit.log", "audit-2026-11-22.log", "-2026-11-22T09-51-56.085.log", "audit-2026-11-22T09-51-56.085.old.log", "ä-2026-11-22T09-51-56.08.log", ""]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn order() {
        let mut names = ["audit.log", "b.log", "audit-2026-11-22T09-51-57.000.log", "audit-2026-11-22T09-51-56.085.log.gz"];
        names.sort_by_key(|name| order_key(name));
        assert_eq!(names, ["audit-2026-11-22T09-51-56.085.log.gz", "audit-2026-11-22T09-51-57.000.log", "audit.log", "b.log"]);
    }
}
