//! A run of bulk work: from a source to parts that are committed one by one, and from the parts to the whole.
//!
//! Three threads hand chunks on: one reads, the caller's computes, one writes. A part that is done stays done; whoever is
//! killed loses the part at hand, and the same run again goes on behind the last.

mod answer;
mod assembly;
mod background;
mod beside;
mod durable;
mod finished;
mod folder;
mod input_watch;
mod lock;
mod manifest;
mod merge;
mod part;
mod reader;
#[cfg(test)]
mod stopped;
mod writer;

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

pub use answer::{Answering, Results};
pub use background::{CpuShare, lowest_priority};
pub use beside::{Beside, FailedRows};
pub(crate) use beside::{errors_path, failed_rows};
pub(crate) use finished::linked;
pub use finished::{FinishedPart, FinishedRun, finished_part, finished_run};
pub use manifest::{PartRecord, Plan};
pub use merge::Merge;
pub use part::{DEFAULT_PART_ROWS, PART_ROWS_STEP, Shard};

use answer::Begun;
use assembly::{WHOLE, Whole};
use durable::Unfinished;
use folder::{Missing, PartFolder};
use input_watch::InputWatch;
use reader::{Advance, Reading};
use writer::{Writer, Writing};

use crate::rows::Chunk;
use crate::source::{Progress, Source};
use crate::spaces::Spaces;
use crate::{Error, ErrorKind};

/// Chunks that wait between two threads.
const WAITING: usize = 1;
/// Chunks that are being computed besides the one that is waited for: workers that finish the last texts of one begin with
/// the next.
const AHEAD: usize = 1;

/// Where the vectors go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// One file. Its parts lie beside it, in `FILE.parts`, until it is whole.
    File(PathBuf),
    /// A folder of parts.
    Folder(PathBuf),
}

impl Destination {
    /// The folder of the parts.
    pub fn parts(&self) -> PathBuf {
        match self {
            Destination::Folder(path) => path.clone(),
            Destination::File(path) => {
                let mut folder = path.as_os_str().to_owned();
                folder.push(".parts");
                folder.into()
            }
        }
    }
}

/// What is to be done.
pub struct Job {
    /// The texts.
    pub source: Source,
    /// What decides the output.
    pub plan: Plan,
    /// Where it goes.
    pub destination: Destination,
    /// Drop what an earlier run has done.
    pub restart: bool,
}

/// Who wants to know how it goes. Called from the threads of the run.
pub trait Observer: Sync {
    /// The parts are known: so many rows are done already, of so many, where that is known.
    fn begun(&self, done: u64, rows: Option<u64>);
    /// Rows are computed, and not yet safe. The source read `passed` for them (bytes or rows) and is at `position`.
    fn computed(&self, results: &Results, passed: u64, position: Progress);
    /// So many rows are safe, those of earlier runs among them.
    fn committed(&self, rows: u64);
    /// The output is complete; what is left is to tidy up.
    fn complete(&self);
    /// Something that a person should know.
    fn note(&self, line: &str);
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Rows of all parts that this destination has.
    pub rows: u64,
    /// Rows that were there when the run began.
    pub found: u64,
    /// Rows that failed, of all.
    pub failed: u64,
    /// Tokens of all.
    pub tokens: u64,
    /// Rows with a task of their own, whose vectors are of another space than the one that the output names.
    pub other_spaces: u64,
    /// Parts of this destination.
    pub parts: u64,
    /// Files beside the output.
    pub beside: Beside,
}

/// Does a job, or goes on with it.
///
/// # Errors
/// If there are parts of another plan, or reading, computing or writing fails; parts that are done stay, and the message
/// says how many.
pub fn run<'model>(
    job: Job,
    answering: &mut Answering<'model>,
    spaces: &mut Spaces<'model>,
    observer: &dyn Observer,
) -> Result<Summary, Error> {
    let Job { mut source, plan, destination, restart } = job;
    let target = match &destination {
        Destination::File(path) => Some(assembly::Target::check(path)?),
        Destination::Folder(_) => None,
    };
    let path = destination.parts();
    let resumable = plan.can_go_on();
    let watch = InputWatch::new(source.states().to_vec(), &plan.input);
    let of_runs = target.is_some();
    let mut folder = PartFolder::open(&path, plan, of_runs, restart, &mut |line| observer.note(line))?;
    let found = folder.manifest().done();
    observer.begun(found, folder.manifest().rows);
    observer.committed(found);
    let missing = folder.missing();
    if !missing.none_from(0) {
        let computing = Computing { answering, spaces, observer };
        compute_parts(&mut source, &missing, computing, &mut folder, watch)
            .map_err(|error| with_what_is_done(error, &folder, resumable))?;
    }
    let manifest = folder.manifest();
    let mut summary = Summary {
        rows: manifest.done(),
        found,
        failed: manifest.sum(|part| part.failed),
        tokens: manifest.sum(|part| part.tokens),
        other_spaces: manifest.sum(|part| part.other_spaces),
        parts: manifest.parts.len() as u64,
        beside: Beside::default(),
    };
    match target {
        None => {
            observer.complete();
            folder.leave()?;
        }
        Some(target) => {
            summary.beside =
                assemble(&folder, &target).map_err(|error| with_what_is_done(error, &folder, resumable))?;
            observer.complete();
            folder.remove()?;
        }
    }
    Ok(summary)
}

