//! NeoBERT (Le Breton et al. 2025).
//!
//! Pre-norm RMS, RoPE of adjacent pairs, SwiGLU, no biases. Q, K and V are one tensor, head by head, as the authors'
//! model.py reads it; llama.cpp takes that for three blocks.

use super::Architecture;
use super::bert::POOLER;
use crate::config::{Activation, Config, FusedQkv, NormNames, Positions};
use crate::network::Network;
use crate::pooling::Pooling;
use crate::rope::Pairs;

pub(super) const NEO_BERT: Architecture = Architecture {
    name: "neo-bert",
    describe: |keys| {
        let network = keys.network(Network {
            positions: Positions::Rope(vec![keys.rope(Pairs::Adjacent, 10_000.0)?]),
            norm: keys.rms_norm()?,
            norms: NormNames { output: Some("enc.output_norm"), ..NormNames::pre() },
            activation: Activation::GatedSilu,
            mask: keys.full_mask()?,
        })?;
        if network.heads != network.kv_heads {
            let what = format!("is {}; models of this architecture have one a head", network.kv_heads);
            return Err(keys.error("attention.head_count_kv", what));
        }
        let scoring = keys.scoring(Pooling::Cls, POOLER)?;
        Ok(Config { fused_qkv: FusedQkv::ByHead, default_pooling: Some(Pooling::Cls), scoring, ..network })
    },
};
