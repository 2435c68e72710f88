//! From answered rows to parts that are committed one by one.

use std::fs::File;
use std::path::{Path, PathBuf};

use connote::jsonl::RowError;

use super::Observer;
use super::answer::Results;
use super::beside::FailedRows;
use super::durable::Unfinished;
use super::folder::PartFolder;
use super::input_watch::InputWatch;
use super::manifest::PartRecord;
use crate::file_sum::Summing;
use crate::rows::{Answered, Chunk, Row};
use crate::sink::{PartWriter, SinkOptions};
use crate::{Error, ErrorKind};

/// What is to be written, in the order of the input.
pub(super) enum Writing {
    /// Rows, and how many of them are of another space than the output names.
    Chunk(Chunk, Results, u64),
    PartEnd(u64),
    End(u64),
}

/// Writes parts into their folder.
pub(super) struct Writer<'a> {
    folder: &'a mut PartFolder,
    sink: SinkOptions,
    part_rows: u64,
    part: Option<OpenPart>,
    watch: InputWatch,
    observer: &'a dyn Observer,
}

impl<'a> Writer<'a> {
    pub(super) fn new(folder: &'a mut PartFolder, watch: InputWatch, observer: &'a dyn Observer) -> Self {
        let plan = &folder.manifest().plan;
        let (sink, part_rows) = (plan.sink.clone(), plan.part_rows.get());
        Self { folder, sink, part_rows, part: None, watch, observer }
    }

    pub(super) fn take(&mut self, writing: Writing) -> Result<(), Error> {
        match writing {
            Writing::Chunk(chunk, results, other_spaces) => {
                let Some(first) = chunk.rows.first() else { return Ok(()) };
                let number = first.number / self.part_rows;
                let part = match &mut self.part {
                    Some(part) => part,
                    None => self.part.insert(OpenPart::begin(self.folder, &self.sink, number)?),
                };
                part.other_spaces += other_spaces;
                part.writer.add_other_spaces(other_spaces);
                part.write(&chunk, &results)
            }
            Writing::PartEnd(number) => {
                let Some(part) = self.part.take() else { return Ok(()) };
                self.watch.check()?;
                let record = part.commit(number, self.part_rows)?;
                self.folder.commit(record)?;
                self.observer.committed(self.folder.manifest().done());
                Ok(())
            }
            Writing::End(rows) => {
                self.watch.check()?;
                self.folder.ended(rows)
            }
        }
    }
}

/// A part that is being written.
struct OpenPart {
    unfinished: Unfinished,
    writer: PartWriter,
    errors: Option<(Unfinished, FailedRows<Summing<File>>)>,
    errors_path: PathBuf,
    rows: u64,
    failed: u64,
    tokens: u64,
    other_spaces: u64,
}

impl OpenPart {
    fn begin(folder: &PartFolder, sink: &SinkOptions, number: u64) -> Result<Self, Error> {
        let (unfinished, file) = Unfinished::create(&folder.part_path(number))?;
        let writer = PartWriter::create(file, sink).map_err(|error| at(unfinished.path(), error))?;
        let errors_path = folder.errors_path(number);
        Ok(Self {
            unfinished,
            writer,
            errors: None,
            errors_path,
            rows: 0,
            failed: 0,
            tokens: 0,
            other_spaces: 0,
        })
    }

    fn write(&mut self, chunk: &Chunk, results: &Results) -> Result<(), Error> {
        let written = self.writer.write(&Answered { chunk, results });
        written.map_err(|error| at(self.unfinished.path(), error))?;
        for (row, result) in chunk.rows.iter().zip(results) {
            self.rows += 1;
            match result {
                Ok(embedding) => self.tokens += embedding.tokens as u64,
                Err(error) => {
                    self.failed += 1;
                    self.list(row, error)?;
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, row: &Row, error: &RowError) -> Result<(), Error> {
        let (_, list) = match &mut self.errors {
            Some(errors) => errors,
            None => {
                let (unfinished, file) = Unfinished::create(&self.errors_path)?;
                self.errors.insert((unfinished, FailedRows::new(Summing::new(file))))
            }
        };
        list.add(row, error).map_err(|error| Error::writing(&self.errors_path, &error))
    }

    /// All its rows are written: its files go to the disk and take their names.
    fn commit(self, number: u64, part_rows: u64) -> Result<PartRecord, Error> {
        let (file, sum) = self.writer.finish().map_err(|error| at(self.unfinished.path(), error))?;
        self.unfinished.commit(&file)?;
        let errors = match self.errors {
            None => None,
            Some((unfinished, list)) => {
                let summing = list.finish().map_err(|error| Error::writing(&self.errors_path, &error))?;
                let (file, sum) = summing.finish();
                unfinished.commit(&file)?;
                Some(sum)
            }
        };
        Ok(PartRecord {
            number,
            first_row: number * part_rows,
            rows: self.rows,
            failed: self.failed,
            tokens: self.tokens,
            other_spaces: self.other_spaces,
            file: sum,
            errors,
        })
    }
}

/// What a sink says, which knows no file names.
pub(super) fn at(path: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Output => Error::new(ErrorKind::Output, format_args!("{}: {error}", path.display())),
        _ => error,
    }
}
