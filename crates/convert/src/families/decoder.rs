//! Language models that embed: Qwen2, Qwen3, Llama and Mistral; and EuroBERT, which is one turned
//! both ways.

use super::rope::{ALL, BY_KEYS, BY_KEYS_OR_FACTORS, Rope};
use super::{Change, Family, Keys, Name, PLAIN, layer_kinds, maybe, weight, with_bias_or_without};
use crate::config::Config;
use crate::error::Error;

const BEFORE: &[Name] = &[
    weight("embed_tokens", "token_embd"),
    weight("norm", "output_norm"),
    weight("layers.{}.input_layernorm", "blk.{}.attn_norm"),
];
const QUERY: Name = with_bias_or_without("layers.{}.self_attn.q_proj", "blk.{}.attn_q");
const KEY: Name = with_bias_or_without("layers.{}.self_attn.k_proj", "blk.{}.attn_k");
const REST: &[Name] = &[
    with_bias_or_without("layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    with_bias_or_without("layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    weight("layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
    weight("layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    weight("layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    weight("layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
];

/// Halves of heads rotate together.
const HALVES: &[&[Name]] = &[BEFORE, &[QUERY, KEY], REST];
/// Neighbours rotate together, so rows are put so.
const NEIGHBOURS: &[&[Name]] =
    &[BEFORE, &[QUERY.changed(Change::QueryPairs), KEY.changed(Change::KeyPairs)], REST];
const HEAD_NORMS: &[Name] = &[
    maybe("layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
    maybe("layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
];

pub(super) const QWEN2: Family = Family {
    model_types: &["qwen2"],
    architecture: "qwen2",
    prefixes: &["model."],
    tensors: HALVES,
    ignored: &["lm_head."],
    heads_beyond_llama_cpp: Some(
        "a judge's rows of the language model, for which it has a place in qwen3 alone",
    ),
    keys: |config, keys| decoder(config, keys, Kind { looks_back: true, ..HALVED }),
    ..PLAIN
};

pub(super) const QWEN3: Family = Family {
    model_types: &["qwen3"],
    architecture: "qwen3",
    tensors: &[BEFORE, &[QUERY, KEY], HEAD_NORMS, REST],
    heads_beyond_llama_cpp: None,
    ..QWEN2
};

pub(super) const EUROBERT: Family = Family {
    model_types: &["eurobert"],
    architecture: "eurobert",
    keys: |config, keys| decoder(config, keys, HALVED),
    ..QWEN2
};

pub(super) const LLAMA: Family = Family {
    model_types: &["llama", "mistral"],
    architecture: "llama",
    tensors: NEIGHBOURS,
    ignored: &["lm_head.", "rotary_emb."],
    keys: |config, keys| decoder(config, keys, Kind { looks_back: true, ..NEIGHBOURED }),
    ..QWEN2
};

/// Llama that looks both ways (NVIDIA's llama-embed-nemotron).
pub(super) const LLAMA_EMBED: Family = Family {
    model_types: &["llama_bidirec", "llama_bidirectional"],
    architecture: "llama-embed",
    keys: |config, keys| decoder(config, keys, NEIGHBOURED),
    ..LLAMA
};

/// How these networks differ beside their tensors.
struct Kind {
    /// A language model that sees what is before, unless its file says otherwise; else it sees everything.
    looks_back: bool,
    /// llama.cpp wants to be told how much of a head turns.
    rope_dimensions: bool,
    stretches: &'static [&'static str],
}

const HALVED: Kind = Kind { looks_back: false, rope_dimensions: false, stretches: BY_KEYS };
const NEIGHBOURED: Kind = Kind { looks_back: false, rope_dimensions: true, stretches: BY_KEYS_OR_FACTORS };

fn decoder(config: &Config, keys: &mut Keys, kind: Kind) -> Result<(), Error> {
    config.demand("hidden_act", &["silu", "swish"])?;
    config.demand("mlp_bias", &["false"])?;
    config.demand("use_sliding_window", &["false"])?;
    match (kind.looks_back, config.flag("is_causal")) {
        (true, Some(true) | None) => {}
        (true, Some(false)) | (false, _) => keys.put("attention.causal", false),
    }
    if !kind.looks_back {
        config.demand("is_causal", &["false"])?;
    }
    keys.sizes(config)?;
    if layer_kinds(config, keys.layers)?.is_some_and(|windowed| windowed.contains(&true)) {
        return Err(config.refused("layer_types", "has layers with a window, which these files cannot say"));
    }
    let positions = config.required(&["max_position_embeddings"])?;
    let is_mistral = config.text("model_type") == Some("mistral");
    // What Mistral's class has where nobody says it; null is a word, too.
    let usual = Some(4096).filter(|_| is_mistral && !config.states("sliding_window"));
    let context = match config.number(&["sliding_window"])?.or(usual) {
        // A window of which files say nothing: up to its width the network sees what the authors' does.
        Some(window) if is_mistral && window < positions => {
            keys.notes.push(format!(
                "texts are limited to {window} tokens: beyond them the authors' layers have a window, which GGUF cannot say"
            ));
            window
        }
        _ => positions,
    };
    keys.put_size("context_length", context);
    keys.feed_forward(config)?;
    let head_dim = match config.number(&["head_dim"])? {
        Some(head_dim) => head_dim,
        None => keys.usual_head_dim(config)?,
    };
    keys.put_size("attention.key_length", head_dim);
    keys.put("attention.value_length", head_dim);
    if kind.rope_dimensions {
        keys.put("rope.dimension_count", head_dim);
    }
    keys.put("attention.layer_norm_rms_epsilon", config.required_float(&["rms_norm_eps"])?);
    Rope { stretches: kind.stretches, ..ALL }.put(config, keys, head_dim)
}
