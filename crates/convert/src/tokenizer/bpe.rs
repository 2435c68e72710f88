//! BPE out of `tokenizer.json`, or `vocab.json` and `merges.txt`.
//!
//! GGUF has a name for each way to cut a text before merging, where the authors have regular expressions: those of
//! embedding models are recognised, and one that is not is an error that shows it.

use std::fs;

use gguf::OwnedValue;
use serde_json::Value;

use super::{Files, Kind, Token, Vocabulary, flattened, put_added, unsaid};
use crate::config::shown;
use crate::error::Error;
use crate::json;

/// Ways to cut, by the regular expression of their first `Split`.
const PATTERNS: &[(&str, &str)] = &[
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "qwen2",
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "qwen35",
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "llama-bpe",
    ),
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "gpt-4o",
    ),
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "tekken",
    ),
];

pub(super) fn read(json: &Value, files: &Files<'_>, pre: Option<&str>) -> Result<Vocabulary, Error> {
    let pieces = by_id(&json["model"]["vocab"], files.embeddings)?;
    let merges = merges(&json["model"]["merges"])?;
    merges_alone(&json["model"])?;
    let pre = match pre {
        Some(pre) => pre.to_owned(),
        None => pre_tokenizer(json)?,
    };
    let space = space_prefix(json, files)?;
    let mut vocabulary = vocabulary(pieces, merges, files.added(), pre, space, files);
    if vocabulary.pre == WHITESPACE {
        // Of characters as they are, which readers know by the kind.
        vocabulary.model = WHITESPACE;
    }
    if normalized(&json["normalizer"])?.lowercased {
        vocabulary.more.push(("normalizer.lowercase", true.into()));
    }
    Ok(vocabulary)
}

/// Whether a space goes before a text that begins with none.
fn space_prefix(json: &Value, files: &Files<'_>) -> Result<bool, Error> {
    let cutters = flattened(&json["pre_tokenizer"], "pretokenizers");
    let mut bytes = cutters.iter().filter(|part| part["type"] == "ByteLevel").peekable();
    if bytes.peek().is_none() {
        return Ok(false);
    }
    let said = bytes.any(|part| part["add_prefix_space"].as_bool() == Some(true));
    // The authors' classes put their own flag, false where nobody says it, before what the file says.
    let stated = files.config["add_prefix_space"].as_bool();
    if stated.unwrap_or(false) != said {
        let stated =
            stated.map_or("is not there, which is false".to_owned(), |stated| format!("is {stated}"));
        let what = format!(
            "`add_prefix_space` {stated}, and the pre_tokenizer of tokenizer.json says {said}; make them agree"
        );
        return Err(Error::file(&files.folder.join("tokenizer_config.json"), what));
    }
    if said && cutters.len() > 1 {
        // Each part is given what the part before it cut.
        return Err(unsaid("add_prefix_space after other cuts, a space before every piece"));
    }
    Ok(said)
}

/// What ends words, and what is left out by chance; neither is in GGUF.
pub(super) fn merges_alone(model: &Value) -> Result<(), Error> {
    for name in ["end_of_word_suffix", "continuing_subword_prefix", "dropout"] {
        let value = &model[name];
        if !value.is_null() && value.as_str() != Some("") && value.as_f64() != Some(0.0) {
            return Err(unsaid(format!("its BPE model has a {name} of {}", shown(value))));
        }
    }
    Ok(())
}

/// Whether characters, and bytes, are merged in pieces that begin at spaces, with a space before every text: mmBERT's.
pub(super) fn is_metaspace(json: &Value) -> bool {
    let cutters = flattened(&json["pre_tokenizer"], "pretokenizers");
    let [cutter] = cutters.as_slice() else { return false };
    cutter["type"] == "Metaspace"
        && cutter["replacement"] == "\u{2581}"
        && cutter["prepend_scheme"] == "always"
        && cutter["split"].as_bool() != Some(false)
        && json["model"]["byte_fallback"].as_bool() == Some(true)
}

