//! Questions in SQL over recorded events: from the table, from the journal, and from both, the answer is the same.

#![allow(clippy::unwrap_used, missing_docs)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use decklog_audit::filter::Candidate;
use decklog_audit::intake::{Form, Intake, id_of};
use decklog_audit::journal::{Batch, Journal, Origin, RecordKind};
use decklog_audit::search::{SqlError, SqlErrorKind, SqlFormat, SqlRequest, SqlSummary, Stop};
use decklog_audit::{Event, Filter, Timestamp};
use decklog_query::sql::{JournalTail, MAX_QUERY_BYTES, SqlEngine, SqlLimits, SqlSnapshot, TableFile, VIEWS};
use decklog_store::table::file::{Effort, FileWriter, sorted_days};
use decklog_store::table::{Column, RowBuffer};
use decklog_store::testing::wait;
use decklog_store::{BlockRead, BlockRef, JournalConfig, JournalView, LocalJournal};
use serde_json::Value;

fn recorded_log(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name).join("audit.log.zst");
    String::from_utf8(zstd::decode_all(std::fs::read(path).unwrap().as_slice()).unwrap()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

/// A journal with events, the first of them in files of the table.
struct World {
    engine: SqlEngine,
    snapshot: SqlSnapshot,
    _directory: tempfile::TempDir,
}

impl World {
    /// The lines in a journal, and the first `tabled` of 1000 in files of the table.
    fn new(lines: &[&str], tabled: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = LocalJournal::open(directory.path(), JournalConfig::default()).unwrap();
        let origin = Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() };
        let intake = Intake { redactor: None, max_event_bytes: 64 << 20 };
        for lines in lines.chunks(97) {
            let mut batch = Batch::new(origin.clone(), now());
            batch.push_mark(b"{\"mark\":true}");
            lines.iter().for_each(|line| intake.push(line.as_bytes(), Form::Line, &mut batch).unwrap());
            wait(journal.append(batch)).unwrap();
        }
        let engine = SqlEngine::new(SqlLimits::default()).unwrap();
        let view = journal.view().unwrap();
        let blocks: Vec<BlockRef> = view.blocks().cloned().collect();
        let next_seq = view.next_seq();
        let from_seq = next_seq * tabled as u64 / 1000;
        let table = directory.path().join("table");
        let files = write_table(&view, &blocks, from_seq, &table);
        let store = Arc::new(object_store::local::LocalFileSystem::new_with_prefix(&table).unwrap());
        let tail = JournalTail::new(Arc::new(view), &blocks, from_seq, Arc::clone(engine.tail_cache()));
        let snapshot = SqlSnapshot { files, store, tail: Some(tail), gaps: Vec::new() };
        Self { engine, snapshot, _directory: directory }
    }

    fn request(query: &str) -> SqlRequest {
        SqlRequest { query: query.to_owned(), params: Vec::new(), limit: None, timeout: None, format: SqlFormat::Json, stop: Stop::default() }
    }

    fn answer(&self, request: &SqlRequest) -> Result<(Vec<u8>, SqlSummary), SqlError> {
        let mut bytes = Vec::new();
        let summary = self.engine.answer(self.snapshot.clone(), request, now(), &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        Ok((bytes, summary))
    }

    /// The rows as JSON texts.
    #[track_caller]
    fn rows(&self, query: &str) -> Vec<String> {
        let (bytes, summary) = self.answer(&Self::request(query)).unwrap_or_else(|error| panic!("{query}\n{error:?}"));
        assert!(summary.gaps.is_empty());
        let text = String::from_utf8(bytes).unwrap();
        let rows: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(rows.len() as u64, summary.n_rows);
        rows
    }

    #[track_caller]
    fn fails(&self, query: &str) -> SqlError {
        match self.answer(&Self::request(query)) {
            Ok((bytes, _)) => panic!("{query} gave {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)])),
            Err(error) => error,
        }
    }
}

/// Writes the events below `until` into files of 1000 rows.
fn write_table(view: &JournalView, blocks: &[BlockRef], until: u64, table: &Path) -> Vec<TableFile> {
    let mut files = Vec::new();
    let mut buffer = RowBuffer::default();
    let mut flush = |buffer: &mut RowBuffer| {
        for (day, rows) in sorted_days(&buffer.take()).unwrap() {
            let mut writer = FileWriter::new(Effort::Flush).unwrap();
            writer.push(&rows).unwrap();
            let (bytes, _) = writer.finish().unwrap();
            let path = format!("day={day}/{}.parquet", files.len());
            std::fs::create_dir_all(table.join(&path).parent().unwrap()).unwrap();
            std::fs::write(table.join(&path), &bytes).unwrap();
            let bounds = |values: &[i64]| values.iter().copied().min().zip(values.iter().copied().max());
            let seq = bounds(rows.column(Column::Seq.index()).as_primitive::<Int64Type>().values());
            let time = bounds(rows.column(Column::Time.index()).as_primitive::<TimestampMicrosecondType>().values());
            files.push(TableFile { path, size: bytes.len() as u64, n_rows: Some(rows.num_rows() as u64), seq, time });
        }
    };
    std::fs::create_dir_all(table).unwrap();
    for block in blocks {
        let BlockRead::Records(records) = view.read(block).unwrap() else { panic!("a gap") };
        for record in records.records().filter(|record| record.head.kind == RecordKind::Event && record.seq < until) {
            buffer.push(&record);
            if buffer.n_rows() == 1000 {
                flush(&mut buffer);
            }
        }
    }
    if buffer.n_rows() > 0 {
        flush(&mut buffer);
    }
    files
}

static ATTACK_LOG: LazyLock<String> = LazyLock::new(|| recorded_log("attack"));
static BENIGN_LOG: LazyLock<String> = LazyLock::new(|| recorded_log("benign"));
static ATTACK: LazyLock<World> = LazyLock::new(|| World::new(&ATTACK_LOG.lines().collect::<Vec<_>>(), 500));
static BENIGN: LazyLock<World> = LazyLock::new(|| World::new(&BENIGN_LOG.lines().collect::<Vec<_>>(), 1000));

#[track_caller]
fn check(world: &World, query: &str, rows: &[&str]) {
    assert_eq!(world.rows(query), rows, "{query}");
}

#[test]
fn examples_on_the_recorded_attack() {
    check(
        &ATTACK,
        "SELECT username, count(*) FROM requests WHERE outcome='denied' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 4;",
        &[
            r#"{"username":"system:anonymous","count(*)":30}"#,
            r#"{"username":null,"count(*)":30}"#,
            r#"{"username":"mallory","count(*)":25}"#,
            r#"{"username":"alice","count(*)":8}"#,
        ],
    );
    check(
        &ATTACK,
        "SELECT count(DISTINCT (namespace,name)) AS n FROM events WHERE username='trent' AND resource='secrets' AND verb='get' AND final;",
        &[r#"{"n":12}"#],
    );
    check(
        &ATTACK,
        "SELECT date_trunc('minute',time) m, count(*) FROM requests GROUP BY 1 ORDER BY 1;",
        &[r#"{"m":"2026-11-22T09:52:00.000000Z","count(*)":935}"#, r#"{"m":"2026-11-22T09:53:00.000000Z","count(*)":735}"#],
    );
    check(
        &ATTACK,
        "SELECT array_agg(DISTINCT tool ORDER BY tool) AS tools FROM requests WHERE credential LIKE 'JTI=%' GROUP BY credential HAVING count(DISTINCT tool)>1;",
        &[r#"{"tools":["app-client","curl","python-requests"]}"#],
    );
    check(
        &ATTACK,
        "SELECT username, sum(event_bytes) FROM events GROUP BY 1 ORDER BY 2 DESC LIMIT 3;",
        &[
            r#"{"username":"system:apiserver","sum(event_bytes)":1246602}"#,
            r#"{"username":"system:kube-controller-manager","sum(event_bytes)":751446}"#,
            r#"{"username":"system:serviceaccount:team-a:bot","sum(event_bytes)":587350}"#,
        ],
    );
    check(&ATTACK, "SELECT count(*) AS n FROM events WHERE event_matches(event,'request.**.privileged:true');", &[r#"{"n":6}"#]);
    let rows = ATTACK.rows(
        "SELECT time, jq(request_object,'.roleRef.name') AS role FROM events WHERE resource='clusterrolebindings' AND verb='create' AND final ORDER BY time;",
    );
    let wanted = ATTACK_LOG.lines().map(|line| Event::decode(line).unwrap()).filter(|event| {
        let object = event.object_ref.clone().unwrap_or_default();
        object.resource.as_deref() == Some("clusterrolebindings") && event.verb.as_deref() == Some("create") && event.is_final()
    });
    assert_eq!(rows.len(), wanted.count());
    assert!(rows[0].ends_with(r#""role":"cluster-admin"}"#), "{}", rows[0]);
}

#[test]
fn examples_on_the_recorded_benign_cluster() {
    check(
        &BENIGN,
        "SELECT username, count(*) FROM requests WHERE code=409 GROUP BY 1 ORDER BY 2 DESC LIMIT 1;",
        &[r#"{"username":"system:serviceaccount:kube-system:deployment-controller","count(*)":110}"#],
    );
    check(
        &BENIGN,
        "SELECT verb, percentile_rank(latency_us,99) AS p99 FROM requests WHERE NOT longrunning AND verb IN ('get', 'update') GROUP BY 1 ORDER BY 1;",
        &[r#"{"verb":"get","p99":104305}"#, r#"{"verb":"update","p99":94267}"#],
    );
}

#[test]
fn table_journal_and_both_give_the_same() {
    let lines: Vec<&str> = ATTACK_LOG.lines().collect();
    let worlds = [0, 1, 333, 1000].map(|tabled| World::new(&lines, tabled));
    assert!(worlds[0].snapshot.files.is_empty() && worlds[2].snapshot.files.len() > 1);
    for query in [
        "SELECT count(*) AS n, count(DISTINCT seq) AS d, sum(event_bytes) AS b FROM events",
        "SELECT * FROM events WHERE seq % 50 = 7 ORDER BY seq",
        "SELECT * FROM requests WHERE username = 'mallory' ORDER BY seq",
        "SELECT verb, resource, verbclass, usertype, count(*), min(time), max(latency_us), percentile_rank(latency_us, 50) FROM events GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        "SELECT seq, id FROM events WHERE event_matches(event, 'outcome:denied') ORDER BY time DESC, seq LIMIT 20",
        "SELECT seq FROM events WHERE time >= '2026-11-22T09:53:00Z' AND time < '2026-11-22T09:53:10Z' ORDER BY 1",
    ] {
        let wanted = worlds[0].rows(query);
        assert!(!wanted.is_empty(), "{query}");
        for world in &worlds[1..] {
            assert_eq!(world.rows(query), wanted, "{query}");
        }
    }
    assert!(worlds[0].engine.tail_cache().n_bytes() > 1_000_000, "decoded records are kept");
    worlds[0].engine.tail_cache().forget_below(u64::MAX);
    assert_eq!(worlds[0].engine.tail_cache().n_bytes(), 0);
}

fn arrow_rows(world: &World, query: &str) -> RecordBatch {
    let (bytes, _) = world.answer(&SqlRequest { format: SqlFormat::Arrow, ..World::request(query) }).unwrap();
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

#[test]
fn views_have_the_columns_they_are_said_to_have() {
    use arrow::datatypes::DataType;
    for view in VIEWS {
        let rows = arrow_rows(&ATTACK, &format!("SELECT * FROM {} LIMIT 1", view.name));
        let schema = rows.schema();
        let found = schema.fields().iter().map(|field| {
            let sql_type = match field.data_type() {
                DataType::Utf8 => "text",
                DataType::Int64 => "bigint",
                DataType::Int32 => "int",
                DataType::Boolean => "boolean",
                DataType::Timestamp(_, Some(zone)) if &**zone == "UTC" => "timestamptz",
                DataType::List(of) if of.data_type() == &DataType::Utf8 => "text[]",
                other => panic!("{}: {other}", field.name()),
            };
            (field.name().as_str(), sql_type)
        });
        let wanted: Vec<(&str, &str)> = view.columns.iter().map(|column| (column.name, column.sql_type)).collect();
        assert_eq!(found.collect::<Vec<_>>(), wanted);
        let shown = ATTACK.rows(&format!("SHOW COLUMNS FROM {}", view.name));
        assert_eq!(shown.len(), wanted.len());
        assert!(shown[0].starts_with(r#"{"column_name":"id","data_type":"text","description":""#), "{}", shown[0]);
        assert_eq!(ATTACK.rows(&format!("DESCRIBE {}", view.name)), shown);
    }
}

const ODD_LINES: [&str; 8] = [
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"Panic","requestURI":"/api?x=1?dryRun=All","verb":"","user":{},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-22T09:52:31.100000Z","stageTimestamp":"2026-11-22T09:52:31.000000Z"}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"b","stage":"ResponseStarted","requestURI":"/api?dry%52un=%41ll","verb":"proxy","user":{"username":""},"responseStatus":{"code":401},"requestReceivedTimestamp":"2026-11-22T09:52:31.100000Z","stageTimestamp":"2026-11-22T09:52:32.000000Z"}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"c","stage":"ResponseStarted","requestURI":"","verb":"create","user":{},"objectRef":{"resource":"tokenreviews","apiGroup":"authentication.k8s.io"},"responseStatus":{"code":401},"requestReceivedTimestamp":"2026-11-22T09:52:31.100000Z","stageTimestamp":"2026-11-22T09:52:32.000000Z","annotations":{"apiserver.latency.k8s.io/total":"1.5s","apiserver.latency.k8s.io/etcd":"700ms","apiserver.latency.k8s.io/total":"2.000001s"}}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"d","stage":"Future","verb":"teleport","user":{"username":"system:serviceaccount:a:b:c"},"userAgent":"","sourceIPs":[],"objectRef":{"subresource":"log"},"requestReceivedTimestamp":"2026-11-22T09:52:31.123456789Z","stageTimestamp":"2026-11-22T09:52:32.000000Z"}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"e","stage":"ResponseComplete","requestURI":"/x","verb":"get","user":{"username":"system:serviceaccount:a"},"userAgent":"curl","sourceIPs":["1.2.3.4","::ffff:5.6.7.8"],"objectRef":{"subresource":"exec"},"responseStatus":{},"requestReceivedTimestamp":"2026-11-22T09:52:31.100000Z","stageTimestamp":null}"#,
    r#"{"auditID":"f"}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"g","stage":"RequestReceived","requestURI":"/x?dryRun=All&dryRun=None","verb":"delete","user":{"username":"system:node:x"},"userAgent":"a b/c","responseStatus":{"code":-1},"requestReceivedTimestamp":"2026-11-22T09:52:31.100000Z","stageTimestamp":"2026-11-22T09:52:31.200000Z"}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"h","stage":"ResponseComplete","requestURI":"/x","verb":"watch","user":{"username":"system:nodes"},"responseStatus":{"code":409},"requestReceivedTimestamp":"2026-11-22T09:52:31.100000Z","stageTimestamp":"2026-11-22T09:52:31.200000Z"}"#,
];

#[test]
fn derived_columns_mean_what_the_event_says() {
    let logs: Vec<String> = ["attack", "benign", "a-all-rr", "b-metadata", "c-gce", "d-docs", "f-crd"].map(recorded_log).into();
    let lines: Vec<&str> = logs.iter().flat_map(|log| log.lines()).chain(ODD_LINES).collect();
    for tabled in [0, 1000] {
        let world = World::new(&lines, tabled);
        let rows = world.rows(
            "SELECT event, id, cluster, path, tool, peer_ip, usertype, service_account, outcome, verbclass, final, dryrun, longrunning, latency_us, latency_total_us, latency_etcd_us, \
             decision, authz_reason, credential, code, event_bytes FROM events ORDER BY seq",
        );
        assert_eq!(rows.len(), world.rows("SELECT DISTINCT id FROM events").len());
        let mut n_dry = 0;
        for row in &rows {
            let row: Value = serde_json::from_str(row).unwrap();
            let line = row["event"].as_str().unwrap();
            assert!(lines.contains(&line));
            let event = Event::decode(line).unwrap();
            let part = |part: &str| {
                let value = event.annotation(&format!("apiserver.latency.k8s.io/{part}"))?;
                decklog_audit::filter::time::parse_duration(value).map(|nanoseconds| nanoseconds / 1000)
            };
            n_dry += usize::from(event.is_dry_run());
            // Stored times are cut to microseconds, each for itself.
            let latency = event.latency().map(|_| event.stage_timestamp.unwrap().micros() - event.request_received_timestamp.unwrap().micros());
            let wanted = serde_json::json!({
                "event": line,
                "id": id_of("lab", line.as_bytes()).to_string(),
                "cluster": "lab",
                "path": event.path(),
                "tool": event.tool(),
                "peer_ip": event.peer(),
                "usertype": event.user_type().map(|kind| kind.as_str()),
                "service_account": event.service_account().map(|(namespace, name)| format!("{namespace}/{name}")),
                "outcome": event.outcome().map(|outcome| outcome.as_str()),
                "verbclass": event.verb_class().map(|class| class.as_str()),
                "final": event.is_final(),
                "dryrun": event.is_dry_run(),
                "longrunning": event.is_long_running(),
                "latency_us": latency,
                "latency_total_us": part("total").map(|micros| micros as i64),
                "latency_etcd_us": part("etcd").map(|micros| micros as i64),
                "decision": event.annotation("authorization.k8s.io/decision"),
                "authz_reason": event.annotation("authorization.k8s.io/reason"),
                "credential": event.user.extra_values("authentication.kubernetes.io/credential-id").first(),
                "code": event.code(),
                "event_bytes": line.len(),
            });
            assert_eq!(row, wanted);
        }
        assert!(n_dry > 0);
    }
}

#[test]
fn event_matches_is_the_filter_language() {
    let lines: Vec<&str> = ATTACK_LOG.lines().chain(ODD_LINES).collect();
    let world = World::new(&lines, 500);
    let seqs: Vec<(u64, String)> = world
        .rows("SELECT seq, event FROM events ORDER BY seq")
        .iter()
        .map(|row| serde_json::from_str::<Value>(row).map(|row| (row["seq"].as_u64().unwrap(), row["event"].as_str().unwrap().to_owned())).unwrap())
        .collect();
    let origin = Arc::new(Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() });
    for text in [
        "",
        "user:mallory",
        "user:mall* outcome:denied",
        "not user:*",
        "verb:get and resource:secrets/status or resource:pods/exec",
        "groups:system:masters",
        "actor:bot",
        "ip:10.0.0.0/8",
        "peer:127.0.0.1",
        "annotations.authorization.k8s.io/reason:*",
        "decision:forbid",
        "credential:JTI*",
        "request.**.privileged:true",
        "response.metadata.name:*",
        "latency>10ms",
        "latency.total>1s",
        "verbclass:change final:true",
        "longrunning:true",
        "dryrun:true",
        "sa:*",
        "cluster:lab source:import",
        "sender:other",
        "seq<100",
        "ingested<now",
        "time>=2026-11-22T09:53:00Z",
        "object:pods",
        "object:clusterrolebindings/*",
        "responseStatus.details.kind:*",
        "raw.auditID:a",
        "mallory",
        "\"cluster-admin\" not stage:RequestReceived",
        "level>=Request",
        "code:4xx",
    ] {
        let filter = Filter::parse(text, now()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let wanted: Vec<String> = seqs
            .iter()
            .filter(|(seq, line)| {
                let event = Event::decode(line).unwrap();
                let time = event.stage_timestamp.or(event.request_received_timestamp).unwrap_or(now());
                filter.matches(&Candidate { event: &event, line, seq: *seq, id: id_of("lab", line.as_bytes()), time, ingested_at: now(), origin: &origin })
            })
            .map(|(seq, _)| format!("{{\"seq\":{seq}}}"))
            .collect();
        let literal = text.replace('\'', "''");
        assert_eq!(world.rows(&format!("SELECT seq FROM events WHERE event_matches(event, '{literal}') ORDER BY seq")), wanted, "{text}");
        // Twice in one query, where common parts are taken out of conditions.
        let twice = format!(
            "SELECT e.seq FROM events e WHERE NOT event_matches(e.event, '{literal}') IS TRUE AND e.seq > 0 OR event_matches(event, 'user:nobody') ORDER BY 1"
        );
        assert_eq!(world.rows(&twice).len(), seqs.len() - wanted.len(), "{text}");
    }
    let error = world.fails("SELECT count(*) FROM events WHERE event_matches(event, 'user:')");
    assert_eq!(error.kind, SqlErrorKind::Bad);
    assert!(error.message.starts_with("the filter `user:` is wrong at character"), "{}", error.message);
    let error = world.fails("SELECT event_matches(jq(event, '.'), 'cluster:lab') FROM events");
    assert!(error.message.contains("`cluster` does not stand in the event itself"), "{}", error.message);
}

#[test]
fn functions_look_into_bodies() {
    let one = |expression: &str, value: &str| check(&ATTACK, &format!("SELECT {expression} AS x"), &[&format!("{{\"x\":{value}}}")]);
    one(r#"jq('{"a":{"b":[1,"two",{"c":null}]}}', '.a.b[1]')"#, r#""two""#);
    one(r#"jq('{"a":{"b":[1, "two"]}}', '.a')"#, r#""{\"b\":[1,\"two\"]}""#);
    one(r#"jq('{"a":null}', '.a')"#, "null");
    one("jq('no json', '.a')", "null");
    one("jq(NULL, '.a')", "null");
    one(r#"jq_num('{"a":1.5e3}', '.a')"#, "1500.0");
    one(r#"jq_num('{"a":"1"}', '.a')"#, "null");
    one(r#"json_has('{"a":null}', '$.a')"#, "true");
    one(r#"json_has('{"a":null}', '$.b')"#, "false");
    one("json_has(NULL, '$.b')", "null");
    one("ip_in('10.1.2.3', '10.0.0.0/8')", "true");
    one("ip_in('::ffff:10.1.2.3', '10.0.0.0/8')", "true");
    one("ip_in('host', '10.0.0.0/8')", "false");
    one("ip_in('fe80::1', 'fe80::/10')", "true");
    one("(SELECT percentile_rank(v, 50) FROM (VALUES (3), (1), (2), (NULL)) t(v))", "2");
    one("(SELECT percentile_rank(v, 100) FROM (VALUES (1.5), (2.5)) t(v))", "2.5");
    one("(SELECT percentile_rank(v, 0) FROM (VALUES (1), (2)) t(v) WHERE v > 9)", "null");
    for (query, message) in [
        ("SELECT jq('{}', 'a')", "`a` is no path to one JSON value, at character 1; write `.spec.containers[0].image`"),
        ("SELECT jq('{}')", "jq is called as jq(request_object, '.spec.replicas')"),
        ("SELECT ip_in('1.2.3.4', 'x')", "`x` is no network; write an address or `10.0.0.0/8`"),
        ("SELECT percentile_rank(seq, 101) FROM events", "`101` is no percentage; percentile_rank wants a number from 0 to 100"),
        ("SELECT percentile_rank(verb, 1) FROM events", "percentile_rank is called as percentile_rank(latency_us, 99): a number column and a percentage"),
    ] {
        let error = ATTACK.fails(query);
        assert_eq!((error.kind, error.message.as_str()), (SqlErrorKind::Bad, message), "{query}");
    }
}

#[test]
fn nothing_is_written_and_nothing_else_is_read() {
    for query in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "DROP TABLE events",
        "DROP VIEW events",
        "ALTER TABLE events RENAME TO e",
        "INSERT INTO events SELECT * FROM events",
        "UPDATE events SET verb = 'x'",
        "DELETE FROM events",
        "TRUNCATE TABLE events",
        "COPY events TO '/tmp/x.parquet'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "RESET ALL",
        "SHOW ALL",
        "SHOW TABLES",
        "USE decklog",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "SELECT 1; SELECT 2",
        "SELECT 1 INTO t",
        "SELECT * FROM events FOR UPDATE",
        "WITH x AS (INSERT INTO events SELECT 1) SELECT * FROM x",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
        "EXPLAIN DELETE FROM events",
        "EXPLAIN COPY events TO '/tmp/x'",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.df_settings",
        "SELECT * FROM decklog.public.events",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM parquet_metadata('x')",
        "SELECT * FROM glob('/*')",
        "SELECT input_file_name() FROM events",
        "SELECT arrow_cast(1, 'Utf8')",
        "SELECT version()",
        "SELECT levenshtein(event, event) FROM events",
        "SELECT generate_series(1, 1000000000000)",
        "SELECT range(1, 1000000000000)",
    ] {
        let error = ATTACK.fails(query);
        let allowed = [SqlErrorKind::Forbidden];
        let unread = [SqlErrorKind::Forbidden, SqlErrorKind::Bad];
        let kinds: &[SqlErrorKind] = if query.starts_with("C") || query.starts_with("RESET") || query.starts_with("EXPLAIN COPY") { &unread } else { &allowed };
        assert!(kinds.contains(&error.kind), "{query}: {error:?}");
    }
    for query in
        ["SELECT * FROM stored", "SELECT * FROM '/etc/passwd'", "SELECT * FROM \"/etc/passwd\"", "SELECT * FROM pg_catalog", "SELECT event_line() FROM events"]
    {
        let error = ATTACK.fails(query);
        assert_eq!(error.kind, SqlErrorKind::Bad, "{query}: {error:?}");
    }
    assert!(ATTACK.rows("EXPLAIN SELECT count(*) FROM events").len() > 1);
    assert!(!ATTACK.rows("EXPLAIN ANALYZE SELECT count(*) FROM events").is_empty());
}

#[test]
fn errors_say_what_to_write_instead() {
    let error = ATTACK.fails("SELECT\n  usrname FROM events");
    assert_eq!(error.message, "there is no column `usrname`");
    assert_eq!(error.help.as_deref(), Some("did you mean `username`?"));
    assert_eq!(error.place, Some((2, 3)));
    let error = ATTACK.fails("SELECT * FROM event");
    assert_eq!((error.message.as_str(), error.help.as_deref()), ("there is no view `event`", Some("did you mean `events`?")));
    let error = ATTACK.fails("SELECT verb FROM events WHERE");
    assert_eq!(error.kind, SqlErrorKind::Bad);
    assert!(error.place.is_some() && error.message.starts_with("the query cannot be read: expected"), "{error:?}");
    let error = ATTACK.fails("SELECT cuont(*) FROM events");
    assert!(error.message.contains("there is no function `cuont`"), "{error:?}");
    let error = ATTACK.fails("SELECT verb, count(*) FROM events");
    assert!(error.message.contains("GROUP BY"), "{error:?}");
    let error = ATTACK.fails("SELECT code / 0 FROM events WHERE code > 0");
    assert_eq!((error.kind, error.message.as_str()), (SqlErrorKind::Bad, "division by zero"));
    for query in [
        "",
        ";",
        "SELEC 1",
        "SELECT 'x",
        "SELECT (",
        "SELECT * FROM events e JOIN requests r ON e.seq = r.seq WHERE seq = 1",
        "SELECT CAST('x' AS INT)",
        "SELECT verb + 1 FROM events",
        "SELECT sum(verb) FROM events",
        "SELECT * FROM events WHERE time > 'yesterday'",
        "SELECT $1",
        "SELECT lower(1, 2)",
        "SELECT * FROM events LIMIT x",
        "SELECT 1 UNION SELECT 1, 2",
        "SELECT seq FROM events WHERE seq = (SELECT seq FROM events)",
        "DESCRIBE nothing",
        "SELECT date_trunc('aeon', time) FROM events",
        "SELECT user_groups[x] FROM events",
    ] {
        let error = ATTACK.fails(query);
        assert_eq!(error.kind, SqlErrorKind::Bad, "{query}: {error:?}");
        for word in ["Utf8", "Int64", "DataFusion", "Arrow error", "Some(", "Schema error", "backtrace", "datafusion", "Field {"] {
            assert!(!error.message.contains(word), "{query}: {}", error.message);
        }
    }
}

#[test]
fn parameters_are_text_that_is_cast() {
    let with = |query: &str, params: &[Option<&str>]| {
        let params = params.iter().map(|param| param.map(str::to_owned)).collect();
        ATTACK.answer(&SqlRequest { params, ..World::request(query) }).map(|(bytes, _)| String::from_utf8(bytes).unwrap())
    };
    assert_eq!(with("SELECT count(*) AS n FROM requests WHERE username = $1 AND code = $2", &[Some("mallory"), Some("403")]).unwrap(), "{\"n\":25}\n");
    assert_eq!(
        with("SELECT count(*) AS n FROM requests WHERE username = $1 AND code >= $2", &[Some("mallory"), Some("99")]).unwrap(),
        with("SELECT count(*) AS n FROM requests WHERE username = 'mallory' AND code >= 99", &[]).unwrap()
    );
    assert_eq!(
        with("SELECT count(*) AS n FROM events WHERE time >= $1::timestamptz", &[Some("2026-11-22T09:53:00Z")]).unwrap(),
        with("SELECT count(*) AS n FROM events WHERE time >= '2026-11-22T09:53:00Z'", &[]).unwrap()
    );
    assert_eq!(
        with("SELECT count(*) AS n FROM events WHERE event_matches(event, $1)", &[Some("user:mallory cluster:lab")]).unwrap(),
        with("SELECT count(*) AS n FROM events WHERE username = 'mallory'", &[]).unwrap()
    );
    assert_eq!(with("SELECT $1 AS a, $2 AS b", &[Some("'; DROP TABLE events; --"), None]).unwrap(), "{\"a\":\"'; DROP TABLE events; --\",\"b\":null}\n");
    assert_eq!(with("SELECT $2", &[Some("x")]).unwrap_err().kind, SqlErrorKind::Bad);
}

#[test]
fn a_limit_cuts_and_says_so() {
    let cut = |query: &str, limit: usize| {
        let (bytes, summary) = ATTACK.answer(&SqlRequest { limit: Some(limit), ..World::request(query) }).unwrap();
        (String::from_utf8(bytes).unwrap().lines().count(), summary.n_rows, summary.cut)
    };
    assert_eq!(cut("SELECT seq FROM events", 10), (10, 10, true));
    assert_eq!(cut("SELECT seq FROM events ORDER BY time LIMIT 10", 10), (10, 10, false));
    assert_eq!(cut("SELECT seq FROM events", 100_000), (3431, 3431, false));
    assert_eq!(cut("SELECT seq FROM events", 0), (0, 0, true));
    // A subquery without a name is computed for itself.
    check(&ATTACK, "SELECT c + c AS c FROM (SELECT c + c AS c FROM (SELECT seq AS c FROM events WHERE seq = 3))", &[r#"{"c":12}"#]);
}

#[test]
fn who_has_gone_ends_the_query() {
    let slow = "SELECT count(*) FROM events a, events b, events c WHERE a.seq + b.seq = c.seq * 3";
    let request = World::request(slow);
    request.stop.stop();
    assert_eq!(ATTACK.answer(&request).unwrap_err().kind, SqlErrorKind::Stopped);
    let request = World::request(slow);
    let stop = request.stop.clone();
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| ATTACK.answer(&request));
        stop.stop();
        assert_eq!(running.join().unwrap().unwrap_err().kind, SqlErrorKind::Stopped);
    });
    assert!(started.elapsed().as_secs() < 5);
    let timeout = Some(std::time::Duration::from_millis(200));
    let error = ATTACK.answer(&SqlRequest { timeout, ..World::request(slow) }).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (SqlErrorKind::Timeout, "the query took longer than 0.2 s"));
    let mut n_pieces = 0;
    let error = ATTACK.engine.answer(ATTACK.snapshot.clone(), &World::request("SELECT * FROM events"), now(), &mut |_| {
        n_pieces += 1;
        ControlFlow::Break(())
    });
    assert_eq!((error.unwrap_err().kind, n_pieces), (SqlErrorKind::Stopped, 1));
}

#[test]
fn formats_parse_back() {
    let query = "SELECT seq, time, username, user_groups, final, code, latency_us / 1000.0 AS ms, NULL AS nothing, (namespace, name) AS object, '=1+1' AS formula, event FROM events ORDER BY seq";
    let of = |format: SqlFormat| ATTACK.answer(&SqlRequest { format, ..World::request(query) }).unwrap().0;
    let json: Vec<Value> = String::from_utf8(of(SqlFormat::Json)).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json.len(), 3431);
    let keys: Vec<&String> = json[0].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 11);

    let batch = arrow_rows(&ATTACK, query);
    let bytes = of(SqlFormat::Parquet);
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap(), batch);
    let seqs = batch.column(0).as_primitive::<Int64Type>();
    let events = batch.column(10).as_string::<i32>();
    for (row, object) in json.iter().enumerate() {
        assert_eq!(object["seq"].as_i64(), Some(seqs.value(row)));
        assert_eq!(object["event"].as_str(), Some(events.value(row)));
        assert!(object["nothing"].is_null() && object["time"].as_str().unwrap().len() == 27);
    }
    assert!(batch.column(2).null_count() > 0);

    let text = String::from_utf8(of(SqlFormat::Csv)).unwrap();
    let mut reader = arrow::csv::ReaderBuilder::new(Arc::new(arrow::datatypes::Schema::new(
        ["seq", "time", "username", "user_groups", "final", "code", "ms", "nothing", "object", "formula", "event"]
            .map(|name| arrow::datatypes::Field::new(name, arrow::datatypes::DataType::Utf8, true))
            .to_vec(),
    )))
    .with_header(true)
    .with_batch_size(10_000)
    .build(text.as_bytes())
    .unwrap();
    let csv = reader.next().unwrap().unwrap();
    assert_eq!(csv.num_rows(), 3431);
    assert_eq!(csv.column(10).as_string::<i32>(), events);
    assert_eq!(csv.column(9).as_string::<i32>().value(0), "'=1+1");
    assert!(text.starts_with("seq,time,username,user_groups,final,code,ms,nothing,object,formula,event\r\n"));
    let (empty, _) =
        ATTACK.answer(&SqlRequest { format: SqlFormat::Csv, ..World::request("SELECT verb, count(*) FROM events WHERE false GROUP BY 1") }).unwrap();
    assert_eq!(String::from_utf8(empty).unwrap(), "verb,count(*)\r\n");
    check(&ATTACK, "SELECT a.seq, b.seq, a.seq + 1 FROM events a JOIN events b ON a.seq = b.seq WHERE a.seq = 5", &[r#"{"seq":5,"seq_1":5,"a.seq + 1":6}"#]);
    assert_eq!(ATTACK.fails("SELECT verb, verb FROM events").message, "two columns are called the same");
}

/// The most memory this process ever had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn hostile_queries_are_answered_or_refused_within_memory() {
    let limits = SqlLimits { memory: 128 << 20, query_memory: 96 << 20, ..SqlLimits::default() };
    let engine = SqlEngine::new(limits).unwrap();
    ATTACK.rows("SELECT count(event) FROM events");
    let before = peak_mib();
    let long_in = format!("SELECT count(*) FROM events WHERE seq IN ({})", (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let many_or = format!("SELECT count(*) FROM events WHERE {}", (0..5000).map(|n| format!("seq={n}")).collect::<Vec<_>>().join(" OR "));
    let some_or = format!("SELECT count(*) FROM events WHERE {}", (0..700).map(|n| format!("seq={n}")).collect::<Vec<_>>().join(" OR "));
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let deeper = format!("SELECT {}1", "- ".repeat(30_000));
    let sums = format!("SELECT {}1", "1+".repeat(700));
    let nots = format!("SELECT {} true", "NOT ".repeat(600));
    let cases = format!("SELECT {} 1 {}", "CASE WHEN true THEN ".repeat(300), "END ".repeat(300));
    let tables = format!("SELECT count(*) FROM {}", vec!["events"; 2000].join(","));
    let unions = vec!["SELECT 1"; 700].join(" UNION ALL ");
    let mut doubled = "SELECT 'xxxxxxxxxxxxxxxx' AS c".to_owned();
    let mut listed = "SELECT 'xxxxxxxxxxxxxxxx' AS c".to_owned();
    let mut hexed = "SELECT 'xxxxxxxxxxxxxxxx' AS c".to_owned();
    for _ in 0..27 {
        doubled = format!("SELECT c || c AS c FROM ({doubled})");
        listed = format!("SELECT [c, c] AS c FROM ({listed})");
        hexed = format!("SELECT encode(c, 'hex') AS c FROM ({hexed})");
    }
    let too_long = format!("SELECT '{}'", "x".repeat(MAX_QUERY_BYTES));
    let queries: &[(&str, &[SqlErrorKind])] = &[
        ("SELECT repeat('x', 1000000000)", &[SqlErrorKind::Memory]),
        ("SELECT length(repeat(event, 100000)) FROM events", &[SqlErrorKind::Memory]),
        ("SELECT rpad('x', 2000000000)", &[SqlErrorKind::Memory]),
        ("SELECT lpad(verb, 1000000, 'ab') FROM events", &[SqlErrorKind::Memory]),
        ("SELECT replace(event, 'a', event) FROM events", &[SqlErrorKind::Memory]),
        ("SELECT regexp_replace(event, '.', event, 'g') FROM events", &[SqlErrorKind::Memory]),
        ("SELECT array_repeat('x', 1000000000)", &[SqlErrorKind::Memory]),
        ("SELECT array_resize([1], 1000000000, 2)", &[SqlErrorKind::Memory]),
        (&doubled, &[SqlErrorKind::Memory]),
        (&hexed, &[SqlErrorKind::Memory, SqlErrorKind::Timeout]),
        (&listed, &[SqlErrorKind::Memory, SqlErrorKind::Bad, SqlErrorKind::Timeout]),
        ("SELECT count(*) FROM generate_series(1, 1000000000000)", &[SqlErrorKind::Timeout]),
        ("SELECT array_agg(v) FROM generate_series(1, 1000000000000) t(v)", &[SqlErrorKind::Memory, SqlErrorKind::Timeout]),
        ("SELECT v, count(*) FROM generate_series(1, 1000000000000) t(v) GROUP BY 1", &[SqlErrorKind::Memory]),
        ("SELECT v FROM generate_series(1, 1000000000000) t(v) ORDER BY -v", &[SqlErrorKind::Memory]),
        ("SELECT percentile_rank(v, 50) FROM generate_series(1, 1000000000000) t(v)", &[SqlErrorKind::Memory, SqlErrorKind::Timeout]),
        ("SELECT sum(v) OVER () FROM generate_series(1, 1000000000000) t(v)", &[SqlErrorKind::Memory]),
        ("SELECT a.event FROM events a, events b, events c, events d ORDER BY a.event || b.event", &[SqlErrorKind::Memory, SqlErrorKind::Timeout]),
        ("SELECT count(*) FROM events a, events b, events c, events d", &[SqlErrorKind::Timeout]),
        ("SELECT count(DISTINCT a.event || b.event) FROM events a, events b", &[SqlErrorKind::Memory, SqlErrorKind::Timeout]),
        ("SELECT string_agg(a.event, ',') FROM events a, events b", &[SqlErrorKind::Memory, SqlErrorKind::Timeout]),
        ("SELECT count(*) FROM events WHERE event ~ '(((a?){50}){50}){50}x'", &[SqlErrorKind::Bad, SqlErrorKind::Timeout]),
        ("SELECT count(*) FROM events WHERE event ~ '(a*)*(b|a*)*(a|aa)+$'", &[]),
        ("SELECT count(*) FROM events WHERE regexp_like(event, '(.*)(.*)(.*)(.*)(.*)x{900}', 'i')", &[SqlErrorKind::Timeout]),
        ("SELECT 1 GROUP BY CUBE(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24)", &[SqlErrorKind::Bad]),
        (&long_in, &[]),
        (&many_or, &[SqlErrorKind::Bad]),
        (&some_or, &[]),
        (&deep, &[SqlErrorKind::Bad]),
        (&deeper, &[SqlErrorKind::Bad]),
        (&sums, &[]),
        (&nots, &[SqlErrorKind::Bad]),
        (&cases, &[SqlErrorKind::Bad]),
        (&tables, &[SqlErrorKind::Bad]),
        (&unions, &[SqlErrorKind::Bad]),
        (&too_long, &[SqlErrorKind::Bad]),
    ];
    for (query, kinds) in queries {
        let timeout = Some(std::time::Duration::from_secs(2));
        let started = std::time::Instant::now();
        let answer = engine.answer(ATTACK.snapshot.clone(), &SqlRequest { timeout, ..World::request(query) }, now(), &mut |_| ControlFlow::Continue(()));
        let shown: String = query.chars().take(100).collect();
        let may_take_long = ["generate_series(", " events a", "SELECT c", " ~ ", "regexp_like"].iter().any(|part| query.contains(part));
        eprintln!(
            "{:>6} ms {:>5} MiB {:?} {shown}",
            started.elapsed().as_millis(),
            peak_mib(),
            answer.as_ref().map_err(|error| (error.kind, error.message.chars().take(80).collect::<String>())).map(|_| ())
        );
        if let Err(error) = &answer {
            assert!(kinds.contains(&error.kind) || (error.kind == SqlErrorKind::Timeout && may_take_long), "{shown}: {error:?}");
        }
        assert!(started.elapsed().as_secs() < 20, "{shown}");
    }
    let grown = peak_mib() - before;
    assert!(grown < 900, "{grown} MiB");
    // And it still answers.
    let answer = engine.answer(ATTACK.snapshot.clone(), &World::request("SELECT count(*) FROM events"), now(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(answer.unwrap().n_rows, 1);
}

#[test]
fn the_page_lists_every_column_and_function() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md")).unwrap();
    let wanted: Vec<String> = VIEWS[0].columns.iter().map(|column| format!("| `{}` | {} | {} |", column.name, column.sql_type, column.doc)).collect();
    assert!(page.contains(&wanted.join("\n")), "the table of columns in docs/sql.md should be:\n{}", wanted.join("\n"));
    let ended = VIEWS[1].columns.last().unwrap();
    assert!(page.contains(&format!("`{}` ({}), {}", ended.name, ended.sql_type, ended.doc)));
    for name in decklog_query::sql::function_names() {
        assert!(page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}(")), "`{name}` is not in docs/sql.md");
    }
    let examples = page.split("```sql").nth(1).unwrap().split("```").next().unwrap();
    let examples: Vec<&str> = examples.split(';').filter(|example| !example.trim().is_empty()).collect();
    assert_eq!(examples.len(), 8);
    examples.iter().for_each(|example| assert!(!ATTACK.rows(example).is_empty(), "{example}"));
}
