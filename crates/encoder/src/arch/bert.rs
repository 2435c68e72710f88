//! BERT and what shares its network: MiniLM, BGE, E5, GTE (Devlin et al. 2018), RoBERTa and XLM-R, whose files hold
//! no rows for the positions that those models never use.
//!
//! Post-norm, learned positions, token types, exact GELU. llama.cpp computes the tanh form; the authors'
//! models have the exact one, and so have we.

use super::Architecture;
use crate::config::{Activation, Config, DenseActivation, NormNames, Positions};
use crate::network::Network;
use crate::pooling::Pooling;

/// What heads of BERT's kind have before their outputs: BERT's own by the name of pooler, which files of older converters
/// lack, RoBERTa's as a part of its classifier.
pub(super) const POOLER: Option<(DenseActivation, &str)> =
    Some((DenseActivation::Tanh, "the dense layer with tanh (BERT's pooler) before its outputs"));

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
        let scoring = keys.scoring(Pooling::Cls, POOLER)?;
        Ok(Config { token_types: true, scoring, ..network })
    },
};
