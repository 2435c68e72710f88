//! Whose protocol a path belongs to, and the shape of its errors.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::fault::{Fault, FaultKind, TooLong};
use crate::settings::EmbeddingsDialect;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    /// Jina's and Cohere's rerankers, which have OpenAI's errors here and the words where their clients look for them.
    Jina,
    Tei,
    Ollama,
    Llama,
}

impl Dialect {
    /// Of a path. Where several have one path, its handler says which the request means.
    pub(crate) fn of(path: &str, embeddings: EmbeddingsDialect) -> Self {
        match path {
            "/" | "/embed" | "/embed_all" | "/decode" | "/info" | "/rerank" | "/tokenize" => Dialect::Tei,
            path if path.starts_with("/api/") => Dialect::Ollama,
            "/v1/rerank" | "/v2/rerank" | "/reranking" | "/v1/reranking" => Dialect::Jina,
            "/embedding" | "/detokenize" | "/props" => Dialect::Llama,
            "/embeddings" if embeddings == EmbeddingsDialect::Llama => Dialect::Llama,
            _ => Dialect::OpenAi,
        }
    }

    /// The status and body of a refusal.
    pub(crate) fn refusal(self, fault: &Fault) -> (StatusCode, Value) {
        let status = fault.kind.status();
        match self {
            Dialect::OpenAi => {
                let kind = match fault.kind {
                    FaultKind::Overloaded => "rate_limit_error",
                    FaultKind::Unauthorized => "authentication_error",
                    _ if status.is_server_error() => "server_error",
                    _ => "invalid_request_error",
                };
                let code = fault.kind.name();
                (
                    status,
                    json!({ "error": { "message": fault.message, "type": kind, "param": fault.param, "code": code } }),
                )
            }
            Dialect::Jina => {
                let (status, mut body) = Dialect::OpenAi.refusal(fault);
                // haystack and LlamaIndex read the first of Jina, Cohere's own client the second.
                body["detail"] = json!(fault.message);
                body["message"] = json!(fault.message);
                (status, body)
            }
            Dialect::Tei => {
                // As its router has them. It has no time limit of its own; and what it cannot read is 422 there, by whoever.
                let (status, kind) = match fault.kind {
                    FaultKind::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "Validation"),
                    FaultKind::InvalidRequest => (StatusCode::UNPROCESSABLE_ENTITY, "Validation"),
                    FaultKind::NoTokens => (StatusCode::UNPROCESSABLE_ENTITY, "Tokenizer"),
                    FaultKind::Empty => (status, "Empty"),
                    FaultKind::Overloaded => (status, "Overloaded"),
                    FaultKind::Internal => (StatusCode::FAILED_DEPENDENCY, "Backend"),
                    FaultKind::Timeout => (status, "Backend"),
                    _ => (status, "Validation"),
                };
                (status, json!({ "error": fault.message, "error_type": kind }))
            }
            Dialect::Ollama => (status, json!({ "error": fault.message })),
            Dialect::Llama => {
                let kind = match fault.kind {
                    FaultKind::Unauthorized => "authentication_error",
                    FaultKind::UnknownModel | FaultKind::UnknownRoute => "not_found_error",
                    FaultKind::TooLong => "exceed_context_size_error",
                    FaultKind::Overloaded | FaultKind::Timeout => "unavailable_error",
                    _ if status.is_server_error() => "server_error",
                    _ => "invalid_request_error",
                };
                let mut error = json!({ "code": status.as_u16(), "message": fault.message, "type": kind });
                if let Some(TooLong { tokens, limit }) = fault.too_long {
                    error["n_prompt_tokens"] = json!(tokens);
                    error["n_ctx"] = json!(limit);
                }
                (status, json!({ "error": error }))
            }
        }
    }
}

/// An answer; a refusal gets the shape of a protocol, which is the path's unless its handler says another.
pub(crate) fn shaped(mut response: Response, by_path: Dialect) -> Response {
    let Some(fault) = response.extensions_mut().remove::<Fault>() else { return response };
    let dialect = response.extensions_mut().remove::<Dialect>().unwrap_or(by_path);
    let (status, body) = dialect.refusal(&fault);
    let mut refused = response.map(|_| body.to_string().into());
    *refused.status_mut() = status;
    refused.extensions_mut().insert(fault.kind);
    let headers = refused.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = fault.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if fault.kind == FaultKind::Unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if fault.kind == FaultKind::UnsupportedEncoding {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    refused
}
