//! The server as its clients see it: over TCP, with the committed model.

mod batches;
mod client;
mod complaints;
mod embeddings;
mod gone;
mod limits;
mod llama_cases;
mod ndjson;
mod openapi;
mod operation;
mod protocols;
mod refusals;
mod rerank;
mod settings;
mod shutdown;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use connote::{Embedder, Pooling};
use connote_server::{Error, Service, Settings};
use testkit::models;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use client::Client;

static EMBEDDER: LazyLock<Arc<Embedder>> =
    LazyLock::new(|| Arc::new(Embedder::open(models::builtin()).expect("the committed model opens")));

/// A server of its own, at a free port; it stops when it is told to, or dropped.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Running {
    fn start(embedder: Arc<Embedder>) -> Self {
        Self::start_with(embedder, Settings::default())
    }

    fn start_with(embedder: Arc<Embedder>, settings: Settings) -> Self {
        Self::start_service(service(embedder, settings))
    }

    fn start_service(service: Service) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, address) = std::sync::mpsc::channel();
        let work = async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            told.send(listener.local_addr()?).expect("the test waits");
            connote_server::serve(listener, service, async { drop(stopped.await) }).await
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let thread = thread::spawn(move || runtime.expect("a runtime").block_on(work));
        Self { address: address.recv().expect("it listens"), stop, thread }
    }
}

/// What serves one model, as its own name.
fn service(embedder: Arc<Embedder>, settings: Settings) -> Service {
    let name = embedder.model().name().to_owned();
    Service::new(vec![(name, embedder)], settings).expect("one vector a text")
}

/// A client of the server that most tests share.
fn client() -> Client {
    Client::connect(shared())
}

/// Held by tests that give the engine many tokens: what waits is counted for the whole process.
fn many_tokens() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the server is that most tests share.
fn shared() -> SocketAddr {
    static SHARED: LazyLock<Running> = LazyLock::new(|| Running::start(EMBEDDER.clone()));
    SHARED.address
}

#[test]
fn health_is_ok() {
    let answer = client().send("GET", "/health", "");
    assert_eq!((answer.status, answer.body.as_slice()), (200, br#"{"status":"ok"}"#.as_slice()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn an_engine_with_a_vector_a_token_is_not_served() {
    let builder = Embedder::builder().pooling(Pooling::None);
    let embedder = builder.open(models::builtin()).expect("it opens");
    let models = vec![("minilm".to_owned(), Arc::new(embedder))];
    let Err(error) = Service::new(models, Settings::default()) else { panic!("it was served") };
    assert!(matches!(error, Error::VectorsPerToken) && error.to_string().contains("mean"), "{error}");
}
