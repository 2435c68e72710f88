//! Which path does what.

use std::collections::HashSet;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::Service;
use crate::ask::Door;
use crate::dialect::Dialect;
use crate::fault::{Fault, FaultKind};
use crate::json;
use crate::settings::EmbeddingsDialect;
use crate::{ask, auth, body, dialect, encoding, llama, ollama, openai, openapi, page, tei};

/// What there is, for those who asked for something else.
const ROUTES: &str = "there is POST /v1/embeddings, /embed, /api/embed, /embedding and /tokenize, GET /v1/models, /info, \
                      /api/tags and /health; /openapi.json describes all";

/// The routes of a service.
pub fn router(service: Service) -> Router {
    let routes = Router::new()
        .merge(openai_routes())
        .merge(tei_routes())
        .merge(ollama_routes())
        .merge(llama_routes())
        .route("/", get(page::root).post(|service, request| embed(service, tei::EMBED, request)))
        .route("/page.js", get(page::script))
        .route("/style.css", get(page::style))
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .route("/openapi.json", description(&service))
        // Two protocols have these.
        .route("/embeddings", post(embeddings))
        .route("/tokenize", post(tokenize))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
        .layer(middleware::from_fn(encoding::check))
        .layer(middleware::from_fn_with_state(service.clone(), auth::check))
        .layer(middleware::from_fn_with_state(service.clone(), dialect::write));
    let routes = match cors(&service.settings().cors_origins) {
        Some(layer) => routes.layer(layer),
        None => routes,
    };
    routes.with_state(service)
}

/// Which pages of other origins may ask; those that are no origin are none.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let allowed = match origins {
        [] => return None,
        all if all.iter().any(|origin| origin == "*") => AllowOrigin::any(),
        some => AllowOrigin::list(some.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let told = [
        "x-embedding-fingerprint",
        "x-model",
        "x-truncated",
        "x-dimensions",
        "x-count",
        "x-task",
        "server-timing",
        "retry-after",
    ];
    let layer = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::POST]);
    // Not `*`, which is all headers but Authorization.
    Some(
        layer.allow_headers(AllowHeaders::mirror_request()).expose_headers(told.map(HeaderName::from_static)),
    )
}

fn openai_routes() -> Router<Service> {
    Router::new()
        .route("/v1/embeddings", post(|service, request| embed(service, openai::EMBEDDINGS, request)))
        .route("/v1/models", get(|service| look(service, openai::list)))
        .route("/models", get(|service| look(service, openai::list)))
        .route("/v1/models/{*id}", get(model))
}

fn tei_routes() -> Router<Service> {
    Router::new()
        .route("/embed", post(|service, request| embed(service, tei::EMBED, request)))
        .route("/embed_all", post(|service, request| embed(service, tei::EMBED_ALL, request)))
        .route("/decode", post(|service, request| short(service, tei::decode, request)))
        .route("/info", get(|service| look(service, tei::info)))
}

fn ollama_routes() -> Router<Service> {
    Router::new()
        .route("/api/embed", post(|service, request| embed(service, ollama::EMBED, request)))
        .route("/api/embeddings", post(|service, request| embed(service, ollama::EMBEDDINGS, request)))
        .route("/api/show", post(|service, request| short(service, ollama::show, request)))
        .route("/api/tags", get(|service| look(service, ollama::tags)))
        .route("/api/ps", get(|service| look(service, ollama::running)))
        .route("/api/version", get(|service| look(service, |_| ollama::version())))
}

fn llama_routes() -> Router<Service> {
    Router::new()
        .route("/embedding", post(|service, request| embed(service, llama::EMBEDDING, request)))
        .route("/detokenize", post(|service, request| short(service, llama::detokenize, request)))
        .route("/props", get(|service| look(service, llama::props)))
}

/// The document that describes the routes: it does not change while they are served.
fn description(service: &Service) -> MethodRouter<Service> {
    let document = Bytes::from(openapi::document(service).to_string());
    get(async move || ([(header::CONTENT_TYPE, "application/json")], document.clone()).into_response())
}

