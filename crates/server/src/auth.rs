//! Who may ask: keys.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use subtle::{Choice, ConstantTimeEq};

use crate::fault::{Fault, FaultKind};
use crate::{Service, body};

/// The keys, which may change while requests come.
pub(crate) struct Keys(RwLock<Arc<[String]>>);

impl Keys {
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(RwLock::new(keys.into()))
    }

    pub(crate) fn set(&self, keys: Vec<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Whether any is needed.
    pub(crate) fn are_set(&self) -> bool {
        !self.now().is_empty()
    }

    fn now(&self) -> Arc<[String]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lets a request pass that has a key, or needs none.
pub(crate) async fn check(service: &Service, request: Request) -> Result<Request, Fault> {
    let keys = service.keys().now();
    let free = keys.is_empty() || is_public(request.method(), request.uri().path());
    if free || is_known(request.headers(), &keys) {
        return Ok(request);
    }
    body::discard(service, request).await;
    let message =
        "a key is needed that this server knows: send `Authorization: Bearer KEY`, or `X-Api-Key: KEY`";
    Err(Fault::new(FaultKind::Unauthorized, message))
}

/// What anybody may see: whether it runs, what routes there are, and the page, which asks for a key itself.
fn is_public(method: &Method, path: &str) -> bool {
    let page = matches!(path, "/" | "/page.js" | "/style.css" | "/openapi.json")
        && matches!(*method, Method::GET | Method::HEAD);
    let health = matches!(path, "/health" | "/v1/health" | "/health/live" | "/health/ready");
    page || health || *method == Method::OPTIONS
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
        // All of them, and each of the same length to its end: how long it takes tells lengths, and nothing of what was right.
        let known = keys.iter().map(|one| one.as_bytes().ct_eq(key));
        known.fold(Choice::from(0), |any, one| any | one).into()
    })
}
