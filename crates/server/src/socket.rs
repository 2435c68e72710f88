//! Listening at a Unix socket.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use axum::serve::Listener;
use tokio::net::UnixListener;

/// A socket that this process made; its file goes with it.
pub(crate) struct Socket {
    // Dropped first: who comes when it has gone finds no socket, not one at which nobody answers.
    _file: File,
    listener: UnixListener,
}

/// The file of a socket: its path, device and inode.
struct File(PathBuf, (u64, u64));

impl File {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self(path.to_owned(), identity(path)?))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Somebody may have removed it already, and made another in its place.
        if identity(&self.0).is_ok_and(|now| now == self.1) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|file| (file.dev(), file.ino()))
}

impl Socket {
    /// Makes the socket, in the place of one that a server has left behind, but not of one that answers or of another file.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let left = path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket());
        if left
            && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        Ok(Self { _file: File::of(path)?, listener })
    }
}

impl Listener for Socket {
    type Io = <UnixListener as Listener>::Io;
    type Addr = <UnixListener as Listener>::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        Listener::accept(&mut self.listener).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Listener::local_addr(&self.listener)
    }
}
