//! SentencePiece byte-pair encoding (`tokenizer.ggml.model` = `llama`), as Gemma's Hugging Face tokenizer does it.

use crate::error::Error;
use crate::load::UNKNOWN;
use crate::merge::{MergeTable, Merger};
use crate::merge_index::{MergeIndex, Token};
use crate::offsets::{Origins, Place, Sink};
use crate::seams::Seams;
use crate::vocabulary::{TokenType, Vocabulary};

/// What stands for a space in tokens, U+2581.
pub(crate) const SPACE: char = '\u{2581}';

/// The merging side of a SentencePiece tokenizer.
pub(crate) struct SentencePiece {
    /// The tokens that text can become: normal and user-defined ones.
    index: MergeIndex,
    seams: Seams,
    /// Token of every byte that has one.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    prefix: Prefix,
}

/// Which stretches of text begin with a space that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    Never,
    Always,
    /// Those that begin with no space: Metaspace's way.
    WhereNoneIs,
    /// Of those, the one at the beginning of a text.
    FirstWhereNoneIs,
}

impl Prefix {
    /// Whether a stretch that begins at byte `base` of a text gets one.
    pub(crate) fn applies(self, stretch: &str, base: usize) -> bool {
        match self {
            Prefix::Never => false,
            Prefix::Always => true,
            Prefix::WhereNoneIs => !stretch.starts_with([SPACE, ' ']),
            Prefix::FirstWhereNoneIs => base == 0 && !stretch.starts_with([SPACE, ' ']),
        }
    }
}

impl SentencePiece {
    /// `scores`: one for each token, none of them NaN.
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        scores: &[f32],
        unknown: Option<u32>,
        prefix: Prefix,
    ) -> Result<SentencePiece, Error> {
        let is_piece =
            |id: &u32| matches!(vocabulary.token_type(*id), Some(TokenType::Normal | TokenType::UserDefined));
        let bytes = byte_tokens(vocabulary);
        if bytes.contains(&None) && unknown.is_none() {
            return Err(no_fallback());
        }
        let ids = vocabulary.ids().zip(scores).filter(|(id, _)| is_piece(id));
        let tokens = ids.map(|(id, &score)| Token { id, rank: rank(vocabulary, id, score) });
        Ok(SentencePiece {
            index: MergeIndex::new(vocabulary, tokens),
            seams: Seams::new(vocabulary, vocabulary.ids().filter(is_piece)),
            bytes,
            unknown,
            prefix,
        })
    }

    /// Which stretches of text begin with a space that is not there.
    pub(crate) fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Appends the ids of a stretch of ordinary text, which begins at byte `base` of the whole.
    pub(crate) fn encode<S: Sink>(
        &self,
        vocabulary: &Vocabulary,
        text: &str,
        withheld: &[u32],
        base: usize,
        scratch: &mut Scratch<S::Origins>,
        ids: &mut S,
    ) {
        let Scratch { given, escaped, origins, merger } = scratch;
        given.clear();
        given.push_unchanged(text, base);
        escape(text, given, 0, self.prefix.applies(text, base), escaped, origins);
        let table = MergeTable { vocabulary, index: &self.index, withheld };
        // Unknowns side by side become one, but not the ones of an earlier stretch.
        let floor = ids.ids().len();
        let mut begin = 0;
        for stretch in self.stretches(escaped) {
            if ids.is_full() {
                return;
            }
            merger.merge(&table, stretch, |id, part| {
                let from = begin + part.start..begin + part.end;
                match id {
                    Some(id) => ids.push(id, || origins.of(from)),
                    None => self.fall_back(&stretch[part], floor, origins.of(from), ids),
                }
            });
            begin += stretch.len();
        }
    }

    /// Cuts the text at its seams.
    fn stretches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let mut chars = rest.char_indices();
            let (_, mut left) = chars.next()?;
            let cut = chars
                .enumerate()
                .find(|&(count, (_, right))| {
                    let seam = self.seams.between(left, right) || count + 1 == Merger::LONGEST;
                    left = right;
                    seam
                })
                .map_or(rest.len(), |(_, (at, _))| at);
            let (stretch, after) = rest.split_at(cut);
            rest = after;
            Some(stretch)
        })
    }

    /// A character that no token has: its bytes if all of them are tokens, else unknown.
    fn fall_back<S: Sink>(&self, character: &str, floor: usize, from: Place<S>, ids: &mut S) {
        let tokens = character.bytes().map(|byte| self.bytes[usize::from(byte)]);
        if tokens.clone().all(|token| token.is_some()) {
            tokens.flatten().for_each(|token| ids.push(token, || from.clone()));
        } else if let Some(unknown) = self.unknown {
            if ids.ids()[floor..].last() == Some(&unknown) {
                ids.widen_last(from);
            } else {
                ids.push(unknown, || from);
            }
        }
    }
}

