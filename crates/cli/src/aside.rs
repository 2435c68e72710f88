//! A file that appears under its name when it is complete.

use std::ffi::OsString;
#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::interrupt::{self, Ending};
use crate::say::say;

/// What is written so far lies beside the target under another name, and goes when this is dropped or a signal ends the
/// run. What a run left that was killed goes with the next that writes to the same name.
pub(crate) struct Aside {
    /// Kept open: the lock on it says that it is at work.
    file: File,
    aside: PathBuf,
    target: PathBuf,
    name: String,
    done: bool,
}

impl Aside {
    /// Starts a file beside the one that `path` means, links followed. It has the permissions of the file
    /// that it will replace.
    pub(crate) fn create(path: &Path) -> Result<(Self, File), Failure> {
        let name = path.display().to_string();
        let failed = |error: io::Error| Failure::writing(&name, &error);
        let target = follow_links(path).map_err(failed)?;
        // To open a pipe is to wait for its reader, and a device would be replaced by a file.
        if fs::metadata(&target).is_ok_and(|about| !about.is_file()) {
            return Err(Failure::usage(format!(
                "{name}: is no file; the whole is written to a file, so name one"
            )));
        }
        // A file that may not be written must not be replaced either.
        let permissions = match OpenOptions::new().write(true).open(&target) {
            Ok(old) => Some(old.metadata().map_err(failed)?.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        take_away_what_was_left(&target);
        let (aside, file, held) = interrupt::on_signal(|| {
            let (aside, file) = create_beside(&target).map_err(failed)?;
            let held = file.try_clone().map_err(|error| {
                let _ = fs::remove_file(&aside);
                failed(error)
            })?;
            let (unfinished, name) = (aside.clone(), name.clone());
            let ending = move || {
                let _ = fs::remove_file(unfinished);
                say(format_args!("connote: interrupted; nothing was written to {name}"));
            };
            let ending: Ending = Box::new(ending);
            Ok(((aside, file, held), ending))
        })?;
        let this = Self { file: held, aside, target, name: name.clone(), done: false };
        if let Some(permissions) = permissions {
            file.set_permissions(permissions).map_err(failed)?;
        }
        Ok((this, file))
    }

    /// Where it will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// What was written is on the disk. It has not its name yet.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| Failure::writing(&self.name, &error))
    }

    /// All is written: to the disk with it, then it takes its name, for good.
    pub(crate) fn complete(mut self) -> Result<(), Failure> {
        // A name that is on the disk before its content would be one of an empty file.
        self.sync()?;
        interrupt::settled(|| fs::rename(&self.aside, &self.target))
            .map_err(|error| Failure::writing(&self.name, &error))?;
        self.done = true;
        Ok(bulk::sync_folder(folder_of(&self.target))?)
    }
}

impl Drop for Aside {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        if !self.done {
            let _ = interrupt::settled(|| fs::remove_file(&self.aside));
        }
    }
}

/// Nothing that is there is lost by a slip of the hand.
pub(crate) fn spare_what_is_there(path: &Path, force: bool) -> Result<(), Failure> {
    if path.exists() && !force {
        return Err(Failure::usage(format!("{}: is there already; --force replaces it", path.display())));
    }
    Ok(())
}

/// The folder that a file lies in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file that a path means in the end. It need not exist, even where a link names it.
pub(crate) fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_symlink() => {
                let to = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links lead on from it"))
}

/// A new file beside `target`, locked as long as it is open. The process's number keeps two runs apart; it is not enough in
/// containers, which all count from 1.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    for attempt in 0..100 {
        let mut aside: OsString = target.as_os_str().to_owned();
        aside.push(format!(".connote-{}", std::process::id()));
        if attempt > 0 {
            aside.push(format!("-{attempt}"));
        }
        aside.push(".part");
        match OpenOptions::new().read(true).write(true).create_new(true).open(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Ok(file) if !is_kept(&file, Path::new(&aside)) => {}
            other => return other.map(|file| (aside.into(), file)),
        }
    }
    Err(io::Error::other("too many unfinished files lie beside it; remove those that end in .part"))
}

/// Locks a new file. Not so if another run took it for one that was left, in the moment before.
#[cfg(unix)]
fn is_kept(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => false,
        // Where there are no locks nothing is taken away either.
        Ok(()) | Err(TryLockError::Error(_)) => is_at(file, path),
    }
}

#[cfg(not(unix))]
fn is_kept(_: &File, _: &Path) -> bool {
    true
}

/// Takes away what runs that were killed left of this file. Whoever is at work on one holds a lock, which goes with the process,
/// however it ends; its number would say nothing of another container or machine.
#[cfg(unix)]
fn take_away_what_was_left(target: &Path) {
    let Some(name) = target.file_name().and_then(|name| name.to_str()) else { return };
    for entry in fs::read_dir(folder_of(target)).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !entry.file_name().to_str().is_some_and(|other| is_unfinished(other, name)) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = OpenOptions::new().read(true).write(true).open(&path)
            && file.try_lock().is_ok()
            && is_at(&file, &path)
        {
            // What cannot be removed lies there as before.
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(not(unix))]
fn take_away_what_was_left(_: &Path) {}

/// Whether [`create_beside`] would give this name to a file on its way to `target`.
#[cfg(unix)]
fn is_unfinished(name: &str, target: &str) -> bool {
    let number =
        name.strip_prefix(target).and_then(|rest| rest.strip_prefix(".connote-")?.strip_suffix(".part"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.is_some_and(|number| match number.split_once('-') {
        None => is_number(number),
        Some((process, attempt)) => is_number(process) && is_number(attempt),
    })
}

/// Whether the file that is open is the one that the path names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = || Some((file.metadata().ok()?, fs::metadata(path).ok()?));
    same().is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
}
