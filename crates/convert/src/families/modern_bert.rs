//! ModernBERT: gte-modernbert, granite-embedding R2, mmBERT, their rerankers.

use serde_json::Value;

use super::{Family, Keys, PLAIN, maybe, weight};
use crate::config::Config;
use crate::error::Error;

pub(super) const MODERN_BERT: Family = Family {
    model_types: &["modernbert"],
    architecture: "modern-bert",
    prefixes: &["model."],
    tensors: &[&[
        weight("embeddings.tok_embeddings", "token_embd"),
        weight("embeddings.norm", "token_embd_norm"),
        weight("final_norm", "output_norm"),
        // Not in the first layer.
        maybe("layers.{}.attn_norm", "blk.{}.attn_norm"),
        weight("layers.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        weight("layers.{}.attn.Wo", "blk.{}.attn_output"),
        weight("layers.{}.mlp_norm", "blk.{}.ffn_norm"),
        weight("layers.{}.mlp.Wi", "blk.{}.ffn_up"),
        weight("layers.{}.mlp.Wo", "blk.{}.ffn_down"),
        maybe("head.dense", "cls"),
        maybe("head.norm", "cls.norm"),
        maybe("classifier", "cls.output"),
    ]],
    ignored: &["decoder.", "head."],
    keys,
    ..PLAIN
};

fn keys(config: &Config, keys: &mut Keys) -> Result<(), Error> {
    config.demand("hidden_activation", &["gelu", "silu"])?;
    config.demand("attention_bias", &["false"])?;
    config.demand("mlp_bias", &["false"])?;
    config.demand("norm_bias", &["false"])?;
    keys.sizes(config)?;
    keys.context(config)?;
    keys.feed_forward(config)?;
    keys.put("attention.layer_norm_epsilon", config.float(&["norm_eps", "layer_norm_eps"])?.unwrap_or(1e-5));
    keys.put("attention.sliding_window", config.number(&["local_attention"])?.unwrap_or(128));
    keys.put("attention.sliding_window_pattern", period(config)?);
    let base = |kind, older: &str| config.rope_base(kind, &[older]);
    keys.put("rope.freq_base", base("full_attention", "global_rope_theta")?.unwrap_or(160_000.0));
    keys.put("rope.freq_base_swa", base("sliding_attention", "local_rope_theta")?.unwrap_or(10_000.0));
    keys.put("hidden_activation", config.text("hidden_activation").unwrap_or("gelu"));
    keys.put("attention.causal", false);
    keys.put("vocab_size", config.required(&["vocab_size"])?);
    match config.text("classifier_pooling") {
        Some("cls") => keys.put("classifier.pooling_type", 2u32),
        Some("mean") => keys.put("classifier.pooling_type", 1u32),
        _ => {}
    }
    keys.classifier(config);
    Ok(())
}

/// Every how many layers one sees the whole text: the first, and so on.
fn period(config: &Config) -> Result<u32, Error> {
    if let Some(period) = config.number(&["global_attn_every_n_layers"])? {
        return Ok(period);
    }
    let Some(kinds) = config.get("layer_types").and_then(Value::as_array) else { return Ok(3) };
    let whole = |kind: &Value| kind.as_str() == Some("full_attention");
    let period = kinds.iter().skip(1).position(whole).map_or(kinds.len(), |place| place + 1);
    if kinds.iter().enumerate().all(|(layer, kind)| whole(kind) == layer.is_multiple_of(period)) {
        return Ok(period as u32);
    }
    Err(Error::unsupported("config.json: `layer_types` has no regular pattern, which GGUF would need"))
}
