//! Connections: taken, served, and ended with the server.

use std::future::{Future, pending, ready};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::kept::until_the_end_of;
use crate::lively::{Lively, Upload};
use crate::routes::router;
use crate::waiting::{self, Waiting};
use crate::{Service, host};

/// Descriptors that are left to all else: a model's files, keys that are read again, the log.
const OTHERS: u64 = 64;

/// How long a connection waits for a head, at least, before it makes room.
const LEAST_WAIT: Duration = Duration::from_millis(250);

/// How soon another connection is asked to make room, where the one before has not ended: it may have bytes to send.
const AGAIN: Duration = Duration::from_millis(10);

/// Serves until `stop` is ready, then finishes the requests at hand. A connection on which nothing was asked, or whose client
/// keeps still, ends at once.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] if, when a request's time and a client's have passed since `stop`, there were still requests;
/// they are dropped.
pub(crate) async fn serve(
    mut listener: impl Listener,
    service: Service,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let settings = service.settings();
    let patience = settings.client_timeout;
    let limit = settings.request_timeout.saturating_add(patience);
    let router = router(service.clone());
    let stopping = watch::Sender::new(());
    // Ended with this future, however that ends.
    let mut connections = JoinSet::new();
    let most = most();
    let waiting = Waiting::default();
    let mut stop = pin!(stop);
    loop {
        // One place is kept free for who comes next; where all are answered, who comes waits in the system's queue.
        let is_full = connections.len() >= most;
        if is_full {
            waiting.end_oldest(LEAST_WAIT);
        }
        tokio::select! {
            () = &mut stop => break,
            (stream, _) = listener.accept(), if !is_full => {
                let place = waiting.connection();
                connections.spawn(connection(stream, router.clone(), patience, place, stopping.subscribe()));
            }
            // So that those that have ended leave nothing behind.
            Some(_) = connections.join_next() => {}
            () = tokio::time::sleep(AGAIN), if is_full => {}
        }
    }
    // Who comes now is told that nobody listens, instead of waiting in the system's queue.
    drop(listener);
    service.stop();
    let _ = stopping.send(());
    let ended = async { while connections.join_next().await.is_some() {} };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "requests took longer than they may");
    tokio::time::timeout(limit, ended).await.map_err(late)
}

/// Connections that may be open at once, by the descriptors that this process may have.
fn most() -> usize {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let limit: Option<u64> = None;
    let most = limit.map(|limit| limit - OTHERS.min(limit / 2));
    most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most.max(1))
}

/// One connection, from its first byte to its end. A client that takes longer than `patience` to send a request's head, or that
/// does nothing while an answer waits for it, is left: it holds a descriptor and memory, and holds up the end of the server.
async fn connection<S>(
    stream: S,
    router: Router,
    patience: Duration,
    place: Arc<waiting::Connection>,
    mut stopping: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let uploading = Arc::new(AtomicBool::new(false));
    let stream = Lively::new(stream, patience, uploading.clone());
    let asked = Arc::new(AtomicBool::new(false));
    let routes = TowerToHyperService::new(router);
    let (heard, asks) = (asked.clone(), place.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        heard.store(true, Ordering::Relaxed);
        let asking = asks.asks();
        let answer = match host::refusal(&request) {
            Some(refusal) => Either::Left(ready(Ok(refusal))),
            None => Either::Right(routes.call(request.map(|body| Upload::new(body, uploading.clone())))),
        };
        async { answer.await.map(|answer| until_the_end_of(answer, asking)) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Why a connection broke is nobody's concern but its client's, who knows.
        _ = connection.as_mut() => return,
        () = told(&mut stopping) => {}
        () = place.ended() => {}
    }
    // The first request has not come yet, or half of its head: hyper would wait for the rest. Between requests it ends by itself.
    if asked.load(Ordering::Relaxed) {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Ready when the server stops.
async fn told(stopping: &mut watch::Receiver<()>) {
    if stopping.changed().await.is_err() {
        // Nobody is there to say it any more: this task is about to be ended.
        pending().await
    }
}
