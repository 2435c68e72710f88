//! Parquet and Arrow IPC.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use connote::jsonl::{self, RowError};

use super::files::Input;
use super::ids::Ids;
use super::ipc_stream::{self, IpcStream};
use super::roles::{self, AsText, Column, Roles, TextRole, wrong};
use super::row_groups::ParquetBatches;
use super::{CHUNK_BYTES, Count, InputFormat, Reader, SourceOptions, place, unreadable};
use crate::decoding::decoding;
use crate::rows::{Chunk, Place, Row};
use crate::{Error, ErrorKind, text_form};

pub(super) struct TableReader {
    name: Arc<str>,
    path: PathBuf,
    batches: Batches,
    /// Of the columns that are read, which are fewer than the file has.
    roles: Roles,
    schema: SchemaRef,
    /// What was decoded and not given out.
    left: Option<RecordBatch>,
    /// Rows of this input so far.
    row: u64,
    bytes: u64,
}

enum Batches {
    Parquet(Box<ParquetBatches>),
    File(Box<FileReader<std::fs::File>>, Vec<usize>, u64),
    Stream(Box<StreamReader<IpcStream>>, Vec<usize>, Arc<AtomicU64>),
}

impl TableReader {
    pub(super) fn open(input: &Input, options: &SourceOptions) -> Result<Self, Error> {
        let path = PathBuf::from(&input.name);
        let (source, table) = match input.format {
            InputFormat::Parquet => {
                let batches = ParquetBatches::open(input, &path)?;
                let schema = batches.schema();
                (Batches::Parquet(Box::new(batches)), schema)
            }
            _ if input.file().is_some() && is_file_form(input)? => {
                let file = input.open_file()?;
                let reader = decoding(&path, || FileReader::try_new(file, None))
                    .map_err(|error| readable(&input.name, error))?;
                let schema = reader.schema();
                (Batches::File(Box::new(reader), Vec::new(), 0), schema)
            }
            _ => {
                let from = input.open()?;
                let taken = from.count();
                let from = ipc_stream::begin(input, from)?;
                let reader = decoding(&path, || StreamReader::try_new(from, None))
                    .map_err(|error| readable(&input.name, error))?;
                let schema = reader.schema();
                (Batches::Stream(Box::new(reader), Vec::new(), taken), schema)
            }
        };
        let kinds: Vec<&DataType> = table.fields().iter().map(|field| plain(field.data_type())).collect();
        let names: Vec<&str> = table.fields().iter().map(|field| field.name().as_str()).collect();
        let offered: Vec<Column<'_>> =
            names.iter().zip(&kinds).map(|(name, kind)| Column { name, as_text: as_text(kind) }).collect();
        let roles = Roles::choose(&input.name, &offered, options)?;
        check_kinds(input, &names, &kinds, &roles)?;
        let id = roles.id.map_or(DataType::Int64, |place| Ids::kind(kinds[place]));
        let mut fields = vec![Field::new("id", id, true)];
        let kept = roles.keep.iter().map(|&place| table.field(place).clone().with_nullable(true));
        fields.extend(kept);
        let columns = columns(&roles);
        let roles = among(roles, &columns);
        let batches = source.of(columns)?;
        Ok(Self {
            name: place(input),
            path,
            batches,
            roles,
            schema: Arc::new(Schema::new(fields)),
            left: None,
            row: 0,
            bytes: input.bytes.unwrap_or(0),
        })
    }

