//! The first piece of a text, as the regular expressions of byte-level BPE cut it.
//!
//! Each expression of the authors matches at every place of every text, so pieces lie end to end, and the first piece
//! is all there is to find. No expression engine runs: alternatives are tried in the authors' order, by hand.

use crate::char_class::{Class, Classes};

/// A family of expressions, told apart by what its members differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// GPT-2's: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. With `digits`, numbers
    /// are cut out first, one by one.
    Gpt2 { digits: bool },
    /// Llama 3's: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
    /// \s*[\r\n]+|\s+(?!\S)|\s+`, with at most `digits` numbers in a piece. With `marks`, `\p{M}` counts as a letter.
    Llama3 { digits: usize, marks: bool },
    /// GPT-4o's: words `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`, or the same with
    /// `+` first and `*` then, each with `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` after it where there are `endings`; the rest
    /// as Llama 3's, but `[\r\n/]*` after symbols.
    Gpt4o { digits: usize, endings: bool },
    /// None: all of the text is one piece.
    Whole,
    /// Pieces begin at spaces: of Metaspace, where spaces are U+2581.
    BeforeSpaces,
    /// `\w+|[^\w\s]+`. What is between, spaces, is no part of any piece.
    Words,
}

/// A text with the classes of its characters at hand; offsets are bytes.
#[derive(Clone, Copy)]
struct Text<'a> {
    text: &'a str,
    classes: &'a Classes,
    /// Whether numbers are what the pre-tokenizer `Digits` takes for them.
    digits: bool,
}

impl Text<'_> {
    /// The character at `at`, its class, and where the next one begins.
    fn at(&self, at: usize) -> Option<(char, Class, usize)> {
        let c = self.text.get(at..)?.chars().next()?;
        let class = if self.digits { self.classes.of_digits(c) } else { self.classes.of(c) };
        Some((c, class, at + c.len_utf8()))
    }

    /// Where the run of characters that begins at `at` ends.
    fn run(&self, mut at: usize, most: usize, of: impl Fn(char, Class) -> bool) -> usize {
        for _ in 0..most {
            match self.at(at) {
                Some((c, class, next)) if of(c, class) => at = next,
                _ => break,
            }
        }
        at
    }

    fn is(&self, at: usize, of: impl Fn(Class) -> bool) -> bool {
        self.at(at).is_some_and(|(_, class, _)| of(class))
    }

    /// Where the English ending at `at` (`'s`, `'ll`) ends.
    fn ending(&self, at: usize, any_case: bool) -> Option<usize> {
        let mut chars = self.text.get(at..)?.chars();
        let mut letter = || {
            let c = chars.next()?;
            // U+017F is an s to an expression that ignores case.
            Some(if !any_case {
                c
            } else if c == '\u{17f}' {
                's'
            } else {
                c.to_ascii_lowercase()
            })
        };
        if letter()? != '\'' {
            return None;
        }
        let first = letter()?;
        let length = match first {
            's' | 't' | 'm' | 'd' => 1,
            'r' | 'v' if letter()? == 'e' => 2,
            'l' if letter()? == 'l' => 2,
            _ => return None,
        };
        Some(self.text[at + 1..].char_indices().nth(length).map_or(self.text.len(), |(end, _)| at + 1 + end))
    }

    /// `\s+(?!\S)|\s+`: leaves the last space to what comes after it, unless it is alone. `stop` ends a text early.
    fn spaces(&self, stop: impl Fn(Class) -> bool) -> usize {
        let (mut at, mut last) = (0, 0);
        while let Some((_, Class::Space, next)) = self.at(at) {
            last = at;
            at = next;
        }
        if last == 0 || self.at(at).is_none_or(|(_, class, _)| stop(class)) { at } else { last }
    }

    /// `\s*[\r\n]+`: up to the last line end of the spaces.
    fn lines(&self) -> Option<usize> {
        let (mut at, mut end) = (0, None);
        while let Some((c, Class::Space, next)) = self.at(at) {
            at = next;
            if is_line_end(c) {
                end = Some(at);
            }
        }
        end
    }
}

