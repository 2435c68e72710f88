//! The work on batches: one after the other, in a thread of its own, so that no socket waits for its disk.

use std::cell::Cell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};

use super::answer::answer;
use super::input::{Checked, Lines, check};
use super::record::{Errors, Problem, Progress, Record, Status, now};
use super::results::{Results, results};
use super::room::Full;
use super::store::{Store, written};
use crate::{Inner, Service, ask};

/// Lines and their bytes under way at once; one may always be.
const LINES: usize = 64;
const BYTES: usize = 256 << 10;

/// How often files are looked at whose time may be over.
const EXPIRY: Duration = Duration::from_secs(60);

/// How long to wait for what the system has too few of.
const BREAK: Duration = Duration::from_secs(1);

/// Vectors of two spaces in one file would be taken for one.
const OTHER_MODELS: &str = "the server was started again with other models than those that the batch was begun with; what was \
    done is in its files, make a batch of the rest";

/// Why a batch does not go on.
pub(super) enum Stop {
    /// The server stops; the batch goes on when it is there again.
    Service,
    /// It goes on from its last commit after a while.
    Momentary(io::Error),
    /// It cannot.
    Failed(Vec<Problem>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if is_momentary(&error) {
            return Stop::Momentary(error);
        }
        Stop::Failed(vec![Problem::new("storage_error", written(&error))])
    }
}

impl From<Full> for Stop {
    fn from(full: Full) -> Self {
        Stop::Failed(vec![Problem::new("storage_full", full.message())])
    }
}

/// Whether it is of this moment, not of the disk: a call that was interrupted, or too many files that are open, which the sockets
/// of clients are too.
fn is_momentary(error: &io::Error) -> bool {
    // ENFILE and EMFILE; ERROR_TOO_MANY_OPEN_FILES.
    let too_many_open: &[i32] = if cfg!(windows) { &[4] } else { &[23, 24] };
    error.kind() == io::ErrorKind::Interrupted
        || error.raw_os_error().is_some_and(|code| too_many_open.contains(&code))
}

pub(super) fn start(store: Arc<Store>, service: Weak<Inner>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let work = move || runtime.block_on(work(store, service));
    thread::Builder::new().name("connote-batches".to_owned()).spawn(work)?;
    Ok(())
}

async fn work(store: Arc<Store>, service: Weak<Inner>) {
    while !store.is_closed() {
        store.expire();
        if let Some(service) = service.upgrade().map(Service)
            && let Some(record) = store.next_batch()
        {
            if *service.stopping().borrow() {
                return;
            }
            if let Err(error) = one(&store, &service, &record).await {
                let id = &record.batch.id;
                tracing::warn!(target: "connote::batch", batch = id, "the batch goes on in a moment: {error}");
                tokio::time::sleep(BREAK).await;
            }
            continue;
        }
        let _ = tokio::time::timeout(EXPIRY, store.told.notified()).await;
    }
}

/// A batch, to its end or the server's. What is wrong with it is its own affair; an error is of the moment.
async fn one(store: &Arc<Store>, service: &Service, record: &Record) -> io::Result<()> {
    let id = record.batch.id.as_str();
    if let Some(problems) = &record.failing {
        return fail(store, service, id, problems.clone());
    }
    let done = AssertUnwindSafe(through(store, service, id)).catch_unwind().await;
    let problems = match done {
        Ok(Ok(())) | Ok(Err(Stop::Service)) => return Ok(()),
        Ok(Err(Stop::Momentary(error))) => return Err(error),
        Ok(Err(Stop::Failed(problems))) => problems,
        Err(_) => {
            service.metrics().panicked();
            vec![Problem::new("internal", ask::FELL)]
        }
    };
    let why = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
    tracing::warn!(target: "connote::batch", batch = id, "the batch failed: {why}");
    fail(store, service, id, problems)
}

/// Ends a batch with what is there of its results, for it is of use. Each step is on the disk before the next; where the disk does
/// not take one, the batch is over until a restart, which tries it again.
fn fail(store: &Arc<Store>, service: &Service, id: &str, problems: Vec<Problem>) -> io::Result<()> {
    let failed = |record: &mut Record, [output, errors]: [Option<String>; 2]| {
        let batch = &mut record.batch;
        batch.status = Status::Failed;
        batch.failed_at = Some(now());
        batch.errors = Some(Errors { object: "list".to_owned(), data: problems.clone() });
        (batch.output_file_id, batch.error_file_id) = (output, errors);
        record.failing = None;
    };
    // Before its results are files: a batch that is in progress would begin to write them anew.
    let begun = store.change(id, |record| record.failing = Some(problems.clone()));
    let done = begun.and_then(|record| {
        let Some(record) = record else { return Ok(()) };
        let results = results(store, &record)?;
        store.change(id, |record| failed(record, results)).map(|_| ())
    });
    match done {
        Err(error) if is_momentary(&error) => return Err(error),
        Err(error) => {
            tracing::warn!(target: "connote::batch", batch = id, "its end cannot be kept: {error}");
            let record = store.batch(id);
            let is_there = |id: String| store.file(&id).map(|file| file.id);
            let results =
                record.map_or([None, None], |record| [record.output_id, record.error_id].map(is_there));
            store.change_here(id, |record| failed(record, results));
        }
        Ok(()) => {}
    }
    service.metrics().batch_ended(Status::Failed);
    Ok(())
}

