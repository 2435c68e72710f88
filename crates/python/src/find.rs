//! Which model file a name means.

use std::path::PathBuf;

use hub::{Cache, ModelName};
use pyo3::prelude::*;

/// The file that a path or name means: a path, a file in the folder of models, a short name or a path on the hub that is in the
/// Hugging Face cache; `None` if it is in none of these. Never the network.
#[pyfunction]
pub(crate) fn find_model(name: PathBuf) -> Option<PathBuf> {
    if name.is_file() {
        return Some(name);
    }
    let on_hub = name.to_str().and_then(|name| name.parse::<ModelName>().ok());
    let folder = models_folder();
    if let Some(folder) = folder.as_ref().filter(|_| name.components().count() == 1) {
        let places = [folder.join(&name), folder.join(format!("{}.gguf", name.display()))];
        if let Some(found) = places.into_iter().find(|path| path.is_file()) {
            return Some(found);
        }
    }
    let on_hub = on_hub?;
    let cache = hub::cache_folder(&|name| std::env::var_os(name)).map(Cache::new);
    if let Some(found) = cache.and_then(|cache| cache.find(&on_hub).ok().flatten()) {
        return found.paths.into_iter().next();
    }
    // Where somebody put it by hand.
    let by_hand = on_hub.short.zip(folder).map(|(short, folder)| folder.join(short.file));
    by_hand.filter(|path| path.is_file())
}

/// As the command has it: `$EMBED_MODELS_DIR`, else `~/.cache/embed-models`.
fn models_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("EMBED_MODELS_DIR").or_else(|| Some(set("HOME")?.join(".cache/embed-models")))
}
