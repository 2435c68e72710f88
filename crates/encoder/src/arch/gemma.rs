//! Gemma 3 as an embedder: EmbeddingGemma (bidirectional, with dense heads) and plain Gemma 3 (causal).
//!
//! Sandwich RMS norms (the weights in the file hold the `+ 1` already), QK norm, grouped heads, gated tanh
//! GELU, embeddings scaled by `sqrt(dim)`, and layers in periods of six: five see a sliding window and turn
//! by base 10,000, the sixth sees everything and turns by the file's base. Sources: the Gemma 3 report
//! (2025), the EmbeddingGemma report (2025) and their configurations.

use super::Architecture;
use crate::config::{
    Activation, BlockNorms, Config, HeadNorms, Heads, LayerConfig, Mask, NormNames, Positions,
};
use crate::error::Error;
use crate::keys::{Global, Keys};
use crate::network::Network;
use crate::pooling::Pooling;
use crate::rope::{Pairs, Rope};

pub(super) const GEMMA_EMBEDDING: Architecture = Architecture {
    name: "gemma-embedding",
    describe: |keys| {
        let width = keys.size("attention.sliding_window")?;
        Ok(Config {
            // The only published model with this architecture pools by mean.
            default_pooling: Some(Pooling::Mean),
            dense_heads: Heads { names: DENSE_HEADS, expected: true },
            ..gemma(keys, keys.full_mask()?, Mask::SymmetricWindow { width })?
        })
    },
};

pub(super) const GEMMA3: Architecture = Architecture {
    name: "gemma3",
    describe: |keys| {
        if !keys.flag_or("attention.causal", true)? {
            let what =
                "is false: a bidirectional gemma3 is not supported; EmbeddingGemma files say gemma-embedding";
            return Err(keys.error("attention.causal", what));
        }
        let window = keys.size_if_any("attention.sliding_window")?;
        let local = window.map_or(Mask::Causal, |width| Mask::CausalWindow { width });
        gemma(keys, Mask::Causal, local)
    },
};

const DENSE_HEADS: &[&str] = &["dense_2", "dense_3"];
/// Kinds of rotation, by index.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;
/// Layers of the 27B model, the only one whose scores are not scaled by the head's width.
const LAYERS_27B: usize = 62;

fn gemma(keys: &Keys<'_>, global: Mask, local: Mask) -> Result<Config, Error> {
    let rope = keys.rope(Pairs::Halves, 1_000_000.0)?;
    // Only global layers are stretched; longer Gemma 3 models say so by a linear factor.
    let local_base = f64::from(keys.float_or("rope.freq_base_swa", 10_000.0)?);
    let local_rope = Rope { base: local_base, scale: 1.0, yarn: None, ..rope.clone() };
    for (own, other) in [
        (keys.head_dim()?, "attention.key_length_swa"),
        (keys.head_dim()?, "attention.value_length_swa"),
        (rope.dims, "rope.dimension_count_swa"),
    ] {
        let stated = keys.size_or(other, own)?;
        if stated != own {
            let what =
                format!("is {stated}, other layers have {own}: layers of two widths are not supported");
            return Err(keys.error(other, what));
        }
    }
    let network = keys.network(Network {
        positions: Positions::Rope(vec![rope, local_rope]),
        norm: keys.rms_norm()?,
        norms: NormNames {
            attention: BlockNorms {
                before: Some("attn_norm"),
                after: Some("post_attention_norm"),
                ..BlockNorms::default()
            },
            feed_forward: BlockNorms {
                before: Some("ffn_norm"),
                after: Some("post_ffw_norm"),
                ..BlockNorms::default()
            },
            ..NormNames::pre()
        },
        activation: Activation::GatedGeluTanh,
        mask: global,
    })?;
    let layers = network.layers.len();
    let windowed = keys.windowed_layers("attention.sliding_window_pattern", layers, 6, Global::Last)?;
    let score_width =
        if layers == LAYERS_27B { (network.dim / network.heads).max(1) } else { network.head_dim };
    let layer = |windowed| match windowed {
        true => LayerConfig { rope: LOCAL, ..LayerConfig::seeing(local) },
        false => LayerConfig { rope: GLOBAL, ..LayerConfig::seeing(global) },
    };
    Ok(Config {
        attention_scale: 1.0 / (score_width as f32).sqrt(),
        head_norms: HeadNorms::EachHead,
        embedding_scale: (network.dim as f32).sqrt(),
        layers: windowed.into_iter().map(layer).collect(),
        dense_heads: Heads { names: DENSE_HEADS, expected: false },
        // A language model's own head: embedding stops before it.
        ignored: &["output.weight"],
        ..network
    })
}
