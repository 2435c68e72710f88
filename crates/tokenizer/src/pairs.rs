//! What stands between the two texts of a pair.

use gguf::Metadata;

use crate::error::Error;
use crate::{Kind, SpecialIds, load};

/// The end of the first text, and the separator once more where the file or, being silent, its kind doubles it:
/// `[CLS] a [SEP] b [SEP]` for BERT, `<s> a </s></s> b </s>` for RoBERTa and XLM-R.
pub(crate) fn between(
    metadata: &Metadata,
    kind: Kind,
    special: &SpecialIds,
    suffix: &[u32],
) -> Result<Vec<u32>, Error> {
    let usual = match kind {
        Kind::Unigram => true,
        Kind::Bpe => matches!(load::pre(metadata)?, Some("jina-v1-en" | "jina-v2-code" | "roberta-bpe")),
        Kind::WordPiece | Kind::SentencePieceBpe => false,
    };
    let mut between = suffix.to_vec();
    // BERT's tokenizers have one, whatever files say: older converters wrote the flag of another engine's default.
    let doubled = kind != Kind::WordPiece && load::boolean(metadata, load::ADD_SEP)?.unwrap_or(usual);
    if let (true, Some(separator)) = (doubled, special.sep.or(suffix.last().copied())) {
        between.push(separator);
    }
    Ok(between)
}
