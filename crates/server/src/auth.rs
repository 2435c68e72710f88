//! Who may ask: keys.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::{Choice, ConstantTimeEq};

use crate::Service;
use crate::fault::{Fault, FaultKind};

/// Lets a request pass that has a key, or needs none.
pub(crate) async fn check(State(service): State<Service>, request: Request, next: Next) -> Response {
    let keys = &service.settings().api_keys;
    let free = keys.is_empty() || is_public(request.method(), request.uri().path());
    if free || is_known(request.headers(), keys) {
        return next.run(request).await;
    }
    let message =
        "a key is needed that this server knows: send `Authorization: Bearer KEY`, or `X-Api-Key: KEY`";
    Fault::new(FaultKind::Unauthorized, message).into_response()
}

/// What anybody may see: whether it runs, what routes there are, and the page, which asks for a key itself.
fn is_public(method: &Method, path: &str) -> bool {
    let page = matches!(path, "/" | "/page.js" | "/style.css" | "/openapi.json")
        && matches!(*method, Method::GET | Method::HEAD);
    page || matches!(path, "/health" | "/v1/health") || *method == Method::OPTIONS
}

fn is_known(headers: &HeaderMap, keys: &[String]) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        let value = value.as_bytes();
        match value.split_at_checked(7) {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key.trim_ascii(),
            _ => value,
        }
    });
    let own = headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii());
    bearer.into_iter().chain(own).any(|key| {
        // All of them, and each to its end: how long it takes says nothing of what was right.
        let known = keys.iter().map(|one| one.as_bytes().ct_eq(key));
        known.fold(Choice::from(0), |any, one| any | one).into()
    })
}
