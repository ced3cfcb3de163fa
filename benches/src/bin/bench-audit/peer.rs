//! The peer in Go: `benches/go/audit`, built into the cache folder and run on the same policy, requests and events.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROUNDS: &str = "31";

/// Nanoseconds by name.
pub(crate) fn go_audit() -> Result<impl Fn(&str) -> f64, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = cache_folder()?.join("audit");
    let build = Command::new("go").arg("build").arg("-C").arg(here.join("go/audit")).arg("-o").arg(&program).arg(".").output();
    run("go build", build)?;
    let data = |name: &str| here.join("data").join(name);
    let mut measure = Command::new(&program);
    measure.arg(data("attrs.json")).arg(data("policy-30.json")).arg(ROUNDS).args([data("event-metadata.json"), data("event-4k.json")]);
    let output = run("the audit program", measure.env("GOMAXPROCS", "1").output())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let times: Vec<(String, f64)> =
        text.lines().filter_map(|line| line.split_once('\t')).filter_map(|(name, time)| Some((name.to_owned(), time.parse().ok()?))).collect();
    if times.len() != 4 {
        return Err(format!("the audit program told {text}"));
    }
    Ok(move |name: &str| times.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, time)| *time))
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
