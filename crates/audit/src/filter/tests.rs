//! The language as a whole: the recorded cases and mistakes, and the properties its parts promise each other.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::json::RawJson;

/// A recorded log of the repository's tests.
pub(super) fn recorded_log(file: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(file);
    let compressed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8(zstd::decode_all(compressed.as_slice()).unwrap()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

/// Calls `visit` with every event of a log.
fn each_event(log: &str, mut visit: impl FnMut(&Candidate<'_>)) {
    let origin = Arc::new(Origin { cluster: "lab".into(), source: "import".into(), sender: "audit.log".into() });
    for (index, line) in log.lines().enumerate() {
        let event = Event::decode(line).unwrap();
        let time = event.stage_timestamp.unwrap();
        visit(&Candidate { event: &event, line, seq: index as u64, id: EventId([index as u8; 16]), time, ingested_at: now(), origin: &origin });
    }
}

fn lines_of(file: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/filter").join(file);
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn member(line: &str, name: &str) -> String {
    let value = RawJson::parse(line).unwrap().member(name).unwrap();
    value.as_string().map_or_else(|| value.as_str().to_owned(), |text| text.into_owned())
}

#[test]
fn recorded_cases_count_as_wanted() {
    let mut logs: HashMap<String, String> = HashMap::new();
    let mut wrong = Vec::new();
    let cases = lines_of("cases.jsonl");
    for case in &cases {
        let (text, file) = (member(case, "filter"), member(case, "file"));
        let log = logs.entry(file.clone()).or_insert_with(|| recorded_log(&file));
        let filter = match Filter::parse(&text, now()) {
            Ok(filter) => filter,
            Err(error) => {
                wrong.push(format!("{text}: {error:?}"));
                continue;
            }
        };
        let reread = Filter::parse(&filter.to_string(), now()).unwrap();
        if reread != filter {
            wrong.push(format!("{text}: printed as {filter}, read back as {reread:?}"));
        }
        let prefilter = filter.prefilter();
        let mut count = 0;
        each_event(log, |candidate| {
            let found = filter.matches(candidate);
            count += usize::from(found);
            if found && !prefilter.may_match(candidate.line.as_bytes()) {
                wrong.push(format!("{text}: the prefilter turns away a match {}", candidate.line));
            }
        });
        if count.to_string() != member(case, "count") {
            wrong.push(format!("{text} in {file}: {count}, wanted {}", member(case, "count")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn mistakes_are_told_as_wanted() {
    let mut wrong = Vec::new();
    for case in lines_of("errors.jsonl") {
        let text = member(&case, "filter");
        let number = |name: &str| member(&case, name).parse::<usize>().unwrap();
        let wanted = (number("column"), number("length"), member(&case, "code"), member(&case, "message"), member(&case, "help"));
        match Filter::parse(&text, now()) {
            Ok(filter) => wrong.push(format!("{text}: taken as {filter}")),
            Err(error) => {
                let got = (error.column, error.length, error.code.to_owned(), error.message, error.help);
                if got != wanted {
                    wrong.push(format!("{text}\n  got    {got:?}\n  wanted {wanted:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each text might be the first segment of a long name, which must not be read to its end again for each.
#[test]
fn long_names_without_an_operator_are_texts() {
    let texts = "\"a\".".repeat(400);
    let filter = Filter::parse(&texts, now()).unwrap();
    assert!(matches!(filter.expression(), Expression::And(parts) if parts.len() == 800));
    assert_eq!(Filter::parse("x.\"y\".1 verb:get", now()).unwrap().to_string(), "x. and y and .1 and verb:get");
    assert_eq!(Filter::parse("a\"b\":c", now()).unwrap_err().code, "unknown-field");
}

/// Values of all kinds, well and badly written.
fn value_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:.*?/-]{1,8}",
        "\"[a-zA-Z *?:(),.ü]{0,6}\"",
        "[0-9]{1,4}",
        "[0-9]{1,3}\\.\\.[0-9]{0,3}",
        Just("now-6h".to_owned()),
        Just("today".to_owned()),
        Just("2026-11-22T09:53..".to_owned()),
        Just("2026-11-22..2026-11-23T04".to_owned()),
        Just("1h30m".to_owned()),
        Just("100ms..1s".to_owned()),
        Just("10.0.0.0/8".to_owned()),
        Just("::ffff:1.2.3.4".to_owned()),
        Just("2001:db8::/32".to_owned()),
        Just("true".to_owned()),
        Just("Request".to_owned()),
        Just("Metadata..Request".to_owned()),
        Just("response*".to_owned()),
        Just("denied".to_owned()),
        Just("deploy/web-*".to_owned()),
        Just("gateway.example.io/*/status".to_owned()),
        Just("a\\*b\\ c\\\"d".to_owned()),
        Just("\\and".to_owned()),
        Just("\"\\u0001\\n\\\\\"".to_owned()),
        Just("1.50".to_owned()),
        Just("*".to_owned()),
    ]
}

fn field_text() -> impl Strategy<Value = String> {
    let names: Vec<String> = fields::names()
        .map(|name| match name {
            "annotations" | "user.extra" | "as.extra" | "impersonatedUser.extra" => format!("{name}.example.io/\"k :y\""),
            "raw" | "responseStatus.details" => format!("{name}.**.\"a b\".c"),
            other => other.to_owned(),
        })
        .chain(["latency.etcd", "request.spec.**.\"x\".y", "ANNOTATIONS.a.b-c"].map(str::to_owned))
        .collect();
    prop::sample::select(names)
}

fn values_text() -> impl Strategy<Value = String> {
    value_text().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|values| format!("({})", values.join(" or "))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|values| format!("({})", values.join(" and "))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|values| format!("({})", values.join(", "))),
            inner.prop_map(|value| format!("(not {value})")),
        ]
    })
}

fn filter_text() -> impl Strategy<Value = String> {
    let clause = prop_oneof![
        4 => (field_text(), values_text()).prop_map(|(field, values)| format!("{field}:{values}")),
        2 => (field_text(), prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]), value_text()).prop_map(|(field, operator, value)| format!("{field} {operator} {value}")),
        1 => value_text(),
    ];
    clause.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" ")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" and ")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" or ")),
            inner.clone().prop_map(|part| format!("({part})")),
            inner.prop_map(|part| format!("not {part}")),
        ]
    })
}

