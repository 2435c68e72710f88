//! What the rows of a text are of: its tokens, and where they come from.

use std::ops::Range;

/// A token that the network reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Where it comes from.
    pub source: TokenSource,
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// The model: a mark around every text, such as `[CLS]`.
    Special,
    /// The prompt before the text.
    Prompt,
    /// The text: these bytes of it, which begin and end between characters
    /// ([`Tokenizer::encode_with_offsets`](tokenizer::Tokenizer::encode_with_offsets) says more).
    Text(Range<usize>),
    /// The caller, who gave ids instead of a text.
    Id,
}

impl TokenSource {
    /// The bytes of the text that it comes from.
    pub fn bytes(&self) -> Option<Range<usize>> {
        match self {
            TokenSource::Text(bytes) => Some(bytes.clone()),
            TokenSource::Special | TokenSource::Prompt | TokenSource::Id => None,
        }
    }
}

impl From<(u32, TokenSource)> for Token {
    fn from((id, source): (u32, TokenSource)) -> Self {
        Self { id, source }
    }
}
