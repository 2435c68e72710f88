//! Which path does what.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use connote::CancellationToken;

use crate::refusal::Refusal;
use crate::{Service, body, openai};

/// Bytes a request's body may have: 16 MiB.
pub const BODY_LIMIT: usize = 16 << 20;

/// What there is, for those who asked for something else.
const ROUTES: &str = "there is POST /v1/embeddings and GET /health";

/// The routes of a service.
pub fn router(service: Service) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/v1/embeddings", post(embeddings))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
        .with_state(service)
}

async fn health() -> Response {
    json(br#"{"status":"ok"}"#.to_vec())
}

async fn embeddings(State(service): State<Service>, request: Request) -> Result<Response, Refusal> {
    let body = body::read(request, BODY_LIMIT).await?;
    // Dropped when the answer is there, or when the client has gone: then nobody needs it.
    let token = CancellationToken::new();
    let _waits = CancelOnDrop(token.clone());
    // Reading and writing JSON, too, takes long for many texts; sockets must not wait for it.
    let answer =
        tokio::task::spawn_blocking(move || openai::embeddings(&service.embedder, &body, &token)).await;
    answer
        .unwrap_or_else(|_| Err(Refusal::fault("the engine failed on this request (please report it)")))
        .map(json)
}

/// Ends the work of a request that nobody waits for.
struct CancelOnDrop(CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn unknown_route(request: Request) -> Refusal {
    let message = format!("there is no route {} {}; {ROUTES}", request.method(), request.uri().path());
    body::discard(request).await;
    Refusal::new(StatusCode::NOT_FOUND, message).code("unknown_url")
}

async fn wrong_method(request: Request) -> Refusal {
    let message = format!("{} is not for {}; {ROUTES}", request.uri().path(), request.method());
    body::discard(request).await;
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed")
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
