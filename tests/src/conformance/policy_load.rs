//! policy-load.jsonl: whether a policy text is taken, what is said of it, and what it is after loading.

use decklog_audit::policy::load::{Stage, TargetVersion, load};
use serde_json::Value;

use super::vectors::byte_string;

/// Plays one text.
pub(super) fn play(vector: &Value) -> Result<(), String> {
    let text = byte_string(&vector["in"]["text"]).ok_or("the vector has no text")?;
    let (verdict, want) = (load(&text, TargetVersion::default()), &vector["want"]);
    let equal = |what: &str, got: Value, wanted: &Value| if got == *wanted { Ok(()) } else { Err(format!("{what}: wanted {wanted}, got {got}")) };
    equal("ok", verdict.result.is_ok().into(), &want["ok"])?;
    if let Err(refusal) = &verdict.result {
        equal("stage", refusal.stage.name().into(), &want["stage"])?;
        if refusal.stage == Stage::Decode {
            return Ok(());
        }
        equal("error", refusal.message.as_str().into(), &want["error"])?;
    }
    equal("strict", verdict.warning.is_none().into(), &want["strict"])?;
    equal("warning", verdict.warning.clone().into(), &want["warning"])?;
    equal("policy", verdict.policy_json().into(), &want["policy"])
}
