//! A run of bulk work: from a source to parts that are committed one by one, and from the parts to the whole.
//!
//! Three threads hand chunks on: one reads, the caller's computes, one writes. A part that is done stays done; whoever is
//! killed loses the part at hand, and the same run again goes on behind the last.

mod answer;
mod assembly;
mod background;
mod durable;
mod folder;
mod lock;
mod manifest;
mod merge;
mod part;
mod reader;
mod writer;

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::SystemTime;

pub use answer::{Answering, Results};
pub use assembly::Beside;
pub use background::{CpuShare, lowest_priority};
pub(crate) use manifest::description_of_part;
pub use manifest::{PartRecord, Plan};
pub use merge::Merge;
pub use part::{DEFAULT_PART_ROWS, PART_ROWS_STEP, Shard};

use answer::Begun;
use assembly::{WHOLE, Whole};
use durable::Unfinished;
use folder::{Missing, PartFolder};
use reader::{Advance, Reading};
use writer::{Writer, Writing};

use crate::rows::{Chunk, Row};
use crate::source::{Progress, Source};
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
    /// These rows are computed, and not yet safe. The source read `passed` for them (bytes or rows) and is at `position`.
    fn computed(&self, rows: &[Row], results: &Results, passed: u64, position: Progress);
    /// So many rows are safe, those of earlier runs among them.
    fn committed(&self, rows: u64);
    /// The output is complete; what is left is to tidy up.
    fn complete(&self);
    /// Something that a person should know.
    fn note(&self, line: &str);
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
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
pub fn run(job: Job, answering: &mut Answering<'_>, observer: &dyn Observer) -> Result<Summary, Error> {
    let Job { mut source, plan, destination, restart } = job;
    let target = match &destination {
        Destination::File(path) => Some(assembly::Target::check(path)?),
        Destination::Folder(_) => None,
    };
    let path = destination.parts();
    let resumable = plan.can_go_on();
    let before = states(&source);
    let of_runs = target.is_some();
    let mut folder = PartFolder::open(&path, plan, of_runs, restart, &mut |line| observer.note(line))?;
    let found = folder.manifest().done();
    observer.begun(found, folder.manifest().rows);
    observer.committed(found);
    let missing = folder.missing();
    if !missing.none_from(0) {
        compute_parts(&mut source, &missing, answering, &mut folder, observer)
            .map_err(|error| with_what_is_done(error, &folder, resumable))?;
    }
    if let Some((file, _)) = before.iter().zip(states(&source)).find(|(before, now)| *before != now) {
        let file = file.0.display();
        return Err(Error::new(
            ErrorKind::Mismatch,
            format_args!(
                "{file}: was changed while it was read, and the output would mix both; begin anew with --restart"
            ),
        ));
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

/// The files of a source, with size and time of change.
fn states(source: &Source) -> Vec<(PathBuf, Option<(u64, SystemTime)>)> {
    let state = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.len(), about.modified().ok()?))
    };
    source.files().iter().map(|path| (path.clone(), state(path))).collect()
}

/// The parts as one file.
fn assemble(folder: &PartFolder, target: &assembly::Target) -> Result<Beside, Error> {
    let whole = Whole::of(folder.manifest().plan.sink.clone(), folder.path(), &folder.manifest().parts);
    let (unfinished, file) = Unfinished::create_as(folder.path().join(WHOLE), target.path())?;
    let file = whole.write(file).map_err(|error| writer::at(target.path(), error))?;
    target.keep_permissions(&file)?;
    let beside = whole.write_beside(target.path())?;
    unfinished.commit(&file)?;
    durable::sync_folder(target.path().parent().unwrap_or(Path::new("")))?;
    Ok(beside)
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
    answering: &mut Answering<'_>,
    folder: &mut PartFolder,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let part_rows = folder.manifest().plan.part_rows;
    thread::scope(|scope| {
        let (reading, readings) = sync_channel(WAITING);
        let (writing, writings) = sync_channel(WAITING);
        let reader = spawn(scope, "reader", move || {
            reader::read(source, missing, part_rows, |piece| reading.send(piece).is_ok())
        })?;
        let writer = spawn(scope, "writer", move || {
            let mut writer = Writer::new(folder, observer);
            // Ends at once where it fails; then nobody takes what is computed, and the others end, too.
            writings.into_iter().try_for_each(|piece| writer.take(piece))
        })?;
        let computed = compute(readings, &writing, answering, observer);
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

/// Computes what is read. Nobody taking more is no error here.
fn compute(
    readings: Receiver<Reading>,
    writing: &SyncSender<Writing>,
    answering: &mut Answering<'_>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let mut steps = VecDeque::new();
    let mut ahead = 0;
    let hand_on = |step: Step, answering: &mut Answering<'_>, ahead: &mut usize| {
        let piece = match step {
            Step::Mark(piece) => piece,
            Step::Chunk(chunk, at, begun) => {
                *ahead -= 1;
                let results = begun.map_or_else(|done| done, |begun| answering.finish(*begun, &chunk.rows));
                observer.computed(&chunk.rows, &results, at.passed, at.position);
                let other_spaces = answering.count_other_spaces(&chunk.rows);
                Writing::Chunk(chunk, results, other_spaces)
            }
        };
        writing.send(piece).is_ok()
    };
    for reading in readings {
        steps.push_back(match reading {
            Reading::Chunk(chunk, at) => {
                ahead += 1;
                let begun = answering.begin(&chunk.rows)?;
                Step::Chunk(chunk, at, begun)
            }
            Reading::PartEnd(part) => Step::Mark(Writing::PartEnd(part)),
            Reading::End(rows) => Step::Mark(Writing::End(rows)),
        });
        while ahead > AHEAD || matches!(steps.front(), Some(Step::Mark(_))) {
            let Some(step) = steps.pop_front() else { break };
            if !hand_on(step, answering, &mut ahead) {
                return Ok(());
            }
        }
    }
    for step in steps {
        if !hand_on(step, answering, &mut ahead) {
            break;
        }
    }
    Ok(())
}
