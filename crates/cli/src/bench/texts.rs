//! Texts of a wanted length in tokens, no two of them the same: equal ones are computed once.

use connote::{Input, Model, Options};

use crate::failure::Failure;

/// Words that are one token each in the vocabularies of WordPiece and SentencePiece models.
const WORDS: [&str; 16] = [
    "time", "day", "year", "man", "world", "life", "hand", "part", "child", "eye", "woman", "place", "work",
    "week", "case", "point",
];
/// Digits of a text's number, which is written in [`WORDS`] for its first words: 65,536 texts.
const DIGITS: usize = 4;
/// Tries to come nearer to the wanted length.
const TRIES: usize = 8;

/// Texts of one call.
pub(crate) struct Texts {
    pub(crate) texts: Vec<String>,
    /// In all, special tokens included.
    pub(crate) tokens: usize,
}

/// Texts of these lengths in tokens, special tokens included, or as near as the model's tokens allow.
pub(crate) fn build(model: &Model, lengths: &[usize]) -> Result<Texts, Failure> {
    // As few words for its number as tell the texts apart, so that short texts can be short.
    let mut digits = 1;
    while digits < DIGITS && WORDS.len().pow(digits as u32) < lengths.len() {
        digits += 1;
    }
    let mut built = Texts { texts: Vec::with_capacity(lengths.len()), tokens: 0 };
    // What the last one needed is a good guess for the next.
    let mut overhead = 2;
    for (number, &length) in lengths.iter().enumerate() {
        let mut words = length.saturating_sub(overhead).max(digits);
        let mut best: Option<(usize, String, usize)> = None;
        for _ in 0..TRIES {
            let text = text(number, digits, words);
            let tokens = model.tokenize(&Input::new(&text), &Options::new())?.len();
            let off = tokens.abs_diff(length);
            if best.as_ref().is_none_or(|(least, ..)| off < *least) {
                best = Some((off, text, tokens));
                overhead = tokens.saturating_sub(words);
            } else {
                break;
            }
            let other = (words + length).saturating_sub(tokens).max(digits);
            if other == words {
                break;
            }
            words = other;
        }
        if let Some((_, text, tokens)) = best {
            built.texts.push(text);
            built.tokens += tokens;
        }
    }
    Ok(built)
}

/// `count` texts of one length.
pub(crate) fn of_length(model: &Model, count: usize, length: usize) -> Result<Texts, Failure> {
    build(model, &vec![length; count])
}

/// Lengths from 4 to 256 tokens, most of them short as real texts are: a geometric series, in a mixed order.
pub(crate) fn mixed_lengths(count: usize, longest: usize) -> Vec<usize> {
    let shortest = 4.0_f64;
    let ratio = (longest as f64 / shortest).max(1.0);
    // A step that has no divisor in common with a power of two visits every place once.
    let place = |index: usize| (index * 37 % count.max(1)) as f64 / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|index| (shortest * ratio.powf(place(index))).round() as usize).collect()
}

/// The text with this number, in `digits` words, and more words up to `words`.
fn text(number: usize, digits: usize, words: usize) -> String {
    let base = WORDS.len();
    let digit = |place: usize| WORDS[number / base.pow(place as u32) % base];
    // Steps that differ, so that not all texts go on alike.
    let filler = |place: usize| WORDS[(number + place * (1 + number % 7)) % base];
    let all: Vec<&str> =
        (0..words).map(|place| if place < digits { digit(place) } else { filler(place) }).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use connote::{Input, Model, Options};

    use super::*;

    fn minilm() -> Model {
        Model::open(testkit::models::builtin()).expect("it opens")
    }

    #[test]
    fn texts_have_the_length_asked_for_and_none_is_there_twice() {
        let model = minilm();
        for (count, length) in [(1, 4), (128, 4), (128, 64), (8, 256), (300, 24)] {
            let built = of_length(&model, count, length).expect("texts");
            assert_eq!(built.tokens, count * length, "{count} texts of {length}");
            for text in &built.texts {
                let tokens = model.tokenize(&Input::new(text), &Options::new()).expect("tokens");
                assert_eq!(tokens.len(), length, "{text}");
            }
            assert_eq!(built.texts.iter().collect::<HashSet<_>>().len(), count, "{count} texts of {length}");
        }
    }

    #[test]
    fn many_texts_differ_even_where_the_length_has_to_give() {
        let built = of_length(&minilm(), 5000, 4).expect("texts");
        assert_eq!(built.texts.iter().collect::<HashSet<_>>().len(), 5000);
        // Four words and the special tokens.
        assert_eq!(built.tokens, 5000 * 6);
    }

    #[test]
    fn mixed_lengths_are_mixed() {
        let lengths = mixed_lengths(64, 256);
        let mut sorted = lengths.clone();
        sorted.sort_unstable();
        assert_eq!((sorted[0], sorted[63], lengths.len()), (4, 256, 64));
        assert_ne!(lengths, sorted);
        assert!(sorted[32] < 40, "most are short");
        let built = build(&minilm(), &lengths).expect("texts");
        assert_eq!(built.tokens, lengths.iter().sum::<usize>());
        assert_eq!(mixed_lengths(1, 256), [4]);
    }
}
