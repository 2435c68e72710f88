//! What Hugging Face's BertNormalizer and BertPreTokenizer make of a text: cleaned, decomposed, stripped of
//! nonspacing marks, lowercased, cut into words.

use crate::bert_tables::{CLASSES, COMBINING, DECOMPOSED};
use crate::offsets::Origins;

/// What the normaliser does with a character. Ordinary letters have no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Control, format, private use: dropped from the text.
    Removed,
    /// Ends a word.
    Space,
    /// A word of its own.
    Punctuation,
    /// An ideograph, set between spaces before all else.
    Chinese,
    /// A nonspacing mark.
    Mark,
    /// A nonspacing mark of combining class 0, over which nothing is reordered.
    MarkStarter,
    /// Not a nonspacing mark, and yet canonical ordering moves it.
    Reordered,
}

fn class(c: char) -> Option<Class> {
    if c.is_ascii() {
        // Most texts are made of these; the table agrees, which a test checks.
        return match c {
            '\t' | '\n' | '\r' | ' ' => Some(Class::Space),
            _ if c.is_ascii_punctuation() => Some(Class::Punctuation),
            _ if c.is_ascii_control() => Some(Class::Removed),
            _ => None,
        };
    }
    tabulated(c)
}

fn tabulated(c: char) -> Option<Class> {
    let point = u32::from(c);
    let at = CLASSES.partition_point(|&(_, last, _)| last < point);
    CLASSES.get(at).filter(|&&(first, _, _)| first <= point).map(|&(_, _, class)| class)
}

/// How a model's texts are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BertNormalizer {
    pub(crate) lowercase: bool,
    pub(crate) strip_accents: bool,
}

impl BertNormalizer {
    /// Hands the words of `text`, which begins at byte `base` of the whole, to `take`, in order, with where they come from. Ends
    /// soon after that says that it wants no more.
    pub(crate) fn words<O: Origins>(
        self,
        text: &str,
        base: usize,
        scratch: &mut Scratch<O>,
        mut take: impl FnMut(&str, &O) -> bool,
    ) {
        let Scratch { word, origins, moved } = scratch;
        word.clear();
        origins.clear();
        moved.clear();
        let mut words = Words { lowercase: self.lowercase, word, origins, take: &mut take, go_on: true };
        for (at, c) in text.char_indices() {
            if !words.go_on {
                return;
            }
            let at = base + at;
            if c.is_ascii_alphanumeric() {
                flush(moved, &mut words);
                words.keep(if self.lowercase { c.to_ascii_lowercase() } else { c }, &O::place(at..at + 1));
                continue;
            }
            let from = O::place(at..at + c.len_utf8());
            let class = class(c);
            match class {
                Some(Class::Removed) => continue,
                Some(Class::Space | Class::Chinese) => {
                    flush(moved, &mut words);
                    words.end();
                    if class == Some(Class::Space) {
                        continue;
                    }
                }
                _ => {}
            }
            if self.strip_accents {
                decompose(c, |part| order(part, &from, moved, &mut words));
            } else {
                words.letter(c, &from);
            }
            if class == Some(Class::Chinese) {
                flush(moved, &mut words);
                words.end();
            }
        }
        flush(moved, &mut words);
        words.end();
    }
}

/// What a call works in.
pub(crate) struct Scratch<O: Origins> {
    word: String,
    origins: O,
    /// Characters that await canonical ordering, with their combining class.
    moved: Moved<O::Place>,
}

impl<O: Origins> Default for Scratch<O> {
    fn default() -> Self {
        Self { word: String::new(), origins: O::default(), moved: Vec::new() }
    }
}

/// Combining class, character, and where it comes from.
type Moved<P> = Vec<(u8, char, P)>;

/// The word that is being collected.
struct Words<'a, O, F> {
    lowercase: bool,
    word: &'a mut String,
    origins: &'a mut O,
    take: &'a mut F,
    /// Whether more is wanted.
    go_on: bool,
}

impl<O: Origins, F: FnMut(&str, &O) -> bool> Words<'_, O, F> {
    /// Takes a normalised character: lowercased first, since the pre-tokeniser sees only the result.
    fn letter(&mut self, c: char, from: &O::Place) {
        if self.lowercase {
            c.to_lowercase().for_each(|c| self.place(c, from));
        } else {
            self.place(c, from);
        }
    }

    fn place(&mut self, c: char, from: &O::Place) {
        match class(c) {
            Some(Class::Space) => self.end(),
            Some(Class::Punctuation) => {
                self.end();
                self.keep(c, from);
                self.end();
            }
            _ => self.keep(c, from),
        }
    }

    fn keep(&mut self, c: char, from: &O::Place) {
        self.word.push(c);
        self.origins.push(c.len_utf8(), from.clone());
    }

    fn end(&mut self) {
        if !self.word.is_empty() {
            self.go_on = (self.take)(self.word, self.origins);
            self.word.clear();
            self.origins.clear();
        }
    }
}

