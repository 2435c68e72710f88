//! The encoder of T5 (Raffel et al. 2020): sentence-t5, gtr-t5.
//!
//! Pre-norm RMS, no biases, scores that are not scaled but have a learned value a head and bucket of distances added;
//! all layers share the first one's. The first T5 has ReLU, later ones gated GELU in its tanh form. Source:
//! transformers' modeling_t5.py.

use super::Architecture;
use crate::config::{Activation, Config, Heads, LayerNames, NormNames, Positions};
use crate::network::Network;

/// Distances from here on are all alike.
const MAX_DISTANCE: usize = 128;

pub(super) const T5_ENCODER: Architecture = Architecture {
    name: "t5encoder",
    describe: |keys| {
        let buckets = keys.size_or("attention.relative_buckets_count", 32)?;
        if !buckets.is_multiple_of(4) || buckets / 4 >= MAX_DISTANCE {
            let what = format!("is {buckets}; it must be a multiple of 4 below {}", 4 * MAX_DISTANCE);
            return Err(keys.error("attention.relative_buckets_count", what));
        }
        let activation = match keys.has_tensor("enc.blk.0.ffn_gate.weight") {
            true => Activation::GatedGeluTanh,
            false => Activation::Relu,
        };
        let network = keys.network(Network {
            positions: Positions::RelativeBuckets { buckets, max_distance: MAX_DISTANCE, name: "attn_rel_b" },
            norm: keys.rms_norm()?,
            norms: NormNames { output: Some("enc.output_norm"), ..NormNames::pre() },
            activation,
            mask: keys.full_mask()?,
        })?;
        let names = LayerNames { prefix: "enc.blk", attention_output: "attn_o" };
        // Its sentence models all have a product after pooling.
        let dense_heads = Heads { names: &["dense_2"], expected: true };
        Ok(Config { attention_scale: 1.0, names, dense_heads, ..network })
    },
};
