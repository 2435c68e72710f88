//! CSV and TSV.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use connote::jsonl::{self, RowError};
use csv::ByteRecord;
use serde_json::value::RawValue;

use super::delimiter::Delimiter;
use super::files::{Counted, Input};
use super::quotes::Quotes;
use super::roles::{self, AsText, Column, Roles, TextRole, wrong};
use super::{CHUNK_BYTES, Count, InputFormat, Reader, SourceOptions, TextFrom, place, unreadable};
use crate::rows::{Chunk, Place, Row};
use crate::{Error, ErrorKind};

pub(super) struct DelimitedReader {
    input: Input,
    name: Arc<str>,
    reader: csv::Reader<Quotes<Counted>>,
    /// Whether the input has ended within quotes.
    in_quotes: Arc<AtomicBool>,
    /// Bytes that are whole lines, of those that were taken.
    lines: Arc<AtomicU64>,
    columns: usize,
    roles: Roles,
    schema: SchemaRef,
    record: ByteRecord,
}

impl DelimitedReader {
    pub(super) fn open(input: &Input, options: &SourceOptions, delimiter: Delimiter) -> Result<Self, Error> {
        let from = input.open()?;
        let lines = from.count_of_lines();
        let (from, in_quotes) = Quotes::follow(from, delimiter.byte());
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter.byte())
            // A record with too few or too many fields costs itself, not the rest.
            .flexible(true)
            .from_reader(from);
        let header = reader.headers().map_err(|error| damaged(input, error))?.clone();
        if in_quotes.load(Ordering::Relaxed) {
            let message = "line 1: a quote is opened and never closed; nothing behind it was read";
            return Err(Error::new(ErrorKind::Input, format_args!("{}: {message}", input.name)));
        }
        let names: Vec<&str> = header.iter().collect();
        let is_meant = |only: &str| {
            options.delimiter.is_some() || matches!(&options.text, TextFrom::Column(name) if name == only)
        };
        if let ([only], Some(other)) = (&names[..], reader.get_ref().other_delimiter())
            && !is_meant(only)
        {
            // Else its whole lines would be the texts.
            let (name, option) = (&input.name, other.options(input.format == InputFormat::Csv));
            let message = format!(
                "{name}: line 1 is one column, `{}`, and has `{other}` between words: say {option} (or quote the name, if it is one, or give it as --text-column)",
                only.escape_debug()
            );
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let columns: Vec<Column<'_>> =
            names.iter().map(|name| Column { name, as_text: AsText::Strings }).collect();
        let roles = Roles::choose(&input.name, &columns, options)?;
        let id = if roles.id.is_some() { DataType::Utf8 } else { DataType::Int64 };
        let mut fields = vec![Field::new("id", id, true)];
        fields.extend(roles.keep.iter().map(|&place| Field::new(names[place], DataType::Utf8, true)));
        Ok(Self {
            input: input.clone(),
            name: place(input),
            reader,
            in_quotes,
            lines,
            columns: names.len(),
            roles,
            schema: Arc::new(Schema::new(fields)),
            record: ByteRecord::new(),
        })
    }

    /// Whether the next record may have to be waited for.
    fn would_wait(&self) -> bool {
        // A record that ends in CR LF is given out at the CR.
        let ahead = self.lines.load(Ordering::Relaxed).saturating_sub(self.reader.position().byte());
        self.input.file().is_none() && ahead <= 1
    }

    fn next_record(&mut self) -> Result<bool, Error> {
        self.reader.read_byte_record(&mut self.record).map_err(|error| damaged(&self.input, error))
    }

    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// A field of the record as text.
    fn text(&self, column: usize) -> Result<String, RowError> {
        self.field(column).map(str::to_owned)
    }

    /// Whether the record ended. All that stands behind an open quote would be one field, of which nobody would know.
    fn closed(&self) -> Result<(), RowError> {
        if !self.in_quotes.load(Ordering::Relaxed) {
            return Ok(());
        }
        let message = "a quote is opened here, or behind it, and never closed: no row from here on was read";
        Err(wrong(self.line(), message))
    }