/// Takes a character of the decomposed text, drops nonspacing marks and holds back what ordering may move.
///
/// Dropping the marks while sorting gives the same as dropping them afterwards, because the sort is stable.
fn order<O: Origins, F: FnMut(&str, &O) -> bool>(
    c: char,
    from: &O::Place,
    moved: &mut Moved<O::Place>,
    words: &mut Words<'_, O, F>,
) {
    match class(c) {
        Some(Class::Mark) => {}
        Some(Class::MarkStarter) => flush(moved, words),
        Some(Class::Reordered) => {
            let at = COMBINING.binary_search_by_key(&u32::from(c), |&(point, _)| point);
            moved.push((at.map_or(0, |at| COMBINING[at].1), c, from.clone()));
        }
        _ => {
            flush(moved, words);
            words.letter(c, from);
        }
    }
}

fn flush<O: Origins, F: FnMut(&str, &O) -> bool>(moved: &mut Moved<O::Place>, words: &mut Words<'_, O, F>) {
    if !moved.is_empty() {
        moved.sort_by_key(|&(combining, _, _)| combining);
        moved.drain(..).for_each(|(_, c, from)| words.letter(c, &from));
    }
}

/// Canonical decomposition of one character.
pub(crate) fn decompose(c: char, mut take: impl FnMut(char)) {
    // Hangul syllables are arithmetic (The Unicode Standard, section 3.12).
    const SYLLABLES: u32 = 0xAC00;
    const VOWELS: u32 = 21;
    const TRAILS: u32 = 28;
    let point = u32::from(c);
    if point < 0xC0 {
        return take(c);
    }
    if (SYLLABLES..SYLLABLES + 19 * VOWELS * TRAILS).contains(&point) {
        let syllable = point - SYLLABLES;
        let lead = 0x1100 + syllable / (VOWELS * TRAILS);
        let vowel = 0x1161 + syllable / TRAILS % VOWELS;
        let trail = 0x11A7 + syllable % TRAILS;
        let parts = [Some(lead), Some(vowel), (trail > 0x11A7).then_some(trail)];
        return parts.into_iter().flatten().filter_map(char::from_u32).for_each(take);
    }
    match DECOMPOSED.binary_search_by_key(&point, |&(point, _)| point) {
        Ok(at) => DECOMPOSED[at].1.chars().for_each(take),
        Err(_) => take(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, lowercase: bool, strip_accents: bool) -> Vec<String> {
        let mut words = Vec::new();
        let normalizer = BertNormalizer { lowercase, strip_accents };
        normalizer.words(text, 0, &mut Scratch::<()>::default(), |word, ()| {
            words.push(word.to_owned());
            true
        });
        words
    }

    #[test]
    fn ascii_agrees_with_the_table() {
        for c in '\0'..='\x7f' {
            assert_eq!(class(c), tabulated(c), "{c:?}");
        }
    }

    #[test]
    fn tables_can_be_searched() {
        assert!(CLASSES.iter().all(|&(first, last, _)| first <= last));
        assert!(CLASSES.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert!(DECOMPOSED.is_sorted_by(|a, b| a.0 < b.0));
        assert!(COMBINING.is_sorted_by(|a, b| a.0 < b.0));
        // Whatever is reordered has a combining class to be reordered by.
        for &(first, last, class) in &CLASSES {
            for point in first..=last {
                let listed = COMBINING.iter().any(|&(other, _)| other == point);
                assert_eq!(listed, class == Class::Reordered, "{point:x}");
            }
        }
    }

    #[test]
    fn uncased() {
        assert_eq!(words("H\u{e9}llo, W\u{f6}rld!\u{1}", true, true), ["hello", ",", "world", "!"]);
        assert_eq!(
            words("\u{4e2d}\u{6587}ab\u{65e5}", true, true),
            ["\u{4e2d}", "\u{6587}", "ab", "\u{65e5}"]
        );
        assert_eq!(words("\u{ac01}", true, true), ["\u{1100}\u{1161}\u{11a8}"]);
        assert_eq!(words("a\u{a0}b\u{200b}c\td", true, true), ["a", "bc", "d"]);
        // GREEK QUESTION MARK decomposes into a semicolon.
        assert_eq!(words("a\u{37e}b", true, true), ["a", ";", "b"]);
    }

    #[test]
    fn cased_and_accents() {
        assert_eq!(words("H\u{c9}", false, false), ["H\u{c9}"]);
        assert_eq!(words("H\u{c9}", false, true), ["HE"]);
        assert_eq!(words("H\u{c9}", true, false), ["h\u{e9}"]);
        assert_eq!(words("\u{130}", true, false), ["i\u{307}"]);
        assert_eq!(words("\u{130}", true, true), ["i"]);
    }

    #[test]
    fn what_is_kept_and_moves() {
        // U+302E (class 224) goes behind U+1D165 (class 216); the mark between them is dropped.
        assert_eq!(words("a\u{302e}\u{301}\u{1d165}b", true, true), ["a\u{1d165}\u{302e}b"]);
        // U+0941 has class 0: nothing moves over it, though it is dropped too.
        assert_eq!(words("a\u{302e}\u{941}\u{1d165}b", true, true), ["a\u{302e}\u{1d165}b"]);
        assert_eq!(words("\u{302e}", true, true), ["\u{302e}"]);
    }
}
