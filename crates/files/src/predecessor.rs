//! A file that another one will replace.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::path::Path;

/// What is in the place of a file to come: nothing, or a file whose permissions, owner and group it takes over.
#[derive(Debug)]
pub struct Predecessor(Option<Metadata>);

impl Predecessor {
    /// Looks at it, links followed.
    ///
    /// # Errors
    /// If it is no file, or the system does not tell.
    pub fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(about) if about.is_file() => Ok(Self(Some(about))),
            // A device or a pipe would be replaced by a file.
            Ok(_) => Err(io::Error::other("it is no file; name a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    /// As [`of`](Self::of), and a file that may not be written must not be replaced either.
    ///
    /// # Errors
    /// If it may not be written, is no file, or the system does not tell.
    pub fn of_writable(path: &Path) -> io::Result<Self> {
        let this = Self::of(path)?;
        if this.0.is_some() {
            OpenOptions::new().write(true).open(path)?;
        }
        Ok(this)
    }

    /// How its successor is made: nobody opens it who may not open the one before.
    pub(crate) fn new_file(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        if self.0.is_some() {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        options
    }

    /// Gives its permissions to its successor, and its owner and group as far as this process may.
    ///
    /// # Errors
    /// What the system says of the permissions.
    pub fn hand_over(&self, to: &File) -> io::Result<()> {
        let Some(before) = &self.0 else { return Ok(()) };
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            let now = to.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                // Who is not root may at most choose among the groups of his own.
                let _ = fchown(to, Some(before.uid()), Some(before.gid()))
                    .or_else(|_| fchown(to, None, Some(before.gid())));
            }
        }
        let (now, permissions) = (to.metadata()?, permissions(before, &to.metadata()?));
        // Some file systems have the same for all files, and refuse to be told.
        if now.permissions() == permissions { Ok(()) } else { to.set_permissions(permissions) }
    }
}

#[cfg(not(unix))]
fn permissions(before: &Metadata, _: &Metadata) -> Permissions {
    before.permissions()
}

/// Another group than before may do no more than everybody might.
#[cfg(unix)]
fn permissions(before: &Metadata, now: &Metadata) -> Permissions {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = before.permissions().mode();
    Permissions::from_mode(if now.gid() == before.gid() { mode } else { of_another_group(mode) })
}

#[cfg(unix)]
fn of_another_group(mode: u32) -> u32 {
    mode & (!0o070 | (mode & 0o007) << 3)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn another_group_may_do_no_more_than_all() {
        for (before, after) in
            [(0o640, 0o600), (0o664, 0o644), (0o777, 0o777), (0o662, 0o622), (0o604, 0o604)]
        {
            assert_eq!(of_another_group(before), after, "{before:o}");
        }
    }

    #[test]
    fn the_group_decides() {
        let folder = tempfile::tempdir().expect("a folder");
        let about = |name: &str, group: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").expect("written");
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640))
                .expect("set");
            let is_root = std::os::unix::fs::chown(&path, None, Some(group)).is_ok();
            (is_root, std::fs::metadata(&path).expect("a file"))
        };
        let ((true, one), (true, other)) = (about("a", 1234), about("b", 1235)) else { return };
        let mode = |to| std::os::unix::fs::PermissionsExt::mode(&permissions(&one, to)) & 0o777;
        assert_eq!((mode(&one), mode(&other)), (0o640, 0o600));
    }
}
