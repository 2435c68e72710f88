//! Parquet from any row on.

use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;

use super::files::Input;
use crate::decoding::decoding;
use crate::{Error, ErrorKind, uuids};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 256;

/// Batches of some columns of a file.
pub(super) struct ParquetBatches {
    input: Input,
    metadata: ArrowReaderMetadata,
    columns: Vec<usize>,
    /// All columns of the file, or those that are read.
    schema: SchemaRef,
    /// Begun at the first row that is asked for.
    reader: Option<ParquetRecordBatchReader>,
    rows: u64,
}

impl ParquetBatches {
    pub(super) fn open(input: &Input, path: &Path) -> Result<Self, Error> {
        let file = input.open_file()?;
        let metadata = decoding(path, || ArrowReaderMetadata::load(&file, Default::default()))?;
        let rows = metadata.metadata().file_metadata().num_rows().max(0) as u64;
        let schema = uuids::noted(metadata.schema(), metadata.parquet_schema());
        Ok(Self { input: input.clone(), metadata, columns: Vec::new(), schema, reader: None, rows })
    }

    /// All columns of the file, or those that are read.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Rows of the file.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Only these columns.
    ///
    /// # Errors
    /// If one is compressed in a way that this build cannot read, which is better known now than hours later.
    pub(super) fn of(self, columns: Vec<usize>) -> Result<Self, Error> {
        let schema = self.metadata.parquet_schema();
        let mask = ProjectionMask::roots(schema, columns.iter().copied());
        let groups = self.metadata.metadata().row_groups().iter();
        let chunks = groups.flat_map(|group| group.columns().iter().enumerate());
        let chunks = chunks.filter(|(leaf, _)| mask.leaf_included(*leaf)).map(|(_, chunk)| chunk);
        let mut unreadable = chunks.filter_map(|chunk| match chunk.compression() {
            Compression::ZSTD(_) if !cfg!(feature = "zstd") => Some("zstd"),
            Compression::BROTLI(_) => Some("brotli"),
            Compression::LZO => Some("LZO"),
            _ => None,
        });
        match unreadable.next() {
            Some("zstd") => Err(super::without_zstd(&self.input.name)),
            Some(other) => Err(Error::new(
                ErrorKind::Input,
                format_args!(
                    "{}: is compressed with {other}, which cannot be read; write it anew with snappy or lz4",
                    self.input.name
                ),
            )),
            None => {
                let schema = self.schema.project(&columns);
                let schema = schema.map_err(|error| Error::new(ErrorKind::Input, error))?;
                Ok(Self { columns, schema: schema.into(), ..self })
            }
        }
    }

    /// What comes next does not follow what was read last.
    pub(super) fn forget(&mut self) {
        self.reader = None;
    }

    /// The next batch, which begins with row `from`.
    pub(super) fn next(&mut self, path: &Path, from: u64) -> Result<Option<RecordBatch>, Error> {
        if from >= self.rows {
            return Ok(None);
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let reader = self.begin(path, from)?;
                self.reader.insert(reader)
            }
        };
        match decoding(path, || reader.next().transpose())? {
            None => Err(Error::new(
                ErrorKind::Input,
                format_args!("{}: is damaged: it has {from} rows and says {}", self.input.name, self.rows),
            )),
            Some(batch) => {
                let (_, columns, rows) = batch.into_parts();
                let rows = RecordBatchOptions::new().with_row_count(Some(rows));
                decoding(path, || RecordBatch::try_new_with_options(self.schema.clone(), columns, &rows))
                    .map(Some)
            }
        }
    }

    /// Row groups before the row are not read.
    fn begin(&self, path: &Path, from: u64) -> Result<ParquetRecordBatchReader, Error> {
        let file = self.input.open_file()?;
        let metadata = self.metadata.metadata();
        let (mut before, mut groups) = (0, Vec::new());
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let rows = group.num_rows().max(0) as u64;
            if groups.is_empty() && before + rows <= from {
                before += rows;
            } else {
                groups.push(number);
            }
        }
        decoding(path, || {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
            let mask = ProjectionMask::roots(builder.parquet_schema(), self.columns.iter().copied());
            builder
                .with_projection(mask)
                .with_row_groups(groups)
                .with_offset((from - before) as usize)
                .with_batch_size(BATCH_ROWS)
                .build()
        })
    }
}
