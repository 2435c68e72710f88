//! What GGUF files do not hold: the authors' prompts, Matryoshka sizes and token limits.
//!
//! The table is `known_models.json`, read here and nowhere else. A row is used for a file that has its name and its
//! shape; any other file is an unknown model, which has its context length and no prompts.

use std::sync::LazyLock;

use encoder::{Config, Pooling};
use serde::Deserialize;

use crate::prompts::PromptTemplate;
use crate::task::Task;

/// What the authors of one model say of it.
#[derive(Debug)]
pub struct KnownModel {
    /// The model's name.
    pub name: String,
    /// Where this row was taken from.
    pub source: String,
    architecture: String,
    layers: usize,
    dim: usize,
    /// Whether it scores pairs of texts instead of turning texts into vectors.
    pub reranks: bool,
    /// The longest text its authors allow, in tokens, special tokens included.
    pub max_tokens: usize,
    /// Whether its tokens see what is behind them, where files of its architecture need not say it.
    pub bidirectional: bool,
    /// How its vectors are pooled, for files that do not say; `None` for rerankers.
    pub pooling: Option<Pooling>,
    /// Whether the authors' stack ends in a module that gives vectors unit length, where that was looked up.
    pub normalizes: Option<bool>,
    /// What the authors' tokenizer puts before and after a text, where that was looked up.
    pub special_tokens: Option<(String, String)>,
    /// Sizes the vectors were trained to be cut to; empty if they were not.
    pub matryoshka: Vec<usize>,
    /// Whether the authors apply a layer norm without weights (epsilon 1e-5) to a whole vector before they cut it.
    pub layer_norm_before_cut: bool,
    /// Prompts by task. An empty prompt: the task is meant, and needs no words.
    pub prompts: Vec<(Task, PromptTemplate)>,
    /// The prompt of a task in the user's words, `{task}` standing for them.
    pub custom_prompt: Option<String>,
}

/// A row as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    source: String,
    architecture: String,
    layers: usize,
    dim: usize,
    max_tokens: usize,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    bidirectional: bool,
    pooling: Option<String>,
    normalizes: Option<bool>,
    special_tokens: Option<(String, String)>,
    #[serde(default)]
    matryoshka: Vec<usize>,
    #[serde(default)]
    layer_norm_before_cut: bool,
    #[serde(default)]
    prompts: Vec<(String, String)>,
    custom_prompt: Option<String>,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Embedder,
    Reranker,
}

static TABLE: LazyLock<Vec<KnownModel>> = LazyLock::new(|| {
    let rows: Vec<Row> =
        serde_json::from_str(include_str!("known_models.json")).expect("the table is well-formed");
    rows.into_iter().map(KnownModel::from).collect()
});

/// The table.
pub fn known_models() -> &'static [KnownModel] {
    &TABLE
}

impl From<Row> for KnownModel {
    /// The table is ours: what is wrong in it is found by the first test that looks at it.
    fn from(row: Row) -> Self {
        let prompt = |(task, words): (String, String)| {
            let task: Task = task.parse().expect("the table names tasks");
            (task, PromptTemplate::parse(&words))
        };
        Self {
            name: row.name,
            source: row.source,
            architecture: row.architecture,
            layers: row.layers,
            dim: row.dim,
            reranks: row.kind == Kind::Reranker,
            max_tokens: row.max_tokens,
            bidirectional: row.bidirectional,
            pooling: row.pooling.map(|name| name.parse().expect("the table names poolings")),
            normalizes: row.normalizes,
            special_tokens: row.special_tokens,
            matryoshka: row.matryoshka,
            layer_norm_before_cut: row.layer_norm_before_cut,
            prompts: row.prompts.into_iter().map(prompt).collect(),
            custom_prompt: row.custom_prompt,
        }
    }
}

