//! From parts to one file.

use std::fs::File;
use std::path::{Path, PathBuf};

use files::Predecessor;

use super::beside::Beside;
use super::manifest::PartRecord;
use super::part;
use crate::sink::{self, OutputFormat, SinkOptions};
use crate::{Error, FileSum};

/// The whole file while it is being made, in the folder of the parts.
pub(super) const WHOLE: &str = "whole.tmp";

/// The file that is to be there at the end.
pub(super) struct Target {
    path: PathBuf,
    before: Predecessor,
}

impl Target {
    /// Looks at it before anything is computed.
    pub(super) fn check(path: &Path) -> Result<Self, Error> {
        let before = Predecessor::of_writable(path).map_err(|error| Error::writing(path, &error))?;
        Ok(Self { path: path.to_owned(), before })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn keep_permissions(&self, file: &File) -> Result<(), Error> {
        self.before.hand_over(file).map_err(|error| Error::writing(&self.path, &error))
    }
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
    other_spaces: u64,
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
            other_spaces: record.other_spaces,
        });
    }

    pub(super) fn format(&self) -> OutputFormat {
        self.sink.format
    }

    /// With its sum, where the format does not describe itself.
    pub(super) fn write(&self, into: File) -> Result<(File, Option<FileSum>), Error> {
        let paths: Vec<PathBuf> = self.parts.iter().map(|piece| piece.path.clone()).collect();
        sink::assemble(&self.sink, &paths, self.other_spaces(), into)
    }

    fn other_spaces(&self) -> u64 {
        self.parts.iter().map(|piece| piece.other_spaces).sum()
    }

    /// What lies beside `target`, which has this sum and gets its name by `name`.
    pub(super) fn write_beside<E: From<Error>>(
        &self,
        target: &Path,
        sum: Option<&FileSum>,
        name: impl FnOnce() -> Result<(), E>,
    ) -> Result<Beside, E> {
        let rows = self.parts.iter().map(|piece| piece.rows).sum();
        let lists = self.parts.iter().filter_map(|piece| piece.errors.as_ref());
        let lists = lists.map(|list| File::open(list).map_err(|error| Error::reading(list, &error)));
        let description = sum.and_then(|sum| self.sink.description(sum, self.other_spaces()));
        Beside::write(target, self.sink.format, description.as_deref(), rows, lists, name)
    }
}
