//! Canonical composition (NFC), as Hugging Face tokenizers do it, whose Unicode tables are older than others'.

use std::borrow::Cow;

use crate::bert_normalizer::decompose;
use crate::char_class::Classes;
use crate::offsets::Origins;
use crate::unicode_tables::{COMBINING, COMPOSED};

/// The text in normal form C. `origins` is about the text and then about the result.
pub(crate) fn nfc<'a, O: Origins>(text: &'a str, classes: &Classes, origins: &mut O) -> Cow<'a, str> {
    let Some((first, _)) = text.char_indices().find(|&(_, c)| concerned(classes, c)) else {
        return Cow::Borrowed(text);
    };
    let given = std::mem::take(origins);
    let mut out = String::with_capacity(text.len());
    let mut segment: Vec<Part<O>> = Vec::new();
    let mut rest = text;
    let mut next = Some(first);
    while let Some(at) = next {
        // All is well up to the character before the one in question, which may compose with it.
        let begin = rest[..at].char_indices().next_back().map_or(0, |(before, _)| before);
        let front = text.len() - rest.len();
        out.push_str(&rest[..begin]);
        origins.push_part(&given, front..front + begin);
        let front = front + begin;
        rest = &rest[begin..];
        // Nothing composes over the front of a character that NFC leaves alone.
        let end = rest.char_indices().skip(1).find(|&(_, c)| !concerned(classes, c));
        let end = end.map_or(rest.len(), |(end, _)| end);
        for (at, c) in rest[..end].char_indices() {
            let from = given.of(front + at..front + at + c.len_utf8());
            decompose(c, |c| segment.push(Part { class: combining_class(c), c, from: from.clone() }));
        }
        order(&mut segment);
        compose(&mut segment);
        for part in segment.drain(..) {
            out.push(part.c);
            origins.push(part.c.len_utf8(), part.from);
        }
        rest = &rest[end..];
        next = rest.char_indices().find(|&(_, c)| concerned(classes, c)).map(|(at, _)| at);
    }
    out.push_str(rest);
    origins.push_part(&given, text.len() - rest.len()..text.len());
    Cow::Owned(out)
}

/// A decomposed character: its combining class, and where it comes from.
struct Part<O: Origins> {
    class: u8,
    c: char,
    from: O::Place,
}

fn concerned(classes: &Classes, c: char) -> bool {
    c >= '\u{300}' && classes.concerns_nfc(c)
}

fn combining_class(c: char) -> u8 {
    let point = u32::from(c);
    let at = COMBINING.partition_point(|&(_, last, _)| last < point);
    COMBINING.get(at).filter(|&&(first, _, _)| first <= point).map_or(0, |&(_, _, class)| class)
}

/// Canonical ordering: between starters, by combining class.
fn order<O: Origins>(segment: &mut [Part<O>]) {
    for marks in segment.split_mut(|part| part.class == 0) {
        marks.sort_by_key(|part| part.class);
    }
}

/// Joins starters with what follows them, where nothing of the same or a higher class stands between.
fn compose<O: Origins>(segment: &mut Vec<Part<O>>) {
    let mut starter = None;
    let (mut kept, mut last_class) = (0, 0);
    for at in 0..segment.len() {
        let Part { class, c, ref from } = segment[at];
        // Beside the starter, or with lower classes only in between.
        let reachable = |starter: usize| starter + 1 == kept || last_class < class;
        if let Some(place) = starter.filter(|&place| reachable(place))
            && let Some(whole) = composed(segment[place].c, c)
        {
            let from = from.clone();
            let starter = &mut segment[place];
            starter.c = whole;
            O::join(&mut starter.from, from);
            continue;
        }
        segment.swap(kept, at);
        if class == 0 {
            starter = Some(kept);
        }
        last_class = class;
        kept += 1;
    }
    segment.truncate(kept);
}

fn composed(first: char, second: char) -> Option<char> {
    // Hangul syllables are arithmetic (The Unicode Standard, section 3.12).
    const SYLLABLES: u32 = 0xAC00;
    let (a, b) = (u32::from(first), u32::from(second));
    if let (Some(lead @ 0..19), Some(vowel @ 0..21)) = (a.checked_sub(0x1100), b.checked_sub(0x1161)) {
        return char::from_u32(SYLLABLES + (lead * 21 + vowel) * 28);
    }
    if let (Some(syllable @ 0..11_172), Some(trail @ 1..28)) =
        (a.checked_sub(SYLLABLES), b.checked_sub(0x11A7))
        && syllable % 28 == 0
    {
        return char::from_u32(a + trail);
    }
    let at = COMPOSED.binary_search_by_key(&(a, b), |&(first, second, _)| (first, second)).ok()?;
    char::from_u32(COMPOSED[at].2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        nfc(text, Classes::get(), &mut ()).into_owned()
    }

    #[test]
    fn composes() {
        assert_eq!(normal("cafe\u{301} e\u{301}e\u{301}"), "caf\u{e9} \u{e9}\u{e9}");
        assert_eq!(normal("\u{212b} A\u{30a}x"), "\u{c5} \u{c5}x");
        assert_eq!(normal("\u{1100}\u{1161}\u{11a8}\u{ac00}\u{11a8}"), "\u{ac01}\u{ac01}");
        // q with two dots: ordered, not composed. Nor are the excluded ones.
        assert_eq!(normal("q\u{307}\u{323}"), "q\u{323}\u{307}");
        assert_eq!(normal("\u{958}"), "\u{915}\u{93c}");
        // A mark of the same class stands between.
        assert_eq!(normal("a\u{300}\u{301}"), "\u{e0}\u{301}");
        assert_eq!(normal("e\u{301}\u{323}"), "\u{1eb9}\u{301}");
        assert_eq!(normal("\u{301}a"), "\u{301}a");
        assert_eq!(normal("\u{2000}"), "\u{2002}");
    }

    #[test]
    fn leaves_alone() {
        for text in ["", "plain", "\u{4e2d}\u{6587} \u{e9}\u{ac01}", "\u{1f469}\u{200d}\u{1f469}"] {
            assert!(matches!(nfc(text, Classes::get(), &mut ()), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn tables_can_be_searched() {
        assert!(COMPOSED.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)));
        assert!(COMBINING.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
