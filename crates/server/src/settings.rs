//! What an operator sets.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// How a server behaves; the default is what `connote serve` does without flags.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes that a request's body may have.
    pub body_limit: usize,
    /// Bytes of the vectors of one answer: four a value, of as many values as the model gives. A request for more is refused.
    pub answer_limit: usize,
    /// Tokens that one request may have; one with more is refused.
    pub request_tokens: usize,
    /// Bytes of bodies and answers that may be at hand at once; a request that finds others and would go past it is told to
    /// come back. Up to 16 KiB of each are not counted.
    pub held_limit: usize,
    /// How long a request may take, from its last byte to the first of its answer.
    pub request_timeout: Duration,
    /// How long a client may take to send the head of a request, and how long it may send nothing of a body or read nothing of an
    /// answer; then its connection ends.
    pub client_timeout: Duration,
    /// Tokens that may wait or be computed at once, of each priority; a request that finds others and would go past it is
    /// told to come back.
    pub queue_tokens: usize,
    /// Keys of which a request must have one; none: anybody may ask. [`Service::set_api_keys`](crate::Service::set_api_keys)
    /// changes them.
    pub api_keys: Vec<String>,
    /// Origins whose pages may ask, `*` for all.
    pub cors_origins: Vec<String>,
    /// Whose shape `POST /embeddings` answers `input` in.
    pub dialect: EmbeddingsDialect,
    /// What token ids mean on OpenAI's route, where the request does not say.
    pub token_ids: TokenIds,
    /// Where OpenAI's files and batches are kept, which one server at a time may; without it there are none.
    pub batch_folder: Option<PathBuf>,
    /// Bytes that one of those files may have.
    pub batch_file_limit: u64,
    /// Bytes that they may have together, those of results with them.
    pub batch_folder_limit: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_limit: 64 << 20,
            answer_limit: 512 << 20,
            request_tokens: 1 << 22,
            held_limit: 1 << 30,
            request_timeout: Duration::from_secs(600),
            client_timeout: Duration::from_secs(30),
            queue_tokens: 1 << 18,
            api_keys: Vec::new(),
            cors_origins: Vec::new(),
            dialect: EmbeddingsDialect::default(),
            token_ids: TokenIds::default(),
            batch_folder: None,
            batch_file_limit: 200 << 20,
            batch_folder_limit: 20 << 30,
        }
    }
}

/// Whose shape `POST /embeddings`, which two protocols have, answers in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmbeddingsDialect {
    /// OpenAI's.
    #[default]
    OpenAi,
    /// llama-server's.
    Llama,
}

/// What token ids in place of a text mean on OpenAI's route. Its clients may send ids of OpenAI's vocabulary, which are other
/// words in any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenIds {
    /// They are refused.
    #[default]
    Reject,
    /// They are of the model's own vocabulary.
    Model,
}
