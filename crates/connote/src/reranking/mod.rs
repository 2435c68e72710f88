//! Pairs of texts in, scores out: rerankers and classifiers of pairs.

mod pair;
mod request;
mod reranker;
mod score;

pub use request::RankRequest;
pub use reranker::{PendingScores, PreparedRanking, Reranker};
pub use score::{Ranked, Score};
