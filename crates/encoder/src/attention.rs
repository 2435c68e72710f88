//! Attention within each sequence of a batch.

use std::ops::Range;
use std::sync::{Mutex, PoisonError, TryLockError};

use kernels::{
    Activations, Aligned, Layout, Outliers, PANEL, PanelStore, Panels, Rows, RowsMut, first_input_step,
    matmul,
};
use threads::Chunks;

use crate::compute::Compute;
use crate::config::{Config, Mask};
use crate::distance_bias::BiasTable;
use crate::workspace::QUERY_BLOCK;

/// The fewest queries a run has where threads share a sequence: fewer are not worth another thread.
const FEWEST_SHARED: usize = 6;

/// The most tokens whose values are mixed in f32 where there are integers around (docs/KERNELS.md).
const FEW_TOKENS: usize = 32;

/// Queries of one sequence that attend together.
#[derive(Debug, Clone)]
pub(crate) struct QueryRun {
    /// Which sequence of the batch.
    sequence: usize,
    /// The first query's position in its sequence.
    position: usize,
    /// The first query's row among all queries.
    row: usize,
    /// How many.
    count: usize,
}

/// What attends to what: runs of queries over the sequences of a batch.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    sequences: Vec<Range<usize>>,
    runs: Vec<QueryRun>,
}

impl Runs {
    /// Every row is a query. A sequence's runs are about as long as each other, and where there are fewer sequences than
    /// `threads`, each has runs for all of them, if it is long enough. A query's bits do not depend on the others of its
    /// run, as long as all values are finite: one that is not shows in every query whose run sees its block.
    pub(crate) fn all(sequences: impl Iterator<Item = Range<usize>>, threads: usize) -> Self {
        let sequences: Vec<Range<usize>> = sequences.collect();
        let sharing = if sequences.len() < threads { threads } else { 1 };
        let mut runs = Vec::new();
        for (sequence, rows) in sequences.iter().enumerate() {
            let tokens = rows.len();
            let fewest = tokens.div_ceil(QUERY_BLOCK);
            let parts = fewest.next_multiple_of(sharing).min(tokens / FEWEST_SHARED).max(fewest);
            for part in 0..parts {
                let (position, end) = (tokens * part / parts, tokens * (part + 1) / parts);
                let count = end - position;
                runs.push(QueryRun { sequence, position, row: rows.start + position, count });
            }
        }
        Self { sequences, runs }
    }

    /// One query a sequence: the row of the batch that `of` picks, which must be in it.
    pub(crate) fn one_each(
        sequences: impl Iterator<Item = Range<usize>>,
        of: impl Fn(&Range<usize>) -> usize,
    ) -> Self {
        let sequences: Vec<Range<usize>> = sequences.collect();
        let run = |(sequence, rows): (usize, &Range<usize>)| QueryRun {
            sequence,
            position: of(rows) - rows.start,
            row: sequence,
            count: 1,
        };
        let runs = sequences.iter().enumerate().map(run).collect();
        Self { sequences, runs }
    }

    /// Positions of the queries, in their order.
    pub(crate) fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.runs.iter().flat_map(|run| run.position..run.position + run.count)
    }

    /// Rows of the batch that the queries are.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let start = |run: &QueryRun| self.sequences[run.sequence].start + run.position;
        self.runs.iter().flat_map(move |run| start(run)..start(run) + run.count)
    }
}

/// Keys and values of a batch as panels of the matrix product, and scratch of whoever attends.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    keys: PanelStore,
    values: PanelStore,
    /// Of sequences that mix them in f32 where the layout is another.
    few_values: PanelStore,
    /// As many as threads may attend at once.
    seats: Vec<Mutex<Seat>>,
}

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Seat {
    scores: Aligned<f32>,
    /// Queries, then weights of the values.
    activations: Activations,
    /// Of the weights.
    outliers: Outliers,
}