/// Those, which GGUF calls `mmbert`.
pub(super) fn read_metaspace(json: &Value, files: &Files<'_>) -> Result<Vocabulary, Error> {
    let model = &json["model"];
    merges_alone(model)?;
    for part in flattened(&json["normalizer"], "normalizers") {
        // The cuts do that, too.
        let is_space = part["type"] == "Replace"
            && part["pattern"]["String"].as_str() == Some(" ")
            && part["content"].as_str() == Some("\u{2581}");
        if !is_space {
            return Err(unsaid(format!("the normalizer {} before the cuts of Metaspace", shown(part))));
        }
    }
    if model["ignore_merges"].as_bool() == Some(true) {
        return Err(unsaid("ignore_merges is true beside the cuts of Metaspace"));
    }
    let pieces = by_id(&model["vocab"], files.embeddings)?;
    // Without them a character that is not known is an unknown token, and those side by side are one or several.
    if let Some(byte) = (0..=255u8).find(|byte| !pieces.contains(&format!("<0x{byte:02X}>"))) {
        return Err(unsaid(format!("its vocabulary has no <0x{byte:02X}> for byte_fallback")));
    }
    let unknown = model["unk_token"].as_str().map(str::to_owned);
    let mut vocabulary =
        vocabulary(pieces, merges(&model["merges"])?, files.added(), "mmbert".to_owned(), true, files);
    for token in vocabulary.tokens.iter_mut().filter(|token| token.kind == Kind::Normal) {
        let is_byte = token.text.len() == 6 && token.text.starts_with("<0x") && token.text.ends_with('>');
        token.kind = match &token.text {
            text if Some(text) == unknown.as_ref() => Kind::Unknown,
            _ if is_byte => Kind::Byte,
            _ => Kind::Normal,
        };
    }
    Ok(vocabulary)
}

/// Characters of words and of what is none, which some names of cuts do not know: the kind of tokenizer in GGUF, too.
const WHITESPACE: &str = "whitespace";

/// RoBERTa's older files.
pub(super) fn read_text(files: &Files<'_>, pre: Option<&str>) -> Result<Vocabulary, Error> {
    let pieces = by_id(&json::read(&files.folder.join("vocab.json"))?, files.embeddings)?;
    let path = files.folder.join("merges.txt");
    let text =
        fs::read_to_string(&path).map_err(|error| Error::file(&path, format!("cannot be read: {error}")))?;
    let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
    let merges = lines.map(str::to_owned).collect();
    let marks =
        ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map(|name| files.mark(&format!("{name}_token")));
    let mut added = files.added();
    for (id, piece) in pieces.iter().enumerate() {
        if marks.contains(&Some(piece.as_str())) && added.iter().all(|(known, ..)| *known != id) {
            added.push((id, piece.clone(), true));
        }
    }
    let space = files.config["add_prefix_space"].as_bool() == Some(true);
    Ok(vocabulary(pieces, merges, added, pre.unwrap_or("roberta-bpe").to_owned(), space, files))
}

fn vocabulary(
    pieces: Vec<String>,
    merges: Vec<String>,
    added: Vec<(usize, String, bool)>,
    pre: String,
    space_prefix: bool,
    files: &Files<'_>,
) -> Vocabulary {
    let token = |text| Token { text, score: 0.0, kind: Kind::Normal };
    let mut tokens: Vec<Token> = pieces.into_iter().map(token).collect();
    put_added(&mut tokens, added, None, files);
    let more = vec![("merges", OwnedValue::from(merges)), ("add_space_prefix", space_prefix.into())];
    Vocabulary { model: "gpt2", pre, tokens, has_scores: false, more }
}

/// The pieces of a vocabulary in the order of their ids. A gap is a token that nobody uses.
pub(super) fn by_id(vocab: &Value, embeddings: usize) -> Result<Vec<String>, Error> {
    let vocab =
        vocab.as_object().ok_or_else(|| Error::unsupported("tokenizer.json: the model has no vocab"))?;
    let ids: Option<Vec<(usize, &String)>> =
        vocab.iter().map(|(piece, id)| Some((id.as_u64()? as usize, piece))).collect();
    let ids = ids.ok_or_else(|| Error::unsupported("tokenizer.json: an id is no number"))?;
    let length = ids.iter().map(|(id, _)| id.saturating_add(1)).max().unwrap_or(0);
    if length > embeddings {
        return Err(Error::mismatch(format!(
            "tokenizer.json: a token has the id {}, and there are embeddings of {embeddings}; \
             the files of the folder do not belong together",
            length - 1
        )));
    }
    let mut pieces: Vec<String> = (0..length).map(|id| format!("[PAD{id}]")).collect();
    for (id, piece) in ids {
        pieces[id] = piece.clone();
    }
    Ok(pieces)
}

