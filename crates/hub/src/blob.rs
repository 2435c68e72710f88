//! One file from the hub into `blobs`: resumed, checked, and there under its name only when it is right.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::http::StatusCode;

use crate::cache::{Cache, make_folder};
use crate::checksum::{Checksum, Hasher};
use crate::client::{Client, Failed, Told};
use crate::error::{Error, ErrorKind};
use crate::event::Event;

/// Bytes that are read, hashed and written at a time.
const PIECE: usize = 256 << 10;

/// What the hub says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    /// Its path in the repository.
    pub(crate) file: String,
    /// The commit.
    pub(crate) commit: String,
    /// What its content is called: the SHA-256 for large files, git's hash for others.
    pub(crate) etag: String,
    pub(crate) bytes: u64,
}

impl Blob {
    pub(crate) fn checksum(&self) -> Checksum<'_> {
        Checksum::of_etag(&self.etag)
    }

    /// The SHA-256 of the content, where the etag is one.
    pub(crate) fn sha256(&self) -> Option<&str> {
        match self.checksum() {
            Checksum::Sha256(hash) => Some(hash),
            Checksum::GitBlob(_) | Checksum::Unknown => None,
        }
    }

    pub(crate) fn path(&self, cache: &Cache, repo: &str) -> PathBuf {
        cache.repo_folder(repo).join("blobs").join(&self.etag)
    }

    /// Bytes that have still to come.
    pub(crate) fn missing(&self, cache: &Cache, repo: &str) -> u64 {
        let here = |path: &Path| fs::metadata(path).map_or(0, |about| about.len());
        let path = self.path(cache, repo);
        if here(&path) == self.bytes { 0 } else { self.bytes.saturating_sub(here(&incomplete(&path))) }
    }
}

/// The name under which a file grows. It is huggingface_hub's, whose older versions also went on with it.
fn incomplete(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".incomplete");
    name.into()
}

/// Whether a blob is what its name says, as far as that can be told.
pub(crate) fn is_right(path: &Path, blob: &Blob) -> Result<bool, Error> {
    let failed = |error: io::Error| Error::disk(path, "cannot be read", &error);
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() != blob.bytes {
        return Ok(false);
    }
    let mut hash = blob.checksum().hasher(blob.bytes);
    hashed(&mut file, &mut hash).map_err(failed)?;
    Ok(blob.checksum().differs(hash).is_none())
}

/// Fetches the content into the cache. Processes that want the same take turns.
pub(crate) fn fetch(
    client: &Client<'_>,
    cache: &Cache,
    repo: &str,
    blob: &Blob,
    told: Told<'_>,
) -> Result<(), Error> {
    let path = blob.path(cache, repo);
    make_folder(path.parent().unwrap_or(&path))?;
    let _lock = locked(&cache.lock_path(repo, &blob.etag), &blob.file, told)?;
    if fs::metadata(&path).is_ok_and(|about| about.len() == blob.bytes) {
        return Ok(());
    }
    let growing = incomplete(&path);
    let failed = |error: io::Error| Error::disk(&growing, "cannot be written", &error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&growing)
        .map_err(failed)?;
    let mut growth = Growth { file, path: &growing, blob, hash: blob.checksum().hasher(blob.bytes), here: 0 };
    growth.take_up()?;
    let mut from_before = growth.here > 0;
    told(Event::Begun { file: &blob.file, bytes: blob.bytes, had: growth.here });
    loop {
        grow(client, repo, blob, &mut growth, told)?;
        let Some(why) = blob.checksum().differs(growth.hash.clone()) else { break };
        growth.begin_anew()?;
        if !from_before {
            let _ = fs::remove_file(&growing);
            let message = format!(
                "{repo}/{}: what arrived has {why}; it was removed: run it again, and if it stays so the mirror or a proxy between \
                 alters files",
                blob.file
            );
            return Err(Error::new(ErrorKind::Checksum, message));
        }
        // Another program may have left that part; what comes now is from one hand.
        from_before = false;
        told(Event::Begun { file: &blob.file, bytes: blob.bytes, had: 0 });
    }
    growth.file.sync_all().map_err(failed)?;
    drop(growth);
    fs::rename(&growing, &path).map_err(failed)?;
    let checked = blob.checksum() != Checksum::Unknown;
    told(Event::Done { file: &blob.file, checked, sha256: blob.sha256() });
    Ok(())
}

