//! `connote eval`: how well a model's likeness agrees with people's.

mod correlation;
mod pairs;

use clap::{Args, Subcommand};
use connote::{Embedder, Input, Options, Request, cosine_similarity};
use serde::Serialize;

use crate::args::{ModelArgs, OutputFormat, PreparationArgs, VectorArgs};
use crate::bench::figures;
use crate::cut::Cut;
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::Output;
use crate::say::say;
use correlation::{Interval, pearson, spearman};
use pairs::{Columns, Pair, PairFormat, Pairs};

/// What to measure.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  connote eval sts sts15-images.tsv sts15-headlines.tsv")]
pub(crate) enum EvalCommand {
    /// Semantic textual similarity: pairs of sentences with scores that people gave
    Sts(StsArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Files ending in .csv are CSV, all others and standard input (`-`) are separated by tabs, without quotes; --input-format says \
otherwise. Where the first row has no number as its score it is a \
header, and columns go by name; else they are score, first and second sentence, in this order.

The figure that papers give is Spearman's correlation of cosines and scores; its interval holds the true value with 95% confidence, \
nearly (Fisher's z with the standard error of Bonett and Wright 2000; the fewer the pairs and the nearer to 1, the less so). A \
correlation of 1 or -1 has none (null in JSON): z is infinite there.

Examples:
  connote eval sts sts15-images.tsv sts15-headlines.tsv
  connote eval sts stsbenchmark.csv --first-column sentence_a --second-column sentence_b --json
  grep -v '^#' pairs.tsv | connote eval sts -")]
pub(crate) struct StsArgs {
    /// Files of pairs; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<std::path::PathBuf>,
    /// What the files are, whatever their names end in
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<PairFormat>,
    /// The column of scores, where there is a header; or all three columns by number, from 1 on
    #[arg(long, value_name = "NAME", default_value = "score")]
    score_column: String,
    /// The column of first sentences
    #[arg(long, value_name = "NAME", default_value = "sentence1")]
    first_column: String,
    /// The column of second sentences
    #[arg(long, value_name = "NAME", default_value = "sentence2")]
    second_column: String,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    preparation: PreparationArgs,
    #[command(flatten)]
    vector: VectorArgs,
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    /// `sts`.
    eval: &'static str,
    model: String,
    fingerprint: String,
    files: Vec<Agreement>,
    /// Of the files, each counting alike.
    mean_spearman: f64,
}

/// How far cosines and scores of a file agree.
#[derive(Debug, Serialize)]
struct Agreement {
    file: String,
    pairs: usize,
    /// Pairs that could not be read or embedded.
    failed: usize,
    /// Texts of the pairs that were cut to fit.
    truncated: u64,
    spearman: Interval,
    pearson: Interval,
}

pub(crate) fn run(command: &EvalCommand) -> Result<Outcome, Failure> {
    let EvalCommand::Sts(args) = command;
    let mut options = args.preparation.options();
    if let Some(dimensions) = args.vector.dimensions {
        options = options.dimensions(dimensions);
    }
    if args.vector.network.pooling == Some(connote::Pooling::None) {
        return Err(Failure::usage(
            "pairs are compared by one vector each; choose another pooling than `none`",
        ));
    }
    let columns =
        Columns { score: &args.score_column, first: &args.first_column, second: &args.second_column };
    if args.files.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Failure::usage("`-` is given twice; standard input can be read once"));
    }
    // All files first: a wrong name should not cost the time of those before it.
    let files = args
        .files
        .iter()
        .map(|path| Pairs::read(path, args.input_format, &columns))
        .collect::<Result<Vec<_>, _>>()?;
    let embedder = model::load(&args.model, &args.vector.network, args.vector.tuning.tuning())?;
    embedder.model().check_options(&options)?;
    model::check_title(embedder.model(), args.preparation.title(), &options, false)?;
    let agreements = files
        .iter()
        .map(|pairs| agreement(&embedder, &options, args.preparation.title(), pairs))
        .collect::<Result<Vec<_>, _>>()?;
    let mean = agreements.iter().map(|file| file.spearman.value).sum::<f64>() / agreements.len() as f64;
    let failed = agreements.iter().any(|file| file.failed > 0);
    let report = Report {
        eval: "sts",
        model: embedder.model().name().to_owned(),
        fingerprint: embedder.fingerprint(&options)?.to_string(),
        files: agreements,
        mean_spearman: mean,
    };
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.json { output.json(&report) } else { write(&mut output, &report) }?;
    output.finish()?;
    Ok(if failed { Outcome::SomeRowsFailed } else { Outcome::Complete })
}

