//! What `policy check -o json` and the policy page are told of a text.

use serde_json::{Value, json};

use super::super::load::{Places, Span, Verdict};
use super::Lint;

/// kube-apiserver's verdict and the lints: `{ok, stage, error, warning, strict, policy, line, column, fix, rules, lints}`, where lines and
/// columns count from 1 and columns are characters; what does not apply is left out.
#[must_use]
pub fn report(text: &str, verdict: &Verdict, lints: &[Lint]) -> Value {
    let places = Places::of(text);
    let mut report = json!({"ok": verdict.result.is_ok(), "lints": lints.iter().map(|lint| of_lint(text, &places, lint)).collect::<Value>(), "rules": []});
    if let Some(warning) = &verdict.warning {
        report["warning"] = warning.as_str().into();
    }
    match &verdict.result {
        Ok(policy) => {
            report["strict"] = verdict.warning.is_none().into();
            report["policy"] = verdict.policy_json().into();
            let places = verdict.rules().iter().map(|rule| rule.span.line);
            report["rules"] = policy.rules.iter().zip(places).map(|(rule, line)| json!({"line": line, "level": rule.level})).collect();
        }
        Err(refusal) => {
            report["stage"] = refusal.stage.name().into();
            report["error"] = refusal.message.as_str().into();
            if let Some(problem) = refusal.problems.first() {
                report["line"] = problem.span.line.into();
                report["column"] = problem.span.column.into();
                report["fix"] = problem.fix.as_str().into();
            }
        }
    }
    report
}

fn of_lint(text: &str, places: &Places<'_>, lint: &Lint) -> Value {
    let Span { line, column, .. } = lint.span;
    let mut value = json!({"code": lint.code, "severity": lint.severity.name(), "line": line, "column": column, "message": lint.message, "fix": lint.fix});
    let marked = text.get(lint.span.start..lint.span.end).unwrap_or_default();
    value["length"] = marked.chars().count().max(1).into();
    if !lint.edits.is_empty() {
        let edits = lint.edits.iter().map(|edit| {
            let (start, end) = (places.span(edit.start, 0), places.span(edit.end, 0));
            json!({"line": start.line, "column": start.column, "endLine": end.line, "endColumn": end.column, "text": edit.text})
        });
        value["edits"] = edits.collect();
    }
    value
}
