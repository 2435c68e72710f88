//! Reading and checking the `tokenizer.*` keys of a file.

use gguf::Metadata;

use crate::charsmap::Charsmap;
use crate::error::{Error, ErrorKind};
use crate::sentencepiece::{Prefix, byte_of};
use crate::special;
use crate::vocabulary::{TokenType, Vocabulary};
use crate::{Kind, SpecialIds};

pub(crate) const MODEL: &str = "tokenizer.ggml.model";
pub(crate) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(crate) const PRE: &str = "tokenizer.ggml.pre";
pub(crate) const MERGES: &str = "tokenizer.ggml.merges";
pub(crate) const CHARSMAP: &str = "tokenizer.ggml.precompiled_charsmap";
pub(crate) const SCORES: &str = "tokenizer.ggml.scores";
pub(crate) const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";
pub(crate) const BOS: &str = "tokenizer.ggml.bos_token_id";
pub(crate) const EOS: &str = "tokenizer.ggml.eos_token_id";
pub(crate) const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
/// Spelled so in every file.
pub(crate) const SEPARATOR: &str = "tokenizer.ggml.seperator_token_id";
pub(crate) const PADDING: &str = "tokenizer.ggml.padding_token_id";
pub(crate) const MASK: &str = "tokenizer.ggml.mask_token_id";
pub(crate) const CLS: &str = "tokenizer.ggml.cls_token_id";
pub(crate) const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
pub(crate) const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
pub(crate) const ADD_SEP: &str = "tokenizer.ggml.add_sep_token";
pub(crate) const ADD_SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
/// Of `connote convert`: how Hugging Face's Metaspace puts its space before a text.
pub(crate) const PREPEND_SCHEME: &str = "tokenizer.huggingface.prepend_scheme";
pub(crate) const REMOVE_EXTRA_WHITESPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";
pub(crate) const LOWERCASE: &str = "tokenizer.ggml.normalizer.lowercase";
pub(crate) const STRIP_ACCENTS: &str = "tokenizer.ggml.normalizer.strip_accents";

/// What the file calls its kind of tokenizer.
pub(crate) fn model(metadata: &Metadata) -> Result<Option<&str>, Error> {
    metadata.str(MODEL).map_err(|error| Error::invalid(MODEL, error.to_string()))
}

/// The kind of tokenizer that the file names.
pub(crate) fn kind(metadata: &Metadata) -> Result<Kind, Error> {
    match model(metadata)? {
        Some("llama") => Ok(Kind::SentencePieceBpe),
        Some("bert") => Ok(Kind::WordPiece),
        Some("t5") => Ok(Kind::Unigram),
        Some("gpt2" | "gemma4" | "whitespace") => Ok(Kind::Bpe),
        Some(other) => Err(Error::new(
            ErrorKind::Unsupported,
            MODEL,
            format!(
                "tokenizers of kind {:?} are not supported; use a file with \"llama\" (SentencePiece BPE), \"bert\" \
                 (WordPiece), \"t5\" (Unigram) or \"gpt2\" (BPE)",
                other.chars().take(40).collect::<String>()
            ),
        )),
        None => {
            Err(Error::missing(MODEL, "the file does not say which tokenizer it needs; convert it again"))
        }
    }
}

/// The name of the pre-tokenizer, if the file gives one.
pub(crate) fn pre(metadata: &Metadata) -> Result<Option<&str>, Error> {
    metadata.str(PRE).map_err(|error| Error::invalid(PRE, error.to_string()))
}

/// The bytes of the precompiled character map; none if the key is absent or empty.
pub(crate) fn charsmap(metadata: &Metadata) -> Result<Option<Charsmap>, Error> {
    let array = metadata.array(CHARSMAP).map_err(|error| Error::invalid(CHARSMAP, error.to_string()))?;
    let Some(array) = array.filter(|array| !array.is_empty()) else { return Ok(None) };
    let not_bytes = || Error::invalid(CHARSMAP, "is not an array of bytes");
    let values = array.to_i64s().ok_or_else(not_bytes)?;
    // Some files write the bytes as signed.
    let byte = |value: i64| u8::try_from(value).or_else(|_| i8::try_from(value).map(|byte| byte as u8));
    let bytes: Vec<u8> = values.into_iter().map(byte).collect::<Result<_, _>>().map_err(|_| not_bytes())?;
    Charsmap::new(&bytes).map(Some)
}

