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
mod batches;
mod body;
mod compute;
mod connections;
mod dialect;
mod encoding;
mod error;
mod extras;
mod fault;
mod formats;
mod gauges;
mod held;
mod host;
mod json;
mod kept;
mod lines;
mod lively;
mod llama;
mod metrics;
mod models;
mod ndjson;
mod observe;
mod ollama;
mod openai;
mod openapi;
mod origin;
#[cfg(feature = "otel")]
mod otel;
mod output_dtype;
mod page;
mod ready;
mod rerank;
mod routes;
mod settings;
mod signals;
#[cfg(unix)]
mod socket;
mod stream_options;
mod surrogates;
mod tei;
mod tokens;
mod waiting;

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
use tokio::sync::{oneshot, watch};

pub use error::Error;
pub use routes::router;
pub use settings::{EmbeddingsDialect, Settings, TokenIds};

use admission::{Admission, Progress};
use auth::Keys;
use batches::Batches;
use held::Held;
use metrics::Metrics;
use models::Models;
use ready::Readiness;

/// Threads that read and write sockets. Everything else is computed elsewhere, so they are few: more would only take cores from
/// the engine, and where those are few, each event that wakes a second one costs a short request a twentieth of a millisecond.
fn io_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(2).min(2))
}

/// What [`run`] serves, and where.
pub struct Config {
    /// The models, each with the name that requests call it by; the first is meant by requests that name none.
    pub models: Vec<(String, Arc<Embedder>)>,
    /// How it behaves.
    pub settings: Settings,
    /// Where it listens.
    pub listen: Listen,
    /// Reads the keys again when SIGHUP comes; without it SIGHUP ends the process, as it does others.
    pub keys: Option<ReadKeys>,
}

/// Reads keys, or says why they cannot be read.
pub type ReadKeys = Arc<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;

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
    /// At a Unix socket, which is made, and removed when the server begins to stop.
    #[cfg(unix)]
    Unix(PathBuf),
}

/// Where it was found to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
        /// Whether it scores pairs of texts and gives no vectors.
        is_reranker: bool,
    },
    /// Requests are taken at this address.
    Listening(Address),
    /// SIGHUP came: so many keys were read again, or could not be, and those before hold.
    Keys(Result<usize, String>),
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
    held: Held,
    metrics: Metrics,
    readiness: Readiness,
    keys: Keys,
    batches: Option<Batches>,
    #[cfg(feature = "otel")]
    traces: Option<otel::Traces>,
    /// Whether it stops.
    stopping: watch::Sender<bool>,
}

impl Service {
    /// Takes models, each with its name, and has each compute a short text: what comes of it `GET /health/ready` says.
    ///
    /// With the feature `otel` it sends traces if the standard variables `OTEL_*` name a collector.
    ///
    /// # Errors
    /// If there is none, two have one name, one gives a vector a token (the routes have one vector a text), an origin is
    /// none, or the folder of batches cannot be had.
    pub fn new(models: Vec<(String, Arc<Embedder>)>, settings: Settings) -> Result<Self, Error> {
        origin::check(&settings.cors_origins)?;
        let models = Models::new(models)?;
        let engine = models.first().embedder.clone();
        // One pool computes for all models.
        let progress = move || {
            let now = engine.statistics();
            Progress { waiting: now.waiting_tokens, computed: now.tokens }
        };
        let admission = Admission::new(settings.queue_tokens, progress);
        let held = Held::new(settings.held_limit);
        let metrics = Metrics::new(&models, &admission);
        // So that memory is flat from the first request on.
        models.all().iter().for_each(|served| served.reserve());
        let readiness = Readiness::check(&models);
        let keys = Keys::new(&settings.api_keys);
        let batches = settings.batch_folder.as_deref();
        let batches = batches.map(|folder| Batches::open(folder, settings.batch_folder_limit)).transpose()?;
        let service = Self(Arc::new(Inner {
            models,
            settings,
            admission,
            held,
            metrics,
            readiness,
            keys,
            batches,
            #[cfg(feature = "otel")]
            traces: otel::Traces::from_environment(),
            stopping: watch::Sender::new(false),
        }));
        if let Some(batches) = service.batches() {
            batches.start(&service)?;
        }
        Ok(service)
    }

