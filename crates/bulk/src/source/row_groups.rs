//! Parquet from any row on.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::files::Input;
use crate::Error;
use crate::decoding::decoding;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 256;

/// Batches of some columns of a file.
pub(super) struct ParquetBatches {
    input: Input,
    metadata: ArrowReaderMetadata,
    columns: Vec<usize>,
    /// Begun at the first row that is asked for.
    reader: Option<ParquetRecordBatchReader>,
    rows: u64,
}

impl ParquetBatches {
    pub(super) fn open(input: &Input, path: &Path) -> Result<Self, Error> {
        let file = input.open_file()?;
        let metadata = decoding(path, || ArrowReaderMetadata::load(&file, Default::default()))?;
        let rows = metadata.metadata().file_metadata().num_rows().max(0) as u64;
        Ok(Self { input: input.clone(), metadata, columns: Vec::new(), reader: None, rows })
    }

    /// All columns of the file.
    pub(super) fn schema(&self) -> SchemaRef {
        self.metadata.schema().clone()
    }

    /// Rows of the file.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Only these columns.
    pub(super) fn of(self, columns: Vec<usize>) -> Self {
        Self { columns, ..self }
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
        decoding(path, || reader.next().transpose())
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
