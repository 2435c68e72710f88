//! Traces of requests for an OpenTelemetry collector, as the standard variables `OTEL_*` say.
//!
//! A request's spans are made when it is over, with the times that they had: while it is answered nothing is paid for them.

use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, Protocol, SpanExporter, WithExportConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::observe::Seen;

/// How long the end of the server waits for the collector.
const FLUSH: Duration = Duration::from_secs(5);

/// Where spans go.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// The span of the client, if it sent one.
#[derive(Debug)]
pub(crate) struct Parent(Context);

/// A request that is over.
pub(crate) struct Ended<'a> {
    pub(crate) id: &'a str,
    pub(crate) method: &'static str,
    pub(crate) route: &'a str,
    pub(crate) status: StatusCode,
    /// The kind of its error.
    pub(crate) error: Option<&'static str>,
    pub(crate) begin: Instant,
    pub(crate) took: Duration,
}

impl Traces {
    /// As the variables say; `None` if they name no collector, or one that cannot be reached this way.
    pub(crate) fn from_environment() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        match is_wanted(variable) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(why) => {
                tracing::warn!(target: "connote::otel", why, "no traces are sent");
                return None;
            }
        }
        let exporter = match SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build() {
            Ok(exporter) => exporter,
            Err(error) => {
                let why = error.to_string();
                tracing::warn!(target: "connote::otel", why, "no traces are sent");
                return None;
            }
        };
        let mut resource = Resource::builder();
        let named = variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
        if variable("OTEL_SERVICE_NAME").is_none() && !named {
            resource = resource.with_service_name("connote");
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Some(Self { tracer: provider.tracer("connote-server"), provider })
    }

    /// The span that a request continues, by `traceparent` and `tracestate`.
    pub(crate) fn parent(&self, headers: &HeaderMap) -> Parent {
        Parent(TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers)))
    }

    /// Sends the spans of a request; the id of their trace.
    pub(crate) fn export(&self, Parent(parent): Parent, ended: &Ended<'_>, seen: &Seen) -> String {
        let (now, here) = (SystemTime::now(), Instant::now());
        let at = |instant: Instant| now - here.saturating_duration_since(instant);
        let builder = self.tracer.span_builder(format!("{} {}", ended.method, ended.route));
        let builder = builder.with_kind(SpanKind::Server).with_start_time(at(ended.begin));
        let mut attributes = vec![
            KeyValue::new("http.request.method", ended.method),
            KeyValue::new("http.route", ended.route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(ended.status.as_u16())),
            KeyValue::new("connote.request_id", ended.id.to_owned()),
        ];
        if let Some(model) = &seen.model {
            attributes.push(KeyValue::new("connote.model", model.clone()));
            attributes.push(KeyValue::new("connote.texts", seen.texts as i64));
            attributes.push(KeyValue::new("connote.tokens", seen.tokens as i64));
        }
        attributes.extend(ended.error.map(|kind| KeyValue::new("error.type", kind)));
        let mut span = self.tracer.build_with_context(builder.with_attributes(attributes), &parent);
        if ended.status.is_server_error() {
            span.set_status(Status::error(ended.error.unwrap_or_default()));
        }
        let whole = parent.with_span(span);
        for step in &seen.steps {
            let builder = self.tracer.span_builder(step.name).with_start_time(at(step.begin));
            let mut part = self.tracer.build_with_context(builder, &whole);
            part.end_with_timestamp(at(step.begin) + step.took);
        }
        whole.span().end_with_timestamp(at(ended.begin) + ended.took);
        whole.span().span_context().trace_id().to_string()
    }

    /// Sends what has not been sent, at the end.
    pub(crate) fn flush(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            let why = error.to_string();
            tracing::warn!(target: "connote::otel", why, "the last traces were not sent");
        }
    }
}

/// Whether the variables ask for traces that can be sent; else why not.
fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> Result<bool, String> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let endpoint =
        variable(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT).or_else(|| variable(OTEL_EXPORTER_OTLP_ENDPOINT));
    let wanted = match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None => endpoint.is_some(),
        Some("otlp") => true,
        Some("none") => return Ok(false),
        Some(other) => return Err(format!("OTEL_TRACES_EXPORTER is {other}; there is otlp and none")),
    };
    match endpoint {
        Some(endpoint) if endpoint.starts_with("https:") => Err(format!(
            "{endpoint}: there is no TLS here; name a collector that takes plain HTTP, such as http://127.0.0.1:4318"
        )),
        _ => Ok(wanted),
    }
}

/// Headers as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        let of = |variables: &[(&str, &str)]| {
            is_wanted(|name| {
                variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let here = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(of(&[]), Ok(false));
        assert_eq!(of(&[here]), Ok(true));
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1/v1/traces")]), Ok(true));
        assert_eq!(of(&[("OTEL_TRACES_EXPORTER", "otlp")]), Ok(true), "at the usual place");
        assert_eq!(of(&[here, ("OTEL_SDK_DISABLED", "true")]), Ok(false));
        assert_eq!(of(&[here, ("OTEL_TRACES_EXPORTER", "none")]), Ok(false));
        assert!(of(&[here, ("OTEL_TRACES_EXPORTER", "zipkin")]).expect_err("unknown").contains("zipkin"));
        let far = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318")]);
        assert!(far.expect_err("no TLS").contains("http://"));
    }
}