impl KnownModel {
    /// The row for a file of this `general.name` and network, if there is one. The name must be the row's, but for how
    /// it is spelled, whose it is (`thenlper/`), and the type of the file's tensors: `gte-base-zh` is no `gte-base`.
    pub fn find(name: &str, config: &Config) -> Option<&'static KnownModel> {
        known_models().iter().find(|model| {
            model.architecture == config.architecture
                && model.layers == config.layers.len()
                && model.dim == config.dim
                && model.is_named(name)
        })
    }

    /// Whether a file of this `general.name` says that it is this model.
    fn is_named(&self, name: &str) -> bool {
        let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let name = name.strip_suffix(".gguf").unwrap_or(&name);
        let mut words: Vec<&str> =
            name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let own = letters(&self.name);
        let owner =
            self.source.strip_prefix("https://huggingface.co/").and_then(|path| path.split('/').next());
        let owner = owner.map(letters).unwrap_or_default();
        // Word by word, since an `m` at the end may be of Q4_K_M or the model's own.
        let mut ends_a_type = false;
        loop {
            let found = words.concat();
            if !ends_a_type && (found == own || found.strip_prefix(&owner) == Some(&own)) {
                return true;
            }
            match words.pop() {
                // The end of a type, such as Q4_K_M, only behind its beginning: `e5-base-v2-nl` may be Dutch.
                Some(word) if ENDS_OF_TYPES.contains(&word) => ends_a_type = true,
                Some(word) if is_a_type(word) => ends_a_type = false,
                Some(word) if !ends_a_type && OF_THE_FILE.contains(&word) => {}
                _ => return false,
            }
        }
    }

    /// The prompt of a task, if the authors give one.
    pub fn prompt(&self, task: &Task) -> Option<&PromptTemplate> {
        self.prompts.iter().find(|(known, _)| known == task).map(|(_, template)| template)
    }
}

/// Words at the end of a name that tell how its tensors are written, and not which model it is.
const OF_THE_FILE: [&str; 10] =
    ["bf16", "dense", "f16", "f32", "fp16", "fp32", "gguf", "hf", "imat", "unquantized"];

const ENDS_OF_TYPES: [&str; 9] = ["0", "1", "k", "l", "m", "nl", "s", "xl", "xs"];

/// Whether a word begins the name of a quantised type.
fn is_a_type(word: &str) -> bool {
    let quantised = word.strip_prefix("iq").or_else(|| word.strip_prefix('q'));
    word == "qat" || quantised.is_some_and(|bits| matches!(bits, "2" | "3" | "4" | "5" | "6" | "8"))
}

