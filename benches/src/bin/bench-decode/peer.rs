//! The peer in Go: `benches/go/codec`, built into the cache folder and run on the same body.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// CPU seconds of one decode.
pub(crate) struct GoCodecs {
    /// kube-apiserver's own.
    pub(crate) audit_codec: f64,
    /// Plain `encoding/json`.
    pub(crate) encoding_json: f64,
}

const ROUNDS: &str = "15";

/// Builds and runs the Go program.
pub(crate) fn go_codecs() -> Result<GoCodecs, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = cache_folder()?.join("codec");
    let build = Command::new("go").arg("build").arg("-C").arg(here.join("go/codec")).arg("-o").arg(&program).arg(".").output();
    let output = run("go build", build)?;
    drop(output);
    let measure = Command::new(&program).arg(here.join("data/eventlist-400.json")).arg(ROUNDS).env("GOMAXPROCS", "1").output();
    let output = run("the codec program", measure)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
        line.and_then(|seconds| seconds.parse().ok()).ok_or_else(|| format!("the codec program did not tell `{name}`: {text}"))
    };
    Ok(GoCodecs { audit_codec: seconds("audit codec")?, encoding_json: seconds("encoding/json")? })
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
