use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::event::Event;
use crate::recorded;

fn redactor() -> Redactor {
    Redactor::new(RedactionKey::generate([7; 32]))
}

fn redacted(line: &str) -> String {
    let decoded = Event::decode_noting(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut out = Vec::new();
    let changed = redactor().redact(&decoded, line, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(changed, out != line);
    assert!(serde_json::from_str::<&serde_json::value::RawValue>(&out).is_ok(), "no JSON any more: {out}");
    let mut again = Vec::new();
    assert!(!redactor().redact(&Event::decode_noting(&out).unwrap(), &out, &mut again), "redacted twice: {out}");
    out
}

fn mark(value: &str) -> String {
    let mut out = Vec::new();
    RedactionKey::generate([7; 32]).write_mark(value.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl";

/// Each `«value»` of `expected` stands for the mark of that value; the input has what `before` has there.
fn check(before: &str, expected: &str) {
    let mut want = String::new();
    let mut rest = expected;
    while let Some((plain, value)) = rest.split_once('«') {
        let (value, behind) = value.split_once('»').unwrap();
        want = want + plain + &mark(value);
        rest = behind;
    }
    assert_eq!(redacted(before), want + rest, "of {before}");
}

fn check_same(line: &str) {
    check(line, line);
}

fn event(members: &str) -> String {
    format!(r#"{{"auditID":"a","stage":"Panic",{members}}}"#)
}

fn check_event(before: &str, expected: &str) {
    check(&event(before), &event(expected));
}

#[test]
fn broken_records_that_hold_an_event_in_a_string_hide_its_bodies_and_queries() {
    let hidden = |text: &str| {
        let mut out = Vec::new();
        redactor().redact_bytes(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    let event = r#"{\"kind\":\"Event\",\"requestURI\":\"/x?a=b\\u0026access_token=hunter2\",\"objectRef\":{\"resource\":\"secrets\"},\"requestObject\":{\"data\":{\"p\":\"aHVudGVyMg\"}}"#;
    for text in [
        format!(r#"{{"message":"{event}"#),
        r#"{"request":{"@type":"core.k8s.io/v1.Secret","x":"aHVudGVyMg"#.to_owned(),
        r#"{"auditID":"a","requestURI":"/x?a=b\u0026access_token=hunter2","verb":oops"#.to_owned(),
    ] {
        let hidden = hidden(&text);
        assert!(!hidden.contains("hunter2") && !hidden.contains("aHVudGVyMg") && hidden.contains("redacted:"), "{hidden}");
        assert!(hidden.starts_with(&text[..10]), "{hidden}");
    }
}

#[test]
fn the_kept_line_of_the_legacy_format_hides_what_its_uri_does() {
    let line = |token: &str| {
        event(&format!(
            r#""requestURI":"/x?access_token={token}\u0026a=b","annotations":{{"decklog.io/line":"2026-01-02T03:04:05Z AUDIT: user-agent=\"uri=\" uri=\"/x?access_token={token}\u0026a=b\" response=\"200\""}}"#
        ))
    };
    check(&line("hunter2"), &line("«hunter2»"));
    check_same(&line(""));
}

#[test]
fn values_of_secrets_in_any_body() {
    check_event(
        r#""requestObject":{"kind":"Secret","data":{"a":"aHVudGVyMg==","b":""},"stringData":{"a":"hunter2","n":null}}"#,
        r#""requestObject":{"kind":"Secret","data":{"a":"«hunter2»","b":""},"stringData":{"a":"«hunter2»","n":null}}"#,
    );
    check_event(
        r#""responseObject":{"kind":"SecretList","items":[{"data":{"a":"no base64"}},{"metadata":{"name":"data"}}]}"#,
        r#""responseObject":{"kind":"SecretList","items":[{"data":{"a":"«no base64»"}},{"metadata":{"name":"data"}}]}"#,
    );
    check_event(
        r#""responseObject":{"kind":"List","items":[{"data":{"a":"aHVudGVyMg=="},"kind":"Secret"},{"kind":"ConfigMap","data":{"a":"aHVudGVyMg=="}}]}"#,
        r#""responseObject":{"kind":"List","items":[{"data":{"a":"«hunter2»"},"kind":"Secret"},{"kind":"ConfigMap","data":{"a":"aHVudGVyMg=="}}]}"#,
    );
    check_event(
        r#""responseObject":{"kind":"Table","rows":[{"cells":["x","Opaque",1],"object":{"kind":"Secret","data":{"a":"YQ=="}}}]}"#,
        r#""responseObject":{"kind":"Table","rows":[{"cells":["x","Opaque",1],"object":{"kind":"Secret","data":{"a":"«a»"}}}]}"#,
    );
}

#[test]
fn values_of_secrets_told_by_the_object_reference() {
    let reference = r#""objectRef":{"resource":"secrets"}"#;
    for (before, expected) in [
        (r#"{"data":{"i":"MQo="}}"#, "{\"data\":{\"i\":\"«1\n»\"}}"),
        (r#"{"stringData":{"i":"x"},"data":null}"#, r#"{"stringData":{"i":"«x»"},"data":null}"#),
        (r#"{"data":"all of it"}"#, r#"{"data":"«all of it»"}"#),
        (
            r#"[{"op":"add","path":"/data/x","value":"eA=="},{"value":"y","op":"test","path":"/stringData/x"}]"#,
            r#"[{"op":"add","path":"/data/x","value":"«x»"},{"value":"«y»","op":"test","path":"/stringData/x"}]"#,
        ),
        (r#"[{"op":"replace","path":"/data","value":{"a":"eA==","b":5}}]"#, r#"[{"op":"replace","path":"/data","value":{"a":"«x»","b":"«5»"}}]"#),
        (r#"[{"op":"replace","path":"","value":{"data":{"a":"eA=="}}}]"#, r#"[{"op":"replace","path":"","value":{"data":{"a":"«x»"}}}]"#),
        (
            r#"[{"op":"move","from":"/data/a","path":"/data/b"},{"op":"add","path":"/metadata/labels/x","value":"y"}]"#,
            r#"[{"op":"move","from":"/data/a","path":"/data/b"},{"op":"add","path":"/metadata/labels/x","value":"y"}]"#,
        ),
    ] {
        check_event(&format!("{reference},\"requestObject\":{before}"), &format!("{reference},\"requestObject\":{expected}"));
        check_event(&format!("\"requestObject\":{before},{reference}"), &format!("\"requestObject\":{expected},{reference}"));
    }
    check_same(&event(r#""objectRef":{"resource":"configmaps"},"requestObject":{"data":{"i":"MQo="}}"#));
    check_same(&event(r#""requestObject":{"spec":{"resourceAttributes":{"resource":"secrets"}},"data":{"a":"b"}}"#));
    check_same(&event(r#""requestObject":{"resource":"secrets","data":{"a":"b"}}"#));
    check_event(
        r#""requestObject":{"items":[{"objectRef":{"resource":"secrets"},"data":{"a":"YQ=="}}]}"#,
        r#""requestObject":{"items":[{"objectRef":{"resource":"secrets"},"data":{"a":"«a»"}}]}"#,
    );
}

#[test]
fn malformed_secrets_keep_nothing_back() {
    check_event(
        r#""requestObject":{"kind":"Secret","data":{"a":1.50,"b":true,"c":{"d":"e"},"f":["g"],"a":"YQ=="}}"#,
        r#""requestObject":{"kind":"Secret","data":{"a":"«1.50»","b":"«true»","c":"«{"d":"e"}»","f":"«["g"]»","a":"«a»"}}"#,
    );
    check_event(r#""requestObject":{"kind":"Secret","data":["x"],"stringData":7}"#, r#""requestObject":{"kind":"Secret","data":"«["x"]»","stringData":"«7»"}"#);
    check_event(
        r#""requestObject":{"\u006bind":"S\u0065cret","d\u0061ta":{"a":"\u0059Q=="}}"#,
        r#""requestObject":{"\u006bind":"S\u0065cret","d\u0061ta":{"a":"«a»"}}"#,
    );
    check_event(
        r#""requestObject":{"kind":"x"},"requestObject":{"kind":"Secret","data":{"a":"YQ=="}}"#,
        r#""requestObject":{"kind":"x"},"requestObject":{"kind":"Secret","data":{"a":"«a»"}}"#,
    );
}

#[test]
fn last_applied_configuration() {
    let annotated =
        |inner: &str| event(&format!(r#""requestObject":{{"metadata":{{"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{inner}"}}}}}}"#));
    check(
        &annotated(r#"{\"data\":{\"a\":\"YQ==\",\"n\":1},\"kind\":\"Secret\"}\n"#),
        &annotated(r#"{\"data\":{\"a\":\"«a»\",\"n\":\"«1»\"},\"kind\":\"Secret\"}\n"#),
    );
    check_same(&annotated(r#"{\"data\":{\"a\":\"YQ==\"},\"kind\":\"ConfigMap\"}\n"#));
    check(
        &annotated(r#"{\"a\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"a\\\":1}}\"}"#),
        &annotated(r#"{\"a\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"a\\\":\\\"«1»\\\"}}\"}"#),
    );
}

#[test]
fn issued_and_reviewed_tokens() {
    check_event(
        r#""responseObject":{"kind":"TokenRequest","status":{"token":"opaque"}}"#,
        r#""responseObject":{"kind":"TokenRequest","status":{"token":"«opaque»"}}"#,
    );
    check_event(r#""requestObject":{"spec":{"token":"opaque"},"kind":"TokenReview"}"#, r#""requestObject":{"spec":{"token":"«opaque»"},"kind":"TokenReview"}"#);
    check_event(
        r#""objectRef":{"resource":"serviceaccounts","subresource":"token"},"responseObject":{"status":{"token":"opaque"}}"#,
        r#""objectRef":{"resource":"serviceaccounts","subresource":"token"},"responseObject":{"status":{"token":"«opaque»"}}"#,
    );
    check_same(&event(r#""requestObject":{"kind":"Widget","spec":{"token":"opaque"}}"#));
}

#[test]
fn credentials_by_their_shape() {
    check_event(&format!(r#""userAgent":"x {JWT}, y""#), &format!(r#""userAgent":"x «{JWT}», y""#));
    check_event(&format!(r#""annotations":{{"a/{JWT}":"b"}}"#), &format!(r#""annotations":{{"a/«{JWT}»":"b"}}"#));
    check_event(r#""userAgent":"\u0065yJhbGciOiJSUzI1NiJ9.eyJp.c2""#, r#""userAgent":"«eyJhbGciOiJSUzI1NiJ9.eyJp.c2»""#);
    check_event(
        r#""requestObject":{"u":"https://bob:hunter2@host/x","v":"https://bob@host:443/@","w":"redis://:pw@h"}"#,
        r#""requestObject":{"u":"https://bob:«hunter2»@host/x","v":"https://bob@host:443/@","w":"redis://:«pw»@h"}"#,
    );
    check_event(r#""requestObject":{"u":"https:\/\/bob:a\u0026b@host"}"#, r#""requestObject":{"u":"https:\/\/bob:«a&b»@host"}"#);
    check_event(r#""requestObject":{"u":"https://bob:a\u0026b@host"}"#, r#""requestObject":{"u":"https://bob:«a&b»@host"}"#);
    check_event(r#""requestObject":{"u":"https://bob:a/b@host x"}"#, r#""requestObject":{"u":"https://bob:«a/b»@host x"}"#);
    check_event(
        r#""requestObject":{"h":"Authorization: Bearer abc","i":"Bearer hunter2","j":"with Bearer alice-token-0002."}"#,
        r#""requestObject":{"h":"Authorization: Bearer «abc»","i":"Bearer «hunter2»","j":"with Bearer «alice-token-0002»."}"#,
    );
    check_event(r#""requestObject":{"h":"Basic Ym9iOmh1bnRlcjI="}"#, r#""requestObject":{"h":"Basic «Ym9iOmh1bnRlcjI=»"}"#);
    for same in [
        "Bearer token",
        "invalid bearer token, Token expired",
        "attempted: basic, bearer, access_token, x509",
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEi",
        "see https://host:8080/a@b",
        "Basic authentication",
        "no bearer authentication",
    ] {
        check_same(&event(&format!(r#""userAgent":"{same}""#)));
    }
}

#[test]
fn requests_uris() {
    let uri = |uri: &str| event(&format!(r#""requestURI":"{uri}""#));
    for (before, expected) in [
        ("/x?access_token=abc\\u0026watch=true", "/x?access_token=«abc»\\u0026watch=true"),
        ("/x?Password=a%20b+c", "/x?Password=«a b c»"),
        ("/x?q=https%3A%2F%2Fbob%3Apw%40h", "/x?q=https%3A%2F%2Fbob%3A«pw»%40h"),
        ("/x/https:%2F%2Fbob:pw@h/y", "/x/https:%2F%2Fbob:«pw»@h/y"),
        (&format!("/x?a={JWT}"), &format!("/x?a=«{JWT}»")),
    ] {
        check(&uri(before), &uri(expected));
    }
    for same in [
        "/api/v1/secrets?limit=500\\u0026resourceVersion=0",
        "/x?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEi",
        "/x?token=",
        "/x?fieldSelector=metadata.name%3Dmy-token",
        "/x?%zz&%",
    ] {
        check_same(&uri(same));
    }
}

#[test]
fn words_of_a_command_stay_and_their_credentials_go() {
    let exec = |words: &str| event(&format!(r#""requestURI":"/api/v1/namespaces/n/pods/p/exec?command={words}\u0026stdin=true""#));
    for (before, expected) in [
        (
            format!("curl\\u0026command=-H\\u0026command=Authorization%3A+Bearer+{JWT}"),
            format!("curl\\u0026command=-H\\u0026command=Authorization%3A+Bearer+«{JWT}»"),
        ),
        ("mysql\\u0026command=--password%3Dhunter2".into(), "mysql\\u0026command=--password%3D«hunter2»".into()),
        ("mysql\\u0026command=--password\\u0026command=hun+ter2".into(), "mysql\\u0026command=--password\\u0026command=«hun ter2»".into()),
        ("sh\\u0026command=-c\\u0026command=PGPASSWORD%3Dhunter2+psql".into(), "sh\\u0026command=-c\\u0026command=PGPASSWORD%3D«hunter2»+psql".into()),
        ("curl\\u0026command=-u\\u0026command=bob%3Apw".into(), "curl\\u0026command=-u\\u0026command=bob%3A«pw»".into()),
        ("curl+-d+%7B%22password%22%3A%22hunter2%22%7D".into(), "curl+-d+%7B%22password%22%3A%22«hunter2»%22%7D".into()),
    ] {
        check(&exec(&before), &exec(&expected));
    }
    for same in [
        "cat\\u0026command=/var/run/secrets/kubernetes.io/serviceaccount/token",
        "sh\\u0026command=-c\\u0026command=TOKEN%3D%24%28cat+token%29",
        "kubectl+get+secret+x",
        "ls\\u0026command=--token-file\\u0026command=/x",
    ] {
        check_same(&exec(same));
    }
}

#[test]
fn only_the_exact_form_of_a_mark_stays() {
    check_same(&event(r#""requestObject":{"kind":"Secret","data":{"a":"redacted:0123abcd:0123456789abcdef"}}"#));
    for hidden in ["redacted:0123abcd:0123456789abcdefx", "redacted:hunter2", "Redacted:0123abcd:0123456789abcdef", "redacted:0123ABCD:0123456789abcdef"] {
        check_event(
            &format!(r#""requestObject":{{"kind":"Secret","data":{{"a":"{hidden}"}}}}"#),
            &format!(r#""requestObject":{{"kind":"Secret","data":{{"a":"«{hidden}»"}}}}"#),
        );
    }
}

/// An independent, naive look: secret values of one raw event.
fn secret_values(event: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let about_secrets = event["objectRef"]["resource"] == "secrets";
    let about_tokens = event["objectRef"]["subresource"] == "token" || event["objectRef"]["resource"] == "tokenreviews";
    collect(event, about_secrets, about_tokens, &mut found);
    found
}

fn collect(value: &Value, about_secrets: bool, about_tokens: bool, found: &mut Vec<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, about_secrets, about_tokens, found)),
        Value::Object(members) => {
            let kind = members.get("kind").and_then(Value::as_str).unwrap_or_default();
            let about_secrets = about_secrets || kind == "Secret" || kind == "SecretList";
            let about_tokens = about_tokens || kind == "TokenRequest" || kind == "TokenReview";
            for (key, value) in members {
                if about_secrets && (key == "data" || key == "stringData") {
                    found.extend(value.as_object().into_iter().flat_map(|data| data.values()).map(|value| value.as_str().unwrap().to_owned()));
                }
                if about_tokens && key == "token" {
                    found.extend(value.as_str().map(str::to_owned));
                }
                collect(value, about_secrets, about_tokens, found);
            }
        }
        Value::String(text) => {
            if let Ok(inner @ Value::Object(_)) = serde_json::from_str(text) {
                collect(&inner, about_secrets, about_tokens, found);
            }
            found.extend(
                text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
                    .filter(|word| word.starts_with("eyJ") && word.matches('.').count() == 2)
                    .map(str::to_owned),
            );
        }
        _ => {}
    }
}

#[test]
fn no_secret_value_of_the_recorded_logs_survives() {
    let logs: Vec<String> = recorded::JSON_LOGS.iter().map(|name| recorded::log(name)).collect();
    let mut secrets: BTreeSet<String> = BTreeSet::new();
    let mut lines_with_secrets = BTreeSet::new();
    for (index, line) in logs.iter().flat_map(|log| log.lines()).enumerate() {
        let values = secret_values(&serde_json::from_str(line).unwrap());
        if values.iter().any(|value| !value.is_empty()) {
            lines_with_secrets.insert(index);
        }
        secrets.extend(values);
    }
    secrets.remove("");
    assert!(secrets.len() > 120, "only {} secret values found in the raw logs", secrets.len());
    let needles: Vec<String> =
        secrets.iter().flat_map(|value| if value.len() < 8 { vec![format!("\"{value}\""), format!("\\\"{value}\\\"")] } else { vec![value.clone()] }).collect();
    let searcher = aho_corasick::AhoCorasick::new(&needles).unwrap();
    for (index, line) in logs.iter().flat_map(|log| log.lines()).enumerate() {
        let out = redacted(line);
        if let Some(hit) = searcher.find(&out) {
            panic!("line {index} still holds {}: {out}", needles[hit.pattern()]);
        }
        assert_eq!(out != *line, lines_with_secrets.contains(&index), "line {index}: {line}\n{out}");
    }
}

#[test]
fn the_former_key_finds_the_same() {
    let both = redactor().with_former(RedactionKey::generate([8; 32]));
    let line = event(r#""requestObject":{"kind":"Secret","data":{"a":"YQ=="}}"#);
    let findings = both.find(&line);
    let mut expected = Vec::new();
    Redactor::new(RedactionKey::generate([8; 32])).write(&line, &findings, &mut expected);
    assert_eq!(both.write_former(&line, &findings), Some(expected));
    assert_eq!(redactor().write_former(&line, &findings), None);
}

#[test]
fn a_key_does_not_print_and_reads_back() {
    let key = RedactionKey::generate([0xab; 32]);
    assert_eq!(format!("{key:?}"), format!("RedactionKey({})", key.id()));
    assert_eq!(RedactionKey::parse(key.to_text().as_bytes()).unwrap().id(), key.id());
    assert_eq!(RedactionKey::parse(b"abc").unwrap_err(), BadKey { found: 3 });
    assert!(RedactionKey::parse("zz".repeat(32).as_bytes()).is_err());
}

fn redacted_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    redactor().redact_bytes(bytes, &mut out);
    let mut again = Vec::new();
    redactor().redact_bytes(&out, &mut again);
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&out));
    out
}

#[test]
fn bytes_that_are_no_event() {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&redacted_bytes(bytes)).into_owned();
    assert_eq!(
        text(br#"{"items":[{"objectRef":{"resource":"secrets"},"requestObject":{"data":{"a":"YQ=="}}}]}"#),
        format!(r#"{{"items":[{{"objectRef":{{"resource":"secrets"}},"requestObject":{{"data":{{"a":"{}"}}}}}}]}}"#, mark("a"))
    );
    let broken = r#"{"auditID":"x","objectRef":{"resource":"secrets"},"requestObject":{"kind":"Secret","data":{"a":"aHVudGVy"#;
    let hidden = r#":{"kind":"Secret","data":{"a":"aHVudGVy"#;
    assert_eq!(text(broken.as_bytes()), broken.replace(hidden, &mark(hidden)));
    assert_eq!(text(b"{\"verb\":\"get\",\xff\xfe"), "{\"verb\":\"get\",\u{fffd}\u{fffd}");
    assert_eq!(text(format!("GET /x {JWT}\r\nhttps://a:b@c").as_bytes()), format!("GET /x {}\r\nhttps://a:{}@c", mark(JWT), mark("b")));
    assert!(!text(br#"{"kind":"Secret","d\u0061ta":{"a":"aHVudGVy"#).contains("aHVudGVy"));
    let nested = "[".repeat(3000) + r#"{"kind":"Secret","data":{"a":"aHVudGVy"}}"#;
    assert!(!text(nested.as_bytes()).contains("aHVudGVy"));
}

/// What a torn line or a skipped part of a list leaves: nothing in it says any more what it was part of.
#[test]
fn what_begins_in_the_middle_of_json_is_hidden_up_to_the_next_event() {
    let text = |bytes: &str| String::from_utf8_lossy(&redacted_bytes(bytes.as_bytes())).into_owned();
    let torn = r#"word":"aHVudGVy"},"type":"Opaque"},"stageTimestamp":"x"}"#;
    assert_eq!(text(torn), mark(torn));
    for start in [r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get","#, r#"{"level":"Metadata","auditID":"#, r#"{"kind":"EventList","items":["#] {
        assert_eq!(text(&format!("{torn}{start}")), mark(torn) + start);
    }
    for plain in ["[ERROR] no event", "I1122 09:54 trace \"Update\" took 5 ms", ""] {
        assert_eq!(text(plain), plain);
    }
}

#[test]
fn of_a_beginning_the_bodies_are_hidden_whatever_it_speaks_of() {
    let text = |bytes: &str| {
        let (mut out, mut again) = (Vec::new(), Vec::new());
        redactor().redact_beginning(bytes.as_bytes(), &mut out);
        redactor().redact_beginning(&out, &mut again);
        assert_eq!(out, again);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(r#"{"requestObject":{"data":{"a":"aHVudGVy"},"x":"x"#), r#"{"requestObject""#.to_owned() + &mark(r#":{"data":{"a":"aHVudGVy"},"x":"x"#));
    // A credential may be cut where it is not known by its shape yet.
    assert_eq!(text("kind `eyJhbGciOiJSUzI1NiJ9.eyJpc3M…"), format!("kind `{}", mark("eyJhbGciOiJSUzI1NiJ9.eyJpc3M…")));
    assert_eq!(text(r#"{"verb":"get","userAgent":"see https://bob:hunter"#), format!(r#"{{"verb":"get","userAgent":"see {}"#, mark("https://bob:hunter")));
    assert_eq!(text(""), "");
}

#[test]
fn a_token_in_the_place_of_a_urls_user() {
    check_event(
        r#""userAgent":"git https://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com:443/x""#,
        r#""userAgent":"git https://«ghp_16C7e42F292c6912E7710c838347Ae178B4a»@github.com:443/x""#,
    );
    check_same(&event(
        r#""userAgent":"ssh://git@h oci://registry.example.com/app@sha256:0123456789abcdef01 https://long-words-only-here@h https://h/0123456789abcdefg@x""#,
    ));
}

/// Each of these took time that grew with the square of its length, or would have.
#[test]
fn hostile_repetition_takes_linear_time() {
    let repeat = |text: &str| text.repeat((2 << 20) / text.len());
    for unit in ["eyJ", "eyJa.", "://a:b/", "://a:b", "Bearer ", "Authorization: ", "Basic YQ== ", "\\\\u0065", "{[", "a:b@"] {
        let line = event(&format!(r#""userAgent":"{0}","requestObject":{{"kind":"Secret","data":{{"a":"{0}"}}}}"#, repeat(unit)));
        redacted(&line);
    }
    for unit in ["token=", "password:", "--token ", "-u a:b ", "secret", "token%3D", "%", "command=token=&", "command=-u&command=a:b&", "token=a&"] {
        redacted(&event(&format!(r#""requestURI":"/x?command={}""#, repeat(unit))));
    }
    for unit in [r#""a":{},"#, r#""data":{"x":[]},"#, r#""a":"{}","#, r#""kind":"Secret","#] {
        redacted(&event(&format!(r#""requestObject":{{"kind":"Secret","data":{{{}"z":1}}}}"#, repeat(unit))));
    }
    let deep = format!("{}1{}", r#"{"kind":"Secret","data":"#.repeat(1000), "}".repeat(1000));
    redacted(&event(&format!(r#""requestObject":[{}1]"#, format!("{deep},").repeat(20))));
    redacted_bytes(repeat("\"requestURI\"").as_bytes());
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("kind"),
        Just("Secret"),
        Just("data"),
        Just("stringData"),
        Just("token"),
        Just("TokenReview"),
        Just("objectRef"),
        Just("resource"),
        Just("secrets"),
        Just("path"),
        Just("/data/x"),
        Just("value"),
        Just("requestURI"),
        Just("/x?token=a&command=--password&command=b"),
        Just("https://a:b@c"),
        Just("see https://a:b&<@c"),
        Just("Bearer abcdefg12"),
        Just("eyJa.eyJb.c"),
        Just("\"{[\\"),
        Just("")
    ];
    let text = prop_oneof![4 => word.prop_map(str::to_owned), 1 => "\\PC{0,12}"];
    let leaf = prop_oneof![text.clone().prop_map(Value::String), any::<i32>().prop_map(Value::from), any::<bool>().prop_map(Value::Bool), Just(Value::Null)];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            3 => prop::collection::vec((text.clone(), inner.clone()), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
            1 => inner.prop_map(|value| Value::String(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn redacting_keeps_json_and_is_done_once(value in any_json()) {
        let text = value.to_string();
        let redactor = redactor();
        let mut once = Vec::new();
        redactor.write(&text, &redactor.find(&text), &mut once);
        let once = String::from_utf8(once).unwrap();
        prop_assert!(serde_json::from_str::<Value>(&once).is_ok(), "{text} became {once}");
        prop_assert!(redactor.find(&once).is_empty(), "{text} became {once}, then {:?}", redactor.find(&once));
    }

    #[test]
    fn an_event_without_suspicion_has_no_findings(value in any_json()) {
        let body = value.to_string().replace('&', "\\u0026").replace('<', "\\u003c");
        let line = event(&format!(r#""requestObject":{body}"#));
        if !may_hold_secrets(&Event::decode_noting(&line).unwrap(), &line) {
            prop_assert!(redactor().find(&line).is_empty(), "{line}: {:?}", redactor().find(&line));
        }
    }

    #[test]
    fn any_bytes_are_redacted_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        redacted_bytes(&bytes);
    }

    #[test]
    fn cut_texts_hold_no_value(value in any_json(), cut in 0.0f64..1.0) {
        let text = format!(r#"{{"kind":"Secret","data":{{"x":"aHVudGVyMg=="}},"more":{value}}}"#);
        let mut at = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(at) { at -= 1; }
        prop_assert!(!String::from_utf8_lossy(&redacted_bytes(&text.as_bytes()[..at])).contains("aHVudGVyMg"));
    }
}
