//! A file that appears under its name when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::{Predecessor, Unfinished};

use crate::failure::Failure;
use crate::interrupt::{self, Ending};
use crate::say::say;

/// What is written so far lies beside the target under another name, and goes when this is dropped or a signal ends the
/// run. What a run left that was killed goes with the next that writes to the same name.
pub(crate) struct Aside {
    unfinished: Unfinished,
    name: String,
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
        Predecessor::of_writable(&target).map_err(failed)?;
        files::clear_left(&target, Duration::ZERO);
        let (unfinished, file) = interrupt::on_signal(|| {
            let unfinished = Unfinished::create(&target).map_err(failed)?;
            let file = unfinished.file().try_clone().map_err(failed)?;
            let (path, name) = (unfinished.path().to_owned(), name.clone());
            let ending = move || {
                let _ = fs::remove_file(path);
                say(format_args!("connote: interrupted; nothing was written to {name}"));
            };
            let ending: Ending = Box::new(ending);
            Ok(((unfinished, file), ending))
        })?;
        Ok((Self { unfinished, name }, file))
    }

    /// Where it will be.
    pub(crate) fn target(&self) -> &Path {
        self.unfinished.target()
    }

    /// What was written is on the disk. It has not its name yet.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.unfinished.sync().map_err(|error| Failure::writing(&self.name, &error))
    }

    /// All is written: to the disk with it, then it takes its name, for good.
    pub(crate) fn complete(mut self) -> Result<(), Failure> {
        self.sync()?;
        let named = interrupt::settled(|| self.unfinished.take_name());
        let lasting = named.and_then(|()| files::sync_folder(files::folder_of(self.target())));
        lasting.map_err(|error| Failure::writing(&self.name, &error))
    }
}

impl Drop for Aside {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        let _ = interrupt::settled(|| self.unfinished.discard());
    }
}

/// Nothing that is there is lost by a slip of the hand.
pub(crate) fn spare_what_is_there(path: &Path, force: bool) -> Result<(), Failure> {
    if path.exists() && !force {
        return Err(Failure::usage(format!("{}: is there already; --force replaces it", path.display())));
    }
    Ok(())
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
