//! A form as it comes: its parts one by one, of which never more than a little is in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::Error;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use http_body::{Frame, SizeHint};

use crate::Service;
use crate::body;
use crate::fault::{Fault, FaultKind};

/// Bytes of a form that may be at hand without being a whole part's head, or content that was taken.
const MOST: usize = 1 << 20;

/// A client's form.
pub(super) struct Coming<'a> {
    service: &'a Service,
    form: Multipart,
    tally: Arc<Tally>,
}

/// What came, as the body counts it: what is wrong with it has no way through the reader of forms.
#[derive(Default)]
struct Tally {
    /// Bytes that were neither a whole part's head, nor content that was taken.
    untaken: AtomicUsize,
    is_too_large: AtomicBool,
}

impl<'a> Coming<'a> {
    /// `most` bytes it may have in all.
    pub(super) async fn new(service: &'a Service, request: Request, most: u64) -> Result<Self, Fault> {
        let tally = Arc::new(Tally::default());
        let counted = tally.clone();
        let request =
            request.map(|body| Body::new(Counted { body, tally: counted, left: most, rests: false }));
        let form = Multipart::from_request(request, &()).await;
        let form =
            form.map_err(|error| Fault::invalid(format!("the form cannot be read: {}", error.body_text())))?;
        Ok(Self { service, form, tally })
    }

    /// Its next part.
    pub(super) async fn field(&mut self) -> Result<Option<Part<'_>>, Fault> {
        let field = soon(self.service, &self.tally, self.form.next_field()).await?;
        Ok(field.map(|field| Part { service: self.service, tally: &self.tally, field }))
    }
}

/// A part of it.
pub(super) struct Part<'a> {
    service: &'a Service,
    tally: &'a Tally,
    pub(super) field: Field<'a>,
}

impl Part<'_> {
    /// The next bytes of its content.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        soon(self.service, self.tally, self.field.chunk()).await
    }

    pub(super) fn name(&self) -> String {
        self.field.name().unwrap_or_default().to_owned()
    }
}

/// What comes next, unless nothing comes.
async fn soon<T>(
    service: &Service,
    tally: &Tally,
    next: impl Future<Output = Result<T, MultipartError>>,
) -> Result<T, Fault> {
    let patience = service.settings().client_timeout;
    let next = tokio::time::timeout(patience, next).await.map_err(|_| body::still(patience))?;
    next.inspect(|_| tally.untaken.store(0, Ordering::Relaxed)).map_err(|error| {
        if tally.is_too_large.load(Ordering::Relaxed) {
            return Fault::new(FaultKind::BodyTooLarge, "the form is larger than its file may be, by much");
        }
        let why = match tally.untaken.load(Ordering::Relaxed) {
            MOST.. => "a part of it begins with too long a head".to_owned(),
            _ => error.body_text(),
        };
        Fault::invalid(format!("the form cannot be read: {why}"))
    })
}

/// The body, piece by piece. The reader of forms takes all that is there before it looks at any of it, so after each piece there is
/// nothing for a moment.
struct Counted {
    body: Body,
    tally: Arc<Tally>,
    left: u64,
    rests: bool,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            this.rests = true;
            let Some(left) = this.left.checked_sub(data.len() as u64) else {
                this.tally.is_too_large.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(Error::new("too large"))));
            };
            this.left = left;
            if this.tally.untaken.fetch_add(data.len(), Ordering::Relaxed) + data.len() >= MOST {
                return Poll::Ready(Some(Err(Error::new("too long a head"))));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
