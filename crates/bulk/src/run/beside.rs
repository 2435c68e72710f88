//! What lies beside an output: which rows failed and why, and for some formats what the vectors are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
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
    /// What may be written or removed beside `output`, on its way to its name too.
    pub fn paths(output: &Path) -> Vec<PathBuf> {
        let named = named(output);
        let asides = named.each_ref().map(|path| durable::aside_of(path));
        named.into_iter().chain(asides).collect()
    }

    /// Writes what lies beside `output`, and gives `output` its name by `name`, at the one moment when that is right. The output has so
    /// many rows and is on the disk; beside it come `description`, of those that do not describe themselves, and the rows that failed,
    /// which are in `lists`, one list after another, in their order, each read from where it stands. What an earlier output of this name
    /// had there and this one does not goes.
    ///
    /// Whenever this is stopped, no description and no row numbers lie beside an output that they are not of: those of the earlier one
    /// go before the name changes hands, those of this one come after. A list of failed rows, the one or the other, is there
    /// throughout: by it an npy file without its row numbers is known for what it is.
    ///
    /// # Errors
    /// If a list cannot be read, or a file cannot be written, or that of `name`.
    pub fn write<E: From<Error>>(
        output: &Path,
        format: OutputFormat,
        description: Option<&str>,
        rows: u64,
        lists: impl IntoIterator<Item = Result<File, Error>>,
        name: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, E> {
        let [errors, row_numbers, described] = named(output);
        let folder = output.parent().unwrap_or(Path::new(""));
        for path in [&errors, &row_numbers, &described] {
            durable::remove_aside(path)?;
        }
        // All of it is on the disk before the first name changes: a full disk costs nothing that was there.
        let mut list = join(lists, &errors)?;
        let numbers = match &mut list {
            Some((_, list)) if format == OutputFormat::Npy => {
                Some(number_rows(&row_numbers, rows, list, &errors)?)
            }
            _ => None,
        };
        let about = description.map(|text| durable::prepare(&described, text.as_bytes())).transpose()?;
        let has_failed = list.is_some();

        durable::remove(&described)?;
        if let Some((unfinished, list)) = list {
            unfinished.commit(&list)?;
        }
        durable::remove(&row_numbers)?;
        // That they are gone is on the disk before the new name is.
        durable::sync_folder(folder)?;
        name()?;
        let numbered = numbers.is_some();
        if let Some((unfinished, file)) = numbers {
            unfinished.commit(&file)?;
        }
        if !has_failed {
            durable::remove(&errors)?;
        }
        if let Some((unfinished, file)) = about {
            unfinished.commit(&file)?;
        }
        durable::sync_folder(folder)?;
        Ok(Self { errors: has_failed.then_some(errors), row_numbers: numbered.then_some(row_numbers) })
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

/// The list of rows that failed, the row numbers and the description of `output`.
fn named(output: &Path) -> [PathBuf; 3] {
    [errors_path(output), row_numbers_path(output), description_path(output)]
}

/// The file that lists the rows of `output` that failed.
pub(crate) fn errors_path(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".errors.jsonl");
    name.into()
}

/// Lists, one after another, on their way to `path`; none where there are none.
fn join(
    lists: impl IntoIterator<Item = Result<File, Error>>,
    path: &Path,
) -> Result<Option<(Unfinished, File)>, Error> {
    let mut lists = lists.into_iter().peekable();
    if lists.peek().is_none() {
        return Ok(None);
    }
    let (unfinished, mut joined) = Unfinished::create(path)?;
    for list in lists {
        io::copy(&mut list?, &mut joined).map_err(|error| Error::writing(path, &error))?;
    }
    unfinished.sync(&joined)?;
    Ok(Some((unfinished, joined)))
}

/// The numbers of the rows that are there, where those of `list` are not, on their way to `path`.
fn number_rows(path: &Path, rows: u64, list: &mut File, name: &Path) -> Result<(Unfinished, File), Error> {
    let (unfinished, file) = Unfinished::create(path)?;
    // The header says how many there are.
    let failed = numbers(list, name)?.try_fold(0, |count, row| row.map(|_| count + 1))?;
    let file = sink::write_row_numbers(file, rows, &mut numbers(list, name)?, failed)?;
    unfinished.sync(&file)?;
    Ok((unfinished, file))
}

/// The numbers of the rows that the list at `path` has.
pub(crate) fn failed_rows(path: &Path) -> Result<impl Iterator<Item = Result<u64, Error>>, Error> {
    let list = File::open(path).map_err(|error| Error::reading(path, &error))?;
    Ok(numbers_of(list, path))
}

/// The numbers of the rows that are listed.
fn numbers<'a>(
    list: &'a mut File,
    name: &'a Path,
) -> Result<impl Iterator<Item = Result<u64, Error>> + 'a, Error> {
    list.rewind().map_err(|error| Error::reading(name, &error))?;
    Ok(numbers_of(list, name))
}

fn numbers_of<'a>(list: impl Read + 'a, name: &'a Path) -> impl Iterator<Item = Result<u64, Error>> + 'a {
    #[derive(Deserialize)]
    struct Line {
        row: u64,
    }
    BufReader::new(list).lines().map(move |line| {
        let line = line.map_err(|error| Error::reading(name, &error))?;
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", name.display())))?;
        Ok(line.row)
    })
}