/// A name without case, spaces and punctuation: converters spell names in many ways.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_whole_and_has_its_source() {
        let table = known_models();
        assert!(table.len() >= 30, "{} rows", table.len());
        let names: HashSet<String> = table.iter().map(|model| letters(&model.name)).collect();
        assert_eq!(names.len(), table.len(), "two rows of one name");
        for model in table {
            let name = &model.name;
            assert!(model.source.starts_with("https://huggingface.co/"), "{name}: {}", model.source);
            assert_eq!(model.reranks, model.pooling.is_none(), "{name}: embedders pool, rerankers do not");
            assert!(!model.reranks || model.prompts.is_empty(), "{name}: a reranker has no prompts of tasks");
            assert!(model.max_tokens >= 128 && model.dim.is_multiple_of(64), "{name}");
            assert!(
                model.matryoshka.is_sorted() && model.matryoshka.iter().all(|size| *size <= model.dim),
                "{name}"
            );
            assert!(model.matryoshka.is_empty() || model.matryoshka.last() == Some(&model.dim), "{name}");
            if let Some(custom) = &model.custom_prompt {
                assert!(custom.contains("{task}"), "{name}: {custom}");
                assert!(model.prompt(&Task::Query).is_some(), "{name}");
            }
            let mut tasks = HashSet::new();
            assert!(model.prompts.iter().all(|(task, _)| tasks.insert(task)), "{name}: a task twice");
        }
        assert!(table.iter().filter(|model| model.reranks).count() >= 18);
        let that = |says: Option<bool>| -> Vec<&str> {
            table.iter().filter(|row| row.normalizes == says).map(|row| row.name.as_str()).collect()
        };
        let looked_up = [
            "EmbeddingGemma 300M",
            "all-MiniLM-L6-v2",
            "all-MiniLM-L12-v2",
            "multi-qa-MiniLM-L6-cos-v1",
            "bge-small-en-v1.5",
            "bge-base-en-v1.5",
            "bge-m3",
            "e5-small-v2",
            "e5-base-v2",
            "e5-large-v2",
            "multilingual-e5-small",
            "multilingual-e5-base",
            "multilingual-e5-large",
            "multilingual-e5-large-instruct",
            "gte-small",
            "gte-base",
            "gte-large",
            "gte-Qwen2-1.5B-instruct",
            "gte-Qwen2-7B-instruct",
            "nomic-embed-text-v2-moe",
            "modernbert-embed-base",
            "snowflake-arctic-embed-xs",
            "snowflake-arctic-embed-s",
            "snowflake-arctic-embed-m-v1.5",
            "jina-embeddings-v3",
        ];
        assert_eq!(that(Some(true)), looked_up, "of all others nobody knows");
        for row in table.iter().filter(|row| row.normalizes.is_some()) {
            let printed = ["modules", "length 1"].iter().any(|words| row.source.contains(words));
            assert!(printed, "{}: {}", row.name, row.source);
        }
        assert_eq!(that(Some(false)), ["paraphrase-multilingual-MiniLM-L12-v2"]);
        assert!(table.iter().all(|row| !row.reranks || row.normalizes.is_none()));
        let normed: Vec<&KnownModel> = table.iter().filter(|row| row.layer_norm_before_cut).collect();
        assert!(normed.iter().all(|row| !row.matryoshka.is_empty()), "what is not cut has no norm before");
        let normed: Vec<&str> = normed.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(normed, ["nomic-embed-text-v1.5"], "of these the model card says so");
        // Every row is found by its own name and by its repository's.
        for model in table {
            let repository = model.source.split(' ').next().expect("an address");
            let path = repository.strip_prefix("https://huggingface.co/").expect("of the hub");
            for name in [model.name.as_str(), path, &path.replace('/', "_"), &format!("{} Q8_0", model.name)]
            {
                assert!(model.is_named(name), "{} by {name}", model.name);
                let others = table.iter().filter(|other| other.is_named(name)).count();
                assert_eq!(others, 1, "{name}");
            }
        }
    }

    #[test]
    fn files_are_known_by_name_and_shape() {
        let gguf = |name: &str, layers: u32, dim: u32| {
            let key = |key: &str| format!("bert.{key}");
            let bytes = gguf::Writer::new()
                .metadata("general.architecture", "bert")
                .metadata("general.name", name)
                .metadata(key("block_count"), layers)
                .metadata(key("embedding_length"), dim)
                .metadata(key("context_length"), 512u32)
                .metadata(key("feed_forward_length"), 4 * dim)
                .metadata(key("attention.head_count"), dim / 32)
                .metadata(key("attention.layer_norm_epsilon"), 1e-12f32)
                .to_bytes()
                .expect("a file");
            gguf::Gguf::from_bytes(bytes).expect("it opens")
        };
        let found = |name: &str, layers, dim| {
            let config = encoder::describe(&gguf(name, layers, dim)).expect("a network");
            KnownModel::find(name, &config).map(|known| known.name.as_str())
        };
        assert_eq!(found("Bge Small En v1.5", 12, 384), Some("bge-small-en-v1.5"));
        assert_eq!(found("multilingual-e5-small", 12, 384), Some("multilingual-e5-small"));
        assert_eq!(found("intfloat_e5_small_v2", 12, 384), Some("e5-small-v2"));
        assert_eq!(found("snowflake-arctic-embed-m-v1.5", 12, 768), Some("snowflake-arctic-embed-m-v1.5"));
        assert_eq!(found("snowflake-arctic-embed-m", 12, 768), Some("snowflake-arctic-embed-m"));
        assert_eq!(found("bge-reranker-base", 12, 768), Some("bge-reranker-base"));
        for name in
            ["thenlper/gte-base", "thenlper_gte-base", "GTE Base", "gte-base-Q4_K_M.gguf", "gte-base f16"]
        {
            assert_eq!(found(name, 12, 768), Some("gte-base"), "{name}");
        }
        // Other models, whose names hold the name of one that is known.
        for name in [
            "gte-base-zh",
            "gte-base-en-v1.5",
            "my-gte-base",
            "gte-base-finetuned",
            "someone_gte-base",
            "gte-base-1",
            "gte-base-nl",
        ] {
            assert_eq!(found(name, 12, 768), None, "{name}");
        }
        assert_eq!(found("bge-m3-unsupervised", 24, 1024), None);
        assert_eq!(found("all-MiniLM-L6-v2-onnx", 6, 384), None);
        for name in ["gte-base-IQ4_NL", "gte-base.Q8_0.gguf", "gte-base-IQ2_XS", "gte-base-qat-Q4_0"] {
            assert_eq!(found(name, 12, 768), Some("gte-base"), "{name}");
        }
        // A letter at the end may be the model's own.
        let arctic = found("snowflake-arctic-embed-m-Q4_K_M", 12, 768);
        assert_eq!(arctic, Some("snowflake-arctic-embed-m"));
        assert_eq!(found("bge-small-en-v1.5", 6, 384), None, "another shape is another model");
        assert_eq!(found("my own model", 12, 384), None);
    }
}
