//! Text embeddings on ordinary CPUs: a GGUF file in, vectors out.
//!
//! ```no_run
//! let embedder = connote::Embedder::open("embeddinggemma-300m-Q8_0.gguf")?;
//! let embeddings = embedder.embed(["What is the capital of France?", "Paris."])?;
//! # Ok::<(), connote::Error>(())
//! ```
//!
//! With a task (which chooses the model's prompt), dimensions, and a title:
//!
//! ```no_run
//! use connote::{Embedder, Input, Request, Task};
//!
//! let embedder = Embedder::open("embeddinggemma-300m-dense-Q8_0.gguf")?;
//! let query = embedder.embed(Request::new(["plant garlic when?"]).task(Task::Query).dimensions(256))?;
//! let document = Input::new("In autumn, before the ground freezes.").title("Garlic");
//! let documents = embedder.embed(Request::new([document]).task(Task::Document).dimensions(256))?;
//! let likeness = connote::cosine_similarity(&query[0].vector, &documents[0].vector);
//! # Ok::<(), connote::Error>(())
//! ```
//!
//! # What is promised
//!
//! - Token ids are those of the model authors' tokenizer, vectors those of their own stack in fp32.
//! - A text's vector has the same bits whatever it is embedded with, in any order, on any number of threads.
//! - No vector that is zero or not finite is handed out: that text gets an error.
//!
//! # Edges
//!
//! - No texts give no vectors. An empty text is embedded as its special tokens alone, as the authors' stack
//!   does; a model that has none refuses it ([`ErrorKind::NoTokens`]). White space is what the tokenizer
//!   makes of it: nothing for WordPiece, tokens for SentencePiece.
//! - Texts longer than the limit are cut at the end, and say so ([`Embedding::truncated`]), unless
//!   [`Options::truncation`] says otherwise. Special tokens and prompt stay.
//! - NUL and other control characters are text like any other: what they become is the tokenizer's matter.
#![forbid(unsafe_code)]

mod adapter;
mod each;
mod embedder;
mod embedding;
mod engine;
mod error;
mod explain;
mod fingerprint;
pub mod jsonl;
mod known;
mod late;
mod model;
mod pending;
mod plan;
mod pool;
mod prepare;
mod prompts;
mod request;
mod reranking;
mod rounding;
mod schedule;
mod sentences;
mod similarity;
mod split;
mod task;
mod tokens;
mod tune;
mod tuning;
mod weight_hash;

pub use embedder::{Builder, Embedder};
pub use embedding::Embedding;
pub use encoder::Pooling;
pub use error::{Error, ErrorKind};
pub use explain::Explanation;
pub use fingerprint::Fingerprint;
pub use kernels::Level;
pub use known::{KnownModel, known_models};
pub use late::{Chunks, LateChunk};
pub use model::Model;
pub use pending::{Pending, PreparedCall};
pub use pool::Statistics;
pub use prepare::{Prepared, PreparedTokens};
pub use prompts::PromptTemplate;
pub use request::{Input, Norm, Options, Request, SpecialTokens, Truncation};
pub use reranking::{PendingScores, PreparedRanking, RankRequest, Ranked, Reranker, Score};
pub use rounding::{packed_signs, rounded_to_int8};
pub use schedule::{CancellationToken, Priority};
pub use similarity::cosine_similarity;
pub use split::Split;
pub use task::Task;
pub use tokens::{Token, TokenSource};
pub use tune::{Tuned, TunedCall};
pub use tuning::{Choice, CostModel, Parallelism, Policy, Preset, Shape, Tuning};

pub use weight_hash::default_cache;

/// The rooms below, for those who need more than vectors.
pub use {encoder, gguf, kernels, threads, tokenizer};
