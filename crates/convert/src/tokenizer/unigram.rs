//! Unigram out of `tokenizer.json`: pieces with their scores, and SentencePiece's map of characters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Files, Kind, Token, Vocabulary, flattened, put_added, unsaid};
use crate::config::shown;
use crate::error::Error;

pub(super) fn read(json: &Value, files: &Files<'_>) -> Result<Vocabulary, Error> {
    let wrong = |what: &str| Error::file(&files.folder.join("tokenizer.json"), what);
    let model = &json["model"];
    let pieces = model["vocab"].as_array().ok_or_else(|| wrong("its Unigram model has no vocab"))?;
    if model["byte_fallback"].as_bool() == Some(true) {
        return Err(unsaid("byte_fallback of its Unigram model".to_owned()));
    }
    let unknown = model["unk_id"].as_u64().map(|id| id as usize);
    let token = |(id, piece): (usize, &Value)| {
        let (text, score) = (piece[0].as_str()?, piece[1].as_f64()?);
        let kind = if Some(id) == unknown { Kind::Unknown } else { Kind::Normal };
        Some(Token { text: text.to_owned(), score: score as f32, kind })
    };
    let tokens: Option<Vec<Token>> = pieces.iter().enumerate().map(token).collect();
    let mut tokens = tokens.ok_or_else(|| wrong("its Unigram pieces are not pairs of a text and a score"))?;
    put_added(&mut tokens, files.added(), None, files);

    let normalizers = flattened(&json["normalizer"], "normalizers");
    let cutters = flattened(&json["pre_tokenizer"], "pretokenizers");
    let is = |part: &&Value, kind: &str| part["type"].as_str() == Some(kind);
    for part in &normalizers {
        match part["type"].as_str().unwrap_or_default() {
            "Precompiled" | "Strip" => {}
            // What makes many spaces one.
            "Replace" if part["pattern"]["Regex"].as_str().is_some_and(|pattern| pattern.contains('{')) => {}
            "Replace" if part["pattern"]["String"].as_str() == Some(" ") => {}
            other => {
                return Err(unsaid(format!("the normalizer {other} beside Unigram")));
            }
        }
    }
    for part in &cutters {
        let is_words = match part["type"].as_str() {
            Some("WhitespaceSplit") => true,
            Some("Metaspace") => {
                part["replacement"].as_str() == Some("\u{2581}") && part["split"].as_bool() != Some(false)
            }
            _ => false,
        };
        if !is_words {
            return Err(unsaid(format!("the pre_tokenizer {} beside Unigram", shown(part))));
        }
    }
    let mut more = Vec::new();
    let charsmap = normalizers.iter().find(|part| is(part, "Precompiled"));
    if let Some(text) = charsmap.and_then(|part| part["precompiled_charsmap"].as_str()) {
        let bytes = STANDARD.decode(text).map_err(|_| wrong("its precompiled_charsmap is not base64"))?;
        more.push(("precompiled_charsmap", bytes.into()));
    }
    let metaspace = cutters.iter().find(|part| is(part, "Metaspace"));
    let prefix = metaspace.is_some_and(|part| {
        part["prepend_scheme"]
            .as_str()
            .map_or(part["add_prefix_space"].as_bool() != Some(false), |scheme| scheme != "never")
    });
    let joined = cutters.iter().any(|part| is(part, "WhitespaceSplit"))
        || normalizers.iter().any(|part| is(part, "Replace") && part["pattern"]["Regex"].is_string());
    more.push(("add_space_prefix", prefix.into()));
    more.push(("remove_extra_whitespaces", joined.into()));
    Ok(Vocabulary { model: "t5", pre: "default".to_owned(), tokens, has_scores: true, more })
}
