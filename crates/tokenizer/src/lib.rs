//! Text to token ids as the model authors do it, from the tables in a GGUF file.
//!
//! Four kinds of tokenizer are built: SentencePiece BPE (Gemma), WordPiece (BERT), Unigram (XLM-RoBERTa) and BPE by
//! merges (ModernBERT, Qwen). The measure is the Hugging Face tokenizer of the model: ids are equal for every text, also
//! where other engines differ.
//!
//! ```no_run
//! use connote_tokenizer::{SpecialTokens, Tokenizer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = gguf::Gguf::open("models/all-MiniLM-L6-v2-Q8_0.gguf")?;
//! let tokenizer = Tokenizer::from_metadata(file.metadata())?;
//! let ids = tokenizer.encode("hello world", SpecialTokens::Parse);
//! let input = [tokenizer.prefix(), &ids, tokenizer.suffix()].concat();
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod algorithm;
mod bert_normalizer;
mod bert_tables;
mod bpe;
mod byte_alphabet;
mod char_class;
mod charsmap;
mod decode;
mod error;
mod load;
mod merge;
mod merge_index;
mod nfc;
mod offsets;
mod pair_merge;
mod pairs;
mod pre_tokenizer;
mod scan;
mod seams;
mod sentencepiece;
mod special;
mod trie;
mod unicode_tables;
mod unigram;
mod vocabulary;
mod wordpiece;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use algorithm::{Algorithm, Ends};
use offsets::{Ids, Origins, Sink, WithOffsets};
use special::{Fragment, SpecialTexts};
use vocabulary::Vocabulary;

pub use error::{Error, ErrorKind};
pub use vocabulary::TokenType;

/// The algorithm of a tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// SentencePiece byte-pair encoding with byte fallback (`llama` in GGUF): Gemma, Llama 2, Mistral.
    SentencePieceBpe,
    /// WordPiece over BERT's normalisation (`bert` in GGUF): MiniLM, BGE, E5, GTE.
    WordPiece,
    /// SentencePiece Unigram (`t5` in GGUF): XLM-RoBERTa, BGE-M3, multilingual E5, T5.
    Unigram,
    /// Byte-pair encoding by a list of merges, nearly always of bytes (`gpt2` in GGUF): RoBERTa, ModernBERT, Qwen,
    /// Llama 3.
    Bpe,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::SentencePieceBpe => "SentencePiece BPE",
            Kind::WordPiece => "WordPiece",
            Kind::Unigram => "Unigram",
            Kind::Bpe => "BPE",
        })
    }
}

/// What the texts of special tokens (`[SEP]`, `<eos>`) in the input mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpecialTokens {
    /// They are those tokens, as in the authors' tokenizers.
    #[default]
    Parse,
    /// They are text like any other: control tokens never come out of a text. User-defined tokens, which
    /// are text themselves (runs of newlines, HTML tags), still do.
    PlainText,
}

/// How texts are tokenized that stand in a form with marks of its own: see [`Tokenizer::form`].
pub struct Form {
    /// The ids of the form, which no text gives.
    marks: Vec<u32>,
    /// User-defined tokens that are found in the raw text.
    raw: SpecialTexts,
    /// Those that byte-level BPE finds in the normalised text.
    normalized: Option<SpecialTexts>,
}

/// Which tokens a text may give beside those of its words.
struct Rules<'a> {
    /// Those that are found in the raw text.
    raw: &'a SpecialTexts,
    /// Whether marks are among them.
    marks: bool,
    /// Those that it never gives.
    withheld: &'a [u32],
    /// What byte-level BPE finds in the normalised text, where that is not all of its user-defined tokens.
    normalized: Option<&'a SpecialTexts>,
}

/// A part of a text that was cut at its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut<'a> {
    /// Ordinary text, never empty.
    Text(&'a str),
    /// A special or user-defined token.
    Token(u32),
}

#[derive(Debug, Clone, Copy, Default)]
struct SpecialIds {
    bos: Option<u32>,
    eos: Option<u32>,
    unk: Option<u32>,
    sep: Option<u32>,
    pad: Option<u32>,
    mask: Option<u32>,
}

/// Text to token ids and back. Immutable: share it between threads freely.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    algorithm: Algorithm,
    /// Found in raw text with [`SpecialTokens::Parse`].
    marks: SpecialTexts,
    /// Found in raw text with [`SpecialTokens::PlainText`].
    user_defined: SpecialTexts,
    special: SpecialIds,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    between: Vec<u32>,
}