impl Pattern {
    /// Length in bytes of the first piece of `text`, which is not empty; at least one character.
    pub(crate) fn first_piece(self, text: &str, classes: &Classes) -> usize {
        let text = Text { text, classes, digits: self == Pattern::Gpt2 { digits: true } };
        let Some((c, class, next)) = text.at(0) else { return 0 };
        match self {
            Pattern::Whole => text.text.len(),
            Pattern::BeforeSpaces => text.text[next..].find(' ').map_or(text.text.len(), |at| next + at),
            Pattern::Words => {
                let is_word = classes.is_word(c);
                let alike = |other, of: Class| {
                    (of == Class::Space, classes.is_word(other)) == (class == Class::Space, is_word)
                };
                text.run(next, usize::MAX, alike)
            }
            Pattern::Gpt2 { digits } => gpt2(text, c, class, next, digits),
            Pattern::Llama3 { digits, marks } => {
                let letter = |class: Class| class.is_letter() || marks && class == Class::Mark;
                let symbol = |class| !letter(class) && !matches!(class, Class::Space | Class::Number);
                if let Some(end) = text.ending(0, true) {
                    return end;
                }
                let start = if letter(class) || is_line_end(c) || class == Class::Number { 0 } else { next };
                if text.is(start, letter) {
                    return text.run(start, usize::MAX, |_, class| letter(class));
                }
                after_words(text, c, class, digits, symbol, is_line_end)
            }
            Pattern::Gpt4o { digits, endings } => {
                let symbol =
                    |class: Class| !matches!(class, Class::Space | Class::Number) && !class.is_letter();
                if let Some(end) = cased_word(text, c, class, next) {
                    return text.ending(end, true).filter(|_| endings).unwrap_or(end);
                }
                after_words(text, c, class, digits, symbol, |c| is_line_end(c) || c == '/')
            }
        }
    }
}

impl Pattern {
    /// Whether a piece is left out.
    pub(crate) fn leaves_out(self, piece: &str, classes: &Classes) -> bool {
        self == Pattern::Words && piece.starts_with(|c| classes.of(c) == Class::Space)
    }
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

fn gpt2(text: Text<'_>, c: char, class: Class, next: usize, digits: bool) -> usize {
    if digits && class == Class::Number {
        return next;
    }
    if let Some(end) = text.ending(0, false) {
        return end;
    }
    // An optional space belongs to the run after it.
    let start = if c == ' ' { next } else { 0 };
    if let Some((_, class, next)) = text.at(start) {
        let end = match class {
            Class::Space => None,
            Class::Number if digits => None,
            Class::Number => Some(text.run(next, usize::MAX, |_, class| class == Class::Number)),
            _ if class.is_letter() => Some(text.run(next, usize::MAX, |_, class| class.is_letter())),
            _ => Some(text.run(next, usize::MAX, |_, class| matches!(class, Class::Other | Class::Mark))),
        };
        if let Some(end) = end {
            return end;
        }
    }
    text.spaces(|class| digits && class == Class::Number)
}

/// The alternatives after those for words: numbers, symbols with what may trail them, lines, spaces.
fn after_words(
    text: Text<'_>,
    c: char,
    class: Class,
    digits: usize,
    symbol: impl Fn(Class) -> bool,
    trails: impl Fn(char) -> bool,
) -> usize {
    if class == Class::Number {
        return text.run(0, digits, |_, class| class == Class::Number);
    }
    let start = usize::from(c == ' ');
    if text.is(start, &symbol) {
        let end = text.run(start, usize::MAX, |_, class| symbol(class));
        return text.run(end, usize::MAX, |c, _| trails(c));
    }
    text.lines().unwrap_or_else(|| text.spaces(|_| false))
}

/// The word of GPT-4o's expression at the front of the text: letters of which no lower case one is before an upper
/// case one, with any one character in front that is no letter, number or line end.
fn cased_word(text: Text<'_>, c: char, class: Class, next: usize) -> Option<usize> {
    let not_lower = |_: char, class: Class| matches!(class, Class::Upper | Class::Letter | Class::Mark);
    let not_upper = |_: char, class: Class| matches!(class, Class::Lower | Class::Letter | Class::Mark);
    let prefixed = !class.is_letter() && class != Class::Number && !is_line_end(c);
    let starts = [prefixed.then_some(next), Some(0)];
    for start in starts.into_iter().flatten() {
        let capitals = text.run(start, usize::MAX, not_lower);
        let end = text.run(capitals, usize::MAX, not_upper);
        if end > capitals {
            return Some(end);
        }
        // Without lower case letters, the last one of the run that has no case must be the end of the word.
        let last = text.text[start..capitals]
            .char_indices()
            .rev()
            .find(|&(_, c)| text.classes.of(c) != Class::Upper);
        if let Some((at, c)) = last {
            return Some(start + at + c.len_utf8());
        }
    }
    let capitals = |start| Some(text.run(start, usize::MAX, not_lower)).filter(|&end| end > start);
    starts.into_iter().flatten().find_map(capitals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pattern: Pattern, mut text: &str) -> Vec<&str> {
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let (piece, rest) = text.split_at(pattern.first_piece(text, Classes::get()));
            assert!(!piece.is_empty());
            pieces.push(piece);
            text = rest;
        }
        pieces
    }