/// Pairs that are embedded in one call.
const TOGETHER: usize = 512;

fn agreement(
    embedder: &Embedder,
    options: &Options,
    title: Option<&str>,
    pairs: &Pairs,
) -> Result<Agreement, Failure> {
    let (mut scores, mut cosines, mut failed) = (Vec::new(), Vec::new(), pairs.unreadable.len());
    let mut cut = Cut::to(embedder.model().limit(options));
    for complaint in &pairs.unreadable {
        say(format_args!("connote: {complaint}"));
    }
    let input = |text: &str| match title {
        Some(title) => Input::new(text).title(title),
        None => Input::new(text),
    };
    for some in pairs.pairs.chunks(TOGETHER) {
        let texts: Vec<Input> =
            some.iter().flat_map(|pair| [input(&pair.first), input(&pair.second)]).collect();
        let results = embedder.embed_each(Request::new(texts).with(options.clone()))?;
        for (Pair { line, score, .. }, results) in some.iter().zip(results.as_chunks::<2>().0) {
            match results {
                [Ok(first), Ok(second)] => {
                    cut.add(first);
                    cut.add(second);
                    scores.push(*score);
                    cosines.push(f64::from(cosine_similarity(&first.vector, &second.vector)));
                }
                [Err(error), _] | [_, Err(error)] => {
                    failed += 1;
                    say(format_args!("connote: {}, line {line}: {}", pairs.file, error.message()));
                }
            }
        }
    }
    cut.tell(&format!("{}: texts", pairs.file));
    let of = |name: &str, value: Option<Interval>| {
        value.ok_or_else(|| {
            Failure::nothing(format!(
                "{}: {} pairs have no {name} correlation: there must be four, and neither scores nor cosines all equal",
                pairs.file,
                scores.len()
            ))
        })
    };
    Ok(Agreement {
        file: pairs.file.clone(),
        pairs: scores.len(),
        failed,
        truncated: cut.count(),
        spearman: of("rank", spearman(&scores, &cosines))?,
        pearson: of("linear", pearson(&scores, &cosines))?,
    })
}

fn write(output: &mut Output, report: &Report) -> Result<(), Failure> {
    output.line(&format!("{}, fingerprint {}\n", report.model, report.fingerprint))?;
    let shown = |of: &Interval| {
        let interval = match (of.low, of.high) {
            (Some(low), Some(high)) => format!("{low:.3} to {high:.3}"),
            _ => "none".to_owned(),
        };
        [format!("{:.5}", of.value), interval]
    };
    let head = ["file", "pairs", "failed", "Spearman", "95%", "Pearson", "95%"];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for file in &report.files {
        let mut row = vec![file.file.clone(), file.pairs.to_string(), file.failed.to_string()];
        row.extend(shown(&file.spearman));
        row.extend(shown(&file.pearson));
        rows.push(row);
    }
    if report.files.len() > 1 {
        let mut row =
            vec!["mean".to_owned(), String::new(), String::new(), format!("{:.5}", report.mean_spearman)];
        row.resize(head.len(), String::new());
        rows.push(row);
    }
    output.line(&figures(1, &head.map(str::to_owned), &rows))?;
    let mut all = report.files.iter().flat_map(|file| [&file.spearman, &file.pearson]);
    if all.any(|one| one.low.is_none()) {
        output.line("\nA correlation of 1 or -1 has no interval: pairs in perfect order, as few are by chance, do not tell how far off the true one is.")?;
    }
    Ok(())
}
