//! `connote bench workers`: the matrix of workers, texts a call and tokens a text, and where more workers stop helping.

use serde::Serialize;

use super::args::MatrixBenchArgs;
use super::chart::{Chart, Panels};
use super::chart_axis::Axis;
use super::chart_panels::{Lines, Series};
use super::matrix::{Cell, Matrix};
use super::progress::Steps;
use super::race::{Race, calls_a_turn};
use super::statistics::knee;
use super::subject::{Findings, Setting, Subject, section};
use super::table::{figures, number};
use super::timing::Figure;
use super::ways::{Way, worker_counts};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// What `connote bench workers` found; its document with `--json`, beside the setting.
#[derive(Debug, Serialize)]
struct Report {
    /// Each cell with each number of workers.
    cells: Vec<Measured>,
    /// Of each cell.
    knees: Vec<Knee>,
}

/// One cell with one number of workers.
#[derive(Debug, Serialize)]
struct Measured {
    #[serde(flatten)]
    cell: Cell,
    /// Of one thread each.
    workers: usize,
    texts_a_second: Figure,
    tokens_a_second: Figure,
    ms_a_text: Figure,
}

/// Where more workers stop helping.
#[derive(Debug, Serialize)]
struct Knee {
    #[serde(flatten)]
    cell: Cell,
    /// The fewest whose median throughput is within 5% of the best.
    workers: usize,
}

pub(crate) fn run(args: &MatrixBenchArgs) -> Result<Outcome, Failure> {
    let subject = Subject::open(&args.pool, connote::Tuning::new())?;
    let matrix = Matrix::of(&args.matrix, subject.quick, subject.embedder.model().max_tokens())?;
    let counts = worker_counts(subject.threads());
    let ways: Vec<Way> = counts.iter().map(|&workers| Way::fixed(workers, 1)).collect();
    let steps = Steps::new(matrix.count() * (subject.rounds + 1) * ways.len());
    let mut cells = Vec::new();
    for (cell, texts) in matrix.cells(subject.embedder.model())? {
        // Also warms up what a first call needs.
        let mut calls = Vec::with_capacity(ways.len());
        for way in &ways {
            steps.next(format!("{}, {}: first call", cell.name(), way.name));
            calls.push(calls_a_turn(subject.time(way, &texts.texts, 1)?, subject.turn()));
        }
        let race = Race::of_all(ways.len(), subject.rounds, |way| {
            steps.next(format!("{} tokens: {}", cell.name(), ways[way].name));
            subject.time(&ways[way], &texts.texts, calls[way])
        })?;
        for (way, &workers) in counts.iter().enumerate() {
            let seconds = race.figure(way);
            cells.push(Measured {
                cell,
                workers,
                texts_a_second: seconds.map(|seconds| cell.batch as f64 / seconds),
                tokens_a_second: seconds.map(|seconds| cell.tokens as f64 / seconds),
                ms_a_text: seconds.map(|seconds| seconds * 1e3 / cell.batch as f64),
            });
        }
    }
    drop(steps);
    let knees = cells.chunk_by(|a, b| a.cell == b.cell).filter_map(|cells| {
        let rates: Vec<(usize, f64)> =
            cells.iter().map(|one| (one.workers, one.texts_a_second.median)).collect();
        Some(Knee { cell: cells.first()?.cell, workers: knee(&rates)? })
    });
    let knees = knees.collect();
    subject.hand_over("workers", Report { cells, knees })
}

impl Findings for Report {
    fn write(&self, _: &Setting, output: &mut Output) -> Result<(), Failure> {
        section(
            output,
            "WORKERS: texts and tokens a second, and ms a text, by workers of one thread each",
            "Figures are medians, \"best\" is the best round. A knee is the fewest workers within 5% of the best \
             median: more cost memory and give nothing.",
        )?;
        let head = ["texts x tokens", "workers", "texts/s", "best", "tokens/s", "ms/text", "best", ""]
            .map(str::to_owned);
        let row = |one: &Measured| {
            let is_knee = self.knees.iter().any(|knee| knee.cell == one.cell && knee.workers == one.workers);
            let figures = [
                one.texts_a_second.median,
                one.texts_a_second.best,
                one.tokens_a_second.median,
                one.ms_a_text.median,
                one.ms_a_text.best,
            ];
            let mut row = vec![one.cell.name(), one.workers.to_string()];
            row.extend(figures.map(number));
            row.push(if is_knee { "knee".to_owned() } else { String::new() });
            row
        };
        output.line(&figures(1, &head, &self.cells.iter().map(row).collect::<Vec<_>>()))
    }

    fn chart(&self, _: &Setting) -> Chart {
        let distinct = |of: &dyn Fn(&Measured) -> usize| {
            let mut values: Vec<usize> = self.cells.iter().map(of).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let (batches, lengths) = (distinct(&|one| one.cell.batch), distinct(&|one| one.cell.length));
        let workers = distinct(&|one| one.workers);
        let line = |length: usize, batch: usize| {
            let of_line =
                self.cells.iter().filter(|one| (one.cell.length, one.cell.batch) == (length, batch));
            let place = |one: &Measured| workers.iter().position(|&count| count == one.workers).unwrap_or(0);
            Series {
                points: of_line.map(|one| (place(one) as f64, one.texts_a_second.median)).collect(),
                ..Series::default()
            }
        };
        let panel = |&length: &usize| Lines {
            title: format!("{length} tokens a text"),
            x: Axis::named("workers, one thread each", &workers),
            y: Axis::linear("texts a second"),
            series: batches.iter().map(|&batch| line(length, batch)).collect(),
            marks: Vec::new(),
        };
        Chart {
            title: "Throughput by number of workers".to_owned(),
            legend: batches.iter().map(|batch| format!("{batch} texts a call")).collect(),
            panels: Panels::Lines(lengths.iter().map(panel).collect()),
        }
    }
}