    /// Says that the server stops: it is not ready for requests any more, and streams, which have no end of their own, take no
    /// more lines. [`serve`] does this; programs that serve the [`router`] by themselves do it.
    pub fn stop(&self) {
        self.readiness().stop();
        self.0.stopping.send_replace(true);
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
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

    pub(crate) fn held(&self) -> &Held {
        &self.0.held
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// From now on requests must have one of these keys; none: anybody may ask.
    pub fn set_api_keys(&self, keys: Vec<String>) {
        self.keys().set(keys);
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(crate) fn batches(&self) -> Option<&Batches> {
        self.0.batches.as_ref()
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Where spans are sent.
    #[cfg(feature = "otel")]
    pub(crate) fn traces(&self) -> Option<&otel::Traces> {
        self.0.traces.as_ref()
    }
}

/// Serves until Ctrl-C or SIGTERM, then finishes the requests at hand; a second signal drops them. `tell` hears
/// where it listens and that it stops.
///
/// # Errors
/// If it cannot listen there, the engine cannot be served, or requests had to be dropped: a second signal came, or they took
/// longer than they may.
pub fn run(config: Config, mut tell: impl FnMut(Event)) -> Result<(), Error> {
    let Config { models, settings, listen, keys } = config;
    let service = Service::new(models, settings)?;
    service.models().all().iter().for_each(|served| tell(served.event()));
    let mut runtime = match io_threads() {
        // This one: an event then wakes no other, and a thread less has memory of its own.
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads).thread_name("connote-http");
            builder
        }
    };
    let runtime = runtime.enable_all().build().map_err(Error::System)?;
    let outcome = runtime.block_on(until_signalled(service.clone(), &listen, keys, tell));
    // What was begun aside may not have ended, as the reading of a large body: nobody waits for it.
    runtime.shutdown_background();
    #[cfg(feature = "otel")]
    if let (Some(traces), Ok(())) = (service.traces(), &outcome) {
        traces.flush();
    }
    outcome
}

async fn until_signalled(
    service: Service,
    listen: &Listen,
    keys: Option<ReadKeys>,
    mut tell: impl FnMut(Event),
) -> Result<(), Error> {
    // Before anybody is told that it listens: who then sends a signal is heard.
    let mut signals = signals::Signals::watch().map_err(Error::System)?;
    let mut hangups = signals::Hangups::watch(keys.is_some()).map_err(Error::System)?;
    let serves = service.clone();
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
            Box::pin(connections::serve(listener, service, stopped))
        }
    };
    loop {
        let read = tokio::select! {
            ended = &mut serving => return ended.map_err(Error::System),
            () = signals.next() => break,
            read = read_again(&mut hangups, keys.as_ref()) => read,
        };
        tell(Event::Keys(read.map(|keys| {
            let count = keys.len();
            serves.set_api_keys(keys);
            count
        })));
    }
    tell(Event::Stopping);
    let _ = stop.send(());
    tokio::select! {
        ended = serving => ended.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Error::Interrupted,
            _ => Error::System(error),
        }),
        () = signals.next() => Err(Error::Interrupted),
    }
}

/// The keys, at the next SIGHUP. A file system that does not answer holds up nobody.
async fn read_again(hangups: &mut signals::Hangups, keys: Option<&ReadKeys>) -> Result<Vec<String>, String> {
    hangups.next().await;
    let Some(read) = keys.cloned() else { return std::future::pending().await };
    let read = tokio::task::spawn_blocking(move || read());
    read.await.unwrap_or_else(|error| Err(format!("the keys cannot be read: {error}")))
}

/// Serves at a listener until `stop` is ready, then finishes the requests at hand. Dropping the future drops them.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] if requests were not answered, or answers not read, when
/// [`request_timeout`](Settings::request_timeout) and [`client_timeout`](Settings::client_timeout) had passed since `stop`: they
/// were dropped.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // An answer must not wait for the packet before it to be acknowledged. Where the system refuses, it may.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    connections::serve(listener, service, stop).await
}
