//! What a collection is made of: files of vectors, and folders of parts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use bulk::{FinishedPart, FinishedRun, Stored};

use crate::failure::Failure;
use crate::say::say;

/// What its rows without ids are counted through.
pub(super) enum Input {
    /// A file by itself.
    File(PathBuf),
    /// A part that is named without its folder.
    Part(PathBuf, Box<FinishedPart>),
    /// A folder of parts, whose manifest says which rows are where.
    Run(PathBuf, Box<FinishedRun>),
}

/// A file of vectors.
pub(super) enum VectorFile<'a> {
    Alone(&'a Path),
    Part(&'a FinishedPart),
}

impl VectorFile<'_> {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Alone(path) => path,
            Self::Part(part) => part.path(),
        }
    }

    pub(super) fn open(&self) -> Result<Stored, Failure> {
        Ok(match self {
            Self::Alone(path) => Stored::open(path)?,
            Self::Part(part) => Stored::open_part(part)?,
        })
    }
}

impl Input {
    /// In their order.
    pub(super) fn files(&self) -> Vec<VectorFile<'_>> {
        match self {
            Self::File(path) | Self::Part(path, _) => vec![VectorFile::Alone(path)],
            Self::Run(_, run) => run.parts().iter().map(VectorFile::Part).collect(),
        }
    }

    fn run(&self) -> Option<&FinishedRun> {
        match self {
            Self::File(_) | Self::Part(..) => None,
            Self::Run(_, run) => Some(run.as_ref()),
        }
    }
}

/// The numbers that rows without ids have: those of all inputs are counted through, as they come. Shares of one work are of one
/// input, in whatever order they come.
#[derive(Default)]
pub(super) struct Numbering<'a> {
    next: u64,
    runs: Vec<(&'a FinishedRun, u64)>,
    /// Folders whose parts are named one by one.
    folders: Vec<(&'a Path, u64)>,
}

impl<'a> Numbering<'a> {
    /// The number of the first row of the input that comes next.
    pub(super) fn first(&self, input: &Input) -> u64 {
        if let Input::Part(_, part) = input {
            let same = self.folders.iter().find(|(folder, _)| *folder == part.folder());
            return same.map_or(self.next, |(_, first)| *first);
        }
        let run = input.run();
        let same =
            self.runs.iter().find(|(other, _)| run.is_some_and(|run| run.is_a_share_of_the_same(other)));
        same.map_or(self.next, |(_, first)| *first)
    }

    /// That input began at `first`; its files had so many rows.
    pub(super) fn passed(&mut self, input: &'a Input, first: u64, rows: u64) {
        let rows = match input {
            Input::Run(_, run) => {
                self.runs.push((run, first));
                run.rows()
            }
            Input::Part(_, part) => {
                self.folders.push((part.folder(), first));
                part.end()
            }
            Input::File(_) => rows,
        };
        self.next = self.next.max(first.saturating_add(rows));
    }
}

/// The inputs that are meant.
pub(super) fn inputs(named: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for input in named {
        if !input.is_dir() {
            inputs.push(match bulk::finished_part(input)? {
                Some(part) => Input::Part(input.clone(), Box::new(part)),
                None => Input::File(input.clone()),
            });
            continue;
        }
        // A run that was stopped must not pass for a whole one.
        if let Some(run) = bulk::finished_run(input)? {
            let is_there = |other: &Input| {
                other
                    .run()
                    .is_some_and(|other| run.is_a_share_of_the_same(other) && run.share() == other.share())
            };
            if let (Some(share), true) = (run.share(), inputs.iter().any(is_there)) {
                let folder = input.display();
                return Err(Failure::usage(format!(
                    "{folder}: share {share} of the work is among the inputs already, and its rows would be there twice; name it once"
                )));
            }
            inputs.push(Input::Run(input.clone(), Box::new(run)));
            continue;
        }
        inputs.extend(parts_of_others(input)?.into_iter().map(Input::File));
    }
    Ok(inputs)
}

/// The parts of a folder that no manifest speaks of, by their names.
fn parts_of_others(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::nothing(format!("{}: cannot be read: {error}", folder.display()));
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_vectors =
            [".jsonl", ".csv", ".npy", ".parquet", ".arrow"].iter().any(|ending| name.ends_with(ending));
        // Beside npy parts lie the numbers of their rows, and lists of errors.
        let beside = name.ends_with(".rows.npy") || name.ends_with(".errors.jsonl");
        if name.starts_with("part-") && is_vectors && !beside {
            parts.push(path);
        }
    }
    if parts.is_empty() {
        return Err(Failure::nothing(format!(
            "{}: holds no parts (part-000000.parquet and so on); name a file of vectors",
            folder.display()
        )));
    }
    parts.sort();
    Ok(parts)
}

/// A share is whole by itself, and not all that there is.
pub(super) fn tell_missing_shares(inputs: &[Input]) {
    let mut told: Vec<&FinishedRun> = Vec::new();
    for input in inputs {
        let Input::Run(folder, run) = input else { continue };
        let Some(share) = run.share() else { continue };
        if told.iter().any(|other| run.is_a_share_of_the_same(other)) {
            continue;
        }
        told.push(run);
        let same = inputs.iter().filter_map(Input::run).filter(|other| run.is_a_share_of_the_same(other));
        let there: HashSet<u64> = same.filter_map(|run| Some(run.share()?.number())).collect();
        let missing: Vec<String> = (1..=share.of())
            .filter(|number| !there.contains(number))
            .take(4)
            .map(|number| format!("{number}/{}", share.of()))
            .collect();
        if !missing.is_empty() {
            let more =
                if there.len() as u64 + (missing.len() as u64) < share.of() { " and more" } else { "" };
            say(format_args!(
                "connote: {} is share {share} of the work; not among the inputs, and so not in the collection: {}{more}",
                folder.display(),
                missing.join(", ")
            ));
        }
    }
}
