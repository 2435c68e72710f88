//! The results of a batch: written, committed, and at its end made whole files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Answered;
use super::record::{Counts, FileRecord, Progress, Purpose, Record};
use super::room::Room;
use super::store::{Store, remove};
use super::work::Stop;

/// How much work a kill may cost: what is past either is put on the disk for good.
const COMMIT_BYTES: u64 = 1 << 20;
const COMMIT_TIME: Duration = Duration::from_secs(1);

/// The two files of results, as far as they are.
pub(super) struct Results {
    store: Arc<Store>,
    /// Of the batch.
    id: String,
    output: BufWriter<File>,
    errors: BufWriter<File>,
    /// Of the bytes that are no part of `progress` yet.
    new_output: u64,
    new_errors: u64,
    /// Theirs: what was not committed is cut off by who has the files next.
    room: Room,
    progress: Progress,
    counts: Counts,
    tokens: u64,
    committed: Instant,
}

impl Results {
    /// As they were at the last commit; what a kill left beyond it goes.
    pub(super) fn open(store: &Arc<Store>, record: &Record) -> io::Result<Self> {
        let progress = record.progress;
        Ok(Self {
            store: store.clone(),
            id: record.batch.id.clone(),
            output: BufWriter::new(begun(store, &record.output_id, progress.output)?),
            errors: BufWriter::new(begun(store, &record.error_id, progress.errors)?),
            new_output: 0,
            new_errors: 0,
            room: Room::new(store, 0),
            progress,
            counts: record.batch.request_counts,
            tokens: record.batch.usage.total_tokens,
            committed: Instant::now(),
        })
    }

    /// Writes a line. Until the next commit it is as if it was not there.
    pub(super) fn add(&mut self, answered: Answered) -> Result<(), Stop> {
        let bytes = answered.text.iter().map(|piece| piece.len() as u64).sum();
        match self.store.take(bytes) {
            Ok(room) => self.room.grow(room),
            Err(full) => {
                self.commit()?;
                return Err(full.into());
            }
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

    pub(super) fn is_much(&self) -> bool {
        self.new_output + self.new_errors >= COMMIT_BYTES || self.committed.elapsed() >= COMMIT_TIME
    }

    /// Puts them on the disk, and then says so in the batch.
    pub(super) fn commit(&mut self) -> io::Result<()> {
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
        self.room.keep();
        self.committed = Instant::now();
        Ok(())
    }
}

/// Whether so many bytes of results are in their place as a whole file.
fn is_whole(store: &Store, id: &str, bytes: u64) -> bool {
    bytes > 0 && fs::metadata(store.content(id)).is_ok_and(|content| content.len() == bytes)
}

/// Results to go on with.
fn begun(store: &Store, id: &str, bytes: u64) -> io::Result<File> {
    // A failure that was not kept may have left them as a file of nobody's.
    if is_whole(store, id, bytes) && store.file(id).is_none() {
        fs::rename(store.content(id), store.part(id))?;
    }
    part(&store.part(id), bytes)
}

/// A file of which so many bytes are for good.
fn part(path: &Path, length: u64) -> io::Result<File> {
    let gone = || io::Error::other("results that were written are not there any more");
    // An empty one in their place would hide where they are.
    let file = OpenOptions::new().create(length == 0).truncate(false).write(true).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if length > 0 => gone(),
        _ => error,
    })?;
    if file.metadata()?.len() < length {
        return Err(gone());
    }
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    files::sync_folder(files::folder_of(path))?;
    Ok(file)
}

/// Makes whole files of the results; one without a line is none.
pub(super) fn results(store: &Store, record: &Record) -> io::Result<[Option<String>; 2]> {
    let keep = |id: &str, bytes: u64, kind: &str| {
        if bytes == 0 {
            return remove(&store.part(id)).map(|()| None);
        }
        let name = format!("{}_{kind}.jsonl", record.batch.id);
        if is_whole(store, id, bytes) {
            // It was begun before.
            remove(&store.part(id))?;
        } else {
            // After a failed write there may be more than was committed.
            part(&store.part(id), bytes)?.sync_all()?;
        }
        let file =
            FileRecord::new(id.to_owned(), bytes, name, Purpose::BatchOutput, record.output_expires_after);
        store.keep_file(file).map(|file| Some(file.id))
    };
    // Both are tried: trouble with one is no reason to lose the other.
    let output = keep(&record.output_id, record.progress.output, "output");
    let errors = keep(&record.error_id, record.progress.errors, "error");
    Ok([output?, errors?])
}
