//! A request from its head to the last byte of its answer: its id, its line in the log, its place in the metrics.
//!
//! What inner code learns of it (the model, tokens, how long it waited) is noted in its [`Watch`]. Nothing here, nor
//! anything else that is logged, has a text of a request or a key: of an error only the kind.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::Service;
use crate::fault::FaultKind;
use crate::kept::{Kept, until_the_end_of};
use crate::metrics::{self, OTHER};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a client that is taken over.
const LONGEST_ID: usize = 128;

/// Steps of one request that are kept: one that is streamed may have any number.
const MOST_STEPS: usize = 64;

/// The status of a request whose client went before the answer, as nginx has it: nobody receives it.
const CLIENT_GONE: u16 = 499;

tokio::task_local! {
    static WATCH: Watch;
}

/// What is learnt of a request while it is answered. Clones are of the same request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Seen>>);

/// What a [`Watch`] has noted.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) model: Option<String>,
    pub(crate) texts: usize,
    pub(crate) tokens: usize,
    pub(crate) steps: Vec<Step>,
    /// What ended an answer that had begun.
    error: Option<FaultKind>,
}

impl Seen {
    /// How long all parts of this name took; `None` if there was none.
    fn took(&self, name: &str) -> Option<Duration> {
        let steps = self.steps.iter().filter(|step| step.name == name);
        steps.map(|step| step.took).reduce(|sum, more| sum + more)
    }
}

/// A part of the work on a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    #[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "only traces say when"))]
    pub(crate) begin: Instant,
    pub(crate) took: Duration,
}

impl Watch {
    /// That of the request which this task answers. Whoever goes on after the handler, in another task or in the body of the
    /// answer, takes it along.
    pub(crate) fn current() -> Self {
        WATCH.try_with(Self::clone).unwrap_or_default()
    }

    /// It asks for vectors of so many (more) texts.
    pub(crate) fn asks(&self, model: &str, texts: usize, tokens: usize) {
        let mut seen = self.seen();
        seen.texts += texts;
        seen.tokens += tokens;
        seen.model.get_or_insert_with(|| model.to_owned());
    }

    /// Its answer, which has begun, ends with this.
    pub(crate) fn fails(&self, kind: FaultKind) {
        self.seen().error = Some(kind);
    }

