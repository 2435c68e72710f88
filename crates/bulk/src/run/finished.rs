//! A folder of parts as the result of a run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder;
use super::manifest::{MANIFEST, Manifest, PartRecord, Plan};
use super::part::{self, Shard};
use crate::space::Description;
use crate::{Error, ErrorKind};

/// A run that came to its end, in a folder.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    plan: Plan,
    rows: u64,
    parts: Vec<FinishedPart>,
}

/// A part of a run.
#[derive(Debug, Clone)]
pub struct FinishedPart {
    folder: PathBuf,
    file: PathBuf,
    description: Arc<Description>,
    record: PartRecord,
}

impl FinishedRun {
    /// Rows of the whole input, those that failed and those of other shares among them.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// In their order; of a share its own alone.
    pub fn parts(&self) -> &[FinishedPart] {
        &self.parts
    }

    /// Which share of the work it is, if it is one.
    pub fn share(&self) -> Option<Shard> {
        self.plan.shard
    }

    /// Whether both are shares of the same work: their rows are of one input.
    pub fn is_a_share_of_the_same(&self, other: &Self) -> bool {
        self.plan.shard.is_some()
            && other.plan.shard.map(Shard::of) == self.plan.shard.map(Shard::of)
            && self.plan.differences_but_for_share(&other.plan).is_empty()
    }
}

impl FinishedPart {
    fn new(folder: &Path, extension: &str, description: &Arc<Description>, record: PartRecord) -> Self {
        let file = folder.join(part::file_name(record.number, extension));
        let description = match record.other_spaces {
            0 => Arc::clone(description),
            other_spaces => Arc::new(Description { other_spaces, ..Description::clone(description) }),
        };
        Self { folder: folder.to_owned(), file, description, record }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// The folder of its run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of the row of the input behind its last.
    pub fn end(&self) -> u64 {
        self.record.first_row.saturating_add(self.record.rows)
    }

    /// What its vectors are.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// What the manifest says of it.
    pub(crate) fn record(&self) -> &PartRecord {
        &self.record
    }

    /// The manifest that says so.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.join(MANIFEST)
    }

    /// The list of its rows that failed, if some did.
    pub(crate) fn errors(&self) -> Option<PathBuf> {
        self.record.errors.as_ref().map(|_| self.folder.join(part::errors_name(self.record.number)))
    }
}

/// The run in `folder` with the parts that its manifest has; none if it has no manifest of connote's, and whatever lies in it is of
/// no run.
///
/// # Errors
/// If the run in it did not come to its end, a part is damaged, or something cannot be read.
pub fn finished_run(folder: &Path) -> Result<Option<FinishedRun>, Error> {
    let Some(manifest) = Manifest::read(folder)? else { return Ok(None) };
    let refused = |why: String| {
        let folder = folder.display();
        let again = "run the same `connote embed` on this folder again, which computes what is left";
        Error::new(ErrorKind::Mismatch, format_args!("{folder}: {why}; {again}"))
    };
    let plan = &manifest.plan;
    let extension = plan.sink.format.name();
    let description = Arc::new(plan.sink.describe());
    let rows = manifest.rows.ok_or_else(|| refused("the end of the input was not reached".to_owned()))?;
    let here = |number: &u64| plan.shard.is_none_or(|shard| shard.has(*number));
    let mut parts = Vec::new();
    for number in (0..part::count(rows, plan.part_rows)).filter(here) {
        let record = manifest.parts.iter().find(|record| record.number == number);
        let record = record.ok_or_else(|| refused(format!("part {number} is missing")))?;
        if !folder::is_whole(folder, record, extension)? {
            return Err(refused(format!("part {number} is damaged")));
        }
        let range = part::rows_of(number, plan.part_rows, rows);
        if (record.first_row, record.rows) != (range.start, range.end - range.start) {
            return Err(refused(format!("part {number} has other rows than its place")));
        }
        parts.push(FinishedPart::new(folder, extension, &description, record.clone()));
    }
    Ok(Some(FinishedRun { plan: manifest.plan, rows, parts }))
}

/// The part that a file is, or that it is a link to, by the manifest of its folder; `None` for a file that is none. Whether it is
/// whole is not looked at.
///
/// # Errors
/// If the manifest is damaged or cannot be read.
pub fn finished_part(path: &Path) -> Result<Option<FinishedPart>, Error> {
    let path = &linked(path);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    if !part::is_of_a_part(name) {
        return Ok(None);
    }
    let Some(Manifest { plan, parts, .. }) = Manifest::read(folder)? else { return Ok(None) };
    let extension = plan.sink.format.name();
    let record = parts.into_iter().find(|record| part::file_name(record.number, extension) == name);
    let description = Arc::new(plan.sink.describe());
    Ok(record.map(|record| FinishedPart::new(folder, extension, &description, record)))
}

/// What a link leads to; all else is itself.
pub(crate) fn linked(path: &Path) -> PathBuf {
    let target = path.is_symlink().then(|| path.canonicalize().ok()).flatten();
    target.unwrap_or_else(|| path.to_owned())
}
