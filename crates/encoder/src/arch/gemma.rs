//! Gemma 3 as an embedder: EmbeddingGemma (bidirectional, with dense heads) and plain Gemma 3 (causal).
//!
//! Sandwich RMS norms (the weights in the file hold the `+ 1` already), QK norm, grouped heads, gated tanh
//! GELU, embeddings scaled by `sqrt(dim)`, and layers in periods of six: five see a sliding window and turn
//! by base 10,000, the sixth sees everything and turns by the file's base. Sources: the Gemma 3 report
//! (2025), the EmbeddingGemma report (2025) and their configurations.

use super::Architecture;
use crate::config::{
    Activation, BlockNorms, Config, FeedForward, Heads, LayerConfig, Mask, Norm, NormNames, Positions, Rope,
};
use crate::error::Error;
use crate::keys::Keys;
use crate::pooling::Pooling;

pub(super) const GEMMA_EMBEDDING: Architecture = Architecture {
    name: "gemma-embedding",
    describe: |keys| {
        let width = keys.size("attention.sliding_window")?;
        Ok(Config {
            // The only published model with this architecture pools by mean.
            default_pooling: Some(Pooling::Mean),
            dense_heads: Heads { names: DENSE_HEADS, expected: true },
            ..gemma("gemma-embedding", keys, Mask::Full, Mask::SymmetricWindow { width })?
        })
    },
};

pub(super) const GEMMA3: Architecture = Architecture {
    name: "gemma3",
    describe: |keys| {
        if !keys.flag_or("attention.causal", true)? {
            let what =
                "is false: a bidirectional gemma3 is not supported; EmbeddingGemma files say gemma-embedding";
            return Err(Error::key("gemma3.attention.causal", what));
        }
        let window = keys.size_if_any("attention.sliding_window")?;
        let local = window.map_or(Mask::Causal, |width| Mask::CausalWindow { width });
        gemma("gemma3", keys, Mask::Causal, local)
    },
};

const DENSE_HEADS: &[&str] = &["dense_2", "dense_3"];
/// Kinds of rotation, by index.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;
/// Layers of the 27B model, the only one whose scores are not scaled by the head's width.
const LAYERS_27B: usize = 62;

fn gemma(architecture: &'static str, keys: &Keys<'_>, global: Mask, local: Mask) -> Result<Config, Error> {
    let dim = keys.size("embedding_length")?;
    let heads = keys.size("attention.head_count")?;
    let head_dim = keys.size_or("attention.key_length", (dim / heads).max(1))?;
    let value_dim = keys.size_or("attention.value_length", head_dim)?;
    if value_dim != head_dim {
        let what = format!("is {value_dim}, keys have {head_dim}: heads of two widths are not supported");
        return Err(Error::key(&format!("{architecture}.attention.value_length"), what));
    }
    let layers = keys.size("block_count")?.min(513);
    let windowed = keys.windowed_layers("attention.sliding_window_pattern", layers, 6)?;
    let dims = keys.size_or("rope.dimension_count", head_dim)?;
    for (own, other) in [
        (head_dim, "attention.key_length_swa"),
        (head_dim, "attention.value_length_swa"),
        (dims, "rope.dimension_count_swa"),
    ] {
        let stated = keys.size_or(other, own)?;
        if stated != own {
            let what =
                format!("is {stated}, other layers have {own}: layers of two widths are not supported");
            return Err(Error::key(&format!("{architecture}.{other}"), what));
        }
    }
    // Only global layers are stretched; longer Gemma 3 models say so by a linear factor.
    let scale = match keys.text("rope.scaling.type")? {
        None | Some("linear") => {
            let factor = keys.float_if_any("rope.scaling.factor")?;
            // The key's name in older files.
            let factor =
                factor.map_or_else(|| keys.float_if_any("rope.scale_linear"), |factor| Ok(Some(factor)))?;
            1.0 / f64::from(factor.unwrap_or(1.0))
        }
        Some("none") => 1.0,
        Some(other) => {
            let what = format!("is `{other}`; this architecture is stretched linearly or not at all");
            return Err(Error::key(&format!("{architecture}.rope.scaling.type"), what));
        }
    };
    let global_base = f64::from(keys.float_or("rope.freq_base", 1_000_000.0)?);
    let local_base = f64::from(keys.float_or("rope.freq_base_swa", 10_000.0)?);
    let score_width = if layers == LAYERS_27B { (dim / heads).max(1) } else { head_dim };
    Ok(Config {
        architecture,
        dim,
        context_length: keys.size("context_length")?,
        heads,
        kv_heads: keys.size_or("attention.head_count_kv", heads)?,
        head_dim,
        attention_scale: 1.0 / (score_width as f32).sqrt(),
        qk_norm: true,
        embedding_scale: (dim as f32).sqrt(),
        positions: Positions::Rope(vec![
            Rope { dims, base: global_base, scale },
            Rope { dims, base: local_base, scale: 1.0 },
        ]),
        token_types: false,
        norm: Norm::Rms { eps: keys.float("attention.layer_norm_rms_epsilon")? },
        norms: NormNames {
            embedding: None,
            attention: BlockNorms {
                before: Some("attn_norm"),
                after: Some("post_attention_norm"),
                after_residual: None,
            },
            feed_forward: BlockNorms {
                before: Some("ffn_norm"),
                after: Some("post_ffw_norm"),
                after_residual: None,
            },
            output: Some("output_norm"),
        },
        feed_forward: FeedForward {
            dim: keys.size("feed_forward_length")?,
            activation: Activation::GatedGeluTanh,
        },
        layers: windowed
            .into_iter()
            .map(|windowed| match windowed {
                true => LayerConfig { mask: local, rope: LOCAL },
                false => LayerConfig { mask: global, rope: GLOBAL },
            })
            .collect(),
        pooling: keys.pooling()?,
        default_pooling: None,
        dense_heads: Heads { names: DENSE_HEADS, expected: false },
        // A language model's own head: embedding stops before it.
        ignored: &["output.weight"],
    })
}
