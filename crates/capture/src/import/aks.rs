//! Azure AKS: diagnostic settings of a cluster send the categories `kube-audit` and `kube-audit-admin` to Event
//! Hubs, storage accounts and Log Analytics.
//!
//! Taken: Event Hub messages `{"records":[…]}`, records one a line as storage has them (both hold the event as text
//! in `properties.log`), rows of the table AzureDiagnostics (`log_s`) and of the tables AKSAudit and AKSAuditAdmin
//! (the event in columns), and answers of Log Analytics queries (`{"tables":[…]}`).
//!
//! `properties.log` is cut at 16 KiB and `log_s` at 32,766 bytes, without a mark: of such an event stays what is
//! certain. Categories are told by their name, not by whether their text is JSON. docs/reference/aks.md has the
//! field table and says what was verified.

use std::borrow::Cow;

use decklog_audit::json::{JsonKind, RawJson};
use decklog_audit::{Event, Timestamp};

use super::convert::{Provenance, embedded_line, is_too_big_mark, rebuilt_line};
use super::formats::{Format, Taking};
use super::object::Object;

const CATEGORIES: [&str; 2] = ["kube-audit", "kube-audit-admin"];
/// Categories of the same diagnostic settings that are other logs, and what they are counted under.
const OTHER_CATEGORIES: [(&str, &str); 11] = [
    ("guard", "aks: category guard"),
    ("kube-apiserver", "aks: category kube-apiserver"),
    ("kube-controller-manager", "aks: category kube-controller-manager"),
    ("kube-scheduler", "aks: category kube-scheduler"),
    ("cluster-autoscaler", "aks: category cluster-autoscaler"),
    ("cloud-controller-manager", "aks: category cloud-controller-manager"),
    ("csi-azuredisk-controller", "aks: category csi-azuredisk-controller"),
    ("csi-azurefile-controller", "aks: category csi-azurefile-controller"),
    ("csi-snapshot-controller", "aks: category csi-snapshot-controller"),
    ("fleet-member-agent", "aks: category fleet-member-agent"),
    ("AllMetrics", "aks: category AllMetrics"),
];
const OTHER_CATEGORY: &str = "aks: another category";

/// See the module.
pub(super) fn read(object: &Object<'_>, taking: &mut Taking<'_>) -> bool {
    if let Some(records) = object.array("records") {
        if !records.elements().any(|record| Object::of(record).as_ref().is_some_and(is_record)) {
            return false;
        }
        for (index, item) in records.elements().enumerate() {
            match Object::of(item).filter(is_record) {
                Some(object) => record(&object, &mut taking.at(index)),
                None => taking.at(index).refuse(item.as_str(), "an item of `records` that is no diagnostic record"),
            }
        }
        return true;
    }
    if is_record(object) {
        record(object, taking);
        return true;
    }
    if object.has("log_s") && object.has("Category") {
        diagnostics_row(object, taking);
        return true;
    }
    if object.has("AuditId") && (object.has("RequestUri") || object.has("Stage")) {
        audit_row(object, taking);
        return true;
    }
    object.array("tables").is_some_and(|tables| answer(tables, taking))
}

fn is_record(object: &Object<'_>) -> bool {
    let named = object.text("category").is_some();
    named && (object.has("properties") || object.has("resourceId") || object.has("operationName"))
}

/// Leaves records of other categories alone; false if it did.
fn check_category(category: Option<&str>, taking: &mut Taking<'_>) -> bool {
    let category = category.unwrap_or_default();
    let is_audit = CATEGORIES.iter().any(|name| category.eq_ignore_ascii_case(name));
    if !is_audit {
        taking.skip(OTHER_CATEGORIES.iter().find(|(name, _)| category.eq_ignore_ascii_case(name)).map_or(OTHER_CATEGORY, |(_, kind)| kind));
    }
    is_audit
}

fn record(record: &Object<'_>, taking: &mut Taking<'_>) {
    if !check_category(record.text("category").as_deref(), taking) {
        return;
    }
    let properties = record.object("properties");
    let Some(log) = properties.as_ref().and_then(|properties| properties.text("log")) else {
        return taking.refuse(record.raw().as_str(), "a kube-audit record without `properties.log`");
    };
    let pod = properties.as_ref().and_then(|properties| properties.word("pod"));
    let time = record.text("time").and_then(|time| Timestamp::parse_rfc3339(&time));
    log_text(&log, time, record.word("resourceId"), pod, taking);
}

