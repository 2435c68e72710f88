//! Where sentences end, as Unicode has them (UAX #29), in time linear in the text.

use std::collections::HashMap;

use unicode_segmentation::UnicodeSegmentation;

/// What a character is to the end of a sentence before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    /// Brackets and quotation marks.
    Close,
    /// Belongs to the character before it.
    Extend,
    Other,
}

/// The byte after each sentence of a text, ascending; the last is the text's length. Line breaks count as spaces.
pub(crate) fn ends(text: &str) -> Vec<usize> {
    let (short, cuts) = without_runs(text);
    let mut cuts = cuts.into_iter().peekable();
    let mut removed = 0;
    short
        .split_sentence_bound_indices()
        .map(|(at, sentence)| {
            let end = at + sentence.len();
            while let Some((_, bytes)) = cuts.next_if(|&(at, _)| at <= end) {
                removed += bytes;
            }
            end + removed
        })
        .collect()
}

/// The text with one character for each run of spaces or closing marks, which ends no sentence elsewhere; where in it
/// something was cut out, and how many bytes. For after a full stop the library looks for the next letter anew at each
/// character of such a run: hours, for a megabyte of spaces.
fn without_runs(text: &str) -> (String, Vec<(usize, usize)>) {
    let (mut short, mut cuts) = (String::with_capacity(text.len()), Vec::<(usize, usize)>::new());
    let mut known = HashMap::new();
    let mut last = Class::Other;
    for c in text.chars() {
        let class = match c {
            _ if c.is_ascii_alphanumeric() => Class::Other,
            // Those that end a paragraph are none to Unicode.
            '\u{85}' | '\u{2028}' | '\u{2029}' => Class::Other,
            _ if c.is_whitespace() => Class::Space,
            // A mark that is also a letter matters in a run alone.
            _ if last == Class::Other && c.is_alphanumeric() => Class::Other,
            _ => *known.entry(c).or_insert_with(|| class(c)),
        };
        let in_run = last != Class::Other && (class == last || class == Class::Extend);
        if in_run {
            match cuts.last_mut() {
                Some((at, bytes)) if *at == short.len() => *bytes += c.len_utf8(),
                _ => cuts.push((short.len(), c.len_utf8())),
            }
            continue;
        }
        // Unicode ends sentences at line breaks, which in texts that are broken to some width stand anywhere.
        short.push(if matches!(c, '\n' | '\r') { ' ' } else { c });
        if class != Class::Extend {
            last = class;
        }
    }
    (short, cuts)
}

/// Of a character that is no white space. The library keeps its table to itself: what it does with the character tells.
fn class(c: char) -> Class {
    let first = |text: String| text.split_sentence_bounds().next().map_or(0, str::len);
    let length = c.len_utf8();
    // The sentence goes on over a closing mark, an extender and a further full stop, and ends there.
    if first(format!("!{c}A")) != 1 + length {
        return Class::Other;
    }
    // An abbreviation is one across an extender alone.
    if first(format!("a.{c}A")) != 2 + length {
        return Class::Extend;
    }
    // A full stop ends a sentence by itself.
    if first(format!("{c}A")) == length { Class::Other } else { Class::Close }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    use super::{Class, class, ends};

    #[test]
    fn classes() {
        for c in [')', '(', '"', '\'', '\u{201d}', '\u{300d}', '\u{bb}'] {
            assert_eq!(class(c), Class::Close, "{c:?}");
        }
        for c in ['\u{301}', '\u{93e}', '\u{ad}', '\u{200d}', '\u{feff}', '\u{fe0f}'] {
            assert_eq!(class(c), Class::Extend, "{c:?}");
        }
        for c in ['.', '!', '\u{3002}', ',', '-', ':', 'a', 'A', '1', '\u{4e2d}', '\u{661}', '+', '\u{1f469}']
        {
            assert_eq!(class(c), Class::Other, "{c:?}");
        }
    }

    /// Without this a text of some hundred kilobytes never ends.
    #[test]
    fn long_runs_end() {
        let letters = |run: &str| format!("A.{}b. C", run.repeat(200_000));
        for run in [" ", ")", " \u{a0}\n", ")]", " \u{301}", ") \u{301}", "\u{93e} "] {
            let text = letters(run);
            let all = ends(&text);
            assert_eq!(all.last(), Some(&text.len()));
            assert!(all.len() <= 4, "{run:?}: {}", all.len());
        }
        let text = format!("A.{}B. C", " ".repeat(200_000));
        assert_eq!(ends(&text), [200_002, 200_005, 200_006]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        /// Every class that Unicode has, often enough to meet in runs.
        #[test]
        fn ends_are_unicodes(text in "[.!?\u{3002} \t\u{a0}\u{2028}\u{85}\n\r)(\"\u{301}\u{93e}\u{ad}\u{4e2d}aAbB1,:+\u{1f469}]{0,24}") {
            let unbroken = text.replace(['\n', '\r'], " ");
            let wanted: Vec<usize> = unbroken
                .split_sentence_bound_indices()
                .map(|(at, sentence)| at + sentence.len())
                .collect();
            prop_assert_eq!(ends(&text), wanted);
        }
    }
}