/// Pairs, as "a b" or as lists of two.
pub(super) fn merges(merges: &Value) -> Result<Vec<String>, Error> {
    let pair = |merge: &Value| match merge {
        Value::String(text) => Some(text.clone()),
        Value::Array(pair) => Some(format!("{} {}", pair.first()?.as_str()?, pair.get(1)?.as_str()?)),
        _ => None,
    };
    let list = merges.as_array().and_then(|list| list.iter().map(pair).collect());
    list.ok_or_else(|| Error::unsupported("tokenizer.json: the BPE model has no list of merges"))
}

/// GGUF's name of a way to cut.
fn pre_tokenizer(json: &Value) -> Result<String, Error> {
    let cutters = match json["pre_tokenizer"]["pretokenizers"].as_array() {
        Some(parts) => parts.iter().collect(),
        None => vec![&json["pre_tokenizer"]],
    };
    let is = |part: &Value, kind: &str| part["type"].as_str() == Some(kind);
    let uses_regex = |part: &Value| part["use_regex"].as_bool() != Some(false);
    // What cuts in the way that a name stands for, and nothing beside it.
    let (pattern, plain, digits) = match cutters.as_slice() {
        [words] if is(words, "Whitespace") => return whitespace(json),
        [byte] if is(byte, "ByteLevel") && uses_regex(byte) => (None, true, false),
        [digits, byte] if is(digits, "Digits") && is(byte, "ByteLevel") && uses_regex(byte) => {
            let each = digits["individual_digits"].as_bool() == Some(true);
            (None, each, each)
        }
        [split, byte] if is(split, "Split") && is(byte, "ByteLevel") && !uses_regex(byte) => {
            let isolated = split["behavior"] == "Isolated" && split["invert"].as_bool() != Some(true);
            (split["pattern"]["Regex"].as_str().filter(|_| isolated), false, false)
        }
        _ => (None, false, false),
    };
    let known = pattern.and_then(|pattern| PATTERNS.iter().find(|(known, _)| *known == pattern));
    let Normalized { composed, .. } = normalized(&json["normalizer"])?;
    let whole_words = json["model"]["ignore_merges"].as_bool() == Some(true);
    if let Some(&(_, name)) = known {
        // The same cuts, with whole words looked up before they are merged.
        let name = if name == "gpt-4o" && whole_words { "granite-embed-multi-97m" } else { name };
        let (composes, looks_up) = match name {
            "qwen2" | "qwen35" => (true, false),
            "gpt-4o" => (false, false),
            _ => (false, true),
        };
        if composes != composed {
            let texts = if composed { "composes texts (NFC)" } else { "does not compose texts (NFC)" };
            return Err(unsaid(format!("its normalizer {texts} before they are cut as {name} does")));
        }
        if looks_up != whole_words {
            return Err(unsaid(format!("ignore_merges is {whole_words} beside the cuts of {name}")));
        }
        return Ok(name.to_owned());
    }
    if whole_words {
        return Err(unsaid("ignore_merges is true beside cuts that GGUF has no such name for".to_owned()));
    }
    let enclosed = json["post_processor"]["type"].as_str();
    if digits && !composed {
        return Ok("smollm".to_owned());
    }
    match (plain && !digits, composed, enclosed) {
        (true, true, _) => Ok("modern-bert".to_owned()),
        (true, false, Some("RobertaProcessing" | "BertProcessing" | "TemplateProcessing")) => {
            Ok("roberta-bpe".to_owned())
        }
        (true, false, _) => Ok("gpt-2".to_owned()),
        (false, ..) => {
            let shown = pattern.map_or_else(|| json["pre_tokenizer"].to_string(), str::to_owned);
            Err(Error::unsupported(format!(
                "tokenizer.json: texts are cut in a way that is not known ({shown}); if GGUF has a name for it, give --pre NAME"
            )))
        }
    }
}

/// The name of `Whitespace` beside BPE, where nothing else is unusual.
fn whitespace(json: &Value) -> Result<String, Error> {
    let model = &json["model"];
    if normalized(&json["normalizer"])?.composed {
        return Err(unsaid("its normalizer composes texts (NFC) before the cuts of Whitespace"));
    }
    for flag in ["ignore_merges", "fuse_unk", "byte_fallback"] {
        if model[flag].as_bool() == Some(true) {
            return Err(unsaid(format!("{flag} is true beside the cuts of Whitespace")));
        }
    }
    Ok(WHITESPACE.to_owned())
}

