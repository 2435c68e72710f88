//! Finds the model to build in: all-MiniLM-L6-v2 from the checkout, or what CONNOTE_BUILTIN_MODEL names.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=CONNOTE_BUILTIN_MODEL");
    if env::var_os("CARGO_FEATURE_BUILTIN").is_none() {
        return;
    }
    let workspace = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    let path = match env::var_os("CONNOTE_BUILTIN_MODEL") {
        Some(path) if !path.is_empty() => workspace.join(PathBuf::from(path)),
        _ => workspace.join("models/all-MiniLM-L6-v2-Q8_0.gguf"),
    };
    let path = path.canonicalize().unwrap_or_else(|error| {
        panic!(
            "the model to build in is not there: {} ({error}). Build from a checkout, set CONNOTE_BUILTIN_MODEL to \
             the path of a GGUF file (relative to the workspace), or build without the feature `builtin`.",
            path.display()
        )
    });
    println!("cargo:rerun-if-changed={}", path.display());
    println!("cargo:rustc-env=CONNOTE_BUILTIN_PATH={}", path.display());
}
