//! Parts that were computed in several places, joined.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::assembly::Whole;
use super::beside::Beside;
use super::folder;
use super::lock::FolderLock;
use super::manifest::{self, MANIFEST, Manifest, PartRecord};
use super::part;
use crate::sink::OutputFormat;
use crate::{Error, ErrorKind, FileSum};

/// Folders of parts that make one output: all parts are there, whole, and of one plan.
pub struct Merge {
    whole: Whole,
    rows: u64,
    failed: u64,
    parts: u64,
}

impl Merge {
    /// Looks through the folders, and reads every part once to see that it is whole.
    ///
    /// # Errors
    /// If a folder has no parts, is of another plan than the first, or a part is damaged or missing; the message says which
    /// share of the work is to be done or done again.
    pub fn open(folders: &[PathBuf]) -> Result<Self, Error> {
        let mut found: Vec<(&Path, Manifest)> = Vec::new();
        for path in folders {
            if !path.join(MANIFEST).is_file() {
                return Err(refused(
                    path,
                    format_args!("is no folder of parts: there is no {MANIFEST} in it"),
                ));
            }
            FolderLock::check_free(path)?;
            manifest::refuse_foreign(path, false)?;
            let manifest = Manifest::read(path)?.ok_or_else(|| refused(path, "its manifest is gone"))?;
            if let Some((first_path, first)) = found.first() {
                let mut differences = first.plan.differences_but_for_share(&manifest.plan);
                let (was, is) = (&first.plan.sink, &manifest.plan.sink);
                // What describes itself says which program wrote it, and one file cannot say two.
                if was.format.describes_itself() && was.created_by != is.created_by {
                    differences
                        .push(format!("it was written by {} and this by {}", was.created_by, is.created_by));
                }
                if !differences.is_empty() {
                    let first_path = first_path.display();
                    return Err(refused(
                        path,
                        format_args!("does not go with {first_path}: {}", differences.join("; ")),
                    ));
                }
            }
            found.push((path, manifest));
        }
        let Some((first_path, first)) = found.first() else {
            return Err(Error::new(ErrorKind::Usage, "name the folders of parts that are to be joined"));
        };
        let Some(rows) = found.iter().find_map(|(_, manifest)| manifest.rows) else {
            return Err(refused(first_path, "the end of the input was not reached; run it to its end"));
        };
        let plan = &first.plan;
        let mut whole = Whole::of(plan.sink.clone(), first_path, &[]);
        let mut failed = 0;
        let parts = part::count(rows, plan.part_rows);
        for number in 0..parts {
            let (path, record) = choose(&found, number)?;
            if !folder::is_whole(path, record, plan.sink.format.name())? {
                let again = "run the same `connote embed` on this folder again, which computes it anew";
                return Err(refused(path, format_args!("part {number} is damaged; {again}")));
            }
            let range = part::rows_of(number, plan.part_rows, rows);
            if (record.first_row, record.rows) != (range.start, range.end - range.start) {
                return Err(refused(path, format_args!("part {number} has other rows than its place")));
            }
            failed += record.failed;
            whole.add(path, record);
        }
        Ok(Self { whole, rows, failed, parts })
    }

    /// The format of the parts, and so of the whole.
    pub fn format(&self) -> OutputFormat {
        self.whole.format()
    }

    /// Rows of the whole.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of it that failed.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Parts that it is joined from.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// Writes the whole, and gives its sum where its format does not describe itself; the caller syncs.
    ///
    /// # Errors
    /// If a part cannot be read, or the file cannot be written.
    pub fn write(&self, into: File) -> Result<(File, Option<FileSum>), Error> {
        self.whole.write(into)
    }

    /// Writes what lies beside the whole, which has the sum that [`write`](Self::write) gave, is on the disk, and gets the name
    /// `target` by `name`; see [`Beside::write`].
    ///
    /// # Errors
    /// If it cannot be written, or that of `name`.
    pub fn write_beside<E: From<Error>>(
        &self,
        target: &Path,
        sum: Option<&FileSum>,
        name: impl FnOnce() -> Result<(), E>,
    ) -> Result<Beside, E> {
        self.whole.write_beside(target, sum, name)
    }
}

/// The part of this number. In two folders it must be the same.
fn choose<'a>(found: &'a [(&Path, Manifest)], number: u64) -> Result<(&'a Path, &'a PartRecord), Error> {
    let mut chosen: Option<(&Path, &PartRecord)> = None;
    for (path, manifest) in found {
        let Some(record) = manifest.parts.iter().find(|record| record.number == number) else { continue };
        match chosen {
            None => chosen = Some((path, record)),
            Some((_, same)) if same.file == record.file => {}
            Some((other, _)) => {
                let other = other.display();
                return Err(refused(path, format_args!("part {number} is another one than in {other}")));
            }
        }
    }
    chosen.ok_or_else(|| {
        let owner = found.iter().find(|(_, manifest)| manifest.plan.shard.is_some_and(|shard| shard.has(number)));
        if let Some((path, _)) = owner {
            return refused(path, format_args!("part {number} is missing; run it to its end"));
        }
        let shards = found.iter().find_map(|(_, manifest)| manifest.plan.shard);
        match shards {
            Some(shard) => {
                let of = shard.of();
                let message = format!(
                    "part {number} is in none of the folders: share {}/{of} is missing; compute it with --shard, or name its folder",
                    number % of + 1
                );
                Error::new(ErrorKind::Mismatch, message)
            }
            None => refused(found[0].0, format_args!("part {number} is missing; run it to its end")),
        }
    })
}

fn refused(folder: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Mismatch, format_args!("{}: {why}", folder.display()))
}