/// What is done to a text before it is cut.
struct Normalized {
    /// Composed (NFC), which names of cuts imply.
    composed: bool,
    /// Lowercased after that, which has a key.
    lowercased: bool,
}

/// What a normalizer does; any other one is refused.
fn normalized(normalizer: &Value) -> Result<Normalized, Error> {
    let parts = flattened(normalizer, "normalizers");
    let kinds: Vec<&str> = parts.iter().map(|part| part["type"].as_str().unwrap_or_default()).collect();
    match kinds.as_slice() {
        [] => Ok(Normalized { composed: false, lowercased: false }),
        ["NFC"] => Ok(Normalized { composed: true, lowercased: false }),
        ["Lowercase"] => Ok(Normalized { composed: false, lowercased: true }),
        ["NFC", "Lowercase"] => Ok(Normalized { composed: true, lowercased: true }),
        others => Err(unsaid(format!("the normalizer {} beside BPE", others.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(pre_tokenizer: Value, normalizer: Value, ignore_merges: bool) -> String {
        let model = json!({"ignore_merges": ignore_merges});
        let json = json!({"pre_tokenizer": pre_tokenizer, "normalizer": normalizer, "model": model});
        self::pre_tokenizer(&json).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn ways_to_cut_have_names() {
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true});
        let nfc = json!({"type": "NFC"});
        assert_eq!(named(byte_level.clone(), Value::Null, false), "gpt-2");
        assert_eq!(named(byte_level.clone(), nfc.clone(), false), "modern-bert");
        for (pattern, name) in PATTERNS {
            let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"});
            let rest = json!({"type": "ByteLevel", "use_regex": false});
            let both = json!({"type": "Sequence", "pretokenizers": [split, rest]});
            let (normalizer, whole_words) = match *name {
                "qwen2" | "qwen35" => (nfc.clone(), false),
                "gpt-4o" => (Value::Null, false),
                _ => (Value::Null, true),
            };
            assert_eq!(named(both.clone(), normalizer.clone(), whole_words), *name);
            // What goes before the cuts, or after them, is another tokenizer.
            let other = if normalizer.is_null() { nfc.clone() } else { Value::Null };
            assert!(named(both.clone(), other, whole_words).contains("compose"), "{name}");
            let odd = named(both, normalizer, !whole_words);
            assert!(odd == "granite-embed-multi-97m" || odd.contains("ignore_merges is"), "{name}: {odd}");
        }
        for parts in [["Split", "ByteLevel"], ["WhitespaceSplit", "ByteLevel"], ["Digits", "ByteLevel"]] {
            let parts: Vec<Value> = parts.iter().map(|kind| json!({"type": kind})).collect();
            let more = json!({"type": "Sequence", "pretokenizers": parts});
            assert!(
                named(more, Value::Null, false).contains("give --pre NAME"),
                "cuts beside those that are known"
            );
        }
        let whitespace = json!({"type": "Whitespace"});
        assert_eq!(named(whitespace.clone(), Value::Null, false), "whitespace");
        assert_eq!(named(whitespace.clone(), json!({"type": "Lowercase"}), false), "whitespace");
        assert!(
            named(whitespace.clone(), nfc.clone(), false).contains("composes texts (NFC) before the cuts")
        );
        assert!(
            named(whitespace, Value::Null, true)
                .contains("ignore_merges is true beside the cuts of Whitespace")
        );
        assert!(named(json!({"type": "WhitespaceSplit"}), Value::Null, false).ends_with("give --pre NAME"));
        for kind in ["NFKC", "NFD", "StripAccents"] {
            let beside = json!({"type": "Sequence", "normalizers": [nfc, {"type": kind}]});
            let refusal = named(byte_level.clone(), beside, false);
            assert!(
                refusal.contains(&format!(
                    "the normalizer NFC, {kind} beside BPE, which GGUF has no way to say"
                )),
                "{refusal}"
            );
        }
        let odd = json!({"type": "Split", "pattern": {"Regex": "x+"}});
        let refusal = named(odd, Value::Null, false);
        assert!(refusal.contains("x+") && refusal.ends_with("give --pre NAME"), "{refusal}");
    }

    #[test]
    fn merges_come_in_two_forms() {
        assert_eq!(merges(&json!(["a b", ["c", "d"]])).expect("two merges"), ["a b", "c d"]);
        assert!(merges(&json!([["a"]])).is_err());
        assert!(merges(&Value::Null).is_err());
    }
}
