//! `connote bench serial-vs-parallel`: how many times as fast all cores are as one.

use connote::Policy;
use serde::Serialize;

use super::args::MatrixBenchArgs;
use super::chart::{Chart, Panels};
use super::chart_axis::Axis;
use super::chart_panels::{Bar, Ends, Rows};
use super::matrix::Matrix;
use super::progress::Steps;
use super::race::{Race, calls_a_turn};
use super::statistics::Median;
use super::subject::{Findings, Setting, Subject, section};
use super::table::{figures, number, percent};
use super::texts::{self, Texts};
use super::timing::Figure;
use super::ways::{Way, thread_counts};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Texts of the two workloads that the project's goals name.
const TEXTS: usize = 64;
const QUICK_TEXTS: usize = 16;
const LENGTH: usize = 64;
/// The longest of the mixed ones, and the single text's.
const LONG: usize = 256;

/// What `connote bench serial-vs-parallel` found; its document with `--json`, beside the setting.
#[derive(Debug, Serialize)]
struct Report {
    /// Each workload in each parallel way.
    runs: Vec<Measured>,
}

/// One workload in one parallel way, beside one worker of one thread.
#[derive(Debug, Serialize)]
struct Measured {
    workload: String,
    texts: usize,
    /// In all, special tokens included.
    tokens: usize,
    /// Workers x threads, or `adaptive`.
    way: String,
    /// CPUs that it may keep busy.
    cpus: usize,
    serial_seconds: Figure,
    seconds: Figure,
    /// Serial time over parallel time, pair by pair.
    speed_up: Median,
    /// The median speed-up over `cpus`: 1 is ideal.
    efficiency: f64,
}

/// A call's texts, by name.
struct Workload {
    name: String,
    texts: Texts,
}

pub(crate) fn run(args: &MatrixBenchArgs) -> Result<Outcome, Failure> {
    let subject = Subject::open(&args.pool, connote::Tuning::new())?;
    let workloads = workloads(&subject, args)?;
    let cores = subject.threads();
    let ways_of = |workload: &Workload| {
        let mut ways = vec![Way::fixed(1, 1)];
        ways.extend(thread_counts(cores).into_iter().map(|threads| Way::fixed(1, threads)));
        if workload.texts.texts.len() > 1 {
            // Texts side by side, or all cores on one after another; what lies between is for a single text.
            ways.retain(|way| way.shape.is_some_and(|shape| [1, cores].contains(&shape.threads)));
            ways.extend((cores > 1).then(|| Way::fixed(cores, 1)));
        }
        ways.push(Way::policy(Policy::Adaptive));
        ways
    };
    let all: Vec<(&Workload, Vec<Way>)> =
        workloads.iter().map(|workload| (workload, ways_of(workload))).collect();
    let steps = Steps::new(all.iter().map(|(_, ways)| ways.len() * (subject.rounds + 1)).sum());
    let mut runs = Vec::new();
    for (workload, ways) in &all {
        let texts = &workload.texts.texts;
        let mut calls = 1;
        for way in ways {
            steps.next(format!("{}: {}, first call", workload.name, way.name));
            calls = calls.max(calls_a_turn(subject.time(way, texts, 1)?, subject.turn()));
        }
        let race = Race::of_all(ways.len(), subject.rounds, |way| {
            steps.next(format!("{}: {}", workload.name, ways[way].name));
            subject.time(&ways[way], texts, calls)
        })?;
        for (index, way) in ways.iter().enumerate().skip(1) {
            let cpus = way.shape.map_or(cores, |shape| shape.cpus().min(cores));
            let Some(speed_up) = race.speed_over(index, 0) else { continue };
            runs.push(Measured {
                workload: workload.name.clone(),
                texts: texts.len(),
                tokens: workload.texts.tokens,
                way: way.name.clone(),
                cpus,
                serial_seconds: race.figure(0),
                seconds: race.figure(index),
                speed_up,
                efficiency: speed_up.median / cpus as f64,
            });
        }
    }
    drop(steps);
    subject.hand_over("serial-vs-parallel", Report { runs })
}

