//! `connote tokenize`: texts in, token ids out, as `embed` would read them.

use bulk::Row;
use connote::{Error, Input, Model, Options, Token};
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
    offsets: Option<&'a [Option<[usize; 2]>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

/// A text as tokens.
struct Tokenized {
    ids: Vec<u32>,
    /// The bytes of the text that each comes from, where they are asked for.
    offsets: Option<Vec<Option<[usize; 2]>>>,
    truncated: bool,
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
                tokenize(args, &model, &input, &options).map_err(|error| row.refused(&error))
            });
            match prepared {
                Ok(tokenized) => write(&mut output, args, &model, row, &tokenized)?,
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

fn tokenize(
    args: &TokenizeArgs,
    model: &Model,
    input: &Input,
    options: &Options,
) -> Result<Tokenized, Error> {
    let traced = |tokens: Vec<Token>, truncated| {
        let offset = |token: &Token| token.source.bytes().map(|bytes| [bytes.start, bytes.end]);
        let offsets = Some(tokens.iter().map(offset).collect());
        Tokenized { ids: tokens.iter().map(|token| token.id).collect(), offsets, truncated }
    };
    let bare = |ids, truncated| Tokenized { ids, offsets: None, truncated };
    Ok(match (args.offsets, args.full) {
        (true, true) => traced(model.tokens(input, options)?, false),
        (true, false) => {
            let text = model.prepare_tokens(input, options)?;
            traced(text.tokens, text.truncated)
        }
        (false, true) => bare(model.tokenize(input, options)?, false),
        (false, false) => {
            let text = model.prepare(input, options)?;
            bare(text.ids, text.truncated)
        }
    })
}

fn write(
    output: &mut Output,
    args: &TokenizeArgs,
    model: &Model,
    row: &Row,
    Tokenized { ids, offsets, truncated }: &Tokenized,
) -> Result<(), Failure> {
    let piece = |&id: &u32| model.tokenizer().piece(id).map_or_else(String::new, |piece| piece.into_owned());
    if output.format() == OutputFormat::Jsonl {
        return output.json(&TokenizedRow {
            id: &row.id,
            ids,
            pieces: args.pieces.then(|| ids.iter().map(piece).collect()),
            offsets: offsets.as_deref(),
            tokens: args.counts.then_some(ids.len()),
            truncated: args.counts.then_some(*truncated),
        });
    }
    let text = row.input.as_ref().map_or("", |input| input.text());
    let cut = if *truncated { ", cut to fit" } else { "" };
    output.line(&format!("{}  \"{}\"  {} tokens{cut}", row.id, excerpt(text, 60), ids.len()))?;
    let mut pieces: Vec<String> = ids.iter().map(|id| format!("{}:{id}", excerpt(&piece(id), 40))).collect();
    for (piece, bytes) in pieces.iter_mut().zip(offsets.iter().flatten()) {
        if let Some([start, end]) = bytes {
            piece.push_str(&format!("@{start}-{end}"));
        }
    }
    output.line(&format!("   {}", pieces.join(" ")))
}
