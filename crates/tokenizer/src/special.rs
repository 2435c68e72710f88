//! Cutting the raw text at the texts of special tokens, before anything else looks at it.

use std::ops::Range;

use crate::vocabulary::{TokenType, Vocabulary};

/// The longest special text there may be, in bytes. It bounds the work at every position of a text.
pub(crate) const LONGEST: usize = 1024;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fragment<'a> {
    /// Ordinary text, never empty.
    Text(&'a str),
    /// The text of a special token.
    Token(u32),
}

/// Finds special texts leftmost first and, of those that begin at one place, the longest.
pub(crate) struct SpecialTexts {
    /// Text and id, ascending by the text's bytes.
    sorted: Vec<(Box<str>, u32)>,
    /// `first[b]..first[b + 1]` are the entries whose text begins with byte `b`.
    first: [u32; 257],
    /// The token that takes the white space before it.
    takes_spaces: Option<u32>,
}

impl SpecialTexts {
    /// From texts and ids; of equal texts the lowest id is kept, empty ones are left out.
    pub(crate) fn new(texts: impl Iterator<Item = (Box<str>, u32)>) -> SpecialTexts {
        let mut sorted: Vec<_> = texts.filter(|(text, _)| !text.is_empty()).collect();
        sorted.sort_unstable();
        sorted.dedup_by(|later, earlier| later.0 == earlier.0);
        let mut first = [0u32; 257];
        for (text, _) in &sorted {
            first[usize::from(text.as_bytes()[0]) + 1] += 1;
        }
        for byte in 0..256 {
            first[byte + 1] += first[byte];
        }
        SpecialTexts { sorted, first, takes_spaces: None }
    }

    /// The same, with a token that takes the white space before it: the mask of RoBERTa and its kin.
    pub(crate) fn taking_spaces(self, token: Option<u32>) -> SpecialTexts {
        SpecialTexts { takes_spaces: token, ..self }
    }

    /// The same but for these tokens.
    pub(crate) fn without(&self, withheld: &[u32]) -> SpecialTexts {
        let kept = self.sorted.iter().filter(|(_, id)| !withheld.contains(id)).cloned();
        SpecialTexts { takes_spaces: self.takes_spaces, ..SpecialTexts::new(kept) }
    }

    /// Whether tokens of this type are found in raw text: all the marks when `marks`, else only those that
    /// are text themselves.
    pub(crate) fn applies(vocabulary: &Vocabulary, id: u32, marks: bool) -> bool {
        match vocabulary.token_type(id) {
            Some(TokenType::Control | TokenType::Unknown) => marks,
            Some(TokenType::UserDefined) => true,
            _ => false,
        }
    }

    /// The longest special text at the front of `rest`: its length in bytes and its id.
    fn longest_prefix(&self, rest: &[u8]) -> Option<(usize, u32)> {
        let byte = usize::from(*rest.first()?);
        let mut range = &self.sorted[self.first[byte] as usize..self.first[byte + 1] as usize];
        let mut found = None;
        // All of `range` share the first `depth` bytes with `rest`.
        for depth in 1.. {
            let Some((text, id)) = range.first() else { break };
            if text.len() == depth {
                found = Some((depth, *id));
                range = &range[1..];
            }
            let (Some(&next), false) = (rest.get(depth), range.is_empty()) else { break };
            let low = range.partition_point(|(text, _)| text.as_bytes()[depth] < next);
            let high = low + range[low..].partition_point(|(text, _)| text.as_bytes()[depth] == next);
            if low == high {
                break;
            }
            range = &range[low..high];
        }
        found
    }

    /// Hands the parts of `text` to `take`, in order, and where they lie.
    pub(crate) fn split<'a>(&self, text: &'a str, mut take: impl FnMut(Fragment<'a>, Range<usize>)) {
        let bytes = text.as_bytes();
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            let byte = usize::from(bytes[at]);
            if self.first[byte] == self.first[byte + 1] {
                at += 1;
                continue;
            }
            // Both sides are UTF-8, so that a match begins and ends between characters.
            let Some((length, id)) = self.longest_prefix(&bytes[at..]) else {
                at += 1;
                continue;
            };
            let before = &text[start..at];
            let before = if self.takes_spaces == Some(id) { before.trim_end() } else { before };
            if !before.is_empty() {
                take(Fragment::Text(before), start..start + before.len());
            }
            take(Fragment::Token(id), start + before.len()..at + length);
            at += length;
            start = at;
        }
        if start < bytes.len() {
            take(Fragment::Text(&text[start..]), start..text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(specials: &[&str], text: &str) -> String {
        let specials = SpecialTexts::new(specials.iter().zip(0..).map(|(&text, id)| (text.into(), id)));
        let mut out = Vec::new();
        specials.split(text, |part, _| {
            out.push(match part {
                Fragment::Text(text) => text.to_owned(),
                Fragment::Token(id) => format!("<{id}>"),
            });
        });
        out.join("|")
    }

    #[test]
    fn leftmost_then_longest() {
        assert_eq!(parts(&["ab", "abc", "bcdefg"], "xabcdefg"), "x|<1>|defg");
        assert_eq!(parts(&["a", "ab", "abcd"], "abca"), "<1>|c|<0>");
        assert_eq!(parts(&["a", "ab", "abcd"], "abcdab"), "<2>|<1>");
        assert_eq!(parts(&["\n", "\n\n"], "\n\n\n"), "<1>|<0>");
    }

    #[test]
    fn spaces_before_the_mask() {
        let specials =
            SpecialTexts::new([("<m>".into(), 0), ("<s>".into(), 1)].into_iter()).taking_spaces(Some(0));
        let mut out = String::new();
        specials.split("a \u{a0}\n<m> <m>b <s> <m>", |part, _| match part {
            Fragment::Text(text) => out.push_str(&format!("{text}|")),
            Fragment::Token(id) => out.push_str(&format!("<{id}>|")),
        });
        assert_eq!(out, "a|<0>|<0>|b |<1>|<0>|");
    }

    #[test]
    fn nothing_to_find() {
        assert_eq!(parts(&[], "abc"), "abc");
        assert_eq!(parts(&["", "abcd"], "abc"), "abc");
        assert_eq!(parts(&["a"], ""), "");
    }

    #[test]
    fn the_lowest_id_of_equal_texts() {
        assert_eq!(parts(&["b", "a", "a"], "a"), "<1>");
    }

    #[test]
    fn between_characters_only() {
        // U+00E9 is C3 A9 and U+0129 is C4 A9: the shared second byte matches nothing.
        assert_eq!(parts(&["\u{e9}"], "\u{129}\u{e9}\u{129}"), "\u{129}|<0>|\u{129}");
    }
}
