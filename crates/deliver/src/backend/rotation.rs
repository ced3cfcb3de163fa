//! Old log files: their names, and which of them go. Pure.
//!
//! Source of the behaviour: `gopkg.in/natefinch/lumberjack.v2` 2.2.1, which kube-apiserver's log backend writes through.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use decklog_audit::Timestamp;

/// What is kept of old files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    /// So many of the newest; 0 is all.
    pub(crate) max_backups: usize,
    /// Those of so many days; 0 is all.
    pub(crate) max_age_days: u64,
    /// Whether they are packed with gzip.
    pub(crate) compress: bool,
}

/// How the old files of one log are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackupNames {
    /// The log's name up to its extension, and a dash.
    prefix: Vec<u8>,
    /// The extension with its dot; may be empty.
    extension: Vec<u8>,
}

/// What is to be done with old files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) remove: Vec<OsString>,
    pub(crate) compress: Vec<OsString>,
}

impl BackupNames {
    pub(crate) fn of(log: &Path) -> Self {
        let name = log.file_name().unwrap_or_default().as_bytes();
        let dot = name.iter().rposition(|byte| *byte == b'.').unwrap_or(name.len());
        Self { prefix: [&name[..dot], b"-"].concat(), extension: name[dot..].to_vec() }
    }

    /// The name of a file that was rotated away at `now`, in milliseconds UTC.
    pub(crate) fn at(&self, now: Timestamp) -> OsString {
        let micro = now.micro_text();
        let text = micro.as_str();
        let time = [&text[..10], "T", &text[11..13], "-", &text[14..16], "-", &text[17..23]].concat();
        OsString::from_vec([&self.prefix, time.as_bytes(), &self.extension].concat())
    }

    /// When a file was rotated away, if its name is that of an old file of this log.
    fn time_of(&self, name: &[u8]) -> Option<Timestamp> {
        let time = name.strip_suffix(b".gz").unwrap_or(name).strip_prefix(self.prefix.as_slice())?.strip_suffix(self.extension.as_slice())?;
        let time = std::str::from_utf8(time).ok()?;
        let is_time = time.len() == 23
            && time.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 | 13 | 16 => byte == b'-',
                10 => byte == b'T',
                19 => byte == b'.',
                _ => byte.is_ascii_digit(),
            });
        if !is_time {
            return None;
        }
        Timestamp::parse_micro(&format!("{}T{}:{}:{}000Z", &time[..10], &time[11..13], &time[14..16], &time[17..23]))
    }

    /// Which files of the log's folder go, and which are packed.
    pub(crate) fn plan<'n>(&self, names: impl IntoIterator<Item = &'n OsStr>, keep: Keep, now: Timestamp) -> Plan {
        let mut old: Vec<(Timestamp, &OsStr)> = names.into_iter().filter_map(|name| Some((self.time_of(name.as_bytes())?, name))).collect();
        old.sort_by(|left, right| right.cmp(left));
        let mut plan = Plan::default();
        let mut newest = BTreeSet::new();
        let cutoff = Duration::from_secs(keep.max_age_days.saturating_mul(86_400)).as_micros();
        for (time, name) in old {
            // A file and its packed form count once.
            newest.insert(time);
            let is_beyond = keep.max_backups > 0 && newest.len() > keep.max_backups;
            let age = i128::from(now.micros()) - i128::from(time.micros());
            let is_too_old = keep.max_age_days > 0 && age > i128::try_from(cutoff).unwrap_or(i128::MAX);
            if is_beyond || is_too_old {
                plan.remove.push(name.to_owned());
            } else if keep.compress && !name.as_bytes().ends_with(b".gz") {
                plan.compress.push(name.to_owned());
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_micro(text).unwrap()
    }

    fn names(list: &[OsString]) -> Vec<&str> {
        list.iter().map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn old_files_are_named_as_lumberjack_names_them() {
        let now = at("2026-11-22T09:51:56.085999Z");
        for (log, want) in [
            ("/var/log/audit.log", "audit-2026-11-22T09-51-56.085.log"),
            ("audit", "audit-2026-11-22T09-51-56.085"),
            ("/x/a.b.log", "a.b-2026-11-22T09-51-56.085.log"),
            ("/x/.hidden", "-2026-11-22T09-51-56.085.hidden"),
        ] {
            let backups = BackupNames::of(Path::new(log));
            assert_eq!(backups.at(now), want);
            assert_eq!(backups.time_of(want.as_bytes()), Some(at("2026-11-22T09:51:56.085000Z")));
            assert_eq!(backups.time_of(format!("{want}.gz").as_bytes()), Some(at("2026-11-22T09:51:56.085000Z")));
        }
        let backups = BackupNames::of(Path::new("audit.log"));
        for foreign in
            ["audit.log", "audit-2026-11-22.log", "audit-2026-13-22T09-51-56.085.log", "audit-2026-11-22T09-51-56.085.txt", "b-2026-11-22T09-51-56.085.log"]
        {
            assert_eq!(backups.time_of(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn the_newest_stay_and_those_that_are_not_too_old() {
        let backups = BackupNames::of(Path::new("audit.log"));
        let files = [
            "audit.log",
            "other.log",
            "audit-2026-11-20T00-00-00.000.log",
            "audit-2026-11-21T00-00-00.000.log.gz",
            "audit-2026-11-22T00-00-00.000.log",
            "audit-2026-11-22T00-00-00.000.log.gz",
            "audit-2026-11-23T00-00-00.000.log",
        ];
        let plan = |keep| backups.plan(files.iter().map(OsStr::new), keep, at("2026-11-23T12:00:00.000000Z"));
        let all = plan(Keep::default());
        assert_eq!((all.remove.len(), all.compress.len()), (0, 0));
        let newest = plan(Keep { max_backups: 2, ..Keep::default() });
        assert_eq!(names(&newest.remove), ["audit-2026-11-21T00-00-00.000.log.gz", "audit-2026-11-20T00-00-00.000.log"]);
        let young = plan(Keep { max_age_days: 2, compress: true, ..Keep::default() });
        assert_eq!(names(&young.remove), ["audit-2026-11-21T00-00-00.000.log.gz", "audit-2026-11-20T00-00-00.000.log"]);
        assert_eq!(names(&young.compress), ["audit-2026-11-23T00-00-00.000.log", "audit-2026-11-22T00-00-00.000.log"]);
    }

    proptest! {
        #[test]
        fn no_name_panics_and_none_but_ours_goes(list in proptest::collection::vec("(audit-)?[0-9T.-]{0,30}(\\.log)?(\\.gz)?", 0..20), max_backups in 0_usize..4, days in 0_u64..4) {
            let names: Vec<OsString> = list.iter().map(OsString::from).collect();
            let plan = BackupNames::of(Path::new("audit.log")).plan(names.iter().map(OsString::as_os_str), Keep { max_backups, max_age_days: days, compress: true }, Timestamp::from_micros(1));
            prop_assert!(plan.remove.iter().chain(&plan.compress).all(|name| name.to_str().unwrap().starts_with("audit-")));
        }
    }
}
