//! Rows become the chunks of their texts, each with the vector that late chunking gives it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take_record_batch;
use bulk::{Chunk, OutputFormat as BulkFormat, Results, Row};
use connote::jsonl::RowError;
use connote::{Embedder, Embedding, ErrorKind, Input, LateChunk, Options, Request, Split};

use super::Place;
use crate::failure::Failure;

/// What the rows of the output have after the columns that come along: the chunk's number in its text, from 0, and its
/// bytes there. Of a text that failed they are null.
const COLUMNS: [&str; 3] = ["chunk", "start", "end"];

/// How texts become chunks with vectors.
pub(super) struct LateChunks<'a> {
    pub(super) embedder: &'a Embedder,
    pub(super) options: &'a Options,
    pub(super) title: Option<&'a str>,
    pub(super) split: Split,
}

/// A row of the output: the chunk's number and where it lies in the text of which row, and its vector.
struct Answer {
    row: usize,
    place: Option<(i64, i64, i64)>,
    input: Result<Input, RowError>,
    embedding: Result<Embedding, RowError>,
}

/// Refuses where chunks cannot be told apart, or the work is cut by rows.
pub(super) fn check(place: &Place, format: Option<BulkFormat>) -> Result<(), Failure> {
    if let Place::Folder(path) = place {
        return Err(Failure::usage(format!(
            "{}: is a folder of parts, and --late-chunks is not done in parts; name a file",
            path.display()
        )));
    }
    if format == Some(BulkFormat::Npy) {
        return Err(Failure::usage(
            "npy has no place for which text a chunk is of; with --late-chunks write jsonl, csv, parquet or arrow",
        ));
    }
    Ok(())
}

/// The columns of the output, from those that come along.
pub(super) fn schema(carried: &SchemaRef) -> Result<SchemaRef, Failure> {
    let mut fields = carried.fields().to_vec();
    for name in COLUMNS {
        if fields.iter().any(|field| field.name() == name) {
            return Err(Failure::usage(format!(
                "--keep {name}: --late-chunks writes a column of this name; rename it in the input"
            )));
        }
        fields.push(Arc::new(Field::new(name, DataType::Int64, true)));
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, carried.metadata().clone())))
}

/// Which chunk of its text a row is, for people; nothing for other rows.
pub(super) fn shown(carried: &RecordBatch, row: usize) -> Option<String> {
    let value = |name: &str| -> Option<i64> {
        let column = carried.column_by_name(name)?.as_any().downcast_ref::<Int64Array>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let [chunk, start, end] = COLUMNS.map(value);
    Some(format!("#{} {}-{}", chunk?, start?, end?))
}

impl LateChunks<'_> {
    /// A row for every chunk of every text; a text that has none, or failed, keeps one that says why.
    pub(super) fn answer(&self, texts: &Chunk) -> Result<(Chunk, Results), Failure> {
        let inputs: Vec<_> = texts.rows.iter().map(|row| row.input_with(self.title)).collect();
        let asked: Vec<Input> = inputs.iter().filter_map(|input| input.as_ref().ok().cloned()).collect();
        let request = Request::new(asked).with(self.options.clone());
        let mut chunked = self.embedder.embed_late_chunks(request, self.split)?.into_iter();
        let mut answers = Vec::new();
        for (number, (row, input)) in texts.rows.iter().zip(inputs).enumerate() {
            let chunks = match &input {
                Err(error) => Err(error.clone()),
                Ok(_) => match chunked.next() {
                    Some(Err(error)) => Err(row.refused(&error)),
                    Some(Ok(chunks)) if !chunks.is_empty() => Ok(chunks),
                    _ => Err(RowError {
                        kind: ErrorKind::NoTokens.name(),
                        message: "the text is white space alone, or what the tokenizer drops, so that it has no chunks".to_owned(),
                    }),
                },
            };
            match (chunks, &input) {
                (Ok(chunks), Ok(text)) => {
                    let answer = |(at, chunk): (usize, LateChunk)| answer(row, number, at, text, chunk);
                    answers.extend(chunks.into_iter().enumerate().map(answer));
                }
                (Err(error), _) => answers.push(failed(number, &input, error)),
                (Ok(_), Err(error)) => answers.push(failed(number, &input, error.clone())),
            }
        }
        self.rows(texts, answers)
    }

    fn rows(&self, texts: &Chunk, answers: Vec<Answer>) -> Result<(Chunk, Results), Failure> {
        let of_rows = UInt64Array::from_iter_values(answers.iter().map(|answer| answer.row as u64));
        let carried = take_record_batch(&texts.carried, &of_rows).map_err(Failure::nothing)?;
        let column = |value: fn((i64, i64, i64)) -> i64| -> ArrayRef {
            Arc::new(answers.iter().map(|answer| answer.place.map(value)).collect::<Int64Array>())
        };
        let own = [column(|place| place.0), column(|place| place.1), column(|place| place.2)];
        let columns = carried.columns().iter().cloned().chain(own).collect();
        let carried = RecordBatch::try_new(schema(&carried.schema())?, columns).map_err(Failure::nothing)?;
        let (mut rows, mut results) = (Vec::with_capacity(answers.len()), Vec::with_capacity(answers.len()));
        for Answer { row, input, embedding, .. } in answers {
            let Row { number, id, place, .. } = &texts.rows[row];
            rows.push(Row { number: *number, id: id.clone(), place: place.clone(), input });
            results.push(embedding);
        }
        Ok((Chunk { rows, carried }, results))
    }
}

fn failed(row: usize, input: &Result<Input, RowError>, error: RowError) -> Answer {
    let input = input.as_ref().map(Input::without_words).map_err(RowError::clone);
    Answer { row, place: None, input, embedding: Err(error) }
}

fn answer(row: &Row, number: usize, at: usize, text: &Input, chunk: LateChunk) -> Answer {
    let LateChunk { bytes, embedding, .. } = chunk;
    // No text is longer than the numbers of a file go.
    let place = (at as i64, bytes.start as i64, bytes.end as i64);
    let input = Ok(text.with_words(text.text().get(bytes).unwrap_or_default()));
    Answer {
        row: number,
        place: Some(place),
        input,
        embedding: embedding.map_err(|error| row.refused(&error)),
    }
}
