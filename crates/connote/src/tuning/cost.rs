//! How long a call takes in a shape, predicted from how long single passes take.

use serde::{Deserialize, Serialize};

use super::micro_batches::{MicroBatch, MicroBatches};
use super::{Shape, Work, candidates};

/// Token counts at which passes are known; between them time is taken to grow in a line.
pub(crate) const TOKENS: [usize; 7] = [4, 8, 16, 32, 64, 128, 512];

/// Seconds of a pass at each of [`TOKENS`].
pub(crate) type Curve = [f64; TOKENS.len()];

/// Predicts the time of a call: its micro-batches, one after another on each worker, by a grid of times of single
/// passes. The grid comes from measuring this machine and model, or from what is usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// The numbers of threads, and of workers, at which passes are known; ascending from 1.
    pub(crate) counts: Vec<usize>,
    /// Of one pass alone on the machine, on each number of threads.
    pub(crate) alone: Vec<Curve>,
    /// How many times as long a pass on one thread takes with each number of workers at once; 1 for one.
    pub(crate) beside: Vec<Curve>,
    /// How many times as long as those two tell a pass takes when each number of workers shares all CPUs, with as many
    /// threads each as that leaves; 1 for one worker, and for as many as CPUs, which those two tell exactly.
    pub(crate) split: Vec<Curve>,
    /// Tokens a text had in those passes, or all tokens of the pass where they were fewer.
    pub(crate) length: usize,
    /// Seconds that a pair of tokens of one text costs on one thread.
    pub(crate) pair: f64,
    /// Whether any of it was measured.
    pub(crate) measured: bool,
}

impl CostModel {
    /// What is usual for a CPU of today: enough to tell few tokens, which want threads on one pass, from many, which
    /// want passes side by side.
    pub(crate) fn unmeasured(cpus: usize, macs_a_token: u64, layers: usize) -> Self {
        let usual = Usual { cpus: cpus.max(1) as f64, macs: macs_a_token as f64, layers: layers as f64 };
        let counts = candidates::counts(cpus);
        let curve = |time: &dyn Fn(f64) -> f64| TOKENS.map(|tokens| time(tokens as f64));
        let alone = counts.iter().map(|&threads| curve(&|tokens| usual.pass(tokens, threads as f64, 1.0)));
        let beside = counts.iter().map(|&workers| {
            curve(&|tokens| usual.pass(tokens, 1.0, workers as f64) / usual.pass(tokens, 1.0, 1.0))
        });
        // A pair costs two multiply-adds a dimension of every layer, which are some thousands.
        let pair = 10e3 / Usual::MACS_A_SECOND;
        let (alone, beside) = (alone.collect(), beside.collect());
        let split = vec![[1.0; TOKENS.len()]; counts.len()];
        Self { counts, alone, beside, split, length: 64, pair, measured: false }
    }

    /// Whether this comes from the machine, not from what is usual.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// Whether it can be computed with: a file may hold anything.
    pub(crate) fn is_sound(&self) -> bool {
        let rises = self.counts.first() == Some(&1) && self.counts.is_sorted_by(|a, b| a < b);
        let rows = [&self.alone, &self.beside, &self.split].map(Vec::len) == [self.counts.len(); 3];
        let mut cells = self.alone.iter().chain(&self.beside).chain(&self.split).flatten();
        let good = |value: f64| value.is_finite() && value > 0.0;
        rises
            && rows
            && self.length > 0
            && cells.all(|&cell| good(cell))
            && self.pair.is_finite()
            && self.pair >= 0.0
    }

    /// Seconds that the work takes in this shape, alone on the machine.
    pub(crate) fn seconds(&self, work: &Work, shape: Shape) -> f64 {
        self.seconds_of(&MicroBatches::of(work, shape.workers), shape)
    }

    /// The same for each shape; those of as many workers share a plan if they are side by side.
    pub(crate) fn seconds_of_each(&self, work: &Work, shapes: &[Shape]) -> Vec<f64> {
        let mut planned: Option<(usize, MicroBatches)> = None;
        let each = shapes.iter().map(|&shape| {
            let batches = match planned.take() {
                Some((workers, batches)) if workers == shape.workers => batches,
                _ => MicroBatches::of(work, shape.workers),
            };
            let seconds = self.seconds_of(&batches, shape);
            planned = Some((shape.workers, batches));
            seconds
        });
        each.collect()
    }

    fn seconds_of(&self, batches: &MicroBatches, shape: Shape) -> f64 {
        let busy = shape.workers.min(batches.count()).max(1);
        let curve = self.curve(busy, shape.threads);
        // Attention gains from threads as the products do.
        let pair = self.pair * curve[TOKENS.len() - 1] / self.alone[0][TOKENS.len() - 1];
        batches.makespan(busy, |batch| self.pass(&curve, pair, batch))
    }