    /// A part of the work is done: `parse`, `queue` (the engine let it wait), `engine` or `write`.
    pub(crate) fn step(&self, name: &'static str, begin: Instant, took: Duration) {
        let steps = &mut self.seen().steps;
        if steps.len() < MOST_STEPS {
            steps.push(Step { name, begin, took });
        } else if let Some(last) = steps.iter_mut().rfind(|step| step.name == name) {
            last.took += took;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows a request, and gives its answer the id.
pub(crate) async fn request(State(service): State<Service>, request: Request, next: Next) -> Response {
    let watch = Watch::default();
    let mut followed = Followed::new(service, &request, watch.clone());
    let id = HeaderValue::from_str(&followed.id);
    let mut response = WATCH.scope(watch, next.run(request)).await;
    if let Ok(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    followed.status = Some(response.status());
    followed.error = response.extensions().get::<FaultKind>().copied();
    // Who asked for the head alone waits for no body.
    followed.complete = followed.method == Method::HEAD || response.body().is_end_stream();
    if followed.complete {
        return response;
    }
    until_the_end_of(response, followed)
}

/// Its id: the client's, if it can stand in a line of a log, else one of its own.
fn id_of(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).map(HeaderValue::as_bytes).unwrap_or_default();
    if (1..=LONGEST_ID).contains(&given.len()) && given.iter().all(u8::is_ascii_graphic) {
        return String::from_utf8_lossy(given).into_owned();
    }
    // Unlike those of other processes, and of this one.
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}-{}", *PROCESS, NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A request that is not over. When it is dropped it is, and is counted and logged.
struct Followed {
    service: Service,
    watch: Watch,
    id: String,
    method: Method,
    route: String,
    begin: Instant,
    /// That of its answer; without one the client has gone.
    status: Option<StatusCode>,
    error: Option<FaultKind>,
    /// The whole answer was taken.
    complete: bool,
    #[cfg(feature = "otel")]
    parent: Option<crate::otel::Parent>,
}

impl Followed {
    fn new(service: Service, request: &Request, watch: Watch) -> Self {
        service.metrics().begun();
        let route = request.extensions().get::<MatchedPath>().map_or(OTHER, MatchedPath::as_str).to_owned();
        Self {
            watch,
            id: id_of(request.headers()),
            method: request.method().clone(),
            route,
            begin: Instant::now(),
            status: None,
            error: None,
            complete: false,
            #[cfg(feature = "otel")]
            parent: service.traces().map(|traces| traces.parent(request.headers())),
            service,
        }
    }

    /// Asked for again and again by machines, and of no interest one by one.
    fn is_probe(&self) -> bool {
        matches!(
            self.route.as_str(),
            "/health" | "/v1/health" | "/health/live" | "/health/ready" | "/metrics"
        )
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let took = self.begin.elapsed();
        let metrics = self.service.metrics();
        let status = self.status.or(StatusCode::from_u16(CLIENT_GONE).ok()).unwrap_or_default();
        metrics.answered(&self.method, &self.route, status, took);
        // A body that broke off with its client is none of the client's mistakes.
        let late = self.watch.seen().error.filter(|kind| self.complete || *kind != FaultKind::InvalidRequest);
        self.error = self.error.or(late);
        if let Some(kind) = self.error {
            metrics.failed(kind);
        }
        if !self.complete {
            metrics.gone();
        }
        let trace = self.trace(status, took);
        self.log(status, took, trace.as_deref());
    }
}

impl Followed {
    /// Sends its spans, where spans are sent; the id of their trace.
    #[cfg(feature = "otel")]
    fn trace(&mut self, status: StatusCode, took: Duration) -> Option<String> {
        let (traces, parent) = (self.service.traces()?, self.parent.take()?);
        if self.is_probe() {
            return None;
        }
        let ended = crate::otel::Ended {
            id: &self.id,
            method: metrics::method_name(&self.method),
            route: &self.route,
            status,
            error: self.error.map(FaultKind::name),
            begin: self.begin,
            took,
        };
        Some(traces.export(parent, &ended, &self.watch.seen()))
    }

    /// The build sends no spans.
    #[cfg(not(feature = "otel"))]
    fn trace(&self, _: StatusCode, _: Duration) -> Option<String> {
        None
    }

    /// Its line.
    fn log(&self, status: StatusCode, took: Duration, trace: Option<&str>) {
        let seen = self.watch.seen();
        let work = seen.model.is_some();
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "connote::request",
                    $level,
                    id = self.id.as_str(),
                    method = metrics::method_name(&self.method),
                    route = self.route.as_str(),
                    status = status.as_u16(),
                    ms = ms(took),
                    model = seen.model.as_deref(),
                    texts = work.then_some(seen.texts),
                    tokens = work.then_some(seen.tokens),
                    queue_ms = seen.took("queue").map(ms),
                    engine_ms = seen.took("engine").map(ms),
                    error = self.error.map(FaultKind::name),
                    gone = (!self.complete).then_some(true),
                    trace_id = trace,
                )
            };
        }
        match status {
            _ if self.is_probe() => line!(tracing::Level::DEBUG),
            status if status.is_server_error() || self.error == Some(FaultKind::Internal) => {
                line!(tracing::Level::WARN)
            }
            _ => line!(tracing::Level::INFO),
        }
    }
}

impl Kept for Followed {
    fn all_taken(&mut self) {
        self.complete = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_if_it_can_stand_in_a_log() {
        let of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).expect("a value"));
            id_of(&headers)
        };
        for good in ["a", "7f3c-41:B/c_d==", &"x".repeat(LONGEST_ID)] {
            assert_eq!(of(good.as_bytes()), good);
        }
        let long = "x".repeat(LONGEST_ID + 1);
        for bad in [b"".as_slice(), b"two words", b"\xff\xfe", "\u{e9}".as_bytes(), long.as_bytes()] {
            let made = of(bad);
            assert!(!made.is_empty() && made.len() < 40 && made.as_bytes() != bad, "{made}");
        }
        assert_ne!(id_of(&HeaderMap::new()), id_of(&HeaderMap::new()));
    }
}
