//! Origins, as browsers say them.

use axum::http::Uri;

use crate::error::Error;

/// Refuses what no browser ever sends as an `Origin`, so that no page would be let in by it.
pub(crate) fn check(origins: &[String]) -> Result<(), Error> {
    let wrong = origins.iter().find_map(|origin| why_none(origin).map(|why| (origin, why)));
    wrong.map_or(Ok(()), |(origin, why)| Err(Error::Origin(origin.clone(), why)))
}

/// Why a text is no origin: the page's scheme, host and port and no more, in small letters, without a default port.
fn why_none(origin: &str) -> Option<&'static str> {
    // All of them; and what pages of files and of sandboxes have.
    if matches!(origin, "*" | "null") {
        return None;
    }
    let Ok(uri) = origin.parse::<Uri>() else { return Some("it cannot be read") };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Some("it has no scheme, such as https://");
    };
    let whole = format!("{scheme}://{authority}");
    let default_port = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    if authority.as_str().contains('@') {
        Some("it has a user")
    } else if !origin.eq_ignore_ascii_case(&whole) {
        Some("it goes on after the host; leave out the path, be it only `/`")
    } else if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("it has capital letters, which browsers write small")
    } else if authority.port_u16().is_some() && authority.port_u16() == default_port {
        Some("it has its scheme's own port, which browsers leave out")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        let check = |origin: &str| check(&["*".to_owned(), origin.to_owned()]);
        for origin in [
            "*",
            "null",
            "https://example.org",
            "http://localhost:3000",
            "http://[::1]:8080",
            "https://example.org:80",
            "moz-extension://0a1b",
            "tauri://localhost",
        ] {
            assert!(check(origin).is_ok(), "{origin}");
        }
        for (origin, what) in [
            ("", "cannot be read"),
            ("not an origin", "cannot be read"),
            ("example.org", "no scheme"),
            ("https://example.org/", "path"),
            ("https://example.org/app", "path"),
            ("https://example.org?x", "path"),
            ("https://Example.org", "capital"),
            ("HTTPS://example.org", "capital"),
            ("https://example.org:443", "own port"),
            ("https://me@example.org", "user"),
        ] {
            let message = check(origin).expect_err(origin).to_string();
            assert!(message.contains(what) && message.contains(&format!("`{origin}`")), "{message}");
        }
    }
}
