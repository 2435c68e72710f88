//! `connote bench strategies`: the automatic choice against every fixed one, and against the other policies.

use std::time::{Duration, Instant};

use connote::Policy;
use serde::Serialize;

use super::args::MatrixBenchArgs;
use super::matrix::{Cell, Matrix};
use super::progress::Steps;
use super::race::{Race, calls_a_turn};
use super::statistics::Median;
use super::subject::Subject;
use super::texts::Texts;
use super::timing::Figure;
use super::ways::{self, Way};
use crate::failure::{Failure, Outcome};

/// How far below the best fixed choice the automatic one may be.
pub(crate) const WITHIN: f64 = 0.95;

/// What `connote bench strategies` found; its document with `--json`, beside the setting.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Seconds of its own calls that the automatic choice had in a cell before its rounds.
    pub(crate) warm_up_seconds: f64,
    pub(crate) cells: Vec<Compared>,
    /// Whether the automatic choice is within 5% of the best fixed one in every cell, by medians.
    pub(crate) within_in_every_cell: bool,
}

/// One cell, in all ways.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    #[serde(flatten)]
    pub(crate) cell: Cell,
    /// The automatic choice first, then the other policies, then fixed shapes.
    pub(crate) ways: Vec<Contender>,
    /// The fixed shape with the best median, among those that ran all rounds.
    pub(crate) best_fixed: String,
    /// The one of them that the automatic choice looks worst beside, which may be another.
    pub(crate) worst_beside: String,
    /// Throughput of the automatic choice over that of `worst_beside`, pair by pair.
    pub(crate) automatic_over_it: Median,
    pub(crate) verdict: Verdict,
}

/// One way in one cell.
#[derive(Debug, Serialize)]
pub(crate) struct Contender {
    /// `adaptive`, `cost-model`, `table`, or workers x threads.
    pub(crate) way: String,
    pub(crate) texts_a_second: Figure,
    /// Fewer than all where it was so slow that it ran no further.
    pub(crate) rounds: usize,
    /// Throughput of the automatic choice over that of this one.
    pub(crate) automatic_over_it: Median,
    /// Throughput of this one over that of the best fixed shape.
    pub(crate) over_best_fixed: Median,
}

/// Whether the automatic choice is at most 5% below every fixed one: its median, and whether the interval agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The whole interval.
    Within,
    /// The median; the interval reaches below.
    ProbablyWithin,
    /// The median is below; the interval reaches above.
    ProbablyBelow,
    /// The whole interval is below.
    Below,
}

impl Verdict {
    fn of(ratio: Median) -> Self {
        match (ratio.median >= WITHIN, ratio.low >= WITHIN, ratio.high >= WITHIN) {
            (true, true, _) => Verdict::Within,
            (true, false, _) => Verdict::ProbablyWithin,
            (false, _, true) => Verdict::ProbablyBelow,
            (false, _, false) => Verdict::Below,
        }
    }

    /// By the median.
    pub(crate) fn is_within(self) -> bool {
        matches!(self, Verdict::Within | Verdict::ProbablyWithin)
    }
}

pub(crate) fn run(args: &MatrixBenchArgs) -> Result<Outcome, Failure> {
    let subject = Subject::open(&args.pool, connote::Tuning::new())?;
    let matrix = Matrix::of(&args.matrix, subject.quick, subject.embedder.model().max_tokens())?;
    // The automatic choice is the first, and policies come before what is fixed.
    let mut ways = [Policy::Adaptive, Policy::CostModel, Policy::Table].map(Way::policy).to_vec();
    ways.extend(ways::fixed_shapes(subject.threads()));
    let warm_up = subject.unless_quick(Duration::from_millis(1200), Duration::from_millis(60));
    let steps = Steps::new(matrix.count() * (1 + ways.len() * (subject.rounds + 1)));
    let mut cells = Vec::new();
    for (cell, texts) in matrix.cells(subject.embedder.model())? {
        cells.extend(compare(&subject, cell, &texts, &ways, warm_up, &steps)?);
    }
    drop(steps);
    let within_in_every_cell = cells.iter().all(|cell| cell.verdict.is_within());
    let warm_up_seconds = warm_up.as_secs_f64();
    subject.hand_over("strategies", Report { warm_up_seconds, cells, within_in_every_cell })
}

/// `None` where nothing was measured.
fn compare(
    subject: &Subject,
    cell: Cell,
    texts: &Texts,
    ways: &[Way],
    warm_up: Duration,
    steps: &Steps,
) -> Result<Option<Compared>, Failure> {
    let name = cell.name();
    steps.next(format!("{name} tokens: {} warms up", ways[0].name));
    let begin = Instant::now();
    while begin.elapsed() < warm_up {
        subject.time(&ways[0], &texts.texts, 1)?;
    }
    let mut calls = Vec::with_capacity(ways.len());
    for way in ways {
        steps.next(format!("{name} tokens: {}, first call", way.name));
        calls.push(calls_a_turn(subject.time(way, &texts.texts, 1)?, subject.turn()));
    }
    // All with the same number, or the clock and the first call of a turn would weigh differently.
    let calls = calls.into_iter().max().unwrap_or(1);
    let race = Race::run(
        ways.len(),
        subject.rounds,
        |way| ways[way].shape.is_some(),
        |way| {
            steps.next(format!("{name} tokens: {}", ways[way].name));
            subject.time(&ways[way], &texts.texts, calls)
        },
    )?;
    // Those that left were far behind when they did, and have too few rounds to be compared with.
    let stayed = |way: &usize| ways[*way].shape.is_some() && race.seconds(*way).len() == subject.rounds;
    let fixed = || (0..ways.len()).filter(stayed);
    let by_median = |a: &usize, b: &usize| race.figure(*a).median.total_cmp(&race.figure(*b).median);
    let Some(best) = fixed().min_by(by_median) else { return Ok(None) };
    let worst = fixed().filter_map(|way| Some((way, race.speed_over(0, way)?)));
    let Some((worst, ratio)) = worst.min_by(|a, b| a.1.median.total_cmp(&b.1.median)) else {
        return Ok(None);
    };
    let contender = |way: usize| {
        Some(Contender {
            way: ways[way].name.clone(),
            texts_a_second: race.figure(way).map(|seconds| cell.batch as f64 / seconds),
            rounds: race.seconds(way).len(),
            automatic_over_it: race.speed_over(0, way)?,
            over_best_fixed: race.speed_over(way, best)?,
        })
    };
    Ok(Some(Compared {
        cell,
        ways: (0..ways.len()).filter_map(contender).collect(),
        best_fixed: ways[best].name.clone(),
        worst_beside: ways[worst].name.clone(),
        automatic_over_it: ratio,
        verdict: Verdict::of(ratio),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_go_by_the_median_and_say_how_sure_they_are() {
        let of = |low: f64, median: f64, high: f64| {
            Verdict::of(Median { median, low, high, confidence: 0.96, pairs: 9 })
        };
        assert_eq!(of(0.96, 1.0, 1.1), Verdict::Within);
        assert_eq!(of(0.90, 0.96, 1.0), Verdict::ProbablyWithin);
        assert_eq!(of(0.90, 0.94, 0.96), Verdict::ProbablyBelow);
        assert_eq!(of(0.80, 0.90, 0.94), Verdict::Below);
        assert!(of(0.90, 0.95, 1.0).is_within() && !of(0.9, 0.949, 1.0).is_within());
    }
}
