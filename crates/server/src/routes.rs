//! Which path does what.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::Service;
use crate::fault::{Fault, FaultKind};
use crate::{ask, body, dialect, openai};

/// The routes of a service.
pub fn router(service: Service) -> Router {
    Router::new()
        .merge(openai_routes())
        .route("/health", get(health))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
        .layer(middleware::from_fn_with_state(service.clone(), dialect::write))
        .with_state(service)
}

fn openai_routes() -> Router<Service> {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
}

async fn health() -> Response {
    json(br#"{"status":"ok"}"#.to_vec())
}

async fn embeddings(State(service): State<Service>, request: Request) -> Result<Response, Fault> {
    ask::embed(service, openai::EMBEDDINGS, request).await
}

async fn models(State(service): State<Service>) -> Result<Response, Fault> {
    // The first look hashes the model's file.
    ask::aside(usize::MAX, move || openai::list(&service)).await.map(json)
}

async fn model(State(service): State<Service>, Path(id): Path<String>) -> Result<Response, Fault> {
    ask::aside(usize::MAX, move || openai::retrieve(&service, &id)).await.map(json)
}

async fn unknown_route(request: Request) -> Fault {
    let message = format!(
        "there is no route {} {}; GET /openapi.json lists those there are",
        request.method(),
        request.uri().path()
    );
    body::discard(request).await;
    Fault::new(FaultKind::UnknownRoute, message)
}

async fn wrong_method(request: Request) -> Fault {
    let message =
        format!("{} is not for {}; GET /openapi.json lists what is", request.uri().path(), request.method());
    body::discard(request).await;
    Fault::new(FaultKind::WrongMethod, message)
}

pub(crate) fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
