//! The models that are on this machine.

use std::fs;
use std::path::PathBuf;

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
    models.extend(model::files().into_iter().map(|path| {
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
