//! What is looked up when somebody reads the metrics: the engine's own counts, the queue, the process.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use connote::{Embedder, Priority};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::admission::Admission;
use crate::metrics::priority_name;
use crate::models::Models;

/// The engine's workers and what waits for them.
pub(crate) struct EngineGauges {
    /// Any of them: all share one pool, and it counts.
    embedder: Arc<Embedder>,
    /// Name and fingerprint of each.
    models: Vec<(String, String)>,
    admission: Admission,
}

impl EngineGauges {
    pub(crate) fn new(models: &Models, admission: Admission) -> Self {
        let named = models.all().iter().map(|served| (served.name.clone(), served.fingerprint.clone()));
        Self { embedder: models.first().embedder.clone(), models: named.collect(), admission }
    }
}

impl fmt::Debug for EngineGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineGauges").field("models", &self.models).finish_non_exhaustive()
    }
}

impl Collector for EngineGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.embedder.statistics();
        let out = &mut encoder;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        labelled(out, "build_info", "The version of the server", None, [(version, Value::Gauge(1.0))])?;
        let models = self.models.iter().map(|(name, fingerprint)| {
            ([("model", name.as_str()), ("fingerprint", fingerprint.as_str())], Value::Gauge(1.0))
        });
        labelled(out, "model_info", "The served models and the spaces of their vectors", None, models)?;
        let tokens = self.admission.tokens();
        let lanes = [Priority::Interactive, Priority::Batch].into_iter().zip(tokens);
        let lanes =
            lanes.map(|(lane, tokens)| ([("priority", priority_name(lane))], Value::Gauge(tokens as f64)));
        labelled(out, "queue_tokens", "Tokens of accepted requests that have no vectors yet", None, lanes)?;
        let limit = self.admission.limit() as f64;
        single(
            out,
            "queue_limit_tokens",
            "Tokens of each priority beyond which requests are refused",
            limit,
        )?;
        let waiting = seen.waiting_tokens as f64;
        single(out, "engine_waiting_tokens", "Tokens of texts that no worker has begun", waiting)?;
        counter(
            out,
            "engine_texts",
            "Texts that workers began, each distinct one of a call once",
            seen.texts,
        )?;
        counter(out, "engine_tokens", "Tokens that workers began", seen.tokens)?;
        let tenths = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"];
        let fill = tenths.into_iter().zip(seen.fill);
        let fill = fill.map(|(tenth, count)| ([("fill", tenth)], Value::Count(count)));
        let help =
            "Micro-batches by how full they were: up to this part of the tokens that are best together";
        labelled(out, "engine_micro_batches", help, None, fill)?;
        let names = (0..seen.workers.len()).map(|index| index.to_string()).collect::<Vec<_>>();
        let workers = names.iter().map(String::as_str).zip(seen.workers.iter().copied());
        // Threads of the server that compute what they ask for, all together.
        let workers = workers.chain([("callers", seen.callers)]);
        let busy = workers.map(|(name, busy)| ([("worker", name)], Value::Seconds(busy)));
        let help = "How long each thread of the engine was at work";
        labelled(out, "worker_busy", help, Some(&Unit::Seconds), busy)
    }
}

/// Memory and age of this process, under the names that all exporters have.
#[derive(Debug)]
pub(crate) struct ProcessGauges {
    started: f64,
}

impl ProcessGauges {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let age = age().unwrap_or_default();
        Self { started: now.saturating_sub(age).as_secs_f64() }
    }
}

impl Collector for ProcessGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        if let Some(bytes) = resident() {
            single(out, "process_resident_memory_bytes", "Memory that is in use", bytes as f64)?;
        }
        single(out, "process_start_time_seconds", "When it began, in seconds since 1970", self.started)
    }
}

/// Bytes of memory in use, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10)
}

/// How long this process has been running, where the system tells; models may have taken long to load.
fn age() -> Option<Duration> {
    /// What Linux shows all programs, whatever its own clock.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may have blanks.
    let (_, after_name) = stat.rsplit_once(')')?;
    let began = after_name.split_whitespace().nth(19)?.parse::<f64>().ok()? / TICKS_A_SECOND;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime = uptime.split_whitespace().next()?.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(uptime - began).ok()
}

/// One value.
enum Value {
    Gauge(f64),
    Count(u64),
    Seconds(Duration),
}

impl Value {
    fn kind(&self) -> MetricType {
        match self {
            Value::Gauge(_) => MetricType::Gauge,
            Value::Count(_) | Value::Seconds(_) => MetricType::Counter,
        }
    }
}

fn single(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(out.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(out.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// A value for each set of labels; all are of one type.
fn labelled<'a, const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], Value)>,
) -> fmt::Result {
    let mut values = values.into_iter().peekable();
    let Some((_, first)) = values.peek() else { return Ok(()) };
    let mut family = out.encode_descriptor(name, help, unit, first.kind())?;
    for (labels, value) in values {
        let one = family.encode_family(&labels)?;
        match value {
            Value::Gauge(value) => ConstGauge::new(value).encode(one)?,
            Value::Count(value) => ConstCounter::new(value).encode(one)?,
            Value::Seconds(value) => ConstCounter::new(value.as_secs_f64()).encode(one)?,
        }
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_of_memory_and_age() {
        let bytes = resident().expect("it tells");
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
        assert!(age().expect("it tells") < Duration::from_secs(24 * 3600));
    }
}
