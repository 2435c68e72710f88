//! NeoBERT.

use super::{Family, PLAIN, maybe, weight};

pub(super) const NEO_BERT: Family = Family {
    model_types: &["neobert"],
    architecture: "neo-bert",
    prefixes: &["model."],
    tensors: &[&[
        weight("encoder", "token_embd"),
        weight("layer_norm", "enc.output_norm"),
        weight("transformer_encoder.{}.attention_norm", "blk.{}.attn_norm"),
        weight("transformer_encoder.{}.qkv", "blk.{}.attn_qkv"),
        weight("transformer_encoder.{}.wo", "blk.{}.attn_output"),
        weight("transformer_encoder.{}.ffn_norm", "blk.{}.ffn_norm"),
        weight("transformer_encoder.{}.ffn.w12", "blk.{}.ffn_up"),
        weight("transformer_encoder.{}.ffn.w3", "blk.{}.ffn_down"),
        maybe("dense", "cls"),
        maybe("classifier", "cls.output"),
    ]],
    ignored: &["decoder.", "dense.", "freqs_cis"],
    keys: |config, keys| {
        config.demand("hidden_act", &["SwiGLU", "swiglu"])?;
        config.demand("rope", &["true"])?;
        config.demand("rms_norm", &["true"])?;
        config.demand("ngpt", &["false"])?;
        // Of nGPT alone; and what its class was called with.
        config.pass_over(&["base_scale", "kwargs"]);
        keys.sizes(config)?;
        config.demand_number("dim_head", f64::from(keys.usual_head_dim(config)?))?;
        keys.context(config)?;
        // A gated network of two thirds the width has as many weights.
        keys.put_size(
            "feed_forward_length",
            (u64::from(config.required(&["intermediate_size"])?) * 2 / 3) as u32,
        );
        keys.put("attention.layer_norm_rms_epsilon", config.float(&["norm_eps"])?.unwrap_or(1e-6));
        keys.put("rope.freq_base", 10_000f32);
        keys.put("attention.causal", false);
        keys.put("pooling_type", 2u32);
        keys.classifier(config);
        Ok(())
    },
    up_and_gate: &[2],
    ..PLAIN
};
