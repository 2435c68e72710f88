//! The operator's folder: `files/ID` and its record `files/ID.json`, `batches/ID.json`, and `parts/` of what is not whole yet.
//! A record is replaced as a whole, so a kill at any moment leaves the one before it or the one after.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::record::{FileRecord, Purpose, Record};
use super::room::{Full, Room};
use crate::fault::{Fault, FaultKind};

/// Files and batches that are known at once. Past the latter the oldest that is over is forgotten. Each is some hundred bytes of
/// memory, a batch up to 40 KB more where its metadata is as long as it may be, and as much where each of its ids is there twice.
const MOST_FILES_KEPT: usize = 100_000;
const MOST_BATCHES_KEPT: usize = 10_000;

/// When to ask again for one more batch.
const WAIT: Duration = Duration::from_secs(60);

/// A folder that is this server's alone.
pub(super) struct Store {
    folder: PathBuf,
    _lock: File,
    /// Bytes that its files may have together, and that they have, those under way with them.
    limit: u64,
    used: AtomicU64,
    /// The time of the newest id: no mutex, which the disk may hold up.
    last: AtomicU64,
    kept: Mutex<Kept>,
    /// Told when there is something new for who works on batches.
    pub(super) told: Notify,
    closed: AtomicBool,
}

/// By their ids, which are in the order of their making.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) files: BTreeMap<String, FileRecord>,
    pub(super) batches: BTreeMap<String, Record>,
}

impl Kept {
    /// The batches that are not over, the oldest first.
    fn unfinished(&self) -> impl Iterator<Item = &Record> {
        self.batches.values().filter(|record| !record.batch.status.is_over())
    }
}

/// The disk does not do what it should.
pub(super) fn trouble(error: &io::Error) -> Fault {
    Fault::internal(written(error))
}

pub(super) fn written(error: &io::Error) -> String {
    format!(
        "the server's batch folder cannot be read or written: {error}; its operator may have to make room"
    )
}

/// What became of a file that was to be deleted.
pub(super) enum Deletion {
    Done,
    NoFile,
    /// This batch still has to read it.
    ReadBy(String),
}

