//! How added tokens are looked for in texts: the authors' files have flags for it, where GGUF has the kind of tokenizer.

use ::tokenizer::{Kind, Tokenizer};
use serde_json::Value;

use super::{Files, flattened, looks_special, unsaid};
use crate::error::Error;

/// What a normalizer means to the text of a token that is looked for before it, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changes {
    Nothing,
    /// Spaces become U+2581.
    Spaces,
    /// Rare characters: what is composed, mapped or cleaned away.
    Some,
    /// Words of everyday: capitals, accents, what texts begin with.
    Words,
}

/// Refuses flags that make a word another than ours; of marks, whose text is seldom spelled out, they are told.
pub(super) fn check(
    files: &Files<'_>,
    tokenizer: &Tokenizer,
    joins_spaces: bool,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let Some(json) = &files.json else { return Ok(()) };
    let changes = changes(&json["normalizer"]);
    // There spaces beside a token say nothing.
    let spaces_count = !joins_spaces && tokenizer.kind() != Kind::WordPiece;
    let mut told: Vec<String> = Vec::new();
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let (Some(id), Some(text)) = (token["id"].as_u64(), token["content"].as_str()) else { continue };
        let Some(ours) = u32::try_from(id).ok().and_then(|id| tokenizer.looks_for(id)) else { continue };
        let says = |flag: &str| token[flag].as_bool() == Some(true);
        let normalized = match changes {
            Changes::Nothing => false,
            Changes::Spaces => says("normalized") != ours.normalized && text.contains([' ', '\u{2581}']),
            // The authors' text of a token is normalised, too.
            Changes::Words => {
                says("normalized") != ours.normalized
                    || says("normalized") && text.chars().any(char::is_uppercase)
            }
            Changes::Some => says("normalized") != ours.normalized,
        };
        let differing = [
            ("single_word", says("single_word")),
            ("lstrip", spaces_count && says("lstrip") != ours.takes_spaces),
            ("rstrip", spaces_count && says("rstrip")),
            ("normalized", normalized),
        ];
        for (flag, _) in differing.into_iter().filter(|(_, differs)| *differs) {
            let what = format!("{flag} of the added token {text:?} is {}", says(flag));
            let is_word = !says("special") && !looks_special(text);
            if is_word && (flag != "normalized" || changes != Changes::Some) {
                return Err(unsaid(what));
            }
            told.push(what);
        }
    }
    if let Some(first) = told.first() {
        let more = match told.len() {
            1 => String::new(),
            flags => format!(", and {} more", flags - 1),
        };
        notes.push(format!(
            "texts that spell out added tokens may get other ids than the authors' tokenizer gives: {first}{more}, which GGUF has no \
             way to say"
        ));
    }
    Ok(())
}

fn changes(normalizer: &Value) -> Changes {
    let parts = flattened(normalizer, "normalizers");
    let of = |part: &&Value| match part["type"].as_str().unwrap_or_default() {
        "Replace" if part["pattern"]["String"].as_str() == Some(" ") => Changes::Spaces,
        "BertNormalizer" => {
            let lowercase = part["lowercase"].as_bool().unwrap_or(true);
            match lowercase || part["strip_accents"].as_bool() == Some(true) {
                true => Changes::Words,
                false => Changes::Some,
            }
        }
        "Lowercase" | "Prepend" => Changes::Words,
        _ => Changes::Some,
    };
    parts.iter().map(of).max_by_key(|changes| *changes as u8).unwrap_or(Changes::Nothing)
}
