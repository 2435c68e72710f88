//! The `Host` of a request, by which proxies and servers must agree on whom it is for (RFC 9112, 3.2).

use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};

/// What is said instead of an answer to a request that names no host, more than one, or what can be none. It is a fault of how
/// the client speaks HTTP, whatever it asks for, so it is refused before there is a request.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<Response<Body>> {
    let why = why_wrong(request.version(), request.headers())?;
    let mut response = Response::new(Body::from(format!("{why} (RFC 9112, section 3.2)\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

fn why_wrong(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        // HTTP/1.0 had none.
        (None, _) if version < Version::HTTP_11 => None,
        (None, _) => {
            Some("the request has no Host header; send one, such as `Host: localhost`, or speak HTTP/1.0")
        }
        (Some(_), Some(_)) => Some("the request has two Host headers; send one"),
        (Some(host), None) if is_host(host.as_bytes()) => None,
        (Some(_), None) => Some("the Host header is no name or address with or without a port"),
    }
}

/// Empty is what an address without an authority has.
fn is_host(host: &[u8]) -> bool {
    let host = host.trim_ascii();
    let is_authority = |host: &[u8]| Authority::try_from(host).is_ok();
    host.is_empty()
        || (!host.contains(&b'@')
            && (is_authority(host) || unescaped(host).is_some_and(|host| is_authority(&host))))
}

/// With an `x` for each `%41`, which names may have (RFC 3986, 3.2.2) and [`Authority`] refuses: clients write the path of a Unix socket so.
fn unescaped(host: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = host.split(|byte| *byte == b'%');
    let mut plain = pieces.next()?.to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        plain.push(b'x');
        plain.extend_from_slice(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "",
            "localhost",
            "my_service:8080",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
            "xn--e1afmkfd.example",
            "%2Frun%2Fconnote.sock",
            "a%41:80",
            "[fe80::1%25eth0]:80",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "a/b",
            "me@localhost",
            "http://localhost",
            "a:b:c",
            "\u{e9}",
            "a%",
            "a%4",
            "a%zz",
            "a%41 b",
            "me%40localhost@",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
