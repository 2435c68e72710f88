//! The folder of a run's parts: begun, found again, checked, added to.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::durable::{self, ASIDE};
use super::lock::{FolderLock, LOCK};
use super::manifest::{self, MANIFEST, Manifest, PartRecord, Plan};
use super::part;
use crate::{Error, ErrorKind};

/// A folder of parts that this run works in.
pub(super) struct PartFolder {
    path: PathBuf,
    manifest: Manifest,
    lock: FolderLock,
}

impl PartFolder {
    /// Begins a folder, or finds what was begun in it and goes on. A folder `of_runs` is one that nobody else would make.
    /// What it meets on the way that a person should know is told to `note`.
    pub(super) fn open(
        path: &Path,
        plan: Plan,
        of_runs: bool,
        restart: bool,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, Error> {
        // Before the lock's file would be left in it.
        manifest::refuse_foreign(path, of_runs && restart)?;
        let lock = FolderLock::acquire(path)?;
        let names = names(path)?;
        let begun = if restart { None } else { Manifest::read(path)? };
        let Some(mut manifest) = begun else {
            // Without a manifest the parts in it are somebody's; in a folder of runs, of one that was killed at its end.
            if !names.contains(MANIFEST) {
                refuse_strangers(path, &names, of_runs)?;
            }
            clear(path, &names)?;
            let mut manifest = Manifest::new(plan);
            manifest.write(path)?;
            return Ok(Self { path: path.to_owned(), manifest, lock });
        };
        let differences = manifest.plan.differences(&plan);
        if !differences.is_empty() {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format_args!(
                    "{}: holds parts of another run: {}; run it as before, name another --output, or begin anew with --restart",
                    path.display(),
                    differences.join("; ")
                ),
            ));
        }
        if !plan.can_go_on() {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format_args!(
                    "{}: was begun with texts from a pipe, which cannot be read again; name another --output, or begin anew with --restart",
                    path.display()
                ),
            ));
        }
        let mut damaged = Vec::new();
        for record in &manifest.parts {
            if !is_whole(path, record, plan.sink.format.name())? {
                damaged.push(record.number);
            }
        }
        for number in damaged {
            note(&format!("part {number} in {} is damaged and is computed again", path.display()));
            manifest.parts.retain(|record| record.number != number);
        }
        let folder = Self { path: path.to_owned(), manifest, lock };
        folder.clean(&names)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The files of a part.
    pub(super) fn part_path(&self, number: u64) -> PathBuf {
        self.path.join(part::file_name(number, self.manifest.plan.sink.format.name()))
    }

    /// The list of a part's rows that failed.
    pub(super) fn errors_path(&self, number: u64) -> PathBuf {
        self.path.join(part::errors_name(number))
    }

    /// Its files have their names: from now on the part is done.
    pub(super) fn commit(&mut self, record: PartRecord) -> Result<(), Error> {
        self.manifest.add(record);
        self.manifest.write(&self.path)
    }

    /// The end of the input was seen after so many rows.
    pub(super) fn ended(&mut self, rows: u64) -> Result<(), Error> {
        if self.manifest.rows == Some(rows) {
            return Ok(());
        }
        self.manifest.rows = Some(rows);
        self.manifest.write(&self.path)
    }

    /// Parts that are still to be computed, by their numbers; without an end as long as that was not seen.
    pub(super) fn missing(&self) -> Missing {
        let plan = &self.manifest.plan;
        let end = self.manifest.rows.map(|rows| part::count(rows, plan.part_rows));
        let done = self.manifest.parts.iter().map(|record| record.number).collect();
        let mut missing = Missing { shard: plan.shard, done, end, last: None };
        missing.last = end.and_then(|end| (0..end).rev().find(|&number| missing.has(number)));
        missing
    }

    /// What was begun and not finished, and parts that the manifest does not know. Files of other names stay.
    fn clean(&self, names: &HashSet<String>) -> Result<(), Error> {
        let extension = self.manifest.plan.sink.format.name();
        let mut known = HashSet::new();
        for record in &self.manifest.parts {
            known.insert(part::file_name(record.number, extension));
            if record.errors.is_some() {
                known.insert(part::errors_name(record.number));
            }
        }
        for name in names {
            if is_ours(name) && ![MANIFEST, LOCK].contains(&name.as_str()) && !known.contains(name) {
                durable::remove(&self.path.join(name))?;
            }
        }
        Ok(())
    }

    /// The parts are in the whole file: the folder goes, unless somebody put something into it.
    pub(super) fn remove(self) -> Result<(), Error> {
        // The manifest first: without it nothing that is left says that it could go on.
        durable::remove(&self.path.join(MANIFEST))?;
        clear(&self.path, &names(&self.path)?)?;
        self.lock.remove()?;
        durable::remove_folder(&self.path)
    }

    /// The parts are the result: nothing but them stays.
    pub(super) fn leave(self) -> Result<(), Error> {
        self.lock.remove()
    }
}

/// Which parts are to be computed.
pub(super) struct Missing {
    shard: Option<part::Shard>,
    done: HashSet<u64>,
    /// Parts there are, where that is known.
    end: Option<u64>,
    /// The last that is missing, where the end is known.
    last: Option<u64>,
}

impl Missing {
    pub(super) fn has(&self, number: u64) -> bool {
        self.end.is_none_or(|end| number < end)
            && self.shard.is_none_or(|shard| shard.has(number))
            && !self.done.contains(&number)
    }

    /// Whether none is missing from this number on.
    pub(super) fn none_from(&self, number: u64) -> bool {
        self.end.is_some() && self.last.is_none_or(|last| last < number)
    }
}

