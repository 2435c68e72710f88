//! What lies beside an output: which rows failed and why, and for some formats what the vectors are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
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
    /// What may be written or removed beside `output`.
    pub fn paths(output: &Path) -> [PathBuf; 3] {
        [errors_path(output), row_numbers_path(output), description_path(output)]
    }

    /// Writes what lies beside `output`, which has so many rows: `description`, of those that do not describe themselves, and
    /// the rows that failed, which are in `lists`, one list after another, in their order, each read from where it stands.
    /// What an earlier output of this name had there and this one does not goes.
    ///
    /// # Errors
    /// If a list cannot be read, or a file cannot be written.
    pub fn write(
        output: &Path,
        format: OutputFormat,
        description: Option<&str>,
        rows: u64,
        lists: impl IntoIterator<Item = Result<File, Error>>,
    ) -> Result<Self, Error> {
        let mut beside = Self::default();
        let (errors, row_numbers) = (errors_path(output), row_numbers_path(output));
        let mut lists = lists.into_iter().peekable();
        if lists.peek().is_none() {
            durable::remove(&errors)?;
            durable::remove(&row_numbers)?;
        } else {
            let (unfinished, mut list) = Unfinished::create(&errors)?;
            for part in lists {
                io::copy(&mut part?, &mut list).map_err(|error| Error::writing(&errors, &error))?;
            }
            if format == OutputFormat::Npy {
                write_row_numbers(&row_numbers, rows, &mut list, &errors)?;
                beside.row_numbers = Some(row_numbers);
            } else {
                durable::remove(&row_numbers)?;
            }
            unfinished.commit(&list)?;
            beside.errors = Some(errors);
        }
        let path = description_path(output);
        match description {
            Some(text) => durable::replace(&path, text.as_bytes())?,
            None => durable::remove(&path)?,
        }
        Ok(beside)
    }

    /// Writes `description` of an `output` that has its name already.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn describe(output: &Path, description: &str) -> Result<(), Error> {
        durable::replace(&description_path(output), description.as_bytes())
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

/// The numbers of the rows that are there, where those of `list` are not.
fn write_row_numbers(path: &Path, rows: u64, list: &mut File, name: &Path) -> Result<(), Error> {
    let (unfinished, file) = Unfinished::create(path)?;
    // The header says how many there are.
    let failed = numbers(list, name)?.try_fold(0, |count, row| row.map(|_| count + 1))?;
    let file = sink::write_row_numbers(file, rows, &mut numbers(list, name)?, failed)?;
    unfinished.commit(&file)
}

/// The numbers of the rows that are listed.
fn numbers<'a>(
    list: &'a mut File,
    name: &'a Path,
) -> Result<impl Iterator<Item = Result<u64, Error>> + 'a, Error> {
    #[derive(Deserialize)]
    struct Line {
        row: u64,
    }
    list.rewind().map_err(|error| Error::reading(name, &error))?;
    Ok(BufReader::new(list).lines().map(move |line| {
        let line = line.map_err(|error| Error::reading(name, &error))?;
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", name.display())))?;
        Ok(line.row)
    }))
}
