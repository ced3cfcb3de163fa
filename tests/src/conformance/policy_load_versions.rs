//! policy-load-versions.jsonl: the texts of policy-load.jsonl, with what `LoadPolicyFromBytes` of other releases of k8s.io/apiserver said of them
//! (v0.28.15, v0.33.5, v0.34.1, v0.35.3 and v0.37.2). `want.warned`: it logged that it falls back to the lenient decoder.

use decklog_audit::policy::load::{Stage, load};
use serde_json::Value;

use super::vectors::byte_string;

/// Plays one text.
pub(super) fn play(vector: &Value) -> Result<(), String> {
    let text = byte_string(&vector["in"]["text"]).ok_or("the vector has no text")?;
    let version = vector["in"]["version"].as_str().ok_or("the vector has no version")?;
    let (verdict, want) = (load(&text, version.parse().map_err(|error| format!("{error}"))?), &vector["want"]);
    let wanted = want["error"].as_str().unwrap_or_default();
    match &verdict.result {
        Ok(_) if want["ok"] == true && verdict.warning.is_some() == (want["warned"] == true) => Ok(()),
        Ok(_) => Err(format!("taken, {:?}; wanted {want}", verdict.warning)),
        Err(refusal) if want["ok"] == false && (refusal.stage == Stage::Decode || refusal.message == wanted) => Ok(()),
        Err(refusal) => Err(format!("refused: {}; wanted {want}", refusal.message)),
    }
}
