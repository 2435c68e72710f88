//! Which path does what.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures_util::FutureExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::Service;
use crate::ask::Door;
use crate::body::{Body, Purpose};
use crate::dialect::Dialect;
use crate::fault::{Fault, FaultKind};
use crate::json;
use crate::settings::EmbeddingsDialect;
use crate::{
    ask, auth, batches, body, dialect, encoding, llama, metrics, ndjson, observe, ollama, openai, openapi,
    page, ready, rerank, tei,
};

/// What there is, for those who asked for something else.
const ROUTES: &str = "there is POST /v1/embeddings, /embed, /api/embed, /embedding, /rerank and /tokenize, GET /v1/models, /info, \
                      /api/tags and /health; /openapi.json describes all";

/// The routes of a service.
pub fn router(service: Service) -> Router {
    layered(all(&service), service)
}

fn all(service: &Service) -> Router<Service> {
    Router::new()
        .merge(openai_routes())
        .merge(tei_routes())
        .merge(ollama_routes())
        .merge(llama_routes())
        .merge(batches::routes(service))
        .merge(rerank_routes())
        .route("/", get(page::root).post(|service, request| embed(service, tei::EMBED, request)))
        .route("/page.js", get(page::script))
        .route("/style.css", get(page::style))
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .route("/health/live", get(ready::live))
        .route("/health/ready", get(ready::ready))
        .route("/metrics", get(metrics::scrape))
        .route("/openapi.json", description(service))
        // Two protocols have these.
        .route("/embeddings", post(embeddings))
        .route("/tokenize", post(tokenize))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
}

/// What every request passes, the last first.
fn layered(routes: Router<Service>, service: Service) -> Router {
    let routes = routes.layer(middleware::from_fn_with_state(service.clone(), pass));
    let routes = match cors(&service.settings().cors_origins) {
        Some(layer) => routes.layer(layer),
        None => routes,
    };
    routes.layer(middleware::from_fn_with_state(service.clone(), observe::request)).with_state(service)
}

/// The way of a request to its route: who asks and what comes are looked at before it, and a refusal gets its protocol's shape
/// after it. One layer for all: each takes some microseconds of a short request.
async fn pass(State(service): State<Service>, request: Request, next: Next) -> Response {
    let by_path = Dialect::of(request.uri().path(), service.settings().dialect);
    let answer = async {
        match checked(&service, request).await {
            Ok(request) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        }
    };
    // A request on which the server falls is answered, and the others go on.
    let answer = AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        service.metrics().panicked();
        Fault::internal(ask::FELL).into_response()
    });
    dialect::shaped(answer, by_path)
}

/// A request that the server takes.
async fn checked(service: &Service, request: Request) -> Result<Request, Fault> {
    let request = auth::check(service, request).await?;
    encoding::check(service, request).await
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
        "x-request-id",
        "x-truncated",
        "x-dimensions",
        "x-count",
        "x-task",
        "server-timing",
        "retry-after",
    ];
    let layer =
        CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::POST, Method::DELETE]);
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

fn rerank_routes() -> Router<Service> {
    Router::new()
        .route("/rerank", post(rerank::by_fields))
        .route("/v1/rerank", post(rerank::by_documents))
        .route("/v2/rerank", post(rerank::by_documents))
        .route("/reranking", post(rerank::by_documents))
        .route("/v1/reranking", post(rerank::by_documents))
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
    if ndjson::is_stream(request.headers()) {
        return ndjson::answer(service, request).await;
    }
    let (headers, body) = ask::body(&service, request, Purpose::Vectors).await?;
    ask::embed(service, door, headers, body).await
}

/// A route that needs its body and no engine.
async fn short(
    State(service): State<Service>,
    answer: fn(&Service, &[u8]) -> Result<Vec<u8>, Fault>,
    request: Request,
) -> Result<Response, Fault> {
    let (_, body) = ask::body(&service, request, Purpose::Tokens).await?;
    of_tokens(service, answer, body).await
}

