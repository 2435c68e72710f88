//! A file that appears under its name when it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::interrupt::{self, Ending};
use crate::say::say;

/// What is written so far lies beside the target under another name, and goes when this is dropped or a signal ends the
/// run.
pub(crate) struct Aside {
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
        // A file that may not be written must not be replaced either.
        let permissions = match OpenOptions::new().write(true).open(&target) {
            Ok(old) => Some(old.metadata().map_err(failed)?.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let (aside, file) = interrupt::on_signal(|| {
            let (aside, file) = create_beside(&target).map_err(failed)?;
            let (unfinished, name) = (aside.clone(), name.clone());
            let ending = move || {
                let _ = fs::remove_file(unfinished);
                say(format_args!("connote: interrupted; nothing was written to {name}"));
            };
            let ending: Ending = Box::new(ending);
            Ok(((aside, file), ending))
        })?;
        let this = Self { aside, target, name: name.clone(), done: false };
        if let Some(permissions) = permissions {
            file.set_permissions(permissions).map_err(failed)?;
        }
        Ok((this, file))
    }

    /// Where it will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// All is written: the file takes its name.
    pub(crate) fn complete(mut self) -> Result<(), Failure> {
        interrupt::settled(|| fs::rename(&self.aside, &self.target))
            .map_err(|error| Failure::writing(&self.name, &error))?;
        self.done = true;
        Ok(())
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
        match OpenOptions::new().read(true).write(true).create_new(true).open(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (aside.into(), file)),
        }
    }
    Err(io::Error::other("too many unfinished files lie beside it; remove those that end in .part"))
}
