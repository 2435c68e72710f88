//! `connote embed`: texts in, vectors out, in constant memory.

use std::time::Instant;

use connote::jsonl::RowError;
use connote::{Embedder, Embedding, Input, Options, Request};

use crate::args::{EmbedArgs, OutputFormat};
use crate::failure::{Failure, Outcome};
use crate::input::{Row, Rows};
use crate::model;
use crate::output::{Output, excerpt};
use crate::progress::Progress;
use crate::say::say;
use crate::spaces::Spaces;

pub(crate) fn run(args: &EmbedArgs) -> Result<Outcome, Failure> {
    let mut options = args.preparation.options().normalize(!args.no_normalize);
    if let Some(dimensions) = args.vector.dimensions {
        options = options.dimensions(dimensions);
    }
    let mut rows = Rows::open(&args.text)?;
    let start = Instant::now();
    let embedder = model::load(&args.model, &args.vector.network, args.vector.tuning.tuning())?;
    // What no text can satisfy is refused before anything is written.
    embedder.model().check_options(&options)?;
    let title = args.preparation.title();
    model::check_title(embedder.model(), title, &options, rows.are_json())?;
    let mut output = Output::open(&args.output, &rows)?;
    let mut progress = Progress::new(start.elapsed(), args.text.texts.is_empty(), output.is_terminal());
    // Now, while the model's file is surely there: hashing it later could meet another.
    let mut spaces = if args.quiet { None } else { Some(Spaces::new(&embedder, &options)?) };
    let (mut failed, mut explain) = (0, args.explain);
    loop {
        let chunk = rows.next_chunk()?;
        if chunk.is_empty() {
            break;
        }
        progress.begin();
        let chunk = with_title(chunk, title);
        if std::mem::take(&mut explain) {
            let inputs = chunk.iter().filter_map(|row| row.input.as_ref().ok());
            // One that cannot be prepared is not computed either.
            let lengths =
                inputs.filter_map(|input| Some(embedder.model().prepare(input, &options).ok()?.ids.len()));
            say(format_args!("{}", embedder.explain(&lengths.collect::<Vec<_>>())));
        }
        let results = embed_rows(&embedder, &options, &chunk)?;
        let mut tokens = 0;
        for (row, result) in chunk.iter().zip(&results) {
            match result {
                Ok(embedding) => {
                    tokens += embedding.tokens;
                    if let (Some(spaces), Ok(input)) = (&mut spaces, &row.input) {
                        spaces.add(input)?;
                    }
                    write(&mut output, &embedder, row, embedding)?;
                }
                Err(error) => {
                    failed += 1;
                    output.failed(&row.id, error)?;
                }
            }
        }
        output.flush()?;
        if !args.quiet {
            progress.advance(chunk.len(), tokens, rows.progress());
        }
    }
    output.finish()?;
    if let Some(spaces) = spaces {
        progress.finish(failed, &spaces.told());
    }
    Ok(if failed == 0 { Outcome::Complete } else { Outcome::SomeRowsFailed })
}

/// Gives rows without a title the one of the command line.
pub(crate) fn with_title(mut rows: Vec<Row>, title: Option<&str>) -> Vec<Row> {
    if let Some(title) = title {
        for row in &mut rows {
            if let Ok(input) = &mut row.input {
                *input = std::mem::take(input).title_if_none(title);
            }
        }
    }
    rows
}

/// A result for every row; those that could not be read keep their error.
pub(crate) fn embed_rows(
    embedder: &Embedder,
    options: &Options,
    rows: &[Row],
) -> Result<Vec<Result<Embedding, RowError>>, Failure> {
    let inputs: Vec<Input> = rows.iter().filter_map(|row| row.input.as_ref().ok().cloned()).collect();
    let mut results = embedder.embed_each(Request::new(inputs).with(options.clone()))?.into_iter();
    let lost = || RowError { kind: "internal", message: "the row was not computed".to_owned() };
    let one = |row: &Row| match &row.input {
        Err(error) => Err(error.clone()),
        Ok(_) => results.next().ok_or_else(lost)?.map_err(|error| row.refused(&error)),
    };
    Ok(rows.iter().map(one).collect())
}

fn write(output: &mut Output, embedder: &Embedder, row: &Row, embedding: &Embedding) -> Result<(), Failure> {
    let per_token = embedder.pooling() == connote::Pooling::None;
    if output.format() == OutputFormat::Text {
        return write_for_people(output, row, embedding);
    }
    output.embedded(&row.id, embedding, per_token)
}

/// The text, what became of it, and the first values.
fn write_for_people(output: &mut Output, row: &Row, embedding: &Embedding) -> Result<(), Failure> {
    let text = row.input.as_ref().map_or("", |input| input.text());
    let cut = if embedding.truncated { ", cut to fit" } else { "" };
    let count = match embedding.rows().len() {
        1 => format!("{} values", embedding.dimensions),
        rows => format!("{rows} vectors of {} values", embedding.dimensions),
    };
    output.line(&format!(
        "{}  \"{}\"  {} tokens{cut}, {count}",
        row.id,
        excerpt(text, 60),
        embedding.tokens
    ))?;
    for vector in embedding.rows() {
        let shown: Vec<String> = vector.iter().take(6).map(|value| format!("{value:+.4}")).collect();
        let more = if vector.len() > 6 { " …" } else { "" };
        output.line(&format!("   [{}{more}]", shown.join(" ")))?;
    }
    Ok(())
}
