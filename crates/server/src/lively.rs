//! The socket of a connection whose client may not keep still while an answer waits for it, and hears the end of its answer.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a client may send nothing more of a body that nobody wants, before its connection ends.
const LINGER: Duration = Duration::from_secs(1);

/// What stands for "without an end".
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A socket. What waits to be written waits while the client takes or sends anything, and `patience` longer.
pub(crate) struct Lively<S> {
    socket: S,
    patience: Duration,
    /// Something waits to be written.
    waits: bool,
    /// When the client did something, or began not to.
    moved: Instant,
    still: Pin<Box<Sleep>>,
    /// The client has more to send of the last request's body.
    uploading: Arc<AtomicBool>,
    /// When nothing more was to be written.
    ended: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lively<S> {
    pub(crate) fn new(socket: S, patience: Duration, uploading: Arc<AtomicBool>) -> Self {
        let moved = Instant::now();
        let still = Box::pin(tokio::time::sleep_until(moved));
        Self { socket, patience: patience.min(LONGEST), waits: false, moved, still, uploading, ended: None }
    }

    /// What comes of a try to write, unless the client kept still for too long.
    fn in_time<T>(&mut self, context: &mut Context<'_>, tried: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let waited = std::mem::replace(&mut self.waits, tried.is_pending());
        if tried.is_ready() {
            return tried;
        }
        if !waited {
            self.moved = Instant::now();
            self.still.as_mut().reset(self.moved + self.patience);
        }
        while self.still.as_mut().poll(context).is_ready() {
            let until = self.moved + self.patience;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.still.as_mut().reset(until);
        }
        Poll::Pending
    }

    /// Reads what still comes, for nobody: a socket that is closed before takes back what the client has not read yet.
    fn linger(&mut self, context: &mut Context<'_>, ended: Instant) -> Poll<()> {
        let mut space = [0; 16 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let read = Pin::new(&mut self.socket).poll_read(context, &mut buffer);
            let more = matches!(read, Poll::Ready(Ok(()))) && !buffer.filled().is_empty();
            if read.is_pending() {
                return self.still.as_mut().poll(context);
            }
            if !more || ended.elapsed() >= self.patience {
                return Poll::Ready(());
            }
            self.still.as_mut().reset(Instant::now() + LINGER);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lively<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if self.waits && buffer.filled().len() > before {
            self.moved = Instant::now();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lively<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.in_time(context, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.in_time(context, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.socket).poll_flush(context);
        self.in_time(context, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = match self.ended {
            Some(ended) => ended,
            None => {
                let tried = Pin::new(&mut self.socket).poll_shutdown(context);
                ready!(self.in_time(context, tried))?;
                let ended = Instant::now();
                self.ended = Some(ended);
                self.still.as_mut().reset(ended + LINGER);
                ended
            }
        };
        if self.uploading.load(Ordering::Relaxed) {
            ready!(self.linger(context, ended));
        }
        Poll::Ready(Ok(()))
    }
}

/// A request's body, of which is known whether all of it was read.
pub(crate) struct Upload {
    body: Incoming,
    uploading: Arc<AtomicBool>,
}

impl Upload {
    pub(crate) fn new(body: Incoming, uploading: Arc<AtomicBool>) -> Self {
        uploading.store(!body.is_end_stream(), Ordering::Relaxed);
        Self { body, uploading }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.uploading.store(false, Ordering::Relaxed);
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