    #[test]
    fn gpt2() {
        let all = |text| pieces(Pattern::Gpt2 { digits: false }, text);
        assert_eq!(all("It's  25 l'S don't"), ["It", "'s", " ", " 25", " l", "'", "S", " don", "'t"]);
        assert_eq!(all("a \n\n  b  "), ["a", " \n\n ", " b", "  "]);
        assert_eq!(all("x!?\u{301}\u{e9}"), ["x", "!?\u{301}", "\u{e9}"]);
        assert_eq!(all("''ll\t\u{a0}a"), ["''", "ll", "\t", "\u{a0}", "a"]);
    }

    #[test]
    fn numbers_cut_out() {
        let all = |text| pieces(Pattern::Gpt2 { digits: true }, text);
        assert_eq!(all("ab 123  4 !"), ["ab", " ", "1", "2", "3", "  ", "4", " !"]);
        // Numbers of Unicode 17 are no numbers to the expression yet.
        assert_eq!(all("a  \u{11de2}!\u{16ff5}"), ["a", "  ", "\u{11de2}", "!", "\u{16ff5}"]);
        let all = |text| pieces(Pattern::Gpt2 { digits: false }, text);
        assert_eq!(all("a  \u{11de2}!\u{16ff5}"), ["a", " ", " \u{11de2}!\u{16ff5}"]);
    }

    #[test]
    fn llama3() {
        let all = |text| pieces(Pattern::Llama3 { digits: 3, marks: false }, text);
        assert_eq!(
            all("I'LL 12345 (ab)\r\n\r\n  c"),
            ["I", "'LL", " ", "123", "45", " (", "ab", ")\r\n\r\n", " ", " c"]
        );
        assert_eq!(all("'\u{17f}x \n \t"), ["'\u{17f}", "x", " \n", " \t"]);
        assert_eq!(all("\tab\n\ncd"), ["\tab", "\n\n", "cd"]);
        assert_eq!(all("e\u{301}a"), ["e", "\u{301}a"]);
        assert_eq!(
            pieces(Pattern::Llama3 { digits: 1, marks: true }, "e\u{301}a 12"),
            ["e\u{301}a", " ", "1", "2"]
        );
    }

    #[test]
    fn gpt4o() {
        let all = |text| pieces(Pattern::Gpt4o { digits: 3, endings: true }, text);
        assert_eq!(all("HelloWorld ABC's DEFgh"), ["Hello", "World", " ABC's", " DEFgh"]);
        assert_eq!(all("\u{4e2d}AB a/b//\n/c"), ["\u{4e2d}", "AB", " a", "/b", "//\n/", "c"]);
        assert_eq!(all("A\u{301}B\u{301}C"), ["A\u{301}B\u{301}", "C"]);
        assert_eq!(all("\u{301}1"), ["\u{301}", "1"]);
    }
}