impl Scratch {
    /// Packs keys and values, a matrix a sequence and key head. `qkv` is `tokens x (heads, kv_heads, kv_heads) x
    /// head_dim`.
    fn pack(&mut self, on: Compute<'_>, config: &Config, layout: Layout, qkv: &[f32], runs: &Runs) {
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let stride = (heads + 2 * kv_heads) * head_dim;
        let lengths = || {
            let lengths = runs.sequences.iter().map(|sequence| sequence.len());
            lengths.flat_map(|length| std::iter::repeat_n(length, kv_heads))
        };
        let rows = |index: usize, head: usize| {
            let sequence = &runs.sequences[index / kv_heads];
            let at = sequence.start * stride + (head + index % kv_heads) * head_dim;
            Rows::strided(&qkv[at..], sequence.len(), head_dim, stride)
        };
        let keys = lengths().map(|length| (length, head_dim));
        self.keys.pack(on.kernels, on.team, layout, keys, |index, slots| slots.pack_rows(rows(index, heads)));
        let lists = [(&mut self.values, layout), (&mut self.few_values, Layout::F32)];
        // Without integers the first has all.
        for (values, mixed) in lists.into_iter().take(if layout == Layout::I16 { 2 } else { 1 }) {
            let is_mixed = |length: usize| mix_layout(layout, length) == mixed;
            if !lengths().any(is_mixed) {
                continue;
            }
            let shapes = lengths().map(|length| if is_mixed(length) { (head_dim, length) } else { (0, 0) });
            values.pack(on.kernels, on.team, mixed, shapes, |index, slots| {
                if is_mixed(runs.sequences[index / kv_heads].len()) {
                    slots.pack_columns(rows(index, heads + kv_heads));
                }
            });
        }
    }

