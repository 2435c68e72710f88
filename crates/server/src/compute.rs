//! A request's way through the engine, whatever it computes: let in or refused, computed in time, measured.

use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use connote::Priority;

use crate::Service;
use crate::fault::Fault;
use crate::observe::Watch;

/// What a request, once it is read, asks of the engine.
pub(crate) struct Load<'a> {
    pub(crate) model: &'a str,
    /// Vectors or scores.
    pub(crate) results: usize,
    pub(crate) tokens: usize,
    pub(crate) priority: Priority,
}

/// Results, and where the time went.
pub(crate) struct Computed<T> {
    pub(crate) results: Vec<T>,
    pub(crate) times: Times,
}

/// Where the time of a request went, up to its results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    begin: Instant,
    parsed: Duration,
    waited: Duration,
    engine: Duration,
}

impl Times {
    /// From the end of the request's body to the results.
    pub(crate) fn took(&self) -> Duration {
        self.parsed + self.waited + self.engine
    }

    /// Notes the time since then: that of making the answer.
    pub(crate) fn written(&self) {
        let took = self.took();
        Watch::current().step("write", self.begin + took, self.begin.elapsed().saturating_sub(took));
    }

    /// The header `Server-Timing`: milliseconds.
    fn header(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (parsed, waited, engine) = (ms(self.parsed), ms(self.waited), ms(self.engine));
        format!("parse;dur={parsed:.3}, queue;dur={waited:.3}, engine;dur={engine:.3}")
    }
}

/// Submits a call that was read since `begin`, and waits for its results as long as the request has time.
pub(crate) async fn compute<P: Future<Output = Vec<T>> + Unpin, T>(
    service: &Service,
    begin: Instant,
    timeout: Duration,
    load: Load<'_>,
    submit: impl FnOnce() -> P,
    waited: fn(&P) -> Option<Duration>,
) -> Result<Computed<T>, Fault> {
    let parsed = begin.elapsed();
    let Load { model, results, tokens, priority } = load;
    let watch = Watch::current();
    watch.step("parse", begin, parsed);
    watch.asks(model, results, tokens);
    let ticket = service.admission().admit(priority, tokens);
    let _ticket = ticket.inspect_err(|_| service.metrics().refused(tokens))?;
    let mut pending = submit();
    let results = tokio::time::timeout(timeout.saturating_sub(parsed), &mut pending).await;
    let waited = waited(&pending).unwrap_or_default();
    // Where nobody waits any more, dropping it has ended its work.
    drop(pending);
    let Ok(results) = results else { return Err(too_slow(timeout)) };
    let engine = begin.elapsed().saturating_sub(parsed + waited);
    passed(service, &watch, priority, begin + parsed, waited, engine);
    Ok(Computed { results, times: Times { begin, parsed, waited, engine } })
}

/// Notes how long a call, or a part of one, waited for the engine and then was in it.
pub(crate) fn passed(
    service: &Service,
    watch: &Watch,
    priority: Priority,
    submitted: Instant,
    waited: Duration,
    engine: Duration,
) {
    service.metrics().waited(priority, waited);
    watch.step("queue", submitted, waited);
    watch.step("engine", submitted + waited, engine);
}

pub(crate) fn too_slow(limit: Duration) -> Fault {
    let message = format!("it took longer than {} s, which is what a request may take", limit.as_secs_f64());
    Fault::new(crate::fault::FaultKind::Timeout, message)
}

/// What every answer says in its headers: of which model it is, how many texts were cut, where the time went; and `others`.
pub(crate) fn say(
    response: &mut Response,
    model: &str,
    truncated: usize,
    times: &Times,
    others: impl IntoIterator<Item = (&'static str, String)>,
) {
    let common = [
        ("x-model", model.to_owned()),
        ("x-truncated", truncated.to_string()),
        ("server-timing", times.header()),
    ];
    for (name, value) in common.into_iter().chain(others) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}
