//! The one block that every architecture is made of.

use std::ops::Range;

use kernels::{Ending, Layout, RopeTable, RowsMut, linear, linear_part};
use threads::Chunks;

use crate::attention::{Attention, Queries, Runs};
use crate::compute::Compute;
use crate::config::{Activation, Config, LayerConfig, Positions};
use crate::distance_bias::BiasTable;
use crate::layer_weights::{FeedForwardWeights, LayerWeights, Network};
use crate::norm_weights::{BranchNorms, NormWeights};
use crate::profile::Work;
use crate::rope::Rotation;
use crate::workspace::{ROW_BLOCK, Workspace};

/// What a block reads beside its weights.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) on: Compute<'a>,
    pub(crate) config: &'a Config,
    pub(crate) layer: &'a LayerConfig,
    pub(crate) weights: &'a LayerWeights,
}

/// Normalises every row, or every head where the norm is of heads, in place.
pub(crate) fn normalise(on: Compute<'_>, norm: &Option<NormWeights>, rows: &mut [f32]) {
    if let Some(norm) = norm {
        for row in rows.chunks_exact_mut(norm.width()) {
            norm.apply(on.kernels, row);
        }
    }
}

/// Between two branches: what the one gave (`leaving`, in `workspace.branch` unless the residual has it
/// already) joins the residual, and what the next reads is made of the residual and packed for its product.
///
/// `workspace.residual[rows]` in and out, `workspace.activations` out.
pub(crate) fn turn(
    on: Compute<'_>,
    leaving: Option<&BranchNorms>,
    entering: &BranchNorms,
    layout: Layout,
    dim: usize,
    rows: Range<usize>,
    workspace: &mut Workspace,
) {
    let each = on.team.rows_a_part(rows.len());
    let values = rows.start * dim..rows.end * dim;
    let pieces = (
        Chunks::new(&mut workspace.residual[values.clone()], each * dim),
        Chunks::new(&mut workspace.branch[values], each * dim),
    );
    let shape = (layout, rows.len(), dim);
    workspace.activations.fill(on.kernels, on.team, shape, pieces, |_, slots, (residual, branch)| {
        let rows = residual.chunks_exact_mut(dim).zip(branch.chunks_exact_mut(dim));
        for (index, (residual, branch)) in rows.enumerate() {
            if let Some(norms) = leaving {
                leave(on, norms, residual, branch);
            }
            match &entering.before {
                None => slots.set(index, residual),
                Some(norm) => {
                    norm.apply_to(on.kernels, residual, branch);
                    slots.set(index, branch);
                }
            }
        }
    });
    workspace.profile.lap(Work::Rows);
}

/// The last turn: what the last branch gave joins the residual.
pub(crate) fn turn_out(
    on: Compute<'_>,
    leaving: &BranchNorms,
    dim: usize,
    rows: usize,
    workspace: &mut Workspace,
) {
    let each = on.team.rows_a_part(rows) * dim;
    let pieces = (
        Chunks::new(&mut workspace.residual[..rows * dim], each),
        Chunks::new(&mut workspace.branch[..rows * dim], each),
    );
    on.team.for_each(pieces, |_, (residual, branch)| {
        for (residual, branch) in residual.chunks_exact_mut(dim).zip(branch.chunks_exact_mut(dim)) {
            leave(on, leaving, residual, branch);
        }
    });
    workspace.profile.lap(Work::Rows);
}

/// One row of a branch joins its row of the residual.
fn leave(on: Compute<'_>, norms: &BranchNorms, residual: &mut [f32], branch: &mut [f32]) {
    // Without a norm in between, the product's ending has added it already.
    if let Some(norm) = &norms.after {
        norm.apply(on.kernels, branch);
        (on.kernels.add)(residual, branch);
    }
    if let Some(norm) = &norms.after_sum {
        (on.kernels.add)(branch, residual);
        norm.apply(on.kernels, branch);
        (on.kernels.add)(residual, branch);
    }
    if let Some(norm) = &norms.after_residual {
        norm.apply(on.kernels, residual);
    }
}

