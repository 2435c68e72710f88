//! `connote search`: the texts of a collection that are nearest to a query.

mod answer;
mod found;
mod space;

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use bulk::{Answering, Stored};
use clap::Args;
use connote::jsonl::RowError;
use connote::threads::Team;
use index::{Collection, Filter, Plan, Precision};
use serde_json::value::{RawValue, to_raw_value};

use crate::args::{ModelArgs, NetworkArgs, PreparationArgs, TextArgs, TuningArgs};
use crate::cut::Cut;
use crate::failure::{Failure, Outcome};
use crate::rows::Rows;
use answer::Answers;
use found::Found;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  connote search --index notes/ \"how do plants eat\"
  connote search --index notes/ --top 3 --where lang=en --json \"how do plants eat\"
  connote search --index notes/ --precision int8 --rescore 200 -i queries.txt > answers.jsonl
  connote search --index notes/ --vector query.npy

The model is the one that the collection was made with, found by its name and proven by its fingerprint. A query has the task \
`query` where the texts are documents and the model has such a prompt; where they have another task, theirs. Scores are dot \
products, which are cosines for vectors of length 1. All of it: docs/SEARCH.md.

Exit codes: 0 all queries, 3 some failed, 1 none or no collection, 2 wrong use.")]
pub(crate) struct SearchArgs {
    /// The folder of the collection, as `connote index build` made it
    #[arg(long, value_name = "FOLDER")]
    index: PathBuf,
    #[command(flatten)]
    text: TextArgs,
    /// Vectors as queries, of a file that `connote embed` wrote or an npy array of the model's space
    #[arg(long, value_name = "FILE", conflicts_with_all = OF_TEXTS)]
    vector: Option<PathBuf>,
    /// Hits a query
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Only rows with this value in a column (COLUMN=VALUE), another or none (COLUMN!=VALUE), any (COLUMN) or none (!COLUMN);
    /// several must all hold
    #[arg(long = "where", value_name = "FILTER")]
    filters: Vec<Filter>,
    /// What is scanned: f32, f16, int8 or binary [default: the finest that the collection keeps]
    #[arg(long, value_name = "PRECISION")]
    precision: Option<Precision>,
    /// Candidates of an int8 or binary scan that are scored again in f32 or f16; 0 is none [default: where it can, 4 a hit
    /// and at least 40, of binary 20 and 200]
    #[arg(long, value_name = "N")]
    rescore: Option<usize>,
    /// A JSON object a query, also at a terminal
    #[arg(long)]
    json: bool,
    /// A table, also where no terminal is
    #[arg(long, conflicts_with = "json")]
    table: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    preparation: PreparationArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    tuning: TuningArgs,
}

/// What only queries that are texts have a use for: how they are read, prepared and embedded.
const OF_TEXTS: [&str; 24] = [
    "texts",
    "input",
    "input_format",
    "delimiter",
    "text_column",
    "template",
    "id_column",
    "no_ids",
    "title_column",
    "no_titles",
    "task_column",
    "no_tasks",
    "model",
    "task",
    "prompt",
    "title",
    "truncate",
    "max_tokens",
    "plain_text",
    "pooling",
    "weights_per_node",
    "policy",
    "parallelism",
    "preset",
];

pub(crate) fn run(args: &SearchArgs) -> Result<Outcome, Failure> {
    if args.top == 0 {
        return Err(Failure::usage("--top 0 would show nothing; ask for at least 1"));
    }
    let collection = Collection::open(&args.index)?;
    let precision = args.precision.or_else(|| collection.precisions().first().copied());
    let mut plan = collection.plan(precision.unwrap_or(Precision::F32), args.top)?;
    if let (Some(1..), Some(precision)) = (args.rescore, precision.filter(|precision| precision.is_float())) {
        return Err(Failure::usage(format!(
            "--rescore is for scans of int8 or binary, and {precision} is exact; choose --precision, or leave it out"
        )));
    }
    plan.rescore = args.rescore.unwrap_or(plan.rescore);
    plan.filters.clone_from(&args.filters);
    let team = Team::new(args.network.threads);
    // What is wrong with the plan is said before a model is loaded.
    collection.search(&team, &[], &plan)?;
    let mut answers = Answers::to_stdout(&collection, args.json, args.table);
    match &args.vector {
        Some(file) => by_vectors(file, &collection, &team, &plan, &mut answers)?,
        None => by_texts(args, &collection, &team, &plan, &mut answers)?,
    }
    answers.finish()
}

