//! Which model file a command means.

use std::path::{Path, PathBuf};

use connote::{Embedder, Model};

use crate::args::{ModelArgs, VectorArgs};
use crate::failure::Failure;

/// Opens the model that was named, else the built-in one.
pub(crate) fn open(args: &ModelArgs) -> Result<Model, Failure> {
    match &args.model {
        Some(name) => Ok(Model::open(find(name)?)?),
        None => builtin(),
    }
}

/// Opens the model and packs its weights; says on stderr what its user should know.
pub(crate) fn load(args: &ModelArgs, vector: &VectorArgs) -> Result<Embedder, Failure> {
    let mut builder = Embedder::builder().threads(vector.threads);
    if let Some(pooling) = vector.pooling {
        builder = builder.pooling(pooling);
    }
    let embedder = builder.load(open(args)?)?;
    for warning in embedder.warnings() {
        eprintln!("connote: warning: {warning}");
    }
    Ok(embedder)
}

/// The file that a path or name means.
pub(crate) fn find(name: &Path) -> Result<PathBuf, Failure> {
    if name.exists() {
        return Ok(name.to_owned());
    }
    let bare = name.components().count() == 1;
    let folder = models_folder().filter(|_| bare);
    if let Some(folder) = &folder {
        let exact = folder.join(name);
        let with_ending = folder.join(format!("{}.gguf", name.display()));
        if let Some(found) = [exact, with_ending].into_iter().find(|path| path.is_file()) {
            return Ok(found);
        }
    }
    let also = folder.map(|folder| format!(", nor in {}", folder.display())).unwrap_or_default();
    Err(Failure::nothing(format!("{}: there is no such file{also}", name.display())))
}

fn models_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("EMBED_MODELS_DIR").or_else(|| Some(set("HOME")?.join(".cache/embed-models")))
}

#[cfg(feature = "builtin")]
pub(crate) fn builtin() -> Result<Model, Failure> {
    Ok(Model::builtin()?)
}

#[cfg(not(feature = "builtin"))]
pub(crate) fn builtin() -> Result<Model, Failure> {
    Err(Failure::usage("this connote was built without a model; name a GGUF file with --model"))
}
