//! Requests to the hub: redirects, the token, proxies, patience, and asking again.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body, Proxy};

use crate::address::shown;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::settings::Settings;

/// Redirects that are followed for one answer.
const REDIRECTS: usize = 10;
/// The longest wait that a hub may ask for; who wants more is told to the user.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// What is read of an answer in JSON.
const JSON_LIMIT: u64 = 64 << 20;

/// Who hears what happens.
pub(crate) type Told<'a> = &'a mut dyn FnMut(Event<'_>);

pub(crate) struct Client<'a> {
    settings: &'a Settings,
    agent: Agent,
}

/// Why an attempt failed.
enum Attempt {
    /// It may go better another time; the hub may say when.
    Again(String, Option<Duration>),
    /// It will not.
    Over(Error),
}

impl<'a> Client<'a> {
    /// # Errors
    /// The network may not be used, or https is needed and not there. No socket has been opened then.
    pub(crate) fn new(settings: &'a Settings) -> Result<Self, Error> {
        if settings.offline {
            let message = "offline: nothing is fetched (--offline, CONNOTE_OFFLINE, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE says so)";
            return Err(Error::new(ErrorKind::Offline, message));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, so that the token does not go along.
            .max_redirects(0)
            .timeout_connect(Some(settings.patience))
            .timeout_per_read(Some(settings.patience))
            .timeout_per_write(Some(settings.patience))
            .user_agent(concat!("connote/", env!("CARGO_PKG_VERSION")))
            .proxy(None);
        #[cfg(feature = "tls")]
        let config = match &settings.certificates {
            Some(certificates) => config.tls_config(crate::tls::trusting(certificates)?),
            None => config,
        };
        Ok(Self { settings, agent: config.build().into() })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// The headers of a file: the hub's own answer, which says what the file is, before it leads elsewhere.
    pub(crate) fn head(&self, url: &str, told: Told<'_>) -> Result<Response<Body>, Error> {
        self.patiently(url, told, || self.once("HEAD", url, None))
    }

    /// An answer in JSON.
    pub(crate) fn json(&self, url: &str, told: Told<'_>) -> Result<serde_json::Value, Error> {
        self.patiently(url, told, || {
            let mut response = self.once("GET", url, None)?;
            let mut text = Vec::new();
            let read = response.body_mut().as_reader().take(JSON_LIMIT).read_to_end(&mut text);
            read.map_err(|error| Attempt::Again(format!("the answer broke off: {error}"), None))?;
            serde_json::from_slice(&text).map_err(|error| {
                let message =
                    format!("{}: the answer is not a hub's: {error}; is HF_ENDPOINT right?", shown(url));
                Attempt::Over(Error::new(ErrorKind::Network, message))
            })
        })
    }

    /// The content of a file from byte `from` on, in one attempt.
    pub(crate) fn content(&self, url: &str, from: u64) -> Result<Response<Body>, Failed> {
        self.once("GET", url, Some(from)).map_err(|attempt| match attempt {
            Attempt::Again(why, wait) => Failed::ForNow(why, wait),
            Attempt::Over(error) => Failed::ForGood(error),
        })
    }

    /// Tries until it succeeds, fails for good, or has been tried often enough.
    fn patiently<T>(
        &self,
        url: &str,
        told: Told<'_>,
        mut attempt: impl FnMut() -> Result<T, Attempt>,
    ) -> Result<T, Error> {
        let mut failures = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Attempt::Over(error)) => return Err(error),
                Err(Attempt::Again(why, wait)) => {
                    failures += 1;
                    self.wait(url, failures, &why, wait, told)?;
                }
            }
        }
    }

    /// Waits after the `failures`th failure in a row, or gives up.
    pub(crate) fn wait(
        &self,
        url: &str,
        failures: u32,
        why: &str,
        wanted: Option<Duration>,
        told: Told<'_>,
    ) -> Result<(), Error> {
        let url = shown(url);
        if let Some(wanted) = wanted.filter(|&wanted| wanted > LONGEST_WAIT) {
            let message = format!(
                "{url}: {why}; the hub wants nothing from here for {} s: run it again then",
                wanted.as_secs()
            );
            return Err(Error::new(ErrorKind::Network, message));
        }
        if failures >= self.settings.attempts {
            let advice = "what has arrived is kept: run it again to go on; HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy";
            let message = format!("{url}: {why}, {failures} times in a row; {advice}");
            return Err(Error::new(ErrorKind::Network, message));
        }
        let usual = self.settings.first_wait * 2_u32.saturating_pow(failures - 1);
        let wait = wanted.unwrap_or(usual).min(LONGEST_WAIT);
        told(Event::Again { why, wait });
        thread::sleep(wait);
        Ok(())
    }

    /// One attempt, redirects followed. A HEAD request ends at the answer that says what the file is.
    fn once(&self, method: &str, url: &str, from: Option<u64>) -> Result<Response<Body>, Attempt> {
        let over = |kind, message: String| Attempt::Over(Error::new(kind, message));
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let response = self.send(method, &url, from)?;
            let status = response.status();
            if method == "HEAD"
                && response.headers().contains_key("x-repo-commit")
                && (status.is_success() || status.is_redirection())
            {
                return Ok(response);
            }
            if status.is_success() {
                return Ok(response);
            }
            if !status.is_redirection() {
                return Err(self.refused(&url, &response));
            }
            let target = response.headers().get("location").and_then(|value| value.to_str().ok());
            let Some(next) = target.and_then(|target| joined(&url, target)) else {
                return Err(over(ErrorKind::Network, format!("{}: leads nowhere ({status})", shown(&url))));
            };
            if url.starts_with("https:") && !next.starts_with("https:") {
                return Err(over(
                    ErrorKind::Network,
                    format!(
                        "{}: leads to {}, away from https, and is not followed",
                        shown(&url),
                        shown(&next)
                    ),
                ));
            }
            url = next;
        }
        Err(over(ErrorKind::Network, format!("{}: more than {REDIRECTS} redirects", shown(&url))))
    }

    fn send(&self, method: &str, url: &str, from: Option<u64>) -> Result<Response<Body>, Attempt> {
        let over = |kind, message: String| Attempt::Over(Error::new(kind, message));
        let Some((scheme, host, port)) = origin(url) else {
            return Err(over(ErrorKind::Network, format!("{}: is no address of a server", shown(url))));
        };
        if scheme == "https" && !cfg!(feature = "tls") {
            return Err(Attempt::Over(no_tls(url)));
        }
        let proxy = match self.settings.proxies.of(&scheme, &host, port) {
            Some(proxy) => Some(Proxy::new(proxy).map_err(|error| {
                over(ErrorKind::Setting, format!("the proxy {:?}: {error}", shown(proxy)))
            })?),
            None => None,
        };
        let request = if method == "HEAD" { self.agent.head(url) } else { self.agent.get(url) };
        // Otherwise a server may compress, and say the size of that.
        let mut request = request.config().proxy(proxy).build().header("accept-encoding", "identity");
        if let Some(token) = self.settings.token.as_ref().filter(|_| self.is_endpoint(url)) {
            request = request.header("authorization", token.header());
        }
        if let Some(from) = from.filter(|&from| from > 0) {
            request = request.header("range", format!("bytes={from}-"));
        }
        request.call().map_err(|error| match error {
            ureq::Error::TlsRequired => Attempt::Over(no_tls(url)),
            // It repeats the address, with all that is in it.
            ureq::Error::BadUri(_) => {
                over(ErrorKind::Setting, format!("{}: is no address that can be asked", shown(url)))
            }
            ureq::Error::InvalidProxyUrl => over(ErrorKind::Setting, format!("{}: {error}", shown(url))),
            // A certificate that is not trusted today is not in a second either.
            ureq::Error::Io(ref inner) if inner.kind() == io::ErrorKind::InvalidData => over(
                ErrorKind::Network,
                format!(
                    "{}: {error}; SSL_CERT_FILE names the certificates of a proxy of your own",
                    shown(url)
                ),
            ),
            error => Attempt::Again(error.to_string(), None),
        })
    }

    /// Whether an address is the endpoint's: only there the token goes.
    fn is_endpoint(&self, url: &str) -> bool {
        match (origin(url), origin(&self.settings.endpoint)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }

    /// What an answer that is neither the thing nor the way to it means.
    fn refused(&self, url: &str, response: &Response<Body>) -> Attempt {
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        if status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || status.is_server_error()
        {
            let wait = header("retry-after")
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(Duration::from_secs);
            return Attempt::Again(format!("the hub answers {status}"), wait);
        }
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Attempt::Again("there is no more of the file than is here".to_owned(), None);
        }
        let page = shown(&self.page_of(url));
        let tokens = format!("{}/settings/tokens", shown(&self.settings.endpoint));
        let (kind, why) = match (header("x-error-code"), status.as_u16()) {
            (Some("GatedRepo"), _) | (_, 403) => {
                let then = match &self.settings.token {
                    Some(token) => format!(
                        "with the account of the token in {}, which must be allowed to read it",
                        token.from()
                    ),
                    None => format!("then make a token at {tokens} and set HF_TOKEN to it"),
                };
                (
                    ErrorKind::Denied,
                    format!("is gated ({status}): open {page} and accept its licence, {then}"),
                )
            }
            (Some("EntryNotFound"), _) => (
                ErrorKind::NotFound,
                format!("there is no such file; {page}/tree/main shows which there are"),
            ),
            (Some("RevisionNotFound"), _) => {
                (ErrorKind::NotFound, format!("there is no such revision; {page} shows which there are"))
            }
            (_, 401) => {
                let then = match &self.settings.token {
                    Some(token) => {
                        format!("the token in {} may be wrong or not allowed to read it", token.from())
                    }
                    None => {
                        format!("if it is private or gated, make a token at {tokens} and set HF_TOKEN to it")
                    }
                };
                (
                    ErrorKind::Denied,
                    format!("the hub shows no such model ({status}): is the name right? {then}"),
                )
            }
            (_, 404) => {
                (ErrorKind::NotFound, "there is no such model or file (404): is the name right?".to_owned())
            }
            _ => (ErrorKind::Network, format!("the answer is {status}; is HF_ENDPOINT right?")),
        };
        Attempt::Over(Error::new(kind, format!("{}: {why}", shown(url))))
    }

    /// The page of the repository that an address is about.
    fn page_of(&self, url: &str) -> String {
        let path = url.strip_prefix(&self.settings.endpoint).unwrap_or_default().trim_start_matches('/');
        let path = path.strip_prefix("api/models/").unwrap_or(path);
        let repo: Vec<&str> = path.split('/').take(2).collect();
        format!("{}/{}", self.settings.endpoint, repo.join("/"))
    }
}