/// The parts as one file.
fn assemble(folder: &PartFolder, target: &assembly::Target) -> Result<Beside, Error> {
    let whole = Whole::of(folder.manifest().plan.sink.clone(), folder.path(), &folder.manifest().parts);
    let (unfinished, file) = Unfinished::create_as(folder.path().join(WHOLE), target.path())?;
    let (file, sum) = whole.write(file).map_err(|error| writer::at(target.path(), error))?;
    target.keep_permissions(&file)?;
    // Before anything of an earlier output goes: this takes long, and may meet a full disk.
    unfinished.sync(&file)?;
    whole.write_beside(target.path(), sum.as_ref(), || {
        unfinished.commit(&file)?;
        durable::sync_folder(target.path().parent().unwrap_or(Path::new("")))
    })
}

fn with_what_is_done(error: Error, folder: &PartFolder, resumable: bool) -> Error {
    let rows = folder.manifest().done();
    if !resumable {
        return error;
    }
    let rows = match rows {
        1 => "1 row is".to_owned(),
        rows => format!("{rows} rows are"),
    };
    let place = folder.path().display();
    Error::new(
        error.kind(),
        format_args!("{error}; {rows} done and safe in {place}, and the same command goes on from there"),
    )
}

/// Reads, computes and writes at once.
fn compute_parts(
    source: &mut Source,
    missing: &Missing,
    mut computing: Computing<'_, '_>,
    folder: &mut PartFolder,
    watch: InputWatch,
) -> Result<(), Error> {
    let observer = computing.observer;
    let part_rows = folder.manifest().plan.part_rows.get();
    thread::scope(|scope| {
        let (reading, readings) = sync_channel(WAITING);
        let (writing, writings) = sync_channel(WAITING);
        let reader = spawn(scope, "reader", move || {
            reader::read(source, missing, part_rows, |piece| reading.send(piece).is_ok())
        })?;
        let writer = spawn(scope, "writer", move || {
            let mut writer = Writer::new(folder, watch, observer);
            // Ends at once where it fails; then nobody takes what is computed, and the others end, too.
            writings.into_iter().try_for_each(|piece| writer.take(piece))
        })?;
        let computed = computing.run(readings, &writing);
        drop(writing);
        // What ended first ended the others: a full disk stands before all else.
        let written = writer.join().unwrap_or_else(|panic| resume_unwind(panic));
        let read = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
        written.and(computed).and(read)
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>, Error> {
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map_err(|error| {
        Error::new(ErrorKind::Output, format_args!("the system has no thread to give: {error}"))
    })
}

/// What is on its way between reader and writer.
enum Step {
    Chunk(Chunk, Advance, Result<Box<Begun>, Results>),
    Mark(Writing),
}

/// From rows to their vectors.
struct Computing<'a, 'model> {
    answering: &'a mut Answering<'model>,
    spaces: &'a mut Spaces<'model>,
    observer: &'a dyn Observer,
}

impl Computing<'_, '_> {
    /// Computes what is read. Nobody taking more is no error here.
    fn run(&mut self, readings: Receiver<Reading>, writing: &SyncSender<Writing>) -> Result<(), Error> {
        let mut steps = VecDeque::new();
        let mut ahead = 0;
        for reading in readings {
            steps.push_back(match reading {
                Reading::Chunk(mut chunk, at) => {
                    ahead += 1;
                    let begun = self.answering.begin(&mut chunk.rows)?;
                    Step::Chunk(chunk, at, begun)
                }
                Reading::PartEnd(part) => Step::Mark(Writing::PartEnd(part)),
                Reading::End(rows) => Step::Mark(Writing::End(rows)),
            });
            while ahead > AHEAD || matches!(steps.front(), Some(Step::Mark(_))) {
                let Some(step) = steps.pop_front() else { break };
                ahead -= usize::from(matches!(step, Step::Chunk(..)));
                if writing.send(self.finish(step)).is_err() {
                    return Ok(());
                }
            }
        }
        for step in steps {
            if writing.send(self.finish(step)).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Waits for what was begun.
    fn finish(&mut self, step: Step) -> Writing {
        match step {
            Step::Mark(piece) => piece,
            Step::Chunk(chunk, at, begun) => {
                let results =
                    begun.map_or_else(|done| done, |begun| self.answering.finish(*begun, &chunk.rows));
                self.observer.computed(&results, at.passed, at.position);
                let other_spaces = self.spaces.add(&chunk.rows, &results);
                Writing::Chunk(chunk, results, other_spaces)
            }
        }
    }
}
