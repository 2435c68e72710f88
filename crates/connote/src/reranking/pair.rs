//! From a query and a document to the token ids that a reranker reads.

use tokenizer::{Cut, Kind, SpecialTokens, Tokenizer};

use crate::error::{Error, ErrorKind};
use crate::prepare::Prepared;
use crate::request::Truncation;

/// How a model has its pairs. In neither form can a text become a special token: whatever a document holds, it stays the
/// document.
pub(crate) enum PairFormat {
    /// Special tokens around and between the two texts, each of which is tokenized by itself.
    Joined,
    /// A text of the model's own with a place for each of the two.
    Template(Vec<Piece>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A mark. Text on its two sides is tokenized apart; all other pieces run together, as in the authors' stacks.
    Token(u32),
    Text(String),
    Query,
    Document,
}

const QUERY: &str = "{query}";
const DOCUMENT: &str = "{document}";

impl PairFormat {
    /// The form of a template, if there is one.
    pub(crate) fn new(tokenizer: &Tokenizer, template: Option<&str>) -> Result<Self, Error> {
        let Some(mut rest) = template else { return Ok(PairFormat::Joined) };
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let next = [(QUERY, Piece::Query), (DOCUMENT, Piece::Document)]
                .into_iter()
                .filter_map(|(place, piece)| Some((rest.find(place)?, place, piece)))
                .min_by_key(|(at, ..)| *at);
            let (at, place) = next.as_ref().map_or((rest.len(), ""), |(at, place, _)| (*at, place));
            pieces.extend(tokenizer.cut_at_marks(&rest[..at]).into_iter().map(|cut| match cut {
                Cut::Token(id) => Piece::Token(id),
                Cut::Text(text) => Piece::Text(text.to_owned()),
            }));
            rest = &rest[at + place.len()..];
            pieces.extend(next.map(|(.., piece)| piece));
        }
        let count = |wanted: &Piece| pieces.iter().filter(|piece| *piece == wanted).count();
        if count(&Piece::Query) != 1 || count(&Piece::Document) != 1 {
            let message = "key `tokenizer.chat_template.rerank` has not one place each for {query} and {document}; the file \
                           is damaged or its template is of another kind";
            return Err(Error::new(ErrorKind::UnsupportedModel, message));
        }
        Ok(PairFormat::Template(pieces))
    }

    /// What one query's pairs have in common, so that it is tokenized once.
    pub(crate) fn query<'a>(&self, tokenizer: &'a Tokenizer, query: &str) -> Query<'a> {
        let pieces = match self {
            PairFormat::Joined => {
                let ids = tokenizer.encode(query, SpecialTokens::PlainText);
                let before = [tokenizer.prefix(), &ids, tokenizer.between()].concat();
                let after = tokenizer.suffix().to_vec();
                return Query { before, after, ..Query::new(tokenizer, SpecialTokens::PlainText) };
            }
            PairFormat::Template(pieces) => pieces,
        };
        // User-defined tokens of byte-level BPE (`<think>`) are marks of the template; those of other kinds are text themselves.
        let special = match tokenizer.kind() {
            Kind::Bpe => SpecialTokens::Verbatim,
            _ => SpecialTokens::PlainText,
        };
        let mut parts = Query::new(tokenizer, special);
        let (mut run, mut is_behind) = (String::new(), false);
        for piece in pieces {
            match piece {
                Piece::Text(text) => run.push_str(text),
                Piece::Query => run.push_str(query),
                Piece::Document => {
                    parts.head = std::mem::take(&mut run);
                    is_behind = true;
                }
                Piece::Token(id) => {
                    parts.end_run(std::mem::take(&mut run), is_behind);
                    if is_behind { parts.after.push(*id) } else { parts.before.push(*id) }
                }
            }
        }
        parts.end_run(run, is_behind);
        parts
    }
}

/// A query, ready for its documents.
pub(crate) struct Query<'a> {
    tokenizer: &'a Tokenizer,
    /// How text is tokenized.
    special: SpecialTokens,
    before: Vec<u32>,
    /// Text that the document follows without a mark between.
    head: String,
    /// Text that follows the document likewise.
    tail: String,
    after: Vec<u32>,
}

impl<'a> Query<'a> {
    fn new(tokenizer: &'a Tokenizer, special: SpecialTokens) -> Self {
        let (head, tail) = (String::new(), String::new());
        Self { tokenizer, special, before: Vec::new(), head, tail, after: Vec::new() }
    }

    /// A run of text between marks. The first behind the document is what follows it.
    fn end_run(&mut self, run: String, is_behind: bool) {
        let ids = |run: &str| self.tokenizer.encode(run, self.special);
        match is_behind {
            true if self.after.is_empty() => self.tail = run,
            true => self.after.extend(ids(&run)),
            false => self.before.extend(ids(&run)),
        }
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, self.special)
    }

    /// Whether there is room for a document beside the query.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn check(&self, limit: usize) -> Result<(), Error> {
        let (head, tail) = (self.encode(&self.head).len(), self.encode(&self.tail).len());
        let tokens = self.before.len() + head + tail + self.after.len();
        if tokens < limit {
            return Ok(());
        }
        let message = format!(
            "the query takes {tokens} tokens with what goes around it, and the limit of a pair is {limit}, so no room is left \
             for a document; shorten the query, which is never cut"
        );
        Err(Error::new(ErrorKind::TooLong, message))
    }

    /// The ids of the pair with a document, of which alone is cut what does not fit. The limit was [checked](Self::check).
    ///
    /// # Errors
    /// If the pair is too long under [`Truncation::Error`], or has no tokens.
    pub(crate) fn with(
        &self,
        document: &str,
        limit: usize,
        truncation: Truncation,
    ) -> Result<Prepared, Error> {
        let body = self.encode(&[&self.head, document, &self.tail].concat());
        let around = self.before.len() + self.after.len();
        let tokens = around + body.len();
        if tokens == 0 {
            let message = "query and document give no tokens, and the model adds none of its own";
            return Err(Error::new(ErrorKind::NoTokens, message));
        }
        if tokens <= limit {
            return Ok(Prepared { ids: [&self.before[..], &body, &self.after].concat(), truncated: false });
        }
        if truncation == Truncation::Error {
            let message = format!(
                "the document and its query have {tokens} tokens and the limit is {limit}; shorten the document, or let it be \
                 cut"
            );
            return Err(Error::new(ErrorKind::TooLong, message));
        }
        let tail = self.encode(&self.tail);
        let mut body = self.encode(&[&self.head, document].concat());
        let room = limit.saturating_sub(around + tail.len());
        if truncation == Truncation::Start {
            // The last of the head's tokens may have joined the document's first; then that stays.
            let head = self.encode(&self.head);
            let common = head.iter().zip(&body).take_while(|(a, b)| a == b).count();
            let kept = if common == head.len() { common } else { common + 1 };
            let surplus = body.len().saturating_sub(room);
            body.drain(kept..(kept + surplus).min(body.len()));
        }
        body.truncate(room);
        Ok(Prepared { ids: [&self.before[..], &body, &tail, &self.after].concat(), truncated: true })
    }
}
