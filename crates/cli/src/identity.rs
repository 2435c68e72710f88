//! Whether input and output are one file, or lie in one another's way: writing would destroy what is read.

use std::path::Path;

use files::folder_of;

use crate::aside::follow_links;

/// A file on disk, by what it is rather than by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] std::path::PathBuf);

/// Whether a file, which need not exist, lies in a folder; links are followed.
pub(crate) fn lies_in(file: &Path, folder: &Path) -> bool {
    let parent = follow_links(file).and_then(|file| folder_of(&file).canonicalize());
    parent.is_ok_and(|parent| folder.canonicalize().is_ok_and(|folder| folder == parent))
}

#[cfg(unix)]
mod of {
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::Identity;

    impl Identity {
        /// The file at a path; `None` if there is none, or it is no file but a pipe, a device or a folder.
        pub(crate) fn of_path(path: &Path) -> Option<Self> {
            Self::of(path.metadata().ok()?)
        }

        /// What standard input reads, if that is a file.
        pub(crate) fn of_stdin() -> Option<Self> {
            Self::of_stream(io::stdin().as_fd())
        }

        /// What standard output was redirected to, if that is a file.
        pub(crate) fn of_stdout() -> Option<Self> {
            Self::of_stream(io::stdout().as_fd())
        }

        fn of_stream(stream: BorrowedFd<'_>) -> Option<Self> {
            Self::of(File::from(stream.try_clone_to_owned().ok()?).metadata().ok()?)
        }

        fn of(about: Metadata) -> Option<Self> {
            about.is_file().then(|| Self((about.dev(), about.ino())))
        }
    }
}

/// Without device and inode only names can be compared.
#[cfg(not(unix))]
mod of {
    use std::path::Path;

    use super::Identity;

    impl Identity {
        pub(crate) fn of_path(path: &Path) -> Option<Self> {
            path.is_file().then(|| path.canonicalize().ok().map(Self)).flatten()
        }

        pub(crate) fn of_stdin() -> Option<Self> {
            None
        }

        pub(crate) fn of_stdout() -> Option<Self> {
            None
        }
    }
}
