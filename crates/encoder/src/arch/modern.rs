//! ModernBERT (Warner et al. 2024) and its kin: gte-modernbert, granite-embedding r2, mmBERT.
//!
//! Pre-norm without biases; the first layer's attention reads the normed embedding as it is. Every third layer sees
//! everything and turns by one base, the others see 64 tokens to either side and turn by another. GeGLU, exact.
//! Source: transformers' modeling_modernbert.py.

use super::Architecture;
use crate::config::{Activation, Config, DenseActivation, LayerConfig, Mask, NormNames, Positions};
use crate::keys::Global;
use crate::network::Network;
use crate::pooling::Pooling;
use crate::rope::{Pairs, Rope};

pub(super) const MODERN_BERT: Architecture = Architecture {
    name: "modern-bert",
    describe: |keys| {
        let global = keys.rope(Pairs::Halves, 160_000.0)?;
        let base = f64::from(keys.float_or("rope.freq_base_swa", 10_000.0)?);
        let local = Rope { base, scale: 1.0, yarn: None, ..global.clone() };
        let activation = match keys.text("hidden_activation")? {
            None | Some("gelu") => Activation::GatedGeluErf,
            Some("silu") => Activation::GatedSilu,
            Some(other) => {
                let what = format!("is `{other}`; models of this architecture have `gelu` or `silu`");
                return Err(keys.error("hidden_activation", what));
            }
        };
        let network = keys.network(Network {
            positions: Positions::Rope(vec![global, local]),
            norm: keys.layer_norm()?,
            norms: NormNames { embedding: Some("token_embd_norm"), ..NormNames::pre() },
            activation,
            mask: keys.full_mask()?,
        })?;
        let layers = network.layers.len();
        let windowed = keys.windowed_layers("attention.sliding_window_pattern", layers, 3, Global::First)?;
        let window = Mask::SymmetricWindow { width: keys.size("attention.sliding_window")? };
        let layer = |(index, windowed)| LayerConfig {
            rope: usize::from(windowed),
            bare_attention: index == 0,
            ..LayerConfig::seeing(if windowed { window } else { Mask::Full })
        };
        let dense = (DenseActivation::GeluErf, "the dense layer with GELU and norm before its outputs");
        let scoring = keys.scoring(Pooling::Mean, Some(dense))?;
        Ok(Config { scoring, layers: windowed.into_iter().enumerate().map(layer).collect(), ..network })
    },
};
