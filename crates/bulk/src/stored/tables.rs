//! Parquet and Arrow files of vectors.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int8Type, UInt8Type};
use arrow_array::{Array, ArrayRef, Float32Array, Int64Array, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use index::Precision;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{CHUNK_ROWS, Shape, StoredChunk, Vectors, check_names, dimensions_of, wrong};
use crate::decoding::decoding;
use crate::error::Error;
use crate::sink::{OWN_COLUMNS, OutputFormat, SCALE};
use crate::space::{DESCRIPTION_KEY, Description, OTHER_SPACES_KEY, read_other_spaces};
use crate::uuids;

/// A file of columns, from row to row.
pub(super) struct StoredTables {
    path: PathBuf,
    batches: Option<Batches>,
    /// What is left of the last batch.
    rest: Option<RecordBatch>,
    /// `id` and what is carried, and where they stand; without an `id`, rows are numbered.
    schema: SchemaRef,
    columns: Vec<Option<usize>>,
    embedding: usize,
    scale: Option<usize>,
    shape: Shape,
    width: usize,
    /// The number of the first row, where rows have no ids.
    first: u64,
    done: u64,
}

enum Batches {
    Parquet(Box<ParquetRecordBatchReader>),
    Arrow(Box<FileReader<BufReader<File>>>),
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Parquet(batches) => batches.next(),
            Self::Arrow(batches) => batches.next(),
        }
    }
}

impl StoredTables {
    pub(super) fn open(path: &Path, format: OutputFormat) -> Result<(Option<Description>, Self), Error> {
        let file = File::open(path).map_err(|error| Error::reading(path, &error))?;
        let (schema, told, mut batches) = decoding(path, || batches(file, format))?;
        let description = schema.metadata().get(DESCRIPTION_KEY);
        let mut description = description.map(|json| Description::from_json(json, path)).transpose()?;
        if let Some(described) = &mut description {
            described.other_spaces = read_other_spaces(told.as_deref(), path)?;
        }
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        check_names(path, &names)?;
        let found = |name: &str| schema.fields().iter().position(|field| field.name() == name);
        let embedding = found("embedding").ok_or_else(|| wrong(path, "it has no column `embedding`"))?;
        let values = value_type(path, schema.field(embedding).data_type())?;
        let precision = precision_of(path, values, description.as_ref())?;
        let scale = if precision == Precision::Int8 { found(SCALE) } else { None };
        if precision == Precision::Int8 && scale.is_none() {
            return Err(wrong(path, "its vectors are integers, and it has no column `scale`"));
        }
        let (columns, carried) = carried(&schema);
        let mut rest = None;
        let width = match schema.field(embedding).data_type() {
            DataType::FixedSizeList(_, width) => usize::try_from(*width).unwrap_or(0),
            // Lists of any length: the first tells.
            _ => loop {
                let Some(batch) = decoding(path, || batches.next().transpose())? else { break 0 };
                let lists = list_values(path, batch.column(embedding))?;
                let width = lists.iter().flatten().next().map(|list| list.len());
                if width.is_some() || batch.num_rows() > 0 {
                    rest = Some(batch);
                    break width.unwrap_or(0);
                }
            },
        };
        if width == 0 {
            return Err(wrong(path, "it has no vectors, or its first rows have none"));
        }
        let dimensions = dimensions_of(width, precision, description.as_ref());
        let stored = Self {
            path: path.to_owned(),
            batches: Some(batches),
            rest,
            schema: carried,
            columns,
            embedding,
            scale,
            shape: Shape { precision, dimensions },
            width,
            first: 0,
            done: 0,
        };
        Ok((description, stored))
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn number_from(&mut self, first: u64) {
        self.first = first;
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<StoredChunk>, Error> {
        let Some(batch) = self.next_batch()? else { return Ok(None) };
        let rows = batch.num_rows();
        let first = (self.first + self.done) as i64;
        let numbers = || Arc::new(Int64Array::from_iter_values((first..).take(rows))) as ArrayRef;
        let columns =
            self.columns.iter().map(|place| place.map_or_else(numbers, |at| Arc::clone(batch.column(at))));
        let carried = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect());
        let carried = carried.map_err(|error| wrong(&self.path, error))?;
        let lists = list_values(&self.path, batch.column(self.embedding))?;
        let scales = self.scale.map(|at| floats(&self.path, batch.column(at))).transpose()?;
        let mut vectors = Vectors::new(self.shape.precision);
        for (place, list) in lists.iter().enumerate() {
            let row = self.done + place as u64;
            self.push(&mut vectors, row, list.as_ref(), scales.as_ref().map(|scales| (scales, place)))?;
        }
        let present = lists.iter().map(Option::is_some).collect();
        self.done += rows as u64;
        Ok(Some(StoredChunk { carried, vectors, present }))
    }

    /// At most [`CHUNK_ROWS`] rows that are there.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        while self.rest.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            // After a failure it is gone.
            let Some(mut batches) = self.batches.take() else { return Ok(None) };
            let Some(batch) = decoding(&self.path, || batches.next().transpose())? else { return Ok(None) };
            (self.batches, self.rest) = (Some(batches), Some(batch));
        }
        Ok(self.rest.take().map(|batch| {
            let rows = batch.num_rows().min(CHUNK_ROWS);
            self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
            batch.slice(0, rows)
        }))
    }

    /// Appends the vector of a row, or zeros.
    fn push(
        &self,
        vectors: &mut Vectors,
        row: u64,
        list: Option<&ArrayRef>,
        scale: Option<(&Float32Array, usize)>,
    ) -> Result<(), Error> {
        let path = &self.path;
        let Some(list) = list else {
            vectors.push_absent(self.shape.dimensions);
            return Ok(());
        };
        if list.len() != self.width || list.null_count() > 0 {
            let there = list.len() - list.null_count();
            return Err(wrong(
                path,
                format_args!("row {row} has {there} values, others have {}", self.width),
            ));
        }
        let nan = || wrong(path, format_args!("row {row} holds what is no number"));
        match vectors {
            Vectors::F32(values) => {
                let floats = floats(path, list)?;
                if floats.values().iter().any(|value| !value.is_finite()) {
                    return Err(nan());
                }
                values.extend_from_slice(floats.values());
            }
            Vectors::Int8 { values, scales } => {
                let scale = scale.filter(|(column, place)| column.is_valid(*place));
                let scale =
                    scale.map(|(column, place)| column.value(place)).filter(|scale| scale.is_finite());
                scales.push(scale.ok_or_else(nan)?);
                values.extend_from_slice(list.as_primitive::<Int8Type>().values());
            }
            Vectors::Bits(bytes) => bytes.extend_from_slice(list.as_primitive::<UInt8Type>().values()),
        }
        Ok(())
    }
}

