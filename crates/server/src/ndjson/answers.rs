//! The body of a stream's answer, as it comes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// A piece of the answer's body.
pub(super) enum Part {
    Lines(Bytes),
    /// It is complete. An answer that ends without it must not look as if it were.
    End,
}

/// The answer's body. Where it is dropped, as when the client goes, the work ends.
pub(super) struct Answers {
    parts: mpsc::Receiver<Part>,
    ended: bool,
    _work: AbortOnDrop<()>,
}

impl Answers {
    pub(super) fn new(parts: mpsc::Receiver<Part>, work: JoinHandle<()>) -> Self {
        Self { parts, ended: false, _work: AbortOnDrop(work) }
    }
}

impl HttpBody for Answers {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = std::task::ready!(self.parts.poll_recv(context));
        self.ended = !matches!(part, Some(Part::Lines(_)));
        Poll::Ready(match part {
            Some(Part::Lines(lines)) => Some(Ok(Frame::data(lines))),
            Some(Part::End) => None,
            None => Some(Err(io::Error::other("the stream was not answered to its end"))),
        })
    }
}

/// A task that ends with who waits for it.
pub(super) struct AbortOnDrop<T>(pub(super) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}