/// Why content did not come.
pub(crate) enum Failed {
    /// It may come later.
    ForNow(String, Option<Duration>),
    /// It will not.
    ForGood(Error),
}

fn no_tls(url: &str) -> Error {
    let url = shown(url);
    let message = format!(
        "{url}: needs https, which this connote was built without (it would bring C code): build it with `--features hub`, \
         set HF_ENDPOINT to an http:// mirror, or fetch the file by other means"
    );
    Error::new(ErrorKind::NoTls, message)
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Where a redirect leads.
fn joined(url: &str, target: &str) -> Option<String> {
    if target.starts_with("http://") || target.starts_with("https://") {
        return Some(target.to_owned());
    }
    let uri: Uri = url.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    match target.strip_prefix("//") {
        Some(rest) => Some(format!("{scheme}://{rest}")),
        None if target.starts_with('/') => Some(format!("{scheme}://{authority}{target}")),
        None => {
            let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            Some(format!("{scheme}://{authority}{folder}/{target}"))
        }
    }
}

/// A path as a part of an address; `/` stays where it separates folders.
pub(crate) fn encoded(path: &str, keep_slashes: bool) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b'/' if keep_slashes => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_joined_and_origins_compared() {
        let from = "http://h:1/a/b?c";
        for (target, wanted) in [
            ("https://cdn/x", "https://cdn/x"),
            ("//cdn/x", "http://cdn/x"),
            ("/x?y=1", "http://h:1/x?y=1"),
            ("x", "http://h:1/a/x"),
        ] {
            assert_eq!(joined(from, target).as_deref(), Some(wanted));
        }
        assert_eq!(origin("https://H.co/x"), origin("https://h.co:443/y"));
        assert_ne!(origin("https://h.co"), origin("http://h.co"));
        assert_ne!(origin("http://h.co:1"), origin("http://h.co:2"));
        assert_eq!(encoded("refs/pr/1 ü", false), "refs%2Fpr%2F1%20%C3%BC");
        assert_eq!(encoded("a/b c.gguf", true), "a/b%20c.gguf");
    }
}
