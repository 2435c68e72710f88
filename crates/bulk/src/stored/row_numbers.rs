//! Which rows of the input those of an npy file are.

use std::fs::File;
use std::io::{BufReader, Read};
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::{beside_target, npy, wrong};
use crate::error::Error;
use crate::run::{FinishedPart, errors_path, failed_rows};
use crate::sink::{Element, Header};
use crate::space::row_numbers_path;

/// The numbers of the rows, one after another.
pub(super) struct RowNumbers {
    path: PathBuf,
    source: Numbers,
    /// The number that the first row of the input has.
    first: u64,
    /// The row that comes next, if it did not fail.
    next: u64,
    given: u64,
    /// Rows that failed, as far as a list says so.
    failed: u64,
}

enum Numbers {
    /// None failed.
    Counted,
    /// A file beside has them.
    Beside(BufReader<File>),
    /// All of the part but these.
    But(Peekable<IntoIter<u64>>),
}

impl RowNumbers {
    /// Of a file with `rows` vectors.
    pub(super) fn of_file(path: &Path, rows: u64) -> Result<Self, Error> {
        let (errors, beside) = (beside_target(path, errors_path), beside_target(path, row_numbers_path));
        let failed = match errors.exists() {
            true => failed_rows(&errors)?.try_fold(0, |count, row| row.map(|_| count + 1))?,
            false => 0,
        };
        let this = |path, source| Self { path, source, first: 0, next: 0, given: 0, failed };
        if !beside.exists() {
            if failed > 0 {
                return Err(wrong(
                    path,
                    format_args!(
                        "{} lists {failed} rows that are not in it, and {}, which has the numbers of the others, is missing; run the same `connote embed` again",
                        errors.display(),
                        beside.display()
                    ),
                ));
            }
            return Ok(this(path.to_owned(), Numbers::Counted));
        }
        let (numbers, header, _) = npy::open(&beside)?;
        if header != (Header { element: Element::I64, rows, width: None }) {
            let what = format_args!("does not hold the {rows} row numbers of {}", path.display());
            return Err(wrong(&beside, what));
        }
        Ok(this(beside, Numbers::Beside(numbers)))
    }

    /// Of a part with `rows` vectors.
    pub(super) fn of_part(part: &FinishedPart, rows: u64) -> Result<Self, Error> {
        let record = part.record();
        let failed: Vec<u64> = match part.errors() {
            Some(errors) => failed_rows(&errors)?.collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let count = failed.len() as u64;
        let end = record.first_row.saturating_add(record.rows);
        let is_of_it = failed.iter().all(|row| (record.first_row..end).contains(row));
        if !failed.is_sorted_by(|a, b| a < b) || !is_of_it || rows.checked_add(count) != Some(record.rows) {
            return Err(wrong(
                part.path(),
                format_args!(
                    "has {rows} vectors, and {} says {} rows of which {count} failed; run the same `connote embed` on its folder again",
                    part.manifest().display(),
                    record.rows
                ),
            ));
        }
        Ok(Self {
            path: part.path().to_owned(),
            source: Numbers::But(failed.into_iter().peekable()),
            first: 0,
            next: record.first_row,
            given: 0,
            failed: count,
        })
    }

    /// The first row of the input has this number.
    pub(super) fn start_at(&mut self, first: u64) {
        self.first = first;
    }

    /// Rows that are not in the file.
    pub(super) fn left_out(&self) -> u64 {
        match self.source {
            Numbers::But(_) => self.failed,
            // What stands behind the last row that is there is known by the list alone.
            _ => self.failed.max(self.next.saturating_sub(self.given)),
        }
    }

    /// The numbers of the next rows.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<i64>, Error> {
        let Self { path, source, next, .. } = self;
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            let row = match source {
                Numbers::Counted => *next,
                Numbers::But(failed) => {
                    while failed.next_if_eq(&*next).is_some() {
                        *next += 1;
                    }
                    *next
                }
                Numbers::Beside(file) => {
                    let mut bytes = [0; 8];
                    file.read_exact(&mut bytes).map_err(|error| Error::reading(path, &error))?;
                    let row = u64::try_from(i64::from_le_bytes(bytes)).ok().filter(|row| *row >= *next);
                    row.ok_or_else(|| wrong(path, "its row numbers are not in their order"))?
                }
            };
            // Both are far below the largest of i64, unless somebody made them up.
            numbers.push(self.first.saturating_add(row).try_into().unwrap_or(i64::MAX));
            *next = row.saturating_add(1);
        }
        self.given += count as u64;
        Ok(numbers)
    }
}
