//! The peer in Go: `benches/go/policy`, built into the cache folder and run on the same policies and requests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const ROUNDS: &str = "15";

/// Nanoseconds of one evaluation, for each policy.
pub(crate) fn go_evaluator(policies: &[(String, Value)]) -> Result<Vec<f64>, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = cache_folder()?;
    let program = folder.join("policy");
    let build = Command::new("go").arg("build").arg("-C").arg(here.join("go/policy")).arg("-o").arg(&program).arg(".").output();
    run("go build", build)?;
    let mut files = Vec::new();
    for (name, document) in policies {
        let file = folder.join(format!("policy-{name}.json"));
        std::fs::write(&file, document.to_string()).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        files.push(file);
    }
    let measure = Command::new(&program).arg(here.join("data/attrs.json")).arg(ROUNDS).args(&files).env("GOMAXPROCS", "1").output();
    let output = run("the policy program", measure)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if times.len() == policies.len() { Ok(times) } else { Err(format!("the policy program told {text}")) }
}

fn run(what: &str, output: std::io::Result<Output>) -> Result<Output, String> {
    let output = output.map_err(|error| format!("{what}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(output)
}

/// Where scripts/bench keeps what it builds.
fn cache_folder() -> Result<PathBuf, String> {
    let cache = std::env::var_os("DECKLOG_CACHE").map(PathBuf::from);
    let folder = cache.unwrap_or_else(|| std::env::temp_dir().join("decklog")).join("bench");
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}
