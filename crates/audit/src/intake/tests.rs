use super::*;
use crate::journal::Origin;
use crate::recorded;
use crate::redact::RedactionKey;

fn intake(redactor: Option<Redactor>) -> Intake {
    Intake { redactor: redactor.map(Arc::new), max_event_bytes: 4 << 20 }
}

fn batch() -> Batch {
    let origin = Origin { cluster: "prod".into(), source: "test".into(), sender: "here".into() };
    Batch::new(origin, Timestamp::new(1_800_000_000, 0).unwrap())
}

fn push(bytes: &[u8], form: Form<'_>) -> Result<(String, RecordHead), Refusal> {
    let mut batch = batch();
    intake(None).push(bytes, form, &mut batch).inspect_err(|_| ())?;
    Ok((String::from_utf8(batch.record(0).to_vec()).unwrap(), batch.heads()[0]))
}

#[test]
fn a_line_is_kept_byte_for_byte() {
    for line in [
        r#"{"auditID":"a","stage":"Panic","requestObject":{"n":1.50,"m":1E400,"n":-0,"s":"\ud800 \/ \u0041"},"new":[1,{}]}"#,
        r#"{"auditID":"","auditID":"b"}"#,
        "{\"stage\":\"é \u{2028} <\"}",
    ] {
        assert_eq!(push(line.as_bytes(), Form::Line).unwrap().0, line);
    }
    for name in recorded::JSON_LOGS {
        let log = recorded::log(name);
        let mut batch = batch();
        log.lines().for_each(|line| intake(None).push(line.as_bytes(), Form::Line, &mut batch).unwrap());
        assert!(log.lines().map(str::as_bytes).eq((0..batch.n_records()).map(|index| batch.record(index))), "{name}");
    }
}

