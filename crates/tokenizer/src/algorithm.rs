//! From the keys of a file to the algorithm they describe, and to what stands around every text.

use gguf::Metadata;

use crate::bert_normalizer::BertNormalizer;
use crate::bpe::Bpe;
use crate::error::Error;
use crate::pre_tokenizer::{PreTokenizer, Template};
use crate::sentencepiece::SentencePiece;
use crate::unigram::{Spaces, Unigram};
use crate::vocabulary::{TokenType, Vocabulary};
use crate::wordpiece::WordPiece;
use crate::{Kind, SpecialIds, load};

pub(crate) enum Algorithm {
    SentencePiece(SentencePiece),
    WordPiece(WordPiece),
    Unigram(Unigram),
    Bpe(Bpe),
}

/// The tokens before and after a single text.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) prefix: Vec<u32>,
    pub(crate) suffix: Vec<u32>,
}

impl Ends {
    /// BOS and EOS, where the file asks for them or, being silent, its kind does.
    fn stated(metadata: &Metadata, special: &SpecialIds, bos: bool, eos: bool) -> Result<Ends, Error> {
        let mut ends = Ends::default();
        if load::boolean(metadata, load::ADD_BOS)?.unwrap_or(bos) {
            ends.prefix.push(required(special.bos, load::BOS, "BOS")?);
        }
        if load::boolean(metadata, load::ADD_EOS)?.unwrap_or(eos) {
            ends.suffix.push(required(special.eos, load::EOS, "EOS")?);
        }
        Ok(ends)
    }
}

fn required(id: Option<u32>, key: &str, what: &str) -> Result<u32, Error> {
    id.ok_or_else(|| Error::missing(key, format!("the tokenizer needs its {what} token; set the key")))
}

impl Algorithm {
    pub(crate) fn load(
        metadata: &Metadata,
        kind: Kind,
        vocabulary: &Vocabulary,
        special: &SpecialIds,
    ) -> Result<(Algorithm, Ends), Error> {
        match kind {
            Kind::SentencePieceBpe => {
                let scores = load::scores(metadata, vocabulary.len())?;
                let prefix = load::space_prefix(metadata, true)?;
                let ends = Ends::stated(metadata, special, true, false)?;
                let pieces = SentencePiece::new(vocabulary, &scores, special.unk, prefix)?;
                Ok((Algorithm::SentencePiece(pieces), ends))
            }
            Kind::WordPiece => {
                let normalizer = bert_normalizer(metadata, vocabulary)?;
                let unknown = required(special.unk, load::UNKNOWN, "unknown")?;
                // BERT's template: [CLS] text [SEP], whatever the add_* keys of a converter say.
                let ends = Ends {
                    prefix: vec![required(special.bos, load::BOS, "CLS")?],
                    suffix: vec![required(special.sep, load::SEPARATOR, "SEP")?],
                };
                Ok((Algorithm::WordPiece(WordPiece::new(vocabulary, normalizer, unknown)), ends))
            }
            Kind::Unigram => {
                let scores = load::scores(metadata, vocabulary.len())?;
                let spaces = Spaces {
                    prefix: load::space_prefix(metadata, false)?,
                    remove_extra: load::boolean(metadata, load::REMOVE_EXTRA_WHITESPACES)?.unwrap_or(false),
                };
                let charsmap = load::charsmap(metadata)?;
                let ends = Ends::stated(metadata, special, false, true)?;
                let unigram = Unigram::new(vocabulary, &scores, special.unk, charsmap, spaces)?;
                Ok((Algorithm::Unigram(unigram), ends))
            }
            Kind::Bpe => {
                // A kind of its own in GGUF, which needs no other name.
                let gemma4 = load::model(metadata)?.filter(|&model| model == "gemma4");
                let Some(name) = gemma4.or(load::pre(metadata)?) else {
                    return Err(Error::missing(
                        load::PRE,
                        "the file does not say how texts are cut before merging; convert the model again",
                    ));
                };
                let pre = PreTokenizer::named(name)?;
                let ends = match pre.template {
                    Template::Bare => Ends::stated(metadata, special, false, false)?,
                    Template::Begin => Ends::stated(metadata, special, true, false)?,
                    Template::Enclosed => Ends::stated(metadata, special, true, true)?,
                };
                Ok((Algorithm::Bpe(Bpe::new(metadata, vocabulary, pre, special.unk)?), ends))
            }
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Algorithm::SentencePiece(_) => Kind::SentencePieceBpe,
            Algorithm::WordPiece(_) => Kind::WordPiece,
            Algorithm::Unigram(_) => Kind::Unigram,
            Algorithm::Bpe(_) => Kind::Bpe,
        }
    }

    /// Whether user-defined tokens are looked for in the raw text, together with the marks.
    pub(crate) fn finds_user_defined_first(&self) -> bool {
        !matches!(self, Algorithm::Bpe(bpe) if bpe.pre().user_defined_normalized)
    }

    /// Whether the mask token takes the white space before it, as in RoBERTa's kin.
    pub(crate) fn mask_takes_spaces(&self) -> bool {
        match self {
            Algorithm::SentencePiece(_) | Algorithm::WordPiece(_) => false,
            Algorithm::Unigram(_) => true,
            Algorithm::Bpe(bpe) => bpe.pre().mask_takes_spaces,
        }
    }
}

/// How texts are normalised before WordPiece. Older files do not say whether a model knows upper case; then its
/// vocabulary does.
fn bert_normalizer(metadata: &Metadata, vocabulary: &Vocabulary) -> Result<BertNormalizer, Error> {
    let lowercase = match load::boolean(metadata, load::LOWERCASE)? {
        Some(lowercase) => lowercase,
        None => load::pre(metadata)? != Some("whitespace") && !is_cased(vocabulary),
    };
    let strip_accents = load::boolean(metadata, load::STRIP_ACCENTS)?.unwrap_or(lowercase);
    Ok(BertNormalizer { lowercase, strip_accents })
}

/// Whether one ordinary token in a hundred, and at least twenty, have a capital, which a tokenizer that lowercases could
/// never use.
fn is_cased(vocabulary: &Vocabulary) -> bool {
    let normal = vocabulary.ids().filter(|&id| vocabulary.token_type(id) == Some(TokenType::Normal));
    let (mut tokens, mut capitals) = (0usize, 0usize);
    for id in normal {
        tokens += 1;
        capitals += usize::from(vocabulary.text(id).bytes().any(|byte| byte.is_ascii_uppercase()));
    }
    capitals >= 20 && capitals * 100 >= tokens
}
