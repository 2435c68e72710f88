//! The encoder of T5: sentence-t5, gtr-t5.

use super::{Family, Name, PLAIN, maybe, weight};

const TENSORS: &[Name] = &[
    // One of them is there, or both are the same.
    maybe("shared", "token_embd"),
    maybe("encoder.embed_tokens", "token_embd"),
    weight("encoder.final_layer_norm", "enc.output_norm"),
    weight("encoder.block.{}.layer.0.layer_norm", "enc.blk.{}.attn_norm"),
    weight("encoder.block.{}.layer.0.SelfAttention.q", "enc.blk.{}.attn_q"),
    weight("encoder.block.{}.layer.0.SelfAttention.k", "enc.blk.{}.attn_k"),
    weight("encoder.block.{}.layer.0.SelfAttention.v", "enc.blk.{}.attn_v"),
    weight("encoder.block.{}.layer.0.SelfAttention.o", "enc.blk.{}.attn_o"),
    // In the first layer; the others use it, too.
    maybe("encoder.block.{}.layer.0.SelfAttention.relative_attention_bias", "enc.blk.{}.attn_rel_b"),
    weight("encoder.block.{}.layer.1.layer_norm", "enc.blk.{}.ffn_norm"),
    maybe("encoder.block.{}.layer.1.DenseReluDense.wi_0", "enc.blk.{}.ffn_gate"),
    maybe("encoder.block.{}.layer.1.DenseReluDense.wi_1", "enc.blk.{}.ffn_up"),
    maybe("encoder.block.{}.layer.1.DenseReluDense.wi", "enc.blk.{}.ffn_up"),
    weight("encoder.block.{}.layer.1.DenseReluDense.wo", "enc.blk.{}.ffn_down"),
];

pub(super) const T5: Family = Family {
    model_types: &["t5", "mt5", "umt5"],
    architecture: "t5encoder",
    prefixes: &[],
    tensors: &[TENSORS],
    ignored: &["decoder.", "lm_head."],
    heads: 1,
    heads_beyond_llama_cpp: Some("its dense head; without it vectors would be others"),
    keys: |config, keys| {
        keys.put("attention.causal", false);
        config.demand("feed_forward_proj", &["relu", "gated-gelu"])?;
        config.demand("is_decoder", &["false"])?;
        // Readers of GGUF take it for granted.
        config.demand_number("relative_attention_max_distance", 128.0)?;
        keys.sizes(config)?;
        keys.put_size("context_length", config.number(&["n_positions"])?.unwrap_or(512));
        keys.feed_forward(config)?;
        let key_length = config.required(&["d_kv"])?;
        keys.put_size("attention.key_length", key_length);
        keys.put("attention.value_length", key_length);
        keys.put_size(
            "attention.relative_buckets_count",
            config.required(&["relative_attention_num_buckets"])?,
        );
        let eps = config.required_float(&["layer_norm_epsilon"])?;
        // llama.cpp reads either.
        keys.put("attention.layer_norm_epsilon", eps);
        keys.put("attention.layer_norm_rms_epsilon", eps);
        Ok(())
    },
    ..PLAIN
};
