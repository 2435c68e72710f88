//! `connote doctor`: what this machine is, what connote makes of it, and what would make it better.

mod findings;
mod load;
mod models;
mod need;
mod speed;
mod system;

use std::path::{Path, PathBuf};

use clap::Args;
use connote::Tuning;
use connote::kernels::{Kernels, Level};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::args::{ModelArgs, NetworkArgs, OutputFormat};
use crate::bench::{Machine, facts, figures};
use crate::failure::{Failure, Outcome};
use crate::inspect_report::{filled, terminal_width};
use crate::model;
use crate::output::Output;
use findings::Finding;
use models::FoundModel;
use need::{Need, NotKnown};
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
    for found in &models {
        let path = found.path.as_deref().unwrap_or(Path::new("")).display();
        let what = match (&found.does_not_open, &found.not_opened) {
            (Some(why), _) => format!("{path} is no model for connote, and need not be: {why}"),
            (_, Some(why)) => format!("{path} was not opened: {why}"),
            _ => continue,
        };
        findings.push(Finding::advice(what));
    }
    let speed = look_at_model(args, &system, level, &mut findings)?;
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

/// What keeps the model that was named from running, and how fast it is. Memory comes first: where there is too little, opening and
/// packing would end this process without a word.
fn look_at_model(
    args: &DoctorArgs,
    system: &System,
    level: Option<Level>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Speed>, Failure> {
    let Some(need) = or_problem(need(&args.model, level), findings)? else { return Ok(None) };
    let too_little = need.findings(system);
    let fits = too_little.iter().all(|finding| !finding.problem);
    findings.extend(too_little);
    let Some(level) = level.filter(|_| fits) else { return Ok(None) };
    // Opening reads the head of the file; only what is to be measured is packed.
    let embedder = match args.no_speed {
        true => model::open(&args.model).map(|_| None),
        false => model::pack(&args.model, &args.network, Tuning::new()).map(Some),
    };
    let embedder = or_problem(embedder, findings)?.flatten();
    embedder.map(|embedder| speed::check(&embedder, level)).transpose()
}

/// What was found, unless it is a problem to be told. A reader that is gone ends the command.
fn or_problem<T>(found: Result<T, Failure>, findings: &mut Vec<Finding>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Nothing(why) | Failure::Usage(why)) => {
            findings.push(Finding::problem(why));
            Ok(None)
        }
        Err(gone) => Err(gone),
    }
}

/// What the model that was named needs.
fn need(args: &ModelArgs, level: Option<Level>) -> Result<Need, Failure> {
    let kernels = level.and_then(Kernels::of);
    match model::named(args) {
        None => Ok(Need::of(model::builtin()?.gguf(), kernels)),
        Some(name) => {
            let path = model::find(&name)?;
            Need::of_file(&path, kernels).map_err(|unknown| match unknown {
                NotKnown::TooLarge(why) => Failure::nothing(format!("{}: {why}", path.display())),
                // It names the file.
                NotKnown::NoModel(why) => Failure::nothing(why),
            })
        }
    }
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
        let left = told(system.memory_left);
        more.push(("Memory limit", format!("{} by the cgroup, {left} left", HumanBytes(limit))));
    }
    if let Some(limit) = system.address_limit {
        let left = told(system.addresses_left());
        more.push(("Address limit", format!("{} by `ulimit -v`, {left} left", HumanBytes(limit))));
    }
    if let Some(swap) = system.swap_free.filter(|swap| *swap > 0) {
        more.push(("Swap", format!("{} free", HumanBytes(swap))));
    }
    if let Some(busy) = system.busy {
        more.push(("Busy", format!("others keep {busy:.1} of {} CPUs busy now", system.cpus)));
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
        let said = format!(
            "Speed of {}: one short text in {:.1} ms; {:.0} tokens a second in a batch, {} threads",
            speed.model, speed.short_text_ms, speed.batch_tokens_a_second, speed.threads
        );
        output.line(&format!("\n{}", filled(&said, terminal_width())))?;
        if let (Some(fraction), Some(instruction), Some(peak)) =
            (speed.fraction_of_peak, speed.instruction, speed.peak_gmacs)
        {
            let said = format!(
                "That is {:.0}% of what the registers alone do (`{instruction}`, {peak:.0} GMAC/s a thread)",
                100.0 * fraction
            );
            output.line(&filled(&said, terminal_width()))?;
        }
    }
    output.line("")?;
    for finding in &report.findings {
        let kind = if finding.problem { "Problem" } else { "Advice" };
        output.line(&filled(&format!("{kind}: {}", finding.what), terminal_width()))?;
    }
    if report.findings.is_empty() {
        output.line("Nothing is wrong.")?;
    }
    Ok(())
}

/// A row each, under the folder that they are in, and below a row what there is to say about it.
fn write_models(output: &mut Output, models: &[FoundModel]) -> Result<(), Failure> {
    let head = ["name", "architecture", "size"].map(str::to_owned);
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|found| {
            let name = if found.path.is_none() { format!("({})", found.name) } else { found.name.clone() };
            let architecture = found.architecture.clone().unwrap_or_else(|| "-".to_owned());
            vec![name, architecture, HumanBytes(found.bytes).to_string()]
        })
        .collect();
    let table = figures(2, &head, &rows);
    let mut lines = table.lines();
    output.line(lines.next().unwrap_or_default())?;
    let mut folder = None;
    for (found, line) in models.iter().zip(lines) {
        let own = found.folder();
        if own != folder {
            if let Some(own) = &own {
                output.line(&format!("In {}:", own.display()))?;
            }
            folder = own;
        }
        output.line(line)?;
        if let Some(note) = found.note() {
            let width = terminal_width().map(|width| width.saturating_sub(NOTE.len() as u16));
            for line in filled(&note, width).lines() {
                output.line(&format!("{NOTE}{line}"))?;
            }
        }
    }
    if let Some(why) = model::no_models_folder() {
        output.line(&filled(&format!("No models of your own: {why}."), terminal_width()))?;
    }
    if models.iter().all(|found| found.path.is_none()) {
        output.line("No files were found; `connote pull --list` names models to fetch.")?;
    }
    Ok(())
}

/// How far notes stand in.
const NOTE: &str = "     ";
