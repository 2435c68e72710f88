//! What a caller asks of a reranker.

use std::time::{Duration, Instant};

use crate::request::Truncation;
use crate::schedule::{CancellationToken, Priority, Schedule};

/// A query, the documents that are scored for it, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RankRequest {
    pub(crate) query: String,
    pub(crate) documents: Vec<String>,
    pub(crate) top_n: Option<usize>,
    pub(crate) label: Option<String>,
    pub(crate) truncation: Truncation,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) most_tokens: Option<usize>,
    pub(crate) schedule: Schedule,
}

impl RankRequest {
    /// These documents for this query: all of them ranked, the ends of those that are too long cut.
    pub fn new<T: Into<String>>(query: impl Into<String>, documents: impl IntoIterator<Item = T>) -> Self {
        let documents = documents.into_iter().map(Into::into).collect();
        Self { query: query.into(), documents, ..Self::default() }
    }

    /// Only the best of them; more than there are is all.
    pub fn top_n(mut self, top_n: usize) -> Self {
        self.top_n = Some(top_n);
        self
    }

    /// The label whose score counts, by its name, for models that give several
    /// ([`Reranker::labels`](crate::Reranker::labels)).
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to do with documents that are too long. The query is never cut. Default: [`Truncation::End`].
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// The limit of a pair in tokens, special tokens and the model's own words included, instead of the model's; at most its
    /// context length.
    pub fn max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = Some(max_tokens);
        self
    }

    /// The most tokens that all pairs together may have, the query counted with each document; default: any number. A query
    /// that is long for its many documents is refused before the pairs are made: for requests of strangers.
    pub fn most_tokens(mut self, most_tokens: usize) -> Self {
        self.most_tokens = Some(most_tokens);
        self
    }

    /// As [`Request::priority`](crate::Request::priority).
    pub fn priority(mut self, priority: Priority) -> Self {
        self.schedule.priority = Some(priority);
        self
    }

    /// As [`Request::deadline`](crate::Request::deadline).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.schedule.deadline = Some(deadline);
        self
    }

    /// As [`Request::timeout`](crate::Request::timeout).
    pub fn timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// As [`Request::cancellation`](crate::Request::cancellation).
    pub fn cancellation(mut self, token: &CancellationToken) -> Self {
        self.schedule.cancellation = Some(token.clone());
        self
    }
}
