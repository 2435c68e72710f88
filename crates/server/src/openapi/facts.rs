//! What the document says of the models that are served, and of how they are.

use std::collections::BTreeSet;

use connote::{PromptTemplate, Task};
use serde_json::{Value, json};

use crate::Service;
use crate::settings::{EmbeddingsDialect, TokenIds};

/// Spellings of tasks that clients are known to send, beside connote's own.
const SPELLINGS: [&str; 22] = [
    "search_query",
    "search_document",
    "retrieval.query",
    "retrieval.passage",
    "passage",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
    "CLASSIFICATION",
    "CLUSTERING",
    "text-matching",
    "code.query",
    "Retrieval-query",
    "Retrieval-document",
    "STS",
    "InstructionRetrieval",
    "Clustering",
    "Classification",
    "SEARCH_RESULT",
];

/// What can be asked for.
pub(super) struct Facts {
    /// The name of the model that is meant where vectors are asked for of none by name.
    pub(super) name: String,
    /// There are others beside it.
    pub(super) several: bool,
    /// Token ids are below it.
    pub(super) words: usize,
    /// The size of a whole vector of that model.
    pub(super) whole: usize,
    /// Sizes of vectors, as a schema.
    pub(super) dimensions: Value,
    pub(super) tasks: Vec<Known>,
    /// Tasks in the user's own words.
    pub(super) custom: bool,
    /// A key is needed.
    pub(super) keys: bool,
    /// Token ids on OpenAI's route are of the model's vocabulary though the request does not say so.
    pub(super) ids_are_ours: bool,
    /// `POST /embeddings` answers as llama-server does.
    pub(super) llama: bool,
    /// There is a model that gives vectors.
    pub(super) vectors: bool,
    /// A model that scores pairs.
    pub(super) reranker: Option<Scorer>,
}

/// A model that scores pairs.
pub(super) struct Scorer {
    pub(super) name: String,
    /// Where one must be named.
    pub(super) label: Option<String>,
}

/// A task that a model has.
pub(super) struct Known {
    pub(super) spellings: Vec<String>,
    /// It has a place for a title.
    pub(super) titled: bool,
    /// It puts no words before the text, so that token ids can have it.
    pub(super) wordless: bool,
}

impl Facts {
    pub(super) fn of(service: &Service) -> Self {
        let first = service.models().first_of_vectors();
        let models = || service.models().all().iter().map(|served| served.embedder.model());
        let known = || models().filter_map(|model| model.known());
        let template = |task: &Task| models().find_map(|model| model.prompt(task));
        let tasks = Task::NAMED.iter().filter_map(|task| {
            let template = template(task)?;
            Some(Known {
                spellings: spellings(task),
                titled: matches!(template, PromptTemplate::Titled(..)),
                wordless: template.is_wordless(),
            })
        });
        let largest = models().map(|model| model.dimensions()).max().unwrap_or(1);
        let dimensions = if known().any(|known| !known.matryoshka.is_empty()) {
            json!({ "type": "integer", "minimum": 1, "maximum": largest })
        } else {
            json!({ "type": "integer", "enum": models().map(|model| model.dimensions()).collect::<BTreeSet<usize>>() })
        };
        let settings = service.settings();
        Self {
            name: first.name.clone(),
            several: service.models().all().len() > 1,
            words: models().map(|model| model.tokenizer().vocab_size()).max().unwrap_or(1),
            whole: first.embedder.model().dimensions(),
            dimensions,
            tasks: tasks.collect(),
            custom: models().any(|model| model.custom_prompt().is_some()),
            keys: !settings.api_keys.is_empty(),
            ids_are_ours: settings.token_ids == TokenIds::Model,
            llama: settings.dialect == EmbeddingsDialect::Llama,
            vectors: service.models().all().iter().any(|served| served.check_gives_vectors().is_ok()),
            reranker: service.models().all().iter().find_map(|served| {
                let labels = served.reranker().ok()?.labels();
                let label = (labels.len() > 2).then(|| labels[0].clone());
                Some(Scorer { name: served.name.clone(), label })
            }),
        }
    }
}

/// How a task is spelt: connote's name first.
fn spellings(task: &Task) -> Vec<String> {
    let others =
        SPELLINGS.iter().filter(|name| name.parse().as_ref() == Ok(task)).map(|name| (*name).to_owned());
    let mut all = vec![task.to_string()];
    all.extend(others.filter(|name| *name != task.to_string()));
    all
}