#[test]
fn white_space_outside_strings_goes() {
    let (line, _) = push(b"\r\n{ \"auditID\" : \"a  b\",\n\t\"requestObject\":[ 1 , { } ] }\r\n", Form::Line).unwrap();
    assert_eq!(line, r#"{"auditID":"a  b","requestObject":[1,{}]}"#);
    assert_eq!(
        push("\u{feff}{\"auditID\":\"\u{feff}\"}".as_bytes(), Form::ListItem("")).unwrap().0,
        "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"\u{feff}\"}"
    );
}

#[test]
fn an_item_gets_what_it_lacks_in_front() {
    let v1 = "audit.k8s.io/v1";
    for (item, version, line) in [
        (r#"{"level":"Metadata","stage":"x"}"#, v1, r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"x"}"#),
        (r#"{"level":"Metadata","stage":"x"}"#, "", r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"x"}"#),
        (r#"{"stage":"x"}"#, "audit.k8s.io/v1beta1", r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1","stage":"x"}"#),
        (r#"{"stage":"x","apiVersion":"audit.k8s.io/v1beta1"}"#, v1, r#"{"kind":"Event","stage":"x","apiVersion":"audit.k8s.io/v1beta1"}"#),
        (r#"{"kind":"Event","stage":"x"}"#, v1, r#"{"apiVersion":"audit.k8s.io/v1","kind":"Event","stage":"x"}"#),
        (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"x"}"#, v1, r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"x"}"#),
        ("{ \"stage\": \"x\" }", v1, r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"x"}"#),
    ] {
        let (stored, head) = push(item.as_bytes(), Form::ListItem(version)).unwrap();
        assert_eq!(stored, line, "{item} of a list of `{version}`");
        assert_eq!(push(line.as_bytes(), Form::Line).unwrap(), (stored, head), "by webhook and by log it is the same");
    }
}

#[test]
fn what_is_no_event_is_refused() {
    let kind = |bytes: &[u8], form| match push(bytes, form) {
        Err(Refusal::Malformed(error)) => error.kind,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    };
    assert_eq!(kind(b"{}", Form::Line), DecodeErrorKind::NoEvent);
    assert_eq!(kind(b"{}", Form::ListItem("audit.k8s.io/v1")), DecodeErrorKind::NoEvent);
    assert_eq!(kind(b"{\"stage\":\"\xff\"}", Form::Line), DecodeErrorKind::Json(JsonErrorKind::BadUtf8));
    assert_eq!(kind(b"", Form::Line), DecodeErrorKind::Json(JsonErrorKind::Incomplete));
    assert_eq!(kind(b"{\"stage\":\"x\"} {", Form::Line), DecodeErrorKind::Json(JsonErrorKind::Trailing));
    assert_eq!(kind(br#"{"stage":"x"}"#, Form::ListItem("audit.k8s.io/v2")), DecodeErrorKind::OtherVersion("audit.k8s.io/v2".into()));
    let deep = format!("{{\"stage\":\"x\",\"new\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(kind(deep.as_bytes(), Form::Line), DecodeErrorKind::Json(JsonErrorKind::TooDeep));
}

#[test]
fn a_refused_event_leaves_the_batch_as_it_was() {
    let small = Intake { redactor: None, max_event_bytes: 70 };
    let mut batch = batch();
    small.push(br#"{"stage":"x"}"#, Form::Line, &mut batch).unwrap();
    let before = batch.bytes().to_vec();
    // Longer than the limit as it came, and by what is put in front.
    for (item, form, size) in [("y".repeat(71), Form::Line, 71), (r#"{"stage":"xxxxxxxxxxxxx"}"#.to_owned(), Form::ListItem(""), 71)] {
        assert_eq!(small.push(item.as_bytes(), form, &mut batch), Err(Refusal::TooLarge { size, limit: 70 }));
    }
    assert_eq!((batch.bytes(), batch.n_records()), (before.as_slice(), 1));
}

#[test]
fn the_time_is_that_of_the_stage_or_marked() {
    let seconds = |members: &str, version| {
        let (_, head) = push(format!(r#"{{"stage":"x"{members}}}"#).as_bytes(), Form::ListItem(version)).unwrap();
        (head.time.seconds(), head.flags.contains(RecordFlags::TIME_INFERRED))
    };
    let stage = r#","stageTimestamp":"2026-01-02T03:04:06.000000Z""#;
    let received = r#","requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z""#;
    assert_eq!(seconds(&format!("{stage}{received}"), ""), (1_767_323_046, false));
    assert_eq!(seconds(received, ""), (1_767_323_045, true));
    assert_eq!(seconds(&format!(r#"{received},"stageTimestamp":"yesterday""#), ""), (1_767_323_045, true));
    assert_eq!(seconds("", ""), (1_800_000_000, true));
    let old = r#","metadata":{"creationTimestamp":"2026-01-02T03:04:06Z"},"timestamp":"2026-01-02T03:04:05Z""#;
    assert_eq!(seconds(old, "audit.k8s.io/v1beta1"), (1_767_323_046, false));
    assert_eq!(seconds(old, "audit.k8s.io/v1"), (1_800_000_000, true));
}

#[test]
fn the_id_is_that_of_cluster_and_line() {
    let line = r#"{"auditID":"a"}"#;
    let expected = digest::digest(&digest::SHA256, format!("prod\0{line}").as_bytes());
    assert_eq!(push(line.as_bytes(), Form::Line).unwrap().1.id.unwrap().0, expected.as_ref()[..16]);
    assert_eq!(id_of("prod", line.as_bytes()).0, expected.as_ref()[..16]);
    assert_ne!(id_of("prod2", line.as_bytes()), id_of("prod", line.as_bytes()));
}

#[test]
fn the_former_id_is_the_one_under_the_former_key() {
    let (old, new) = (RedactionKey::generate([1; 32]), RedactionKey::generate([2; 32]));
    let secret = br#"{"auditID":"a", "requestObject":{"kind":"Secret","data":{"a":"YQ=="}}}"#;
    let head = |redactor, bytes: &[u8]| {
        let mut batch = batch();
        intake(Some(redactor)).push(bytes, Form::Line, &mut batch).unwrap();
        assert!(std::str::from_utf8(batch.bytes()).is_ok());
        batch.heads()[0]
    };
    let before = head(Redactor::new(old.clone()), secret);
    let after = head(Redactor::new(new.clone()).with_former(old), secret);
    assert_eq!(after.former_id, before.id);
    assert_ne!(after.id, before.id);
    assert!(before.flags.contains(RecordFlags::REDACTED) && before.former_id.is_none());
    assert_eq!(head(Redactor::new(new), br#"{"auditID":"a"}"#).flags, RecordFlags::TIME_INFERRED);
}
