//! Vectors as bytes, for who asks for them by `Accept`: JSON's digits cost more than the vectors.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use axum::http::{HeaderMap, header};
use connote::jsonl;

use crate::ask::Done;
use crate::fault::Fault;

/// A form of answer that all embedding routes have beside their protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// The protocol's JSON.
    Json,
    /// f32, little-endian, row after row.
    Octets,
    /// An Arrow IPC stream of one batch.
    Arrow,
    /// A line of JSON a text.
    Lines,
}

impl Format {
    /// The one that the client likes best by its `q`, and of equals the first it names; JSON for everything else.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let ranges = accept.flat_map(|accept| accept.split(',')).map(|range| {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            (kind.trim(), liking(parameters))
        });
        let known = |(kind, liking): (&str, f32)| Some((Format::called(kind)?, liking));
        let liked = ranges.filter_map(known).filter(|&(_, liking)| liking > 0.0);
        let best = liked.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Format::Json, |(format, _)| format)
    }

    /// By its media type.
    fn called(kind: &str) -> Option<Self> {
        let all = [Format::Octets, Format::Arrow, Format::Json];
        let lines = is_lines(kind).then_some(Format::Lines);
        lines.or_else(|| all.into_iter().find(|format| format.kind().eq_ignore_ascii_case(kind)))
    }

    /// Its media type.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Octets => "application/octet-stream",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Lines => "application/x-ndjson",
        }
    }
}

/// Whether a media type is one of those that lines of JSON go by.
pub(crate) fn is_lines(kind: &str) -> bool {
    let names = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
    names.iter().any(|name| kind.eq_ignore_ascii_case(name))
}

/// The `q` among the parameters of a media range: from 0, never, to 1, which it is where nothing is said.
fn liking(parameters: &str) -> f32 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok())?
    });
    q.unwrap_or(1.0)
}

/// The bytes of values.
pub(crate) fn little_endian<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
    values.into_iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// All rows, one after the other.
pub(crate) fn octets(done: &Done) -> Vec<u8> {
    little_endian(done.embeddings.iter().flat_map(|one| &one.vector))
}

/// A line a text, whose id is its index.
pub(crate) fn lines(done: &Done, per_token: bool) -> Result<Vec<u8>, Fault> {
    let mut lines = Vec::new();
    for (index, embedding) in done.embeddings.iter().enumerate() {
        jsonl::write(&mut lines, &jsonl::numbered(index), Ok(embedding), per_token)
            .map_err(|error| Fault::internal(format!("the answer cannot be written: {error}")))?;
    }
    Ok(lines)
}

/// A row a text: `embedding`, `tokens`, `truncated`. Where a text has a vector a token, `embedding` is a list of them.
pub(crate) fn arrow(done: &Done, fingerprint: &str, per_token: bool) -> Result<Vec<u8>, Fault> {
    stream(done, fingerprint, per_token)
        .map_err(|error| Fault::internal(format!("the answer cannot be written: {error}")))
}

fn stream(done: &Done, fingerprint: &str, per_token: bool) -> Result<Vec<u8>, ArrowError> {
    // Where there is no text, readers still find columns of the width they know.
    let whole = || done.served.embedder.dimensions();
    let dimensions = done.embeddings.first().map_or_else(whole, |one| one.dimensions);
    let size =
        i32::try_from(dimensions).map_err(|_| ArrowError::InvalidArgumentError("too wide".to_owned()))?;
    let item = || Arc::new(Field::new("item", DataType::Float32, false));
    let vector = || FixedSizeListBuilder::new(Float32Builder::new(), size).with_field(item());
    let embedding: ArrayRef = if per_token {
        let rows = Arc::new(Field::new("item", DataType::FixedSizeList(item(), size), false));
        let mut texts = ListBuilder::new(vector()).with_field(rows);
        for one in &done.embeddings {
            for row in one.rows() {
                texts.values().values().append_slice(row);
                texts.values().append(true);
            }
            texts.append(true);
        }
        Arc::new(texts.finish())
    } else {
        let mut texts = vector();
        for one in &done.embeddings {
            texts.values().append_slice(&one.vector);
            texts.append(true);
        }
        Arc::new(texts.finish())
    };
    let tokens = done.embeddings.iter().map(|one| u32::try_from(one.tokens).unwrap_or(u32::MAX));
    let truncated: Vec<bool> = done.embeddings.iter().map(|one| one.truncated).collect();
    let fields = vec![
        Field::new("embedding", embedding.data_type().clone(), false),
        Field::new("tokens", DataType::UInt32, false),
        Field::new("truncated", DataType::Boolean, false),
    ];
    let told = [("fingerprint", fingerprint), ("model", &done.served.name)];
    let metadata: HashMap<String, String> =
        told.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    let tokens: ArrayRef = Arc::new(UInt32Array::from_iter_values(tokens));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![embedding, tokens, Arc::new(BooleanArray::from(truncated))],
    )?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_best_liked_form_of_answer_is_chosen() {
        for (accept, wanted) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("text/html, application/xml;q=0.9", Format::Json),
            ("application/octet-stream", Format::Octets),
            ("Application/Octet-Stream", Format::Octets),
            ("application/octet-stream;q=0.1, application/json", Format::Json),
            ("application/json;q=0.5, application/octet-stream ; Q = 0.8", Format::Octets),
            ("application/json, application/octet-stream", Format::Json),
            ("application/octet-stream;q=0", Format::Json),
            ("application/vnd.apache.arrow.stream;x=y;q=0.2, */*;q=0.1", Format::Arrow),
        ] {
            let headers = [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(Format::of(&headers), wanted, "{accept}");
        }
        let two = ["application/json;q=0.3", "application/octet-stream"];
        let headers =
            two.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept))).into_iter().collect();
        assert_eq!(Format::of(&headers), Format::Octets);
    }
}
