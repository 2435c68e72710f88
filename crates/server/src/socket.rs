//! Listening at a Unix socket.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::routes::router;
use crate::{Service, stopped};

/// A socket that this process made; its file goes with it.
pub(crate) struct Socket {
    listener: UnixListener,
    file: File,
}

struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
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
        Ok(Self { listener, file: File(path.to_owned()) })
    }

    /// Serves until `stop` is ready, then finishes the requests at hand.
    pub(crate) async fn serve(
        self,
        service: Service,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let Self { listener, file } = self;
        let stop = stopped(&service, stop);
        let ended = axum::serve(listener, router(service)).with_graceful_shutdown(stop).await;
        drop(file);
        ended
    }
}
