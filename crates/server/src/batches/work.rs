//! The work on batches: one after the other, in a thread of its own, so that no socket waits for its disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};

use super::answer::{Answered, answer};
use super::input::{Checked, Lines, check};
use super::record::{Counts, Errors, FileRecord, Problem, Progress, Purpose, Record, Status, now};
use super::store::{Full, Store, remove, sync, written};
use crate::{Inner, Service, ask};

/// Lines and their bytes under way at once; one may always be.
const LINES: usize = 64;
const BYTES: usize = 256 << 10;

/// How much work a kill may cost: what is past either is put on the disk for good.
const COMMIT_BYTES: u64 = 1 << 20;
const COMMIT_TIME: Duration = Duration::from_secs(1);

/// How often files are looked at whose time may be over.
const EXPIRY: Duration = Duration::from_secs(60);

/// Vectors of two spaces in one file would be taken for one.
const OTHER_MODELS: &str = "the server was started again with other models than those that the batch was begun with; what was \
    done is in its files, make a batch of the rest";

/// Why a batch does not go on.
enum Stop {
    /// The server stops; the batch goes on when it is there again.
    Service,
    /// It cannot.
    Failed(Vec<Problem>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Failed(vec![Problem::new("storage_error", written(&error))])
    }
}

impl From<Full> for Stop {
    fn from(full: Full) -> Self {
        Stop::Failed(vec![Problem::new("storage_full", full.message())])
    }
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
            one(&store, &service, &record.batch.id).await;
            continue;
        }
        let _ = tokio::time::timeout(EXPIRY, store.told.notified()).await;
    }
}

/// A batch, to its end or the server's. What is wrong with it is its own affair.
async fn one(store: &Arc<Store>, service: &Service, id: &str) {
    let done = AssertUnwindSafe(through(store, service, id)).catch_unwind().await;
    let problems = match done {
        Ok(Ok(())) | Ok(Err(Stop::Service)) => return,
        Ok(Err(Stop::Failed(problems))) => problems,
        Err(_) => {
            service.metrics().panicked();
            vec![Problem::new("internal", ask::FELL)]
        }
    };
    let why = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
    tracing::warn!(target: "connote::batch", batch = id, "the batch failed: {why}");
    // What is there is of use; where the disk does not let it be, it is not.
    let record = store.batch(id);
    let [output, errors] = record.map_or([None, None], |record| results(store, &record).unwrap_or_default());
    store.change_anyway(id, |record| {
        let batch = &mut record.batch;
        batch.status = Status::Failed;
        batch.failed_at = Some(now());
        batch.errors = Some(Errors { object: "list".to_owned(), data: problems });
        (batch.output_file_id, batch.error_file_id) = (output, errors);
    });
    service.metrics().batch_ended(Status::Failed);
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
    let mut under_way = FuturesOrdered::new();
    let (mut bytes, mut more) = (0, true);
    loop {
        while more && (under_way.is_empty() || (under_way.len() < LINES && bytes < BYTES)) {
            let Some(line) = lines.next()? else {
                more = false;
                break;
            };
            let size = line.text.as_ref().map_or(0, Vec::len);
            bytes += size;
            let answer = answer(service.clone(), id.to_owned(), line);
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
            answered = under_way.next() => {
                let Some((answered, size)) = answered else { break };
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

/// The two files of results, as far as they are.
struct Results {
    store: Arc<Store>,
    /// Of the batch.
    id: String,
    output: BufWriter<File>,
    errors: BufWriter<File>,
    /// Of the bytes that are no part of `progress` yet.
    new_output: u64,
    new_errors: u64,
    progress: Progress,
    counts: Counts,
    tokens: u64,
    committed: Instant,
}

impl Results {
    /// As they were at the last commit; what a kill left beyond it goes.
    fn open(store: &Arc<Store>, record: &Record) -> io::Result<Self> {
        let progress = record.progress;
        Ok(Self {
            store: store.clone(),
            id: record.batch.id.clone(),
            output: BufWriter::new(part(&store.part(&record.output_id), progress.output)?),
            errors: BufWriter::new(part(&store.part(&record.error_id), progress.errors)?),
            new_output: 0,
            new_errors: 0,
            progress,
            counts: record.batch.request_counts,
            tokens: record.batch.usage.total_tokens,
            committed: Instant::now(),
        })
    }

    /// Writes a line. Until the next commit it is as if it was not there.
    fn add(&mut self, answered: Answered) -> Result<(), Stop> {
        let bytes = answered.text.iter().map(|piece| piece.len() as u64).sum();
        if let Err(full) = self.store.take(bytes) {
            self.commit()?;
            return Err(full.into());
        }
        let (file, new) = match answered.tokens {
            Some(_) => (&mut self.output, &mut self.new_output),
            None => (&mut self.errors, &mut self.new_errors),
        };
        *new += bytes;
        for piece in &answered.text {
            file.write_all(piece)?;
        }
        match answered.tokens {
            Some(tokens) => {
                self.tokens += tokens;
                self.counts.completed += 1;
            }
            None => self.counts.failed += 1,
        }
        (self.progress.input, self.progress.lines) = (answered.end, answered.number);
        Ok(())
    }

    fn is_much(&self) -> bool {
        self.new_output + self.new_errors >= COMMIT_BYTES || self.committed.elapsed() >= COMMIT_TIME
    }

    /// Puts them on the disk, and then says so in the batch.
    fn commit(&mut self) -> io::Result<()> {
        for (file, new, length) in [
            (&mut self.output, self.new_output, &mut self.progress.output),
            (&mut self.errors, self.new_errors, &mut self.progress.errors),
        ] {
            if new > 0 {
                file.flush()?;
                file.get_ref().sync_data()?;
                *length += new;
            }
        }
        let (progress, counts, tokens) = (self.progress, self.counts, self.tokens);
        self.store.change(&self.id, |record| {
            record.progress = progress;
            record.batch.request_counts = counts;
            record.batch.usage.input_tokens = tokens;
            record.batch.usage.total_tokens = tokens;
        })?;
        (self.new_output, self.new_errors) = (0, 0);
        self.committed = Instant::now();
        Ok(())
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        // What was not committed is cut off by who has the files next.
        self.store.give_back(self.new_output + self.new_errors);
    }
}

/// A file of which so many bytes are for good.
fn part(path: &Path, length: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    if file.metadata()?.len() < length {
        return Err(io::Error::other("results that were written are not there any more"));
    }
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    path.parent().map_or(Ok(()), sync)?;
    Ok(file)
}

/// Makes whole files of the results; one without a line is none.
fn results(store: &Store, record: &Record) -> io::Result<[Option<String>; 2]> {
    let keep = |id: &str, bytes: u64, kind: &str| {
        if bytes == 0 {
            return remove(&store.part(id)).map(|()| None);
        }
        let name = format!("{}_{kind}.jsonl", record.batch.id);
        // In parts after a failed write there may be more than was committed.
        if store.part(id).exists() {
            part(&store.part(id), bytes)?.sync_all()?;
        }
        let file =
            FileRecord::new(id.to_owned(), bytes, name, Purpose::BatchOutput, record.output_expires_after);
        store.keep_file(file).map(|file| Some(file.id))
    };
    Ok([
        keep(&record.output_id, record.progress.output, "output")?,
        keep(&record.error_id, record.progress.errors, "error")?,
    ])
}
