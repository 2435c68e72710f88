//! JSONL and CSV files of vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use index::Precision;
use serde::de::DeserializeOwned;

use super::records::{Record, Records, Value};
use super::{CHUNK_ROWS, Facts, Shape, StoredChunk, Vectors, dimensions_of, wrong};
use crate::error::Error;
use crate::numbers::Number;
use crate::sink::OutputFormat;

/// More columns than any table has are objects with keys of their own.
const MOST_COLUMNS: usize = 1000;

/// A file of lines, from row to row.
pub(super) struct StoredLines {
    path: PathBuf,
    records: Records,
    /// `id` first.
    columns: Vec<Column>,
    shape: Shape,
    width: usize,
    /// The number of the first row, where rows have no ids.
    first: u64,
    done: u64,
}

struct Column {
    name: String,
    kind: Kind,
}

/// What all values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Number(Number),
    /// Strings as they are, and everything else as JSON.
    Text,
}

impl StoredLines {
    /// Reads the file once, to know what its columns hold.
    pub(super) fn open(path: &Path, format: OutputFormat, facts: &Facts) -> Result<Self, Error> {
        let description = facts.description.as_ref();
        let precision = description.map_or(Precision::F32, |described| described.precision);
        let mut records = Records::open(path, format, facts.known.as_ref())?;
        let mut columns = vec![Column { name: "id".to_owned(), kind: Kind::Null }];
        let (mut width, mut rows) = (None, 0_i64);
        while let Some(record) = records.next()? {
            let numbered = || Value::Json(rows.to_string());
            columns[0].add(Kind::of_id(&record.id.clone().unwrap_or_else(numbered), format));
            for (name, value) in &record.carried {
                // Only JSON tells numbers from text.
                let kind = if format == OutputFormat::Csv { Kind::Text } else { Kind::of(value) };
                match columns.iter().skip(1).position(|column| column.name == *name) {
                    Some(place) => columns[place + 1].add(kind),
                    None if columns.len() <= MOST_COLUMNS => {
                        columns.push(Column { name: name.clone(), kind })
                    }
                    None => return Err(wrong(path, format_args!("it has more than {MOST_COLUMNS} columns"))),
                }
            }
            if let (None, Some(_)) = (width, &record.embedding) {
                let mut first = Vectors::new(precision);
                width = Some(push(path, &mut first, &record)?);
            }
            rows += 1;
        }
        let width = width.filter(|&width| width > 0).ok_or_else(|| wrong(path, "it has no vectors"))?;
        let shape = Shape { precision, dimensions: dimensions_of(width, precision, description) };
        Ok(Self {
            path: path.to_owned(),
            records: Records::open(path, format, None)?,
            columns,
            shape,
            width,
            first: 0,
            done: 0,
        })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    pub(super) fn number_from(&mut self, first: u64) {
        self.first = first;
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<StoredChunk>, Error> {
        let mut values: Vec<Vec<Option<Value>>> = self.columns.iter().map(|_| Vec::new()).collect();
        let (mut vectors, mut present) = (Vectors::new(self.shape.precision), Vec::new());
        while present.len() < CHUNK_ROWS {
            let Some(record) = self.records.next()? else { break };
            match &record.embedding {
                None => vectors.push_absent(self.shape.dimensions),
                Some(_) => {
                    let width = push(&self.path, &mut vectors, &record)?;
                    if width != self.width {
                        let what =
                            format_args!("line {}: {width} values, others have {}", record.line, self.width);
                        return Err(wrong(&self.path, what));
                    }
                }
            }
            present.push(record.embedding.is_some());
            let id = record.id.unwrap_or_else(|| Value::Json((self.first + self.done).to_string()));
            values[0].push(Some(id));
            for (name, value) in record.carried {
                if let Some(at) = self.columns.iter().skip(1).position(|column| column.name == name) {
                    values[at + 1].resize(present.len(), None);
                    values[at + 1][present.len() - 1] = Some(value);
                }
            }
            self.done += 1;
        }
        if present.is_empty() {
            return Ok(None);
        }
        let arrays = self.columns.iter().zip(values).map(|(column, mut values)| {
            values.resize(present.len(), None);
            column
                .array(values)
                .ok_or_else(|| wrong(&self.path, "it was changed while it was read; try again"))
        });
        let carried = RecordBatch::try_new(self.schema(), arrays.collect::<Result<_, _>>()?);
        let carried = carried.map_err(|error| wrong(&self.path, error))?;
        Ok(Some(StoredChunk { carried, vectors, present }))
    }
}

/// Appends the vector of a row that has one, and says how many stored values it has.
fn push(path: &Path, vectors: &mut Vectors, record: &Record) -> Result<usize, Error> {
    let json = record.embedding.as_deref().unwrap_or_default();
    let at_line = |what: &dyn std::fmt::Display| wrong(path, format_args!("line {}: {what}", record.line));
    if json.trim_start().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('[')) {
        return Err(at_line(&"a vector per token; only one per text can be used"));
    }
    fn numbers<T: DeserializeOwned>(json: &str) -> Result<Vec<T>, serde_json::Error> {
        serde_json::from_str(json)
    }
    let unreadable = |error: serde_json::Error| at_line(&format_args!("its embedding: {error}"));
    let width = match vectors {
        Vectors::F32(values) => {
            let row = numbers::<f32>(json).map_err(unreadable)?;
            if row.iter().any(|value| !value.is_finite()) {
                return Err(at_line(&"its embedding has a number too large for f32"));
            }
            values.extend_from_slice(&row);
            row.len()
        }
        Vectors::Int8 { values, scales } => {
            let row = numbers::<i8>(json).map_err(unreadable)?;
            let scale = record.scale.as_deref().and_then(|scale| scale.parse::<f32>().ok());
            let scale = scale.filter(|scale| scale.is_finite());
            scales.push(scale.ok_or_else(|| at_line(&"integers without a `scale`"))?);
            values.extend_from_slice(&row);
            row.len()
        }
        Vectors::Bits(bytes) => {
            let row = numbers::<u8>(json).map_err(unreadable)?;
            bytes.extend_from_slice(&row);
            row.len()
        }
    };
    Ok(width)
}

impl Kind {
    fn of(value: &Value) -> Self {
        let Value::Json(json) = value else { return Self::Text };
        match json.as_bytes().first() {
            Some(b't' | b'f') => Self::Boolean,
            Some(b'[' | b'{') => Self::Text,
            // Whole numbers that would lose their last digits stay text.
            _ => Number::of(json).map_or(Self::Text, Self::Number),
        }
    }