/// Found by the property below: brackets between the negations made another filter than none.
#[test]
fn negations_of_values_are_the_same_with_and_without_brackets() {
    for (written, printed) in [
        ("verb:(not (not (not ?)))", "verb:(not ?)"),
        ("verb:(not not not ?)", "verb:(not ?)"),
        ("verb:(not (not ?))", "verb:(not not ?)"),
        ("verb:(not not (not not ?))", "verb:(not not ?)"),
    ] {
        let filter = Filter::parse(written, now()).unwrap();
        assert_eq!(filter.to_string(), printed, "{written}");
        assert_eq!(Filter::parse(printed, now()), Ok(filter), "{written}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_the_same(text in filter_text()) {
        if let Ok(filter) = Filter::parse(&text, now()) {
            let printed = filter.to_string();
            let reread = Filter::parse(&printed, Timestamp::default());
            prop_assert_eq!(reread.as_ref(), Ok(&filter), "{} printed as {}", text, printed);
            prop_assert_eq!(reread.unwrap().to_string(), printed);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(any in any::<String>(), close in "[a-z:*?\"()\\\\,.=<>!~&| 0-9]{0,40}", filter in filter_text(), cut in 0usize..60) {
        let cut: String = filter.chars().take(cut).collect();
        for text in [any, close, cut] {
            if let Err(error) = Filter::parse(&text, now()) {
                prop_assert!(error.column >= 1 && error.length >= 1);
                prop_assert!(error.column <= text.chars().count() + 1, "{}: {:?}", text, error);
                prop_assert!(!error.message.is_empty() && !error.help.is_empty());
            }
        }
    }
}

/// Writes some characters of a line's strings as `\uXXXX` and some slashes as `\/`: the same JSON.
fn respell(line: &str, seed: u64) -> String {
    let mut state = seed | 1;
    let mut out = String::new();
    let mut in_string = false;
    let mut n_escaped = 0;
    for character in line.chars() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chosen = state >> 40 & 7 == 0;
        match character {
            _ if n_escaped > 0 => {
                n_escaped += if character == 'u' && out.ends_with('\\') { 3 } else { -1 };
                out.push(character);
            }
            '\\' => {
                n_escaped = 1;
                out.push(character);
            }
            '"' => {
                in_string = !in_string;
                out.push(character);
            }
            '/' if in_string && chosen => out.push_str("\\/"),
            other if in_string && chosen && other.is_ascii() && !seed.is_multiple_of(3) => out.push_str(&format!("\\u{:04x}", other as u32)),
            other => out.push(other),
        }
    }
    out
}

/// Filters that match `line`, made of its own values.
fn filters_from(candidate: &Candidate<'_>) -> Vec<String> {
    let event = candidate.event;
    let object = event.object_ref.clone().unwrap_or_default();
    let status = event.response_status.clone().unwrap_or_default();
    let texts = [
        ("verb", event.verb.clone()),
        ("stage", event.stage.clone()),
        ("user", event.user.username.clone()),
        ("uri", event.request_uri.clone()),
        ("path", event.path().map(Into::into)),
        ("ua", event.user_agent.clone()),
        ("tool", event.tool().map(Into::into)),
        ("resource", object.resource),
        ("name", object.name),
        ("ns", object.namespace),
        ("apigroup", object.api_group),
        ("apiversion", object.api_version),
        ("subresource", object.subresource),
        ("reason", status.reason),
        ("message", status.message),
        ("authz", event.annotation("authorization.k8s.io/reason").map(Into::into)),
        ("outcome", event.outcome().map(|outcome| outcome.as_str().into())),
        ("sa", event.service_account().map(|(namespace, name)| format!("{namespace}/{name}").into())),
    ];
    let mut filters: Vec<String> = Vec::new();
    for (field, text) in texts {
        let Some(text) = text else { continue };
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        filters.push(format!("{field}:\"{quoted}\""));
        filters.push(format!("{field} = \"{quoted}\""));
        filters.push(format!("\"{}\"", quoted.to_uppercase()));
        let bare: String = text.chars().take(5).map(|character| format!("\\{character}")).collect();
        filters.push(format!("{field}:{bare}*"));
        let tail: String = text.chars().skip(3).map(|character| format!("\\{character}")).collect();
        filters.push(format!("{field}:*{tail}"));
    }
    filters.extend(event.code().map(|code| format!("code:{code} or user:nobody-at-all")));
    filters.extend(event.code().map(|code| format!("raw.**.code:{code}")));
    filters.push("request.**.name:* or response.**.name:* or verb:*".to_owned());
    filters
}

#[test]
fn the_prefilter_turns_away_no_match() {
    let log = recorded_log("attack/audit.log.zst") + &recorded_log("a-all-rr/audit.log.zst");
    let (mut n_matches, mut n_useful) = (0u64, 0u64);
    let mut index = 0u64;
    each_event(&log, |original| {
        index += 1;
        if !index.is_multiple_of(11) {
            return;
        }
        for seed in [0, index, index * 3] {
            let line = if seed == 0 { original.line.to_owned() } else { respell(original.line, seed) };
            let event = Event::decode(&line).unwrap();
            let candidate = Candidate { event: &event, line: &line, ..*original };
            for text in filters_from(&candidate) {
                let Ok(filter) = Filter::parse(&text, now()) else { continue };
                let prefilter = filter.prefilter();
                n_useful += u64::from(prefilter.is_useful());
                if filter.matches(&candidate) {
                    n_matches += 1;
                    assert!(prefilter.may_match(line.as_bytes()), "{text} turns away {line}");
                }
            }
        }
    });
    assert!(n_matches > 50_000 && n_useful > 50_000, "{n_matches} matches, {n_useful} useful prefilters");
}

#[test]
fn lines_without_a_literal_are_turned_away() {
    let log = recorded_log("attack/audit.log.zst");
    let filter = Filter::parse("user:mallory verb:delete", now()).unwrap();
    let prefilter = filter.prefilter();
    let n_kept = log.lines().filter(|line| prefilter.may_match(line.as_bytes())).count();
    assert!(prefilter.is_useful() && n_kept * 50 < log.lines().count(), "{n_kept}");
}

fn matches(text: &str, line: &str) -> bool {
    let mut found = false;
    let line = format!(r#"{{"auditID":"a","stage":"ResponseComplete","stageTimestamp":"2026-11-22T09:53:33.059705Z",{line}}}"#);
    each_event(&line, |candidate| found = Filter::parse(text, now()).unwrap().matches(candidate));
    found
}

#[test]
fn lists_missing_fields_and_negation() {
    let grouped = r#""user":{"username":"bob","groups":["a","b"]}"#;
    assert!(matches("groups:(a and b)", grouped));
    assert!(!matches("groups:(a and c)", grouped));
    assert!(!matches("not groups:a", grouped));
    assert!(!matches("groups:(not a)", grouped));
    assert!(matches("groups:(not c)", grouped));
    assert!(!matches("ns:(not shop)", grouped), "a clause on a missing field is false");
    assert!(matches("not ns:shop", grouped) && matches("ns != shop", grouped));
    assert!(matches("not ns:*", grouped));
    assert!(matches("user:* not uid:*", grouped));
    let empty = r#""userAgent":"","verb":"""#;
    assert!(matches("ua:* verb:* ua = \"\"", empty));
    assert!(!matches("tool:curl", empty));
}

#[test]
fn bodies_by_type_of_value() {
    let body = r#""requestObject":{"n":2.0,"s":"2","t":true,"z":null,"l":[1,"x",[{"k":"v"}]],"big":9007199254740993,"a.b":{"c":1},"o":{}}"#;
    for text in [
        "request.n:2",
        "request.s:2",
        "request.t:true",
        "request.z:null",
        "request.l:x",
        "request.l.k:v",
        "request.big:9007199254740993",
        "request.\"a.b\".c:1",
        "request.n:1..3",
        "request.n > 1",
        "request.n <= 2",
        "request.o:*",
        "request.**.k:v",
        "request:*",
        "request.l:1",
        "raw.requestObject.s:\"2\"",
        "request.n = 2",
    ] {
        assert!(matches(text, body), "{text}");
    }
    for text in [
        "request.n:\"2\"",
        "request.s > 1",
        "request.t:\"true\"",
        "request.t:t*",
        "request.big:9007199254740992",
        "request.a.b.c:1",
        "request.o:x",
        "request.l:y",
        "response:*",
        "request.n > 2",
        "request.missing:*",
    ] {
        assert!(!matches(text, body), "{text}");
    }
}

#[test]
fn free_text_looks_into_values_and_the_events_own_keys() {
    let line = r#""verb":"create","user":{"username":"Bob","extra":{"example.io/Scope":["x"]}},"annotations":{"a.io/Level":"Baseline"},"requestObject":{"hostPath":{"path":"/etc"}},"responseStatus":{"metadata":{},"code":403}"#;
    for text in ["bob", "BASELINE", "a.io/level", "hostpath", "scope", "403", "/et?", "h*path", "*", "CREATE"] {
        assert!(matches(text, line), "{text}");
    }
    for text in ["username", "verb", "annotations", "metadata", "requestobject", "extra", "nothing"] {
        assert!(!matches(text, line), "{text}");
    }
}

#[test]
fn objects_by_kubectls_names() {
    let line = r#""verb":"create","objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"},"responseObject":{"metadata":{"name":"web-x1"}}"#;
    for text in ["object:po", "object:Pod/web-*", "object:pods/web-x1", "object:*/web-x1", "object:p*"] {
        assert!(matches(text, line), "{text}");
    }
    for text in ["object:po/web-x2", "object:pods.apps", "object:deploy", "object = po/web-*", "object:po/web-x1/exec"] {
        assert!(!matches(text, line), "{text}");
    }
    let custom = r#""verb":"get","objectRef":{"resource":"certificates","name":"x","apiGroup":"cert-manager.io","subresource":"status"}"#;
    for text in ["object:certificates.cert-manager.io/x", "object:certificate/x", "object:certificate/x/status", "resource:certificates/sta*", "object:*"] {
        assert!(matches(text, custom), "{text}");
    }
}

#[test]
fn limits_hold() {
    let code = |text: &str| Filter::parse(text, now()).unwrap_err().code;
    let brackets = |depth: usize| format!("{}verb:get{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&brackets(MAX_DEPTH), now()).is_ok());
    assert_eq!(code(&brackets(MAX_DEPTH + 1)), "too-deep");
    assert_eq!(code(&format!("verb:{}get{}", "(".repeat(65), ")".repeat(65))), "too-deep");
    assert!(Filter::parse(&format!("{}a", "not ".repeat(4000)), now()).is_ok());
    assert_eq!(code(&"a ".repeat(MAX_CLAUSES + 1)), "too-many");
    assert!(Filter::parse(&"a ".repeat(MAX_CLAUSES), now()).is_ok());
    assert_eq!(code(&"a".repeat(MAX_BYTES + 1)), "too-long");
    assert_eq!(code(&format!("name:{}", "*a".repeat(65))), "too-many");
}

#[test]
fn needs_and_hints() {
    let filter = |text: &str| Filter::parse(text, now()).unwrap();
    for (text, needs) in [
        ("", Needs::Place),
        ("cluster:lab time:today not id:a*", Needs::Place),
        ("cluster:lab verb:get", Needs::Event),
        ("verb:get or request.a:b", Needs::Bodies),
        ("word", Needs::Bodies),
        ("object:po/x", Needs::Bodies),
    ] {
        assert_eq!(filter(text).needs(), needs, "{text}");
    }
    assert_eq!(filter("not ns:\"\" or ns = \"\"").hints().len(), 1);
    assert!(filter("verb:\"\" ns:shop").hints().is_empty());
    assert_eq!(
        Filter::all([filter("verb:get or verb:list"), Filter::default(), filter("ns:shop code:200")]).to_string(),
        "(verb:get or verb:list) and objectRef.namespace:shop and responseStatus.code:200"
    );
    assert!(Filter::default().is_everything() && Filter::default().to_string() == "*");
}

#[test]
fn the_architectures_example_prints_in_full_names() {
    let filter = Filter::parse(r"verb:(delete or deletecollection) resource:secrets not user:system\:*", now()).unwrap();
    assert_eq!(filter.to_string(), "verb:(delete or deletecollection) and objectRef.resource:secrets and not user.username:system:*");
    let times = Filter::parse("time >= 2026-11-22T09:53:33 time < today time:2026-11-22T09:52:50..2026-11-22T09:52:55", now()).unwrap();
    assert_eq!(
        times.to_string(),
        "stageTimestamp >= 2026-11-22T09:53:33Z and stageTimestamp < 2026-11-22 and stageTimestamp:2026-11-22T09:52:50Z..2026-11-22T09:52:55Z"
    );
}

#[test]
fn time_bounds_of_the_whole_filter() {
    let bounds = |text: &str| Filter::parse(text, now()).unwrap().time_bounds();
    let at = |text: &str| Timestamp::parse_rfc3339(text);
    assert_eq!(bounds("verb:get time:2026-11-22T09:53 time >= 2026-11-22T09:53:30"), (at("2026-11-22T09:53:30Z"), at("2026-11-22T09:53:59.999999999Z")));
    assert_eq!(bounds("time:2026-11-22T09:53 or time:2026-11-22T09:55"), (at("2026-11-22T09:53:00Z"), at("2026-11-22T09:55:59.999999999Z")));
    for text in ["not time:today", "time:today or verb:get", "received:today", "time:(not today)", ""] {
        assert_eq!(bounds(text), (None, None), "{text}");
    }
}

#[test]
fn fields_by_name_give_their_values() {
    let line = r#"{"auditID":"a","stage":"ResponseComplete","stageTimestamp":"2026-11-22T09:53:33.059705Z","requestReceivedTimestamp":"2026-11-22T09:53:33.000000Z","verb":"create","user":{"username":"bob","groups":["x","y"]},"objectRef":{"resource":"deployments","apiGroup":"apps","name":"web"},"requestObject":{"l":[{"n":1},{"n":"b"},{"n":true}]},"responseStatus":{"metadata":{},"code":201}}"#;
    for (name, values) in [
        ("user", "bob"),
        ("GROUPS", "x,y"),
        ("code", "201"),
        ("object", "deployments.apps/web"),
        ("request.l.n", "1,b,true"),
        ("latency", "59.705ms"),
        ("outcome", "allowed"),
        ("final", "true"),
        ("as", ""),
        ("annotations.a.b", ""),
        ("cluster", "lab"),
        ("time", "2026-11-22T09:53:33.059705Z"),
    ] {
        let field = fields::Field::parse(name).unwrap();
        let mut found = Vec::new();
        each_event(line, |candidate| field.each_value(candidate, &mut |value| found.push(value.to_owned())));
        assert_eq!(found.join(","), values, "{name}");
    }
    for name in ["usr", "user ", "annotations", "", "user:bob", "latency.x"] {
        assert_eq!(fields::Field::parse(name).unwrap_err().column, 1, "{name}");
    }
}

/// The field of a facet as it is named, and a value of it, make a filter that finds what the facet counted; of text and objects,
/// which are looked for in parts, at least that.
#[test]
fn a_facet_typed_as_a_filter_counts_the_same() {
    let keys = [
        "annotations.authorization.k8s.io/decision",
        "annotations.\"authorization.k8s.io/decision\"",
        "annotations.authorization.k8s.io/reason",
        "annotations.pod-security.kubernetes.io/enforce-policy",
        "annotations.\"odd key: \\\"x\\\"\"",
        "annotations.\"9.x\"",
        "user.extra.authentication.kubernetes.io/credential-id",
        "request.spec.replicas",
        "responseStatus.details.kind",
        "latency.etcd",
    ];
    let log: String = recorded_log("attack/audit.log.zst").split_inclusive('\n').step_by(11).collect();
    let maps = [
        "annotations",
        "user.extra",
        "as.extra",
        "impersonatedUser.extra",
        "raw",
        "responseStatus.details",
        "request",
        "response",
        "requestObject",
        "responseObject",
    ];
    let mut n_checked = 0;
    for name in fields::names().filter(|name| !maps.contains(name)).chain(keys) {
        let field = fields::Field::parse(name).unwrap();
        let printed = field.to_string();
        assert_eq!(fields::Field::parse(&printed).as_ref(), Ok(&field), "{name}");
        let mut counts: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        each_event(&log, |candidate| {
            let mut values = std::collections::BTreeSet::new();
            field.each_value(candidate, &mut |value| {
                values.insert(value.to_owned());
            });
            values.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
        });
        for (value, n_events) in counts.into_iter().take(12) {
            let text = format!("{printed}:\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
            let filter = Filter::parse(&text, now()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            let mut n_found = 0;
            each_event(&log, |candidate| n_found += usize::from(filter.matches(candidate)));
            let agrees = if matches!(field.info.kind, fields::FieldType::Text | fields::FieldType::Object) { n_found >= n_events } else { n_found == n_events };
            assert!(agrees, "{text}: {n_found} found, {n_events} counted");
            n_checked += 1;
        }
    }
    assert!(n_checked > 100, "{n_checked}");
}

#[test]
fn the_page_lists_every_field_and_value() {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/filter.md")).unwrap();
    for name in fields::names() {
        assert!(page.contains(&format!("`{name}")), "docs/filter.md lacks {name}");
    }
    for info in fields::FIELDS {
        for value in info.kind.values() {
            assert!(page.contains(value), "docs/filter.md lacks {value}");
        }
    }
    let examples: Vec<&str> = page.split("```filter\n").skip(1).filter_map(|block| block.split("```").next()).flat_map(str::lines).collect();
    assert!(examples.len() > 20);
    for example in examples {
        assert!(Filter::parse(example, now()).is_ok(), "docs/filter.md: {example}");
    }
}