/// The schema, what stands under [`OTHER_SPACES_KEY`], and the rows.
fn batches(file: File, format: OutputFormat) -> Result<(SchemaRef, Option<String>, Batches), ArrowError> {
    if format == OutputFormat::Parquet {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(CHUNK_ROWS);
        let schema = uuids::noted(builder.schema(), builder.parquet_schema());
        let told = schema.metadata().get(OTHER_SPACES_KEY).cloned();
        return Ok((schema, told, Batches::Parquet(Box::new(builder.build()?))));
    }
    let reader = FileReader::try_new_buffered(file, None)?;
    let told = reader.custom_metadata().get(OTHER_SPACES_KEY).cloned();
    Ok((reader.schema(), told, Batches::Arrow(Box::new(reader))))
}

/// `id` and what is carried along, and where they stand.
fn carried(schema: &Schema) -> (Vec<Option<usize>>, SchemaRef) {
    let nullable = |field: &FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
    let fields = schema.fields();
    let id = fields.iter().position(|field| field.name() == "id");
    let numbered = || Arc::new(Field::new("id", DataType::Int64, true));
    let mut kept = vec![id.map_or_else(numbered, |at| nullable(&fields[at]))];
    let mut columns = vec![id];
    for (at, field) in fields.iter().enumerate() {
        if !OWN_COLUMNS.contains(&field.name().as_str()) {
            kept.push(nullable(field));
            columns.push(Some(at));
        }
    }
    (columns, Arc::new(Schema::new(kept)))
}

fn value_type<'a>(path: &Path, kind: &'a DataType) -> Result<&'a DataType, Error> {
    match kind {
        DataType::FixedSizeList(values, _) | DataType::List(values) | DataType::LargeList(values) => {
            Ok(values.data_type())
        }
        _ => Err(wrong(path, format_args!("its column `embedding` holds {kind}, not lists of numbers"))),
    }
}

fn precision_of(
    path: &Path,
    values: &DataType,
    description: Option<&Description>,
) -> Result<Precision, Error> {
    let found = match values {
        DataType::Float32 | DataType::Float64 => Precision::F32,
        DataType::Float16 => Precision::F16,
        DataType::Int8 => Precision::Int8,
        DataType::UInt8 => Precision::Binary,
        other => {
            return Err(wrong(path, format_args!("its vectors are of {other}, and should be of floats")));
        }
    };
    match description {
        Some(described) if described.precision != found => {
            let said = described.precision;
            Err(wrong(path, format_args!("its vectors are {found}, and it says {said}")))
        }
        None if found == Precision::Binary => {
            Err(wrong(path, "its vectors are bytes, and it does not say what they stand for; save floats"))
        }
        _ => Ok(found),
    }
}

/// The vector of each row of a column of lists, if it is there.
fn list_values(path: &Path, column: &ArrayRef) -> Result<Vec<Option<ArrayRef>>, Error> {
    Ok(match column.data_type() {
        DataType::FixedSizeList(..) => column.as_fixed_size_list().iter().collect(),
        DataType::List(_) => column.as_list::<i32>().iter().collect(),
        DataType::LargeList(_) => column.as_list::<i64>().iter().collect(),
        other => return Err(wrong(path, format_args!("its column `embedding` holds {other}"))),
    })
}

fn floats(path: &Path, array: &ArrayRef) -> Result<Float32Array, Error> {
    let floats = arrow_cast::cast(array, &DataType::Float32).map_err(|error| wrong(path, error))?;
    Ok(floats.as_primitive::<Float32Type>().clone())
}
