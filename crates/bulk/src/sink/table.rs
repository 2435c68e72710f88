//! Rows as batches of columns, for Parquet and Arrow.

use std::sync::Arc;

use arrow_array::types::{Float16Type, Float32Type, Int8Type, UInt8Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, PrimitiveArray, RecordBatch,
};
use arrow_array::{StringArray, UInt32Array, make_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use index::Precision;

use super::{OutputFormat, SCALE, SinkOptions, encode, not_written};
use crate::encoded::Encoded;
use crate::error::Error;
use crate::rows::Answered;
use crate::space::DESCRIPTION_KEY;

/// Rows of a batch: batches are cut by the count of rows alone, however they come.
const BATCH_ROWS: usize = 1024;

/// The columns of the output, and what is said of the vectors.
pub(super) fn schema(options: &SinkOptions) -> SchemaRef {
    let source = options.schema.fields().iter();
    let mut fields: Vec<FieldRef> = source.map(|field| Arc::new(plain_field(field))).collect();
    let mut own = |name: &str, kind| fields.push(Arc::new(Field::new(name, kind, true)));
    own("tokens", DataType::UInt32);
    own("truncated", DataType::Boolean);
    if options.precision == Precision::Int8 {
        own(SCALE, DataType::Float32);
    }
    own("embedding", DataType::FixedSizeList(value_field(options), list_size(options)));
    own("error", DataType::Utf8);
    let metadata = [(DESCRIPTION_KEY.to_owned(), options.describe().to_json())];
    Arc::new(Schema::new_with_metadata(
        fields,
        metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
    ))
}

/// Each format names the values of a list in its own way, and readers expect it.
fn value_field(options: &SinkOptions) -> FieldRef {
    let name = if options.format == OutputFormat::Parquet { "element" } else { "item" };
    let kind = match options.precision {
        Precision::F32 => DataType::Float32,
        Precision::F16 => DataType::Float16,
        Precision::Int8 => DataType::Int8,
        Precision::Binary => DataType::UInt8,
    };
    Arc::new(Field::new(name, kind, false))
}

fn list_size(options: &SinkOptions) -> i32 {
    i32::try_from(options.precision.width(options.space.dimensions)).unwrap_or(i32::MAX)
}

/// A dictionary of a source may change from batch to batch, which the file form of Arrow cannot hold, and views
/// point into buffers that depend on where the rows were cut: columns are written without.
pub(super) fn plain_field(field: &Field) -> Field {
    field.clone().with_data_type(plain_type(field.data_type()))
}

fn plain_type(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| Arc::new(plain_field(field));
    match kind {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(inner(field), *size),
        DataType::Map(field, sorted) => DataType::Map(inner(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect::<Fields>()),
        other => other.clone(),
    }
}

/// Collects rows until they are a batch.
pub(super) struct Batches {
    options: SinkOptions,
    schema: SchemaRef,
    carried: Vec<RecordBatch>,
    tokens: Vec<Option<u32>>,
    truncated: Vec<Option<bool>>,
    vectors: Encoded,
    errors: Vec<Option<String>>,
}

impl Batches {
    pub(super) fn new(options: &SinkOptions) -> Self {
        Self {
            options: options.clone(),
            schema: schema(options),
            carried: Vec::new(),
            tokens: Vec::new(),
            truncated: Vec::new(),
            vectors: Encoded::new(options.precision),
            errors: Vec::new(),
        }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes rows in, and hands `full` batches over as they are complete.
    pub(super) fn push(
        &mut self,
        rows: &Answered<'_>,
        mut full: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let carried = &rows.chunk.carried;
        let mut done = 0;
        for (place, (row, result)) in rows.chunk.rows.iter().zip(rows.results).enumerate() {
            match result {
                Ok(embedding) => encode(row, embedding, &self.options, &mut self.vectors)?,
                Err(_) => self.vectors.push_absent(self.options.space.dimensions),
            }
            let embedding = result.as_ref().ok();
            self.tokens.push(embedding.map(|it| u32::try_from(it.tokens).unwrap_or(u32::MAX)));
            self.truncated.push(embedding.map(|it| it.truncated));
            self.errors.push(result.as_ref().err().map(|it| format!("{}: {}", it.kind, it.message)));
            if self.errors.len() == BATCH_ROWS {
                self.carried.push(carried.slice(done, place + 1 - done));
                done = place + 1;
                self.complete(&mut full)?;
            }
        }
        if done < carried.num_rows() {
            self.carried.push(carried.slice(done, carried.num_rows() - done));
        }
        Ok(())
    }

    /// Hands over what is left.
    pub(super) fn complete(
        &mut self,
        mut full: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.errors.is_empty() {
            return Ok(());
        }
        full(&self.batch().map_err(not_written)?)?;
        self.carried.clear();
        self.tokens.clear();
        self.truncated.clear();
        self.vectors.clear();
        self.errors.clear();
        Ok(())
    }

    fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for place in 0..self.options.schema.fields().len() {
            columns.push(self.carried_column(place)?);
        }
        columns.push(Arc::new(UInt32Array::from(self.tokens.clone())) as ArrayRef);
        columns.push(Arc::new(BooleanArray::from(self.truncated.clone())));
        let present: NullBuffer = self.errors.iter().map(Option::is_none).collect();
        if let Encoded::Int8 { scales, .. } = &self.vectors {
            columns.push(Arc::new(Float32Array::new(scales.clone().into(), nulls(&present))));
        }
        let values: ArrayRef = match &self.vectors {
            Encoded::F32(values) => {
                Arc::new(PrimitiveArray::<Float32Type>::from_iter_values(values.iter().copied()))
            }
            Encoded::F16(values) => {
                Arc::new(PrimitiveArray::<Float16Type>::from_iter_values(values.iter().copied()))
            }
            Encoded::Int8 { values, .. } => {
                Arc::new(PrimitiveArray::<Int8Type>::from_iter_values(values.iter().copied()))
            }
            Encoded::Bits(values) => {
                Arc::new(PrimitiveArray::<UInt8Type>::from_iter_values(values.iter().copied()))
            }
        };
        let (field, size) = (value_field(&self.options), list_size(&self.options));
        columns.push(Arc::new(FixedSizeListArray::try_new(field, size, values, nulls(&present))?));
        columns.push(Arc::new(StringArray::from(self.errors.clone())));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }

    /// The pieces of a column as one array of its plain type.
    fn carried_column(&self, place: usize) -> Result<ArrayRef, ArrowError> {
        let kind = self.schema.field(place).data_type();
        let pieces = self.carried.iter().map(|batch| {
            let column = batch.columns().get(place);
            let column =
                column.ok_or_else(|| ArrowError::SchemaError(format!("column {place} is missing")))?;
            if column.data_type() == kind { Ok(Arc::clone(column)) } else { arrow_cast::cast(column, kind) }
        });
        let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
        let column = arrow_select::concat::concat(
            &pieces.iter().map(|piece| &**piece as &dyn Array).collect::<Vec<_>>(),
        )?;
        // A piece of a column that has nulls elsewhere brings a mask in which none is missing.
        match column.nulls() {
            Some(nulls) if nulls.null_count() == 0 => {
                Ok(make_array(column.to_data().into_builder().nulls(None).build()?))
            }
            _ => Ok(column),
        }
    }
}

/// Where none is missing, nothing is said of it.
fn nulls(present: &NullBuffer) -> Option<NullBuffer> {
    (present.null_count() > 0).then(|| present.clone())
}
