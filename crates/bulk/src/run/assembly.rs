//! From parts to one file, and what lies beside it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::durable::{self, Unfinished};
use super::manifest::PartRecord;
use super::part;
use crate::sink::{self, OutputFormat, SinkOptions};
use crate::space::{description_path, row_numbers_path};
use crate::{Error, ErrorKind};

/// The whole file while it is being made, in the folder of the parts.
pub(super) const WHOLE: &str = "whole.tmp";

/// The file that is to be there at the end.
pub(super) struct Target {
    path: PathBuf,
    permissions: Option<Permissions>,
}

impl Target {
    /// Looks at it before anything is computed: a file that may not be written must not be replaced either.
    pub(super) fn check(path: &Path) -> Result<Self, Error> {
        let permissions = match OpenOptions::new().write(true).open(path) {
            Ok(old) => Some(old.metadata().map_err(|error| Error::writing(path, &error))?.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::writing(path, &error)),
        };
        Ok(Self { path: path.to_owned(), permissions })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn keep_permissions(&self, file: &File) -> Result<(), Error> {
        let Some(permissions) = &self.permissions else { return Ok(()) };
        file.set_permissions(permissions.clone()).map_err(|error| Error::writing(&self.path, &error))
    }
}

/// Files beside an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The rows that failed, a JSON object a line: `{"row": .., "id": .., "kind": .., "message": ..}`.
    pub errors: Option<PathBuf>,
    /// For npy, where rows are missing from it: the number of each row that is there.
    pub row_numbers: Option<PathBuf>,
}

/// All parts of an output.
pub(super) struct Whole {
    sink: SinkOptions,
    parts: Vec<Piece>,
}

struct Piece {
    path: PathBuf,
    errors: Option<PathBuf>,
    rows: u64,
    failed: u64,
}

impl Whole {
    pub(super) fn of(sink: SinkOptions, folder: &Path, parts: &[PartRecord]) -> Self {
        let mut whole = Self { sink, parts: Vec::new() };
        parts.iter().for_each(|record| whole.add(folder, record));
        whole
    }

    /// The next part.
    pub(super) fn add(&mut self, folder: &Path, record: &PartRecord) {
        self.parts.push(Piece {
            path: folder.join(part::file_name(record.number, self.sink.format.name())),
            errors: record.errors.as_ref().map(|_| folder.join(part::errors_name(record.number))),
            rows: record.rows,
            failed: record.failed,
        });
    }

    pub(super) fn write(&self, into: File) -> Result<File, Error> {
        let paths: Vec<PathBuf> = self.parts.iter().map(|piece| piece.path.clone()).collect();
        sink::assemble(&self.sink, &paths, into)
    }

    /// What lies beside `target`. What an earlier output of this name had there and this one does not goes.
    pub(super) fn write_beside(&self, target: &Path) -> Result<Beside, Error> {
        let failed = self.parts.iter().any(|piece| piece.failed > 0);
        let mut beside = Beside::default();
        let errors = errors_path(target);
        if failed {
            self.write_errors(&errors)?;
            beside.errors = Some(errors);
        } else {
            durable::remove(&errors)?;
        }
        let row_numbers = row_numbers_path(target);
        if failed && self.sink.format == OutputFormat::Npy {
            self.write_row_numbers(&row_numbers)?;
            beside.row_numbers = Some(row_numbers);
        } else {
            durable::remove(&row_numbers)?;
        }
        let description = description_path(target);
        match self.sink.description() {
            Some(text) => durable::replace(&description, text.as_bytes())?,
            None => durable::remove(&description)?,
        }
        Ok(beside)
    }

    fn write_errors(&self, path: &Path) -> Result<(), Error> {
        let (unfinished, mut file) = Unfinished::create(path)?;
        for errors in self.parts.iter().filter_map(|piece| piece.errors.as_ref()) {
            let mut part = File::open(errors).map_err(|error| Error::reading(errors, &error))?;
            io::copy(&mut part, &mut file).map_err(|error| Error::writing(path, &error))?;
        }
        file.flush().map_err(|error| Error::writing(path, &error))?;
        unfinished.commit(&file)
    }

    fn write_row_numbers(&self, path: &Path) -> Result<(), Error> {
        let (unfinished, file) = Unfinished::create(path)?;
        let (rows, failed) = self.parts.iter().fold((0, 0), |(rows, failed), piece| {
            (rows + piece.rows, failed + piece.failed)
        });
        let mut numbers = self.parts.iter().filter_map(|piece| piece.errors.as_deref()).flat_map(failed_rows);
        let file = sink::write_row_numbers(file, rows, &mut numbers, failed)?;
        unfinished.commit(&file)
    }
}

/// The numbers of the rows that a part lists, which are in their order.
fn failed_rows(path: &Path) -> Box<dyn Iterator<Item = Result<u64, Error>> + '_> {
    #[derive(Deserialize)]
    struct Line {
        row: u64,
    }
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) => return Box::new(std::iter::once(Err(Error::reading(path, &error)))),
    };
    Box::new(file.lines().map(move |line| {
        let line = line.map_err(|error| Error::reading(path, &error))?;
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", path.display())))?;
        Ok(line.row)
    }))
}

/// The file that lists the rows of `output` that failed.
fn errors_path(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".errors.jsonl");
    name.into()
}