fn diagnostics_row(row: &Object<'_>, taking: &mut Taking<'_>) {
    if !check_category(row.text("Category").as_deref(), taking) {
        return;
    }
    let Some(log) = row.text("log_s") else {
        return taking.refuse(row.raw().as_str(), "a kube-audit row whose `log_s` is no text");
    };
    log_text(&log, row_time(row, "TimeGenerated"), resource_id(row), row.word("pod_s"), taking);
}

/// An event as text, whole or cut.
fn log_text(log: &str, time: Option<Timestamp>, resource_id: Option<Cow<'_, str>>, pod: Option<Cow<'_, str>>, taking: &mut Taking<'_>) {
    let text = log.trim();
    let mut provenance = Provenance::new(Format::Aks, text);
    provenance.cluster = resource_id.map(|id| Cow::Owned(id.to_lowercase()));
    provenance.instance = pod;
    match embedded_line(text, time, provenance) {
        Ok(line) => taking.event(Format::Aks, &line),
        Err(_) if !text.starts_with('{') => taking.refuse(text, "a kube-audit record that does not begin with an event: what follows a cut is lost"),
        Err(error) => taking.refuse(text, format!("the log text is no audit event: {error}")),
    }
}

fn resource_id<'a>(row: &Object<'a>) -> Option<Cow<'a, str>> {
    row.word("_ResourceId").or_else(|| row.word("ResourceId"))
}

fn row_time(row: &Object<'_>, column: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(&row.text(column)?)
}

/// Columns of AKSAudit that are members of an event, by their type.
const TEXT_COLUMNS: [(&str, &str); 6] =
    [("Level", "level"), ("AuditId", "auditID"), ("Stage", "stage"), ("RequestUri", "requestURI"), ("Verb", "verb"), ("UserAgent", "userAgent")];
const DYNAMIC_COLUMNS: [(&str, &str, JsonKind); 7] = [
    ("User", "user", JsonKind::Object),
    ("SourceIps", "sourceIPs", JsonKind::Array),
    ("ObjectRef", "objectRef", JsonKind::Object),
    ("ResponseStatus", "responseStatus", JsonKind::Object),
    ("RequestObject", "requestObject", JsonKind::Object),
    ("ResponseObject", "responseObject", JsonKind::Object),
    ("Annotations", "annotations", JsonKind::Object),
];