/// Whether the files of a part are there as they were written.
pub(super) fn is_whole(folder: &Path, record: &PartRecord, extension: &str) -> Result<bool, Error> {
    let file = folder.join(part::file_name(record.number, extension));
    if !durable::is_as_known(&file, &record.file)? {
        return Ok(false);
    }
    match &record.errors {
        None => Ok(true),
        Some(errors) => durable::is_as_known(&folder.join(part::errors_name(record.number)), errors),
    }
}

/// Files in a folder.
fn names(folder: &Path) -> Result<HashSet<String>, Error> {
    let read = || -> io::Result<HashSet<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().map_err(|error| Error::reading(folder, &error))
}

/// Whether a run makes files of this name.
fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(ASIDE).unwrap_or(name);
    whole == MANIFEST || name == LOCK || name == super::assembly::WHOLE || part::is_of_a_part(whole)
}

/// Removes what runs made, but the lock. The manifest last: while it is there, what is killed in between is known for a run's.
fn clear(folder: &Path, names: &HashSet<String>) -> Result<(), Error> {
    let ours = |name: &&String| is_ours(name) && *name != LOCK && *name != MANIFEST;
    for name in names.iter().filter(ours) {
        durable::remove(&folder.join(name))?;
    }
    durable::remove(&folder.join(MANIFEST))
}

/// A folder that has no manifest and is not empty belongs to somebody. What a run leaves that was killed before its first
/// manifest is no stranger.
fn refuse_strangers(folder: &Path, names: &HashSet<String>, of_runs: bool) -> Result<(), Error> {
    let begun = |name: &str| name == LOCK || (is_ours(name) && (of_runs || name.ends_with(ASIDE)));
    let stranger = names.iter().filter(|name| !begun(name)).min();
    match stranger {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::Output,
            format_args!(
                "{}: holds {name}, and no {MANIFEST} of a run; name an empty folder or a new one",
                folder.display()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::plan;
    use super::*;
    use crate::FileSum;

    fn open(path: &Path) -> Result<PartFolder, Error> {
        PartFolder::open(path, plan(), false, false, &mut |_| ())
    }

    fn part(folder: &mut PartFolder, number: u64) {
        fs::write(folder.part_path(number), format!("part {number}\n")).expect("written");
        let file = FileSum::of(&folder.part_path(number)).expect("summed");
        let record = PartRecord {
            number,
            first_row: number * 1024,
            rows: 1024,
            failed: 0,
            tokens: 0,
            other_spaces: 0,
            file,
            errors: None,
        };
        folder.commit(record).expect("committed");
    }

    #[test]
    fn what_is_done_is_found_and_the_rest_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parts");
        let mut parts = open(&path).expect("begun");
        assert!(open(&path).is_err(), "it is locked");
        part(&mut parts, 2);
        part(&mut parts, 0);
        fs::write(parts.part_path(5), "not in the manifest").expect("written");
        fs::write(path.join("part-000001.jsonl.tmp"), "half").expect("written");
        fs::write(path.join("mine.txt"), "of somebody").expect("written");
        drop(parts);
        let mut parts = open(&path).expect("found");
        let mut left: Vec<String> = names(&path).expect("read").into_iter().collect();
        left.sort();
        assert_eq!(left, [".lock", "manifest.json", "mine.txt", "part-000000.jsonl", "part-000002.jsonl"]);
        let missing = parts.missing();
        assert_eq!((0..5).filter(|&number| missing.has(number)).collect::<Vec<_>>(), [1, 3, 4]);
        assert!(!missing.none_from(7), "the end was not seen");
        parts.ended(3 * 1024 + 1).expect("written");
        let missing = parts.missing();
        assert_eq!((0..9).filter(|&number| missing.has(number)).collect::<Vec<_>>(), [1, 3]);
        assert!(!missing.none_from(3) && missing.none_from(4));
        // What is not of a run outlives it.
        parts.remove().expect("removed");
        assert_eq!(names(&path).expect("read").into_iter().collect::<Vec<_>>(), ["mine.txt"]);
    }

    #[test]
    fn what_was_killed_before_its_first_manifest_is_nobodys() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("manifest.json.tmp"), "{").expect("written");
        fs::write(folder.path().join(LOCK), "").expect("written");
        drop(open(folder.path()).expect("begun"));
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("draft.tmp"), "of somebody").expect("written");
        let refused = open(folder.path()).err().expect("not empty");
        assert!(refused.to_string().contains("draft.tmp"), "{refused}");
        // A run was killed while it tidied up.
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("part-000000.jsonl"), "{}").expect("written");
        assert!(open(folder.path()).is_err(), "it may be somebody's");
        drop(PartFolder::open(folder.path(), plan(), true, false, &mut |_| ()).expect("begun"));
        assert!(!folder.path().join("part-000000.jsonl").exists());
    }

    #[test]
    fn a_part_that_changed_is_not_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut parts = open(folder.path()).expect("begun");
        (0..3).for_each(|number| part(&mut parts, number));
        fs::write(parts.part_path(0), "part 9\n").expect("written");
        fs::remove_file(parts.part_path(1)).expect("removed");
        drop(parts);
        let mut notes = Vec::new();
        let parts =
            PartFolder::open(folder.path(), plan(), false, false, &mut |note| notes.push(note.to_owned()))
                .expect("found");
        assert_eq!(parts.manifest().done(), 1024);
        assert!(notes.len() == 2 && notes[0].contains("part 0") && notes[1].contains("part 1"), "{notes:?}");
        assert!(parts.missing().has(0) && parts.missing().has(1) && !parts.missing().has(2));
    }
}
