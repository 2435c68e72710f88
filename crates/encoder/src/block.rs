//! The one block that every architecture is made of.

use kernels::{Kernels, Quantized, Rows, RowsMut};

use crate::attention::{Scratch, attend};
use crate::batch::Batch;
use crate::config::{Activation, Config, LayerConfig, Positions};
use crate::weights::{BranchNorms, LayerWeights, Linear, NormWeights};
use crate::workspace::{ROW_BLOCK, Workspace};

/// Passes a batch through one layer: `workspace.residual` in and out.
pub(crate) fn run(
    kernels: &Kernels,
    config: &Config,
    layer: &LayerConfig,
    weights: &LayerWeights,
    batch: &Batch,
    workspace: &mut Workspace,
) {
    let dim = config.dim;
    branch_input(kernels, &weights.attention_norms, &workspace.residual, &mut workspace.branch, dim);
    attention(kernels, config, layer, weights, batch, workspace);
    add_branch(kernels, &weights.attention_norms, &mut workspace.branch, &mut workspace.residual, dim);

    branch_input(kernels, &weights.feed_forward_norms, &workspace.residual, &mut workspace.branch, dim);
    for rows in workspace.branch.chunks_mut(ROW_BLOCK * dim) {
        feed_forward(kernels, config, weights, rows, &mut workspace.inner, &mut workspace.quantized);
    }
    add_branch(kernels, &weights.feed_forward_norms, &mut workspace.branch, &mut workspace.residual, dim);
}

/// `x w^T + bias` into `out`, which is rows back to back.
fn linear(kernels: &Kernels, linear: &Linear, x: Rows<'_>, scratch: &mut Quantized, out: &mut [f32]) {
    let mut out = RowsMut::new(out, linear.weight.outputs());
    kernels::linear(kernels, x, &linear.weight, scratch, &mut out);
    if !linear.bias.is_empty() {
        for row in 0..out.count() {
            (kernels.add)(out.row(row), &linear.bias);
        }
    }
}

/// Normalises every row, in place.
pub(crate) fn normalise(kernels: &Kernels, norm: &Option<NormWeights>, rows: &mut [f32], dim: usize) {
    if let Some(norm) = norm {
        for row in rows.chunks_exact_mut(dim) {
            norm.apply(kernels, row);
        }
    }
}

fn branch_input(kernels: &Kernels, norms: &BranchNorms, residual: &[f32], branch: &mut [f32], dim: usize) {
    branch.copy_from_slice(residual);
    normalise(kernels, &norms.before, branch, dim);
}

fn add_branch(kernels: &Kernels, norms: &BranchNorms, branch: &mut [f32], residual: &mut [f32], dim: usize) {
    normalise(kernels, &norms.after, branch, dim);
    (kernels.add)(residual, branch);
    normalise(kernels, &norms.after_residual, residual, dim);
}

/// `workspace.branch` in and out.
fn attention(
    kernels: &Kernels,
    config: &Config,
    layer: &LayerConfig,
    weights: &LayerWeights,
    batch: &Batch,
    workspace: &mut Workspace,
) {
    let x = Rows::new(&workspace.branch, config.dim);
    linear(kernels, &weights.qkv, x, &mut workspace.quantized, &mut workspace.qkv);
    let queries = config.heads * config.head_dim;
    let width = queries + 2 * config.kv_heads * config.head_dim;
    for sequence in batch.sequences() {
        let qkv = &mut workspace.qkv[sequence.start * width..sequence.end * width];
        for (position, row) in qkv.chunks_exact_mut(width).enumerate() {
            let (query_heads, rest) = row.split_at_mut(queries);
            let key_heads = &mut rest[..config.kv_heads * config.head_dim];
            normalise(kernels, &weights.query_norm, query_heads, config.head_dim);
            normalise(kernels, &weights.key_norm, key_heads, config.head_dim);
            if let Positions::Rope(_) = config.positions {
                let (cos, sin) = workspace.ropes[layer.rope].1.at(position);
                for head in query_heads
                    .chunks_exact_mut(config.head_dim)
                    .chain(key_heads.chunks_exact_mut(config.head_dim))
                {
                    (kernels.rope)(head, cos, sin);
                }
            }
            (kernels.scale)(query_heads, config.attention_scale);
        }
        let out = &mut workspace.attended[sequence.start * queries..sequence.end * queries];
        let mut scratch = Scratch {
            scores: &mut workspace.scores,
            keys: &mut workspace.keys,
            values: &mut workspace.values,
        };
        attend(kernels, config, layer.mask, qkv, out, &mut scratch);
    }
    let x = Rows::new(&workspace.attended, queries);
    linear(kernels, &weights.attention_output, x, &mut workspace.quantized, &mut workspace.branch);
}

/// A block of rows, in and out; `inner` and `scratch` are scratch.
fn feed_forward(
    kernels: &Kernels,
    config: &Config,
    weights: &LayerWeights,
    rows: &mut [f32],
    inner: &mut [f32],
    scratch: &mut Quantized,
) {
    let count = rows.len() / config.dim;
    let width = config.feed_forward.dim;
    match config.feed_forward.activation {
        Activation::GeluErf => {
            let inner = &mut inner[..count * width];
            linear(kernels, &weights.up, Rows::new(rows, config.dim), scratch, inner);
            (kernels.gelu_erf)(inner);
            linear(kernels, &weights.down, Rows::new(inner, width), scratch, rows);
        }
        Activation::GatedGeluTanh => {
            let inner = &mut inner[..count * 2 * width];
            linear(kernels, &weights.up, Rows::new(rows, config.dim), scratch, inner);
            for row in inner.chunks_exact_mut(2 * width) {
                let (gate, up) = row.split_at_mut(width);
                (kernels.gated_gelu_tanh)(gate, up);
            }
            // The products stand in the second half of every row; `down` reads them where they are.
            let x = Rows::strided(&inner[width..], count, width, 2 * width);
            linear(kernels, &weights.down, x, scratch, rows);
        }
    }
}