    /// What is left of the last batch, or the next.
    fn take_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            let batch = match self.left.take() {
                Some(batch) => Some(batch),
                None => {
                    let Self { batches, path, row, .. } = self;
                    batches.next(path, *row).map_err(|error| self.behind_what_was_read(&error))?
                }
            };
            match batch {
                Some(batch) if batch.num_rows() == 0 => {}
                other => return Ok(other),
            }
        }
    }

    /// At most so many, and no more after the one that reaches the bytes of a chunk.
    fn rows_of_a_chunk(&self, batch: &RecordBatch, max_rows: usize) -> Result<usize, Error> {
        let most = batch.num_rows().min(max_rows);
        let texts = match &self.roles.text {
            TextRole::Column(place) => vec![*place],
            TextRole::Template(_, places) => places.iter().map(|(_, place)| *place).collect(),
        };
        let mut bytes = vec![0; most];
        for place in texts {
            let column = batch.column(place).slice(0, most);
            let strings = text_form::to_text(&column, batch.schema_ref().field(place))
                .map_err(|error| self.wrong(error))?;
            let lengths = strings.offsets().lengths();
            bytes.iter_mut().zip(lengths).for_each(|(sum, length)| *sum += length);
        }
        let mut sum = 0;
        let reaches = bytes.iter().position(|bytes| {
            sum += bytes;
            sum >= CHUNK_BYTES
        });
        Ok(reaches.map_or(most, |last| last + 1))
    }

    fn chunk(&self, batch: &RecordBatch, count: &mut Count) -> Result<Chunk, Error> {
        let strings = |place: usize| Strings::of(batch, place).map_err(|error| self.wrong(error));
        let optional = |place: Option<usize>| place.map(strings).transpose();
        let texts = match &self.roles.text {
            TextRole::Column(place) => vec![strings(*place)?],
            TextRole::Template(_, places) => {
                places.iter().map(|(_, place)| strings(*place)).collect::<Result<_, _>>()?
            }
        };
        let (titles, tasks) = (optional(self.roles.title)?, optional(self.roles.task)?);
        let first = count.names as i64;
        let numbers = || Int64Array::from_iter_values((first..).take(batch.num_rows()));
        let (ids, named) = match self.roles.id {
            None => (Ids::Integers(numbers()), None),
            Some(place) => {
                let ids = Ids::of(batch.column(place), batch.schema_ref().field(place));
                let ids = ids.map_err(|error| self.wrong(error))?;
                let named = ids.has_nulls().then(|| strings(place)).transpose()?;
                (ids, named)
            }
        };
        let mut rows: Vec<Row> = Vec::with_capacity(batch.num_rows());
        for index in 0..batch.num_rows() {
            let line = self.row + index as u64 + 1;
            let value = |values: &Option<Strings>| match values {
                Some(values) => values.value(index, line),
                None => Ok(None),
            };
            // An id is not lost in silence either.
            let input = value(&named).and_then(|_| {
                let text = self.text(&texts, index, line)?;
                roles::input(line, text, value(&titles)?, value(&tasks)?)
            });
            rows.push(Row {
                number: count.rows,
                id: ids
                    .written(index)
                    .unwrap_or_else(|| jsonl::numbered(usize::try_from(count.names).unwrap_or(usize::MAX))),
                place: Place { file: self.name.clone(), line },
                input,
            });
            count.rows += 1;
            count.names += 1;
        }
        let ids = ids.column(&rows);
        let kept = self.roles.keep.iter().map(|&place| batch.column(place).clone());
        let carried = RecordBatch::try_new(self.schema(), std::iter::once(ids).chain(kept).collect());
        Ok(Chunk { rows, carried: carried.map_err(|error| self.wrong(error))? })
    }

    fn text(&self, texts: &[Strings], index: usize, line: u64) -> Result<String, RowError> {
        let value = |place: usize| texts.get(place).map_or(Ok(None), |values| values.value(index, line));
        match &self.roles.text {
            TextRole::Column(_) => value(0)?.ok_or_else(|| wrong(line, "there is no text: it is null")),
            TextRole::Template(template, places) => template.fill(
                |name| {
                    let place = places.iter().position(|(column, _)| column == name);
                    place.map_or(Ok(None), value)
                },
                |message| wrong(line, message),
            ),
        }
    }

    /// What is wrong with the rows behind those that were read.
    fn behind_what_was_read(&self, error: &Error) -> Error {
        if speaks_of_zstd(error) {
            return super::without_zstd(&self.name);
        }
        Error::new(error.kind(), format_args!("{error} (in the rows from {} on)", self.row + 1))
    }

    fn wrong(&self, error: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Input, format_args!("{}: {error}", self.name))
    }
}

