//! The models that are on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use connote::Model;
use serde::Serialize;

use crate::model;

/// A model that `--model` finds by its name.
#[derive(Debug, Serialize)]
pub(crate) struct FoundModel {
    /// As `--model` takes it; `built in` needs none.
    pub(crate) name: String,
    pub(crate) architecture: Option<String>,
    pub(crate) bytes: u64,
    /// `None` for the built-in one.
    pub(crate) path: Option<PathBuf>,
    /// Why it cannot be used.
    pub(crate) does_not_open: Option<String>,
}

/// Built in, in the folder of models, in the Hugging Face cache.
pub(crate) fn found() -> Vec<FoundModel> {
    let mut models = Vec::new();
    if let Ok(builtin) = model::builtin() {
        models.push(FoundModel {
            name: "built in".to_owned(),
            architecture: architecture(&builtin),
            bytes: builtin.gguf().shards().map(|shard| shard.len() as u64).sum(),
            path: None,
            does_not_open: None,
        });
    }
    let folder = model::models_folder().and_then(|folder| fs::read_dir(folder).ok());
    let mut files: Vec<PathBuf> = folder
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")))
        // Of a split model the first part opens the others.
        .filter(|path| !is_later_part(path))
        .collect();
    files.sort();
    models.extend(files.into_iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        of_file(name, path)
    }));
    for cached in model::cache().map(|cache| cache.models()).unwrap_or_default() {
        let name = format!("{}/{}@{}", cached.repo, cached.files[0], cached.commit);
        models.push(of_file(name, cached.paths[0].clone()));
    }
    models
}

fn of_file(name: String, path: PathBuf) -> FoundModel {
    let bytes = fs::metadata(&path).map_or(0, |about| about.len());
    match Model::open(&path) {
        Ok(model) => {
            let bytes = model.gguf().shards().map(|shard| shard.len() as u64).sum();
            FoundModel {
                name,
                architecture: architecture(&model),
                bytes,
                path: Some(path),
                does_not_open: None,
            }
        }
        Err(error) => {
            let why = Some(error.message().to_owned());
            FoundModel { name, architecture: None, bytes, path: Some(path), does_not_open: why }
        }
    }
}

fn architecture(model: &Model) -> Option<String> {
    model.gguf().metadata().str("general.architecture").ok().flatten().map(str::to_owned)
}

/// `NAME-00002-of-00003.gguf` and the like.
fn is_later_part(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some((before, _)) = stem.rsplit_once("-of-") else { return false };
    before.rsplit_once('-').is_some_and(|(_, part)| part.parse::<u32>().is_ok_and(|part| part > 1))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_later_part;

    #[test]
    fn later_parts_are_told_from_models() {
        assert!(is_later_part(Path::new("m-00002-of-00003.gguf")));
        for path in ["m-00001-of-00003.gguf", "m.gguf", "best-of-both.gguf", "m-of-2.gguf"] {
            assert!(!is_later_part(Path::new(path)), "{path}");
        }
    }
}