/// A row of AKSAudit or AKSAuditAdmin: its columns are put together to an event, which is then read as any other.
fn audit_row(row: &Object<'_>, taking: &mut Taking<'_>) {
    let original = row.raw().compact();
    let mut provenance = Provenance::new(Format::Aks, &original);
    provenance.cluster = resource_id(row).map(|id| Cow::Owned(id.to_lowercase()));
    provenance.instance = row.word("PodName");
    // No column holds them.
    provenance.missing("impersonatedUser");
    provenance.missing("authenticationMetadata");
    let mut json = String::from("{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"");
    let mut put = |member: &str, value: &str| json.push_str(&format!(",\"{member}\":{value}"));
    for (column, member) in TEXT_COLUMNS {
        match row.get(column) {
            Some(value) if value.kind() == JsonKind::String => put(member, value.as_str()),
            Some(_) | None => provenance.missing(member),
        }
    }
    for (column, member, kind) in DYNAMIC_COLUMNS {
        let Some(value) = row.get(column) else { continue };
        if is_too_big_mark(value) {
            provenance.missing(member);
            provenance.truncated();
            continue;
        }
        // Exports spell dynamic columns as text.
        let text = value.as_string();
        match text.as_deref() {
            Some("") => {}
            Some(text) => match RawJson::parse(text) {
                Ok(inner) if inner.kind() == kind => put(member, inner.as_str()),
                _ => provenance.missing(member),
            },
            // A JSON patch is an array.
            None if value.kind() == kind || (member == "requestObject" && value.kind() == JsonKind::Array) => put(member, value.as_str()),
            None => provenance.missing(member),
        }
    }
    json.push('}');
    match Event::decode(&json) {
        Ok(mut event) => {
            event.request_received_timestamp = row_time(row, "RequestReceivedTime");
            event.stage_timestamp = row_time(row, "StageReceivedTime");
            if event.request_received_timestamp.is_none() {
                provenance.missing("requestReceivedTimestamp");
            }
            if event.stage_timestamp.is_none() {
                event.stage_timestamp = row_time(row, "TimeGenerated");
                if event.stage_timestamp.is_some() { provenance.inferred("stageTimestamp") } else { provenance.missing("stageTimestamp") }
            }
            taking.event(Format::Aks, &rebuilt_line(&event, &provenance));
        }
        // As an event: what stands around a credential tells that it is one.
        Err(error) => taking.refuse(&json, error),
    }
}

/// The answer of a Log Analytics query: rows as lists beside the names of their columns.
fn answer(tables: RawJson<'_>, taking: &mut Taking<'_>) -> bool {
    let tables: Vec<Object<'_>> = tables.elements().filter_map(Object::of).collect();
    if tables.is_empty() || !tables.iter().all(|table| table.array("columns").is_some() && table.array("rows").is_some()) {
        return false;
    }
    for table in &tables {
        let names: Vec<RawJson<'_>> = table
            .array("columns")
            .into_iter()
            .flat_map(RawJson::elements)
            .filter_map(|column| Object::of(column)?.get("name"))
            .filter(|name| name.kind() == JsonKind::String)
            .collect();
        for (index, row) in table.array("rows").into_iter().flat_map(RawJson::elements).enumerate() {
            let members: Vec<String> = names.iter().zip(row.elements()).map(|(name, value)| format!("{}:{}", name.as_str(), value.as_str())).collect();
            let row = format!("{{{}}}", members.join(","));
            let mut taking = taking.at(index);
            if !RawJson::parse(&row).is_ok_and(|raw| taking.document(raw)) {
                taking.refuse(&row, "a row that is no audit event of AKS");
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::import::tests::{mutated, quoted, taken, without_ours};
    use crate::testing::{line, recorded_lines};

    fn record_of(category: &str, log: &str) -> String {
        format!(
            r#"{{"time":"2026-11-22T10:00:00.647880072Z","category":"{category}","operationName":"Microsoft.ContainerService/managedClusters/diagnosticLogs/Read","resourceId":"/SUBSCRIPTIONS/0/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/SHOP","properties":{{"log":{},"stream":"stdout","pod":"kube-apiserver-1","containerID":"a64c"}}}}"#,
            quoted(log)
        )
    }

    #[test]
    fn whole_events_keep_their_bytes_in_both_packings() {
        for events in recorded_lines().chunks(7).take(100) {
            let records: Vec<String> = events.iter().map(|event| record_of("kube-audit", &format!("{event}\n"))).collect();
            let hub = taken(&format!("{{\"records\":[{}]}}", records.join(",")));
            let storage = taken(&records.join("\n"));
            assert_eq!((&hub.lines, hub.lines.len(), hub.bad.len()), (&storage.lines, events.len(), 0));
            for (line, event) in hub.lines.iter().zip(events) {
                let mut stored = String::new();
                without_ours(line, &mut stored);
                assert_eq!(stored, *event);
            }
        }
    }

    #[test]
    fn categories_are_told_by_name() {
        let records = ["guard", "kube-scheduler", "kube-audit-admin", "SomethingNew"].map(|category| record_of(category, &line(1)));
        let taken = taken(&format!("{{\"records\":[{}]}}", records.join(",")));
        assert_eq!((taken.lines.len(), taken.bad.len()), (1, 0));
        assert_eq!(taken.tally.skipped, [("aks: category guard", 1), ("aks: category kube-scheduler", 1), (OTHER_CATEGORY, 1)].into());
        let line = &taken.lines[0];
        assert!(
            line.contains(r#""decklog.io/cluster":"/subscriptions/0/resourcegroups/rg1/providers/microsoft.containerservice/managedclusters/shop""#),
            "{line}"
        );
        assert!(line.contains(r#""decklog.io/instance":"kube-apiserver-1""#), "{line}");
    }

    #[test]
    fn an_item_that_is_no_record_leaves_the_others() {
        let taken = taken(&format!("{{\"records\":[{},7,{{}},{}]}}", record_of("kube-audit", &line(1)), record_of("kube-audit", &line(2))));
        assert_eq!((taken.lines.len(), taken.bad.len()), (2, 2), "{:?}", taken.bad);
    }

    #[test]
    fn a_log_cut_at_16_kib_gives_what_is_certain() {
        let filler = "x".repeat(20_000);
        let event = line(1).replace(r#""stageTimestamp""#, &format!(r#""requestObject":{{"a":"{filler}"}},"stageTimestamp""#)).replace("Metadata", "Request");
        let text = format!("{}\n{}\n{}", record_of("kube-audit", &line(2)), record_of("kube-audit", &event[..16 << 10]), record_of("kube-audit", &line(3)));
        let taken = taken(&text);
        assert_eq!((taken.lines.len(), taken.bad.len()), (3, 0), "{:?}", taken.bad);
        let part = Event::decode(&taken.lines[1]).unwrap();
        assert_eq!(part.request_object, None);
        assert_eq!(part.stage_timestamp.unwrap().to_string(), "2026-11-22T10:00:00.647880Z");
        assert_eq!(part.annotation("decklog.io/missing"), Some("annotations,requestObject,requestReceivedTimestamp"));
        let rest = taken_rest(&event[16 << 10..]);
        assert!(rest.lines.is_empty() && rest.bad[0].contains("what follows a cut"), "{:?}", rest.bad);
    }

    fn taken_rest(log: &str) -> crate::import::tests::Taken {
        taken(&record_of("kube-audit", log))
    }

    #[test]
    fn the_word_for_a_body_that_was_too_large_is_no_body() {
        for (before, after) in [
            (r#""requestObject":"skipped-too-big-size-object","responseObject":{"a":1},"stageTimestamp""#, r#""responseObject":{"a":1},"stageTimestamp""#),
            (r#""responseObject":"skipped-too-big-size-object","stageTimestamp""#, r#""stageTimestamp""#),
        ] {
            let taken = taken(&record_of("kube-audit", &line(1).replace(r#""stageTimestamp""#, before)));
            let mut stored = String::new();
            without_ours(&taken.lines[0], &mut stored);
            assert_eq!(stored, line(1).replace(r#""stageTimestamp""#, after));
            assert!(taken.lines[0].contains("Object\",\"decklog.io/original"), "{}", taken.lines[0]);
        }
    }

    #[test]
    fn rows_of_log_analytics() {
        let diagnostics = format!(
            r#"{{"TimeGenerated":"2026-11-22T10:00:00.6478800Z","Category":"kube-audit","log_s":{},"pod_s":"kube-apiserver-1","_ResourceId":"/subscriptions/0/x"}}"#,
            quoted(&line(1))
        );
        let columns = r#"{"TimeGenerated":"2026-11-22T10:00:00.7Z","Type":"AKSAudit","AuditId":"a1","Level":"RequestResponse","Stage":"ResponseComplete","Verb":"create","RequestUri":"/api/v1/namespaces/shop/pods","User":{"username":"ana","groups":["g"]},"SourceIps":"[\"203.0.113.9\"]","UserAgent":"kubectl","ObjectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"},"ResponseStatus":{"metadata":{},"code":201},"RequestObject":"{\"kind\":\"Pod\"}","ResponseObject":"skipped-too-big-size-object","Annotations":{"authorization.k8s.io/decision":"allow"},"RequestReceivedTime":"2026-11-22T10:00:00.1234560Z","StageReceivedTime":"2026-11-22T10:00:00.2234560Z","PodName":"kube-apiserver-1","_ResourceId":"/subscriptions/0/x"}"#;
        let answer = format!(
            r#"{{"tables":[{{"name":"PrimaryResult","columns":[{{"name":"Category","type":"string"}},{{"name":"log_s","type":"string"}}],"rows":[["kube-audit",{}],["guard","x"]]}}]}}"#,
            quoted(&line(2))
        );
        let taken = taken(&[diagnostics, columns.to_owned(), answer].join("\n"));
        assert_eq!((taken.lines.len(), taken.bad.len()), (3, 0), "{:?}", taken.bad);
        assert_eq!(taken.tally.skipped, [("aks: category guard", 1)].into());
        let row = Event::decode(&taken.lines[1]).unwrap();
        assert_eq!((row.request_object.unwrap().as_str(), row.response_object), (r#"{"kind":"Pod"}"#, None));
        assert_eq!(
            (row.source_ips.clone().unwrap()[0].as_ref(), row.stage_timestamp.unwrap().to_string()),
            ("203.0.113.9", "2026-11-22T10:00:00.223456Z".to_owned())
        );
        assert_eq!(row.annotation("decklog.io/missing"), Some("authenticationMetadata,impersonatedUser,responseObject"));
        assert_eq!((row.annotation("decklog.io/inferred"), row.annotation("authorization.k8s.io/decision")), (None, Some("allow")));
    }

    proptest! {
        #[test]
        fn any_record_ends(seed: u64, n_changes in 0usize..8, text: String) {
            taken(&record_of("kube-audit", &text));
            taken(&mutated(&format!("{{\"records\":[{}]}}", record_of("kube-audit", &line(1))), seed, n_changes));
            let row = r#"{"AuditId":"a1","Stage":"x","Level":"Request","User":{"username":"ana"},"RequestObject":"{}","SourceIps":[1],"RequestReceivedTime":"2026-11-22T10:00:00.1Z","TimeGenerated":"x"}"#;
            taken(&mutated(row, seed, n_changes));
            taken(&mutated(r#"{"tables":[{"columns":[{"name":"Category"},{"name":"log_s"}],"rows":[["kube-audit","{}"],[1],7]}]}"#, seed, n_changes));
        }
    }
}