fn workloads(subject: &Subject, args: &MatrixBenchArgs) -> Result<Vec<Workload>, Failure> {
    let model = subject.embedder.model();
    let most = model.max_tokens();
    let mut matrix = Matrix::of(&args.matrix, subject.quick, most)?;
    if args.matrix.lengths.is_empty() {
        matrix.lengths = vec![LENGTH.min(most)];
    }
    let (count, length, long) = (subject.unless_quick(TEXTS, QUICK_TEXTS), LENGTH.min(most), LONG.min(most));
    let mut workloads = vec![
        Workload {
            name: format!("{count} texts of {length} tokens"),
            texts: texts::of_length(model, count, length)?,
        },
        Workload {
            name: format!("{count} texts of 4 to {long} tokens"),
            texts: texts::build(model, &texts::mixed_lengths(count, long))?,
        },
        Workload { name: format!("1 text of {long} tokens"), texts: texts::of_length(model, 1, long)? },
    ];
    for (cell, texts) in matrix.cells(model)? {
        let name = match cell.batch {
            1 => format!("1 text of {} tokens", cell.length),
            batch => format!("{batch} texts of {} tokens", cell.length),
        };
        if workloads.iter().all(|workload| workload.name != name) {
            workloads.push(Workload { name, texts });
        }
    }
    Ok(workloads)
}

impl Findings for Report {
    fn write(&self, _: &Setting, output: &mut Output) -> Result<(), Failure> {
        section(
            output,
            "SERIAL AGAINST PARALLEL: one worker of one thread, and all cores",
            "Ways are workers x threads. The speed-up is the median of interleaved pairs, with the interval that holds \
             the true one with at least 95% (of fewer than 6 pairs: what there is); efficiency is the speed-up over the \
             cores in use.",
        )?;
        let head = ["", "way", "serial ms", "ms", "speed-up", "interval", "efficiency"].map(str::to_owned);
        let row = |one: &Measured| {
            vec![
                one.workload.clone(),
                one.way.clone(),
                number(one.serial_seconds.median * 1e3),
                number(one.seconds.median * 1e3),
                format!("{:.2}", one.speed_up.median),
                format!("{:.2} to {:.2}", one.speed_up.low, one.speed_up.high),
                percent(one.efficiency),
            ]
        };
        output.line(&figures(2, &head, &self.runs.iter().map(row).collect::<Vec<_>>()))
    }

    fn chart(&self, setting: &Setting) -> Chart {
        let of = |runs: &[Measured]| runs.iter().map(|one| one.way.clone()).collect::<Vec<_>>();
        let workloads: Vec<&[Measured]> = self.runs.chunk_by(|a, b| a.workload == b.workload).collect();
        let mut ways: Vec<String> = of(&self.runs);
        let mut seen = Vec::new();
        ways.retain(|way| {
            !seen.contains(way) && {
                seen.push(way.clone());
                true
            }
        });
        let bar = |one: &Measured| Bar {
            value: one.speed_up.median,
            low: one.speed_up.low,
            high: one.speed_up.high,
        };
        let series = ways.iter().map(|way| {
            workloads.iter().map(|runs| runs.iter().find(|one| one.way == *way).map(bar)).collect()
        });
        let ideal = setting.threads;
        Chart {
            title: "Speed-up over one worker of one thread".to_owned(),
            legend: ways
                .iter()
                .map(|way| match way.split_once('x') {
                    Some((workers, threads)) => {
                        let plural = |count: &str| if count == "1" { "" } else { "s" };
                        format!("{workers} worker{} x {threads} thread{}", plural(workers), plural(threads))
                    }
                    None => format!("{way} (automatic)"),
                })
                .collect(),
            panels: Panels::Rows(Rows {
                x: Axis::linear("times as fast as serial: median and its interval"),
                categories: workloads.iter().map(|runs| runs[0].workload.clone()).collect(),
                series: series.collect(),
                ends: Ends::Bars,
                marks: vec![(1.0, "serial".to_owned()), (ideal as f64, format!("ideal: {ideal}"))],
            }),
        }
    }
}