/// How the text of a token is looked for in texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// In the normalised text; else in the text as it is.
    pub normalized: bool,
    /// White space before it belongs to it.
    pub takes_spaces: bool,
}

impl Tokenizer {
    /// Builds the tokenizer that a GGUF file describes (`tokenizer.ggml.*`).
    ///
    /// # Errors
    /// A kind that is not supported, a key that is missing, or tables that contradict each other; the
    /// error names the key.
    pub fn from_metadata(metadata: &gguf::Metadata) -> Result<Tokenizer, Error> {
        let kind = load::kind(metadata)?;
        let vocabulary = load::vocabulary(metadata, kind)?;
        let special = load::special_ids(metadata, kind, &vocabulary)?;
        let (algorithm, Ends { prefix, suffix }) = Algorithm::load(metadata, kind, &vocabulary, &special)?;
        let raw = |id: &u32| {
            algorithm.finds_user_defined_first() || vocabulary.token_type(*id) != Some(TokenType::UserDefined)
        };
        let texts = |marks: bool| {
            let ids =
                vocabulary.ids().filter(|&id| SpecialTexts::applies(&vocabulary, id, marks)).filter(raw);
            SpecialTexts::new(ids.map(|id| (special_text(&vocabulary, kind, id).into(), id)))
        };
        let mask = special.mask.filter(|_| algorithm.mask_takes_spaces());
        let (marks, user_defined) = (texts(true).taking_spaces(mask), texts(false));
        let between = pairs::between(metadata, kind, &special, &suffix)?;
        Ok(Tokenizer { vocabulary, algorithm, marks, user_defined, special, prefix, suffix, between })
    }

    /// The ids of a text, without what [`Tokenizer::prefix`] and [`Tokenizer::suffix`] add. Never fails: what has
    /// no token becomes bytes or the unknown token (or, in byte-level BPE, nothing, as with its authors).
    pub fn encode(&self, text: &str, special: SpecialTokens) -> Vec<u32> {
        self.ids(text, &self.rules(special), usize::MAX)
    }

    /// The first ids of [`Tokenizer::encode`], for a text that will be cut: at least `enough` of them if there are as many,
    /// else all. What of a long text lies behind them is hardly looked at: nothing but normalised, and in Unigram the rest of a
    /// word, which where no spaces are written is all of the text.
    pub fn encode_first(&self, text: &str, special: SpecialTokens, enough: usize) -> Vec<u32> {
        self.ids(text, &self.rules(special), enough)
    }

    /// The ids of [`Tokenizer::encode`], and for each the bytes of `text` that it comes from, as Hugging Face's `offsets`
    /// have them, in bytes instead of characters. It costs more time than the ids alone.
    ///
    /// A range begins and ends between characters of `text`, and is never empty. Ranges overlap where several ids come
    /// from one character: its bytes, or a space that was put before a text, which comes from the first character.
    /// What normalisation drops (white space, controls, accents) may lie within no range. With `mask` tokens that take
    /// the spaces before them, these belong to the range.
    pub fn encode_with_offsets(&self, text: &str, special: SpecialTokens) -> (Vec<u32>, Vec<Range<usize>>) {
        let mut tokens = WithOffsets::default();
        self.encode_into(text, &self.rules(special), &mut tokens);
        (tokens.ids, tokens.offsets)
    }

    /// For texts that stand between these ids: special tokens of a pair, marks of a template.
    pub fn form(&self, marks: impl IntoIterator<Item = u32>) -> Form {
        let mut marks: Vec<u32> = marks.into_iter().collect();
        marks.sort_unstable();
        marks.dedup();
        let (raw, normalized) = match &self.algorithm {
            // In raw text they are marks like those of templates (`<think>`); in normalised text, runs of spaces and the like. In
            // vocabularies of SentencePiece's they are pieces of text (line breaks, `<table>`).
            Algorithm::Bpe(bpe) if !bpe.pre().escapes_spaces => (
                SpecialTexts::new(std::iter::empty()),
                Some(bpe.user_defined_without(&self.vocabulary, &marks)),
            ),
            _ => (self.user_defined.without(&marks), None),
        };
        Form { marks, raw, normalized }
    }

