//! Bodies come as they are: none is decompressed, by which a small one could become any size.

use axum::extract::Request;
use axum::http::header;

use crate::Service;
use crate::body;
use crate::fault::{Fault, FaultKind};

/// Lets a request pass whose body is not encoded.
pub(crate) async fn check(service: &Service, request: Request) -> Result<Request, Fault> {
    let coding = request.headers().get(header::CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii());
    let Some(coding) = coding.filter(|coding| !coding.eq_ignore_ascii_case(b"identity")) else {
        return Ok(request);
    };
    let message = format!(
        "the body has the Content-Encoding `{}`, and this server takes none; send the JSON as it is, without that header",
        String::from_utf8_lossy(coding)
    );
    body::discard(service, request).await;
    Err(Fault::new(FaultKind::UnsupportedEncoding, message))
}
