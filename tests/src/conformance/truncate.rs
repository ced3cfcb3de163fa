//! truncate.jsonl: the calls that the truncating backend makes to the one behind it.

use std::sync::{Arc, Mutex};

use decklog_audit::Event;
use decklog_audit::backend::{Backend, Bodies, Emitted, Processed, Processing};
use decklog_deliver::backend::{Plugin, PluginErrors, Truncate, TruncateConfig};
use serde_json::Value;

use super::vectors::{byte_string, same_bytes};

/// Plays one call.
pub(super) fn play(vector: &Value) -> Result<(), String> {
    let (input, want) = (&vector["in"], &vector["want"]);
    let lines: Vec<Vec<u8>> = input["events"].as_array().ok_or("the vector has no events")?.iter().filter_map(byte_string).collect();
    let mut scratches = vec![String::new(); lines.len()];
    let events: Vec<Event<'_>> = lines
        .iter()
        .zip(&mut scratches)
        .map(|(line, scratch)| Event::decode_lossy(line, scratch))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let emitted: Vec<Emitted<'_>> = events.iter().map(|event| Emitted::new(event, Bodies::default())).collect();
    for (event, size) in emitted.iter().zip(input["eventSizes"].as_array().into_iter().flatten()) {
        let got = event.line().map_err(|error| error.to_string())?.len();
        if *size != got {
            return Err(format!("size: wanted {size}, got {got}"));
        }
    }
    let fails = input["delegateFailsOnBatch"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let delegate = Arc::new(Delegate { fails, batches: Mutex::default() });
    let number = |name: &str| input[name].as_i64().ok_or_else(|| format!("the vector has no {name}"));
    let config = TruncateConfig { max_event_size: number("maxEventSize")?, max_batch_size: number("maxBatchSize")? };
    let errors = PluginErrors::default();
    let processed = match Truncate::new(delegate.clone(), config, errors.clone()).process(&emitted) {
        Processing::Done(processed) => processed,
        Processing::Later(_) => return Err("nothing is to be waited for".to_owned()),
    };
    if (processed == Processed::Stored) != (want["ok"] == true) {
        return Err(format!("ok: wanted {}, got {processed:?}", want["ok"]));
    }
    let n_dropped = want["dropped"].as_array().map_or(0, Vec::len) as u64;
    if errors.lost(Plugin::Truncate) != n_dropped {
        return Err(format!("dropped: wanted {n_dropped}, got {}", errors.lost(Plugin::Truncate)));
    }
    let batches = delegate.batches.lock().map_err(|_| "a panic under the lock")?;
    let wanted = want["batches"].as_array().ok_or("the vector wants no batches")?;
    let sizes = (wanted.iter().map(|batch| batch.as_array().map_or(0, Vec::len)).collect::<Vec<_>>(), batches.iter().map(Vec::len).collect::<Vec<_>>());
    if sizes.0 != sizes.1 {
        return Err(format!("batches: wanted {:?}, got {:?}", sizes.0, sizes.1));
    }
    for (want, line) in wanted.iter().filter_map(Value::as_array).flatten().zip(batches.iter().flatten()) {
        same_bytes("event", want, line)?;
    }
    Ok(())
}

struct Delegate {
    fails: Vec<u64>,
    batches: Mutex<Vec<Vec<Vec<u8>>>>,
}

impl std::fmt::Display for Delegate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("delegate")
    }
}

impl Backend for Delegate {
    fn process(&self, events: &[Emitted<'_>]) -> Processing {
        let Ok(mut batches) = self.batches.lock() else { return Processing::Done(Processed::Failed) };
        let is_failing = self.fails.contains(&(batches.len() as u64));
        batches.push(events.iter().map(|event| event.line().map(|line| line.to_vec()).unwrap_or_default()).collect());
        Processing::Done(if is_failing { Processed::Failed } else { Processed::Stored })
    }
}
