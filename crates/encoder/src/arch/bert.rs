//! BERT and what shares its network: MiniLM, BGE, E5, GTE (Devlin et al. 2018).
//!
//! Post-norm, learned positions, token types, exact GELU. llama.cpp computes the tanh form; the authors'
//! models have the exact one, and so have we.

use super::Architecture;
use crate::config::{
    Activation, BlockNorms, Config, FeedForward, Heads, LayerConfig, Mask, Norm, NormNames, Positions,
};
use crate::error::Error;
use crate::keys::Keys;

pub(super) const BERT: Architecture = Architecture { name: "bert", describe };

fn describe(keys: &Keys<'_>) -> Result<Config, Error> {
    let dim = keys.size("embedding_length")?;
    let heads = keys.size("attention.head_count")?;
    if !dim.is_multiple_of(heads) {
        return Err(Error::key(
            "bert.attention.head_count",
            format!("is {heads}, which does not divide {dim}"),
        ));
    }
    let head_dim = dim / heads;
    let mask = if keys.flag_or("attention.causal", false)? { Mask::Causal } else { Mask::Full };
    Ok(Config {
        architecture: "bert",
        dim,
        context_length: keys.size("context_length")?,
        heads,
        kv_heads: heads,
        head_dim,
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
        qk_norm: false,
        embedding_scale: 1.0,
        positions: Positions::Learned,
        token_types: true,
        norm: Norm::Layer { eps: keys.float("attention.layer_norm_epsilon")? },
        norms: NormNames {
            embedding: Some("token_embd_norm"),
            attention: BlockNorms { after_residual: Some("attn_output_norm"), ..BlockNorms::default() },
            feed_forward: BlockNorms { after_residual: Some("layer_output_norm"), ..BlockNorms::default() },
            output: None,
        },
        feed_forward: FeedForward { dim: keys.size("feed_forward_length")?, activation: Activation::GeluErf },
        layers: vec![LayerConfig { mask, rope: 0 }; keys.size("block_count")?.min(513)],
        pooling: keys.pooling()?,
        // BERT models differ (MiniLM: mean, BGE: cls), so a file that says nothing is not guessed at.
        default_pooling: None,
        dense_heads: Heads::default(),
        ignored: &[],
    })
}
