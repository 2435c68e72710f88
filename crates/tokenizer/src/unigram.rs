//! Unigram (`tokenizer.ggml.model` = `t5`), as Hugging Face's tokenizers of XLM-RoBERTa and T5 do it: of all ways to
//! cut a word into tokens, the one with the highest sum of scores.

use std::ops::Range;

use crate::charsmap::Charsmap;
use crate::error::Error;
use crate::load::TOKENS;
use crate::offsets::{Origins, Sink};
use crate::sentencepiece::{Prefix, SPACE, byte_tokens, escape, no_fallback};
use crate::special::LONGEST;
use crate::trie::Trie;
use crate::vocabulary::{TokenType, Vocabulary};

/// How far below the lowest score an unknown character is.
const UNKNOWN_PENALTY: f64 = 10.0;

/// What a file says of a Unigram tokenizer beside its tokens.
pub(crate) struct Spaces {
    /// Which stretches of text begin with a space that is not there. Never one that begins with a space.
    pub(crate) prefix: Prefix,
    /// Whether spaces at the ends are dropped and others joined.
    pub(crate) remove_extra: bool,
}

/// The searching side of a Unigram tokenizer.
pub(crate) struct Unigram {
    trie: Trie,
    /// Per id; marks and user-defined tokens have 0, as in the authors' files.
    scores: Vec<f64>,
    /// Whether a token is a mark, which only the authors' own reading makes of ordinary text.
    marks: Vec<bool>,
    unknown_score: f64,
    unknown: Option<u32>,
    /// Token of every byte, if all of them have one.
    bytes: Option<Vec<u32>>,
    charsmap: Option<Charsmap>,
    spaces: Spaces,
}

impl Unigram {
    /// `scores`: one for each token, none of them NaN.
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        scores: &[f32],
        unknown: Option<u32>,
        charsmap: Option<Charsmap>,
        spaces: Spaces,
    ) -> Result<Unigram, Error> {
        let bytes: Option<Vec<u32>> = byte_tokens(vocabulary).into_iter().collect();
        if bytes.is_none() && unknown.is_none() {
            return Err(no_fallback());
        }
        // Bounds the work at every character of a text.
        if let Some(id) = vocabulary.ids().find(|&id| vocabulary.text(id).len() > LONGEST) {
            let bytes = vocabulary.text(id).len();
            return Err(Error::invalid(
                TOKENS,
                format!("token {id} has {bytes} bytes; at most {LONGEST} are supported"),
            ));
        }
        let is_mark = |id| matches!(vocabulary.token_type(id), Some(TokenType::Control | TokenType::Unknown));
        let normal = |id| vocabulary.token_type(id) == Some(TokenType::Normal);
        let lowest =
            vocabulary.ids().zip(scores).filter(|&(id, _)| normal(id)).map(|(_, &score)| as_read(score));
        let lowest = lowest.fold(f64::INFINITY, f64::min);
        let score = |(id, &score)| match vocabulary.token_type(id) {
            Some(TokenType::Normal | TokenType::Unused | TokenType::Byte) => as_read(score),
            _ => 0.0,
        };
        Ok(Unigram {
            trie: Trie::new(vocabulary.ids().map(|id| (vocabulary.text(id), id))),
            scores: vocabulary.ids().zip(scores).map(score).collect(),
            marks: vocabulary.ids().map(is_mark).collect(),
            unknown_score: lowest.min(f64::from(f32::MAX)) - UNKNOWN_PENALTY,
            unknown,
            bytes,
            charsmap,
            spaces,
        })
    }

    /// Which stretches of text begin with a space that is not there: of all only those that have none of their own.
    pub(crate) fn prefix(&self) -> Prefix {
        match self.spaces.prefix {
            Prefix::Always => Prefix::WhereNoneIs,
            prefix => prefix,
        }
    }

    /// Appends the ids of a stretch of ordinary text, which begins at byte `base` of the whole. The authors' search takes marks for tokens like any other, where
    /// normalisation makes their text (`＜s＞`); with `marks` off it does not, nor those that are `withheld`.
    pub(crate) fn encode<S: Sink>(
        &self,
        text: &str,
        (marks, withheld): (bool, &[u32]),
        base: usize,
        scratch: &mut Scratch<S::Origins>,
        ids: &mut S,
    ) {
        let may_be = |token: u32| (marks || !self.marks[token as usize]) && !withheld.contains(&token);
        let Scratch { normalized, given, word, origins, steps, path } = scratch;
        given.clear();
        let text = match &self.charsmap {
            Some(map) => {
                normalized.clear();
                map.normalize(text, base, normalized, given);
                normalized
            }
            None => {
                given.push_unchanged(text, base);
                text
            }
        };
        let mut first = true;
        let mut take = |stretch: &str| {
            if ids.is_full() {
                return;
            }
            // A text that begins with the space that stands for one needs no other.
            let at = stretch.as_ptr().addr() - text.as_ptr().addr();
            // Spaces that were dropped before it were one.
            let spaced = !first || at > 0 && self.spaces.prefix == Prefix::FirstWhereNoneIs;
            let prefix =
                (spaced || self.spaces.prefix.applies(stretch, base)) && !stretch.starts_with([SPACE, ' ']);
            escape(stretch, given, at, prefix, word, origins);
            first = false;
            // Each space begins a word of its own.
            let mut rest = word.as_str();
            while !rest.is_empty() && !ids.is_full() {
                let begin = rest.chars().next().map_or(0, char::len_utf8);
                let (piece, after) =
                    rest.split_at(rest[begin..].find(SPACE).map_or(rest.len(), |at| begin + at));
                let at = word.len() - rest.len();
                self.search(piece, may_be, steps, path, |id, part| {
                    ids.push(id, || origins.of(at + part.start..at + part.end));
                });
                rest = after;
            }
        };
        match self.spaces.remove_extra {
            true => text.split_whitespace().for_each(take),
            false if text.is_empty() => {}
            false => take(text),
        }
    }

    /// The best way through a word (Viterbi): hands over ids and the bytes of the word that they stand for.
    fn search(
        &self,
        word: &str,
        may_be: impl Fn(u32) -> bool,
        steps: &mut Vec<Step>,
        path: &mut Vec<Step>,
        mut take: impl FnMut(u32, Range<usize>),
    ) {
        let bytes = word.as_bytes();
        steps.clear();
        steps.resize(bytes.len() + 1, Step { score: 0.0, start: NOWHERE, token: UNKNOWN_TOKEN });
        for (start, c) in word.char_indices() {
            let so_far = steps[start].score;
            let mut alone = false;
            let mut reach = |end: usize, score: f64, token: u32| {
                let step = &mut steps[end];
                let score = so_far + score;
                // Of equal sums the one found first is kept.
                if step.start == NOWHERE || score > step.score {
                    *step = Step { score, start, token };
                }
            };
            self.trie.prefixes(&bytes[start..], |length, token| {
                if may_be(token) {
                    alone |= length == c.len_utf8();
                    // The unknown token, spelled out, is as unknown as what has no token.
                    let score = self.scores[token as usize];
                    let unknown = self.bytes.is_none() && self.unknown == Some(token);
                    let token = if unknown { UNKNOWN_TOKEN } else { token };
                    reach(start + length, score, token);
                }
            });
            if !alone {
                reach(start + c.len_utf8(), self.unknown_score, UNKNOWN_TOKEN);
            }
        }
        path.clear();
        let mut end = bytes.len();
        while end > 0 {
            path.push(steps[end]);
            end = steps[end].start;
        }
        let mut unknown_begins = None;
        while let Some(step) = path.pop() {
            if step.token != UNKNOWN_TOKEN {
                let end = path.last().map_or(bytes.len(), |next| next.start);
                take(step.token, step.start..end);
                continue;
            }
            // Unknown characters side by side are one.
            let begin = *unknown_begins.get_or_insert(step.start);
            if path.last().is_some_and(|next| next.token == UNKNOWN_TOKEN) {
                continue;
            }
            unknown_begins = None;
            let end = path.last().map_or(bytes.len(), |next| next.start);
            match &self.bytes {
                Some(tokens) => {
                    for (at, &byte) in (begin..end).zip(&bytes[begin..end]) {
                        take(tokens[usize::from(byte)], at..at + 1);
                    }
                }
                None => self.unknown.into_iter().for_each(|unknown| take(unknown, begin..end)),
            }
        }
    }
}

