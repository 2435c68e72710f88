//! The page for browsers: three files, built in, that need nothing from elsewhere.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

/// Nothing but these files runs or is asked.
const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:";

/// `GET /`: the page for who takes HTML, else the line by which Ollama's clients know their server.
pub(crate) async fn root(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    if accept.contains("text/html") {
        let page = file("text/html; charset=utf-8", include_str!("../page/index.html"));
        return ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::VARY, "Accept")], page).into_response();
    }
    let line = file("text/plain; charset=utf-8", "Ollama is running");
    ([(header::VARY, "Accept")], line).into_response()
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../page/page.js"))
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("../page/style.css"))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}
