//! A mixture of experts: each row goes through the few networks that a router picks for it.
//!
//! Rows are gathered expert by expert, so that an expert's weights meet all its rows in one product. A row's result
//! is the sum over its experts in their order, whatever other rows they have: the same bits in any batch.

use std::ops::Range;

use kernels::{Aligned, Ending, RowsMut, linear};

use crate::block::Block;
use crate::layer_weights::Network;
use crate::profile::Work;
use crate::workspace::Workspace;

/// Scratch of the mixture.
#[derive(Debug, Default)]
pub(crate) struct ExpertRows {
    /// Rows of a block x experts: how much of each expert's result a row takes, 0 where it is not picked.
    shares: Vec<f32>,
    /// Which rows of the block an expert gets.
    picked: Vec<usize>,
    /// Those rows, then what the expert makes of them.
    rows: Aligned<f32>,
    /// What all experts together make of the block's rows.
    mixed: Aligned<f32>,
}

impl Block<'_> {
    /// The mixture for some rows: reads `workspace.activations`, and the rows that those were made of; leaves the
    /// branch as a product would.
    pub(crate) fn mix(
        &self,
        router: &kernels::Weights,
        experts: &[Network],
        rows: Range<usize>,
        workspace: &mut Workspace,
    ) {
        let Self { on, config, weights, .. } = *self;
        let (dim, count) = (config.dim, rows.len());
        let values = rows.start * dim..rows.end * dim;
        let mut scratch = std::mem::take(&mut workspace.experts);
        self.route(router, count, &mut scratch.shares, workspace);
        scratch.mixed.resize(count * dim);
        scratch.mixed.fill(0.0);
        for (index, network) in experts.iter().enumerate() {
            let share = |row: usize| scratch.shares[row * experts.len() + index];
            // A share that is no number must reach the vector, where it is refused.
            scratch.picked.clear();
            scratch.picked.extend((0..count).filter(|&row| share(row) != 0.0));
            if scratch.picked.is_empty() {
                continue;
            }
            scratch.rows.resize(scratch.picked.len() * dim);
            // What a branch reads stands in its rows if a norm made it, else in the residual.
            let source = match weights.feed_forward_norms.before {
                Some(_) => &workspace.branch[values.clone()],
                None => &workspace.residual[values.clone()],
            };
            for (to, &row) in scratch.rows.chunks_exact_mut(dim).zip(&scratch.picked) {
                to.copy_from_slice(&source[row * dim..][..dim]);
            }
            workspace.activations.fill_from(on.kernels, on.team, network.up.layout(), &scratch.rows, dim);
            workspace.profile.lap(Work::Rows);
            self.inner(network, scratch.picked.len(), workspace);
            let mut out = RowsMut::new(&mut scratch.rows, dim);
            linear(on.kernels, on.team, &workspace.activations, &network.down, Ending::Write, &mut out);
            workspace.profile.count(network.down.macs() * scratch.picked.len() as u64);
            workspace.profile.lap(Work::Products);
            for (from, &row) in scratch.rows.chunks_exact_mut(dim).zip(&scratch.picked) {
                (on.kernels.scale)(from, share(row));
                (on.kernels.add)(&mut scratch.mixed[row * dim..][..dim], from);
            }
        }
        match weights.feed_forward_norms.come_between() {
            true => workspace.branch[values].copy_from_slice(&scratch.mixed),
            false => (on.kernels.add)(&mut workspace.residual[values], &scratch.mixed),
        }
        workspace.experts = scratch;
        workspace.profile.lap(Work::Rows);
    }

    /// Each row's share of each expert: softmax over all experts, of which the largest few stay. Of equal ones the
    /// first is taken.
    fn route(
        &self,
        router: &kernels::Weights,
        rows: usize,
        shares: &mut Vec<f32>,
        workspace: &mut Workspace,
    ) {
        let Self { on, config, .. } = *self;
        let count = router.outputs();
        shares.clear();
        shares.resize(rows * count, 0.0);
        let mut out = RowsMut::new(shares, count);
        linear(on.kernels, on.team, &workspace.activations, router, Ending::Write, &mut out);
        workspace.profile.count(router.macs() * rows as u64);
        let used = config.feed_forward.experts.map_or(count, |experts| experts.used);
        for row in shares.chunks_exact_mut(count) {
            (on.kernels.softmax)(row);
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            for &left_out in &order[used.min(count)..] {
                row[left_out] = 0.0;
            }
        }
        workspace.profile.lap(Work::Products);
    }
}
