//! `connote bench tradeoff`: what throughput costs in latency, for growing batches and workers.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::MatrixBenchArgs;
use super::chart::{Chart, Panels};
use super::chart_axis::Axis;
use super::chart_panels::{Lines, Series};
use super::matrix::{Cell, Matrix};
use super::progress::Steps;
use super::statistics::{Percentiles, median};
use super::subject::{Findings, Setting, Subject, section};
use super::table::{figures, number};
use super::ways::{Way, worker_counts};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Where only one length is wanted: that of a sentence or three.
const LENGTH: usize = 64;

/// What `connote bench tradeoff` found; its document with `--json`, beside the setting.
#[derive(Debug, Serialize)]
struct Report {
    settings: Vec<Measured>,
}

/// Calls of one size with one number of workers.
#[derive(Debug, Serialize)]
struct Measured {
    #[serde(flatten)]
    cell: Cell,
    /// Of one thread each.
    workers: usize,
    /// At the median call.
    texts_a_second: f64,
    /// Milliseconds until a text has its vector, which is when its call returns.
    latency_ms: Percentiles,
}

pub(crate) fn run(args: &MatrixBenchArgs) -> Result<Outcome, Failure> {
    let subject = Subject::open(&args.pool, connote::Tuning::new())?;
    let max_tokens = subject.embedder.model().max_tokens();
    let mut matrix = Matrix::of(&args.matrix, subject.quick, max_tokens)?;
    if args.matrix.lengths.is_empty() {
        matrix.lengths = vec![LENGTH.min(max_tokens)];
    }
    if args.matrix.batches.is_empty() {
        matrix.batches.insert(0, 1);
    }
    let cells = matrix.cells(subject.embedder.model())?;
    let workers = worker_counts(subject.threads());
    let settings: Vec<(usize, usize)> =
        (0..cells.len()).flat_map(|cell| workers.iter().map(move |&workers| (cell, workers))).collect();
    // All settings in each round, so that an hour of the machine colours all alike.
    let a_visit = subject.unless_quick(Duration::from_millis(150), Duration::from_millis(10));
    let steps = Steps::new(settings.len() * (subject.rounds + 1));
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); settings.len()];
    for round in 0..=subject.rounds {
        for (&(cell, workers), seconds) in settings.iter().zip(&mut seconds) {
            let (cell, texts) = &cells[cell];
            let way = Way::fixed(workers, 1);
            steps.next(format!("{} tokens: {} workers", cell.name(), workers));
            if round == 0 {
                // Warms up.
                subject.time(&way, &texts.texts, 1)?;
                continue;
            }
            let begin = Instant::now();
            loop {
                seconds.push(subject.time(&way, &texts.texts, 1)?);
                if begin.elapsed() >= a_visit {
                    break;
                }
            }
        }
    }
    drop(steps);
    let measured = settings.iter().zip(seconds).filter_map(|(&(cell, workers), seconds)| {
        let cell = cells[cell].0;
        Some(Measured {
            cell,
            workers,
            texts_a_second: cell.batch as f64 / median(seconds.iter().copied()),
            latency_ms: Percentiles::of(seconds.into_iter().map(|seconds| seconds * 1e3).collect())?,
        })
    });
    let settings = measured.collect();
    subject.hand_over("tradeoff", Report { settings })
}

impl Findings for Report {
    fn write(&self, _: &Setting, output: &mut Output) -> Result<(), Failure> {
        section(
            output,
            "TRADE-OFF: texts a second, and ms until a text has its vector",
            "A text waits for its whole call: larger calls give more texts a second and later answers. With fewer \
             than 100 calls p99 is the slowest of them.",
        )?;
        let head = ["texts x tokens", "workers", "texts/s", "p50 ms", "p95 ms", "p99 ms", "calls"]
            .map(str::to_owned);
        let row = |one: &Measured| {
            let latency = one.latency_ms;
            let mut row = vec![one.cell.name(), one.workers.to_string()];
            row.extend([one.texts_a_second, latency.p50, latency.p95, latency.p99].map(number));
            row.push(latency.count.to_string());
            row
        };
        output.line(&figures(1, &head, &self.settings.iter().map(row).collect::<Vec<_>>()))
    }

    fn chart(&self, _: &Setting) -> Chart {
        let mut workers: Vec<usize> = self.settings.iter().map(|one| one.workers).collect();
        workers.sort_unstable();
        workers.dedup();
        let line = |length: usize, workers: usize| {
            let of_line =
                self.settings.iter().filter(|one| (one.cell.length, one.workers) == (length, workers));
            let of_line: Vec<&Measured> = of_line.collect();
            Series {
                points: of_line.iter().map(|one| (one.texts_a_second, one.latency_ms.p95)).collect(),
                labels: of_line.iter().map(|one| one.cell.batch.to_string()).collect(),
                ..Series::default()
            }
        };
        let panels = self.settings.chunk_by(|a, b| a.cell.length == b.cell.length).map(|of_length| {
            let length = of_length[0].cell.length;
            Lines {
                title: format!("{length} tokens a text; beside the points: texts a call"),
                x: Axis::linear("texts a second"),
                y: Axis::log("latency of a text, p95, ms"),
                series: workers.iter().map(|&workers| line(length, workers)).collect(),
                marks: Vec::new(),
            }
        });
        Chart {
            title: "Throughput against latency".to_owned(),
            legend: workers
                .iter()
                .map(|&count| if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") })
                .collect(),
            panels: Panels::Lines(panels.collect()),
        }
    }
}