    fn field(&self, column: usize) -> Result<&str, RowError> {
        self.closed()?;
        let bytes = self.record.get(column).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| {
            let message = format!("field {} is not UTF-8; save the input as UTF-8", column + 1);
            RowError::at_line(usize::try_from(self.line()).unwrap_or(usize::MAX), "invalid_utf8", message)
        })
    }

    fn row_input(&self) -> Result<connote::Input, RowError> {
        self.closed()?;
        if self.record.len() != self.columns {
            let message = format!(
                "there are {} fields, and {} names in the first line",
                self.record.len(),
                self.columns
            );
            return Err(wrong(self.line(), message));
        }
        // Neither id nor column is lost in silence.
        for &column in self.roles.id.iter().chain(&self.roles.keep) {
            self.field(column)?;
        }
        let text = match &self.roles.text {
            TextRole::Column(column) => self.text(*column)?,
            TextRole::Template(template, places) => template.fill(
                |name| {
                    let place = places.iter().find(|(column, _)| column == name);
                    place.map(|(_, column)| self.text(*column)).transpose()
                },
                |message| wrong(self.line(), message),
            )?,
        };
        let optional = |column: Option<usize>| column.map(|column| self.text(column)).transpose();
        roles::input(self.line(), text, optional(self.roles.title)?, optional(self.roles.task)?)
    }

    /// As it was written; without one, the row's number.
    fn id(&self, count: &Count) -> Box<RawValue> {
        let written = self.roles.id.and_then(|column| self.text(column).ok());
        let written = written.and_then(|text| RawValue::from_string(serde_json::to_string(&text).ok()?).ok());
        written.unwrap_or_else(|| jsonl::numbered(usize::try_from(count.names).unwrap_or(usize::MAX)))
    }
}

impl Reader for DelimitedReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next_chunk(&mut self, max_rows: usize, count: &mut Count) -> Result<Option<Chunk>, Error> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut kept: Vec<Vec<Option<String>>> = vec![Vec::new(); self.roles.keep.len()];
        while rows.len() < max_rows && bytes < CHUNK_BYTES {
            if (!rows.is_empty() && self.would_wait()) || !self.next_record()? {
                break;
            }
            bytes += self.record.as_slice().len();
            for (values, &column) in kept.iter_mut().zip(&self.roles.keep) {
                values.push(if column < self.record.len() { self.text(column).ok() } else { None });
            }
            rows.push(Row {
                number: count.rows,
                id: self.id(count),
                place: Place { file: self.name.clone(), line: self.line() },
                input: self.row_input(),
            });
            count.rows += 1;
            count.names += 1;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let ids: ArrayRef = match self.roles.id {
            None => Arc::new(rows.iter().map(|row| row.id.get().parse::<i64>().ok()).collect::<Int64Array>()),
            Some(_) => {
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| {
                    serde_json::from_str(row.id.get()).unwrap_or_else(|_| row.id.get().to_owned())
                })))
            }
        };
        let columns = kept.into_iter().map(|values| Arc::new(StringArray::from(values)) as ArrayRef);
        let carried = RecordBatch::try_new(self.schema(), std::iter::once(ids).chain(columns).collect())
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", self.name)))?;
        Ok(Some(Chunk { rows, carried }))
    }

    fn skip(&mut self, rows: u64, count: &mut Count) -> Result<u64, Error> {
        let mut skipped = 0;
        while skipped < rows && self.next_record()? {
            skipped += 1;
        }
        count.rows += skipped;
        count.names += skipped;
        Ok(skipped)
    }

    fn read(&self) -> u64 {
        self.reader.position().byte()
    }
}

fn damaged(input: &Input, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => unreadable(input, &error),
        other => {
            let said = csv_message(&other);
            Error::new(ErrorKind::Input, format_args!("{}: {said}", input.name))
        }
    }
}

fn csv_message(kind: &csv::ErrorKind) -> String {
    match kind {
        csv::ErrorKind::Utf8 { .. } => {
            "the names of the columns are not UTF-8; save the input as UTF-8".to_owned()
        }
        other => format!("cannot be read as records: {other:?}"),
    }
}
