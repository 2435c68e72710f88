//! `connote bench search`: scans of a collection beside the time that memory takes to give the same bytes.

use std::hint::black_box;
use std::path::PathBuf;

use clap::Args;
use connote::kernels::{Aligned, Kernels, Level};
use connote::threads::Team;
use index::{Builder, Collection, ColumnKind, Hit, Plan, Precision, Scheme, Space, Values, Vectors};
use serde::Serialize;

use super::args::FormArgs;
use super::machine::Machine;
use super::table::{figures, number};
use super::timing::{Bounds, Figure, seconds, try_seconds};
use crate::args::OutputFormat;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --index it makes a collection of random vectors, of all precisions, in the folder for temporary files. Memory's time \
is that of reading as many bytes by as many threads: the better of the file's own and of a copy in large pages. Recall is how many of the exact 10 best a scan finds, \
for vectors of the collection itself, which are left out of their own answers; those as good as the tenth count.

Examples:
  connote bench search --rows 20000 --dimensions 384 --quick
  connote bench search --index notes/ --queries 1000")]
pub(crate) struct SearchBenchArgs {
    /// A collection, with f32 or f16 for recall
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["rows", "dimensions"])]
    index: Option<PathBuf>,
    /// Random vectors
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
    /// Values a random vector
    #[arg(long, value_name = "N", default_value_t = 768, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    dimensions: u32,
    /// Queries that recall is the mean of
    #[arg(long, value_name = "N", default_value_t = 200)]
    queries: usize,
    /// Threads; 0 is as many as this process may use
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    form: FormArgs,
}

/// The document of `connote bench search --json`.
#[derive(Debug, Serialize)]
struct Report {
    /// `search`.
    bench: &'static str,
    machine: Machine,
    level: &'static str,
    threads: usize,
    rows: usize,
    dimensions: usize,
    /// Queries of the means of recall.
    queries: usize,
    searches: Vec<Search>,
}

/// One way to find the 10 best.
#[derive(Debug, Serialize)]
struct Search {
    precision: &'static str,
    /// Candidates that are scored again.
    rescore: usize,
    /// Bytes that the scan reads.
    bytes: usize,
    /// Milliseconds of a query by itself.
    milliseconds: Figure,
    /// Milliseconds of a query among 16.
    milliseconds_of_16: Figure,
    /// Milliseconds of reading the same bytes.
    memory_milliseconds: Figure,
    /// Best by best.
    times_memory: f64,
    /// Of 10, for queries of the collection; none without f32 or f16.
    recall_at_10: Option<f64>,
}

pub(crate) fn run(args: &SearchBenchArgs) -> Result<Outcome, Failure> {
    let folder;
    let collection = match &args.index {
        Some(path) => Collection::open(path)?,
        None => {
            folder = tempfile::tempdir()
                .map_err(|error| Failure::nothing(format!("no folder for a random collection: {error}")))?;
            random(folder.path(), args.rows as usize, args.dimensions as usize)?
        }
    };
    if collection.rows() == 0 {
        return Err(Failure::usage("the collection has no vectors; name another"));
    }
    let team = Team::new(args.threads);
    let exact = Exact::of(&collection, &team, args.queries)?;
    let bounds = if args.form.quick { Bounds::new(100, 3) } else { Bounds::new(1000, 7) };
    let mut searches = Vec::new();
    for &precision in collection.precisions() {
        let plan = collection.plan(precision, 10)?;
        if plan.rescore > 0 {
            let without = Plan { rescore: 0, ..plan.clone() };
            searches.push(measure(&collection, &team, &without, &exact, bounds)?);
        }
        searches.push(measure(&collection, &team, &plan, &exact, bounds)?);
    }
    let report = Report {
        bench: "search",
        machine: Machine::look(),
        level: Level::chosen().map_err(Failure::usage)?.name(),
        threads: team.threads(),
        rows: collection.rows(),
        dimensions: collection.dimensions(),
        queries: exact.answers.len(),
        searches,
    };
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.form.json { output.json(&report) } else { write(&mut output, &report) }?;
    output.finish()?;
    Ok(Outcome::Complete)
}