    /// Seconds of passes on so many threads while so many workers run them.
    ///
    /// Workers of several threads ask the memory for as much as that many workers of one would. What as many threads of
    /// one pass ask for is in the time of the pass already.
    pub(crate) fn curve(&self, workers: usize, threads: usize) -> Curve {
        let mut curve = at(&self.counts, &self.alone, threads);
        if workers > 1 {
            let all = at(&self.counts, &self.beside, workers.saturating_mul(threads));
            let one = at(&self.counts, &self.beside, threads);
            for (time, (all, one)) in curve.iter_mut().zip(all.into_iter().zip(one)) {
                *time *= (all / one).max(1.0);
            }
            // What was seen of all CPUs holds little where fewer are busy.
            let cpus = self.counts.last().copied().unwrap_or(1) as f64;
            let share = (workers.saturating_mul(threads) as f64 / cpus).min(1.0);
            for (time, split) in curve.iter_mut().zip(at(&self.counts, &self.split, workers)) {
                *time *= split.powf(share.powi(3));
            }
        }
        curve
    }

    fn pass(&self, curve: &Curve, pair: f64, batch: MicroBatch) -> f64 {
        // A pass of fewer tokens than were measured takes hardly less: the weights are fetched all the same.
        let tokens = batch.tokens.max(TOKENS[0] as f64);
        // The two points around it; past the last one the line goes on.
        let right =
            TOKENS.iter().position(|&point| tokens <= point as f64).unwrap_or(TOKENS.len() - 1).max(1);
        let (left, span) = (TOKENS[right - 1] as f64, (TOKENS[right] - TOKENS[right - 1]) as f64);
        let slope = (curve[right] - curve[right - 1]) / span;
        let products = curve[right - 1] + slope.max(0.0) * (tokens - left);
        let pairs = batch.squares - batch.tokens * batch.tokens.min(self.length as f64);
        // A correction by what was measured with an error: it must not eat up the rest.
        (products + pair * pairs).max(0.3 * products)
    }
}

/// The row for a count, between two rows by their logarithms; those outside are as the last.
fn at(counts: &[usize], rows: &[Curve], count: usize) -> Curve {
    let right = counts.partition_point(|&known| known < count);
    if right == counts.len() {
        return rows[right - 1];
    }
    if counts[right] == count || right == 0 {
        return rows[right];
    }
    let (low, high) = (counts[right - 1] as f64, counts[right] as f64);
    let share = (count as f64 / low).ln() / (high / low).ln();
    let mut row = rows[right - 1];
    for (value, next) in row.iter_mut().zip(rows[right]) {
        *value *= (next / *value).powf(share);
    }
    row
}

/// A machine nobody has measured.
struct Usual {
    cpus: f64,
    macs: f64,
    layers: f64,
}

impl Usual {
    const MACS_A_SECOND: f64 = 100e9;
    /// Threads divide the products into whole parts, of which some have one more.
    const DIVIDED: f64 = 0.95;
    /// Weights as bytes, as they are packed.
    const BYTES_A_WEIGHT: f64 = 1.5;
    const BYTES_A_SECOND: f64 = 10e9;
    /// Bytes of weights that a core's share of the caches keeps from pass to pass.
    const CACHED: f64 = 2e6;
    /// Products and row functions of a layer, each with a fork and a join; and seconds that those take for each doubling
    /// of the threads, and for ten threads more, which are farther from each other.
    const FORKS_A_LAYER: f64 = 7.0;
    const FORK: f64 = 1.5e-6;

    fn pass(&self, tokens: f64, threads: f64, workers: f64) -> f64 {
        let compute = self.macs * (tokens + 2.0) / (Self::MACS_A_SECOND * threads.powf(Self::DIVIDED));
        let bytes = self.macs * Self::BYTES_A_WEIGHT;
        let fetched = bytes * (1.0 - Self::CACHED * self.cpus / bytes).max(0.1);
        // Cores share the memory: all of them together reach less than each alone promises.
        let shared = Self::BYTES_A_SECOND * self.cpus.powf(0.7);
        let stream = fetched / (Self::BYTES_A_SECOND * threads).min(shared / workers);
        let fork = Self::FORK * (threads.log2() + threads / 10.0);
        let forks = if threads > 1.0 { Self::FORKS_A_LAYER * self.layers * fork } else { 0.0 };
        // Fetching and computing overlap, but not wholly.
        compute.max(stream) + 0.3 * compute.min(stream) + forks
    }
}
