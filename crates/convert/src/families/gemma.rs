//! EmbeddingGemma, which looks both ways, and Gemma 3, which does not.

use super::rope::{ALL, Rope};
use super::{Change, Family, Keys, Name, PLAIN, layer_kinds, weight};
use crate::config::Config;
use crate::error::Error;

const fn norm(theirs: &'static str, ours: &'static str) -> Name {
    weight(theirs, ours).changed(Change::PlusOne)
}

const TENSORS: &[Name] = &[
    weight("embed_tokens", "token_embd"),
    norm("norm", "output_norm"),
    norm("layers.{}.input_layernorm", "blk.{}.attn_norm"),
    weight("layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    weight("layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
    weight("layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    weight("layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    norm("layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
    norm("layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    norm("layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
    norm("layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"),
    weight("layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    weight("layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    weight("layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
    norm("layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
];

pub(super) const GEMMA_EMBEDDING: Family = Family {
    model_types: &["gemma3_text"],
    is_this: |config| config.flag("use_bidirectional_attention") == Some(true),
    architecture: "gemma-embedding",
    prefixes: &["model."],
    tensors: &[TENSORS],
    ignored: &["lm_head."],
    heads: 2,
    keys,
    ..PLAIN
};

pub(super) const GEMMA3: Family = Family { is_this: |_| true, architecture: "gemma3", ..GEMMA_EMBEDDING };

fn keys(config: &Config, keys: &mut Keys) -> Result<(), Error> {
    config.demand("hidden_activation", &["gelu_pytorch_tanh"])?;
    config.demand("attention_bias", &["false"])?;
    keys.sizes(config)?;
    keys.context(config)?;
    keys.feed_forward(config)?;
    let head_dim = config.number(&["head_dim"])?.unwrap_or(256);
    keys.put_size("attention.key_length", head_dim);
    keys.put("attention.value_length", head_dim);
    keys.put("attention.layer_norm_rms_epsilon", config.required_float(&["rms_norm_eps"])?);
    keys.put("attention.sliding_window", config.required(&["sliding_window"])?);
    Rope { usual: 1_000_000.0, ..ALL }.put(config, keys, head_dim)?;
    let local = Rope { layers: "sliding_attention", key: "rope.freq_base_swa", stretches: &[], ..ALL };
    Rope { older: &["rope_local_base_freq"], ..local }.put(config, keys, head_dim)?;
    // Readers divide scores by the root of a head's width, and of the 27B model by that of its share of the width.
    let width = match keys.layers {
        62 => config.required(&["hidden_size"])? / (keys.heads as u32).max(1),
        _ => head_dim,
    };
    // Where nobody says it, the authors' class has 256.
    if config.get("query_pre_attn_scalar").is_none() && width != 256 {
        let what = format!("is not there, which is 256, and GGUF can say {width} alone of such heads");
        return Err(config.refused("query_pre_attn_scalar", what));
    }
    config.demand_number("query_pre_attn_scalar", f64::from(width))?;
    // Every sixth layer sees the whole text, unless the file says otherwise.
    let stated = config.number(&["sliding_window_pattern", "_sliding_window_pattern"])?.unwrap_or(6);
    let period = |layers: &[bool]| {
        let whole = |period: usize| {
            layers.iter().enumerate().all(|(layer, local)| *local == (layer % period != period - 1))
        };
        // The least that fits; all layers local is a period as long as the network and longer.
        (1..=layers.len()).find(|period| whole(*period)).filter(|_| layers.contains(&false))
    };
    match layer_kinds(config, keys.layers)? {
        None if stated == 6 => {}
        None => keys.put("attention.sliding_window_pattern", stated),
        Some(local) => match period(&local) {
            Some(6) => {}
            Some(period) => keys.put("attention.sliding_window_pattern", period as u32),
            None if local.iter().enumerate().all(|(layer, local)| *local == (layer % 6 != 5)) => {}
            None => keys.put("attention.sliding_window_pattern", local),
        },
    }
    Ok(())
}
