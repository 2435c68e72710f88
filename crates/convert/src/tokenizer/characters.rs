//! BPE of characters, and of bytes where a character is no token: SentencePiece's, whose tokens have scores, written as a
//! list of merges.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::class::Class;
use super::{
    Files, Kind, PREPEND_SCHEME, Token, Vocabulary, bpe, flattened, put_added, sentencepiece, unsaid,
};
use crate::config::shown;
use crate::error::Error;

/// The vocabulary, its scores from SentencePiece's file where the folder has it.
pub(super) fn read(
    json: &Value,
    files: &Files<'_>,
    model: Option<&std::path::Path>,
    notes: &mut Vec<String>,
) -> Result<Vocabulary, Error> {
    let prefix = prefix(json)?;
    if files.class == Class::Llama {
        notes.extend(of_class(&files.config, prefix));
    }
    bpe::merges_alone(&json["model"])?;
    if json["model"]["ignore_merges"].as_bool() == Some(true) {
        return Err(unsaid("ignore_merges is true beside BPE of characters"));
    }
    let mut vocabulary = match model {
        Some(path) => sentencepiece::read(path, files, false)?,
        None => by_rank(json, files)?,
    };
    // As the file says that the authors' code runs, whatever the other one has.
    vocabulary.more.retain(|(key, _)| *key != "add_space_prefix");
    vocabulary.more.push(("add_space_prefix", (prefix != Prefix::None).into()));
    if let Prefix::WhereNoneIs(scheme) = prefix {
        vocabulary.more.push((PREPEND_SCHEME, scheme.into()));
    }
    Ok(vocabulary)
}

/// The space before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    Always,
    /// Metaspace's, which is not put before a space.
    WhereNoneIs(&'static str),
}

/// What is to be said where the authors' class leaves the file's normalizer and pre_tokenizer for its own. The file's are written:
/// the class of transformers 4 takes them, for which such files were made.
fn of_class(config: &Value, prefix: Prefix) -> Option<String> {
    let taken = match (config["add_prefix_space"].as_bool(), config["legacy"].as_bool()) {
        (Some(false), _) => Prefix::None,
        (_, Some(true)) => Prefix::WhereNoneIs("always"),
        _ => Prefix::WhereNoneIs("first"),
    };
    let scheme = match taken {
        Prefix::WhereNoneIs(scheme) => scheme,
        Prefix::None | Prefix::Always => "never",
    };
    (taken != prefix).then(|| {
        format!(
            "the file puts spaces before texts as tokenizer.json says, and transformers 4; LlamaTokenizer of transformers 5 takes \
             Metaspace with prepend_scheme {scheme} instead, which gives other tokens at the beginning of some texts"
        )
    })
}

