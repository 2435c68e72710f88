//! Ids back to readable text, as the authors' decoders print it. Marks are left out.

use crate::bpe::Bpe;
use crate::sentencepiece::{Prefix, SPACE, byte_of};
use crate::vocabulary::{TokenType, Vocabulary};
use crate::wordpiece::start_of_word;

/// SentencePiece: U+2581 is a space, byte tokens are bytes. What is no UTF-8 becomes U+FFFD.
pub(crate) fn sentencepiece(vocabulary: &Vocabulary, ids: &[u32], prefix: Prefix) -> String {
    let mut bytes = Vec::new();
    for &id in ids {
        let text = vocabulary.text(id);
        match vocabulary.token_type(id) {
            None | Some(TokenType::Control) => {}
            Some(TokenType::Byte) if byte_of(text).is_some() => bytes.extend(byte_of(text)),
            _ => bytes.extend_from_slice(text.replace(SPACE, " ").as_bytes()),
        }
    }
    let text =
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into());
    match prefix {
        Prefix::Never => text,
        Prefix::Always => text.strip_prefix(' ').map(str::to_owned).unwrap_or(text),
        Prefix::WhereNoneIs | Prefix::FirstWhereNoneIs => unprefixed(&text).to_owned(),
    }
}

/// Without the space that was put before a text that began with none. Where a second one follows, or nothing, the text had it:
/// the authors take it away there, too, and their text then has other ids.
fn unprefixed(text: &str) -> &str {
    text.strip_prefix(' ').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(text)
}

/// BPE: the tokens' bytes. What is no UTF-8 becomes U+FFFD.
pub(crate) fn bpe(vocabulary: &Vocabulary, bpe: &Bpe, ids: &[u32]) -> String {
    let of_text = |id: &&u32| !matches!(vocabulary.token_type(**id), None | Some(TokenType::Control));
    let bytes: Vec<u8> = ids.iter().filter(of_text).flat_map(|&id| bpe.bytes(id)).copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    let text = if bpe.space_prefix() { unprefixed(&text) } else { &text };
    text.to_owned()
}

/// WordPiece: a space before every word but the first, none before `. ? ! ,` and some English endings.
pub(crate) fn wordpiece(vocabulary: &Vocabulary, ids: &[u32]) -> String {
    let mut out = String::new();
    for &id in ids {
        let Some(text) = vocabulary.get(id) else { continue };
        if vocabulary.token_type(id) == Some(TokenType::Control) {
            continue;
        }
        let Some(word) = start_of_word(text) else {
            out.push_str(text);
            continue;
        };
        if !out.is_empty() && !matches!(word, "." | "?" | "!" | "," | "n't" | "'m" | "'s" | "'ve" | "'re") {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}
