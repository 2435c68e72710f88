//! BPE by a list of merges (`tokenizer.ggml.model` = `gpt2`), as Hugging Face's tokenizers of GPT-2, RoBERTa, Qwen,
//! Llama 3 and ModernBERT do it: pieces by a regular expression, their bytes merged by rank.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use gguf::Metadata;

use crate::byte_alphabet;
use crate::char_class::Classes;
use crate::error::Error;
use crate::load::{self, MERGES};
use crate::nfc::nfc;
use crate::offsets::{Origins, Sink};
use crate::pair_merge::{MergeRanks, PairMerger};
use crate::pre_tokenizer::PreTokenizer;
use crate::sentencepiece::{SPACE, byte_of, byte_tokens, no_fallback};
use crate::special::{Fragment, SpecialTexts};
use crate::vocabulary::{PieceIndex, Texts, TokenType, Vocabulary};

/// The cutting and merging side of a BPE tokenizer.
pub(crate) struct Bpe {
    pre: PreTokenizer,
    lowercase: bool,
    /// Whether a space is put before every stretch of text that does not begin with one.
    space_prefix: bool,
    tokens: TokenBytes,
    /// The normal tokens, by their bytes.
    index: PieceIndex,
    /// Token of every byte that has one.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    ranks: MergeRanks,
    /// User-defined tokens that are looked for in the normalised text.
    user_defined: SpecialTexts,
    /// What merging makes of the bytes of a token, found out when it first occurs.
    fates: Vec<AtomicU8>,
    classes: &'static Classes,
}

/// Nobody has asked yet.
const OPEN: u8 = 0;
/// Merging gives the token back.
const WHOLE: u8 = 1;
/// Merging gives several other tokens.
const PARTS: u8 = 2;

impl Bpe {
    pub(crate) fn new(
        metadata: &Metadata,
        vocabulary: &Vocabulary,
        pre: PreTokenizer,
        unknown: Option<u32>,
    ) -> Result<Bpe, Error> {
        let tokens = TokenBytes::new(vocabulary, &pre);
        let normal = |id: &u32| vocabulary.token_type(*id) == Some(TokenType::Normal);
        let index = PieceIndex::new(&tokens, vocabulary.ids().filter(normal), 0);
        let bytes: Vec<Option<u32>> = if pre.byte_level {
            (0..=255u8).map(|byte| index.get(&tokens, &[byte])).collect()
        } else {
            byte_tokens(vocabulary)
        };
        if !pre.byte_level && bytes.contains(&None) && unknown.is_none() {
            return Err(no_fallback());
        }
        let user_defined = user_defined(vocabulary, &pre, &[]);
        Ok(Bpe {
            pre,
            lowercase: load::boolean(metadata, load::LOWERCASE)?.unwrap_or(false),
            space_prefix: pre.prefixes_space
                || load::boolean(metadata, load::ADD_SPACE_PREFIX)?.unwrap_or(false),
            fates: (0..vocabulary.len()).map(|_| AtomicU8::new(OPEN)).collect(),
            ranks: MergeRanks::new(&merges(metadata, vocabulary)?),
            tokens,
            index,
            bytes,
            unknown,
            user_defined,
            classes: Classes::get(),
        })
    }

    /// How texts are cut before merging.
    pub(crate) fn pre(&self) -> &PreTokenizer {
        &self.pre
    }

    /// Whether a space is put before every stretch of text.
    pub(crate) fn space_prefix(&self) -> bool {
        self.space_prefix
    }

