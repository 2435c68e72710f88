//! An answer's body, and what is kept until it has ended: taken to its end, or dropped with its connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};

/// What is kept beside a body, and dropped with it.
pub(crate) trait Kept: Send + Unpin + 'static {
    /// All of the body was taken.
    fn all_taken(&mut self) {}
}

/// The answer, whose body keeps `kept`.
pub(crate) fn until_the_end_of(answer: Response, kept: impl Kept) -> Response {
    answer.map(|body| Body::new(Keeping { body, kept }))
}

struct Keeping<K> {
    body: Body,
    kept: K,
}

impl<K: Kept> HttpBody for Keeping<K> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // Who has all that was announced does not ask whether there is more.
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.kept.all_taken();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