impl Reader for TableReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next_chunk(&mut self, max_rows: usize, count: &mut Count) -> Result<Option<Chunk>, Error> {
        let Some(mut batch) = self.take_batch()? else { return Ok(None) };
        let rows = self.rows_of_a_chunk(&batch, max_rows)?;
        if batch.num_rows() > rows {
            self.left = Some(batch.slice(rows, batch.num_rows() - rows));
            batch = batch.slice(0, rows);
        }
        let chunk = self.chunk(&batch, count)?;
        self.row += batch.num_rows() as u64;
        Ok(Some(chunk))
    }

    fn skip(&mut self, rows: u64, count: &mut Count) -> Result<u64, Error> {
        let mut skipped = 0;
        while skipped < rows {
            if self.left.is_none()
                && let Batches::Parquet(parquet) = &mut self.batches
            {
                // Row groups and pages before the row are not read.
                let more = (rows - skipped).min(parquet.rows().saturating_sub(self.row));
                parquet.forget();
                self.row += more;
                skipped += more;
                break;
            }
            let Some(batch) = self.take_batch()? else { break };
            let taken = (rows - skipped).min(batch.num_rows() as u64);
            if (taken as usize) < batch.num_rows() {
                self.left = Some(batch.slice(taken as usize, batch.num_rows() - taken as usize));
            }
            self.row += taken;
            skipped += taken;
        }
        count.rows += skipped;
        count.names += skipped;
        Ok(skipped)
    }

    fn read(&self) -> u64 {
        match &self.batches {
            Batches::Parquet(parquet) => {
                (self.bytes as f64 * self.row as f64 / parquet.rows().max(1) as f64) as u64
            }
            Batches::File(reader, _, given) => {
                (self.bytes as f64 * *given as f64 / reader.num_batches().max(1) as f64) as u64
            }
            Batches::Stream(_, _, taken) => taken.load(Ordering::Relaxed),
        }
    }
}

impl Batches {
    /// Of these columns.
    fn of(self, columns: Vec<usize>) -> Result<Self, Error> {
        Ok(match self {
            Self::Parquet(parquet) => Self::Parquet(Box::new(parquet.of(columns)?)),
            Self::File(reader, _, given) => Self::File(reader, columns, given),
            Self::Stream(reader, _, taken) => Self::Stream(reader, columns, taken),
        })
    }

    /// The next; it begins with row `from` of the input.
    fn next(&mut self, path: &std::path::Path, from: u64) -> Result<Option<RecordBatch>, Error> {
        match self {
            Self::Parquet(parquet) => parquet.next(path, from),
            Self::File(reader, columns, given) => {
                *given += 1;
                decoding(path, || reader.next().transpose()?.map(|batch| batch.project(columns)).transpose())
            }
            Self::Stream(reader, columns, _) => {
                let batch = decoding(path, || {
                    reader.next().transpose()?.map(|batch| batch.project(columns)).transpose()
                })?;
                if batch.is_none() {
                    reader.get_mut().end().map_err(|error| Error::reading(path, &error))?;
                }
                Ok(batch)
            }
        }
    }
}

