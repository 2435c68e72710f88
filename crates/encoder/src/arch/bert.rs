//! BERT and what shares its network: MiniLM, BGE, E5, GTE (Devlin et al. 2018), RoBERTa and XLM-R, whose files hold
//! no rows for the positions that those models never use.
//!
//! Post-norm, learned positions, token types, exact GELU. llama.cpp computes the tanh form; the authors'
//! models have the exact one, and so have we.

use super::Architecture;
use crate::config::{Activation, Config, NormNames, Positions};
use crate::network::Network;

pub(super) const BERT: Architecture = Architecture {
    name: "bert",
    describe: |keys| {
        let network = keys.network(Network {
            positions: Positions::Learned,
            norm: keys.layer_norm()?,
            norms: NormNames::post(),
            activation: Activation::GeluErf,
            mask: keys.causal_or(false)?,
        })?;
        Ok(Config { token_types: true, ..network })
    },
};
