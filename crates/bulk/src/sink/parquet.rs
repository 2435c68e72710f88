//! Parquet.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{Field, Schema};
use index::Precision;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{KeyValue, ParquetMetaDataOptions, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::table::{self, Batches};
use super::{SinkOptions, not_written, open_part, other_part};
use crate::decoding::decoding;
use crate::error::Error;
use crate::file_sum::{FileSum, Summing};
use crate::rows::Answered;
use crate::space::{DESCRIPTION_KEY, OTHER_SPACES_KEY, read_other_spaces};
use crate::uuids;

/// Bytes of vectors that a row group holds in memory until it is written. A part is one row group unless it is
/// larger.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Writes one part.
pub(super) struct ParquetWriter {
    batches: Batches,
    file: ArrowWriter<Summing<File>>,
}

impl ParquetWriter {
    pub(super) fn create(file: File, options: &SinkOptions) -> Result<Self, Error> {
        let batches = Batches::new(options);
        let file = writer(Summing::new(file), options)?;
        Ok(Self { batches, file })
    }

    pub(super) fn write(&mut self, rows: &Answered<'_>) -> Result<(), Error> {
        let Self { batches, file } = self;
        batches.push(rows, |batch| file.write(batch).map_err(not_written))
    }

    pub(super) fn finish(self, other_spaces: u64) -> Result<(File, FileSum), Error> {
        let Self { mut batches, mut file } = self;
        batches.complete(|batch| file.write(batch).map_err(not_written))?;
        if let Some(told) = told(other_spaces) {
            file.append_key_value_metadata(told);
        }
        Ok(file.into_inner().map_err(not_written)?.finish())
    }
}

/// Whether a column can be written. Some types have a name in Parquet and still no writer, so one row is tried.
pub(super) fn can_hold(field: &Field) -> bool {
    let field = table::plain_field(field).with_nullable(true);
    let row = new_null_array(field.data_type(), 1);
    let try_it = || {
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![row])?;
        let mut writer = ArrowWriter::try_new(io::sink(), batch.schema(), None)?;
        writer.write(&batch)?;
        writer.close()
    };
    try_it().is_ok()
}

fn writer<W: Write + Send>(file: W, options: &SinkOptions) -> Result<ArrowWriter<W>, Error> {
    let schema = table::schema(options);
    let written = uuids::parquet_schema(&schema).map_err(not_written)?;
    let writing = ArrowWriterOptions::new().with_properties(properties(options)).with_parquet_schema(written);
    ArrowWriter::try_new_with_options(file, schema, writing).map_err(not_written)
}

fn properties(options: &SinkOptions) -> WriterProperties {
    let vectors = ColumnPath::new(["embedding", "list", "element"].map(str::to_owned).to_vec());
    let bytes = options.precision.bytes(options.space.dimensions).max(1);
    let rows = (ROW_GROUP_BYTES / bytes).max(1024).next_multiple_of(1024);
    // Integers of one byte are 4 in Parquet; as entries of a dictionary of at most 256 they are one again. Floats
    // hardly repeat.
    let few_values = matches!(options.precision, Precision::Int8 | Precision::Binary);
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_column_compression(vectors.clone(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(vectors.clone(), few_values)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(vectors, EnabledStatistics::None)
        // Of pages: nobody looks for a row within a part, and chunks are copied without.
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(rows))
        // In the schema of Arrow it stands too, but not every reader looks there.
        .set_key_value_metadata(Some(vec![description(options)]))
        .build()
}

/// Row groups are copied as they are encoded.
pub(super) fn assemble(
    options: &SinkOptions,
    parts: &[PathBuf],
    least_other_spaces: u64,
    into: File,
) -> Result<File, Error> {
    let (mut file, _) = writer(into, options)?.into_serialized_writer().map_err(not_written)?;
    let description = description(options);
    let mut other_spaces = 0;
    for part in parts {
        let from = open_part(part)?;
        let metadata = decoding(part, || {
            // Which pages are encoded how is kept in full, so that a copied chunk is described as it was.
            let all = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
            ParquetMetaDataReader::new().with_metadata_options(Some(all)).parse_and_finish(&from)
        })?;
        let about = metadata.file_metadata();
        if about.schema_descr().root_schema() != file.schema_descr().root_schema() {
            return Err(other_part(part, "it has other columns"));
        }
        if !about.key_value_metadata().is_some_and(|found| found.contains(&description)) {
            return Err(other_part(part, "its vectors are of another model or precision"));
        }
        let found = about.key_value_metadata().into_iter().flatten();
        let found = found.filter(|pair| pair.key == OTHER_SPACES_KEY).find_map(|pair| pair.value.as_deref());
        other_spaces = read_other_spaces(found, part)?.saturating_add(other_spaces);
        for group in metadata.row_groups() {
            copy(&mut file, &from, group).map_err(not_written)?;
        }
    }
    if let Some(told) = told(other_spaces.max(least_other_spaces)) {
        file.append_key_value_metadata(told);
    }
    file.into_inner().map_err(not_written)
}

/// What is said of rows of another space, where there are any.
fn told(other_spaces: u64) -> Option<KeyValue> {
    (other_spaces > 0).then(|| KeyValue::new(OTHER_SPACES_KEY.to_owned(), other_spaces.to_string()))
}

fn description(options: &SinkOptions) -> KeyValue {
    KeyValue::new(DESCRIPTION_KEY.to_owned(), options.describe().to_json())
}

fn copy(
    to: &mut SerializedFileWriter<File>,
    from: &File,
    group: &RowGroupMetaData,
) -> parquet::errors::Result<()> {
    let mut copied = to.next_row_group()?;
    for column in group.columns() {
        let close = ColumnCloseResult {
            bytes_written: column.compressed_size().max(0) as u64,
            rows_written: group.num_rows().max(0) as u64,
            metadata: column.clone(),
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        copied.append_column(from, close)?;
    }
    copied.close().map(drop)
}