/// Queries are texts, which get their vectors from the collection's model.
fn by_texts(
    args: &SearchArgs,
    collection: &Collection,
    team: &Team,
    plan: &Plan,
    answers: &mut Answers<'_>,
) -> Result<(), Failure> {
    if args.network.pooling == Some(connote::Pooling::None) {
        return Err(Failure::usage(
            "collections are searched by one vector a query; choose another pooling than `none`",
        ));
    }
    crate::model::check_tuning(args.tuning.tuning())?;
    let embedder = space::model_of(collection, &args.model, &args.network, &args.tuning)?;
    let options = space::query_options(collection.space(), &embedder, &args.preparation)?;
    embedder.model().check_options(&options)?;
    let mut rows = Rows::open(&args.text, &[])?;
    let title = args.preparation.title();
    crate::model::check_title(embedder.model(), title, &options, rows.have_tasks())?;
    let mut cut = Cut::to(embedder.model().limit(&options));
    let mut answering = Answering::new(&embedder, options, title, None);
    while let Some(chunk) = rows.next_chunk()? {
        let results = answering.answer(&mut chunk.rows.clone())?;
        let vectors: Vec<Vec<f32>> =
            results.iter().flatten().map(|embedding| embedding.vector.clone()).collect();
        let mut found = Found::of(collection, team, plan, &vectors);
        for (row, result) in chunk.rows.iter().zip(results) {
            match result {
                Ok(embedding) => {
                    cut.add(&embedding);
                    let text = row.input.as_ref().map(|input| input.text()).ok();
                    answers.found(&row.id, text, embedding.truncated, &found.next()?)?;
                }
                Err(error) => answers.failed(&row.id, &error)?,
            }
        }
        answers.flush()?;
    }
    cut.tell("queries");
    Ok(())
}

/// Queries are vectors of a file; where it says what they are, it must be a model of the collection's space.
fn by_vectors(
    file: &Path,
    collection: &Collection,
    team: &Team,
    plan: &Plan,
    answers: &mut Answers<'_>,
) -> Result<(), Failure> {
    let mut stored = Stored::open_whole(file)?;
    space::check_vectors(file, &stored, collection.space())?;
    let dimensions = stored.dimensions();
    while let Some(chunk) = stored.next_chunk()? {
        let values = chunk.vectors.to_f32(dimensions);
        let vectors: Vec<Vec<f32>> = values
            .chunks(dimensions)
            .zip(&chunk.present)
            .filter(|(_, present)| **present)
            .map(|(vector, _)| vector.to_vec())
            .collect();
        let mut found = Found::of(collection, team, plan, &vectors);
        for (id, present) in ids_of(&chunk.carried)?.iter().zip(&chunk.present) {
            if *present {
                answers.found(id, None, false, &found.next()?)?;
            } else {
                let message = format!("{}: this row has no vector, so it asks nothing", file.display());
                answers.failed(id, &RowError { kind: "no_vector", message })?;
            }
        }
        answers.flush()?;
    }
    Ok(())
}

/// The ids of rows, as JSON has them.
fn ids_of(rows: &RecordBatch) -> Result<Vec<Box<RawValue>>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::nothing(format!("the ids of the queries: {error}"));
    let ids = rows.column_by_name("id").ok_or_else(|| failed(&"there are none"))?;
    let texts = cast(ids, &DataType::Utf8).map_err(|error| failed(&error))?;
    let texts = texts.as_string::<i32>();
    let is_number = ids.data_type().is_integer();
    (0..texts.len())
        .map(|row| match texts.is_valid(row) {
            true if is_number => RawValue::from_string(texts.value(row).to_owned()),
            true => to_raw_value(texts.value(row)),
            false => Ok(RawValue::NULL.to_owned()),
        })
        .collect::<Result<_, _>>()
        .map_err(|error| failed(&error))
}