    /// The bytes that a token stands for in running text.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        self.tokens.bytes(id)
    }

    /// The user-defined tokens that are looked for in the normalised text, without those that are withheld.
    pub(crate) fn user_defined_without(&self, vocabulary: &Vocabulary, withheld: &[u32]) -> SpecialTexts {
        user_defined(vocabulary, &self.pre, withheld)
    }

    /// Appends the ids of a stretch of ordinary text, which begins at byte `base` of the whole, with other user-defined tokens than
    /// its own where some are given.
    pub(crate) fn encode<S: Sink>(
        &self,
        text: &str,
        user_defined: Option<&SpecialTexts>,
        base: usize,
        scratch: &mut Scratch<S::Origins>,
        ids: &mut S,
    ) {
        let Scratch { origins, prefixed, merger, places } = scratch;
        origins.clear();
        origins.push_unchanged(text, base);
        let mut text = if self.pre.nfc { nfc(text, self.classes, origins) } else { Cow::Borrowed(text) };
        if self.lowercase {
            // By character: a final sigma is no matter of its place in a word.
            text = Cow::Owned(replaced(&text, char::to_lowercase, origins));
        }
        if self.pre.escapes_spaces && text.contains(SPACE) {
            // Tokens are kept with spaces, and U+2581 is no other character to them.
            text = Cow::Owned(replaced(&text, |c| Some(if c == SPACE { ' ' } else { c }), origins));
        }
        user_defined.unwrap_or(&self.user_defined).split(&text, |fragment, at| match fragment {
            _ if ids.is_full() => {}
            Fragment::Token(id) => ids.push(id, || origins.of(at)),
            Fragment::Text(text) if self.space_prefix && !text.starts_with(' ') => {
                // The space comes from the first character, as with the authors.
                prefixed.clear();
                prefixed.push(1, origins.of(at.start..at.start + 1));
                prefixed.push_part(origins, at);
                self.encode_pieces(&format!(" {text}"), 0, prefixed, places, merger, ids);
            }
            Fragment::Text(text) => self.encode_pieces(text, at.start, origins, places, merger, ids),
        });
    }

    /// The text lies at `at` in what `origins` is about.
    fn encode_pieces<S: Sink>(
        &self,
        mut text: &str,
        mut at: usize,
        origins: &S::Origins,
        places: &mut S::Origins,
        merger: &mut PairMerger,
        ids: &mut S,
    ) {
        while !text.is_empty() && !ids.is_full() {
            let length = self.pre.pattern.first_piece(text, self.classes);
            let length = length.min(text.floor_char_boundary(PairMerger::LONGEST));
            let (piece, rest) = text.split_at(length);
            if !self.pre.pattern.leaves_out(piece, self.classes) {
                self.encode_piece(&Piece { text: piece, at, origins }, places, merger, ids);
            }
            text = rest;
            at += length;
        }
    }

    fn encode_piece<S: Sink>(
        &self,
        piece: &Piece<'_, S::Origins>,
        places: &mut S::Origins,
        merger: &mut PairMerger,
        ids: &mut S,
    ) {
        let whole = self.index.get(&self.tokens, piece.text.as_bytes());
        let Some(id) = whole else { return self.merge(piece, places, merger, ids) };
        // Every thread that asks finds the same, so nothing has to be ordered.
        let fate = &self.fates[id as usize];
        if self.pre.ignore_merges || fate.load(Ordering::Relaxed) == WHOLE {
            ids.push(id, || piece.from(0..piece.text.len()));
            return;
        }
        let before = ids.ids().len();
        self.merge(piece, places, merger, ids);
        if fate.load(Ordering::Relaxed) == OPEN {
            let whole = ids.ids()[before..] == [id];
            fate.store(if whole { WHOLE } else { PARTS }, Ordering::Relaxed);
        }
    }

    /// The tokens of single characters; those without fall to bytes, else become unknown, side by side as one where that is
    /// the authors' way.
    fn characters<O: Origins>(&self, piece: &Piece<'_, O>) -> Vec<(u32, O::Place)> {
        let mut tokens = Vec::with_capacity(piece.text.len());
        let mut known = true;
        for (at, c) in piece.text.char_indices() {
            let from = piece.from(at..at + c.len_utf8());
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).as_bytes();
            let of_bytes = bytes.iter().map(|&byte| self.bytes[usize::from(byte)]);
            let was_known = std::mem::replace(&mut known, true);
            if let Some(token) = self.index.get(&self.tokens, bytes) {
                tokens.push((token, from));
            } else if of_bytes.clone().all(|token| token.is_some()) {
                tokens.extend(of_bytes.flatten().map(|token| (token, from.clone())));
            } else {
                known = false;
                match tokens.last_mut().filter(|_| !was_known && self.pre.fuses_unknown) {
                    Some((_, unknown)) => O::join(unknown, from),
                    None => tokens.extend(self.unknown.map(|token| (token, from))),
                }
            }
        }
        tokens
    }

    fn merge<S: Sink>(
        &self,
        piece: &Piece<'_, S::Origins>,
        places: &mut S::Origins,
        merger: &mut PairMerger,
        ids: &mut S,
    ) {
        let take = |id, from| ids.push(id, || from);
        if !self.pre.byte_level {
            return merger.merge(&self.ranks, self.characters(piece).into_iter(), places, take);
        }
        // A byte that is no token is left out, as by the authors: StarCoder lacks some that no text of today has.
        let tokens = piece.text.bytes().enumerate().filter_map(|(at, byte)| {
            self.bytes[usize::from(byte)].map(|token| (token, piece.from(at..at + 1)))
        });
        merger.merge(&self.ranks, tokens, places, take);
    }
}

