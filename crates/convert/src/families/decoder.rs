//! Language models that embed: Qwen2, Qwen3 and its rerankers, Llama and Mistral; and EuroBERT, which is one turned
//! both ways.

use std::f64::consts::PI;

use gguf::OwnedValue;
use serde_json::Value;

use super::{Change, Family, KeyList, Keys, Made, Name, PLAIN, maybe, weight, with_bias_or_without};
use crate::config::Config;
use crate::error::Error;
use crate::model::{RowOrder, Tensor, Values};
use crate::tokenizer::TokenizerKeys;
use crate::weights::Weights;

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
    keys: |config, keys| {
        if config.flag("is_causal") == Some(false) {
            keys.put("attention.causal", false);
        }
        decoder(config, keys, false)
    },
    ..PLAIN
};

pub(super) const QWEN3: Family = Family {
    model_types: &["qwen3"],
    architecture: "qwen3",
    tensors: &[BEFORE, &[QUERY, KEY], HEAD_NORMS, REST],
    ..QWEN2
};

pub(super) const EUROBERT: Family = Family {
    model_types: &["eurobert"],
    architecture: "eurobert",
    keys: |config, keys| {
        keys.put("attention.causal", false);
        decoder(config, keys, false)
    },
    ..QWEN2
};

pub(super) const LLAMA: Family = Family {
    model_types: &["llama", "mistral"],
    architecture: "llama",
    tensors: NEIGHBOURS,
    ignored: &["lm_head.", "rotary_emb."],
    keys: |config, keys| decoder(config, keys, true),
    ..QWEN2
};

/// Llama that looks both ways (NVIDIA's llama-embed-nemotron).
pub(super) const LLAMA_EMBED: Family = Family {
    model_types: &["llama_bidirec", "llama_bidirectional"],
    architecture: "llama-embed",
    keys: |config, keys| {
        keys.put("attention.causal", false);
        decoder(config, keys, true)
    },
    ..LLAMA
};

fn decoder(config: &Config, keys: &mut Keys, rope_dimensions: bool) -> Result<(), Error> {
    config.demand("hidden_act", &["silu", "swish"])?;
    config.demand("mlp_bias", &["false"])?;
    config.demand("use_sliding_window", &["false"])?;
    keys.sizes(config)?;
    keys.context(config)?;
    keys.feed_forward(config)?;
    let head_dim = match config.number(&["head_dim"])? {
        Some(head_dim) => head_dim,
        None => config.required(&["hidden_size"])? / (keys.heads as u32).max(1),
    };
    keys.put("attention.key_length", head_dim);
    keys.put("attention.value_length", head_dim);
    if rope_dimensions {
        keys.put("rope.dimension_count", head_dim);
    }
    keys.put("attention.layer_norm_rms_epsilon", config.required_float(&["rms_norm_eps"])?);
    let base = config.rope_base("full_attention", &["rope_theta"])?.unwrap_or(10_000.0);
    keys.put("rope.freq_base", base);
    rope_scaling(config, keys, f64::from(base), head_dim)
}

/// Longer texts than the model was first trained for.
fn rope_scaling(config: &Config, keys: &mut Keys, base: f64, head_dim: u32) -> Result<(), Error> {
    let Some(rope) = config.rope("full_attention") else { return Ok(()) };
    let kind =
        rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
    let number = |name: &str| {
        let number = rope.get(name).and_then(Value::as_f64);
        number.ok_or_else(|| Error::mismatch(format!("config.json: rope scaling {kind} has no `{name}`")))
    };
    match kind {
        "default" => {}
        "linear" | "yarn" => {
            keys.put("rope.scaling.type", kind);
            keys.put("rope.scaling.factor", number("factor")? as f32);
            if kind == "yarn" {
                keys.put(
                    "rope.scaling.original_context_length",
                    number("original_max_position_embeddings")? as u32,
                );
                let usual = |name: &str, usual: f64| {
                    rope.get(name).and_then(Value::as_f64).is_none_or(|said| said == usual)
                };
                if !usual("beta_fast", 32.0)
                    || !usual("beta_slow", 1.0)
                    || rope.get("attention_factor").is_some_and(|v| !v.is_null())
                {
                    return Err(Error::unsupported(
                        "config.json: YaRN with numbers of its own, which readers of GGUF do not look for",
                    ));
                }
            }
        }
        "llama3" => {
            let (factor, low, high) =
                (number("factor")?, number("low_freq_factor")?, number("high_freq_factor")?);
            let original = number("original_max_position_embeddings")?;
            let factors = (0..head_dim / 2).map(|pair| {
                let wavelength = 2.0 * PI * base.powf(f64::from(2 * pair) / f64::from(head_dim));
                // Short waves stay, long ones are slowed down, between them it goes smoothly.
                let smooth = ((original / wavelength - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
            });
            let (dims, values) = (vec![u64::from(head_dim / 2)], factors.collect());
            keys.made.push(Made { name: "rope_freqs.weight", dims, values });
        }
        other => {
            return Err(Error::unsupported(format!(
                "config.json: rope scaling {other:?} is not one that connote converts"
            )));
        }
    }
    Ok(())
}

const RERANK: &str = "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. \
    Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve \
    relevant passages that answer the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

/// What a Qwen3 reranker adds: the rows of its output for "yes" and "no", and the pair's form.
pub(super) fn rerank_head(
    family: &Family,
    config: &Config,
    name: &str,
    tokenizer: &TokenizerKeys,
    weights: &Weights,
) -> Result<Option<(Tensor, KeyList)>, Error> {
    let is_named = name.to_lowercase().contains("reranker")
        || config.text("_name_or_path").is_some_and(|name| name.to_lowercase().contains("reranker"));
    if family.architecture != QWEN3.architecture || !is_named {
        return Ok(None);
    }
    let id = |word: &str| {
        let id = tokenizer.id(word);
        id.ok_or_else(|| {
            Error::mismatch(format!(
                "a Qwen3 reranker answers by the token {word:?}, which its tokenizer lacks"
            ))
        })
    };
    let rows = vec![id("yes")?, id("no")?];
    let output = weights.get("lm_head.weight").or_else(|| weights.get("embed_tokens.weight"));
    let output =
        output.filter(|output| output.shape.len() == 2 && rows.iter().all(|row| *row < output.shape[0]));
    let output = output.ok_or_else(|| {
        Error::mismatch("a Qwen3 reranker has no lm_head.weight and no embed_tokens.weight")
    })?;
    let tensor = Tensor {
        name: "cls.output.weight".to_owned(),
        dims: vec![output.shape[1] as u64, 2],
        values: Values::Stored { bytes: output.stored.clone(), rows: RowOrder::Picked(rows), plus: 0.0 },
    };
    let keys = vec![
        ("pooling_type".to_owned(), OwnedValue::from(4u32)),
        ("classifier.output_labels".to_owned(), vec!["yes", "no"].into()),
    ];
    Ok(Some((tensor, keys)))
}

/// Keys of the tokenizer that a reranker's pairs need.
pub(crate) fn rerank_template() -> [(String, OwnedValue); 2] {
    [
        ("tokenizer.chat_template.rerank".to_owned(), RERANK.into()),
        ("tokenizer.chat_templates".to_owned(), vec!["rerank"].into()),
    ]
}