/// Queries of the collection itself, and their exact answers.
struct Exact {
    queries: Vec<Vec<f32>>,
    /// The row of each, and the score of its tenth neighbour.
    answers: Vec<(usize, Vec<Hit>)>,
}

impl Exact {
    fn of(collection: &Collection, team: &Team, count: usize) -> Result<Self, Failure> {
        let finest = collection.precisions().first().copied().unwrap_or(Precision::F32);
        let count = count.clamp(1, collection.rows());
        if !finest.is_float() {
            // Times need a query; there is nothing to compare answers with.
            return Ok(Self { queries: vec![vec![1.0; collection.dimensions()]; 16], answers: Vec::new() });
        }
        let rows: Vec<usize> = (0..count).map(|query| query * collection.rows() / count).collect();
        let queries = rows.iter().map(|row| collection.vector(*row)).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan { top: 11, ..Plan::new(finest) };
        let found = collection.search(team, &queries, &plan)?;
        let answers = rows.iter().zip(found).map(|(row, hits)| (*row, others(*row, hits))).collect();
        Ok(Self { queries, answers })
    }

    /// The mean part of the exact answers that a plan finds.
    fn recall(&self, collection: &Collection, team: &Team, plan: &Plan) -> Result<Option<f64>, Failure> {
        if self.answers.is_empty() || collection.rows() < 2 {
            return Ok(None);
        }
        let plan = Plan { top: 11, ..plan.clone() };
        let found = collection.search(team, &self.queries, &plan)?;
        let mut sum = 0.0;
        for ((query, (row, exact)), hits) in self.queries.iter().zip(&self.answers).zip(found) {
            let tenth = match exact.last() {
                Some(hit) => dot(query, &collection.vector(hit.row)?),
                None => continue,
            };
            let mut good = 0;
            for hit in others(*row, hits) {
                let listed = exact.iter().any(|other| other.row == hit.row);
                // Texts that are there twice have equal vectors: either is right.
                if listed || dot(query, &collection.vector(hit.row)?) >= tenth {
                    good += 1;
                }
            }
            sum += f64::from(good) / exact.len() as f64;
        }
        Ok(Some(sum / self.answers.len() as f64))
    }
}

