//! Attention within each sequence of a batch.

use std::ops::Range;
use std::sync::{Mutex, PoisonError, TryLockError};

use kernels::{PANEL, PanelsF32, Rows, RowsMut, matmul, pack_columns, pack_rows};
use threads::Chunks;

use crate::compute::Compute;
use crate::config::{Config, Mask};
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

/// Keys and values of a batch as panels of the matrix product, and scores of whoever attends.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    keys: Vec<f32>,
    values: Vec<f32>,
    key_ends: Vec<usize>,
    value_ends: Vec<usize>,
    /// As many as threads may attend at once.
    scores: Vec<Mutex<Vec<f32>>>,
}

impl Scratch {
    /// Packs keys and values, a piece a sequence and key head. `qkv` is `tokens x (heads, kv_heads, kv_heads) x
    /// head_dim`.
    fn pack(&mut self, on: Compute<'_>, config: &Config, qkv: &[f32], runs: &Runs) {
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let stride = (heads + 2 * kv_heads) * head_dim;
        let (mut keys, mut values) = (0, 0);
        self.key_ends.clear();
        self.value_ends.clear();
        for sequence in &runs.sequences {
            for _ in 0..kv_heads {
                keys += PanelsF32::len(sequence.len(), head_dim);
                values += PanelsF32::len(head_dim, sequence.len());
                self.key_ends.push(keys);
                self.value_ends.push(values);
            }
        }
        self.keys.resize(keys, 0.0);
        self.values.resize(values, 0.0);
        let pieces = (
            Chunks::ending_at(&mut self.keys, &self.key_ends),
            Chunks::ending_at(&mut self.values, &self.value_ends),
        );
        on.team.for_each(pieces, |index, (keys, values)| {
            let sequence = &runs.sequences[index / kv_heads];
            let tokens = sequence.len();
            let keys_at = sequence.start * stride + (heads + index % kv_heads) * head_dim;
            let values_at = keys_at + kv_heads * head_dim;
            pack_rows(Rows::strided(&qkv[keys_at..], tokens, head_dim, stride), keys);
            pack_columns(Rows::strided(&qkv[values_at..], tokens, head_dim, stride), values);
        });
    }

    fn panels(&self, of: Panels, index: usize, outputs: usize, inputs: usize) -> PanelsF32<'_> {
        let (data, ends) = match of {
            Panels::Keys => (&self.keys, &self.key_ends),
            Panels::Values => (&self.values, &self.value_ends),
        };
        let start = index.checked_sub(1).map_or(0, |before| ends[before]);
        PanelsF32 { outputs, inputs, data: &data[start..ends[index]] }
    }

    /// Lends scores that nobody uses.
    fn with_scores<R>(&self, work: impl FnOnce(&mut Vec<f32>) -> R) -> R {
        for scores in &self.scores {
            match scores.try_lock() {
                Ok(mut scores) => return work(&mut scores),
                Err(TryLockError::Poisoned(scores)) => return work(&mut scores.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        // There are as many as threads of the team, so this is never reached; it would be right, too.
        work(&mut self.scores[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Clone, Copy)]
enum Panels {
    Keys,
    Values,
}

/// Queries as rows, scaled already: `data` begins at the first query's first head.
#[derive(Clone, Copy)]
pub(crate) struct Queries<'a> {
    pub(crate) data: &'a [f32],
    /// From one query to the next.
    pub(crate) stride: usize,
}

/// `out = softmax(q k^T + mask) v` for every head of every run of queries.
///
/// `qkv` is `tokens x (heads, kv_heads, kv_heads) x head_dim`; `out` is `queries x heads x head_dim`. Keys and
/// values serve as packed weights of the matrix product; a run of queries reads only the panels of keys that
/// its mask can show, and the heads of a group share them.
pub(crate) fn attend(
    on: Compute<'_>,
    config: &Config,
    mask: Mask,
    qkv: &[f32],
    queries: Queries<'_>,
    runs: &Runs,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    scratch.pack(on, config, qkv, runs);
    scratch.scores.resize_with(on.team.threads().max(scratch.scores.len()), Mutex::default);
    let width = config.heads * config.head_dim;
    let ends: Vec<usize> = runs.runs.iter().map(|run| (run.row + run.count) * width).collect();
    let scratch = &*scratch;
    on.team.for_each(Chunks::ending_at(out, &ends), |index, out| {
        let run = &runs.runs[index];
        scratch.with_scores(|scores| attend_run(on, config, mask, queries, runs, run, scratch, scores, out));
    });
}

/// One run of queries; `out` is its rows.
#[expect(clippy::too_many_arguments, reason = "the run and everything it reads")]
fn attend_run(
    on: Compute<'_>,
    config: &Config,
    mask: Mask,
    queries: Queries<'_>,
    runs: &Runs,
    run: &QueryRun,
    scratch: &Scratch,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
    let tokens = runs.sequences[run.sequence].len();
    let positions = run.position..run.position + run.count;
    let seen = seen_by(mask, positions.clone(), tokens);
    // An odd number of cache lines from row to row, so that rows do not fall on each other in the near cache.
    let stride = (seen.len().div_ceil(16) | 1) * 16;
    scores.resize(scores.len().max(run.count * stride), 0.0);
    let scores = &mut scores[..run.count * stride];
    for head in 0..heads {
        let panels = run.sequence * kv_heads + head / (heads / kv_heads);
        let keys = scratch.panels(Panels::Keys, panels, tokens, head_dim);
        let values = scratch.panels(Panels::Values, panels, head_dim, tokens);
        let at = run.row * queries.stride + head * head_dim;
        let query_rows = Rows::strided(&queries.data[at..], run.count, head_dim, queries.stride);
        let mut score_rows = RowsMut::strided(scores, run.count, seen.len(), stride);
        matmul(on.kernels, query_rows, keys, seen.start, 0..head_dim, &mut score_rows);
        for (i, position) in positions.clone().enumerate() {
            let visible = mask.visible(position, tokens);
            let row = score_rows.row(i);
            row[..visible.start - seen.start].fill(0.0);
            row[visible.end - seen.start..].fill(0.0);
            (on.kernels.softmax)(&mut row[visible.start - seen.start..visible.end - seen.start]);
        }
        let mixed = Rows::strided(scores, run.count, seen.len(), stride);
        let mut out_rows =
            RowsMut::strided(&mut out[head * head_dim..], run.count, head_dim, heads * head_dim);
        matmul(on.kernels, mixed, values, 0, seen.clone(), &mut out_rows);
    }
}

/// Keys that any query of a block sees, from the start of a panel on.
fn seen_by(mask: Mask, queries: Range<usize>, tokens: usize) -> Range<usize> {
    let start = mask.visible(queries.start, tokens).start;
    let end = mask.visible(queries.end - 1, tokens).end;
    start - start % PANEL..end
}
