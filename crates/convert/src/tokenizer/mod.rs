//! Tokenizer files of a folder become `tokenizer.*` keys.
//!
//! `tokenizer.json` is what the authors' code runs, so it is asked first; `vocab.txt` and SentencePiece's `.model` serve
//! where it is missing, and SentencePiece's scores where it has none.

mod added;
mod bpe;
mod characters;
mod class;
mod marks;
mod sentencepiece;
mod unigram;
mod wordpiece;

use std::collections::HashMap;
use std::path::Path;

use gguf::OwnedValue;
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;
use crate::families::Family;
use crate::json;
use class::Class;

/// Metaspace's way to put a space before a text: not before one, nor, if it is `first`, anywhere but at a text's beginning.
/// The key is connote's own.
pub(crate) const PREPEND_SCHEME: &str = "tokenizer.huggingface.prepend_scheme";

/// The keys of a tokenizer.
#[derive(Debug)]
pub(crate) struct TokenizerKeys {
    pub(crate) keys: Vec<(String, OwnedValue)>,
    ids: HashMap<String, usize>,
    /// The most tokens of a text that the authors' tokenizer gives.
    pub(crate) limit: Option<u64>,
}

impl TokenizerKeys {
    /// The id of a token by its text.
    pub(crate) fn id(&self, text: &str) -> Option<usize> {
        self.ids.get(text).copied()
    }
}

/// GGUF's kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// A token in the making.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) score: f32,
    pub(crate) kind: Kind,
}

impl Token {
    /// Of a row that no text reaches.
    fn of_padding(id: usize) -> Self {
        Self { text: format!("[PAD{id}]"), score: -1000.0, kind: Kind::Unused }
    }
}

/// A vocabulary, by kind of tokenizer.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// `tokenizer.ggml.model`.
    pub(crate) model: &'static str,
    /// `tokenizer.ggml.pre`.
    pub(crate) pre: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) has_scores: bool,
    /// Keys that only this kind has.
    pub(crate) more: Vec<(&'static str, OwnedValue)>,
}

/// What the files of a folder say.
pub(crate) struct Files<'a> {
    pub(crate) folder: &'a Path,
    /// `tokenizer.json`.
    pub(crate) json: Option<Value>,
    /// `tokenizer_config.json`; null if it is not there.
    pub(crate) config: Value,
    /// `special_tokens_map.json`, likewise.
    pub(crate) special: Value,
    /// Who reads them at the authors'.
    pub(crate) class: Class,
    pub(crate) family: &'a Family,
    /// How many tokens have an embedding. No file makes a vocabulary larger.
    pub(crate) embeddings: usize,
}

pub(crate) fn read(
    folder: &Path,
    config: &Config,
    family: &Family,
    pre: Option<&str>,
    embeddings: usize,
    notes: &mut Vec<String>,
) -> Result<TokenizerKeys, Error> {
    let there = |name: &str| json::read_if_there(&folder.join(name));
    let class_config = there("tokenizer_config.json")?.unwrap_or(Value::Null);
    let files = Files {
        folder,
        json: there("tokenizer.json")?,
        class: Class::of(&class_config, config),
        config: class_config,
        special: there("special_tokens_map.json")?.unwrap_or(Value::Null),
        family,
        embeddings,
    };
    let mut vocabulary = files.vocabulary(pre, notes)?;
    let wanted = config.number(&["vocab_size"])?.map_or(0, |size| size as usize);
    let made = vocabulary.tokens.len().max(wanted);
    if made != embeddings {
        return Err(Error::mismatch(format!(
            "there are embeddings of {embeddings} tokens, and the tokenizer with config.json's vocab_size makes {made}; \
             the files of the folder do not belong together"
        )));
    }
    // Matrices are made a round number of rows; nobody uses those at their end.
    for id in vocabulary.tokens.len()..wanted {
        vocabulary.tokens.push(Token::of_padding(id));
    }
    let joins_spaces = vocabulary.more.contains(&("remove_extra_whitespaces", true.into()));
    if vocabulary.more.iter().any(|(key, _)| *key == PREPEND_SCHEME) {
        notes.push(
            "the authors put no space before a text that begins with one (Metaspace); llama.cpp does"
                .to_owned(),
        );
    }
    if files.cuts_beginnings() {
        notes.push(
            "of a text that is too long the authors leave out the beginning (truncation_side): embed with --truncate start"
                .to_owned(),
        );
    }
    let keys = keys(&files, config, vocabulary)?;
    added::check(&files, &opened(&keys)?, joins_spaces, notes)?;
    Ok(keys)
}

