//! A file that appears under its name when it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

/// The file that is being written; a signal must find it from its own thread. One a process.
static UNFINISHED: Mutex<Option<Unfinished>> = Mutex::new(None);

struct Unfinished {
    aside: PathBuf,
    target: PathBuf,
    name: String,
}

/// What is written so far lies beside the target under another name, and goes when this is dropped.
pub(crate) struct Aside(());

impl Aside {
    /// Starts a file beside the one that `path` means, links followed. It has the permissions of the file
    /// that it will replace.
    pub(crate) fn create(path: &Path) -> Result<(Self, File), Failure> {
        let name = path.display().to_string();
        let failed = |error: io::Error| Failure::writing(&name, &error);
        let target = follow_links(path).map_err(failed)?;
        // A file that may not be written must not be replaced either.
        let permissions = match OpenOptions::new().write(true).open(&target) {
            Ok(old) => Some(old.metadata().map_err(failed)?.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        // Held until the file is known, so that a signal cannot come between.
        let mut unfinished = unfinished();
        interrupt::watch();
        let (aside, file) = create_beside(&target).map_err(failed)?;
        *unfinished = Some(Unfinished { aside, target, name: name.clone() });
        drop(unfinished);
        let this = Self(());
        if let Some(permissions) = permissions {
            file.set_permissions(permissions).map_err(failed)?;
        }
        Ok((this, file))
    }

    /// All is written: the file takes its name.
    pub(crate) fn complete(self) -> Result<(), Failure> {
        // Held over the renaming: a signal finds the file either unfinished or complete.
        let mut unfinished = unfinished();
        if let Some(Unfinished { aside, target, name }) = &*unfinished {
            fs::rename(aside, target).map_err(|error| Failure::writing(name, &error))?;
            *unfinished = None;
        }
        Ok(())
    }
}

impl Drop for Aside {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        if let Some(Unfinished { aside, .. }) = unfinished().take() {
            let _ = fs::remove_file(aside);
        }
    }
}

fn unfinished() -> MutexGuard<'static, Option<Unfinished>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file that a path means in the end. It need not exist, even where a link names it.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
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

/// A new file beside `target`. The process's number keeps two runs apart; it is not enough in containers,
/// which all count from 1, nor where a killed run left its file.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    for attempt in 0..100 {
        let mut aside: OsString = target.as_os_str().to_owned();
        aside.push(format!(".{}", std::process::id()));
        if attempt > 0 {
            aside.push(format!("-{attempt}"));
        }
        aside.push(".part");
        match OpenOptions::new().write(true).create_new(true).open(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (aside.into(), file)),
        }
    }
    Err(io::Error::other("too many unfinished files lie beside it; remove those that end in .part"))
}

/// Signals that end a run.
#[cfg(unix)]
mod interrupt {
    use std::fs;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    use super::{Unfinished, unfinished};
    use crate::say::say;

    /// As the shell has it for Ctrl-C.
    const INTERRUPTED: i32 = 130;

    /// From now on signals remove what is unfinished before they end the run. Where they cannot be watched
    /// they end it all the same.
    pub(super) fn watch() {
        let ignored = ignored();
        let wanted =
            [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let Ok(mut signals) = Signals::new(wanted) else { return };
        let wait = move || {
            if signals.forever().next().is_some() {
                // Kept locked to the end, so that the file cannot be completed meanwhile.
                let mut unfinished = unfinished();
                // A file that is complete already is what was asked for: then the run is about to end.
                if let Some(Unfinished { aside, name, .. }) = unfinished.take() {
                    let _ = fs::remove_file(aside);
                    say(format_args!("connote: interrupted; nothing was written to {name}"));
                    std::process::exit(INTERRUPTED);
                }
            }
        };
        let _ = thread::Builder::new().name("signals".to_owned()).spawn(wait);
    }

    /// The signals that this run was told to ignore (`nohup`, `&` in a script), as a mask: they stay so.
    fn ignored() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        // Other systems do not tell; there only SIGHUP is commonly ignored.
        let untold = 1 << (SIGHUP - 1);
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(untold)
    }
}

#[cfg(not(unix))]
mod interrupt {
    /// Only Unix has signals; elsewhere an interrupted run leaves its unfinished file.
    pub(super) fn watch() {}
}
