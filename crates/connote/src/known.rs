//! What GGUF files do not hold: the authors' prompts, Matryoshka sizes and token limits.
//!
//! A row is used for a file that has its name and its shape; any other file is an unknown model, which has
//! its context length and no prompts.

use encoder::{Config, Pooling};

use crate::task::Task;

/// What the authors of one model say of it.
#[derive(Debug)]
pub struct KnownModel {
    /// The model's name.
    pub name: &'static str,
    /// Where this row was taken from.
    pub source: &'static str,
    architecture: &'static str,
    layers: usize,
    dim: usize,
    /// The longest text its authors allow, in tokens, special tokens included.
    pub max_tokens: usize,
    /// How its vectors are pooled, for files that do not say.
    pub pooling: Pooling,
    /// What the authors' tokenizer puts before and after a text.
    pub special_tokens: (&'static str, &'static str),
    /// Sizes the vectors were trained to be cut to; empty if they were not.
    pub matryoshka: &'static [usize],
    /// Prompts by task. An empty prompt: the task is meant, and needs no words.
    pub prompts: &'static [(Task, PromptTemplate)],
    /// The prompt of a task in the user's words, `{task}` standing for them.
    pub custom_prompt: Option<&'static str>,
}

/// What goes before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptTemplate {
    /// These words.
    Plain(&'static str),
    /// These words around the text's title, `none` if it has none.
    Titled(&'static str, &'static str),
}

const fn query(words: &'static str) -> PromptTemplate {
    PromptTemplate::Plain(words)
}

/// The table.
pub const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        name: "EmbeddingGemma 300M",
        source: "https://huggingface.co/google/embeddinggemma-300m (model card, config_sentence_transformers.json)",
        architecture: "gemma-embedding",
        layers: 24,
        dim: 768,
        max_tokens: 2048,
        pooling: Pooling::Mean,
        special_tokens: ("<bos>", "<eos>"),
        matryoshka: &[128, 256, 512, 768],
        prompts: &[
            (Task::Query, query("task: search result | query: ")),
            (Task::Document, PromptTemplate::Titled("title: ", " | text: ")),
            (Task::QuestionAnswering, query("task: question answering | query: ")),
            (Task::FactChecking, query("task: fact checking | query: ")),
            (Task::Classification, query("task: classification | query: ")),
            (Task::Clustering, query("task: clustering | query: ")),
            (Task::Similarity, query("task: sentence similarity | query: ")),
            (Task::CodeRetrieval, query("task: code retrieval | query: ")),
        ],
        custom_prompt: Some("task: {task} | query: "),
    },
    KnownModel {
        name: "all-MiniLM-L6-v2",
        source: "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (model card, sentence_bert_config.json)",
        architecture: "bert",
        layers: 6,
        dim: 384,
        max_tokens: 256,
        pooling: Pooling::Mean,
        special_tokens: ("[CLS]", "[SEP]"),
        matryoshka: &[],
        // Its card: search, clustering and similarity, all without a prompt.
        prompts: &[
            (Task::Query, query("")),
            (Task::Document, query("")),
            (Task::Clustering, query("")),
            (Task::Similarity, query("")),
        ],
        custom_prompt: None,
    },
];

impl KnownModel {
    /// The row for a file of this `general.name` and network, if there is one.
    pub fn find(name: &str, config: &Config) -> Option<&'static KnownModel> {
        let wanted = letters(name);
        KNOWN_MODELS.iter().find(|model| {
            model.architecture == config.architecture
                && model.layers == config.layers.len()
                && model.dim == config.dim
                && wanted.contains(&letters(model.name))
        })
    }

    /// The prompt of a task, if the authors give one.
    pub fn prompt(&self, task: &Task) -> Option<PromptTemplate> {
        self.prompts.iter().find(|(known, _)| known == task).map(|(_, template)| *template)
    }
}

/// A name without case, spaces and punctuation: converters spell names in many ways.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl std::fmt::Display for PromptTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PromptTemplate::Plain(words) => f.write_str(words),
            PromptTemplate::Titled(before, after) => write!(f, "{before}{{title}}{after}"),
        }
    }
}
