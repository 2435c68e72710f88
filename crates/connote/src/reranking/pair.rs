//! From a query and a document to the token ids that a reranker reads.

use gguf::Metadata;
use tokenizer::{Cut, Form, Tokenizer};

use crate::error::{Error, ErrorKind};
use crate::prepare::Prepared;
use crate::request::Truncation;

/// How a model has its pairs. In neither form can a text become a special token: whatever a document holds, it stays the
/// document.
pub(crate) struct PairFormat {
    layout: Layout,
    /// The marks of the layout, which no text gives.
    form: Form,
}

enum Layout {
    /// Special tokens around and between the two texts, each of which is tokenized by itself.
    Joined,
    /// A text of the model's own with a place for each of the two.
    Template(Vec<Piece>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A mark. Text on its two sides is tokenized apart; text and texts run together, as in the authors' stacks.
    Token(u32),
    /// Nothing; yet text on its two sides is tokenized apart.
    Seam,
    Text(String),
    Query,
    Document,
}

/// The text of a pair, as llama.cpp has it, too.
const TEMPLATE: &str = "tokenizer.chat_template.rerank";
/// connote's own: the same text in the parts that its authors tokenize one by one.
const PARTS: &str = "tokenizer.chat_template.rerank.parts";

const QUERY: &str = "{query}";
const DOCUMENT: &str = "{document}";

impl PairFormat {
    /// Special tokens around and between the texts.
    pub(crate) fn joined(tokenizer: &Tokenizer) -> Self {
        let marks = [tokenizer.prefix(), tokenizer.between(), tokenizer.suffix()].concat();
        PairFormat { layout: Layout::Joined, form: tokenizer.form(marks) }
    }

    /// The form that a file states; without a template the joined one.
    pub(crate) fn stated(tokenizer: &Tokenizer, metadata: &Metadata) -> Result<Self, Error> {
        let whole = metadata.str(TEMPLATE)?;
        let parts = metadata.array(PARTS)?.map(|parts| {
            let texts = parts.strings().into_iter().flatten().map(std::str::from_utf8);
            texts.collect::<Result<Vec<&str>, _>>().unwrap_or_default()
        });
        match (whole, parts) {
            (None, None) => Ok(Self::joined(tokenizer)),
            (Some(whole), None) => Self::of_template(tokenizer, &[whole]),
            (Some(whole), Some(parts)) if parts.concat() == whole => Self::of_template(tokenizer, &parts),
            (_, Some(_)) => {
                let message =
                    format!("key `{PARTS}` is not the text of `{TEMPLATE}` in parts; the file is damaged");
                Err(Error::new(ErrorKind::UnsupportedModel, message))
            }
        }
    }

    /// The form of a template, whose parts are tokenized each by itself.
    pub(crate) fn of_template(tokenizer: &Tokenizer, parts: &[&str]) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        for part in parts {
            pieces.extend(pieces_of(tokenizer, part));
            pieces.push(Piece::Seam);
        }
        let count = |wanted: &Piece| pieces.iter().filter(|piece| *piece == wanted).count();
        if count(&Piece::Query) != 1 || count(&Piece::Document) != 1 {
            let message = "key `tokenizer.chat_template.rerank` has not one place each for {query} and {document}; the file \
                           is damaged or its template is of another kind";
            return Err(Error::new(ErrorKind::UnsupportedModel, message));
        }
        let marks = pieces.iter().filter_map(|piece| match piece {
            Piece::Token(id) => Some(*id),
            _ => None,
        });
        let form = tokenizer.form(marks);
        Ok(PairFormat { layout: Layout::Template(pieces), form })
    }

    /// Whether the two texts stand between special tokens alone.
    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.layout, Layout::Joined)
    }

    /// What one query's pairs have in common, so that it is tokenized once.
    pub(crate) fn query<'a>(&'a self, tokenizer: &'a Tokenizer, query: &str) -> Query<'a> {
        let mut parts = Query::new(tokenizer, &self.form);
        let pieces = match &self.layout {
            Layout::Joined => {
                let ids = parts.encode(query);
                let before = [tokenizer.prefix(), &ids, tokenizer.between()].concat();
                let after = tokenizer.suffix().to_vec();
                return Query { before, after, ..parts };
            }
            Layout::Template(pieces) => pieces,
        };
        let (mut run, mut place) = (String::new(), Place::Before);
        for piece in pieces {
            match piece {
                Piece::Text(text) => run.push_str(text),
                Piece::Query => run.push_str(query),
                Piece::Document => {
                    parts.head = std::mem::take(&mut run);
                    place = Place::Beside;
                }
                Piece::Seam => place = parts.end_run(std::mem::take(&mut run), place),
                Piece::Token(id) => {
                    place = parts.end_run(std::mem::take(&mut run), place);
                    if place == Place::Before { parts.before.push(*id) } else { parts.after.push(*id) }
                }
            }
        }
        parts.end_run(run, place);
        parts
    }
}

/// A template cut at its marks and places.
fn pieces_of(tokenizer: &Tokenizer, mut rest: &str) -> Vec<Piece> {
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
    pieces
}

/// More than a token of any language's running text has.
const BYTES_A_TOKEN: usize = 32;

/// # Errors
/// If the pairs of a call are more than it may have.
pub(crate) fn check_total(tokens: usize, most: usize) -> Result<(), Error> {
    if tokens <= most {
        return Ok(());
    }
    let message = format!(
        "the pairs of the request have {tokens} tokens or more, and the limit of a request is {most}; send the documents in \
         several requests"
    );
    Err(Error::new(ErrorKind::RequestTooLarge, message))
}

/// Where a run of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    /// It has the document in it.
    Beside,
    Behind,
}

/// A query, ready for its documents.
pub(crate) struct Query<'a> {
    tokenizer: &'a Tokenizer,
    /// Where the texts stand.
    form: &'a Form,
    before: Vec<u32>,
    /// Text that the document follows without a mark between.
    head: String,
    /// Text that follows the document likewise.
    tail: String,
    after: Vec<u32>,
}

impl<'a> Query<'a> {
    fn new(tokenizer: &'a Tokenizer, form: &'a Form) -> Self {
        let (head, tail) = (String::new(), String::new());
        Self { tokenizer, form, before: Vec::new(), head, tail, after: Vec::new() }
    }

    /// A run of text between marks or seams. Where the next one is.
    fn end_run(&mut self, run: String, place: Place) -> Place {
        match place {
            Place::Before => self.before.extend(self.encode(&run)),
            Place::Beside => self.tail = run,
            Place::Behind => self.after.extend(self.encode(&run)),
        }
        if place == Place::Before { place } else { Place::Behind }
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode_in(self.form, text)
    }

    /// Whether there is room for a document beside the query, and for as many as there are. `most` is the limit of all pairs
    /// together.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn check(&self, limit: usize, documents: usize, most: usize) -> Result<(), Error> {
        let (head, tail) = (self.encode(&self.head).len(), self.encode(&self.tail).len());
        let tokens = self.before.len() + head + tail + self.after.len();
        if tokens >= limit {
            let message = format!(
                "the query takes {tokens} tokens with what goes around it, and the limit of a pair is {limit}, so no room is left \
                 for a document; shorten the query, which is never cut"
            );
            return Err(Error::new(ErrorKind::TooLong, message));
        }
        // What is next to the document is read again with each; blanks and endless words have bytes and hardly a token.
        let again = tokens.max((self.head.len() + self.tail.len()) / BYTES_A_TOKEN);
        check_total(again.saturating_mul(documents), most)
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