pub(crate) fn boolean(metadata: &Metadata, key: &str) -> Result<Option<bool>, Error> {
    metadata.bool(key).map_err(|error| Error::invalid(key, error.to_string()))
}

/// When a space is put before a stretch of text.
pub(crate) fn space_prefix(metadata: &Metadata, usual: bool) -> Result<Prefix, Error> {
    if !boolean(metadata, ADD_SPACE_PREFIX)?.unwrap_or(usual) {
        return Ok(Prefix::Never);
    }
    match metadata.str(PREPEND_SCHEME).map_err(|error| Error::invalid(PREPEND_SCHEME, error.to_string()))? {
        None => Ok(Prefix::Always),
        Some("always") => Ok(Prefix::WhereNoneIs),
        Some("first") => Ok(Prefix::FirstWhereNoneIs),
        Some(_) => Err(Error::invalid(PREPEND_SCHEME, "is neither always nor first")),
    }
}

/// Texts and types of all tokens.
pub(crate) fn vocabulary(metadata: &Metadata, kind: Kind) -> Result<Vocabulary, Error> {
    let array = metadata.array(TOKENS).map_err(|error| Error::invalid(TOKENS, error.to_string()))?;
    let Some(array) = array else {
        return Err(Error::missing(TOKENS, "the file holds no vocabulary; use a file with its tokenizer"));
    };
    let Some(strings) = array.strings() else {
        return Err(Error::invalid(TOKENS, "is not an array of strings"));
    };
    let types = token_types(metadata, array.len())?;
    let mut vocabulary = Vocabulary::new();
    for (id, bytes) in strings.enumerate() {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Error::invalid(TOKENS, format!("token {id} is not UTF-8; convert the model again"))
        })?;
        let token_type = types.as_ref().map_or(TokenType::Normal, |types| types[id]);
        // The converter wrote spaces for U+2581 in user-defined tokens, and only there.
        let pushed =
            if kind == Kind::SentencePieceBpe && token_type == TokenType::UserDefined && text.contains(' ') {
                vocabulary.push(&text.replace(' ', "\u{2581}"))
            } else {
                vocabulary.push(text)
            };
        if !pushed {
            return Err(Error::invalid(TOKENS, "more than 4 GB of texts or 4,294,967,294 tokens"));
        }
        if matches!(token_type, TokenType::Control | TokenType::Unknown | TokenType::UserDefined) {
            check_special_length(id, text)?;
        }
        vocabulary.set_type(id as u32, token_type);
    }
    if vocabulary.len() == 0 {
        return Err(Error::invalid(TOKENS, "is empty"));
    }
    if types.is_none() {
        guess_types(metadata, kind, &mut vocabulary)?;
    }
    Ok(vocabulary)
}

fn token_types(metadata: &Metadata, tokens: usize) -> Result<Option<Vec<TokenType>>, Error> {
    let array = metadata.array(TOKEN_TYPE).map_err(|error| Error::invalid(TOKEN_TYPE, error.to_string()))?;
    let Some(array) = array else { return Ok(None) };
    same_length(TOKEN_TYPE, array.len(), tokens)?;
    let Some(values) = array.to_i64s() else {
        return Err(Error::invalid(TOKEN_TYPE, "is not an array of integers"));
    };
    let types = values.iter().enumerate().map(|(id, &value)| {
        TokenType::from_gguf(value).ok_or_else(|| {
            Error::invalid(TOKEN_TYPE, format!("token {id} has type {value}; known are 0 to 6"))
        })
    });
    types.collect::<Result<_, _>>().map(Some)
}

/// Without types, the tokens that other keys name are marks, and texts like `<0x0A>` are bytes.
fn guess_types(metadata: &Metadata, kind: Kind, vocabulary: &mut Vocabulary) -> Result<(), Error> {
    if matches!(kind, Kind::SentencePieceBpe | Kind::Unigram) {
        for id in vocabulary.ids() {
            if byte_of(vocabulary.text(id)).is_some() {
                vocabulary.set_type(id, TokenType::Byte);
            }
        }
    }
    for key in [BOS, EOS, UNKNOWN, SEPARATOR, PADDING, MASK, CLS] {
        let stated = stated_id(metadata, key, vocabulary)?;
        let Some(id) = stated.or(default_id(kind, key)) else { continue };
        let token_type = if key == UNKNOWN { TokenType::Unknown } else { TokenType::Control };
        check_special_length(id as usize, vocabulary.text(id))?;
        vocabulary.set_type(id, token_type);
    }
    Ok(())
}

