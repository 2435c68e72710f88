//! From a pair's row to its scores: the heads of rerankers and classifiers.

use kernels::{Ending, Order, RowsMut, linear};

use crate::block;
use crate::compute::Compute;
use crate::config::{Config, DenseActivation, Norm, Scoring};
use crate::error::Error;
use crate::norm_weights::NormWeights;
use crate::tensors::{Outputs, Tensors};
use crate::workspace::Workspace;

/// The weights of a head.
pub(crate) struct ScoringWeights {
    dense: Option<DenseLayer>,
    output: kernels::Weights,
}

/// The layer before the outputs.
struct DenseLayer {
    weights: kernels::Weights,
    activation: DenseActivation,
    norm: Option<NormWeights>,
}

impl ScoringWeights {
    pub(crate) fn load(
        tensors: &Tensors<'_>,
        config: &Config,
        scoring: &Scoring,
        on: Compute<'_>,
    ) -> Result<Self, Error> {
        let dim = config.dim;
        let pack = |stem: &str, outputs: usize| {
            tensors.panels(on, Order::Joined, dim, &[Outputs::all(stem.to_owned(), outputs)])
        };
        let dense = match &scoring.dense {
            None => None,
            Some(dense) => {
                let norm = dense.norm.map(|stem| {
                    // The norms of a head are layer norms wherever there are any.
                    let (Norm::Layer { eps } | Norm::Rms { eps }) = config.norm;
                    NormWeights::load(tensors, Norm::Layer { eps }, stem, dim)
                });
                Some(DenseLayer {
                    weights: pack(dense.name, dim)?,
                    activation: dense.activation,
                    norm: norm.transpose()?,
                })
            }
        };
        Ok(Self { dense, output: pack(scoring.output, scoring.outputs)? })
    }

    /// Packed matrices, in the order they are loaded in.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &kernels::Weights> {
        self.dense.iter().map(|dense| &dense.weights).chain([&self.output])
    }

    /// The scores of rows, as the head gives them: logits.
    pub(crate) fn apply(&self, on: Compute<'_>, mut rows: Vec<f32>, workspace: &mut Workspace) -> Vec<f32> {
        if let Some(dense) = &self.dense {
            rows = product(on, &dense.weights, &rows, workspace);
            match dense.activation {
                DenseActivation::GeluErf => (on.kernels.gelu_erf)(&mut rows),
                DenseActivation::Tanh => rows.iter_mut().for_each(|value| *value = value.tanh()),
            }
            block::normalise(on, &dense.norm, &mut rows);
        }
        product(on, &self.output, &rows, workspace)
    }
}

/// Rows times a matrix that is read once a batch.
pub(crate) fn product(
    on: Compute<'_>,
    weights: &kernels::Weights,
    rows: &[f32],
    workspace: &mut Workspace,
) -> Vec<f32> {
    workspace.activations.fill_from(on.kernels, on.team, weights.layout(), rows, weights.inputs());
    let mut out = vec![0.0; workspace.activations.count() * weights.outputs()];
    let mut target = RowsMut::new(&mut out, weights.outputs());
    linear(on.kernels, on.team, &workspace.activations, weights, Ending::Write, &mut target);
    out
}
