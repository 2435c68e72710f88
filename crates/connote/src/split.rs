//! Cutting a text into chunks: ranges of bytes between characters, without the white space at their ends.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;

use unicode_segmentation::UnicodeSegmentation;

use crate::error::Error;
use crate::model::Model;
use crate::request::{Input, Options};
use crate::sentences;

/// How a text is cut into chunks. What is white space alone becomes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// At blank lines.
    Paragraphs,
    /// At the ends of sentences, as Unicode has them (UAX #29), and at blank lines; a single line break is a space.
    Sentences,
    /// Every so many tokens, and as many more as begin within the last character (as readers see them: a letter and its
    /// accents). What no token has belongs to the chunk before it.
    Tokens(NonZeroUsize),
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Split::Paragraphs => f.write_str("paragraphs"),
            Split::Sentences => f.write_str("sentences"),
            Split::Tokens(count) => write!(f, "tokens:{count}"),
        }
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match (name, name.strip_prefix("tokens:").map(str::parse)) {
            ("paragraphs", _) => Ok(Split::Paragraphs),
            ("sentences", _) => Ok(Split::Sentences),
            (_, Some(Ok(count))) => Ok(Split::Tokens(count)),
            (_, Some(Err(_))) => Err("`tokens:` is followed by a number from 1, as in tokens:256".to_owned()),
            _ => Err(format!("no split is called `{name}`; there is paragraphs, sentences and tokens:N")),
        }
    }
}

impl Model {
    /// The chunks of an input's text. The options matter to [`Split::Tokens`] alone, which counts the tokens of the text
    /// as the network reads it, but none of the prompt.
    ///
    /// # Errors
    /// As [`tokens`](Self::tokens).
    pub fn split(&self, input: &Input, split: Split, options: &Options) -> Result<Vec<Range<usize>>, Error> {
        let text = input.text();
        Ok(match split {
            Split::Paragraphs => paragraphs(text).collect(),
            Split::Sentences => paragraphs(text).flat_map(|paragraph| sentences(text, paragraph)).collect(),
            Split::Tokens(count) => {
                let tokens = self.tokens(input, options)?;
                let bytes: Vec<_> = tokens.iter().filter_map(|token| token.source.bytes()).collect();
                runs(text, &bytes, count.get())
            }
        })
    }
}

/// What stands between blank lines.
fn paragraphs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut lines = text.split_inclusive('\n').scan(0, |at, line| {
        let begin = *at;
        *at += line.len();
        Some((begin, line))
    });
    std::iter::from_fn(move || {
        let is_blank = |line: &str| line.chars().all(char::is_whitespace);
        let (begin, first) = lines.find(|(_, line)| !is_blank(line))?;
        let more = lines.by_ref().map_while(|(_, line)| (!is_blank(line)).then_some(line.len()));
        Some(begin..begin + first.len() + more.sum::<usize>())
    })
    .filter_map(|bytes| trimmed(text, bytes))
}

fn sentences(text: &str, paragraph: Range<usize>) -> Vec<Range<usize>> {
    let mut begin = paragraph.start;
    let ends = sentences::ends(&text[paragraph.clone()]).into_iter();
    ends.filter_map(|end| {
        let end = paragraph.start + end;
        trimmed(text, std::mem::replace(&mut begin, end)..end)
    })
    .collect()
}

/// Every `count` tokens, by the bytes of all of them. A chunk goes on to the next one: characters that no token has (an
/// accent that the tokenizer drops) belong to what stands before them, at the front of the text to the first.
fn runs(text: &str, tokens: &[Range<usize>], count: usize) -> Vec<Range<usize>> {
    let mut characters = text.grapheme_indices(true).map(|(at, _)| at).peekable();
    let mut character = 0;
    let (mut starts, mut end, mut in_chunk) = (Vec::new(), 0, 0);
    for token in tokens {
        while let Some(at) = characters.next_if(|&at| at <= token.start) {
            character = at;
        }
        // Of the last character, other tokens may follow.
        let between = token.start >= end && token.start == character;
        if starts.is_empty() {
            starts.push(0);
        } else if in_chunk >= count && between {
            starts.push(token.start);
            in_chunk = 0;
        }
        in_chunk += 1;
        end = end.max(token.end);
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).filter_map(|(&start, end)| trimmed(text, start..end)).collect()
}

/// Without white space at the ends; `None` if there is nothing else.
pub(crate) fn trimmed(text: &str, bytes: Range<usize>) -> Option<Range<usize>> {
    let part = &text[bytes.clone()];
    let start = bytes.end - part.trim_start().len();
    let end = bytes.start + part.trim_end().len();
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, chunks: impl IntoIterator<Item = Range<usize>>) -> Vec<&str> {
        chunks.into_iter().map(|chunk| &text[chunk]).collect()
    }

    #[test]
    fn paragraphs_stand_between_blank_lines() {
        let text = "\n One\ntwo. \n \t\n\nthree\r\n\r\n\u{a0}\n  four";
        assert_eq!(texts(text, paragraphs(text)), ["One\ntwo.", "three", "four"]);
        assert_eq!(paragraphs("").count(), 0);
        assert_eq!(paragraphs(" \n\n ").count(), 0);
    }

    #[test]
    fn sentences_go_over_lines_but_not_over_paragraphs() {
        let text = "One is\nhere. Two, 3.5 m!\r\nThree\n\nfour. \u{4e2d}\u{6587}\u{3002}\u{65e5}\u{672c}";
        let all: Vec<_> = paragraphs(text).flat_map(|paragraph| sentences(text, paragraph)).collect();
        let expected = [
            "One is\nhere.",
            "Two, 3.5 m!",
            "Three",
            "four.",
            "\u{4e2d}\u{6587}\u{3002}",
            "\u{65e5}\u{672c}",
        ];
        assert_eq!(texts(text, all), expected);
    }

    #[test]
    fn runs_of_tokens_end_between_characters() {
        // The second character has three tokens.
        let text = "a\u{1f469} bc";
        let tokens = [0..1, 1..5, 1..5, 1..5, 5..7, 7..8];
        assert_eq!(texts(text, runs(text, &tokens, 2)), ["a\u{1f469}", "bc"]);
        assert_eq!(texts(text, runs(text, &tokens, 1)), ["a", "\u{1f469}", "b", "c"]);
        assert_eq!(texts(text, runs(text, &tokens, 9)), [text]);
        assert!(runs(text, &[], 1).is_empty());
        assert!(runs("  ", &[0..1, 1..2], 1).is_empty());
    }

    #[test]
    fn runs_of_tokens_lose_no_character_and_cut_none() {
        // An accent without a token, one with, a character without at either end.
        let text = "\u{ad}cafe\u{301} xe\u{301} y\u{ad}";
        let tokens = [2..6, 9..10, 10..11, 11..13, 14..15];
        let all = ["\u{ad}cafe\u{301}", "x", "e\u{301}", "y\u{ad}"];
        assert_eq!(texts(text, runs(text, &tokens, 1)), all);
        assert_eq!(texts(text, runs(text, &tokens, 2)), ["\u{ad}cafe\u{301} x", "e\u{301}", "y\u{ad}"]);
    }

    #[test]
    fn names() {
        for name in ["paragraphs", "sentences", "tokens:256"] {
            assert_eq!(name.parse::<Split>().expect("a split").to_string(), name);
        }
        for name in ["", "words", "tokens", "tokens:", "tokens:0", "tokens:x", "256"] {
            assert!(name.parse::<Split>().is_err(), "{name}");
        }
    }
}
