//! What lies beside an output: which rows failed and why, and for some formats what the vectors are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use connote::jsonl::RowError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::durable::{self, Unfinished};
use crate::rows::Row;
use crate::sink::{self, OutputFormat};
use crate::space::{description_path, row_numbers_path};
use crate::{Error, ErrorKind};

/// Files beside an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The rows that failed, a JSON object a line: `{"row": .., "id": .., "kind": .., "message": ..}`.
    pub errors: Option<PathBuf>,
    /// For npy, where rows are missing from it: the number of each row that is there.
    pub row_numbers: Option<PathBuf>,
}

impl Beside {
    /// Writes what lies beside `output`, which has so many rows: `description`, of those that do not describe themselves, and
    /// the rows that failed, which are in `lists`, one list after another, in their order. What an earlier output of this
    /// name had there and this one does not goes.
    ///
    /// # Errors
    /// If a list cannot be read, or a file cannot be written.
    pub fn write(
        output: &Path,
        format: OutputFormat,
        description: Option<&str>,
        rows: u64,
        lists: &[PathBuf],
    ) -> Result<Self, Error> {
        let mut beside = Self::default();
        let errors = errors_path(output);
        if lists.is_empty() {
            durable::remove(&errors)?;
        } else {
            copy_lists(lists, &errors)?;
            beside.errors = Some(errors);
        }
        let row_numbers = row_numbers_path(output);
        if !lists.is_empty() && format == OutputFormat::Npy {
            let failed = numbers(lists).try_fold(0, |count, row| row.map(|_| count + 1))?;
            let (unfinished, file) = Unfinished::create(&row_numbers)?;
            let file = sink::write_row_numbers(file, rows, &mut numbers(lists), failed)?;
            unfinished.commit(&file)?;
            beside.row_numbers = Some(row_numbers);
        } else {
            durable::remove(&row_numbers)?;
        }
        let path = description_path(output);
        match description {
            Some(text) => durable::replace(&path, text.as_bytes())?,
            None => durable::remove(&path)?,
        }
        Ok(beside)
    }
}

/// Lists rows that failed, a JSON object a line.
pub struct FailedRows<W: Write> {
    to: BufWriter<W>,
}

/// A line of the list.
#[derive(Serialize)]
struct FailedRow<'a> {
    row: u64,
    id: &'a RawValue,
    kind: &'a str,
    message: &'a str,
}

impl<W: Write> FailedRows<W> {
    /// Begins `to`, which is empty.
    pub fn new(to: W) -> Self {
        Self { to: BufWriter::new(to) }
    }

    /// The next, in the order of the input.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, row: &Row, error: &RowError) -> io::Result<()> {
        let RowError { kind, message } = error;
        let line = FailedRow { row: row.number, id: &row.id, kind, message };
        serde_json::to_writer(&mut self.to, &line)?;
        self.to.write_all(b"\n")
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.to.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// The file that lists the rows of `output` that failed.
fn errors_path(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".errors.jsonl");
    name.into()
}

fn copy_lists(lists: &[PathBuf], into: &Path) -> Result<(), Error> {
    let (unfinished, mut file) = Unfinished::create(into)?;
    for list in lists {
        let mut part = File::open(list).map_err(|error| Error::reading(list, &error))?;
        io::copy(&mut part, &mut file).map_err(|error| Error::writing(into, &error))?;
    }
    unfinished.commit(&file)
}

/// The numbers of the rows that are listed.
fn numbers(lists: &[PathBuf]) -> impl Iterator<Item = Result<u64, Error>> {
    lists.iter().flat_map(|list| numbers_of(list))
}

fn numbers_of(list: &Path) -> Box<dyn Iterator<Item = Result<u64, Error>> + '_> {
    #[derive(Deserialize)]
    struct Line {
        row: u64,
    }
    let file = match File::open(list) {
        Ok(file) => BufReader::new(file),
        Err(error) => return Box::new(std::iter::once(Err(Error::reading(list, &error)))),
    };
    Box::new(file.lines().map(move |line| {
        let line = line.map_err(|error| Error::reading(list, &error))?;
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", list.display())))?;
        Ok(line.row)
    }))
}
