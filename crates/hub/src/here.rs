//! Where the model of a name lies on this machine.

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::error::Error;
use crate::name::ModelName;
use crate::settings::{Variables, cache_folder, models_folder};

/// The file of a model: one of the [folder of models](models_folder), named with its ending or without; or a short name or a path
/// on the hub, from the Hugging Face cache, or from the folder of models where somebody put it by hand, as `connote pull`
/// advises where it cannot fetch it. `None` if it is in none of these. Never the network.
///
/// # Errors
/// Several files of the cache fit.
pub fn find_model(name: &Path, get: Variables<'_>) -> Result<Option<PathBuf>, Error> {
    let folder = models_folder(get).filter(|_| name.components().count() == 1);
    if let Some(folder) = &folder {
        let mut with_ending = name.as_os_str().to_owned();
        with_ending.push(".gguf");
        let places = [folder.join(name), folder.join(with_ending)];
        if let Some(found) = places.into_iter().find(|path| path.is_file()) {
            return Ok(Some(found));
        }
    }
    let Some(on_hub) = name.to_str().and_then(|name| name.parse::<ModelName>().ok()) else { return Ok(None) };
    if let Some(cache) = cache_folder(get).map(Cache::new)
        && let Some(found) = cache.find(&on_hub)?
    {
        return Ok(found.paths.into_iter().next());
    }
    let by_hand = on_hub.short.zip(folder).map(|(short, folder)| folder.join(short.file));
    Ok(by_hand.filter(|path| path.is_file()))
}
