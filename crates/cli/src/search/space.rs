//! The model that a collection was made with, and what queries need from it.
//!
//! A fingerprint covers the prompt, and queries have another one than documents. So the model is not asked for the
//! fingerprint of queries: prepared as the collection's texts were, it must give the collection's fingerprint. Then
//! queries differ from them in their prompt alone, as the model's authors meant it.

use std::path::{Path, PathBuf};

use bulk::Stored;
use connote::{Embedder, Model, Options, Task};
use index::{Collection, Space};

use crate::args::{ModelArgs, NetworkArgs, PreparationArgs, TuningArgs};
use crate::failure::Failure;
use crate::model;
use crate::say::say;

/// Loads the model that was named, else one with the collection's name and fingerprint.
pub(super) fn model_of(
    collection: &Collection,
    args: &ModelArgs,
    network: &NetworkArgs,
    tuning: &TuningArgs,
) -> Result<Embedder, Failure> {
    let space = collection.space();
    let place = collection.path().display();
    if space.fingerprint.is_empty() {
        return Err(Failure::usage(format!(
            "{place}: does not say which model its vectors are of, so texts cannot be compared with them; ask with --vector"
        )));
    }
    if let Some(named) = model::named(args) {
        let embedder = model::load(args, network, tuning.tuning())?;
        let fingerprint = fingerprint(&embedder, space);
        return match fingerprint {
            Ok(fingerprint) if fingerprint == space.fingerprint => Ok(embedder),
            other => Err(Failure::usage(format!(
                "{}: its vector space is {}, and the collection {place} is of {} ({}); name that model, or build the \
                 collection again",
                named.display(),
                other.unwrap_or_else(|error| format!("another ({error})")),
                space.model,
                space.fingerprint
            ))),
        };
    }
    let mut others = Vec::new();
    for candidate in candidates(&space.model) {
        let args = ModelArgs { model: candidate.clone() };
        let Ok(embedder) = model::pack(&args, network, tuning.tuning()) else { continue };
        match fingerprint(&embedder, space) {
            Ok(fingerprint) if fingerprint == space.fingerprint => {
                embedder
                    .warnings()
                    .iter()
                    .for_each(|warning| say(format_args!("connote: warning: {warning}")));
                return Ok(embedder);
            }
            Ok(fingerprint) => {
                let name = candidate
                    .map_or_else(|| "the built-in one".to_owned(), |path| path.display().to_string());
                others.push(format!("{name} ({fingerprint})"));
            }
            Err(_) => {}
        }
    }
    let others = match others.as_slice() {
        [] => String::new(),
        others => format!("; of that name there are {}, whose spaces are others", others.join(" and ")),
    };
    Err(Failure::usage(format!(
        "{place}: its model {} ({}) is not found here{others}; name its file with --model",
        space.model, space.fingerprint
    )))
}

/// The fingerprint of texts prepared as those of the collection were.
fn fingerprint(embedder: &Embedder, space: &Space) -> Result<String, String> {
    let mut options = Options::new().dimensions(space.dimensions).normalize(space.normalized);
    if let Some(task) = &space.task {
        options = options.task(task.parse::<Task>()?);
    }
    if let Some(prompt) = &space.prompt {
        options = options.prompt(prompt);
    }
    embedder
        .fingerprint(&options)
        .map(|fingerprint| fingerprint.to_string())
        .map_err(|error| error.to_string())
}

/// Models of a name: the built-in one is `None`, then files, in the order of their names.
fn candidates(name: &str) -> Vec<Option<PathBuf>> {
    let is_named = |model: &Model| model.name() == name;
    let mut found = Vec::new();
    if model::builtin().is_ok_and(|model| is_named(&model)) {
        found.push(None);
    }
    let is_named_file = |path: &PathBuf| Model::open(path).is_ok_and(|model| is_named(&model));
    found.extend(model::files().into_iter().filter(is_named_file).map(Some));
    found
}

/// How queries are prepared: as they were asked to be; else documents are asked for by the model's query prompt, where
/// it has one, and texts of another task by the same.
pub(super) fn query_options(
    space: &Space,
    embedder: &Embedder,
    preparation: &PreparationArgs,
) -> Result<Options, Failure> {
    let mut options = preparation.options();
    if preparation.task.is_none() && preparation.prompt.is_none() && preparation.title().is_none() {
        let of_texts = space.task.as_deref().map(str::parse::<Task>).transpose().map_err(Failure::usage)?;
        options = match (of_texts, &space.prompt) {
            (None | Some(Task::Document), _) if asks(embedder) => options.task(Task::Query),
            (None | Some(Task::Document), None) => options,
            (None | Some(Task::Document), Some(prompt)) => options.prompt(prompt),
            (Some(task), _) => options.task(task),
        };
    }
    Ok(options.dimensions(space.dimensions).normalize(space.normalized))
}

/// Whether the model has a prompt for queries.
fn asks(embedder: &Embedder) -> bool {
    embedder.model().prompt(&Task::Query).is_some()
}

/// Refuses queries that are known to be of another model. A fingerprint that differs may only mean another prompt, so
/// what tells is the model's name and the dimensions.
pub(super) fn check_vectors(file: &Path, stored: &Stored, space: &Space) -> Result<(), Failure> {
    let Some(of_queries) = stored.space() else { return Ok(()) };
    let (model, fingerprint) = (&of_queries.model, &of_queries.fingerprint);
    if space.fingerprint.is_empty() || *fingerprint == space.fingerprint || *model == space.model {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{}: its vectors are of {model} ({fingerprint}), and the collection's of {} ({}); they cannot be compared",
        file.display(),
        space.model,
        space.fingerprint
    )))
}