/// Bounds the work of the search for special texts.
fn check_special_length(id: usize, text: &str) -> Result<(), Error> {
    if text.len() <= special::LONGEST {
        return Ok(());
    }
    let (bytes, most) = (text.len(), special::LONGEST);
    Err(Error::invalid(TOKENS, format!("special token {id} has {bytes} bytes; at most {most} are supported")))
}

/// One score for each token.
pub(crate) fn scores(metadata: &Metadata, tokens: usize) -> Result<Vec<f32>, Error> {
    let array = metadata.array(SCORES).map_err(|error| Error::invalid(SCORES, error.to_string()))?;
    let Some(array) = array else {
        return Err(Error::missing(SCORES, "the tokenizer needs a score for each token; convert again"));
    };
    same_length(SCORES, array.len(), tokens)?;
    let Some(scores) = array.to_f32s() else {
        return Err(Error::invalid(SCORES, "is not an array of numbers"));
    };
    if let Some(id) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::invalid(SCORES, format!("the score of token {id} is not a number")));
    }
    Ok(scores)
}

fn same_length(key: &str, length: usize, tokens: usize) -> Result<(), Error> {
    if length == tokens {
        return Ok(());
    }
    Err(Error::invalid(key, format!("has {length} entries for {tokens} tokens of {TOKENS}")))
}

/// The id that a key gives, checked against the vocabulary.
fn stated_id(metadata: &Metadata, key: &str, vocabulary: &Vocabulary) -> Result<Option<u32>, Error> {
    let id = metadata.u32(key).map_err(|error| Error::invalid(key, error.to_string()))?;
    match id {
        Some(id) if vocabulary.get(id).is_none() => {
            Err(Error::invalid(key, format!("is {id}, but the vocabulary has {} tokens", vocabulary.len())))
        }
        id => Ok(id),
    }
}

/// The id that a mark has where a file does not state it.
fn default_id(kind: Kind, key: &str) -> Option<u32> {
    match (kind, key) {
        (Kind::SentencePieceBpe, UNKNOWN) => Some(0),
        (Kind::SentencePieceBpe, BOS) => Some(1),
        (Kind::SentencePieceBpe, EOS) => Some(2),
        (Kind::Unigram, PADDING) => Some(0),
        (Kind::Unigram, EOS) => Some(1),
        (Kind::Unigram, UNKNOWN) => Some(2),
        (Kind::WordPiece, PADDING) => Some(0),
        (Kind::WordPiece, UNKNOWN) => Some(100),
        (Kind::WordPiece, BOS) => Some(101),
        (Kind::WordPiece, SEPARATOR) => Some(102),
        (Kind::WordPiece, MASK) => Some(103),
        _ => None,
    }
}

/// The ids of the marks: what the file says, else the default of its kind where that token is a mark.
pub(crate) fn special_ids(
    metadata: &Metadata,
    kind: Kind,
    vocabulary: &Vocabulary,
) -> Result<SpecialIds, Error> {
    let is_mark =
        |id: &u32| matches!(vocabulary.token_type(*id), Some(TokenType::Control | TokenType::Unknown));
    let get = |key| {
        let stated = stated_id(metadata, key, vocabulary)?;
        Ok::<_, Error>(stated.or(default_id(kind, key).filter(is_mark)))
    };
    // BERT and its kin name [CLS] and [SEP] by either key.
    let (cls, bos, eos, sep) = (get(CLS)?, get(BOS)?, get(EOS)?, get(SEPARATOR)?);
    Ok(SpecialIds {
        bos: if kind == Kind::WordPiece { cls.or(bos) } else { bos.or(cls) },
        eos: if kind == Kind::WordPiece { eos } else { eos.or(sep) },
        unk: get(UNKNOWN)?,
        sep,
        pad: get(PADDING)?,
        mask: get(MASK)?,
    })
}
