//! Bodies come as they are: none is decompressed, by which a small one could become any size.

use axum::extract::Request;
use axum::http::HeaderMap;

use crate::Service;
use crate::body;
use crate::fault::{Fault, FaultKind};

/// Lets a request pass whose body is not encoded.
pub(crate) async fn check(service: &Service, request: Request) -> Result<Request, Fault> {
    // Of a body that is also chunked, hyper takes off the chunks alone. RFC 9112 would have a 501 for what is in them; it is a
    // compressed body as well, and no fault of the server that its operator should hear of.
    let plain = [("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")];
    let encoded = |(name, plain)| Some((name, coding(request.headers(), name, plain)?));
    let Some((name, coding)) = plain.into_iter().find_map(encoded) else { return Ok(request) };
    let message = format!(
        "the body has the {name} `{coding}`, and this server decompresses none; send the JSON as it is, without that header"
    );
    body::discard(service, request).await;
    Err(Fault::new(FaultKind::UnsupportedEncoding, message))
}

/// The first coding that a header names beside the `plain` one, which leaves a body as it is.
fn coding(headers: &HeaderMap, name: &str, plain: &str) -> Option<String> {
    let lines = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let codings = lines.flat_map(|line| line.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>());
    codings.into_iter().find(|one| !one.is_empty() && !one.eq_ignore_ascii_case(plain))
}
