//! What a character is to the regular expressions of byte-level BPE, and to NFC.

use std::cmp::Ordering;
use std::sync::LazyLock;

use crate::unicode_tables::{CLASS_RUNS, NEWER_NUMBERS, WORD_EXCEPTIONS};

/// General categories, as far as the expressions tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Punctuation, symbols, controls, what has no meaning yet.
    Other,
    /// Upper and title case letters (Lu, Lt).
    Upper,
    /// Lower case letters (Ll).
    Lower,
    /// Letters without case (Lm, Lo).
    Letter,
    /// Combining marks (M).
    Mark,
    /// Numbers (N).
    Number,
    /// White space (`\s`).
    Space,
}

impl Class {
    /// Whether `\p{L}` matches.
    pub(crate) fn is_letter(self) -> bool {
        matches!(self, Class::Upper | Class::Lower | Class::Letter)
    }
}

/// The classes of all characters in two stages: 256 characters share a page, and equal pages are one.
pub(crate) struct Classes {
    /// Where the page of `point >> 8` begins in `cells`.
    pages: Vec<u16>,
    cells: Vec<u8>,
}

/// The flag of a cell that tells characters apart which NFC leaves alone wherever they stand.
const NORMALIZED: u8 = 8;

static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::new);

impl Classes {
    /// The table, made when first asked for.
    pub(crate) fn get() -> &'static Classes {
        &CLASSES
    }

    fn new() -> Classes {
        let mut classes = Classes { pages: Vec::new(), cells: Vec::new() };
        let (mut run, mut page) = (0, [0u8; 256]);
        for point in 0..=u32::from(char::MAX) {
            if CLASS_RUNS.get(run + 1).is_some_and(|&next| next >> 4 <= point) {
                run += 1;
            }
            page[point as usize & 255] = (CLASS_RUNS[run] & 15) as u8;
            if point & 255 == 255 {
                let known = classes.cells.chunks_exact(256).position(|known| known == page);
                classes.pages.push(known.unwrap_or(classes.cells.len() / 256) as u16);
                if known.is_none() {
                    classes.cells.extend(page);
                }
            }
        }
        classes
    }

    fn cell(&self, c: char) -> u8 {
        let point = c as usize;
        self.cells[usize::from(self.pages[point >> 8]) << 8 | point & 255]
    }

    pub(crate) fn of(&self, c: char) -> Class {
        match self.cell(c) & 7 {
            1 => Class::Upper,
            2 => Class::Lower,
            3 => Class::Letter,
            4 => Class::Mark,
            5 => Class::Number,
            6 => Class::Space,
            _ => Class::Other,
        }
    }

    /// Whether `\w` matches: letters, marks and numbers, but for some of each and some others.
    pub(crate) fn is_word(&self, c: char) -> bool {
        let usual = !matches!(self.of(c), Class::Other | Class::Space);
        if c.is_ascii() {
            return usual || c == '_';
        }
        usual != is_among(&WORD_EXCEPTIONS, c)
    }

    /// The class as the pre-tokenizer `Digits` has it, which knows numbers of a newer Unicode than the expressions do.
    pub(crate) fn of_digits(&self, c: char) -> Class {
        match self.of(c) {
            Class::Other if !c.is_ascii() && is_among(&NEWER_NUMBERS, c) => Class::Number,
            class => class,
        }
    }

    /// Whether NFC may change the character, move it, or compose it with one before it.
    pub(crate) fn concerns_nfc(&self, c: char) -> bool {
        self.cell(c) & NORMALIZED != 0
    }
}

/// Whether one of the ranges has the character.
fn is_among(ranges: &[(u32, u32)], c: char) -> bool {
    let place = |&(first, last): &(u32, u32)| match c as u32 {
        point if point < first => Ordering::Greater,
        point if point > last => Ordering::Less,
        _ => Ordering::Equal,
    };
    ranges.binary_search_by(place).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_ascend() {
        assert!(CLASS_RUNS.is_sorted_by(|a, b| a >> 4 < b >> 4));
        assert_eq!(CLASS_RUNS[0] >> 4, 0);
    }

    #[test]
    fn known_characters() {
        let classes = Classes::get();
        let of =
            "aA\u{1c5}\u{4e2d}\u{2b0}\u{301}\u{903}5\u{2167}\u{bd} \n\u{85}\u{3000}.$\u{1f600}\u{10ffff}";
        let expected = {
            use Class::*;
            [
                Lower, Upper, Upper, Letter, Letter, Mark, Mark, Number, Number, Number, Space, Space, Space,
                Space, Other, Other, Other, Other,
            ]
        };
        assert_eq!(of.chars().map(|c| classes.of(c)).collect::<Vec<_>>(), expected);
        let words = "aZ_5\u{4e2d}\u{301}\u{24b6}\u{200d}\u{203f}\u{2167}";
        assert!(words.chars().all(|c| classes.is_word(c)), "{words}");
        assert!(!"-.\u{b2}\u{bd}\u{2460}\u{1f600} \u{3000}\u{3002}".chars().any(|c| classes.is_word(c)));
        assert!(
            WORD_EXCEPTIONS.is_sorted_by(|a, b| a.1 < b.0) && WORD_EXCEPTIONS.iter().all(|(a, b)| a <= b)
        );
        let concerned = |c| classes.concerns_nfc(c);
        assert!("\u{301}\u{340}\u{1161}\u{212b}\u{2000}".chars().all(concerned));
        assert!(!"a\u{e9}\u{ac01}\u{1100}\u{4e2d} ".chars().any(concerned));
    }
}
