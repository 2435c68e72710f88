//! ModernBERT: gte-modernbert, granite-embedding R2, mmBERT, their rerankers.

use super::rope::{ALL, Rope};
use super::{Family, Keys, PLAIN, layer_kinds, maybe, weight};
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
    up_and_gate: &[2],
    ..PLAIN
};

fn keys(config: &Config, keys: &mut Keys) -> Result<(), Error> {
    config.demand("hidden_activation", &["gelu", "silu"])?;
    config.demand("attention_bias", &["false"])?;
    config.demand("mlp_bias", &["false"])?;
    config.demand("norm_bias", &["false"])?;
    config.demand("classifier_activation", &["gelu"])?;
    // Written by some versions of transformers; RoPE is what its class has, whatever this says.
    config.pass_over(&["position_embedding_type"]);
    config.pass_over(OF_FLEX_BERT);
    keys.sizes(config)?;
    keys.context(config)?;
    keys.feed_forward(config)?;
    keys.put("attention.layer_norm_epsilon", config.float(&["norm_eps", "layer_norm_eps"])?.unwrap_or(1e-5));
    keys.put("attention.sliding_window", config.number(&["local_attention"])?.unwrap_or(128));
    keys.put("attention.sliding_window_pattern", period(config, keys.layers)?);
    let head_dim = keys.usual_head_dim(config)?;
    Rope { older: &["global_rope_theta"], usual: 160_000.0, ..ALL }.put(config, keys, head_dim)?;
    let local = Rope { layers: "sliding_attention", key: "rope.freq_base_swa", stretches: &[], ..ALL };
    Rope { older: &["local_rope_theta"], ..local }.put(config, keys, head_dim)?;
    keys.put("hidden_activation", config.text("hidden_activation").unwrap_or("gelu"));
    keys.put("attention.causal", false);
    keys.put("vocab_size", config.required(&["vocab_size"])?);
    let pooling = match config.text("classifier_pooling") {
        Some("cls") | None => 2u32,
        Some("mean") => 1,
        Some(other) => {
            return Err(config.refused("classifier_pooling", format!("is {other}; it can be cls or mean")));
        }
    };
    keys.put("classifier.pooling_type", pooling);
    keys.classifier(config);
    Ok(())
}

/// Every how many layers one sees the whole text: the first, and so on.
fn period(config: &Config, layers: usize) -> Result<u32, Error> {
    let stated = config.number(&["global_attn_every_n_layers"])?;
    let Some(windowed) = layer_kinds(config, layers)? else { return Ok(stated.unwrap_or(3)) };
    let period = match stated {
        Some(period) => period as usize,
        None => windowed.iter().skip(1).position(|windowed| !windowed).map_or(layers, |place| place + 1),
    };
    if windowed.iter().enumerate().all(|(layer, windowed)| *windowed != layer.is_multiple_of(period)) {
        return Ok(period as u32);
    }
    Err(config.refused("layer_types", "has no regular pattern, which GGUF would need"))
}

/// What the code that trained ModernBERT leaves in some of its folders; transformers' class asks for none of it.
const OF_FLEX_BERT: &[&str] = &[
    "activation_function",
    "allow_embedding_resizing",
    "attention_layer",
    "attn_out_bias",
    "attn_qkv_bias",
    "bert_layer",
    "causal_mask",
    "compile_model",
    "deterministic_fa2",
    "embed_norm",
    "embedding_layer",
    "encoder_layer",
    "final_norm",
    "head_class_act",
    "head_class_bias",
    "head_class_norm",
    "head_pred_act",
    "head_pred_bias",
    "head_pred_norm",
    "hidden_act",
    "init_cutoff_factor",
    "init_method",
    "init_small_embedding",
    "init_std",
    "initial_attention_layer",
    "initial_bert_layer",
    "initial_mlp_layer",
    "local_attn_rotary_emb_base",
    "local_attn_rotary_emb_dim",
    "loss_function",
    "loss_kwargs",
    "masked_prediction",
    "mlp_in_bias",
    "mlp_layer",
    "mlp_out_bias",
    "norm_kwargs",
    "normalization",
    "num_initial_layers",
    "pad_logits",
    "padding",
    "pooling_type",
    "rotary_emb_base",
    "rotary_emb_dim",
    "rotary_emb_interleaved",
    "rotary_emb_scale_base",
    "skip_first_prenorm",
    "sliding_window",
    "strict_flash_attention",
    "unpad_embeddings",
    "use_fa2",
    "use_sdpa_attn_mask",
];