impl Store {
    /// Takes a folder whose files may have `limit` bytes together.
    pub(super) fn open(folder: &Path, limit: u64) -> Result<Self, String> {
        let said = |error: io::Error| error.to_string();
        for part in ["files", "batches", "parts"] {
            make(&folder.join(part)).map_err(said)?;
        }
        let lock = File::create(folder.join("lock")).map_err(said)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => "another server has it".to_owned(),
            TryLockError::Error(error) => error.to_string(),
        })?;
        let files: Vec<FileRecord> = load(&folder.join("files"))?;
        let batches: Vec<Record> = load(&folder.join("batches"))?;
        let kept = Kept {
            files: files.into_iter().map(|file| (file.id.clone(), file)).collect(),
            batches: batches.into_iter().map(|record| (record.batch.id.clone(), record)).collect(),
        };
        let under_way = kept.unfinished().map(|record| record.progress.output + record.progress.errors);
        let used = kept.files.values().map(|file| file.bytes).chain(under_way).fold(0, u64::saturating_add);
        let store = Self {
            folder: folder.to_owned(),
            _lock: lock,
            limit,
            used: AtomicU64::new(used),
            last: AtomicU64::new(0),
            kept: Mutex::new(kept),
            told: Notify::new(),
            closed: AtomicBool::new(false),
        };
        store.sweep().map_err(said)?;
        Ok(store)
    }

    /// Removes what a kill left half made.
    fn sweep(&self) -> io::Result<()> {
        let kept = self.kept();
        let results: Vec<&str> = kept
            .unfinished()
            .flat_map(|record| [record.output_id.as_str(), record.error_id.as_str()])
            .collect();
        for (part, files_have_records) in [("parts", false), ("files", true), ("batches", true)] {
            for entry in fs::read_dir(self.folder.join(part))? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let known = name.ends_with(".json") || (files_have_records && kept.files.contains_key(name));
                // Only what this program named so.
                let ours = name.starts_with("file-") || name.ends_with(".part");
                if ours && !known && !results.contains(&name) {
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Takes room as [`Self::take_now`] does; files whose time is over make room, if the disk takes its time.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Result<Room, Full> {
        self.take_now(bytes).or_else(|_| {
            self.expire();
            self.take_now(bytes)
        })
    }

    /// Takes room for so many bytes.
    pub(super) fn take_now(self: &Arc<Self>, bytes: u64) -> Result<Room, Full> {
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.map(|_| Room::new(self, bytes)).map_err(|_| Full(self.limit))
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the work on it.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.told.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Where a file is once it is whole.
    pub(super) fn content(&self, id: &str) -> PathBuf {
        self.folder.join("files").join(id)
    }

    /// Where it is until then.
    pub(super) fn part(&self, id: &str) -> PathBuf {
        self.folder.join("parts").join(id)
    }

    /// A new name, which sorts after those before.
    pub(super) fn new_id(&self, prefix: &str) -> String {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let later = |last: u64| clock.max(last.saturating_add(1));
        let last = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(later(last)));
        let time = later(last.unwrap_or_default());
        // Seeded by the system.
        let random = RandomState::new().build_hasher().finish() as u32;
        format!("{prefix}{time:016x}{random:08x}")
    }

    /// Makes a whole file of a part. A second time it does nothing. Where it fails the part is a part as before.
    pub(super) fn keep_file(&self, file: FileRecord) -> io::Result<FileRecord> {
        let (part, content) = (self.part(&file.id), self.content(&file.id));
        let is_moved = match fs::rename(&part, &content) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && content.exists() => false,
            done => done.map(|()| true)?,
        };
        let record = self.file_record(&file.id);
        if let Err(error) = save(&record, &file) {
            // A content without a record is swept up, and a record without a content is none.
            if is_moved && remove(&record).is_ok() {
                fs::rename(&content, &part)?;
            }
            return Err(error);
        }
        self.kept().files.insert(file.id.clone(), file.clone());
        Ok(file)
    }

    /// A file that is there and has not expired.
    pub(super) fn file(&self, id: &str) -> Option<FileRecord> {
        self.kept().files.get(id).filter(|file| !file.has_expired()).cloned()
    }

    /// Whether there may be one more.
    pub(super) fn has_place(&self) -> Result<(), Fault> {
        if self.kept().files.len() < MOST_FILES_KEPT {
            return Ok(());
        }
        let message = format!(
            "the server keeps {MOST_FILES_KEPT} files and no more; delete some (DELETE /v1/files/ID)"
        );
        Err(Fault::new(FaultKind::BodyTooLarge, message))
    }

    pub(super) fn delete(&self, id: &str) -> io::Result<Deletion> {
        // Under one lock: no batch begins to read it in between.
        let mut kept = self.kept();
        let Some(bytes) = kept.files.get(id).map(|file| file.bytes) else { return Ok(Deletion::NoFile) };
        let mut readers = kept.unfinished().filter(|record| record.batch.input_file_id == id);
        if let Some(reader) = readers.next() {
            return Ok(Deletion::ReadBy(reader.batch.id.clone()));
        }
        drop(readers);
        // The record first: a content without one is swept up.
        remove(&self.file_record(id))?;
        kept.files.remove(id);
        let removed = remove(&self.content(id));
        // Also where it is still there: nobody can ask for it again, and after a restart it is gone and not counted.
        self.give_back(bytes);
        removed.map(|()| Deletion::Done)
    }

    /// Deletes files whose time is over, but those that a batch still reads.
    pub(super) fn expire(&self) {
        let gone: Vec<String> = self
            .kept()
            .files
            .values()
            .filter(|file| file.has_expired())
            .map(|file| file.id.clone())
            .collect();
        for id in gone {
            if let Err(error) = self.delete(&id) {
                tracing::warn!(target: "connote::batch", file = id, "a file whose time is over cannot be deleted: {error}");
            }
        }
    }

    fn file_record(&self, id: &str) -> PathBuf {
        self.folder.join("files").join(format!("{id}.json"))
    }

    fn batch_record(&self, id: &str) -> PathBuf {
        self.folder.join("batches").join(format!("{id}.json"))
    }

    fn save_batch(&self, record: &Record) -> io::Result<()> {
        save(&self.batch_record(&record.batch.id), record)
    }

    /// A new batch, if its input is there until it is read.
    pub(super) fn add_batch(&self, record: Record) -> Result<Option<Record>, Fault> {
        // Under one lock: the input cannot go in between.
        let mut kept = self.kept();
        let input = kept.files.get(&record.batch.input_file_id);
        if input.is_none_or(|file| file.has_expired() || file.purpose != Purpose::Batch) {
            return Ok(None);
        }
        if kept.batches.len() >= MOST_BATCHES_KEPT {
            let over = kept.batches.values().find(|record| record.batch.status.is_over());
            let Some(oldest) = over.map(|record| record.batch.id.clone()) else {
                let why = format!("{MOST_BATCHES_KEPT} batches wait already");
                return Err(Fault::overloaded(&why, WAIT));
            };
            remove(&self.batch_record(&oldest)).map_err(|error| trouble(&error))?;
            kept.batches.remove(&oldest);
        }
        self.save_batch(&record).map_err(|error| trouble(&error))?;
        kept.batches.insert(record.batch.id.clone(), record.clone());
        drop(kept);
        self.told.notify_one();
        Ok(Some(record))
    }

    pub(super) fn batch(&self, id: &str) -> Option<Record> {
        self.kept().batches.get(id).cloned()
    }

    /// The oldest batch that is not over.
    pub(super) fn next_batch(&self) -> Option<Record> {
        self.kept().unfinished().next().cloned()
    }

    /// Changes a batch, on the disk and then here. `None` if there is none.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Record)) -> io::Result<Option<Record>> {
        let mut kept = self.kept();
        let Some(record) = kept.batches.get_mut(id) else { return Ok(None) };
        let mut changed = record.clone();
        change(&mut changed);
        self.save_batch(&changed)?;
        *record = changed.clone();
        Ok(Some(changed))
    }

    /// Changes a batch here alone, where the disk does not take it: who asks hears the truth, and after a restart it is tried again.
    pub(super) fn change_here(&self, id: &str, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.kept().batches.get_mut(id) {
            change(record);
        }
    }
}

/// A folder that nobody else may read: what is in it are the texts of clients.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Removes a file, which may be gone.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    fs::remove_file(file).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// A record on the disk for good, or the one before it.
fn save(path: &Path, record: &impl Serialize) -> io::Result<()> {
    files::replace(path, &serde_json::to_vec(record)?)
}

/// All records of a folder.
fn load<T: DeserializeOwned>(folder: &Path) -> Result<Vec<T>, String> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|kind| kind == "json") {
            let read = fs::read(&path).map_err(|error| error.to_string());
            let record =
                read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
            records.push(record.map_err(|error| format!("{}: {error}; move it away", path.display()))?);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