/// The user-defined tokens that are looked for in the normalised text, but those.
fn user_defined(vocabulary: &Vocabulary, pre: &PreTokenizer, withheld: &[u32]) -> SpecialTexts {
    let ids = vocabulary.ids().filter(|&id| {
        pre.user_defined_normalized && vocabulary.token_type(id) == Some(TokenType::UserDefined)
    });
    let ids = ids.filter(|id| !withheld.contains(id));
    SpecialTexts::new(ids.map(|id| (vocabulary.text(id).into(), id)))
}

/// A part of the normalised text, between whose ends merging happens, and where it lies in what `origins` is about.
struct Piece<'a, O> {
    text: &'a str,
    at: usize,
    origins: &'a O,
}

impl<O: Origins> Piece<'_, O> {
    fn from(&self, part: Range<usize>) -> O::Place {
        self.origins.of(self.at + part.start..self.at + part.end)
    }
}

/// What a call works in.
#[derive(Default)]
pub(crate) struct Scratch<O> {
    origins: O,
    prefixed: O,
    merger: PairMerger,
    /// Where the tokens come from that go into the merger.
    places: O,
}

/// The text with every character replaced; `origins` is about the text and then about the result.
fn replaced<O: Origins, I: IntoIterator<Item = char>>(
    text: &str,
    by: impl Fn(char) -> I,
    origins: &mut O,
) -> String {
    let given = std::mem::take(origins);
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        for new in by(c) {
            out.push(new);
            origins.push(new.len_utf8(), given.of(at..at + c.len_utf8()));
        }
    }
    out
}

/// The bytes that the tokens stand for: those of the alphabet, taken out of it, or the text with its spaces; of marks,
/// their name. They lie end to end in one buffer.
struct TokenBytes {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl TokenBytes {
    fn new(vocabulary: &Vocabulary, pre: &PreTokenizer) -> TokenBytes {
        let mut tokens = TokenBytes { bytes: Vec::new(), ends: Vec::with_capacity(vocabulary.len()) };
        for id in vocabulary.ids() {
            let text = vocabulary.text(id);
            let bytes = match vocabulary.token_type(id) {
                Some(TokenType::Normal) if pre.byte_level => byte_alphabet::bytes_of(text),
                Some(TokenType::Normal | TokenType::UserDefined | TokenType::Unused)
                    if pre.escapes_spaces =>
                {
                    Some(text.replace(SPACE, " ").into_bytes())
                }
                Some(TokenType::Byte) => byte_of(text).map(|byte| vec![byte]),
                _ => None,
            };
            match bytes {
                Some(bytes) => tokens.bytes.extend(bytes),
                None => tokens.bytes.extend(text.as_bytes()),
            }
            // No more than the texts, whose lengths fit.
            tokens.ends.push(tokens.bytes.len() as u32);
        }
        tokens
    }
}

impl Texts for TokenBytes {
    fn bytes(&self, id: u32) -> &[u8] {
        let Some(&end) = self.ends.get(id as usize) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id as usize - 1] };
        &self.bytes[start as usize..end as usize]
    }
}

/// The merges of the file as ids: left part, right part, result.
fn merges(metadata: &Metadata, vocabulary: &Vocabulary) -> Result<Vec<(u32, u32, u32)>, Error> {
    let array = metadata.array(MERGES).map_err(|error| Error::invalid(MERGES, error.to_string()))?;
    let Some(array) = array else {
        return Err(Error::missing(MERGES, "BPE needs its list of merges; convert the model again"));
    };
    let Some(strings) = array.strings() else {
        return Err(Error::invalid(MERGES, "is not an array of strings"));
    };
    let index = PieceIndex::new(vocabulary, vocabulary.ids(), 0);
    let id = |text: &[u8]| index.get(vocabulary, text);
    let mut merges = Vec::with_capacity(array.len());
    let mut joined = Vec::new();
    for (at, merge) in strings.enumerate() {
        // The first part may be a space, but is never empty.
        let space = merge.iter().skip(1).position(|&byte| byte == b' ').map(|at| at + 1);
        let Some(space) = space else {
            return Err(Error::invalid(
                MERGES,
                format!("merge {at} is not two tokens with a space in between"),
            ));
        };
        let (left, right) = (&merge[..space], &merge[space + 1..]);
        joined.clear();
        joined.extend_from_slice(left);
        joined.extend_from_slice(right);
        let (Some(left), Some(right), Some(result)) = (id(left), id(right), id(&joined)) else {
            let merge: String = String::from_utf8_lossy(merge).chars().take(60).collect();
            return Err(Error::invalid(
                MERGES,
                format!(
                    "merge {at} ({merge:?}) has a token that is not in the vocabulary; convert the model again"
                ),
            ));
        };
        // Marks are never made from text.
        if !matches!(vocabulary.token_type(result), Some(TokenType::Control | TokenType::Unknown)) {
            merges.push((left, right, result));
        }
    }
    Ok(merges)
}
