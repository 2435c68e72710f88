//! Which model file a command means.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use connote::{Builder, Embedder, ErrorKind, Input, Model, Options, Parallelism, Policy, Task, Tuning};
use hub::{Cache, ModelName};

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

/// As [`load`]; a reranker, which gives no vectors, is opened to score pairs.
pub(crate) fn load_to_serve(
    args: &ModelArgs,
    network: &NetworkArgs,
    tuning: Tuning,
) -> Result<Embedder, Failure> {
    let model = open(args)?;
    let embedder = builder(network, tuning)?.rerankers(true).load(model)?;
    let warnings = match embedder.is_reranker() {
        true => embedder.reranker()?.warnings(),
        false => embedder.warnings(),
    };
    for warning in warnings {
        say(format_args!("connote: warning: {warning}"));
    }
    Ok(embedder)
}

/// As [`load`], saying nothing.
pub(crate) fn pack(args: &ModelArgs, network: &NetworkArgs, tuning: Tuning) -> Result<Embedder, Failure> {
    Ok(builder(network, tuning)?.load(open(args)?)?)
}

fn builder(network: &NetworkArgs, tuning: Tuning) -> Result<Builder, Failure> {
    check_tuning(tuning)?;
    let builder = Embedder::builder()
        .threads(network.threads)
        .weights_per_node(network.weights_per_node)
        .tuning(tuning);
    Ok(match network.pooling {
        Some(pooling) => builder.pooling(pooling),
        None => builder,
    })
}

/// A shape that was named leaves nothing to choose among.
pub(crate) fn check_tuning(tuning: Tuning) -> Result<(), Failure> {
    match (tuning.policy, tuning.parallelism) {
        (Policy::Fixed(_), Parallelism::Texts | Parallelism::Matmul) => Err(Failure::usage(format!(
            "--policy {} says how texts are computed, and --parallelism would choose among several ways; leave one of them out",
            tuning.policy
        ))),
        _ => Ok(()),
    }
}

/// The model that the command line names, else $CONNOTE_MODEL. Empty, that is as good as not set.
pub(crate) fn named(args: &ModelArgs) -> Option<PathBuf> {
    args.model.clone().or_else(named_by_variable)
}

/// The model that serves where the command line names none.
pub(crate) fn named_by_variable() -> Option<PathBuf> {
    variable("CONNOTE_MODEL").filter(|value| !value.is_empty()).map(PathBuf::from)
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

/// The file that a path or name means: a path, a file in the folder of models, a short name or a path on the hub that is in the
/// Hugging Face cache. Never the network.
pub(crate) fn find(name: &Path) -> Result<PathBuf, Failure> {
    if name.is_dir() {
        return Err(Failure::nothing(format!("{}: is a folder; name a GGUF file", name.display())));
    }
    if name.exists() {
        return Ok(name.to_owned());
    }
    if ["built in", "built-in", "builtin"].into_iter().any(|builtin| name.as_os_str() == builtin) {
        return Err(Failure::nothing(format!(
            "{}: the built-in model serves where none is named; leave --model out, and $CONNOTE_MODEL empty",
            name.display()
        )));
    }
    if let Some(found) = hub::find_model(name, &variable).map_err(Failure::usage)? {
        return Ok(found);
    }
    let folder = models_folder().filter(|_| name.components().count() == 1);
    let also = folder.map(|folder| format!(", nor in {}", folder.display())).unwrap_or_default();
    let missing = format!("{}: there is no such file{also}", name.display());
    if name.to_str().is_none_or(|name| name.parse::<ModelName>().is_err()) {
        return Err(Failure::nothing(missing));
    }
    let cache = cache().map(|cache| format!(", nor in {}", cache.folder().display())).unwrap_or_default();
    Err(Failure::nothing(format!("{missing}{cache}; `connote pull {}` fetches it", name.display())))
}

/// The cache of the Hugging Face libraries.
pub(crate) fn cache() -> Option<Cache> {
    hub::cache_folder(&variable).map(Cache::new)
}

/// The models in the folder of models, in the order of their names; of a split one the first part, which opens the others.
pub(crate) fn files() -> Vec<PathBuf> {
    let entries = models_folder().and_then(|folder| fs::read_dir(folder).ok());
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")))
        .filter(|path| !is_later_part(path))
        .collect();
    files.sort();
    files
}

/// `NAME-00002-of-00003.gguf` and the like.
fn is_later_part(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some((before, _)) = stem.rsplit_once("-of-") else { return false };
    before.rsplit_once('-').is_some_and(|(_, part)| part.parse::<u32>().is_ok_and(|part| part > 1))
}

/// Why the folder of models has none that could be found; `None` if it can be read.
pub(crate) fn no_models_folder() -> Option<String> {
    let Some(folder) = models_folder() else {
        return Some("neither EMBED_MODELS_DIR nor HOME names a folder of models".to_owned());
    };
    fs::read_dir(&folder).err().map(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("the folder {} is not there", folder.display()),
        _ => format!("the folder {} cannot be read: {error}", folder.display()),
    })
}

pub(crate) fn models_folder() -> Option<PathBuf> {
    hub::models_folder(&variable)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(feature = "builtin")]
pub(crate) fn builtin() -> Result<Model, Failure> {
    Ok(Model::builtin()?)
}

#[cfg(not(feature = "builtin"))]
pub(crate) fn builtin() -> Result<Model, Failure> {
    Err(Failure::usage("this connote was built without a model; name a GGUF file with --model"))
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
