//! `connote verify`: whether a model does what is promised, on this machine, and agrees with a reference.

mod bounds;
mod checks;
mod comparison;
mod reference;

use std::path::PathBuf;

use clap::Args;
use connote::{Options, Tuning};
use serde::Serialize;

use crate::args::{MODEL_HELP, ModelArgs, NetworkArgs, OutputFormat};
use crate::bench::figures;
use crate::failure::{Failure, Outcome};
use crate::inspect_report::{filled, terminal_width};
use crate::model;
use crate::output::{Output, excerpt, shown_path};
use comparison::Comparison;
use reference::Reference;

#[derive(Debug, Args)]
#[command(after_help = "\
A reference is JSONL: {\"text\": .., \"embedding\": [..]} a line, as sentence-transformers gives it in fp32; \"prompt\" (put before \
the text as it is), \"task\", \"title\" and \"ids\" (of the authors' tokenizer, special tokens included) are used where they are there. \
What `connote embed --keep text` wrote is one, too, also as CSV, Parquet or Arrow: with the task, prompt, dimensions and precision \
that stand in OUT.meta.json or in the file. Bounds on the cosines are, unless given: 0.999999 in the mean and 0.99999 at least for \
files of F32, F16 and BF16; for Q8_0 0.9999 and 0.9995 for EmbeddingGemma, 0.9998 and 0.999 with its dense heads, 0.99976 and 0.999 \
for all-MiniLM-L6-v2, 0.9997 and 0.999 for others. Coarser types have floors that tell a model from another one: 0.995 and 0.98 for \
Q6_K, 0.97 and 0.9 for 5 bits, 0.85 and 0.6 for 4, 0.5 and 0.1 for fewer. For int8 and binary they are lower by what rounding takes.

Exit codes: 0 all checks passed, 3 one did not, 1 the model could not be run or the reference not be read, 2 wrong use or \
a reference that is none.

Examples:
  connote verify
  connote verify all-MiniLM-L6-v2-Q8_0.gguf --reference reference.jsonl
  connote verify all-MiniLM-L6-v2-Q8_0.gguf --reference reference.jsonl --min-cosine 0.99
  connote verify --json")]
pub(crate) struct VerifyArgs {
    #[arg(value_name = "PATH|NAME", help = MODEL_HELP, conflicts_with = "model")]
    path: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Texts with the vectors that the authors' own stack gives
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// The mean cosine to the reference that is enough
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true)]
    mean_cosine: Option<f64>,
    /// The smallest cosine to the reference that is enough
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true)]
    min_cosine: Option<f64>,
    /// As one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// It does not apply to this model.
    Skipped,
}

/// A check that was made.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
    /// What was seen; for a check that failed, where.
    pub(crate) seen: String,
}

impl Check {
    /// Passed, having seen `Ok`, or failed by `Err`.
    fn of(check: &'static str, result: Result<String, String>) -> Self {
        match result {
            Ok(seen) => Self { check, verdict: Verdict::Passed, seen },
            Err(seen) => Self { check, verdict: Verdict::Failed, seen },
        }
    }

    fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, seen: why.into() }
    }
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    #[serde(serialize_with = "shown_path")]
    path: Option<PathBuf>,
    fingerprint: String,
    level: &'static str,
    passed: bool,
    checks: Vec<Check>,
    /// What the file lacks, and the like.
    warnings: Vec<String>,
    comparison: Option<Comparison>,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<Outcome, Failure> {
    let named = ModelArgs { model: args.path.clone().or_else(|| args.model.model.clone()) };
    if args.network.pooling == Some(connote::Pooling::None) {
        return Err(Failure::usage("vectors per token are not verified; choose another pooling than `none`"));
    }
    check_bounds(args)?;
    let reference = args.reference.as_deref().map(Reference::read).transpose()?;
    let embedder = model::pack(&named, &args.network, Tuning::new())?;
    let mut checks = checks::all(&embedder, || model::pack(&named, &args.network, Tuning::new()))?;
    let comparison = match &reference {
        None => None,
        Some(reference) => {
            let comparison = comparison::compare(reference, &embedder, (args.mean_cosine, args.min_cosine))?;
            checks.extend(comparison.checks());
            Some(comparison)
        }
    };
    let passed = checks.iter().all(|check| check.verdict != Verdict::Failed);
    let report = Report {
        model: embedder.model().name().to_owned(),
        path: embedder.model().path().map(PathBuf::from),
        fingerprint: embedder.fingerprint(&Options::new())?.to_string(),
        level: connote::Level::chosen().map_err(Failure::usage)?.name(),
        passed,
        checks,
        warnings: embedder.warnings(),
        comparison,
    };
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.json { output.json(&report) } else { write(&mut output, &report) }?;
    output.finish()?;
    Ok(if passed { Outcome::Complete } else { Outcome::SomeRowsFailed })
}

/// Bounds that no cosine could keep or miss check nothing.
fn check_bounds(args: &VerifyArgs) -> Result<(), Failure> {
    for (option, given) in [("--mean-cosine", args.mean_cosine), ("--min-cosine", args.min_cosine)] {
        let Some(cosine) = given else { continue };
        if args.reference.is_none() {
            return Err(Failure::usage(format!("{option} is for --reference FILE, which is not given")));
        }
        if !(-1.0..=1.0).contains(&cosine) {
            return Err(Failure::usage(format!(
                "{option} {cosine}: is no cosine; give a number from -1 to 1"
            )));
        }
    }
    Ok(())
}

fn write(output: &mut Output, report: &Report) -> Result<(), Failure> {
    output
        .line(&format!("{}, fingerprint {}, level {}\n", report.model, report.fingerprint, report.level))?;
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Passed => "passed ",
            Verdict::Failed => "FAILED ",
            Verdict::Skipped => "skipped",
        };
        // Its further lines stand below its name.
        let width = terminal_width().map(|width| width.saturating_sub(11));
        let told = filled(&format!("{}: {}", check.check, check.seen), width);
        output.line(&format!("  {verdict}  {}", told.replace('\n', "\n           ")))?;
    }
    if let Some(comparison) = report.comparison.as_ref().filter(|comparison| !comparison.worst.is_empty()) {
        output.line("\nFarthest from the reference:")?;
        let head = [comparison.unit, "cosine", "ids", "text"].map(str::to_owned);
        let rows: Vec<Vec<String>> = comparison
            .worst
            .iter()
            .map(|one| {
                let ids = match one.same_ids {
                    Some(true) => "same",
                    Some(false) => "DIFFER",
                    None => "-",
                };
                vec![
                    one.line.to_string(),
                    format!("{:.6}", one.cosine),
                    ids.to_owned(),
                    excerpt(&one.text, 60),
                ]
            })
            .collect();
        output.line(&figures(0, &head, &rows))?;
    }
    for warning in &report.warnings {
        output.line(&format!("\n{}", filled(&format!("Warning: {warning}"), terminal_width())))?;
    }
    let failed = report.checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
    let unjudged = report.comparison.as_ref().is_some_and(|comparison| !comparison.judged);
    output.line(&match failed {
        0 if unjudged => "\nAll checks passed, but the reference was not judged: no bound was left that a cosine could miss.".to_owned(),
        0 => "\nAll checks passed.".to_owned(),
        1 => "\nOne check failed: do not use this model's vectors before you know why.".to_owned(),
        more => format!("\n{more} checks failed: do not use this model's vectors before you know why."),
    })
}
