//! nomic-embed-text v1 and v1.5, and v2 with its experts; also what snowflake-arctic-embed-m-long is.

use super::rope::{ALL, Rope};
use super::{Change, Family, Keys, Name, PLAIN, both, maybe, weight};
use crate::config::Config;
use crate::error::Error;

const EMBEDDINGS: [Name; 3] = [
    weight("embeddings.word_embeddings", "token_embd"),
    maybe("embeddings.token_type_embeddings", "token_types"),
    both("emb_ln", "token_embd_norm"),
];
const NORMS: [Name; 2] = [
    both("encoder.layers.{}.norm1", "blk.{}.attn_output_norm"),
    both("encoder.layers.{}.norm2", "blk.{}.layer_output_norm"),
];

pub(super) const NOMIC_BERT: Family = Family {
    model_types: &["nomic_bert"],
    is_this: |config| !has_experts(config),
    architecture: "nomic-bert",
    prefixes: &["model.", "bert.", "nomic_bert."],
    tensors: &[&[
        EMBEDDINGS[0],
        EMBEDDINGS[1],
        EMBEDDINGS[2],
        weight("encoder.layers.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        weight("encoder.layers.{}.attn.out_proj", "blk.{}.attn_output"),
        NORMS[0],
        weight("encoder.layers.{}.mlp.fc11", "blk.{}.ffn_up"),
        weight("encoder.layers.{}.mlp.fc12", "blk.{}.ffn_gate"),
        weight("encoder.layers.{}.mlp.fc2", "blk.{}.ffn_down"),
        NORMS[1],
        maybe("pooler.dense", "cls"),
        maybe("classifier", "cls.output"),
    ]],
    ignored: &["pooler.", "cls."],
    keys: |config, keys| {
        config.demand("activation_function", &["swiglu"])?;
        config.demand("hidden_act", &["silu"])?;
        config.demand("qkv_proj_bias", &["false"])?;
        config.demand("mlp_fc1_bias", &["false"])?;
        config.demand("mlp_fc2_bias", &["false"])?;
        common(config, keys)
    },
    heads_beyond_llama_cpp: Some("its reranker's two products; with one, scores would be others"),
    ..PLAIN
};

pub(super) const NOMIC_BERT_MOE: Family = Family {
    is_this: has_experts,
    architecture: "nomic-bert-moe",
    tensors: &[&[
        EMBEDDINGS[0],
        EMBEDDINGS[1],
        EMBEDDINGS[2],
        both("encoder.layers.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        both("encoder.layers.{}.attn.out_proj", "blk.{}.attn_output"),
        NORMS[0],
        maybe("encoder.layers.{}.mlp.fc1", "blk.{}.ffn_up"),
        maybe("encoder.layers.{}.mlp.fc2", "blk.{}.ffn_down"),
        maybe("encoder.layers.{}.mlp.router.layer", "blk.{}.ffn_gate_inp"),
        maybe("encoder.layers.{}.mlp.experts.mlp.w1", "blk.{}.ffn_up_exps").changed(Change::Experts),
        maybe("encoder.layers.{}.mlp.experts.mlp.w2", "blk.{}.ffn_down_exps").changed(Change::ExpertsTurned),
        NORMS[1],
    ]],
    ignored: &["pooler.", "cls.", "encoder.layers.{}.mlp.experts.bias"],
    keys: |config, keys| {
        config.demand("activation_function", &["gelu"])?;
        let experts = config.required(&["num_experts", "num_local_experts"])?;
        keys.experts = experts as usize;
        keys.put("expert_count", experts);
        keys.put("expert_used_count", config.required(&["moe_top_k"])?);
        keys.put("moe_every_n_layers", config.required(&["moe_every_n_layers"])?);
        config.demand("hidden_act", &["gelu"])?;
        config.demand("moe_normalize_expert_weights", &["false"])?;
        config.demand("expert_choice_router", &["false"])?;
        config.demand_number("num_shared_experts", 0.0)?;
        config.demand_number("ffn_div", 1.0)?;
        // Biases are taken as they are there; the others are ways to compute the same.
        config.pass_over(&["qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "moe_impl", "moe_resid_pdrop"]);
        common(config, keys)
    },
    ..NOMIC_BERT
};

fn has_experts(config: &Config) -> bool {
    config.get("moe_every_n_layers").and_then(serde_json::Value::as_u64).is_some_and(|every| every > 0)
}

fn common(config: &Config, keys: &mut Keys) -> Result<(), Error> {
    config.demand("causal", &["false"])?;
    config.demand("prenorm", &["false"])?;
    config.demand("rotary_emb_fraction", &["1.0", "1"])?;
    config.demand("rotary_emb_interleaved", &["false"])?;
    config.demand("use_rms_norm", &["false"])?;
    config.demand("parallel_block", &["false"])?;
    config.demand("parallel_block_tied_norm", &["false"])?;
    config.demand("scale_attn_weights", &["true"])?;
    config.demand("scale_attn_by_inverse_layer_idx", &["false"])?;
    config.demand("rotary_emb_scale_base", &["null"])?;
    config.pass_over(&["moe_every_n_layers", "num_experts", "moe_top_k"]);
    keys.sizes(config)?;
    // What was trained, where the file promises more: 2048 of 8192 positions (v1.5), 512 of 2048 (v2).
    let positions = config.required(&["n_positions", "max_position_embeddings"])?;
    let trained = config.number(&["max_trained_positions"])?.unwrap_or(2048);
    // The authors' code turns faster beyond what was trained by this factor, which GGUF has no way to say.
    let stretched = config.float(&["rotary_scaling_factor"])?.is_some();
    let context = match (positions, trained) {
        (8192, 2048) => 2048,
        (2048, 2048) if has_experts(config) => 512,
        _ if stretched => positions.min(trained),
        _ => positions,
    };
    if context < positions {
        keys.notes.push(format!(
            "texts are limited to the {context} tokens that were trained, of the {positions} that config.json promises"
        ));
    }
    keys.put_size("context_length", context);
    keys.feed_forward(config)?;
    keys.put(
        "attention.layer_norm_epsilon",
        config.required_float(&["layer_norm_epsilon", "layer_norm_eps"])?,
    );
    Rope { usual: 1000.0, ..ALL }.put(config, keys, keys.usual_head_dim(config)?)?;
    keys.put("attention.causal", false);
    Ok(())
}
