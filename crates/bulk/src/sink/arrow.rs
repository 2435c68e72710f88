//! Arrow IPC, the file form.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;

use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;

use super::table::{self, Batches};
use super::{SinkOptions, not_written, open_part, other_part};
use crate::decoding::decoding;
use crate::error::Error;
use crate::file_sum::{FileSum, Summing};
use crate::rows::Answered;
use crate::space::{OTHER_SPACES_KEY, read_other_spaces};

/// Writes one part.
pub(super) struct ArrowWriter {
    batches: Batches,
    file: FileWriter<BufWriter<Summing<File>>>,
}

impl ArrowWriter {
    pub(super) fn create(file: File, options: &SinkOptions) -> Result<Self, Error> {
        let batches = Batches::new(options);
        let file = FileWriter::try_new_buffered(Summing::new(file), batches.schema()).map_err(not_written)?;
        Ok(Self { batches, file })
    }

    pub(super) fn write(&mut self, rows: &Answered<'_>) -> Result<(), Error> {
        let Self { batches, file } = self;
        batches.push(rows, |batch| file.write(batch).map_err(not_written))
    }

    pub(super) fn finish(self, other_spaces: u64) -> Result<(File, FileSum), Error> {
        let Self { mut batches, mut file } = self;
        batches.complete(|batch| file.write(batch).map_err(not_written))?;
        Ok(close(file, other_spaces)?.finish())
    }
}

/// The footer says how many rows are of another space, where there are any.
fn close<W: Write>(mut file: FileWriter<BufWriter<W>>, other_spaces: u64) -> Result<W, Error> {
    if other_spaces > 0 {
        file.write_metadata(OTHER_SPACES_KEY, other_spaces.to_string());
    }
    file.finish().map_err(not_written)?;
    let buffered = file.into_inner().map_err(not_written)?;
    buffered.into_inner().map_err(|error| not_written(error.error()))
}

/// Batches are read and written, one at a time: what an array is copied from does not show in the bytes.
pub(super) fn assemble(
    options: &SinkOptions,
    parts: &[PathBuf],
    least_other_spaces: u64,
    into: File,
) -> Result<File, Error> {
    let schema = table::schema(options);
    let mut file = FileWriter::try_new_buffered(into, &schema).map_err(not_written)?;
    let mut other_spaces = 0;
    for part in parts {
        let reader = BufReader::new(open_part(part)?);
        let mut batches = decoding(part, || FileReader::try_new(reader, None))?;
        if batches.schema() != schema {
            return Err(other_part(part, "it has other columns, or vectors of another model or precision"));
        }
        let told = batches.custom_metadata().get(OTHER_SPACES_KEY);
        other_spaces = read_other_spaces(told.map(String::as_str), part)?.saturating_add(other_spaces);
        while let Some(batch) = decoding(part, || batches.next().transpose())? {
            file.write(&batch).map_err(not_written)?;
        }
    }
    close(file, other_spaces.max(least_other_spaces))
}
