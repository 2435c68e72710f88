//! A file on its way to its name.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::left::{BEFORE, BEHIND};
use crate::{Predecessor, folder_of, sync_folder};

/// Names that are tried for one file.
const ATTEMPTS: usize = 100;

/// A file on its way to its name, which lies beside it as `NAME.connote-PROCESS-RANDOM.part`. Dropped before it has its name it leaves nothing
/// behind. Until then a lock on it says that somebody is at work; the system drops the lock with the process, however that ends.
#[derive(Debug)]
pub struct Unfinished {
    file: File,
    path: PathBuf,
    target: PathBuf,
    is_settled: bool,
}

impl Unfinished {
    /// Begins the file that will be at `target`, with the permissions and, as far as this process may give them, the owner and group of the
    /// one that is there.
    ///
    /// # Errors
    /// What the system says, and if something lies there that is no file.
    pub fn create(target: &Path) -> io::Result<Self> {
        let before = Predecessor::of(target)?;
        for _ in 0..ATTEMPTS {
            let path = path_beside(target);
            let file = match before.new_file().open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            if is_kept(&file, &path) {
                let this = Self { file, path, target: target.to_owned(), is_settled: false };
                before.hand_over(&this.file)?;
                return Ok(this);
            }
        }
        Err(io::Error::other("other processes take away what is written beside it"))
    }

    /// To write to, and to read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is until it has its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// What was written is on the disk. It has not its name yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// It takes its name, from one that has it.
    ///
    /// # Errors
    /// What the system says; then it is as before.
    pub fn take_name(&mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)?;
        self.settle();
        Ok(())
    }

    /// It takes its name, if nobody has it.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::AlreadyExists`] if another was as fast.
    pub fn take_free_name(self) -> io::Result<()> {
        fs::hard_link(&self.path, &self.target)
    }

    /// All is written: to the disk with it, then it takes its name, for good.
    ///
    /// # Errors
    /// What the system says.
    pub fn complete(mut self) -> io::Result<()> {
        // A name that is on the disk before its content would be one of an empty file.
        self.sync()?;
        self.take_name()?;
        sync_folder(folder_of(&self.target))
    }

    /// Removes it, unless it has its name.
    ///
    /// # Errors
    /// What the system says.
    pub fn discard(&mut self) -> io::Result<()> {
        if !self.is_settled {
            fs::remove_file(&self.path)?;
            self.settle();
        }
        Ok(())
    }

    /// Its lock goes now, not with the last of its handles: some systems keep others from reading what is locked.
    fn settle(&mut self) {
        self.is_settled = true;
        let _ = self.file.unlock();
    }
}

impl Drop for Unfinished {
    /// A disk that is full gets its room back.
    fn drop(&mut self) {
        let _ = self.discard();
    }
}

/// A name that nobody else ever takes, so that whoever removes one that was left removes nothing else. The process's number alone keeps
/// apart neither its threads nor containers, which all count from 1.
fn path_beside(target: &Path) -> PathBuf {
    // Seeded by the system.
    let random = RandomState::new().build_hasher().finish() as u32;
    let mut path = target.as_os_str().to_owned();
    path.push(format!("{BEFORE}{}-{random:08x}{BEHIND}", std::process::id()));
    path.into()
}

/// Locks a new file. Not so if another process took it for one that was left, in the moment before.
fn is_kept(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        // Where there are no locks nothing is taken away either.
        Ok(()) | Err(TryLockError::Error(_)) => path.try_exists().unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever clears what was left may come in the moment before the lock.
    #[test]
    fn a_new_file_that_was_taken_for_one_that_was_left_is_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let new = File::create_new(&path).expect("created");
        let clearing = File::open(&path).expect("opened");
        clearing.lock().expect("it is free");
        assert!(!is_kept(&new, &path), "about to be removed");
        clearing.unlock().expect("unlocked");
        assert!(is_kept(&new, &path));
        new.unlock().expect("unlocked");
        fs::remove_file(&path).expect("removed");
        assert!(!is_kept(&new, &path), "it is gone");
    }
}
