//! The architectures: one declaration each, one line each in the registry.

mod bert;
mod gemma;
mod jina;
mod llama;
mod modern;
mod neo;
mod nomic;
mod qwen;
mod t5;

use gguf::Gguf;

use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::keys::Keys;

/// An architecture: the name files call it by, and how its keys become axes.
pub(crate) struct Architecture {
    name: &'static str,
    describe: fn(&Keys<'_>) -> Result<Config, Error>,
}

const ARCHITECTURES: &[Architecture] = &[
    bert::BERT,
    llama::EUROBERT,
    gemma::GEMMA_EMBEDDING,
    gemma::GEMMA3,
    jina::JINA_BERT_V2,
    jina::JINA_BERT_V3,
    llama::LLAMA,
    llama::LLAMA_EMBED,
    modern::MODERN_BERT,
    neo::NEO_BERT,
    nomic::NOMIC_BERT,
    nomic::NOMIC_BERT_MOE,
    qwen::QWEN2,
    qwen::QWEN3,
    t5::T5_ENCODER,
];

/// Names of the architectures that can be run, as `general.architecture` has them.
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    ARCHITECTURES.iter().map(|architecture| architecture.name)
}

/// Reads a file's keys into a plain description of its network. No tensor is read.
///
/// # Errors
/// If the architecture is not known, or a key is missing or makes no sense.
pub fn describe(gguf: &Gguf) -> Result<Config, Error> {
    let key = "general.architecture";
    let metadata = gguf.metadata();
    let name = metadata.str(key)?.ok_or_else(|| Error::key(key, "is missing; the file holds no model"))?;
    let architecture = ARCHITECTURES.iter().find(|a| a.name == name).ok_or_else(|| {
        let known: Vec<&str> = names().collect();
        let message = format!("architecture `{name}` is not supported; connote runs {}", known.join(", "));
        Error::new(ErrorKind::UnknownArchitecture, message)
    })?;
    let keys = Keys::new(gguf, architecture.name);
    let config = (architecture.describe)(&keys)?;
    check(&config)?;
    keys.refuse_unread(&config)?;
    Ok(config)
}

/// What must hold of every architecture, whatever its keys said.
fn check(config: &Config) -> Result<(), Error> {
    let wrong = |key: &str, what: String| Err(Error::key(&format!("{}.{key}", config.architecture), what));
    if config.layers.len() > 512 {
        return wrong(
            "block_count",
            format!("is {} or more; at most 512 layers make sense", config.layers.len()),
        );
    }
    if !config.heads.is_multiple_of(config.kv_heads) {
        let what = format!("{} heads cannot share {} key heads evenly", config.heads, config.kv_heads);
        return wrong("attention.head_count_kv", what);
    }
    Ok(())
}
