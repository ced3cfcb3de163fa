//! policy-eval.jsonl: which rule of a policy decides, by the plain walk and by the compiled policy.

use decklog_audit::policy::{Attributes, Compiled, Decision, User, from_document, walk};
use serde_json::Value;

/// Plays one policy with its requests.
pub(super) fn play(vector: &Value) -> Result<(), String> {
    let text = vector["in"]["policy"].as_str().ok_or("the vector has no policy")?;
    let document: Value = serde_saphyr::from_str(text).map_err(|error| format!("the policy is not YAML: {error}"))?;
    let policy = from_document(&document);
    let compiled = Compiled::new(&policy);
    let requests = vector["in"]["requests"].as_array().ok_or("the vector has no requests")?;
    let wants = vector["want"].as_array().ok_or("the vector wants nothing")?;
    if requests.len() != wants.len() {
        return Err("requests and answers are not as many".to_owned());
    }
    for (index, (request, want)) in requests.iter().zip(wants).enumerate() {
        let groups: Vec<&str> = request["user"]["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let attributes = attributes(request, &groups);
        for (name, decision) in [("walk", walk(&policy, &attributes)), ("compiled", compiled.evaluate(&attributes))] {
            same(&decision, want).map_err(|what| format!("request {index}, {name}: {what}"))?;
        }
    }
    Ok(())
}

fn attributes<'v>(request: &'v Value, groups: &'v [&'v str]) -> Attributes<'v> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    Attributes {
        user: request["user"].is_object().then(|| User { name: request["user"]["name"].as_str().unwrap_or_default(), groups }),
        verb: text("verb"),
        namespace: text("namespace"),
        api_group: text("apiGroup"),
        api_version: text("apiVersion"),
        resource: text("resource"),
        subresource: text("subresource"),
        name: text("name"),
        path: text("path"),
        is_resource_request: request["isResourceRequest"] == true,
    }
}

fn same(decision: &Decision<'_>, want: &Value) -> Result<(), String> {
    let stages: Vec<&str> = want["omitStages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let rule = decision.rule.map_or(-1, |rule| rule as i64);
    let got = (decision.level, decision.omit_managed_fields, rule, decision.omit_stages.names());
    let wanted = (want["level"].as_str().unwrap_or_default(), want["omitManagedFields"] == true, want["rule"].as_i64().unwrap_or(-1), stages);
    if got == wanted { Ok(()) } else { Err(format!("wanted {wanted:?}, got {got:?}")) }
}
