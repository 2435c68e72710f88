//! Which model file a command means.

use std::path::{Path, PathBuf};

use connote::{Embedder, ErrorKind, Input, Model, Options, Task, Tuning};

use crate::args::{ModelArgs, NetworkArgs};
use crate::failure::Failure;
use crate::say::say;

/// Opens the model that was named, else the built-in one.
pub(crate) fn open(args: &ModelArgs) -> Result<Model, Failure> {
    match named(args) {
        Some(name) => Ok(Model::open(find(&name)?)?),
        None => builtin(),
    }
}

/// Opens the model and packs its weights; says on stderr what its user should know.
pub(crate) fn load(args: &ModelArgs, network: &NetworkArgs, tuning: Tuning) -> Result<Embedder, Failure> {
    let embedder = pack(args, network, tuning)?;
    for warning in embedder.warnings() {
        say(format_args!("connote: warning: {warning}"));
    }
    Ok(embedder)
}

/// As [`load`], saying nothing.
pub(crate) fn pack(args: &ModelArgs, network: &NetworkArgs, tuning: Tuning) -> Result<Embedder, Failure> {
    let mut builder = Embedder::builder()
        .threads(network.threads)
        .weights_per_node(network.weights_per_node)
        .tuning(tuning);
    if let Some(pooling) = network.pooling {
        builder = builder.pooling(pooling);
    }
    Ok(builder.load(open(args)?)?)
}

/// The model that the command line names, else $CONNOTE_MODEL. Empty, that is as good as not set.
pub(crate) fn named(args: &ModelArgs) -> Option<PathBuf> {
    args.model.clone().or_else(|| set("CONNOTE_MODEL"))
}

/// Refuses a `--title` that no row can use, before anything is written. Rows of JSONL may still have a task
/// of their own that has a place for it.
pub(crate) fn check_title(
    model: &Model,
    title: Option<&str>,
    options: &Options,
    own_tasks: bool,
) -> Result<(), Failure> {
    let Some(title) = title else { return Ok(()) };
    let refused = |input: Input| {
        let refused = model.prepare(&input, options).err();
        refused.filter(|error| error.kind() == ErrorKind::InvalidRequest)
    };
    let input = Input::new("").title(title);
    match refused(input.clone()) {
        Some(error) if !own_tasks || refused(input.task(Task::Document)).is_some() => Err(error.into()),
        _ => Ok(()),
    }
}

/// The file that a path or name means.
pub(crate) fn find(name: &Path) -> Result<PathBuf, Failure> {
    if name.is_dir() {
        return Err(Failure::nothing(format!("{}: is a folder; name a GGUF file", name.display())));
    }
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

pub(crate) fn models_folder() -> Option<PathBuf> {
    set("EMBED_MODELS_DIR").or_else(|| Some(set("HOME")?.join(".cache/embed-models")))
}

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(feature = "builtin")]
pub(crate) fn builtin() -> Result<Model, Failure> {
    Ok(Model::builtin()?)
}

#[cfg(not(feature = "builtin"))]
pub(crate) fn builtin() -> Result<Model, Failure> {
    Err(Failure::usage("this connote was built without a model; name a GGUF file with --model"))
}
