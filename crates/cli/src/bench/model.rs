//! `connote bench model`: tokens a second, where the time goes, memory.

use std::time::Instant;

use connote::Embedder;
use serde::Serialize;

use super::args::ModelBenchArgs;
use super::machine::Machine;
use super::model_facts::ModelFacts;
use super::model_report;
use super::progress::Steps;
use super::shares::{self, Shares};
use super::timing::Bounds;
use super::workloads::{self, Measured, TAKEN_APART};
use crate::args::OutputFormat;
use crate::failure::{Failure, Outcome};
use crate::memory;
use crate::model;
use crate::output::Output;
use crate::say::say;

/// The document of `connote bench model --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// `model`.
    bench: &'static str,
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) threads: usize,
    pub(crate) level: &'static str,
    pub(crate) model: ModelFacts,
    pub(crate) opening: Opening,
    pub(crate) workloads: Vec<Measured>,
    pub(crate) shares: Shares,
    pub(crate) memory: Memory,
    /// Seconds the whole run took.
    pub(crate) seconds: f64,
}

/// Seconds to open the file and pack its weights.
#[derive(Debug, Serialize)]
pub(crate) struct Opening {
    pub(crate) first: f64,
    /// The file is in the page cache for sure.
    pub(crate) second: f64,
}

/// Bytes; `None` where the system does not tell.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) packed_weights: u64,
    pub(crate) resident_before_opening: Option<u64>,
    pub(crate) resident_after_opening: Option<u64>,
    pub(crate) resident_after_workloads: Option<u64>,
    pub(crate) resident_peak: Option<u64>,
}

pub(crate) fn run(args: &ModelBenchArgs) -> Result<Outcome, Failure> {
    let begin = Instant::now();
    let machine = Machine::look();
    let quick = args.form.quick;
    let bounds = if quick { Bounds::new(30, 1) } else { Bounds::new(2500, 3) };
    let workloads = workloads::all();
    let steps = Steps::new(workloads.len() + 3);
    let resident_before_opening = memory::resident();
    steps.next("opening".to_owned());
    let (first, _) = open(args)?;
    steps.next("opening again".to_owned());
    let (second, embedder) = open(args)?;
    let resident_after_opening = memory::resident();
    let mut measured = Vec::with_capacity(workloads.len());
    for workload in &workloads {
        steps.next(workload.name.to_owned());
        measured.push(workloads::measure(&embedder, workload, bounds)?);
    }
    // Before what this command alone needs: another workspace, and the file read for its fingerprint.
    let memory = Memory {
        packed_weights: embedder.packed_bytes() as u64,
        resident_before_opening,
        resident_after_opening,
        resident_after_workloads: memory::resident(),
        resident_peak: memory::peak(),
    };
    steps.next("where the time goes".to_owned());
    let long = workloads.iter().find(|workload| workload.name == TAKEN_APART).unwrap_or(&workloads[0]);
    let (passes, peak_bounds) = if quick { (1, Bounds::new(30, 3)) } else { (3, Bounds::new(250, 3)) };
    let shares = shares::measure(&embedder, long, passes, peak_bounds)?;
    let model = ModelFacts::of(&embedder)?;
    drop(steps);
    let report = Report {
        bench: "model",
        machine,
        quick,
        threads: embedder.threads(),
        level: embedder.encoder().kernels().level.name(),
        model,
        opening: Opening { first, second },
        workloads: measured,
        shares,
        memory,
        seconds: begin.elapsed().as_secs_f64(),
    };
    for warning in embedder.warnings() {
        say(format_args!("connote: warning: {warning}"));
    }
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.form.json { output.json(&report) } else { model_report::write(&mut output, &report) }?;
    output.finish()?;
    Ok(Outcome::Complete)
}

/// The model, ready to run, and the seconds that took.
fn open(args: &ModelBenchArgs) -> Result<(f64, Embedder), Failure> {
    let begin = Instant::now();
    let embedder = model::pack(&args.model, &args.network, args.tuning.tuning())?;
    Ok((begin.elapsed().as_secs_f64(), embedder))
}
