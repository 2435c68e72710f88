//! The models that are on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use connote::Model;
use serde::Serialize;

use super::need::{Need, NotKnown};
use crate::output::shown_path;
use crate::{memory, model};

/// A model that `--model` finds by its name.
#[derive(Debug, Serialize)]
pub(crate) struct FoundModel {
    /// As `--model` takes it; `built in` serves without.
    pub(crate) name: String,
    pub(crate) architecture: Option<String>,
    pub(crate) bytes: u64,
    /// `None` for the built-in one.
    #[serde(serialize_with = "shown_path")]
    pub(crate) path: Option<PathBuf>,
    /// Whether its file does not say how vectors are pooled, so that `--pooling` must.
    pub(crate) needs_pooling: bool,
    /// Why it cannot be used.
    pub(crate) does_not_open: Option<String>,
    /// Why that was not tried.
    pub(crate) not_opened: Option<String>,
}

impl FoundModel {
    fn new(name: String, path: Option<PathBuf>) -> Self {
        let bytes = path.as_ref().and_then(|path| fs::metadata(path).ok()).map_or(0, |about| about.len());
        let (architecture, does_not_open, not_opened) = (None, None, None);
        Self { name, architecture, bytes, path, needs_pooling: false, does_not_open, not_opened }
    }

    fn opened(mut self, model: &Model) -> Self {
        self.architecture = architecture(model);
        self.bytes = model.gguf().shards().map(|shard| shard.len() as u64).sum();
        self.needs_pooling = model.pooling().is_err();
        self
    }

    /// The folder of models, or the cache with all that is below it.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let path = self.path.as_deref()?;
        let cache = model::cache().map(|cache| cache.folder().to_owned());
        cache.filter(|cache| path.starts_with(cache)).or_else(|| path.parent().map(Path::to_owned))
    }

    /// What there is to say beside the table's columns.
    pub(crate) fn note(&self) -> Option<String> {
        match (&self.does_not_open, &self.not_opened) {
            (Some(why), _) => Some(format!("does not open: {why}")),
            (_, Some(why)) => Some(format!("was not opened: {why}")),
            _ if self.path.is_none() => Some(match model::named_by_variable() {
                None => "serves where no --model is given".to_owned(),
                Some(other) => format!(
                    "serves where neither --model nor CONNOTE_MODEL names another; CONNOTE_MODEL names {}",
                    other.display()
                ),
            }),
            _ if self.needs_pooling => Some(
                "its file does not say how vectors are pooled: give --pooling mean, cls or last".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Built in, in the folder of models, in the Hugging Face cache. What is too large for the addresses that are left is not opened.
pub(crate) fn found() -> Vec<FoundModel> {
    let mut models = Vec::new();
    if let Ok(builtin) = model::builtin() {
        models.push(FoundModel::new("built in".to_owned(), None).opened(&builtin));
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
    let mut found = FoundModel::new(name, Some(path.clone()));
    match too_large(&path) {
        Some(why) => found.not_opened = Some(why),
        None => match Model::open(&path) {
            Ok(model) => found = found.opened(&model),
            Err(error) => found.does_not_open = Some(error.message().to_owned()),
        },
    }
    found
}

/// Only a limit on addresses makes opening fail as an allocation does.
fn too_large(path: &Path) -> Option<String> {
    let left = memory::addresses_left()?;
    match Need::of_file(path, None) {
        Ok(need) => need.is_too_much_to_open(left),
        Err(NotKnown::TooLarge(why)) => Some(why),
        // The same is said when it is opened.
        Err(NotKnown::NoModel(_)) => None,
    }
}

fn architecture(model: &Model) -> Option<String> {
    model.gguf().metadata().str("general.architecture").ok().flatten().map(str::to_owned)
}
