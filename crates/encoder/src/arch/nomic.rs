//! Nomic's BERTs (Nussbaum et al. 2024, 2025): nomic-embed-text v1 and v1.5, and v2 with a mixture of experts.
//!
//! Post-norm, RoPE, SwiGLU without biases. v2 has biases and plain GELU, and in every second layer eight networks of
//! which a router picks two, whose shares do not sum to 1. Source: the authors' modeling_hf_nomic_bert.py.

use super::Architecture;
use super::bert::POOLER;
use crate::config::{Activation, Config, Experts, NormNames, Positions};
use crate::error::Error;
use crate::keys::Keys;
use crate::network::Network;
use crate::pooling::Pooling;
use crate::rope::Pairs;

pub(super) const NOMIC_BERT: Architecture =
    Architecture { name: "nomic-bert", describe: |keys| nomic(keys, Activation::GatedSilu) };

pub(super) const NOMIC_BERT_MOE: Architecture = Architecture {
    name: "nomic-bert-moe",
    describe: |keys| {
        let mut config = nomic(keys, Activation::GeluErf)?;
        if let Some(every) = keys.size_if_any("moe_every_n_layers")? {
            let (count, used) = (keys.size("expert_count")?, keys.size("expert_used_count")?);
            if used > count {
                return Err(keys.error("expert_used_count", format!("is {used} of {count} experts")));
            }
            config.feed_forward.experts = Some(Experts { count, used });
            // One bias for the sum of a layer's experts. llama.cpp refuses files with tensors that it does not know.
            config.lost = Some("the bias behind its experts");
            for (index, layer) in config.layers.iter_mut().enumerate() {
                layer.experts = index % every == 1;
            }
        }
        Ok(config)
    },
};

fn nomic(keys: &Keys<'_>, activation: Activation) -> Result<Config, Error> {
    let network = keys.network(Network {
        positions: Positions::Rope(vec![keys.rope(Pairs::Halves, 1000.0)?]),
        norm: keys.layer_norm()?,
        norms: NormNames::post(),
        activation,
        mask: keys.full_mask()?,
    })?;
    let scoring = keys.scoring(Pooling::Cls, POOLER)?;
    Ok(Config { token_types: true, scoring, ..network })
}
