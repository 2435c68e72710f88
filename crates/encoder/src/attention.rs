//! Attention within each sequence of a batch.

use std::ops::Range;
use std::sync::{Mutex, PoisonError, TryLockError};

use kernels::{Activations, Aligned, Layout, PANEL, PanelStore, Rows, RowsMut, first_input_step, matmul};
use threads::Chunks;

use crate::compute::Compute;
use crate::config::{Config, Mask};
use crate::distance_bias::BiasTable;
use crate::workspace::QUERY_BLOCK;

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
    /// Every row is a query.
    pub(crate) fn all(sequences: impl Iterator<Item = Range<usize>>) -> Self {
        let sequences: Vec<Range<usize>> = sequences.collect();
        let mut runs = Vec::new();
        for (sequence, rows) in sequences.iter().enumerate() {
            for position in (0..rows.len()).step_by(QUERY_BLOCK) {
                let count = QUERY_BLOCK.min(rows.len() - position);
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
    /// As many as threads may attend at once.
    seats: Vec<Mutex<Seat>>,
}

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Seat {
    scores: Aligned<f32>,
    /// Queries, then weights of the values.
    activations: Activations,
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
        let values = lengths().map(|length| (head_dim, length));
        self.values.pack(on.kernels, on.team, mix_layout(layout), values, |index, slots| {
            slots.pack_columns(rows(index, heads + kv_heads));
        });
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
            scratch.with_seat(|seat| self.attend_run(&runs.runs[index], queries, scratch, seat, out));
        });
    }

    /// One run of queries; `out` is its rows.
    fn attend_run(
        &self,
        run: &QueryRun,
        queries: Queries<'_>,
        scratch: &Scratch,
        seat: &mut Seat,
        out: &mut [f32],
    ) {
        let Self { on, config, mask, layout, runs, bias } = *self;
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let tokens = runs.sequences[run.sequence].len();
        let positions = run.position..run.position + run.count;
        let seen = seen_by(mask, positions.clone(), tokens);
        // Weights of the values from where a block of them begins; those before what is seen are 0.
        let first = seen.start - seen.start % first_input_step(mix_layout(layout));
        let width = seen.end - first;
        let Seat { scores, activations } = seat;
        scores.resize(scores.len().max(run.count * width));
        let scores = &mut scores[..run.count * width];
        for head in 0..heads {
            let index = run.sequence * kv_heads + head / (heads / kv_heads);
            let at = run.row * queries.stride + head * head_dim;
            let rows = Rows::strided(&queries.data[at..], run.count, head_dim, queries.stride);
            activations.set(on.kernels, layout, rows);
            let hidden = seen.start - first;
            let mut seen_scores = RowsMut::strided(&mut scores[hidden..], run.count, seen.len(), width);
            matmul(on.kernels, activations, scratch.keys.get(index), seen.start, 0, &mut seen_scores);
            for (row, position) in scores.chunks_exact_mut(width).zip(positions.clone()) {
                let visible = mask.visible(position, tokens);
                row[..visible.start - first].fill(0.0);
                row[visible.end - first..].fill(0.0);
                let shown = &mut row[visible.start - first..visible.end - first];
                if let Some(bias) = bias {
                    (on.kernels.add)(shown, bias.row(head, position, visible.start, visible.len()));
                }
                (on.kernels.softmax)(shown);
            }
            activations.set(on.kernels, mix_layout(layout), Rows::new(scores, width));
            let out = &mut out[head * head_dim..];
            let mut out_rows = RowsMut::strided(out, run.count, head_dim, heads * head_dim);
            matmul(on.kernels, activations, scratch.values.get(index), 0, first, &mut out_rows);
        }
    }
}

/// Keys that any query of a block sees, from the start of a panel on.
fn seen_by(mask: Mask, queries: Range<usize>, tokens: usize) -> Range<usize> {
    let start = mask.visible(queries.start, tokens).start;
    let end = mask.visible(queries.end - 1, tokens).end;
    start - start % PANEL..end
}

/// The layout in which values are mixed. Not integers: one scale for a row of weights would lose the small ones
/// beside a large one, and what they add up to, where much attention rests on one token.
fn mix_layout(layout: Layout) -> Layout {
    match layout {
        Layout::F32 | Layout::I16 => Layout::F32,
        Layout::Bf16 => Layout::Bf16,
    }
}