/// The columns that are read, in the order of the file.
fn columns(roles: &Roles) -> Vec<usize> {
    let mut columns = roles.keep.clone();
    columns.extend([roles.id, roles.title, roles.task].into_iter().flatten());
    match &roles.text {
        TextRole::Column(place) => columns.push(*place),
        TextRole::Template(_, places) => columns.extend(places.iter().map(|(_, place)| place)),
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Roles by their place among the columns that are read.
fn among(roles: Roles, columns: &[usize]) -> Roles {
    let at = |place: usize| columns.binary_search(&place).unwrap_or_default();
    Roles {
        text: match roles.text {
            TextRole::Column(place) => TextRole::Column(at(place)),
            TextRole::Template(template, places) => TextRole::Template(
                template,
                places.into_iter().map(|(name, place)| (name, at(place))).collect(),
            ),
        },
        id: roles.id.map(at),
        title: roles.title.map(at),
        task: roles.task.map(at),
        keep: roles.keep.into_iter().map(at).collect(),
    }
}

pub(super) fn plain(kind: &DataType) -> &DataType {
    match kind {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn as_text(kind: &DataType) -> AsText {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => AsText::Strings,
        DataType::Null => AsText::OnDemand,
        kind if is_bytes(kind) => AsText::OnDemand,
        kind => AsText::Not(kind.to_string()),
    }
}

fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// What is to become a string must be able to.
fn check_kinds(input: &Input, names: &[&str], kinds: &[&DataType], roles: &Roles) -> Result<(), Error> {
    let mut places: Vec<usize> = [roles.id, roles.title, roles.task].into_iter().flatten().collect();
    if let TextRole::Template(_, named) = &roles.text {
        places.extend(named.iter().map(|(_, place)| place));
    }
    match places.into_iter().find(|&place| !text_form::has_text_form(kinds[place])) {
        None => Ok(()),
        Some(place) => Err(Error::new(
            ErrorKind::Usage,
            format_args!(
                "{}: the column `{}` is of type {}, which has no form as text; name another{}",
                input.name,
                names[place],
                kinds[place],
                // It may not have been named at all.
                if roles.id == Some(place) {
                    ", with --id-column, or number the rows, with --no-ids"
                } else {
                    ""
                }
            ),
        )),
    }
}

/// A column as text.
struct Strings {
    name: String,
    values: StringArray,
    /// Which values are there, whether they have a form as text or not; without it, all are.
    there: Option<NullBuffer>,
    of_bytes: bool,
}

impl Strings {
    fn of(batch: &RecordBatch, place: usize) -> Result<Self, ArrowError> {
        let (column, field) = (batch.column(place), batch.schema_ref().field(place));
        let kind = plain(column.data_type());
        Ok(Self {
            name: field.name().clone(),
            // It makes nulls of what it cannot cast.
            values: text_form::to_text(column, field)?,
            there: column.logical_nulls(),
            of_bytes: is_bytes(kind),
        })
    }

    /// The value of a row; none, if it is null.
    fn value(&self, index: usize, line: u64) -> Result<Option<String>, RowError> {
        let is_there = self.there.as_ref().is_none_or(|there| there.is_valid(index));
        if self.values.is_valid(index) {
            Ok(Some(self.values.value(index).to_owned()))
        } else if !is_there {
            Ok(None)
        } else if self.of_bytes {
            let message = format!("`{}` is not UTF-8; save the column as text, or name another", self.name);
            Err(RowError::at_line(usize::try_from(line).unwrap_or(usize::MAX), "invalid_utf8", message))
        } else {
            Err(wrong(line, format_args!("the value of `{}` has no form as text", self.name)))
        }
    }
}

/// Dictionaries are decoded when a file is opened.
fn readable(name: &str, error: Error) -> Error {
    if speaks_of_zstd(&error) { super::without_zstd(name) } else { error }
}

/// Whether all that is wrong is how a sound file is compressed.
fn speaks_of_zstd(error: &Error) -> bool {
    !cfg!(feature = "zstd") && error.to_string().contains("zstd")
}

/// Whether an Arrow file has the file form, which begins so; the other is a stream.
fn is_file_form(input: &Input) -> Result<bool, Error> {
    let mut file = input.open_file()?;
    let mut begins = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(6).read_to_end(&mut begins));
    read.map_err(|error| unreadable(input, &error))?;
    Ok(begins == b"ARROW1")
}
