//! Llama and the encoders that share its network (Touvron et al. 2023): e5-mistral and SFR, the bidirectional
//! llama-embed-nemotron, and EuroBERT.
//!
//! Pre-norm RMS, RoPE, grouped heads, SwiGLU; biases where the file has them. Llama 3 stretches its context by a
//! factor a frequency, which its files hold as a tensor. Sources: transformers' modeling_llama.py and
//! modeling_eurobert.py, nvidia's llama_bidirectional_model.py.

use super::Architecture;
use crate::config::{Activation, Config, Mask, NormNames, Positions};
use crate::error::Error;
use crate::keys::Keys;
use crate::network::Network;
use crate::pooling::Pooling;
use crate::rope::Pairs;

pub(super) const LLAMA: Architecture =
    Architecture { name: "llama", describe: |keys| llama(keys, Pairs::Adjacent, keys.causal_or(true)?) };

pub(super) const LLAMA_EMBED: Architecture = Architecture {
    name: "llama-embed",
    describe: |keys| llama(keys, Pairs::Adjacent, keys.causal_or(false)?),
};

pub(super) const EUROBERT: Architecture =
    Architecture { name: "eurobert", describe: |keys| llama(keys, Pairs::Halves, keys.full_mask()?) };

/// What all of them are, apart from their pairs and masks.
pub(super) fn llama(keys: &Keys<'_>, pairs: Pairs, mask: Mask) -> Result<Config, Error> {
    let network = keys.network(Network {
        positions: Positions::Rope(vec![keys.rope(pairs, 10_000.0)?]),
        norm: keys.rms_norm()?,
        norms: NormNames::pre(),
        activation: Activation::GatedSilu,
        mask,
    })?;
    // A language model's own head: embedding stops before it.
    // Judges of pairs on language models: outputs of the last row, or rows of the language model's own. Those that look both
    // ways read whichever row their configuration names.
    let scoring = keys.scoring(if mask == Mask::Causal { Pooling::Last } else { Pooling::Mean }, None)?;
    Ok(Config { ignored: &["output.weight"], scoring, ..network })
}
