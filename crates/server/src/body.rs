//! The body of a request, up to a limit.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{self, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;

use crate::Service;
use crate::fault::{Fault, FaultKind};
use crate::held::Share;

/// Unwanted bytes that are read and dropped, so that a client that sends first and listens then hears why it was
/// refused, instead of a connection that breaks.
pub(crate) const DROPPED: usize = 64 << 20;

/// How often longer than its text or ids an answer may be that lists tokens, with what is held while it is made.
const TOKENS_PER_BYTE: usize = 128;

/// A whole body, and its share of what is held.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) share: Share,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Vectors,
    /// An answer that is many times as long, whose length `answer_limit` bounds.
    Tokens,
}

impl Purpose {
    /// Bytes that a body may have, and what a larger one is told.
    fn limit(self, service: &Service) -> (usize, Fault) {
        let settings = service.settings();
        let limit = match self {
            Purpose::Vectors => settings.body_limit,
            Purpose::Tokens => settings.body_limit.min(settings.answer_limit / TOKENS_PER_BYTE),
        };
        let advice = match self {
            Purpose::Vectors => {
                "the limit that --max-body-mb sets; send the texts in several requests, or as NDJSON, which has none"
            }
            Purpose::Tokens => {
                "which is as much as this route takes, so that its answer, which is many times as long, stays below the \
                 limit that --max-answer-mb sets; send it in several requests"
            }
        };
        let message = format!("the body is larger than {}, {advice}", mib(limit));
        (limit, Fault::new(FaultKind::BodyTooLarge, message))
    }
}

/// The whole body, if it is not too large for its purpose, there is room for it, and it never stands still for longer than a
/// client may.
pub(crate) async fn read(service: &Service, request: Request, purpose: Purpose) -> Result<Body, Fault> {
    let (limit, too_large) = purpose.limit(service);
    let asks_first = asks_first(&request);
    let mut body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut share = service.held().share();
    let mut refusal = None;
    if announced > limit {
        refusal = Some(too_large.clone());
    } else if !share.has_room(announced) {
        refusal = Some(crowded(service));
    }
    let mut bytes = Vec::new();
    let mut length = 0usize;
    loop {
        // One that waits to be asked for it need not send what nobody wants.
        if let (Some(fault), true) = (&refusal, asks_first && length == 0) {
            return Err(fault.clone());
        }
        let Some(data) = soon(&mut body, service.settings().client_timeout).await? else { break };
        length = length.saturating_add(data.len());
        if refusal.is_none() && length > limit {
            refusal = Some(too_large.clone());
        }
        // Held as it comes: what is announced and never sent takes no room from others.
        if refusal.is_none() && !share.grow(length, 0) {
            refusal = Some(crowded(service));
        }
        if refusal.is_none() {
            bytes.extend_from_slice(&data);
            continue;
        }
        bytes = Vec::new();
        share.set(0);
        if length > limit.saturating_add(DROPPED) {
            break;
        }
    }
    refusal.map_or(Ok(Body { bytes, share }), Err)
}

/// There is no room now.
pub(crate) fn crowded(service: &Service) -> Fault {
    let why = format!(
        "the bodies and answers at hand are as large as they may be together, {} (--max-held-mb)",
        mib(service.held().limit())
    );
    Fault::overloaded(&why, service.admission().wait())
}

/// Bytes, for people.
pub(crate) fn mib(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

/// Lets the client send a body that nobody wants, while it does send it.
pub(crate) async fn discard(service: &Service, request: Request) {
    if asks_first(&request) {
        return;
    }
    let patience = service.settings().client_timeout;
    // Longer than a wanted one may take, it may not.
    let limit = service.settings().request_timeout;
    let _ = tokio::time::timeout(limit, drain(&mut request.into_body(), patience)).await;
}

/// Reads what a client still sends, for nobody.
pub(crate) async fn drain(body: &mut body::Body, patience: Duration) {
    let mut length = 0;
    while let Ok(Some(data)) = soon(body, patience).await {
        length += data.len();
        if length > DROPPED {
            break;
        }
    }
}

/// Whether the client sends the body only when it is asked to, which reading it does.
pub(crate) fn asks_first(request: &Request) -> bool {
    request.headers().contains_key(header::EXPECT)
}

/// It comes, but not in the time of a request.
pub(crate) fn late(what: &str, limit: Duration) -> Fault {
    let message =
        format!("{what} took longer than {} s, which is what a request may take", limit.as_secs_f64());
    Fault::new(FaultKind::Stalled, message)
}

/// What comes next, unless nothing comes.
async fn soon(body: &mut body::Body, patience: Duration) -> Result<Option<Bytes>, Fault> {
    tokio::time::timeout(patience, next(body)).await.map_err(|_| still(patience))?
}

/// Nothing came.
pub(crate) fn still(patience: Duration) -> Fault {
    let message = format!(
        "nothing of the request's body came for {} s, which is what --client-timeout allows",
        patience.as_secs_f64()
    );
    Fault::new(FaultKind::Stalled, message)
}

pub(crate) async fn next(body: &mut body::Body) -> Result<Option<Bytes>, Fault> {
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
