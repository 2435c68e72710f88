//! `connote tune`: measures workers and threads here, says where more stops helping, and keeps it.

use std::time::Duration;

use connote::{Tuned, TunedCall, Tuning};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::{OutputFormat, TuneArgs};
use crate::bench::{Machine, ModelFacts, figures, number};
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::Output;

/// The document of `connote tune --json`.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    level: &'static str,
    threads: usize,
    model: ModelFacts,
    /// Each kind of call in each shape.
    calls: Vec<Call>,
    /// Whether later runs start from this.
    saved: bool,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Call {
    texts: usize,
    tokens_a_text: usize,
    workers: usize,
    threads: usize,
    seconds: f64,
    tokens_a_second: f64,
    /// The fewest CPUs within 5% of the best.
    knee: bool,
}

pub(crate) fn run(args: &TuneArgs) -> Result<Outcome, Failure> {
    let machine = Machine::look();
    let embedder = model::load(&args.model, &args.network, Tuning::new())?;
    let bar = ProgressBar::new(1000);
    let bar = match ProgressStyle::with_template("{bar:20} {percent:>3}%  measuring, for {eta} more") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    let begin = std::time::Instant::now();
    let tuned = embedder
        .tune(Duration::from_secs_f64(args.seconds), &mut |share| bar.set_position((share * 1000.0) as u64));
    bar.finish_and_clear();
    let Tuned { calls, saved, .. } = tuned?;
    let report = Report {
        machine,
        level: embedder.encoder().kernels().level.name(),
        threads: embedder.threads(),
        model: ModelFacts::of(&embedder)?,
        calls: calls.iter().map(Call::of).collect(),
        saved,
        seconds: begin.elapsed().as_secs_f64(),
    };
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.json { output.json(&report) } else { report.write(&mut output) }?;
    output.finish()?;
    Ok(Outcome::Complete)
}

impl Call {
    fn of(call: &TunedCall) -> Self {
        Self {
            texts: call.texts,
            tokens_a_text: call.tokens,
            workers: call.shape.workers,
            threads: call.shape.threads,
            seconds: call.seconds,
            tokens_a_second: (call.texts * call.tokens) as f64 / call.seconds,
            knee: call.knee,
        }
    }
}

impl Report {
    fn write(&self, output: &mut Output) -> Result<(), Failure> {
        let model = format!("{} ({})", self.model.name, self.model.path.as_deref().unwrap_or("built in"));
        let measured =
            format!("{} CPUs, level {}, {} s in all", self.threads, self.level, number(self.seconds));
        output.line(&self.machine.report(&[("Model", model), ("Measured", measured)]))?;
        let head = ["texts x tokens", "workers x threads", "ms", "tokens/s", ""].map(str::to_owned);
        let row = |call: &Call| {
            vec![
                format!("{} x {}", call.texts, call.tokens_a_text),
                format!("{}x{}", call.workers, call.threads),
                number(call.seconds * 1e3),
                number(call.tokens_a_second),
                if call.knee { "knee" } else { "" }.to_owned(),
            ]
        };
        let rows: Vec<Vec<String>> = self.calls.iter().map(row).collect();
        output.line(&format!("\n{}", figures(2, &head, &rows)))?;
        output.line("\nThe knee is the shape of the fewest CPUs within 5% of the best: more cost power and give nothing.")?;
        output.line(if self.saved {
            "Saved: later runs of this model on this machine start from it."
        } else {
            "Not saved: there is no cache folder that can be written (CONNOTE_CACHE_DIR names one)."
        })
    }
}
