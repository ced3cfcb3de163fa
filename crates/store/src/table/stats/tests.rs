//! Reading stats: what is there, what is cut, and text that is no stats.

use super::*;

#[test]
fn a_maximum_that_was_cut_is_widened() {
    #[track_caller]
    fn check(text: &str, latest: &str) {
        assert_eq!(latest_of(text).unwrap().to_string(), latest);
    }
    check("2026-11-20T10:00:00.123456Z", "2026-11-20T10:00:00.123456Z");
    check("2026-11-20T10:00:00.123Z", "2026-11-20T10:00:00.123999Z");
    check("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.999999Z");
    check("2026-11-20T10:00:00.123+02:00", "2026-11-20T08:00:00.123999Z");
}

#[test]
fn columns_are_read_when_asked_for() {
    let (stats, n_rows) =
        FileStats::read(Some(r#"{"numRecords":3,"minValues":{"verb":"create"},"maxValues":{"verb":"watch"},"nullCount":{"verb":1,"nested":{"a":1}}}"#));
    assert_eq!(n_rows, Some(3));
    assert_eq!(stats.seq, None);
    assert_eq!(stats.column("verb"), ColumnStats { min: Some("create".into()), max: Some("watch".into()), null_count: Some(1) });
    assert_eq!(stats.column("nested"), ColumnStats::default());
}

proptest::proptest! {
    #[test]
    fn any_text_says_something_or_nothing(text in ".{0,100}") {
        let (stats, _) = FileStats::read(Some(&text));
        proptest::prop_assert_eq!(stats.raw(), Some(text.as_str()));
        let _ = stats.column("seq");
    }
}