/// What a route answers to a body, without the engine.
async fn of_tokens(
    service: Service,
    answer: fn(&Service, &[u8]) -> Result<Vec<u8>, Fault>,
    body: Body,
) -> Result<Response, Fault> {
    let Body { bytes, share } = body;
    let limit = service.settings().request_timeout;
    let answer = ask::aside(bytes.len(), move || answer(&service, &bytes));
    let answer = ask::in_time(limit, answer).await?;
    Ok(as_json(ask::held(answer, share)))
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
    if ndjson::is_stream(request.headers()) {
        return ndjson::answer(service, request).await.into_response();
    }
    let by_default = service.settings().dialect == EmbeddingsDialect::Llama;
    let answer = async {
        let (headers, body) =
            ask::body(&service, request, Purpose::Vectors).await.map_err(|fault| (by_default, fault))?;
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
        let (_, body) =
            ask::body(&service, request, Purpose::Tokens).await.map_err(|fault| (Dialect::Tei, fault))?;
        let (fields, body) = fields(body).await.map_err(|fault| (Dialect::Tei, fault))?;
        let teis = fields.contains("inputs");
        let (dialect, answer): (_, fn(&Service, &[u8]) -> _) =
            if teis { (Dialect::Tei, tei::tokenize) } else { (Dialect::Llama, llama::tokenize) };
        of_tokens(service, answer, body).await.map_err(|fault| (dialect, fault))
    };
    answer.await.unwrap_or_else(|(dialect, fault)| refused(fault, dialect))
}

/// The fields of a body that are not null, which say whose it is; and the body again.
async fn fields(body: Body) -> Result<(HashSet<String>, Body), Fault> {
    ask::aside(body.len(), move || Ok((json::fields(&body), body))).await
}

/// A refusal in a protocol that the path alone does not say.
fn refused(fault: Fault, dialect: Dialect) -> Response {
    let mut response = fault.into_response();
    response.extensions_mut().insert(dialect);
    response
}

async fn unknown_route(State(service): State<Service>, request: Request) -> Fault {
    let instead = batches::off(&service, request.uri().path()).unwrap_or(ROUTES);
    let message = format!("there is no route {} {}; {instead}", request.method(), request.uri().path());
    body::discard(&service, request).await;
    Fault::new(FaultKind::UnknownRoute, message)
}

async fn wrong_method(State(service): State<Service>, request: Request) -> Fault {
    let message = format!("{} is not for {}; {ROUTES}", request.uri().path(), request.method());
    body::discard(&service, request).await;
    Fault::new(FaultKind::WrongMethod, message)
}

pub(crate) fn as_json(body: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use connote::Embedder;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::Settings;

    #[tokio::test]
    async fn a_panic_is_an_answer_in_the_protocols_shape_and_the_server_goes_on() {
        let embedder = Arc::new(Embedder::open(testkit::models::builtin()).expect("it opens"));
        let service = Service::new(vec![("minilm".to_owned(), embedder)], Settings::default()).expect("one");
        let aside = || async { ask::aside(1 << 20, || -> Result<(), Fault> { panic!("aside") }).await };
        let routes = Router::new()
            .route(
                "/v1/embeddings",
                post(|| async {
                    if true {
                        panic!("of the handler")
                    }
                }),
            )
            .route("/embed", post(aside))
            .route("/metrics", get(metrics::scrape));
        let routes = layered(routes, service);
        let send = async |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
            let response = routes.clone().oneshot(request).await.expect("an answer");
            let (head, body) = response.into_parts();
            (head, to_bytes(body, 1 << 20).await.expect("a body"))
        };
        for (path, status, wanted) in [
            (
                "/v1/embeddings",
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({ "error": { "message": ask::FELL, "type": "server_error", "param": null, "code": "internal" } }),
            ),
            ("/embed", StatusCode::FAILED_DEPENDENCY, json!({ "error": ask::FELL, "error_type": "Backend" })),
        ] {
            let (head, body) = send("POST", path).await;
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!((head.status, body), (status, wanted), "{path}");
            assert!(head.headers.contains_key("x-request-id"));
        }
        let (head, body) = send("GET", "/metrics").await;
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(head.status, StatusCode::OK);
        assert!(text.contains("connote_panics_total 2\n"), "{text}");
        assert!(text.contains("connote_errors_total{kind=\"internal\"} 2\n"), "{text}");
    }
}