    /// The ids of a text inside a form: as [`SpecialTokens::PlainText`], and whatever the text, none of the form's marks, of
    /// whichever type the file says they are.
    pub fn encode_in(&self, form: &Form, text: &str) -> Vec<u32> {
        let Form { marks, raw, normalized } = form;
        let rules = Rules { raw, marks: false, withheld: marks, normalized: normalized.as_ref() };
        self.ids(text, &rules, usize::MAX)
    }

    /// How the text of a mark or of a user-defined token is looked for; `None` for tokens that pieces of text become.
    pub fn looks_for(&self, id: u32) -> Option<Search> {
        let is_looked_for = SpecialTexts::applies(&self.vocabulary, id, true);
        let user_defined = self.token_type(id) == Some(TokenType::UserDefined);
        is_looked_for.then(|| Search {
            normalized: user_defined && !self.algorithm.finds_user_defined_first(),
            takes_spaces: self.special.mask == Some(id) && self.algorithm.mask_takes_spaces(),
        })
    }

    fn rules(&self, special: SpecialTokens) -> Rules<'_> {
        let (raw, marks) = match special {
            SpecialTokens::Parse => (&self.marks, true),
            SpecialTokens::PlainText => (&self.user_defined, false),
        };
        Rules { raw, marks, withheld: &[], normalized: None }
    }

    fn ids(&self, text: &str, rules: &Rules<'_>, enough: usize) -> Vec<u32> {
        // Tokens of running text have 3 to 4 bytes; a short vector grows, a long one is not oversized.
        let ids = Vec::with_capacity((text.len() / 4 + 1).min(enough));
        let mut ids = Ids { ids, enough };
        self.encode_into(text, rules, &mut ids);
        ids.ids
    }

    fn encode_into<S: Sink>(&self, text: &str, rules: &Rules<'_>, ids: &mut S) {
        let &Rules { raw, marks, withheld, normalized } = rules;
        let vocabulary = &self.vocabulary;
        match &self.algorithm {
            Algorithm::SentencePiece(pieces) => {
                let mut scratch = sentencepiece::Scratch::default();
                by_fragments(raw, text, ids, |text, at, ids| {
                    pieces.encode(vocabulary, text, withheld, at, &mut scratch, ids);
                });
            }
            Algorithm::WordPiece(words) => {
                let mut scratch = wordpiece::Scratch::default();
                by_fragments(raw, text, ids, |text, at, ids| {
                    words.encode(vocabulary, text, withheld, at, &mut scratch, ids);
                });
            }
            Algorithm::Unigram(unigram) => {
                let mut scratch = unigram::Scratch::default();
                by_fragments(raw, text, ids, |text, at, ids| {
                    unigram.encode(text, (marks, withheld), at, &mut scratch, ids);
                });
            }
            Algorithm::Bpe(bpe) => {
                let mut scratch = bpe::Scratch::default();
                by_fragments(raw, text, ids, |text, at, ids| {
                    bpe.encode(text, normalized, at, &mut scratch, ids);
                });
            }
        }
    }

    /// Readable text of ids; marks such as `[CLS]` are left out, ids beyond the vocabulary too, and the space that encoding put
    /// before a text. Several spaces that a text began with stay, where Hugging Face's decoders drop one of them.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.algorithm {
            Algorithm::SentencePiece(pieces) => decode::sentencepiece(&self.vocabulary, ids, pieces.prefix()),
            Algorithm::WordPiece(_) => decode::wordpiece(&self.vocabulary, ids),
            Algorithm::Unigram(unigram) => decode::sentencepiece(&self.vocabulary, ids, unigram.prefix()),
            Algorithm::Bpe(bpe) => decode::bpe(&self.vocabulary, bpe, ids),
        }
    }

    /// A text cut at the texts of special and user-defined tokens, of whichever kind: for templates. User-defined tokens that
    /// are blank are text.
    pub fn cut_at_marks<'a>(&self, text: &'a str) -> Vec<Cut<'a>> {
        let mut cuts = Vec::new();
        let vocabulary = &self.vocabulary;
        let is_blank = |text: &str| text.chars().all(|c| c.is_whitespace() || c == sentencepiece::SPACE);
        let ids = vocabulary.ids().filter(|&id| SpecialTexts::applies(vocabulary, id, true));
        let texts = ids.map(|id| (special_text(vocabulary, self.kind(), id), id));
        let marks = texts.filter(|(text, _)| !is_blank(text)).map(|(text, id)| (text.into(), id));
        let mask = self.special.mask.filter(|_| self.algorithm.mask_takes_spaces());
        SpecialTexts::new(marks).taking_spaces(mask).split(text, |fragment, _| {
            cuts.push(match fragment {
                Fragment::Text(text) => Cut::Text(text),
                Fragment::Token(id) => Cut::Token(id),
            });
        });
        cuts
    }

    /// What goes between two texts that are read as a pair, whose first has [`prefix`](Self::prefix) before it and whose
    /// second has [`suffix`](Self::suffix) behind it. Empty where the file says of nothing that could.
    pub fn between(&self) -> &[u32] {
        &self.between
    }

    /// What goes before a single text: BOS, `[CLS]`, or nothing.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// What goes after a single text: EOS, `[SEP]`, or nothing.
    pub fn suffix(&self) -> &[u32] {
        &self.suffix
    }

    /// Number of tokens; every id is below it.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The text of a token as the authors print it: `##ing`, `▁hello`, `<0x0A>`.
    pub fn piece(&self, id: u32) -> Option<Cow<'_, str>> {
        let text = self.vocabulary.get(id)?;
        if self.kind() != Kind::WordPiece {
            return Some(Cow::Borrowed(text));
        }
        let normal = matches!(self.token_type(id), Some(TokenType::Normal | TokenType::Unused));
        Some(match wordpiece::start_of_word(text) {
            Some(start) => Cow::Borrowed(start),
            None if normal => Cow::Owned(format!("##{text}")),
            None => Cow::Borrowed(text),
        })
    }

    /// The bytes that a token stands for in running text, a space first where it begins a word; of a mark, its name. A byte
    /// token alone need not be UTF-8.
    pub fn bytes(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        let text = self.vocabulary.get(id)?;
        if let Algorithm::Bpe(bpe) = &self.algorithm {
            return Some(Cow::Borrowed(bpe.bytes(id)));
        }
        Some(match self.token_type(id) {
            Some(TokenType::Byte) => match sentencepiece::byte_of(text) {
                Some(byte) => Cow::Owned(vec![byte]),
                None => Cow::Borrowed(text.as_bytes()),
            },
            Some(TokenType::Normal | TokenType::UserDefined) => {
                Cow::Owned(text.replace(sentencepiece::SPACE, " ").into_bytes())
            }
            _ => Cow::Borrowed(text.as_bytes()),
        })
    }

    /// The algorithm.
    pub fn kind(&self) -> Kind {
        self.algorithm.kind()
    }

    /// What a token is for.
    pub fn token_type(&self, id: u32) -> Option<TokenType> {
        self.vocabulary.token_type(id)
    }

    /// Beginning of text; `[CLS]` for WordPiece.
    pub fn bos(&self) -> Option<u32> {
        self.special.bos
    }

    /// End of text.
    pub fn eos(&self) -> Option<u32> {
        self.special.eos
    }

    /// What stands for text that has no token.
    pub fn unk(&self) -> Option<u32> {
        self.special.unk
    }

    /// Separator of texts, `[SEP]`.
    pub fn sep(&self) -> Option<u32> {
        self.special.sep
    }

    /// Padding, which this engine never needs.
    pub fn pad(&self) -> Option<u32> {
        self.special.pad
    }

    /// The masked word of a masked language model.
    pub fn mask(&self) -> Option<u32> {
        self.special.mask
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("kind", &self.kind())
            .field("vocab_size", &self.vocab_size())
            .field("special", &self.special)
            .finish_non_exhaustive()
    }
}

/// The ids of special texts, and what `encode` makes of those between them, each with where it begins; until there are enough.
fn by_fragments<S: Sink>(
    special: &SpecialTexts,
    text: &str,
    ids: &mut S,
    mut encode: impl FnMut(&str, usize, &mut S),
) {
    special.split(text, |fragment, at| match fragment {
        _ if ids.is_full() => {}
        Fragment::Text(text) => encode(text, at.start, ids),
        Fragment::Token(id) => ids.push(id, || S::Origins::place(at)),
    });
}

/// The text by which a special token is found. GGUF sets U+2581 before all but the control tokens of BERT.
fn special_text(vocabulary: &Vocabulary, kind: Kind, id: u32) -> &str {
    let text = vocabulary.text(id);
    match kind {
        Kind::WordPiece if vocabulary.token_type(id) != Some(TokenType::Control) => {
            wordpiece::start_of_word(text).unwrap_or(text)
        }
        _ => text,
    }
}
