//! Why a server did not start, or did not end well.

use std::fmt;
use std::io;

/// Why [`run`](crate::run) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The engine gives a vector a token (pooling `none`), and the routes have one vector a text.
    VectorsPerToken,
    /// There is no model to serve.
    NoModel,
    /// A model cannot say what its vectors are.
    Model(connote::Error),
    /// Two models are to be served under this name.
    SameName(String),
    /// A text that is to be an origin of pages is none, for this reason.
    Origin(String, &'static str),
    /// The folder of batches cannot be had, for this reason.
    BatchFolder(std::path::PathBuf, String),
    /// It cannot listen there.
    Listen {
        /// The host that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
        /// What the system says.
        error: io::Error,
    },
    /// It cannot listen at this Unix socket.
    #[cfg(unix)]
    Socket(std::path::PathBuf, io::Error),
    /// The system gave no threads, no signals, or took the listener away.
    System(io::Error),
    /// A second signal came before all requests at hand were answered, or they took longer than they may.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::VectorsPerToken => f.write_str(
                "with pooling `none` a text has a vector a token, and the server's routes have one vector a text; \
                 choose mean, cls or last",
            ),
            Error::Model(error) => write!(f, "{error}"),
            Error::NoModel => f.write_str("there is no model to serve"),
            Error::SameName(name) => {
                write!(f, "two models are to be served as `{name}`; give one another name, as in --model other={name}")
            }
            Error::Origin(origin, why) => write!(
                f,
                "`{origin}` is not an origin of pages, which is as in https://example.org or http://localhost:3000: {why}"
            ),
            Error::BatchFolder(folder, why) => write!(
                f,
                "{}: batches cannot be kept there: {why}; name a folder of this server's own that it may write (--batch-folder)",
                folder.display()
            ),
            Error::Listen { host, port, error } => {
                let advice = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        "; something else listens there: stop it, or choose another port (0 picks a free one)"
                    }
                    io::ErrorKind::PermissionDenied => "; choose a port from 1024 on",
                    io::ErrorKind::AddrNotAvailable => {
                        "; name an address of this machine, such as 127.0.0.1 or 0.0.0.0 (all of them)"
                    }
                    _ => "; is the host right? It is a name or an address of this machine, such as 127.0.0.1",
                };
                write!(f, "cannot listen at {host}, port {port}: {error}{advice}")
            }
            #[cfg(unix)]
            Error::Socket(path, error) => {
                let advice = match error.kind() {
                    io::ErrorKind::AddrInUse => "; a server answers there, or the file is no socket: choose another path",
                    io::ErrorKind::NotFound => "; its folder is not there",
                    io::ErrorKind::InvalidInput => "; choose a shorter path, of 100 bytes or less",
                    _ => "; may this user write there?",
                };
                write!(f, "cannot listen at the Unix socket {}: {error}{advice}", path.display())
            }
            Error::System(error) => write!(f, "the system does not let the server run: {error}"),
            Error::Interrupted => f.write_str("stopped before all requests at hand were answered"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Listen { error, .. } | Error::System(error) => Some(error),
            #[cfg(unix)]
            Error::Socket(_, error) => Some(error),
            Error::Model(error) => Some(error),
            _ => None,
        }
    }
}
