//! What the server counts, and `GET /metrics`: OpenMetrics text, which Prometheus reads.
//!
//! Labels have few values whatever clients send: routes as they are registered, statuses, methods, kinds of errors,
//! names of served models.

use std::fmt;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use connote::{Embedding, Priority};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::Service;
use crate::admission::Admission;
use crate::batches::Status;
use crate::fault::{Fault, FaultKind};
use crate::gauges::{EngineGauges, ProcessGauges};
use crate::models::Models;

/// The label of paths that no route has.
pub(crate) const OTHER: &str = "other";

pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds: from a short text on an idle server to the default time limit.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];

/// The kinds that a line's error may have.
const LINE_KINDS: [&str; 11] = [
    "invalid_json",
    "invalid_json_line",
    "invalid_request",
    "invalid_utf8",
    "line_too_long",
    "too_long",
    "no_tokens",
    "bad_vector",
    "cancelled",
    "deadline_exceeded",
    "internal",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lane {
    priority: &'static str,
}

/// The counters of a service.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    errors: Family<Kind, Counter>,
    line_errors: Family<Kind, Counter>,
    batches: Family<End, Counter>,
    panics: Counter,
    gone: Counter,
    texts: Family<Model, Counter>,
    tokens: Family<Model, Counter>,
    truncated: Family<Model, Counter>,
    waits: Family<Lane, Histogram, fn() -> Histogram>,
    refused_tokens: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new(models: &Models, admission: &Admission) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(seconds),
            in_flight: Gauge::default(),
            errors: Family::default(),
            line_errors: Family::default(),
            batches: Family::default(),
            panics: Counter::default(),
            gone: Counter::default(),
            texts: Family::default(),
            tokens: Family::default(),
            truncated: Family::default(),
            waits: Family::new_with_constructor(seconds),
            refused_tokens: Counter::default(),
        };
        // So that a rate is 0 before the first request, and not unknown.
        for served in models.all() {
            metrics.embedded(&served.name, []);
        }
        FaultKind::ALL
            .iter()
            .for_each(|kind| drop(metrics.errors.get_or_create(&Kind { kind: kind.name() })));
        LINE_KINDS.iter().for_each(|kind| drop(metrics.line_errors.get_or_create(&Kind { kind })));
        Status::ALL
            .iter()
            .filter(|status| status.is_over())
            .for_each(|status| drop(metrics.batches.get_or_create(&End { status: status.name() })));
        metrics.register(models, admission);
        metrics
    }

    fn register(&mut self, models: &Models, admission: &Admission) {
        self.registry.register_collector(Box::new(ProcessGauges::new()));
        let own = self.registry.sub_registry_with_prefix("connote");
        own.register(
            "requests",
            "Requests that were answered, or whose client went (499)",
            self.requests.clone(),
        );
        own.register_with_unit(
            "request_duration",
            "From the head of a request to the last byte of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        own.register("requests_in_flight", "Requests that have no whole answer yet", self.in_flight.clone());
        own.register("errors", "Refusals and failures by kind", self.errors.clone());
        own.register(
            "line_errors",
            "Lines of streams and batches that have an error in place of a vector, by kind",
            self.line_errors.clone(),
        );
        own.register("batches", "Batches that came to an end, by their status", self.batches.clone());
        own.register("panics", "Requests that met a fault of the server; it went on", self.panics.clone());
        own.register("clients_gone", "Requests whose client went before the answer", self.gone.clone());
        own.register("texts", "Texts that were answered with vectors", self.texts.clone());
        own.register(
            "tokens",
            "Tokens of those texts, special tokens and prompts included",
            self.tokens.clone(),
        );
        own.register(
            "truncated_texts",
            "Texts of them that were cut to what the model takes",
            self.truncated.clone(),
        );
        own.register_with_unit(
            "queue_wait",
            "From submission to the engine until the first text of a request began",
            Unit::Seconds,
            self.waits.clone(),
        );
        own.register(
            "refused_tokens",
            "Tokens of requests that were told to come back (429)",
            self.refused_tokens.clone(),
        );
        own.register_collector(Box::new(EngineGauges::new(models, admission.clone())));
    }

    /// A request has begun.
    pub(crate) fn begun(&self) {
        self.in_flight.inc();
    }

    /// One that had begun has its answer, or nobody who waits for it. `route` is a registered path or [`OTHER`].
    pub(crate) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        self.in_flight.dec();
        let route = route.to_owned();
        self.durations.get_or_create(&Route { route: route.clone() }).observe(took.as_secs_f64());
        let answer = Answer { route, method: method_name(method), status: status.as_u16() };
        self.requests.get_or_create(&answer).inc();
    }

    /// A request was refused or failed.
    pub(crate) fn failed(&self, kind: FaultKind) {
        self.errors.get_or_create(&Kind { kind: kind.name() }).inc();
    }

    /// A line of a stream has an error in place of a vector; `kind` is the line's.
    pub(crate) fn line_failed(&self, kind: &'static str) {
        self.line_errors.get_or_create(&Kind { kind }).inc();
    }

    /// A batch came to its end.
    pub(crate) fn batch_ended(&self, status: Status) {
        self.batches.get_or_create(&End { status: status.name() }).inc();
    }

    /// The server itself failed on a request.
    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    #[cfg(test)]
    pub(crate) fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// A client went before its answer.
    pub(crate) fn gone(&self) {
        self.gone.inc();
    }

    /// Vectors of the model that is served under this name.
    pub(crate) fn embedded<'a>(&self, model: &str, embeddings: impl IntoIterator<Item = &'a Embedding>) {
        self.computed(model, embeddings.into_iter().map(|one| (one.tokens, one.truncated)));
    }

    /// A model gave these scores.
    pub(crate) fn scored(&self, model: &str, scores: &[connote::Score]) {
        self.computed(model, scores.iter().map(|one| (one.tokens, one.truncated)));
    }

    /// Tokens of each text, and whether it was cut.
    fn computed(&self, model: &str, each: impl Iterator<Item = (usize, bool)>) {
        let model = Model { model: model.to_owned() };
        let (mut texts, mut tokens, mut truncated) = (0, 0, 0);
        for (of_one, is_cut) in each {
            texts += 1;
            tokens += of_one as u64;
            truncated += u64::from(is_cut);
        }
        self.texts.get_or_create(&model).inc_by(texts);
        self.tokens.get_or_create(&model).inc_by(tokens);
        self.truncated.get_or_create(&model).inc_by(truncated);
    }

    /// The engine began a request after this time.
    pub(crate) fn waited(&self, priority: Priority, wait: Duration) {
        let priority = priority_name(priority);
        self.waits.get_or_create(&Lane { priority }).observe(wait.as_secs_f64());
    }

    /// There was no room for these tokens.
    pub(crate) fn refused(&self, tokens: usize) {
        self.refused_tokens.inc_by(tokens as u64);
    }

    /// All of it as OpenMetrics text.
    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// `GET /metrics`.
pub(crate) async fn scrape(State(service): State<Service>) -> Result<Response, Fault> {
    let text = service.metrics().text();
    let text = text.map_err(|_| Fault::internal("the metrics cannot be written (please report it)"))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

/// The name of a method that a route may have; clients can make up others.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

pub(crate) fn priority_name(priority: Priority) -> &'static str {
    match priority {
        Priority::Interactive => "interactive",
        Priority::Batch => "batch",
    }
}