    /// Values of a key head of a sequence.
    fn values(&self, layout: Layout, tokens: usize, index: usize) -> Panels<'_> {
        let store = if mix_layout(layout, tokens) == layout { &self.values } else { &self.few_values };
        store.get(index)
    }

    /// Lends a seat that nobody has.
    fn with_seat<R>(&self, work: impl FnOnce(&mut Seat) -> R) -> R {
        for seat in &self.seats {
            match seat.try_lock() {
                Ok(mut seat) => return work(&mut seat),
                Err(TryLockError::Poisoned(seat)) => return work(&mut seat.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        // There are as many as threads of the team, so this is never reached; it would be right, too.
        work(&mut self.seats[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Queries as rows, scaled already: `data` begins at the first query's first head.
#[derive(Clone, Copy)]
pub(crate) struct Queries<'a> {
    pub(crate) data: &'a [f32],
    /// From one query to the next.
    pub(crate) stride: usize,
}

/// What attends: how, to what, and what of it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub(crate) on: Compute<'a>,
    pub(crate) config: &'a Config,
    pub(crate) mask: Mask,
    /// In which the products are computed: that of the weights around them.
    pub(crate) layout: Layout,
    pub(crate) runs: &'a Runs,
    /// What distances add to scores.
    pub(crate) bias: Option<&'a BiasTable>,
}

impl Attention<'_> {
    /// `out = softmax(q k^T + bias + mask) v` for every head of every run of queries.
    ///
    /// `qkv` is `tokens x (heads, kv_heads, kv_heads) x head_dim`; `out` is `queries x heads x head_dim`. Keys and
    /// values serve as packed weights of the matrix product; a run of queries reads only the panels of keys that
    /// its mask can show, and the heads of a group share them.
    pub(crate) fn attend(&self, qkv: &[f32], queries: Queries<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        let Self { on, config, runs, .. } = *self;
        scratch.pack(on, config, self.layout, qkv, runs);
        scratch.seats.resize_with(on.team.threads().max(scratch.seats.len()), Mutex::default);
        let width = config.heads * config.head_dim;
        let ends: Vec<usize> = runs.runs.iter().map(|run| (run.row + run.count) * width).collect();
        let scratch = &*scratch;
        on.team.for_each(Chunks::ending_at(out, &ends), |index, out| {
            let run = &runs.runs[index];
            scratch.with_seat(|seat| self.attend_run(run, qkv, queries, scratch, seat, out));
        });
    }

    /// One run of queries; `out` is its rows.
    fn attend_run(
        &self,
        run: &QueryRun,
        qkv: &[f32],
        queries: Queries<'_>,
        scratch: &Scratch,
        seat: &mut Seat,
        out: &mut [f32],
    ) {
        let Self { on, config, mask, layout, runs, bias } = *self;
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let sequence = &runs.sequences[run.sequence];
        let tokens = sequence.len();
        let positions = run.position..run.position + run.count;
        let seen = seen_by(mask, positions.clone(), tokens);
        // Weights of the values from where a block of them begins, and for integers to where one ends; those that are not
        // seen are 0.
        let mixed = mix_layout(layout, tokens);
        let step = first_input_step(mixed);
        let first = seen.start - seen.start % step;
        let end = if mixed == Layout::I16 { seen.end.next_multiple_of(step).min(tokens) } else { seen.end };
        let width = end - first;
        let Seat { scores, activations, outliers } = seat;
        scores.resize(scores.len().max(run.count * width));
        let scores = &mut scores[..run.count * width];
        let stride = (heads + 2 * kv_heads) * head_dim;
        for head in 0..heads {
            let kv_head = head / (heads / kv_heads);
            let index = run.sequence * kv_heads + kv_head;
            let (keys, values) = (scratch.keys.get(index), scratch.values(layout, tokens, index));
            let at = run.row * queries.stride + head * head_dim;
            let rows = Rows::strided(&queries.data[at..], run.count, head_dim, queries.stride);
            activations.set(on.kernels, layout, rows);
            let filled = seen.start - first..seen.end - first;
            let mut seen_scores = RowsMut::strided(&mut scores[filled.start..], run.count, seen.len(), width);
            matmul(on.kernels, activations, keys, seen.start, 0, &mut seen_scores);
            outliers.clear();
            for (row, position) in scores.chunks_exact_mut(width).zip(positions.clone()) {
                let visible = mask.visible(position, tokens);
                let shown = visible.start - first..visible.end - first;
                row[..shown.start].fill(0.0);
                row[shown.end..].fill(0.0);
                let weights = &mut row[shown.clone()];
                if let Some(bias) = bias {
                    (on.kernels.add)(weights, bias.row(head, position, visible.start, visible.len()));
                }
                (on.kernels.softmax)(weights);
                outliers.take(on.kernels, row, shown, values, first);
            }
            activations.set_filled(on.kernels, mixed, Rows::new(scores, width), filled);
            let out = &mut out[head * head_dim..];
            let mut out_rows = RowsMut::strided(out, run.count, head_dim, heads * head_dim);
            matmul(on.kernels, activations, values, 0, first, &mut out_rows);
            let at = (sequence.start + first) * stride + (heads + kv_heads + kv_head) * head_dim;
            outliers.add_to(on.kernels, Rows::strided(&qkv[at..], width, head_dim, stride), &mut out_rows);
        }
    }
}

/// Keys that any query of a block sees, from the start of a panel on.
fn seen_by(mask: Mask, queries: Range<usize>, tokens: usize) -> Range<usize> {
    let start = mask.visible(queries.start, tokens).start;
    let end = mask.visible(queries.end - 1, tokens).end;
    start - start % PANEL..end
}

/// The layout in which a sequence's values are mixed: as integers, but few of them as f32, which is as fast and rounds less.
fn mix_layout(layout: Layout, tokens: usize) -> Layout {
    match layout {
        Layout::I16 if tokens <= FEW_TOKENS => Layout::F32,
        layout => layout,
    }
}

#[cfg(test)]
mod tests {
    use super::Runs;
    use crate::workspace::QUERY_BLOCK;

    #[test]
    fn runs_have_every_query_once_and_are_for_all_threads() {
        for threads in [1, 2, 3, 16] {
            for lengths in [vec![1], vec![13], vec![54], vec![412], vec![2048], vec![3, 100, 7], vec![11; 20]]
            {
                let mut end = 0;
                let sequences: Vec<_> = lengths
                    .iter()
                    .map(|length| {
                        end += length;
                        end - length..end
                    })
                    .collect();
                let runs = Runs::all(sequences.iter().cloned(), threads);
                assert!(runs.rows().eq(0..end), "{lengths:?}, {threads} threads");
                let positions = sequences.iter().flat_map(|rows| 0..rows.len());
                assert!(runs.positions().eq(positions), "{lengths:?}, {threads} threads");
                for (sequence, rows) in sequences.iter().enumerate() {
                    let counts: Vec<usize> = runs
                        .runs
                        .iter()
                        .filter(|run| run.sequence == sequence)
                        .map(|run| run.count)
                        .collect();
                    let (least, most) = (counts.iter().min(), counts.iter().max());
                    let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
                    assert!(most <= QUERY_BLOCK && most - least <= 1, "{lengths:?}: {counts:?}");
                    let is_shared = lengths.len() < threads && rows.len() >= 12 * threads;
                    assert!(!is_shared || counts.len().is_multiple_of(threads), "{lengths:?}: {counts:?}");
                    assert!(lengths.len() >= threads || rows.len() < 12 || counts.len() > 1, "{lengths:?}");
                }
            }
        }
    }
}