/// The tokenizer of the file to be: what cannot be opened is not written.
fn opened(keys: &TokenizerKeys) -> Result<::tokenizer::Tokenizer, Error> {
    let mut writer = gguf::Writer::new().metadata("general.architecture", "tokenizer");
    for (key, value) in &keys.keys {
        writer = writer.metadata(key, value.clone());
    }
    let file = gguf::Gguf::from_bytes(writer.to_bytes()?)?;
    ::tokenizer::Tokenizer::from_metadata(file.metadata()).map_err(|error| {
        Error::unsupported(format!("the file would have a tokenizer that connote does not open: {error}"))
    })
}

impl Files<'_> {
    fn vocabulary(&self, pre: Option<&str>, notes: &mut Vec<String>) -> Result<Vocabulary, Error> {
        let kind = self.json.as_ref().and_then(|json| json["model"]["type"].as_str());
        let by_model = ["tokenizer.model", "sentencepiece.bpe.model", "spiece.model"];
        let model = by_model.iter().map(|name| self.folder.join(name)).find(|path| path.exists());
        let json = self.json.as_ref();
        match (kind, json, model) {
            (Some("BPE"), Some(json), _) if bpe::is_metaspace(json) => bpe::read_metaspace(json, self),
            // Characters merged, and bytes where a character is not known: SentencePiece's own BPE, whose scores its file has.
            (Some("BPE"), Some(json), model) if json["model"]["byte_fallback"].as_bool() == Some(true) => {
                characters::read(json, self, model.as_deref(), notes)
            }
            (Some("BPE"), Some(json), _) => bpe::read(json, self, pre),
            (Some("WordPiece"), Some(json), _) => wordpiece::read(json, self),
            (Some("Unigram"), Some(json), _) => unigram::read(json, self, notes),
            (None, _, Some(path)) => sentencepiece::read(&path, self, self.family.fairseq_ids),
            (None, ..) if self.folder.join("vocab.txt").exists() => wordpiece::read_text(self),
            (None, ..) if self.folder.join("merges.txt").exists() => bpe::read_text(self, pre),
            (Some(other), ..) => Err(Error::unsupported(format!(
                "tokenizer.json: tokenizers of kind {other:?} are not converted; WordPiece, Unigram and BPE are"
            ))),
            (None, ..) => Err(Error::file(
                self.folder,
                "holds no tokenizer (tokenizer.json, vocab.txt, or a SentencePiece .model); download it, too",
            )),
        }
    }

    /// The added tokens: id, text, and whether they are control tokens.
    pub(crate) fn added(&self) -> Vec<(usize, String, bool)> {
        let of = |token: &Value, id: Option<usize>| {
            let id = id.or_else(|| token["id"].as_u64().map(|id| id as usize))?;
            let text = token["content"].as_str()?.to_owned();
            let special = token["special"].as_bool() == Some(true) || looks_special(&text);
            Some((id, text, special))
        };
        if let Some(added) = self.json.as_ref().and_then(|json| json["added_tokens"].as_array()) {
            return added.iter().filter_map(|token| of(token, None)).collect();
        }
        let decoder = self.config["added_tokens_decoder"].as_object();
        decoder.into_iter().flatten().filter_map(|(id, token)| of(token, Some(id.parse().ok()?))).collect()
    }

    /// Which end of a text that is too long goes.
    fn cuts_beginnings(&self) -> bool {
        let of_json = self.json.as_ref().map(|json| &json["truncation"]["direction"]);
        let side = self.config["truncation_side"].as_str().or(of_json.and_then(Value::as_str));
        side.is_some_and(|side| side.eq_ignore_ascii_case("left"))
    }

    /// The text of a named mark (`cls_token` and so on), wherever it is written.
    pub(crate) fn mark(&self, name: &str) -> Option<&str> {
        [&self.config, &self.special].into_iter().find_map(|file| {
            let mark = &file[name];
            mark.as_str().or_else(|| mark["content"].as_str())
        })
    }
}