/// The product that ends a branch: into `workspace.branch`, or straight into the residual where nothing
/// comes between. Reads `workspace.activations`.
fn end_branch(
    on: Compute<'_>,
    norms: &BranchNorms,
    weights: &kernels::Weights,
    rows: Range<usize>,
    workspace: &mut Workspace,
) {
    let (target, ending) = match norms.come_between() {
        true => (&mut workspace.branch, Ending::Write),
        false => (&mut workspace.residual, Ending::Add),
    };
    let width = weights.outputs();
    let out = &mut target[rows.start * width..rows.end * width];
    linear(on.kernels, on.team, &workspace.activations, weights, ending, &mut RowsMut::new(out, width));
    workspace.profile.count(weights.macs() * rows.len() as u64);
    workspace.profile.lap(Work::Products);
}

impl Block<'_> {
    /// Attention over all rows. Reads `workspace.activations` (what [`turn`] made of the residual), and leaves
    /// the branch where [`end_branch`] says.
    pub(crate) fn attention(&self, runs: &Runs, workspace: &mut Workspace) {
        let Self { on, config, weights, .. } = *self;
        let width = weights.qkv.outputs();
        let rows = workspace.activations.count();
        let mut out = RowsMut::new(&mut workspace.qkv[..rows * width], width);
        linear(on.kernels, on.team, &workspace.activations, &weights.qkv, Ending::Write, &mut out);
        workspace.profile.count(weights.qkv.macs() * rows as u64);
        workspace.profile.lap(Work::Products);
        self.prepare_heads(config.heads, workspace);
        let qkv = &workspace.qkv[..rows * width];
        let attended = &mut workspace.attended[..rows * config.heads * config.head_dim];
        let queries = Queries { data: qkv, stride: width };
        self.scores(runs, &workspace.biases).attend(qkv, queries, &mut workspace.attention, attended);
        self.end_attention(rows, workspace);
    }

    /// Attention of one query a sequence, over the keys and values of all rows: the last layer, where pooling
    /// takes one row of each. From here on the workspace has only those rows.
    pub(crate) fn attention_of_one_each(&self, runs: &Runs, workspace: &mut Workspace) {
        let Self { on, config, weights, .. } = *self;
        let (dim, width) = (config.dim, weights.qkv.outputs());
        let query_width = config.heads * config.head_dim;
        let rows = workspace.activations.count();
        // Panels that hold the end of the queries and the beginning of the keys are computed whole.
        let first = query_width - query_width % kernels::PANEL;
        let mut out = RowsMut::strided(&mut workspace.qkv[first..], rows, width - first, width);
        let outputs = first..width;
        let (x, w) = (&workspace.activations, &weights.qkv);
        linear_part(on.kernels, on.team, x, w, outputs.clone(), Ending::Write, &mut out);
        workspace.profile.count((outputs.len() * dim * rows) as u64);
        workspace.profile.lap(Work::Products);
        self.prepare_heads(0, workspace);

        let mut count = 0;
        for row in runs.rows() {
            workspace.residual.copy_within(row * dim..(row + 1) * dim, count * dim);
            count += 1;
        }
        turn(on, None, &weights.attention_norms, weights.qkv.layout(), dim, 0..count, workspace);
        let padded = query_width.next_multiple_of(kernels::PANEL).min(width);
        workspace.picked.resize(count * padded);
        let mut out = RowsMut::new(&mut workspace.picked, padded);
        linear_part(
            on.kernels,
            on.team,
            &workspace.activations,
            &weights.qkv,
            0..padded,
            Ending::Write,
            &mut out,
        );
        workspace.profile.count((padded * dim * count) as u64);
        workspace.profile.lap(Work::Products);
        for (row, position) in workspace.picked.chunks_exact_mut(padded).zip(runs.positions()) {
            let ropes = &workspace.ropes;
            self.prepare_row(&mut row[..query_width], &mut [], position, ropes);
        }

        let qkv = &workspace.qkv[..rows * width];
        let attended = &mut workspace.attended[..count * query_width];
        let queries = Queries { data: &workspace.picked, stride: padded };
        self.scores(runs, &workspace.biases).attend(qkv, queries, &mut workspace.attention, attended);
        self.end_attention(count, workspace);
    }

    fn scores<'a>(&'a self, runs: &'a Runs, biases: &'a [BiasTable]) -> Attention<'a> {
        let Self { on, config, layer, weights } = *self;
        let bias = weights.bias.map(|index| &biases[index]);
        Attention { on, config, mask: layer.mask, layout: weights.qkv.layout(), runs, bias }
    }

    /// The product behind attention.
    fn end_attention(&self, rows: usize, workspace: &mut Workspace) {
        let Self { on, config, weights, .. } = *self;
        let width = config.heads * config.head_dim;
        workspace.profile.lap(Work::Attention);
        let attended = &workspace.attended[..rows * width];
        let layout = weights.attention_output.layout();
        workspace.activations.fill_from(on.kernels, on.team, layout, attended, width);
        workspace.profile.lap(Work::Rows);
        end_branch(on, &weights.attention_norms, &weights.attention_output, 0..rows, workspace);
    }

    /// Norm, rotation and scale of the first `heads` query heads and of all key heads, in `workspace.qkv`.
    fn prepare_heads(&self, heads: usize, workspace: &mut Workspace) {
        let Self { on, config, .. } = *self;
        let width = self.weights.qkv.outputs();
        let query_width = config.heads * config.head_dim;
        let key_width = config.kv_heads * config.head_dim;
        let (ropes, positions) = (&workspace.ropes, &workspace.positions);
        let rows = positions.len();
        let each = on.team.rows_a_part(rows);
        on.team.for_each(Chunks::new(&mut workspace.qkv[..rows * width], each * width), |part, qkv| {
            for (row, &position) in qkv.chunks_exact_mut(width).zip(&positions[part * each..]) {
                let (queries, rest) = row.split_at_mut(query_width);
                let queries = &mut queries[..heads * config.head_dim];
                self.prepare_row(queries, &mut rest[..key_width], position, ropes);
            }
        });
    }

    /// One row's query and key heads.
    fn prepare_row(
        &self,
        queries: &mut [f32],
        keys: &mut [f32],
        position: usize,
        ropes: &[(Rotation, RopeTable)],
    ) {
        let Self { on, config, layer, weights } = *self;
        normalise(on, &weights.query_norm, queries);
        normalise(on, &weights.key_norm, keys);
        if let Positions::Rope(_) = config.positions {
            let (cos, sin) = ropes[layer.rope].1.at(position);
            let heads = queries.chunks_exact_mut(config.head_dim);
            for head in heads.chain(keys.chunks_exact_mut(config.head_dim)) {
                (on.kernels.rope)(head, cos, sin);
            }
        }
        (on.kernels.scale)(queries, config.attention_scale);
    }

    /// The feed-forward network on the first `rows` rows, with the turn from attention before it, a block of
    /// rows at a time. Leaves the branch where [`end_branch`] says.
    pub(crate) fn feed_forward(&self, rows: usize, workspace: &mut Workspace) {
        let Self { on, config, weights, .. } = *self;
        let (leaving, entering) = (&weights.attention_norms, &weights.feed_forward_norms);
        for first in (0..rows).step_by(ROW_BLOCK) {
            let rows = first..(first + ROW_BLOCK).min(rows);
            let layout = weights.feed_forward.layout();
            turn(on, Some(leaving), entering, layout, config.dim, rows.clone(), workspace);
            match &weights.feed_forward {
                FeedForwardWeights::Dense(network) => {
                    self.inner(network, rows.len(), workspace);
                    end_branch(on, entering, &network.down, rows, workspace);
                }
                FeedForwardWeights::Experts { router, experts } => {
                    self.mix(router, experts, rows, workspace);
                }
            }
        }
    }

    /// The inner rows of a network, as the activations of its second matrix. Reads `workspace.activations`.
    pub(crate) fn inner(&self, network: &Network, rows: usize, workspace: &mut Workspace) {
        let Self { on, config, .. } = *self;
        let width = config.feed_forward.dim;
        let ending = match config.feed_forward.activation {
            Activation::GeluErf => Ending::Activate(on.kernels.gelu_erf),
            Activation::Relu => Ending::Activate(on.kernels.relu),
            Activation::GatedGeluErf => Ending::Gate(on.kernels.gated_gelu_erf),
            Activation::GatedGeluTanh => Ending::Gate(on.kernels.gated_gelu_tanh),
            Activation::GatedSilu => Ending::Gate(on.kernels.gated_silu),
        };
        let inner = &mut workspace.inner[..rows * width];
        let mut out = RowsMut::new(inner, width);
        linear(on.kernels, on.team, &workspace.activations, &network.up, ending, &mut out);
        workspace.profile.count(network.up.macs() * rows as u64);
        workspace.profile.lap(Work::Products);
        workspace.activations.fill_from(on.kernels, on.team, network.down.layout(), inner, width);
        workspace.profile.lap(Work::Rows);
    }
}
