//! Which model was measured.

use connote::{Embedder, Options};
use serde::Serialize;

use crate::failure::Failure;

/// What tells a model from others, and how much work a token is.
#[derive(Debug, Serialize)]
pub(crate) struct ModelFacts {
    pub(crate) name: String,
    /// `None` for the built-in one.
    pub(crate) path: Option<String>,
    /// Of whole vectors without a prompt.
    pub(crate) fingerprint: String,
    pub(crate) dimensions: usize,
    pub(crate) max_tokens: usize,
    /// Of the layers' weights.
    pub(crate) macs_a_token: u64,
    /// What they run in, the most multiply-adds first.
    pub(crate) layouts: Vec<LayoutShare>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LayoutShare {
    pub(crate) layout: &'static str,
    pub(crate) macs_a_token: u64,
}

impl ModelFacts {
    /// Reads the whole file for its fingerprint, unless that is cached.
    pub(crate) fn of(embedder: &Embedder) -> Result<Self, Failure> {
        let (model, encoder) = (embedder.model(), embedder.encoder());
        let layouts = encoder.layouts().into_iter();
        Ok(Self {
            name: model.name().to_owned(),
            path: model.path().map(|path| path.display().to_string()),
            fingerprint: embedder.fingerprint(&Options::new())?.to_string(),
            dimensions: embedder.dimensions(),
            max_tokens: model.max_tokens(),
            macs_a_token: encoder.macs_a_token(),
            layouts: layouts
                .map(|(layout, macs_a_token)| LayoutShare { layout: layout.name(), macs_a_token })
                .collect(),
        })
    }
}
