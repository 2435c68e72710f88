//! The body of a request, up to a limit.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;

use crate::Service;
use crate::fault::{Fault, FaultKind};

/// Unwanted bytes that are read and dropped, so that a client that sends first and listens then hears why it was
/// refused, instead of a connection that breaks.
const DROPPED: usize = 64 << 20;

/// The whole body, if it has at most `limit` bytes and never stands still for longer than `patience`.
pub(crate) async fn read(request: Request, limit: usize, patience: Duration) -> Result<Vec<u8>, Fault> {
    let asks_first = asks_first(&request);
    let mut body = request.into_body();
    if asks_first && body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    let mut length = 0usize;
    while let Some(data) = soon(&mut body, patience).await? {
        length = length.saturating_add(data.len());
        match length {
            fits if fits <= limit => bytes.extend_from_slice(&data),
            dropped if dropped <= limit + DROPPED => bytes = Vec::new(),
            _ => break,
        }
    }
    if length > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// Lets the client send a body that nobody wants, while it does send it.
pub(crate) async fn discard(service: &Service, request: Request) {
    if asks_first(&request) {
        return;
    }
    let patience = service.settings().client_timeout;
    let mut body = request.into_body();
    let drop_it = async {
        let mut length = 0;
        while let Ok(Some(data)) = soon(&mut body, patience).await {
            length += data.len();
            if length > DROPPED {
                break;
            }
        }
    };
    // Longer than a wanted one may take, it may not.
    let _ = tokio::time::timeout(service.settings().request_timeout, drop_it).await;
}

/// Whether the client sends the body only when it is asked to, which reading it does.
fn asks_first(request: &Request) -> bool {
    request.headers().contains_key(header::EXPECT)
}

/// What comes next, unless nothing comes.
async fn soon(body: &mut Body, patience: Duration) -> Result<Option<Bytes>, Fault> {
    let still = |_| {
        let message = format!(
            "nothing of the request's body came for {} s, which is what --client-timeout allows",
            patience.as_secs_f64()
        );
        Fault::new(FaultKind::Timeout, message)
    };
    tokio::time::timeout(patience, next(body)).await.map_err(still)?
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Fault> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(Fault::invalid(format!("the body of the request broke off: {error}")));
            }
            Some(Ok(frame)) => {
                // Trailers say nothing here.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn too_large(limit: usize) -> Fault {
    let message = format!(
        "the body is larger than {} MiB, the limit that --max-body-mb sets; send the texts in several requests, or as NDJSON, which has none",
        limit >> 20
    );
    Fault::new(FaultKind::BodyTooLarge, message)
}