/// The ten best without the query itself.
fn others(row: usize, mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.retain(|hit| hit.row != row);
    hits.truncate(10);
    hits
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn measure(
    collection: &Collection,
    team: &Team,
    plan: &Plan,
    exact: &Exact,
    bounds: Bounds,
) -> Result<Search, Failure> {
    let stored = collection.stored(plan.precision)?;
    let one = &exact.queries[..1];
    let many: Vec<Vec<f32>> = exact.queries.iter().cycle().take(16).cloned().collect();
    let search = |queries: &[Vec<f32>]| collection.search(team, queries, plan).map(black_box);
    // Read, searched and read again, so that the clock rate is that of the same seconds.
    let before = memory_seconds(team, stored, bounds)?;
    let single = try_seconds(bounds, || search(one).map(drop))?;
    let after = memory_seconds(team, stored, bounds)?;
    let of_16 = try_seconds(bounds, || search(&many).map(drop))?;
    let memory = better(before, after);
    let milliseconds = |seconds: f64| seconds * 1e3;
    Ok(Search {
        precision: plan.precision.name(),
        rescore: plan.rescore,
        bytes: stored.len(),
        milliseconds: single.map(milliseconds),
        milliseconds_of_16: of_16.map(|seconds| milliseconds(seconds) / 16.0),
        memory_milliseconds: memory.map(milliseconds),
        times_memory: single.best / memory.best,
        recall_at_10: exact.recall(collection, team, plan)?,
    })
}

/// Seconds that reading takes: the better of adding up the very bytes of the scan, and as many that lie in memory of
/// this process, which the system may have given in large pages.
fn memory_seconds(team: &Team, bytes: &[u8], bounds: Bounds) -> Result<Figure, Failure> {
    let level = Level::chosen().map_err(Failure::usage)?;
    let Some(kernels) = Kernels::of(level) else { unreachable!("a level that was chosen") };
    let mapped = bytemuck::cast_slice::<u8, u64>(&bytes[..bytes.len() / 8 * 8]);
    let mapped_seconds = seconds(bounds, || read(kernels, team, mapped));
    let mut own = Aligned::<f32>::in_large_pages(2 * mapped.len());
    own.copy_from_slice(bytemuck::cast_slice(mapped));
    let own = bytemuck::cast_slice(&own);
    Ok(better(mapped_seconds, seconds(bounds, || read(kernels, team, own))))
}

fn better(a: Figure, b: Figure) -> Figure {
    if a.best < b.best { a } else { b }
}

/// Reads all words, in parts as a scan has.
fn read(kernels: &Kernels, team: &Team, words: &[u64]) {
    let parts = team.threads() * 8;
    team.run(parts, &|part| {
        let mut sums = [0; 8];
        (kernels.read_words)(&words[part * words.len() / parts..(part + 1) * words.len() / parts], &mut sums);
        black_box(sums);
    });
}

/// Random directions, the same in every run.
fn random(folder: &std::path::Path, rows: usize, dimensions: usize) -> Result<Collection, Failure> {
    let scheme = Scheme {
        space: Space { model: "random".to_owned(), dimensions, normalized: true, ..Space::default() },
        precisions: Precision::ALL.to_vec(),
        columns: vec![("id".to_owned(), ColumnKind::Integer)],
    };
    let mut builder = Builder::create(folder, scheme)?;
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    while builder.rows() < rows {
        let count = (rows - builder.rows()).min(1024);
        let mut values = Vec::with_capacity(count * dimensions);
        for _ in 0..count {
            let begin = values.len();
            for _ in 0..dimensions {
                // The sum of four even numbers is near a normal one.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let sum: u32 = (state >> 16).to_le_bytes()[..4].iter().map(|byte| u32::from(*byte)).sum();
                values.push(sum as f32 - 510.0);
            }
            let length = dot(&values[begin..], &values[begin..]).sqrt().max(f32::MIN_POSITIVE);
            values[begin..].iter_mut().for_each(|value| *value /= length);
        }
        let ids: Vec<Option<i64>> =
            (builder.rows()..builder.rows() + count).map(|row| Some(row as i64)).collect();
        builder.push(Vectors::F32(&values), &[Values::Integers(&ids)])?;
    }
    builder.finish()?;
    Ok(Collection::open(folder)?)
}

fn write(output: &mut Output, report: &Report) -> Result<(), Failure> {
    output.line(&report.machine.report(&[]))?;
    output.line(&format!(
        "\n10 best of {} vectors of {} values; level {}, {} threads; recall over {} queries\n",
        report.rows, report.dimensions, report.level, report.threads, report.queries
    ))?;
    let head = ["scan", "rescored", "MB", "ms best", "median", "of 16", "memory ms", "times", "recall"];
    let rows: Vec<Vec<String>> = report
        .searches
        .iter()
        .map(|search| {
            vec![
                search.precision.to_owned(),
                search.rescore.to_string(),
                number(search.bytes as f64 / 1e6),
                number(search.milliseconds.best),
                number(search.milliseconds.median),
                number(search.milliseconds_of_16.best),
                number(search.memory_milliseconds.best),
                number(search.times_memory),
                search.recall_at_10.map_or_else(|| "-".to_owned(), |recall| format!("{recall:.4}")),
            ]
        })
        .collect();
    output.line(&figures(1, &head.map(str::to_owned), &rows))
}
