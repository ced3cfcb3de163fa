//! Puts the built pages (docs/ui.md) into the crate, so that the binary is all there is to install.
//!
//! They are looked for in `$DECKLOG_UI_DIST`, else in `ui/dist` of the checkout. Without any this still builds:
//! `src/ui.rs` then answers with a plain page that says how to build them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=DECKLOG_UI_DIST");
    let root = env::var_os("DECKLOG_UI_DIST").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist"), PathBuf::from);
    let mut table = String::from("pub(super) static FILES: &[File] = &[\n");
    // A folder that is not there would make cargo run this each time.
    if root.is_dir() {
        let root = root.canonicalize()?;
        println!("cargo:rerun-if-changed={}", root.display());
        for path in files_below(&root)? {
            let name = path.strip_prefix(&root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
            let packed = |ending: &str| {
                let packed = PathBuf::from(format!("{}.{ending}", path.display()));
                if packed.is_file() { format!("Some(include_bytes!({packed:?}))") } else { "None".to_owned() }
            };
            let (gzip, brotli) = (packed("gz"), packed("br"));
            writeln!(table, "    File {{ path: {:?}, plain: include_bytes!({path:?}), gzip: {gzip}, brotli: {brotli} }},", format!("/{name}"))
                .map_err(io::Error::other)?;
        }
    }
    table.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo gives no OUT_DIR"))?;
    fs::write(Path::new(&out).join("ui_files.rs"), table)
}

/// Every file that is served, in the same order each time.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if !name.starts_with('.') && !name.ends_with(".gz") && !name.ends_with(".br") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