/// The space before a text. Refuses what does more than SentencePiece's BPE does, or less: a mark for each space.
fn prefix(json: &Value) -> Result<Prefix, Error> {
    let cutters = flattened(&json["pre_tokenizer"], "pretokenizers");
    for part in &cutters {
        let is_space = match part["type"].as_str() {
            // Cuts nothing: no spaces are left by then (Gemma).
            Some("Split") => part["pattern"]["String"].as_str() == Some(" "),
            Some("Metaspace") => {
                part["replacement"].as_str() == Some("\u{2581}") && part["split"].as_bool() == Some(false)
            }
            _ => false,
        };
        if !is_space {
            return Err(unsaid(format!("the pre_tokenizer {} beside BPE of characters", shown(part))));
        }
    }
    let normalizers = flattened(&json["normalizer"], "normalizers");
    for part in &normalizers {
        let is_space = match part["type"].as_str() {
            Some("Prepend") => part["prepend"].as_str() == Some("\u{2581}"),
            Some("Replace") => {
                part["pattern"]["String"].as_str() == Some(" ")
                    && part["content"].as_str() == Some("\u{2581}")
            }
            _ => false,
        };
        if !is_space {
            return Err(unsaid(format!("the normalizer {} beside BPE of characters", shown(part))));
        }
    }
    let kinds = |parts: &[&Value]| -> Vec<String> {
        parts.iter().map(|part| part["type"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let scheme = cutters.iter().find(|part| part["type"] == "Metaspace").map(|part| &part["prepend_scheme"]);
    let (before, cuts) = (kinds(&normalizers), kinds(&cutters));
    let (before, cuts): (Vec<&str>, Vec<&str>) =
        (before.iter().map(String::as_str).collect(), cuts.iter().map(String::as_str).collect());
    match (before.as_slice(), cuts.as_slice(), scheme.and_then(Value::as_str)) {
        (["Replace"], [] | ["Split"], _) | (["Replace"] | [], ["Metaspace"], Some("never")) => {
            Ok(Prefix::None)
        }
        // Every text begins with a space by the time that Metaspace looks.
        (["Prepend", "Replace"], [] | ["Split"] | ["Metaspace"], _) => Ok(Prefix::Always),
        ([], ["Metaspace"], Some("always")) => Ok(Prefix::WhereNoneIs("always")),
        ([], ["Metaspace"], Some("first")) => Ok(Prefix::WhereNoneIs("first")),
        _ => Err(unsaid(format!(
            "the normalizer {} and the pre_tokenizer {} beside BPE of characters",
            shown(&json["normalizer"]),
            shown(&json["pre_tokenizer"])
        ))),
    }
}

/// Without SentencePiece's file: the earlier a merge, the higher the score of what it makes.
fn by_rank(json: &Value, files: &Files<'_>) -> Result<Vocabulary, Error> {
    let pieces = bpe::by_id(&json["model"]["vocab"], files.embeddings)?;
    let merges = bpe::merges(&json["model"]["merges"])?;
    let ranks: HashMap<String, usize> =
        merges.iter().enumerate().rev().map(|(rank, merge)| (merge.replacen(' ', "", 1), rank)).collect();
    let unknown = json["model"]["unk_token"].as_str();
    let token = |text: String| {
        let is_byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
        let kind = match &text {
            text if Some(text.as_str()) == unknown => Kind::Unknown,
            _ if is_byte => Kind::Byte,
            _ => Kind::Normal,
        };
        let score = ranks.get(&text).map_or(0.0, |rank| -(*rank as f32));
        Token { text, score, kind }
    };
    let mut tokens: Vec<Token> = pieces.into_iter().map(token).collect();
    put_added(&mut tokens, files.added(), None, files);
    let normal = tokens.iter().filter(|token| token.kind == Kind::Normal).map(|token| token.text.as_str());
    are_scores(&merges, &normal.collect())?;
    Ok(Vocabulary { model: "llama", pre: "default".to_owned(), tokens, has_scores: true, more: Vec::new() })
}

/// Refuses merges that are no scores of tokens: by scores every two pieces merge that are a token together, and whatever
/// two pieces a token is made of, its turn is the same.
fn are_scores(merges: &[String], normal: &HashSet<&str>) -> Result<(), Error> {
    let there: HashSet<&str> = merges.iter().map(String::as_str).collect();
    for &text in normal {
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            let pair = format!("{left} {right}");
            if normal.contains(left) && normal.contains(right) && !there.contains(pair.as_str()) {
                return Err(unsaid(format!(
                    "its merges lack {pair:?}, both of which and {text:?} are tokens"
                )));
            }
        }
    }
    let made = merges.iter().map(|merge| merge.replacen(' ', "", 1));
    let (mut seen, mut last) = (HashSet::new(), String::new());
    for text in made.filter(|text| normal.contains(text.as_str())) {
        if text != last && !seen.insert(text.clone()) {
            return Err(unsaid(format!("its merges make {text:?} at several turns")));
        }
        last = text;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges_are_scores_or_refused() {
        let normal = ["a", "b", "c", "ab", "bc", "abc"].into_iter().collect();
        let refusal = |merges: &[&str]| {
            let merges: Vec<String> = merges.iter().map(|&merge| merge.to_owned()).collect();
            are_scores(&merges, &normal).map_err(|error| error.to_string()).err()
        };
        assert_eq!(refusal(&["a b", "b c", "ab c", "a bc"]), None);
        let lacking = refusal(&["a b", "b c", "ab c"]).expect("it is refused");
        assert!(
            lacking.contains("its merges lack \"a bc\", both of which and \"abc\" are tokens"),
            "{lacking}"
        );
        let turns = refusal(&["a b", "ab c", "b c", "a bc"]).expect("it is refused");
        assert!(turns.contains("its merges make \"abc\" at several turns"), "{turns}");
    }

    #[test]
    fn spaces_before_a_text() {
        let of = |normalizers: &[Value], cutter: Value| {
            let normalizer = json!({"type": "Sequence", "normalizers": normalizers});
            prefix(&json!({"normalizer": normalizer, "pre_tokenizer": cutter}))
        };
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
        let prepend = json!({"type": "Prepend", "prepend": "\u{2581}"});
        let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": false});
        let right: &[(&[Value], Value, Prefix)] = &[
            (std::slice::from_ref(&replace), Value::Null, Prefix::None),
            (&[prepend.clone(), replace.clone()], Value::Null, Prefix::Always),
            (&[prepend.clone(), replace.clone()], metaspace("first"), Prefix::Always),
            (&[], metaspace("never"), Prefix::None),
            (&[], metaspace("always"), Prefix::WhereNoneIs("always")),
            (&[], metaspace("first"), Prefix::WhereNoneIs("first")),
        ];
        for (normalizers, cutter, wanted) in right {
            assert_eq!(of(normalizers, cutter.clone()).expect("it is right"), *wanted, "{cutter}");
        }
        // Spaces that stay spaces, or are put before a text twice over.
        let wrong: &[(&[Value], Value)] = &[
            (&[], Value::Null),
            (std::slice::from_ref(&prepend), Value::Null),
            (&[replace.clone(), prepend.clone()], Value::Null),
            (std::slice::from_ref(&replace), metaspace("always")),
            (std::slice::from_ref(&prepend), metaspace("never")),
        ];
        for (normalizers, cutter) in wrong {
            let refusal = of(normalizers, cutter.clone()).expect_err("it is refused").to_string();
            assert!(refusal.contains("beside BPE of characters, which GGUF has no way to say"), "{refusal}");
        }
    }
}
