//! The model that a benchmark of the worker pool measures, and what a reader must know before its figures.

use std::time::{Duration, Instant};

use connote::{Embedder, Options, Request, Tuning};
use serde::Serialize;

use super::args::PoolArgs;
use super::chart::{Chart, ChartFile};
use super::machine::Machine;
use super::model_facts::ModelFacts;
use super::table::facts;
use super::ways::Way;
use crate::args::OutputFormat;
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::Output;

/// Rounds, unless another number is asked for: the fewest that give medians a narrow interval.
const ROUNDS: usize = 9;
const QUICK_ROUNDS: usize = 3;

/// A model, ready to be measured.
pub(crate) struct Subject {
    pub(crate) embedder: Embedder,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    machine: Machine,
    begin: Instant,
    chart: Option<ChartFile>,
    json: bool,
}

/// Where, when and with what; the first fields of every document.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    /// The benchmark's name.
    pub(crate) bench: &'static str,
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    /// Rounds that figures are the medians of.
    pub(crate) rounds: usize,
    /// N: threads that the embedder works with.
    pub(crate) threads: usize,
    /// The CPU level.
    pub(crate) level: &'static str,
    pub(crate) model: ModelFacts,
    /// Seconds the whole run took.
    pub(crate) seconds: f64,
}

/// What a benchmark found: as JSON by serde, and in its other forms.
pub(crate) trait Findings: Serialize {
    /// Tables for people, after the setting.
    fn write(&self, setting: &Setting, output: &mut Output) -> Result<(), Failure>;
    /// A picture of it.
    fn chart(&self, setting: &Setting) -> Chart;
}

/// The document of a benchmark.
#[derive(Debug, Serialize)]
struct Document<F> {
    #[serde(flatten)]
    setting: Setting,
    #[serde(flatten)]
    findings: F,
}

impl Subject {
    /// Makes sure that there is a place for the chart, looks at the machine, and opens the model.
    pub(crate) fn open(args: &PoolArgs, tuning: Tuning) -> Result<Self, Failure> {
        let begin = Instant::now();
        let chart = args.chart.as_deref().map(ChartFile::create).transpose()?;
        let machine = Machine::look();
        let quick = args.form.quick;
        let rounds = args.rounds.map_or(if quick { QUICK_ROUNDS } else { ROUNDS }, |rounds| rounds.get());
        let embedder = model::load(&args.model, &args.network, tuning)?;
        Ok(Self { embedder, rounds, quick, machine, begin, chart, json: args.form.json })
    }

    /// Threads of the embedder: the N of the matrix.
    pub(crate) fn threads(&self) -> usize {
        self.embedder.threads()
    }

    /// One of two, by whether a quick look was asked for.
    pub(crate) fn unless_quick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The time that a turn lasts at least.
    pub(crate) fn turn(&self) -> Duration {
        self.unless_quick(Duration::from_millis(50), Duration::from_millis(4))
    }

    /// Seconds a call, over `calls` calls made in this way.
    pub(crate) fn time(&self, way: &Way, texts: &[String], calls: usize) -> Result<f64, Failure> {
        self.embedder.set_tuning(way.tuning);
        self.time_of(calls, || Request::new(texts))
    }

    /// Seconds a call, over `calls` calls of such requests, whatever the tuning.
    pub(crate) fn time_of(&self, calls: usize, request: impl Fn() -> Request) -> Result<f64, Failure> {
        let begin = Instant::now();
        for _ in 0..calls {
            self.embedder.embed(request())?;
        }
        Ok(begin.elapsed().as_secs_f64() / calls as f64)
    }

    /// Prints the document of what was found, and writes its chart.
    pub(crate) fn hand_over<F: Findings>(
        mut self,
        bench: &'static str,
        findings: F,
    ) -> Result<Outcome, Failure> {
        let chart = self.chart.take();
        let json = self.json;
        let setting = Setting {
            bench,
            machine: self.machine,
            quick: self.quick,
            rounds: self.rounds,
            threads: self.embedder.threads(),
            level: self.embedder.encoder().kernels().level.name(),
            model: ModelFacts::of(&self.embedder)?,
            seconds: self.begin.elapsed().as_secs_f64(),
        };
        // The chart first: whoever reads the figures may go away.
        if let Some(chart) = chart {
            chart.complete(&findings.chart(&setting), &setting)?;
        }
        let mut output = Output::stdout(Some(OutputFormat::Text));
        if json {
            output.json(&Document { setting, findings })?;
        } else {
            output.line(&setting.report())?;
            findings.write(&setting, &mut output)?;
        }
        output.finish()?;
        Ok(Outcome::Complete)
    }
}

/// Texts and tokens of a call, as the options of a plain request have them.
pub(crate) fn token_lengths(embedder: &Embedder, texts: &[String]) -> Result<Vec<usize>, Failure> {
    let length =
        |text: &String| Ok(embedder.model().prepare(&connote::Input::new(text), &Options::new())?.ids.len());
    texts.iter().map(length).collect()
}

impl Setting {
    fn report(&self) -> String {
        let file = self.model.path.as_deref().unwrap_or("built in");
        let rough = if self.quick { " (quick: rough)" } else { "" };
        self.machine.report(&[
            ("Model", format!("{} ({file})", self.model.name)),
            ("Fingerprint", self.model.fingerprint.clone()),
            (
                "Measured",
                format!(
                    "N = {} threads, level {}, {} round{}{rough}, {:.0} s in all",
                    self.threads,
                    self.level,
                    self.rounds,
                    if self.rounds == 1 { "" } else { "s" },
                    self.seconds
                ),
            ),
        ])
    }

    /// One line beneath a chart's title.
    pub(crate) fn caption(&self) -> String {
        let rough = if self.quick { " · quick, rough" } else { "" };
        format!(
            "{} · {} · N = {} · level {} · {}{rough}",
            self.model.name,
            self.machine.name(),
            self.threads,
            self.level,
            self.machine.origin()
        )
    }
}

/// A heading, and a line or two that say how to read what follows.
pub(crate) fn section(output: &mut Output, heading: &str, reading: &str) -> Result<(), Failure> {
    output.line(&format!("\n{heading}"))?;
    if reading.is_empty() { Ok(()) } else { output.line(&facts(&[("Reading", reading.to_owned())])) }
}
