//! Where the real models are.

use std::path::PathBuf;

/// The model that is committed: all-MiniLM-L6-v2 Q8_0.
pub fn builtin() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/all-MiniLM-L6-v2-Q8_0.gguf"))
}

/// A model in `$EMBED_MODELS_DIR`, else `~/.cache/embed-models`: `None` where it is not there. A test that
/// needs it then counts as ignored.
pub fn find(file: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("EMBED_MODELS_DIR") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".cache/embed-models"),
    };
    Some(folder.join(file)).filter(|path| path.is_file())
}