/// From one state to the next, from wherever it was left.
async fn through(store: &Arc<Store>, service: &Service, id: &str) -> Result<(), Stop> {
    let gone = || Stop::Failed(vec![Problem::new("internal", "the batch is not kept any more")]);
    let mut record = store.batch(id).ok_or_else(gone)?;
    let models = service.models().all().iter();
    let models: Vec<_> = models.map(|served| (served.name.clone(), served.fingerprint.clone())).collect();
    if record.batch.status == Status::Validating {
        let total = validate(store, service, &record)?;
        let begun = store.change(id, |record| {
            record.batch.request_counts.total = total;
            record.models = Some(models.clone());
            // It may have been cancelled meanwhile.
            if record.batch.status == Status::Validating {
                record.batch.status = Status::InProgress;
                record.batch.in_progress_at = Some(now());
            }
        });
        record = begun?.ok_or_else(gone)?;
    }
    if record.batch.status == Status::InProgress {
        if record.models.as_ref() != Some(&models) {
            return Err(Stop::Failed(vec![Problem::new("models_changed", OTHER_MODELS)]));
        }
        compute(store, service, &record).await?;
        let computed = store.change(id, |record| {
            if record.batch.status == Status::InProgress {
                record.batch.status = Status::Finalizing;
                record.batch.finalizing_at = Some(now());
            }
        });
        record = computed?.ok_or_else(gone)?;
    }
    let [output, errors] = results(store, &record)?;
    let mut end = Status::Completed;
    store.change(id, |record| {
        let batch = &mut record.batch;
        (batch.output_file_id, batch.error_file_id) = (output, errors);
        if batch.status == Status::Cancelling {
            end = Status::Cancelled;
            batch.cancelled_at = Some(now());
        } else {
            batch.completed_at = Some(now());
        }
        batch.status = end;
    })?;
    service.metrics().batch_ended(end);
    Ok(())
}

fn is_cancelled(store: &Store, id: &str) -> bool {
    store.batch(id).is_none_or(|record| record.batch.status == Status::Cancelling)
}

/// How many lines there are; of one that is cancelled nobody asks.
fn validate(store: &Store, service: &Service, record: &Record) -> Result<u64, Stop> {
    let id = &record.batch.id;
    let stops = || *service.stopping().borrow() || store.is_closed();
    let path = store.content(&record.batch.input_file_id);
    match check(&path, service.settings().body_limit, || !stops() && !is_cancelled(store, id))? {
        Checked::Fine(total) => Ok(total),
        Checked::Bad(problems) => Err(Stop::Failed(problems)),
        Checked::Stopped if stops() => Err(Stop::Service),
        Checked::Stopped => Ok(0),
    }
}

/// Line after line, with some under way, until there are no more or it is cancelled.
async fn compute(store: &Arc<Store>, service: &Service, record: &Record) -> Result<(), Stop> {
    let id = record.batch.id.as_str();
    let mut results = Results::open(store, record)?;
    let Progress { input, lines, .. } = record.progress;
    let path = store.content(&record.batch.input_file_id);
    let mut lines = Lines::open(&path, service.settings().body_limit, input, lines)?;
    let mut stopping = service.stopping();
    let mut expiry = tokio::time::interval(EXPIRY);
    let mut under_way = FuturesOrdered::new();
    let (mut bytes, mut more) = (0, true);
    // One share of all: what lines hold that are done does not keep the one before them from being done.
    let held = Rc::new(service.held().share());
    let (mut begun, written) = (0u64, Rc::new(Cell::new(0u64)));
    loop {
        while more && (under_way.is_empty() || (under_way.len() < LINES && bytes < BYTES)) {
            let Some(line) = lines.next()? else {
                more = false;
                break;
            };
            let size = line.text.as_ref().map_or(0, Vec::len);
            bytes += size;
            let (place, held, written) = (begun, held.clone(), written.clone());
            begun += 1;
            let share = move || held.in_order(place == written.get());
            let answer = answer(service.clone(), id.to_owned(), line, share);
            under_way.push_back(async move { (answer.await, size) });
        }
        tokio::select! {
            biased;
            () = store.told.notified() => {
                if store.is_closed() {
                    results.commit()?;
                    return Err(Stop::Service);
                }
                if is_cancelled(store, id) {
                    break;
                }
            }
            _ = stopping.wait_for(|stopping| *stopping) => {
                results.commit()?;
                return Err(Stop::Service);
            }
            _ = expiry.tick() => store.expire(),
            answered = under_way.next() => {
                let Some((answered, size)) = answered else { break };
                written.set(written.get() + 1);
                bytes -= size;
                results.add(answered)?;
                if results.is_much() {
                    results.commit()?;
                }
            }
        }
    }
    results.commit()?;
    Ok(())
}

#[cfg(test)]
#[test]
fn what_is_of_the_moment_fails_no_batch() {
    let too_many = if cfg!(windows) { 4 } else { 24 };
    for error in [io::ErrorKind::Interrupted.into(), io::Error::from_raw_os_error(too_many)] {
        assert!(matches!(Stop::from(error), Stop::Momentary(_)));
    }
    let error = io::Error::from(io::ErrorKind::StorageFull);
    assert!(matches!(Stop::from(error), Stop::Failed(problems) if problems[0].code == "storage_error"));
}
