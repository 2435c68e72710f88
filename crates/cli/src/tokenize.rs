//! `connote tokenize`: texts in, token ids out, as `embed` would read them.

use bulk::Row;
use connote::Model;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::{OutputFormat, TokenizeArgs};
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::{Output, excerpt};
use crate::rows::Rows;

/// A line of output.
#[derive(Serialize)]
struct TokenizedRow<'a> {
    id: &'a RawValue,
    ids: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    pieces: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

pub(crate) fn run(args: &TokenizeArgs) -> Result<Outcome, Failure> {
    let mut rows = Rows::open(&args.text, &[])?;
    let model = model::open(&args.model)?;
    let options = args.preparation.options();
    model.check_options(&options)?;
    let title = args.preparation.title();
    model::check_title(&model, title, &options, rows.have_tasks())?;
    let mut output = Output::open(&args.output, &rows)?;
    let (mut read, mut failed) = (0, 0);
    while let Some(chunk) = rows.next_chunk()? {
        read += chunk.rows.len() as u64;
        for row in &chunk.rows {
            let prepared = row.input_with(title).and_then(|input| {
                let prepared = match args.full {
                    true => model.tokenize(&input, &options).map(|ids| (ids, false)),
                    false => model.prepare(&input, &options).map(|text| (text.ids, text.truncated)),
                };
                prepared.map_err(|error| row.refused(&error))
            });
            match prepared {
                Ok((ids, truncated)) => write(&mut output, args, &model, row, &ids, truncated)?,
                Err(error) => {
                    failed += 1;
                    output.failed(&row.id, &error)?;
                }
            }
        }
        output.flush()?;
    }
    output.finish()?;
    Ok(Outcome::of_rows(read, failed))
}

fn write(
    output: &mut Output,
    args: &TokenizeArgs,
    model: &Model,
    row: &Row,
    ids: &[u32],
    truncated: bool,
) -> Result<(), Failure> {
    let piece = |&id: &u32| model.tokenizer().piece(id).map_or_else(String::new, |piece| piece.into_owned());
    if output.format() == OutputFormat::Jsonl {
        return output.json(&TokenizedRow {
            id: &row.id,
            ids,
            pieces: args.pieces.then(|| ids.iter().map(piece).collect()),
            tokens: args.counts.then_some(ids.len()),
            truncated: args.counts.then_some(truncated),
        });
    }
    let text = row.input.as_ref().map_or("", |input| input.text());
    let cut = if truncated { ", cut to fit" } else { "" };
    output.line(&format!("{}  \"{}\"  {} tokens{cut}", row.id, excerpt(text, 60), ids.len()))?;
    let pieces: Vec<String> = ids.iter().map(|id| format!("{}:{id}", excerpt(&piece(id), 40))).collect();
    output.line(&format!("   {}", pieces.join(" ")))
}