    /// Ids are whole numbers or text. CSV tells them apart by how they are written alone.
    fn of_id(value: &Value, format: OutputFormat) -> Self {
        let kind = match value {
            Value::Text(text) if format == OutputFormat::Csv => Self::of(&Value::Json(text.clone())),
            _ => Self::of(value),
        };
        if matches!(kind, Self::Number(number) if number.is_integer()) { kind } else { Self::Text }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::Null | Self::Text => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Number(number) => number.arrow(),
        }
    }
}

impl Column {
    fn add(&mut self, kind: Kind) {
        self.kind = match (self.kind, kind) {
            (Kind::Null, other) | (other, Kind::Null) => other,
            // As they are written, where a float would lose the last digits of large integers.
            (Kind::Number(one), Kind::Number(other)) => one.and(other).map_or(Kind::Text, Kind::Number),
            (one, other) if one == other => one,
            _ => Kind::Text,
        };
    }

    /// None if a value is of another kind than all were when the file was opened.
    fn array(&self, values: Vec<Option<Value>>) -> Option<ArrayRef> {
        fn parsed<T: std::str::FromStr>(values: Vec<Option<Value>>) -> Option<Vec<Option<T>>> {
            let parse = |value: Option<Value>| match value {
                None => Some(None),
                Some(value) => value.into_text().parse().ok().map(Some),
            };
            values.into_iter().map(parse).collect()
        }
        Some(match self.kind {
            Kind::Null | Kind::Text => Arc::new(StringArray::from(parsed::<String>(values)?)),
            Kind::Boolean => Arc::new(BooleanArray::from(parsed::<bool>(values)?)),
            Kind::Number(number) if number.is_integer() => Arc::new(Int64Array::from(parsed::<i64>(values)?)),
            Kind::Number(_) => Arc::new(Float64Array::from(parsed::<f64>(values)?)),
        })
    }
}
