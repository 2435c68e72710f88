//! connote over HTTP, as the clients of OpenAI, TEI, Ollama and llama-server ask for vectors.
//!
//! The way of a request: a route reads its body, a door makes an `Ask` of it, the engine a
//! `Done`, and the door the body of the answer; what is refused is a `Fault` until the outermost
//! layer writes it in the shape of the path's protocol.
//!
//! [`run`] is a whole server, from binding to the last answer after a signal. [`serve`] and [`router`] are its
//! parts, for programs that bring their own listener or runtime.
#![forbid(unsafe_code)]

mod admission;
mod ask;
mod auth;
mod body;
mod dialect;
mod encoding;
mod error;
mod extras;
mod fault;
mod formats;
mod json;
mod llama;
mod models;
mod ollama;
mod openai;
mod openapi;
mod origin;
mod page;
mod routes;
mod settings;
mod signals;
#[cfg(unix)]
mod socket;
mod tei;
mod tokens;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use axum::serve::ListenerExt;
use connote::Embedder;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use error::Error;
pub use routes::router;
pub use settings::{EmbeddingsDialect, Settings, TokenIds};

use admission::Admission;
use models::Models;

/// Threads that read and write sockets. Everything else is computed elsewhere, so they are few: more would
/// only take cores from the engine.
const IO_THREADS: usize = 2;

/// What [`run`] serves, and where.
pub struct Config {
    /// The models, each with the name that requests call it by; the first is meant by requests that name none.
    pub models: Vec<(String, Arc<Embedder>)>,
    /// How it behaves.
    pub settings: Settings,
    /// Where it listens.
    pub listen: Listen,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At a port.
    Tcp {
        /// A name or address of this machine.
        host: String,
        /// The port; 0 picks a free one.
        port: u16,
    },
    /// At a Unix socket, which is made, and removed at the end.
    #[cfg(unix)]
    Unix(PathBuf),
}

/// Where it was found to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// At a port.
    Tcp(SocketAddr),
    /// At a Unix socket.
    #[cfg(unix)]
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            #[cfg(unix)]
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What [`run`] tells its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A model is served, whose whole vectors without a task have these dimensions and this fingerprint.
    Model {
        /// What requests call it.
        name: String,
        /// Values a vector.
        dimensions: usize,
        /// The name of the vector space.
        fingerprint: String,
        /// Whether it has prompts, which a request gets by naming a task.
        has_prompts: bool,
    },
    /// Requests are taken at this address.
    Listening(Address),
    /// A signal came: no more requests are taken, those at hand are finished.
    Stopping,
}

/// Models that can be served, and how. Clones are the same service.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    models: Models,
    settings: Settings,
    admission: Admission,
}

impl Service {
    /// Takes models, each with its name.
    ///
    /// # Errors
    /// If there is none, two have one name, one gives a vector a token (the routes have one vector a text), or an origin is
    /// none.
    pub fn new(models: Vec<(String, Arc<Embedder>)>, settings: Settings) -> Result<Self, Error> {
        origin::check(&settings.cors_origins)?;
        let admission = Admission::new(settings.queue_tokens);
        Ok(Self(Arc::new(Inner { models: Models::new(models)?, settings, admission })))
    }

    pub(crate) fn models(&self) -> &Models {
        &self.0.models
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }
}

/// Serves until Ctrl-C or SIGTERM, then finishes the requests at hand; a second signal drops them. `tell` hears
/// where it listens and that it stops.
///
/// # Errors
/// If it cannot listen there, the engine cannot be served, or a second signal came.
pub fn run(config: Config, mut tell: impl FnMut(Event)) -> Result<(), Error> {
    let Config { models, settings, listen } = config;
    let service = Service::new(models, settings)?;
    service.models().all().iter().for_each(|served| tell(served.event()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("connote-http")
        .enable_all()
        .build()
        .map_err(Error::System)?;
    let outcome = runtime.block_on(until_signalled(service, &listen, tell));
    // Texts whose clients went away may still be computed: nobody waits for them.
    runtime.shutdown_background();
    outcome
}

async fn until_signalled(
    service: Service,
    listen: &Listen,
    mut tell: impl FnMut(Event),
) -> Result<(), Error> {
    // Before anybody is told that it listens: who then sends a signal is heard.
    let mut signals = signals::Signals::watch().map_err(Error::System)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // An error means that nobody can stop it any more, which is a reason to stop.
        let _ = stopped.await;
    };
    let mut serving: Pin<Box<dyn Future<Output = io::Result<()>>>> = match listen {
        Listen::Tcp { host, port } => {
            let failed = |error| Error::Listen { host: host.clone(), port: *port, error };
            let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
            tell(Event::Listening(Address::Tcp(listener.local_addr().map_err(failed)?)));
            Box::pin(serve(listener, service, stopped))
        }
        #[cfg(unix)]
        Listen::Unix(path) => {
            let listener = socket::Socket::bind(path).map_err(|error| Error::Socket(path.clone(), error))?;
            tell(Event::Listening(Address::Unix(path.clone())));
            Box::pin(listener.serve(service, stopped))
        }
    };
    tokio::select! {
        ended = &mut serving => return ended.map_err(Error::System),
        () = signals.next() => {}
    }
    tell(Event::Stopping);
    let _ = stop.send(());
    tokio::select! {
        ended = serving => ended.map_err(Error::System),
        () = signals.next() => Err(Error::Interrupted),
    }
}

/// Serves at a listener until `stop` is ready, then finishes the requests at hand.
///
/// # Errors
/// If the system takes the listener away.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // An answer must not wait for the packet before it to be acknowledged. Where the system refuses, it may.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router(service)).with_graceful_shutdown(stop).await
}