async fn health() -> Response {
    as_json(br#"{"status":"ok"}"#.to_vec())
}

/// A route for vectors.
async fn embed<F: Send + 'static>(
    State(service): State<Service>,
    door: Door<F>,
    request: Request,
) -> Result<Response, Fault> {
    let (headers, body) = ask::body(&service, request).await?;
    ask::embed(service, door, headers, body).await
}

/// A route that needs its body and no engine.
async fn short(
    State(service): State<Service>,
    answer: fn(&Service, &[u8]) -> Result<Vec<u8>, Fault>,
    request: Request,
) -> Result<Response, Fault> {
    let (_, body) = ask::body(&service, request).await?;
    ask::aside(body.len(), move || answer(&service, &body)).await.map(as_json)
}

/// A route without a body.
async fn look(
    State(service): State<Service>,
    answer: fn(&Service) -> Result<Vec<u8>, Fault>,
) -> Result<Response, Fault> {
    answer(&service).map(as_json)
}

async fn model(
    State(service): State<Service>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Fault> {
    let Path(id) = id.map_err(|error| Fault::invalid(format!("the name of the model: {error}")))?;
    openai::retrieve(&service, &id).map(as_json)
}

/// `POST /embeddings`: OpenAI's by `input`, llama-server's by `content`, or always, if the operator says so.
async fn embeddings(State(service): State<Service>, request: Request) -> Response {
    let by_default = service.settings().dialect == EmbeddingsDialect::Llama;
    let answer = async {
        let (headers, body) = ask::body(&service, request).await.map_err(|fault| (by_default, fault))?;
        let (fields, body) = fields(body).await.map_err(|fault| (by_default, fault))?;
        let llamas = by_default || (fields.contains("content") && !fields.contains("input"));
        let answer = if llamas {
            ask::embed(service.clone(), llama::EMBEDDING, headers, body).await
        } else {
            ask::embed(service.clone(), openai::EMBEDDINGS, headers, body).await
        };
        answer.map_err(|fault| (llamas, fault))
    };
    answer.await.unwrap_or_else(|(llamas, fault)| {
        refused(fault, if llamas { Dialect::Llama } else { Dialect::OpenAi })
    })
}

/// `POST /tokenize`: TEI's by `inputs`, else llama-server's.
async fn tokenize(State(service): State<Service>, request: Request) -> Response {
    let answer = async {
        let (_, body) = ask::body(&service, request).await.map_err(|fault| (Dialect::Tei, fault))?;
        let (fields, body) = fields(body).await.map_err(|fault| (Dialect::Tei, fault))?;
        let teis = fields.contains("inputs");
        let (dialect, answer): (_, fn(&Service, &[u8]) -> _) =
            if teis { (Dialect::Tei, tei::tokenize) } else { (Dialect::Llama, llama::tokenize) };
        let answer = ask::aside(body.len(), move || answer(&service, &body)).await;
        answer.map(as_json).map_err(|fault| (dialect, fault))
    };
    answer.await.unwrap_or_else(|(dialect, fault)| refused(fault, dialect))
}

/// The fields of a body that are not null, which say whose it is; and the body again.
async fn fields(body: Vec<u8>) -> Result<(HashSet<String>, Vec<u8>), Fault> {
    ask::aside(body.len(), move || Ok((json::fields(&body), body))).await
}

/// A refusal in a protocol that the path alone does not say.
fn refused(fault: Fault, dialect: Dialect) -> Response {
    let mut response = fault.into_response();
    response.extensions_mut().insert(dialect);
    response
}

async fn unknown_route(request: Request) -> Fault {
    let message = format!("there is no route {} {}; {ROUTES}", request.method(), request.uri().path());
    body::discard(request).await;
    Fault::new(FaultKind::UnknownRoute, message)
}

async fn wrong_method(request: Request) -> Fault {
    let message = format!("{} is not for {}; {ROUTES}", request.uri().path(), request.method());
    body::discard(request).await;
    Fault::new(FaultKind::WrongMethod, message)
}

fn as_json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