/// The score as the authors' tokenizer has it, which reads the shortest decimal of it from a file, and not to the last
/// bit: its digits as a float, divided by a power of ten. That bit decides which of two ways of equal sums is taken.
fn as_read(score: f32) -> f64 {
    let score = f64::from(score);
    let text = format!("{score:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return score };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let (Ok(digits), Ok(exponent)) = (digits.replace('.', "").parse::<i64>(), exponent.parse::<i32>()) else {
        return score;
    };
    match exponent - decimals as i32 {
        exponent @ 0.. => digits as f64 * 10f64.powi(exponent),
        exponent => digits as f64 / 10f64.powi(-exponent),
    }
}

/// The best way to an offset of a word: its sum of scores, and the last token of it with where that begins.
#[derive(Clone, Copy)]
struct Step {
    score: f64,
    start: usize,
    token: u32,
}

const NOWHERE: usize = usize::MAX;
/// A character that no token covers.
const UNKNOWN_TOKEN: u32 = u32::MAX;

/// What a call works in.
#[derive(Default)]
pub(crate) struct Scratch<O> {
    normalized: String,
    given: O,
    word: String,
    origins: O,
    steps: Vec<Step>,
    path: Vec<Step>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_as_the_authors_read_them() {
        // What `tokenizers` 0.23.3 writes after it has read the first.
        assert_eq!(as_read(-7.471_577_6), -7.471_577_644_348_144);
        assert_eq!(as_read(-7.720_690_3), -7.720_690_250_396_728);
        for exact in [0.0, -1.0, -8.5, 1.5e-5, 3.0e38, -0.125, f32::NEG_INFINITY] {
            assert!(
                (as_read(exact) - f64::from(exact)).abs() <= f64::from(exact).abs() * 1e-15
                    || exact.is_infinite()
            );
        }
        assert_eq!(as_read(f32::NEG_INFINITY), f64::NEG_INFINITY);
    }
}
