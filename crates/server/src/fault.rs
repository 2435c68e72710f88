//! Why a client cannot have what it asked for, whatever protocol it speaks.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use connote::ErrorKind;

/// A refusal, before it is written in the shape of a protocol.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
    /// The field of the request that is at fault.
    pub(crate) param: Option<String>,
    /// When to come back.
    pub(crate) retry_after: Option<Duration>,
    /// By how much a text is too long.
    pub(crate) too_long: Option<TooLong>,
}

/// A text that is too long, in tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooLong {
    pub(crate) tokens: usize,
    pub(crate) limit: usize,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The body is not JSON, or no object.
    InvalidJson,
    /// A field is missing or wrong.
    InvalidRequest,
    /// There is not one text.
    Empty,
    /// A text gives no tokens.
    NoTokens,
    /// A text has more tokens than the model takes.
    TooLong,
    UnknownModel,
    UnknownRoute,
    /// There is no file or batch of this id.
    NotFound,
    WrongMethod,
    Unauthorized,
    BodyTooLarge,
    /// The body is compressed.
    UnsupportedEncoding,
    /// Too much waits.
    Overloaded,
    /// The body of the request does not come, or not in time.
    Stalled,
    /// It took longer than it may.
    Timeout,
    /// A fault of connote or of the model's file.
    Internal,
}

impl FaultKind {
    /// All of them.
    pub(crate) const ALL: [Self; 16] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::Empty,
        Self::NoTokens,
        Self::TooLong,
        Self::UnknownModel,
        Self::UnknownRoute,
        Self::NotFound,
        Self::WrongMethod,
        Self::Unauthorized,
        Self::BodyTooLarge,
        Self::UnsupportedEncoding,
        Self::Overloaded,
        Self::Stalled,
        Self::Timeout,
        Self::Internal,
    ];

    /// The status, unless the protocol has another.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            FaultKind::InvalidJson
            | FaultKind::InvalidRequest
            | FaultKind::Empty
            | FaultKind::NoTokens
            | FaultKind::TooLong => StatusCode::BAD_REQUEST,
            FaultKind::UnknownModel | FaultKind::UnknownRoute | FaultKind::NotFound => StatusCode::NOT_FOUND,
            FaultKind::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            FaultKind::Unauthorized => StatusCode::UNAUTHORIZED,
            FaultKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            FaultKind::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            FaultKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            FaultKind::Stalled => StatusCode::REQUEST_TIMEOUT,
            FaultKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            FaultKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable name for programs, which metrics and OpenAI's `code` have.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FaultKind::InvalidJson => "invalid_json",
            FaultKind::InvalidRequest => "invalid_request",
            FaultKind::Empty => "empty_input",
            FaultKind::NoTokens => "no_tokens",
            FaultKind::TooLong => "context_length_exceeded",
            FaultKind::UnknownModel => "model_not_found",
            FaultKind::UnknownRoute => "unknown_url",
            FaultKind::NotFound => "not_found",
            FaultKind::WrongMethod => "method_not_allowed",
            FaultKind::Unauthorized => "invalid_api_key",
            FaultKind::BodyTooLarge => "request_too_large",
            FaultKind::UnsupportedEncoding => "unsupported_content_encoding",
            FaultKind::Overloaded => "overloaded",
            FaultKind::Stalled => "body_timeout",
            FaultKind::Timeout => "timeout",
            FaultKind::Internal => "internal",
        }
    }
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, retry_after: None, too_long: None }
    }

    /// A request that makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(FaultKind::InvalidRequest, message)
    }

    /// Too much is at hand; how long that will last.
    pub(crate) fn overloaded(why: &str, wait: Duration) -> Self {
        let message = format!("{why}; come back in {} s", wait.as_secs());
        Self { retry_after: Some(wait), ..Self::new(FaultKind::Overloaded, message) }
    }

    /// A fault of connote or of the model's file.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Internal, message)
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }
}

/// What the library says.
impl From<&connote::Error> for Fault {
    fn from(error: &connote::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidRequest => FaultKind::InvalidRequest,
            ErrorKind::TooLong => FaultKind::TooLong,
            ErrorKind::RequestTooLarge => FaultKind::BodyTooLarge,
            ErrorKind::NoTokens => FaultKind::NoTokens,
            ErrorKind::Cancelled | ErrorKind::DeadlineExceeded => FaultKind::Timeout,
            _ => FaultKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

/// An answer without a body: [`crate::dialect::write`] gives it one in the protocol's shape.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
