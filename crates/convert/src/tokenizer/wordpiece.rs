//! WordPiece: GGUF marks the starts of words, where the authors mark what goes on a word.

use std::fs;

use serde_json::Value;

use super::{Files, Kind, Token, Vocabulary, put_added};
use crate::error::Error;

const MARKS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

pub(super) fn read(json: &Value, files: &Files<'_>) -> Result<Vocabulary, Error> {
    let pieces = super::bpe::by_id(&json["model"]["vocab"])?;
    let normalizer = normalizer(&json["normalizer"]);
    let lowercase = normalizer.and_then(|part| part["lowercase"].as_bool());
    let accents = normalizer.and_then(|part| part["strip_accents"].as_bool());
    Ok(vocabulary(pieces, files.added(), lowercase.unwrap_or(normalizer.is_some()), accents))
}

/// A folder with `vocab.txt` alone, a token a line.
pub(super) fn read_text(files: &Files<'_>) -> Result<Vocabulary, Error> {
    let path = files.folder.join("vocab.txt");
    let text =
        fs::read_to_string(&path).map_err(|error| Error::file(&path, format!("cannot be read: {error}")))?;
    let pieces: Vec<String> = text
        .strip_suffix('\n')
        .unwrap_or(&text)
        .split('\n')
        .map(|line| line.trim_end_matches('\r').to_owned())
        .collect();
    let marks = ["pad", "unk", "cls", "sep", "mask"].map(|name| files.mark(&format!("{name}_token")));
    let marks: Vec<&str> =
        marks.into_iter().zip(MARKS).map(|(stated, usual)| stated.unwrap_or(usual)).collect();
    let is_mark =
        |(id, piece): (usize, &String)| marks.contains(&piece.as_str()).then(|| (id, piece.clone(), true));
    let added = pieces.iter().enumerate().filter_map(is_mark).collect();
    let lowercase = files.config["do_lower_case"].as_bool().unwrap_or(true);
    Ok(vocabulary(pieces, added, lowercase, files.config["strip_accents"].as_bool()))
}

fn vocabulary(
    pieces: Vec<String>,
    added: Vec<(usize, String, bool)>,
    lowercase: bool,
    accents: Option<bool>,
) -> Vocabulary {
    let marked = |piece: String| match piece.strip_prefix("##") {
        Some(rest) => rest.to_owned(),
        None => format!("\u{2581}{piece}"),
    };
    let token = |piece| Token { text: marked(piece), score: 0.0, kind: Kind::Normal };
    let mut tokens: Vec<Token> = pieces.into_iter().map(token).collect();
    put_added(&mut tokens, added, None);
    // An added token that is a word to the tokenizer.
    for token in tokens.iter_mut().filter(|token| token.kind == Kind::UserDefined) {
        token.text = format!("\u{2581}{}", token.text);
    }
    let mut more = vec![("normalizer.lowercase", lowercase.into())];
    // Without it, accents go where capitals do.
    if let Some(accents) = accents {
        more.push(("normalizer.strip_accents", accents.into()));
    }
    // The name that llama.cpp has for BERT's way to cut; only WordPiece is meant by it here.
    Vocabulary { model: "bert", pre: "jina-v2-en".to_owned(), tokens, has_scores: false, more }
}

/// BERT's normalizer, alone or among others.
fn normalizer(value: &Value) -> Option<&Value> {
    match value["type"].as_str()? {
        "BertNormalizer" => Some(value),
        "Sequence" => value["normalizers"].as_array()?.iter().find_map(normalizer),
        _ => None,
    }
}
