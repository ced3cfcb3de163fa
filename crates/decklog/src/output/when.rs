//! Times for people: UTC or the zone of this machine, cut, never rounded.

use decklog_audit::Timestamp;
use jiff::tz::TimeZone;

/// The zone that times are shown in.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    zone: TimeZone,
    name: Option<String>,
}

impl Zone {
    /// UTC.
    pub(crate) fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: Some("UTC".to_owned()) }
    }

    /// The machine's zone (`TZ`, else the system's).
    pub(crate) fn local() -> Self {
        let zone = TimeZone::system();
        let is_utc = zone.iana_name().is_some_and(|name| matches!(name, "UTC" | "Etc/UTC" | "Etc/Zulu" | "Zulu"));
        if zone == TimeZone::UTC || is_utc { Self::utc() } else { Self { zone, name: None } }
    }

    /// The zone of that IANA name; an unknown one is UTC, as C programs read `TZ`.
    pub(crate) fn named(name: &str) -> Self {
        match TimeZone::get(name) {
            Ok(zone) if !matches!(name, "UTC" | "Etc/UTC" | "Z") => Self { zone, name: None },
            _ => Self::utc(),
        }
    }

    fn zoned(&self, time: Timestamp) -> Option<jiff::Zoned> {
        jiff::Timestamp::from_microsecond(time.micros()).ok().map(|moment| moment.to_zoned(self.zone.clone()))
    }

    /// `2026-11-22`; the empty text for a time no calendar has.
    pub(crate) fn day(&self, time: Timestamp) -> String {
        self.zoned(time).map(|zoned| zoned.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
    }

    /// `2026-11-22 UTC`, with the zone's offset where it has no plain name.
    pub(crate) fn day_and_zone(&self, time: Timestamp) -> String {
        let Some(zoned) = self.zoned(time) else { return String::new() };
        match &self.name {
            Some(name) => format!("{} {name}", zoned.strftime("%Y-%m-%d")),
            None => zoned.strftime("%Y-%m-%d %:z").to_string(),
        }
    }

    /// `09:53:33`.
    pub(crate) fn seconds(&self, time: Timestamp) -> String {
        self.zoned(time).map(|zoned| zoned.strftime("%H:%M:%S").to_string()).unwrap_or_default()
    }

    /// `09:53:33.935`: the rest of the microseconds is cut, so that a time never seems to be later than it is.
    pub(crate) fn millis(&self, time: Timestamp) -> String {
        self.zoned(time).map(|zoned| format!("{}.{:03}", zoned.strftime("%H:%M:%S"), zoned.subsec_nanosecond() / 1_000_000)).unwrap_or_default()
    }

    /// `09:53:33.935967`.
    pub(crate) fn micros(&self, time: Timestamp) -> String {
        self.zoned(time).map(|zoned| format!("{}.{:06}", zoned.strftime("%H:%M:%S"), zoned.subsec_nanosecond() / 1_000)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut() {
        let time = Timestamp::parse_rfc3339("2026-11-22T09:53:33.935967Z").unwrap();
        let zone = Zone::utc();
        assert_eq!(zone.day_and_zone(time), "2026-11-22 UTC");
        assert_eq!(zone.seconds(time), "09:53:33");
        assert_eq!(zone.millis(time), "09:53:33.935");
        assert_eq!(zone.micros(time), "09:53:33.935967");
    }

    #[test]
    fn a_zone_without_plain_name_shows_its_offset() {
        let time = Timestamp::parse_rfc3339("2026-11-22T23:53:33Z").unwrap();
        let zone = Zone { zone: TimeZone::fixed(jiff::tz::offset(2)), name: None };
        assert_eq!(zone.day_and_zone(time), "2026-11-23 +02:00");
        assert_eq!(zone.seconds(time), "01:53:33");
    }
}
