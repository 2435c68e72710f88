//! `connote doctor`: what this machine is, what connote makes of it, and what would make it better.

mod findings;
mod models;
mod speed;
mod system;

use std::path::{Path, PathBuf};

use clap::Args;
use connote::Tuning;
use connote::kernels::Level;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::args::{ModelArgs, NetworkArgs, OutputFormat};
use crate::bench::{Machine, facts, figures};
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::Output;
use findings::Finding;
use models::FoundModel;
use speed::Speed;
use system::System;

#[derive(Debug, Args)]
#[command(after_help = "\
It opens no connection; a file that it tries the cache folder with is removed again. Exit codes: 0 nothing is wrong, 3 something \
keeps connote from running as it should (lines that begin with \"Problem\"; advice alone is no problem).

Examples:
  connote doctor
  connote doctor --no-speed --json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Without the speed check, which takes some 5 seconds
    #[arg(long)]
    no_speed: bool,
    /// As one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  connote models\n  connote models --json")]
pub(crate) struct ModelsArgs {
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

/// The document of `connote doctor --json`.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    /// The level that is used; `None` if `CONNOTE_CPU` names none that is here.
    level: Option<&'static str>,
    levels: Vec<LevelSeen>,
    system: System,
    /// Variables that are set and matter; tokens are not shown.
    environment: Vec<(String, String)>,
    models: Vec<FoundModel>,
    speed: Option<Speed>,
    findings: Vec<Finding>,
}

/// A CPU level, and what it would need.
#[derive(Debug, Serialize)]
struct LevelSeen {
    level: &'static str,
    available: bool,
    lacks: Vec<&'static str>,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<Outcome, Failure> {
    let machine = Machine::look();
    let system = System::look(&machine);
    let mut findings = findings::of(&system);
    let level = match Level::chosen() {
        Ok(level) => Some(level),
        Err(error) => {
            findings.push(Finding::problem(error.to_string()));
            None
        }
    };
    findings.extend(findings::of_level(level, Level::available().last()));
    let models = models::found();
    findings.extend(models.iter().filter_map(|found| {
        let why = found.does_not_open.as_ref()?;
        let path = found.path.as_deref().unwrap_or(Path::new("")).display();
        Some(Finding::advice(format!("{path} is no model for connote, and need not be: {why}")))
    }));
    let mut speed = None;
    if let Some(level) = level {
        // Opening reads the head of the file; only what is to be measured is packed.
        let embedder = match args.no_speed {
            true => model::open(&args.model).map(|_| None),
            false => model::pack(&args.model, &args.network, Tuning::new()).map(Some),
        };
        match embedder {
            Ok(None) => {}
            Ok(Some(embedder)) => {
                findings.extend(findings::of_memory(&system, embedder.packed_bytes() as u64));
                speed = Some(speed::check(&embedder, level)?);
            }
            Err(Failure::Nothing(why) | Failure::Usage(why)) => findings.push(Finding::problem(why)),
            Err(gone) => return Err(gone),
        }
    }
    let report = Report {
        machine,
        level: level.map(Level::name),
        levels: Level::ALL
            .iter()
            .map(|level| LevelSeen {
                level: level.name(),
                available: level.is_available(),
                lacks: level.lacking(),
            })
            .collect(),
        system,
        environment: system::environment(),
        models,
        speed,
        findings,
    };
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.json { output.json(&report) } else { write(&mut output, &report) }?;
    output.finish()?;
    let problem = report.findings.iter().any(|finding| finding.problem);
    Ok(if problem { Outcome::SomeRowsFailed } else { Outcome::Complete })
}

/// `connote models`.
pub(crate) fn list(args: &ModelsArgs) -> Result<Outcome, Failure> {
    let models = models::found();
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.json { output.json(&models) } else { write_models(&mut output, &models) }?;
    output.finish()?;
    Ok(Outcome::Complete)
}

fn write(output: &mut Output, report: &Report) -> Result<(), Failure> {
    let system = &report.system;
    let told = |bytes: Option<u64>| {
        bytes.map_or_else(|| "not told by this system".to_owned(), |bytes| HumanBytes(bytes).to_string())
    };
    let levels = report.levels.iter().map(|seen| match (&*seen.lacks, Some(seen.level) == report.level) {
        ([], true) => format!("{} (in use)", seen.level),
        ([], false) => seen.level.to_owned(),
        (lacks, _) => format!("{} lacks {}", seen.level, lacks.join(", ")),
    });
    let folder = |path: &Option<PathBuf>| {
        path.as_ref().map_or_else(
            || "none: neither HOME nor a variable names one".to_owned(),
            |path| path.display().to_string(),
        )
    };
    let mut more = vec![
        ("CPU levels", levels.collect::<Vec<_>>().join("; ")),
        ("Memory", format!("{}, {} free to use", told(system.memory), told(system.memory_available))),
        ("Large pages", system.large_pages.clone().unwrap_or_else(|| "not told by this system".to_owned())),
        ("Cache", format!("{} ({})", folder(&system.cache), HumanBytes(system.cache_bytes))),
    ];
    if let Some(limit) = system.memory_limit {
        more.push(("Memory limit", format!("{} by the cgroup", HumanBytes(limit))));
    }
    output.line(&report.machine.report(&more))?;
    if !report.environment.is_empty() {
        output.line("\nSet in the environment:")?;
        let rows: Vec<(&str, String)> =
            report.environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        output.line(&facts(&rows))?;
    }
    output.line("\nModels:")?;
    write_models(output, &report.models)?;
    if let Some(speed) = &report.speed {
        output.line(&format!(
            "\nSpeed of {}: one short text in {:.1} ms; {:.0} tokens a second in a batch, {} threads",
            speed.model, speed.short_text_ms, speed.batch_tokens_a_second, speed.threads
        ))?;
        if let (Some(fraction), Some(instruction), Some(peak)) =
            (speed.fraction_of_peak, speed.instruction, speed.peak_gmacs)
        {
            output.line(&format!(
                "That is {:.0}% of what the registers alone do (`{instruction}`, {peak:.0} GMAC/s a thread)",
                100.0 * fraction
            ))?;
        }
    }
    output.line("")?;
    for finding in &report.findings {
        let kind = if finding.problem { "Problem" } else { "Advice" };
        output.line(&format!("{kind}: {}", finding.what))?;
    }
    if report.findings.is_empty() {
        output.line("Nothing is wrong.")?;
    }
    Ok(())
}

fn write_models(output: &mut Output, models: &[FoundModel]) -> Result<(), Failure> {
    let head = ["name", "architecture", "size", "where"].map(str::to_owned);
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|found| {
            vec![
                found.name.clone(),
                found.architecture.clone().unwrap_or_else(|| "does not open".to_owned()),
                HumanBytes(found.bytes).to_string(),
                found.path.as_ref().map_or_else(|| "built in".to_owned(), |path| path.display().to_string()),
            ]
        })
        .collect();
    output.line(&figures(head.len(), &head, &rows))?;
    if models.iter().all(|found| found.path.is_none()) {
        output.line("No files were found; `connote pull --list` names models to fetch.")?;
    }
    Ok(())
}
