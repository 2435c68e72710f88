//! The weights of norms.

use kernels::Kernels;

use crate::config::{BlockNorms, Config, Norm};
use crate::error::Error;
use crate::tensors::Tensors;

/// The norms around one branch.
pub(crate) struct BranchNorms {
    pub(crate) before: Option<NormWeights>,
    pub(crate) after: Option<NormWeights>,
    pub(crate) after_sum: Option<NormWeights>,
    pub(crate) after_residual: Option<NormWeights>,
}

impl BranchNorms {
    /// Whether something comes between the branch's product and the residual.
    pub(crate) fn come_between(&self) -> bool {
        self.after.is_some() || self.after_sum.is_some()
    }

    /// Those of a layer.
    pub(crate) fn load(
        tensors: &Tensors<'_>,
        config: &Config,
        layer: usize,
        names: &BlockNorms,
    ) -> Result<Self, Error> {
        let load = |name: Option<&str>| {
            name.map(|name| {
                NormWeights::load(tensors, config.norm, &config.names.tensor(layer, name), config.dim)
            })
            .transpose()
        };
        Ok(Self {
            before: load(names.before)?,
            after: load(names.after)?,
            after_sum: load(names.after_sum)?,
            after_residual: load(names.after_residual)?,
        })
    }
}

/// The weights of one norm.
pub(crate) struct NormWeights {
    norm: Norm,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl NormWeights {
    /// Values that are normalised together.
    pub(crate) fn width(&self) -> usize {
        self.weight.len()
    }

    /// Normalises one row, in place.
    pub(crate) fn apply(&self, kernels: &Kernels, row: &mut [f32]) {
        match self.norm {
            Norm::Layer { eps } => (kernels.layer_norm)(row, &self.weight, &self.bias, eps),
            Norm::Rms { eps } => (kernels.rms_norm)(row, &self.weight, eps),
        }
    }

    /// Normalises one row into another.
    pub(crate) fn apply_to(&self, kernels: &Kernels, row: &[f32], out: &mut [f32]) {
        match self.norm {
            Norm::Layer { eps } => (kernels.layer_norm_to)(row, &self.weight, &self.bias, eps, out),
            Norm::Rms { eps } => (kernels.rms_norm_to)(row, &self.weight, eps, out),
        }
    }

    pub(crate) fn load(tensors: &Tensors<'_>, norm: Norm, stem: &str, dim: usize) -> Result<Self, Error> {
        let weight = tensors.vector(&format!("{stem}.weight"), dim)?;
        let bias = match norm {
            Norm::Layer { .. } => tensors.vector_if_any(&format!("{stem}.bias"), dim)?,
            Norm::Rms { .. } => Vec::new(),
        };
        Ok(Self { norm, weight, bias })
    }
}
