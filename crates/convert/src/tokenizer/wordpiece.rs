//! WordPiece: GGUF marks the starts of words, where the authors mark what goes on a word.

use std::fs;

use serde_json::Value;

use super::{Files, Kind, Token, Vocabulary, flattened, put_added, unsaid};
use crate::config::shown;
use crate::error::Error;

const MARKS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// `tokenizer.ggml.model` of WordPiece.
pub(super) const MODEL: &str = "bert";

/// Classes that take `tokenizer.json` as it is. All others of WordPiece's take its normalizer from their own arguments.
const GENERIC: [&str; 2] = ["PreTrainedTokenizerFast", "TokenizersBackend"];

/// Longer words are unknown, in characters.
const LONGEST_WORD: u64 = 100;

pub(super) fn read(json: &Value, files: &Files<'_>) -> Result<Vocabulary, Error> {
    let model = &json["model"];
    let pieces = super::bpe::by_id(&model["vocab"], files.embeddings)?;
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("##");
    if prefix.is_empty() {
        return Err(unsaid("a WordPiece model whose pieces do not show where words begin"));
    }
    if let Some(most) = model["max_input_chars_per_word"].as_u64().filter(|most| *most != LONGEST_WORD) {
        return Err(unsaid(format!("words of up to {most} characters ({LONGEST_WORD} is what BERT has)")));
    }
    let cutters = flattened(&json["pre_tokenizer"], "pretokenizers");
    if cutters.len() != 1 || cutters[0]["type"] != "BertPreTokenizer" {
        return Err(unsaid(format!("texts cut by {} for WordPiece", shown(&json["pre_tokenizer"]))));
    }
    let normalizers = flattened(&json["normalizer"], "normalizers");
    let &[normalizer] = normalizers.as_slice() else {
        return Err(unsaid(format!("{} normalizers before WordPiece", normalizers.len())));
    };
    if normalizer["type"] != "BertNormalizer" {
        return Err(unsaid(format!("the normalizer {} before WordPiece", shown(&normalizer["type"]))));
    }
    // What every BERT does, and readers of GGUF take for granted.
    for name in ["clean_text", "handle_chinese_chars"] {
        if normalizer[name].as_bool() == Some(false) {
            return Err(unsaid(format!("{name} is false in its BertNormalizer")));
        }
    }
    let lowercase = normalizer["lowercase"].as_bool().unwrap_or(true);
    let accents = normalizer["strip_accents"].as_bool();
    // The authors' class takes these before its file, and what it is called without for true, or as capitals go.
    let is_generic = files.config["tokenizer_class"].as_str().is_some_and(|class| GENERIC.contains(&class));
    let stated = |flag: &str| files.config[flag].as_bool();
    let lowers = stated("do_lower_case").unwrap_or(if is_generic { lowercase } else { true });
    let strips = stated("strip_accents").or(accents.filter(|_| is_generic)).unwrap_or(lowers);
    let flags = [
        ("do_lower_case", lowers, "lowercase", lowercase),
        ("strip_accents", strips, "strip_accents", accents.unwrap_or(lowercase)),
        (
            "tokenize_chinese_chars",
            stated("tokenize_chinese_chars").unwrap_or(true),
            "handle_chinese_chars",
            true,
        ),
    ];
    for (flag, taken, name, said) in flags {
        if taken != said {
            let taken = match stated(flag) {
                Some(taken) => format!("is {taken}"),
                None => format!("is not there, so that the authors' class takes {taken}"),
            };
            let what = format!(
                "`{flag}` {taken}, and the normalizer of tokenizer.json has {name} {}; make them agree",
                normalizer[name]
            );
            return Err(Error::file(&files.folder.join("tokenizer_config.json"), what));
        }
    }
    Ok(vocabulary(pieces, prefix, files.added(), lowercase, accents, files))
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
    for name in ["tokenize_chinese_chars", "do_basic_tokenize"] {
        if files.config[name].as_bool() == Some(false) {
            let path = files.folder.join("tokenizer_config.json");
            return Err(Error::file(&path, format!("`{name}` is false, which GGUF has no way to say")));
        }
    }
    let lowercase = files.config["do_lower_case"].as_bool().unwrap_or(true);
    Ok(vocabulary(pieces, "##", added, lowercase, files.config["strip_accents"].as_bool(), files))
}

fn vocabulary(
    pieces: Vec<String>,
    prefix: &str,
    added: Vec<(usize, String, bool)>,
    lowercase: bool,
    accents: Option<bool>,
    files: &Files<'_>,
) -> Vocabulary {
    let marked = |piece: String| match piece.strip_prefix(prefix) {
        Some(rest) => rest.to_owned(),
        None => format!("\u{2581}{piece}"),
    };
    let token = |piece| Token { text: marked(piece), score: 0.0, kind: Kind::Normal };
    let mut tokens: Vec<Token> = pieces.into_iter().map(token).collect();
    put_added(&mut tokens, added, None, files);
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
    Vocabulary { model: MODEL, pre: "jina-v2-en".to_owned(), tokens, has_scores: false, more }
}

/// A piece without GGUF's mark of word starts, or with BERT's of what goes on a word.
pub(super) fn unmarked(text: &str) -> String {
    match text.strip_prefix('\u{2581}').filter(|start| !start.is_empty()) {
        Some(start) => start.to_owned(),
        None => format!("##{text}"),
    }
}
