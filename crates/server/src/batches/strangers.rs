//! Pages of strangers. A browser sends forms to any address without asking first, and calls a name its page's own origin whatever
//! address stands behind it, this machine's too; what clients keep here is not for them. It says `Origin` with every form, but
//! `Sec-Fetch-Site` only to addresses it trusts: https, and this machine.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Service;
use crate::body;
use crate::fault::Fault;

/// Refuses what a page may have sent that may not ask. Where keys are needed, it would have had to know one.
pub(super) async fn refuse(State(service): State<Service>, request: Request, next: Next) -> Response {
    let allowed = &service.settings().cors_origins;
    if service.keys().are_set() || !may_be_strange(request.headers(), allowed) {
        return next.run(request).await;
    }
    body::discard(&service, request).await;
    let message = "files and batches are not for pages of other origins, nor for names that a page may have made up: ask at \
                   localhost or an address, or start the server with --api-key-file, or with --cors ORIGIN for that page or name";
    Fault::invalid(message).into_response()
}

fn may_be_strange(headers: &HeaderMap, allowed: &[String]) -> bool {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let may_ask = |origin: &str| allowed.iter().any(|one| one == "*" || one == origin);
    let host = said(header::HOST.as_str());
    let own = ["http", "https"].map(|scheme| format!("{scheme}://{}", host.unwrap_or_default()));
    let is_own = |origin: &str| host.is_some() && own.iter().any(|own| own.eq_ignore_ascii_case(origin));
    let mut origins = headers.get_all(header::ORIGIN).iter().map(|origin| origin.to_str().unwrap_or("null"));
    match said("sec-fetch-site") {
        Some("cross-site" | "same-site") => return !may_ask(said("origin").unwrap_or_default()),
        // No page can say so for itself. Behind a proxy `Host` may be another than the page's.
        Some("same-origin") => {}
        _ if origins.any(|origin| !is_own(origin) && !may_ask(origin)) => return true,
        _ => {}
    }
    let Some(host) = host else { return false };
    !is_ours(host) && !own.iter().any(|own| may_ask(own))
}

/// Whether the public system of names cannot lead there: an address, this machine, or a name without a dot.
fn is_ours(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || !name.contains('.') || name.ends_with(".localhost")
}

#[cfg(test)]
#[test]
fn names_that_anybody_may_give_an_address_are_not_ours() {
    for host in [
        "localhost:8080",
        "LOCALHOST",
        "127.0.0.1:1",
        "[::1]:8080",
        "[::1]",
        "::1",
        "connote:80",
        "a.localhost.",
        "",
    ] {
        assert!(is_ours(host), "{host}");
    }
    for host in ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example.", "0x7f.1"] {
        assert!(!is_ours(host), "{host}");
    }
    let headers = |host: &str| HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
    let allowed = ["https://a.example".to_owned(), "http://b.example:8080".to_owned()];
    for (host, is_strange) in [("a.example", false), ("b.example:8080", false), ("b.example", true)] {
        assert_eq!(may_be_strange(&headers(host), &allowed), is_strange, "{host}");
    }
    assert!(!may_be_strange(&headers("c.example"), &["*".to_owned()]));
    // Over http to an address, where no browser says `Sec-Fetch-Site`.
    for (origin, is_strange) in [
        ("http://evil.example", true),
        ("http://192.168.1.5", true),
        ("http://192.168.1.5:80801", true),
        ("null", true),
        ("\u{e9}", true),
        ("http://192.168.1.5:8080", false),
        ("https://192.168.1.5:8080", false),
        ("https://a.example", false),
    ] {
        let mut headers = headers("192.168.1.5:8080");
        headers.insert(header::ORIGIN, origin.parse().expect("a value"));
        assert_eq!(may_be_strange(&headers, &allowed), is_strange, "{origin}");
    }
    assert!(!may_be_strange(&HeaderMap::new(), &[]));
}