/// The parts of a sequence, or the one that stands alone.
pub(crate) fn flattened<'a>(value: &'a Value, parts: &str) -> Vec<&'a Value> {
    match value["type"].as_str() {
        Some("Sequence") => {
            value[parts].as_array().into_iter().flatten().flat_map(|part| flattened(part, parts)).collect()
        }
        Some(_) => vec![value],
        None => Vec::new(),
    }
}

/// An error of what a tokenizer does and no file can say.
pub(crate) fn unsaid(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("tokenizer.json: {what}, which GGUF has no way to say"))
}

/// Marks that some authors forgot to call special.
fn looks_special(text: &str) -> bool {
    text == "<mask>" || text.starts_with("<unused")
}

/// Puts the added tokens over a vocabulary, which grows as far as their ids go; but for those without an embedding, of
/// other kinds of input, which a text model has no rows for.
pub(crate) fn put_added(
    tokens: &mut Vec<Token>,
    added: Vec<(usize, String, bool)>,
    score: Option<f32>,
    files: &Files<'_>,
) {
    for (id, text, special) in added {
        if id >= files.embeddings {
            continue;
        }
        while tokens.len() <= id {
            tokens.push(Token::of_padding(tokens.len()));
        }
        let token = &mut tokens[id];
        token.score = score.unwrap_or(token.score);
        // Files made by way of SentencePiece, which give added tokens a score, call it control.
        if token.kind != Kind::Unknown || score.is_some() {
            token.kind = if special { Kind::Control } else { Kind::UserDefined };
        }
        token.text = if token.kind == Kind::UserDefined { text.replace('\u{2581}', " ") } else { text };
    }
}

fn keys(files: &Files<'_>, config: &Config, vocabulary: Vocabulary) -> Result<TokenizerKeys, Error> {
    let Vocabulary { model, pre, tokens, has_scores, more } = vocabulary;
    let mut keys: Vec<(String, OwnedValue)> = Vec::new();
    const GGML: &str = "tokenizer.ggml.";
    let mut put = |key: &str, value: OwnedValue| keys.push((format!("{GGML}{key}"), value));
    put("model", model.into());
    put("pre", pre.into());
    put("tokens", tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().into());
    if has_scores {
        put("scores", tokens.iter().map(|token| token.score).collect::<Vec<_>>().into());
    }
    put("token_type", tokens.iter().map(|token| token.kind as i32).collect::<Vec<_>>().into());
    if let Ok(Some(types)) = config.number(&["type_vocab_size"]) {
        put("token_type_count", types.into());
    } else if files.family.tensors().any(|name| ["token_types", "token_embd_norm"].contains(&name.ours)) {
        put("token_type_count", 1u32.into());
    }
    let is_word_piece = model == wordpiece::MODEL;
    // The authors' text of a token.
    let text = |token: &Token| match is_word_piece && token.kind != Kind::Control {
        true => wordpiece::unmarked(&token.text),
        false => token.text.clone(),
    };
    let ids: HashMap<String, usize> =
        tokens.iter().enumerate().rev().map(|(id, token)| (text(token), id)).collect();
    for (key, value) in marks::keys(files, config, &ids, is_word_piece)? {
        put(key, value);
    }
    for (key, value) in more {
        match key.starts_with("tokenizer.") {
            true => keys.push((key.to_owned(), value)),
            false => keys.push((format!("{GGML}{key}"), value)),
        }
    }
    Ok(TokenizerKeys { keys, ids, limit: files.config["model_max_length"].as_u64() })
}
