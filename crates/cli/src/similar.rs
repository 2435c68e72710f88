//! `connote similar`: texts ranked by their likeness to a query.

use bulk::Answering;
use connote::{Input, Options, Request, cosine_similarity};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::{OutputFormat, SimilarArgs};
use crate::cut::Cut;
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::{Output, excerpt};
use crate::rows::Rows;
use crate::say::say;

/// A line of output, the most alike first.
#[derive(Serialize)]
struct Ranked {
    id: Box<RawValue>,
    score: f32,
    truncated: bool,
    text: String,
}

pub(crate) fn run(args: &SimilarArgs) -> Result<Outcome, Failure> {
    if args.vector.network.pooling == Some(connote::Pooling::None) {
        return Err(Failure::usage(
            "texts can only be compared by one vector each; choose another pooling than `none`",
        ));
    }
    if args.top == Some(0) {
        return Err(Failure::usage("--top 0 would show nothing; leave it out to see all texts"));
    }
    let with_dimensions = |options: Options| match args.vector.dimensions {
        Some(dimensions) => options.dimensions(dimensions),
        None => options,
    };
    let options = with_dimensions(args.preparation.options());
    let text_options = match &args.text_task {
        Some(task) => with_dimensions(args.preparation.with_task(task).options()),
        None => options.clone(),
    };
    let mut rows = Rows::open(&args.text, &[])?;
    let embedder = model::load(&args.model, &args.vector.network, args.vector.tuning.tuning())?;
    embedder.model().check_options(&text_options)?;
    let title = args.preparation.title();
    model::check_title(embedder.model(), title, &text_options, rows.have_tasks())?;
    let mut output = Output::open(&args.output, &rows)?;
    let mut cut_query = Cut::to(embedder.model().limit(&options));
    let query = embedder.embed(Request::new([Input::new(&args.query)]).with(options))?;
    cut_query.add(&query[0]);
    cut_query.tell("queries");
    let query = &query[0].vector;

    let mut ranked: Vec<Ranked> = Vec::new();
    let (mut read, mut failed) = (0, 0);
    let mut cut = Cut::to(embedder.model().limit(&text_options));
    let mut answering = Answering::new(&embedder, text_options, title, None);
    while let Some(chunk) = rows.next_chunk()? {
        read += chunk.rows.len() as u64;
        let results = answering.answer(&mut chunk.rows.clone())?;
        for (row, result) in chunk.rows.into_iter().zip(results) {
            match (row.input, result) {
                (Ok(input), Ok(embedding)) => {
                    cut.add(&embedding);
                    ranked.push(Ranked {
                        id: row.id,
                        score: cosine_similarity(query, &embedding.vector),
                        truncated: embedding.truncated,
                        text: input.text().to_owned(),
                    });
                }
                (_, Err(error)) | (Err(error), _) => {
                    failed += 1;
                    output.failed(&row.id, &error)?;
                }
            }
        }
        // Only what can still be shown is kept.
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
        ranked.truncate(args.top.unwrap_or(usize::MAX));
    }
    if read == 0 {
        say(format_args!("connote: there are no texts to compare the query with"));
    }
    for one in &ranked {
        match output.format() {
            OutputFormat::Jsonl => output.json(one)?,
            OutputFormat::Text => {
                let mark = if one.truncated { " (cut)" } else { "" };
                output.line(&format!("{:+.4}  {}  {}{mark}", one.score, one.id, excerpt(&one.text, 90)))?
            }
        }
    }
    cut.tell("texts");
    output.finish()?;
    Ok(Outcome::of_rows(read, failed))
}