/// A file that grows, with the hash of what is in it.
struct Growth<'a> {
    file: File,
    path: &'a Path,
    blob: &'a Blob,
    hash: Hasher,
    here: u64,
}

impl Growth<'_> {
    /// Goes on with what an earlier run left, if it can be a beginning.
    fn take_up(&mut self) -> Result<(), Error> {
        let failed = |error: io::Error| Error::disk(self.path, "cannot be read", &error);
        if self.file.metadata().map_err(failed)?.len() > self.blob.bytes {
            return self.begin_anew();
        }
        self.here = hashed(&mut self.file, &mut self.hash).map_err(failed)?;
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<(), Error> {
        (self.hash, self.here) = (self.blob.checksum().hasher(self.blob.bytes), 0);
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map(|_| ()).map_err(|error| Error::disk(self.path, "cannot be written", &error))
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.file.write_all(piece).map_err(|error| Error::disk(self.path, "cannot be written", &error))?;
        self.hash.update(piece);
        self.here += piece.len() as u64;
        Ok(())
    }
}

/// Asks for what is missing until all is here; a connection that is cut is taken up again.
fn grow(
    client: &Client<'_>,
    repo: &str,
    blob: &Blob,
    growth: &mut Growth<'_>,
    told: Told<'_>,
) -> Result<(), Error> {
    let url = format!(
        "{}/{repo}/resolve/{}/{}",
        client.endpoint(),
        blob.commit,
        crate::client::encoded(&blob.file, true)
    );
    let mut failures = 0;
    while growth.here < blob.bytes {
        let before = growth.here;
        let (why, wait) = match client.content(&url, growth.here) {
            Err(Failed::ForGood(error)) => return Err(error),
            Err(Failed::ForNow(why, wait)) => (why, wait),
            Ok(mut response) => {
                let begins = match response.status() {
                    StatusCode::PARTIAL_CONTENT => range_start(&response),
                    _ => Some(0),
                };
                // Some servers do not know ranges and begin at the beginning.
                if begins != Some(growth.here) {
                    growth.begin_anew()?;
                }
                match begins {
                    Some(0) => {}
                    begins if begins == Some(before) => {}
                    _ => {
                        failures += 1;
                        client.wait(&url, failures, "another part came than was asked for", None, told)?;
                        continue;
                    }
                }
                let mut body = response.body_mut().as_reader().take(blob.bytes - growth.here);
                match poured(&mut body, growth, blob, told)? {
                    None => ("the connection was cut".to_owned(), None),
                    Some(error) => (format!("the connection was cut: {error}"), None),
                }
            }
        };
        if growth.here >= blob.bytes {
            break;
        }
        failures = if growth.here > before { 1 } else { failures + 1 };
        client.wait(&url, failures, &why, wait, told)?;
    }
    Ok(())
}

/// Reads until the end or an error, which is given back; what came before it counts.
fn poured(
    body: &mut dyn Read,
    growth: &mut Growth<'_>,
    blob: &Blob,
    told: Told<'_>,
) -> Result<Option<io::Error>, Error> {
    let mut piece = vec![0; PIECE];
    loop {
        match body.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(count) => {
                growth.add(&piece[..count])?;
                told(Event::Came { file: &blob.file, bytes: growth.here });
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Some(error)),
        }
    }
}

/// Where a part begins: `bytes 5-9/10`.
fn range_start(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim().split('-').next()?.trim().parse().ok()
}

/// The lock that huggingface_hub takes for the same file.
fn locked(path: &Path, file: &str, told: Told<'_>) -> Result<File, Error> {
    let failed = |error: io::Error| Error::disk(path, "cannot be locked", &error);
    make_folder(path.parent().unwrap_or(path))?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            told(Event::Waiting { file });
            lock.lock().map_err(failed)?;
        }
        // Some network file systems have no locks: then two runs fetch twice at worst, as each checks what it has.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    Ok(lock)
}

fn hashed(file: &mut File, hash: &mut Hasher) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut read = 0;
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(read);
        }
        hash.update(&piece[..count]);
        read += count as u64;
    }
}
