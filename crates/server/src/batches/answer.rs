//! A line of a batch to the line of its answer, through the door of `POST /v1/embeddings`.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode};
use connote::Priority;
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::ENDPOINT;
use super::input::Line;
use crate::Service;
use crate::ask::{self, Door};
use crate::body::{self, Body, mib};
use crate::dialect::Dialect;
use crate::fault::{Fault, FaultKind};
use crate::held::Share;
use crate::openai;

/// As `POST /v1/embeddings`, but whatever the line says it gives way to who waits.
const EMBEDDINGS: Door<openai::Form> = Door {
    read: |service, body| {
        let (mut ask, form) = (openai::EMBEDDINGS.read)(service, body)?;
        ask.priority = Some(Priority::Batch);
        Ok((ask, form))
    },
    write: openai::EMBEDDINGS.write,
};

/// The longest that a line without room waits before it asks again.
const PATIENCE: Duration = Duration::from_secs(2);

/// A line of one of the two files of results.
pub(super) struct Answered {
    /// In pieces: the vectors may be long.
    pub(super) text: [Bytes; 3],
    /// Tokens, of one that has its vectors; the others are lines of the file of errors.
    pub(super) tokens: Option<u64>,
    /// Where the line of the input was.
    pub(super) number: u64,
    pub(super) end: u64,
}

/// A line that can be read, if only in part.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    custom_id: Value,
    #[serde(default)]
    method: Value,
    #[serde(default)]
    url: Value,
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Told {
    usage: Tokens,
}

#[derive(Deserialize)]
struct Tokens {
    total_tokens: u64,
}

/// Never fails: what is wrong with a line is its answer. The same line has the same answer, so that work that is done twice
/// leaves no trace. `share` is what it may hold, as of now.
pub(super) async fn answer(
    service: Service,
    batch: String,
    line: Line,
    share: impl Fn() -> Share,
) -> Answered {
    let Line { number, text, end } = line;
    let own = batch.strip_prefix("batch_").unwrap_or(&batch);
    let (id, request_id) = (format!("batch_req_{own}_{number}"), format!("req_{own}_{number}"));
    let head = |custom_id: &Value| format!("{{\"id\":\"{id}\",\"custom_id\":{custom_id},\"response\":");
    let bad = |custom_id: &Value, code: &'static str, message: String| {
        service.metrics().line_failed(code);
        let error = json!({ "code": code, "message": format!("line {number}: {message}") });
        let line = format!("{}null,\"error\":{error}}}\n", head(custom_id));
        Answered { text: [line.into(), Bytes::new(), Bytes::new()], tokens: None, number, end }
    };
    let responded = |custom_id: &Value, status: StatusCode, headers: Value, body: Bytes, tokens| {
        let line = format!(
            "{}{{\"status_code\":{},\"request_id\":\"{request_id}\",\"headers\":{headers},\"body\":",
            head(custom_id),
            status.as_u16()
        );
        Answered {
            text: [line.into(), body, Bytes::from_static(b"},\"error\":null}\n")],
            tokens,
            number,
            end,
        }
    };
    let Some(text) = text else {
        let message = format!(
            "it is longer than {}, the limit of one request, which --max-body-mb sets; make several of it",
            mib(service.settings().body_limit)
        );
        return bad(&Value::Null, "line_too_long", message);
    };
    let request: Request = match serde_json::from_slice(&text) {
        Ok(request) => request,
        Err(error) => {
            return bad(
                &Value::Null,
                "invalid_json_line",
                format!("it is no JSON object of a request: {error}"),
            );
        }
    };
    drop(text);
    let id_said = &request.custom_id;
    let wrong = if !id_said.is_string() {
        Some("`custom_id` is missing, or no text".to_owned())
    } else if request.method != "POST" {
        Some("`method` is not `POST`".to_owned())
    } else if request.url != ENDPOINT {
        Some(format!("`url` is not `{ENDPOINT}`, the endpoint of the batch"))
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return bad(id_said, "invalid_request", wrong);
    }
    let Some(asked) = request.body else {
        return bad(
            id_said,
            "invalid_request",
            "`body` is missing: the body of a POST /v1/embeddings".to_owned(),
        );
    };
    match embed(&service, asked.get(), share).await {
        Ok((headers, vectors)) => {
            let told: Option<Told> = serde_json::from_slice(&vectors).ok();
            let tokens = told.map_or(0, |told| told.usage.total_tokens);
            responded(id_said, StatusCode::OK, told_beside(&headers), vectors, Some(tokens))
        }
        Err(fault) => {
            service.metrics().line_failed(fault.kind.name());
            let (status, body) = Dialect::OpenAi.refusal(&fault);
            responded(id_said, status, json!({}), body.to_string().into(), None)
        }
    }
}

/// What the headers of an answer say of its vectors: their space, their model, how many texts were cut.
fn told_beside(headers: &HeaderMap) -> Value {
    let own = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-"));
    own.filter_map(|(name, value)| Some((name.to_string(), Value::from(value.to_str().ok()?)))).collect()
}

/// The headers and the body of the answer to a request, which waits where others are told to come back.
async fn embed(
    service: &Service,
    asked: &str,
    share: impl Fn() -> Share,
) -> Result<(HeaderMap, Bytes), Fault> {
    loop {
        let attempt = AssertUnwindSafe(attempt(service, asked, share())).catch_unwind().await;
        let done = attempt.unwrap_or_else(|_| {
            service.metrics().panicked();
            Err(Fault::internal(ask::FELL))
        });
        match done {
            Err(Fault { kind: FaultKind::Overloaded, retry_after, .. }) => {
                tokio::time::sleep(retry_after.unwrap_or(PATIENCE).clamp(PATIENCE / 20, PATIENCE)).await;
            }
            done => return done,
        }
    }
}

async fn attempt(service: &Service, asked: &str, mut share: Share) -> Result<(HeaderMap, Bytes), Fault> {
    if !share.grow(asked.len(), 0) {
        return Err(body::crowded(service));
    }
    let body = Body { bytes: asked.as_bytes().to_vec(), share };
    let response = ask::embed(service.clone(), EMBEDDINGS, HeaderMap::new(), body).await?;
    let (parts, body) = response.into_parts();
    // As it is, with its share of what is held, which ends when it is written.
    let bytes = to_bytes(body, usize::MAX).await;
    let bytes = bytes.map_err(|error| Fault::internal(format!("an answer broke off: {error}")))?;
    Ok((parts.headers, bytes))
}
