//! What a client is told when it cannot have what it asked for, in OpenAI's shape.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use connote::ErrorKind;
use serde::Serialize;

/// An answer other than 200.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
    /// The field of the request that is at fault.
    param: Option<&'static str>,
    /// A stable name for programs.
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// A request that makes no sense.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A fault of connote or of the model's file.
    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// What the library says of this field.
    pub(crate) fn of(error: &connote::Error, param: &'static str) -> Self {
        let refusal = match error.kind() {
            ErrorKind::InvalidRequest | ErrorKind::TooLong | ErrorKind::NoTokens => {
                Self::bad(error.to_string())
            }
            _ => Self::fault(error.to_string()),
        };
        refusal.param(param).code(error.kind().name())
    }

    pub(crate) fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let r#type = if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let details = Details { message: &self.message, r#type, param: self.param, code: self.code };
        // Only strings: writing them cannot fail.
        let body = serde_json::to_vec(&Body { error: details }).unwrap_or_default();
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