/// What a call works in.
#[derive(Default)]
pub(crate) struct Scratch<O> {
    given: O,
    escaped: String,
    origins: O,
    merger: Merger,
}

/// Writes `text`, which lies at `at` in what `given` is about, to `escaped`: U+2581 for every space, and one first where
/// `prefix`. That one comes from the first character, as with the authors.
pub(crate) fn escape<O: Origins>(
    text: &str,
    given: &O,
    mut at: usize,
    prefix: bool,
    escaped: &mut String,
    origins: &mut O,
) {
    escaped.clear();
    origins.clear();
    if prefix {
        escaped.push(SPACE);
        origins.push(SPACE.len_utf8(), given.of(at..at + text.len().min(1)));
    }
    for (i, part) in text.split(' ').enumerate() {
        if i > 0 {
            escaped.push(SPACE);
            origins.push(SPACE.len_utf8(), given.of(at..at + 1));
            at += 1;
        }
        escaped.push_str(part);
        origins.push_part(given, at..at + part.len());
        at += part.len();
    }
}

/// Some characters would have no ids.
pub(crate) fn no_fallback() -> Error {
    Error::missing(
        UNKNOWN,
        "the file has neither all byte tokens <0x00>..<0xFF> nor an unknown token, so that some texts have no ids; \
         convert the model again",
    )
}

/// The byte token of every byte that has one.
pub(crate) fn byte_tokens(vocabulary: &Vocabulary) -> Vec<Option<u32>> {
    let mut bytes = vec![None; 256];
    for id in vocabulary.ids() {
        if vocabulary.token_type(id) == Some(TokenType::Byte)
            && let Some(byte) = byte_of(vocabulary.text(id))
        {
            bytes[usize::from(byte)].get_or_insert(id);
        }
    }
    bytes
}

/// The byte that a byte token stands for.
pub(crate) fn byte_of(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if hex.len() != 2 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(hex, 16).ok()
}

/// Order-keeping image of a score, high scores first. User-defined tokens have 0, the highest score there is,
/// in the authors' files; GGUF writes -1000 for them, which says nothing.
fn rank(vocabulary: &Vocabulary, id: u32, score: f32) -> u32 {
    if vocabulary.token_type(id) == Some(TokenType::UserDefined) {
        return 0;
    }
    // Adding 0 turns -0 into 0.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_keep_the_order_of_scores() {
        let mut vocabulary = Vocabulary::new();
        assert!(vocabulary.push("a"));
        let scores = [f32::INFINITY, 7.5, 1.0, 1e-40, 0.0, -1e-40, -1.0, -255_504.0, f32::NEG_INFINITY];
        let ranks: Vec<u32> = scores.iter().map(|&score| rank(&vocabulary, 0, score)).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(rank(&vocabulary, 0, -0.0), rank(&vocabulary, 0, 0.0));
        vocabulary.set_type(0, TokenType::UserDefined);
        assert!(rank(&vocabulary, 0, -1000.0) <= ranks[0]);
    }

    #[test]
    fn byte_tokens_are_read_strictly() {
        assert_eq!(byte_of("<0x0A>"), Some(10));
        assert_eq!(byte_of("<0xff>"), Some(255));
        for text in ["<0x+1>", "<0x1>", "<0x123>", "0x12", "<0x12", "<0x\u{e9}>", ""] {
            assert_eq!(byte_of(text), None, "{text}");
        }
    }
}
