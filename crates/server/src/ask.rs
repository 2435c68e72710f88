//! A request and its answer, whatever the protocol: the way between the doors and the engine.

use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use connote::{CancellationToken, Embedder, Embedding, Input, Options, Pending, PreparedCall, Priority};
use tokio::sync::Semaphore;

use crate::Service;
use crate::body::{self, Body, Purpose};
use crate::compute::{self, Computed, Load, too_slow};
use crate::fault::{Fault, FaultKind, TooLong};
use crate::formats::{self, Format};
use crate::held::Share;
use crate::models::Served;
use crate::settings::Settings;

/// What a client asks for, read from its protocol.
pub(crate) struct Ask {
    pub(crate) served: Arc<Served>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) options: Options,
    /// `None`: by its size.
    pub(crate) priority: Option<Priority>,
    /// A vector a token, instead of one a text.
    pub(crate) per_token: bool,
    /// The vectors are asked for in a form that only the protocol's JSON has.
    pub(crate) json_only: bool,
}

/// What it gets: a vector for every text, in their order.
pub(crate) struct Done {
    pub(crate) served: Arc<Served>,
    pub(crate) embeddings: Vec<Embedding>,
    /// From the end of the request's body to the vectors.
    pub(crate) took: Duration,
}

impl Ask {
    /// The model, pooled as is asked.
    fn embedder(&self) -> &Embedder {
        if self.per_token { self.served.per_token() } else { &self.served.embedder }
    }
}

impl Done {
    /// The vector of each text.
    pub(crate) fn vectors(&self) -> Vec<&[f32]> {
        self.embeddings.iter().map(|embedding| embedding.vector.as_slice()).collect()
    }

    /// Tokens that the network read, special tokens and prompts included.
    pub(crate) fn tokens(&self) -> usize {
        self.embeddings.iter().map(|embedding| embedding.tokens).sum()
    }
}

/// From the body of a request to what it asks for, and the form that the answer is to have.
type Read<F> = fn(&Service, &[u8]) -> Result<(Ask, F), Fault>;

/// A protocol's way in and out. `F` is what the answer's form depends on.
pub(crate) struct Door<F> {
    /// From the body of a request.
    pub(crate) read: Read<F>,
    /// To the body of its answer, which is JSON.
    pub(crate) write: fn(&Done, &F) -> Result<Vec<u8>, Fault>,
}

/// Bytes up to which JSON and tokens are dealt with where the socket is read; more would keep other sockets waiting.
const QUICK: usize = 16 << 10;

/// What a client hears of a fault of the server.
pub(crate) const FELL: &str = "the server failed on this request (please report it)";

/// Bytes from which it takes so long that what is smaller must not wait behind it.
const LONG: usize = 1 << 20;

/// How much of it may run at once. It is beside the engine, which is the slower part by far: half the CPUs keep it fed, and more
/// would take them from the requests that are computed.
struct Turns {
    short: Semaphore,
    long: Semaphore,
}

static TURNS: LazyLock<Turns> = LazyLock::new(|| {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    Turns { short: Semaphore::new(cpus), long: Semaphore::new(cpus.div_ceil(2)) }
});

/// Runs what takes long in proportion to `size` bytes where it keeps no socket waiting, when its turn comes.
pub(crate) async fn aside<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    if size <= QUICK {
        return work();
    }
    let turns = if size < LONG { &TURNS.short } else { &TURNS.long };
    // They are never closed.
    let turn = turns.acquire().await;
    let done = tokio::task::spawn_blocking(move || {
        // Kept by the work: where nobody waits for it any more, it still takes its time.
        let _turn = turn;
        work()
    });
    done.await.unwrap_or_else(|error| match error.try_into_panic() {
        // As if it had been here: one place answers panics.
        Ok(panic) => resume_unwind(panic),
        Err(_) => Err(Fault::internal(FELL)),
    })
}

/// The body of a request, within its limits of bytes and time.
pub(crate) async fn body(
    service: &Service,
    request: Request,
    purpose: Purpose,
) -> Result<(HeaderMap, Body), Fault> {
    let headers = request.headers().clone();
    let limit = service.settings().request_timeout;
    let body = tokio::time::timeout(limit, body::read(service, request, purpose)).await;
    Ok((headers, body.unwrap_or_else(|_| Err(body::late("the body of the request", limit)))?))
}

/// What comes of work, unless it takes longer than `limit`.
pub(crate) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(too_slow(limit)))
}

/// An answer and its share of what is held, which it keeps until its last byte is on its way.
pub(crate) fn held(bytes: Vec<u8>, mut share: Share) -> Bytes {
    struct Answer(Vec<u8>, #[expect(dead_code, reason = "it is given back when this is dropped")] Share);
    impl AsRef<[u8]> for Answer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    share.set(bytes.len());
    Bytes::from_owner(Answer(bytes, share))
}

/// A request for vectors through a door, from its body to its answer.
pub(crate) async fn embed<F: Send + 'static>(
    service: Service,
    Door { read, write }: Door<F>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let begin = Instant::now();
    let format = Format::of(&headers);
    let timeout = timeout(&service, &headers)?;
    let Body { bytes: body, mut share } = body;
    let size = body.len();
    let reading = service.clone();
    // Dropped when the answer is there, or when the client has gone: then nobody needs it.
    let token = CancellationToken::new();
    let _waits = CancelOnDrop(token.clone());
    let reader = move || {
        let (mut ask, form) = read(&reading, &body)?;
        ask.served.check_gives_vectors()?;
        ask.priority = ask.priority.or(priority(&headers)?);
        if format == Format::Octets && ask.per_token && ask.inputs.len() > 1 {
            return Err(unbounded_rows());
        }
        if format != Format::Json && ask.json_only {
            return Err(not_as_bytes(format));
        }
        let (ask, call) = prepare(ask, &token, begin, timeout)?;
        fits(reading.settings(), &ask, &call)?;
        Ok((ask, form, call))
    };
    let (ask, form, call) = in_time(timeout, aside(size, reader)).await?;
    // The vectors, and the answer as it is made of them.
    let bytes_a_value = if format == Format::Json { 16 } else { 8 };
    if !share.grow(size, values(&ask, &call).saturating_mul(bytes_a_value)) {
        return Err(body::crowded(&service));
    }
    let load = Load {
        model: &ask.served.name,
        results: ask.inputs.len(),
        tokens: call.tokens(),
        priority: call.priority(),
    };
    let computed =
        compute::compute(&service, begin, timeout, load, || call.submit(), Pending::waited).await?;
    let Computed { results, times } = computed;
    let results = results.into_iter().enumerate();
    let embeddings = results.map(|(index, result)| result.map_err(|error| at(&ask, index, &error, timeout)));
    let embeddings = embeddings.collect::<Result<Vec<Embedding>, Fault>>()?;
    let served = ask.served.clone();
    let truncated = embeddings.iter().filter(|embedding| embedding.truncated).count();
    let fingerprint = fingerprint(&ask)?;
    let done = Done { served: served.clone(), embeddings, took: times.took() };
    service.metrics().embedded(&served.name, &done.embeddings);
    let values: usize = done.embeddings.iter().map(|embedding| embedding.vector.len()).sum();
    let dimensions = done.embeddings.first().map_or(0, |embedding| embedding.dimensions);
    let (told, per_token) = (fingerprint.clone(), ask.per_token);
    let task = ask.inputs.first().and_then(|input| input.effective_task(&ask.options));
    let answer = aside(values * 10, move || match format {
        Format::Json => write(&done, &form),
        Format::Octets => Ok(formats::octets(&done)),
        Format::Arrow => formats::arrow(&done, &told, per_token),
        Format::Lines => formats::lines(&done, per_token),
    });
    let body = answer.await?;
    times.written();
    let mut response = ([(header::CONTENT_TYPE, format.kind())], held(body, share)).into_response();
    let task = task.map_or_else(|| "none".to_owned(), |task| task.to_string());
    compute::say(
        &mut response,
        &served.name,
        truncated,
        &times,
        [("x-embedding-fingerprint", fingerprint), ("x-task", task)],
    );
    if format != Format::Json {
        let headers = response.headers_mut();
        headers.insert("x-dimensions", dimensions.into());
        headers.insert("x-count", (values / dimensions.max(1)).into());
    }
    Ok(response)
}

/// Row after row, and nothing that says which rows are of which text.
fn unbounded_rows() -> Fault {
    let message = format!(
        "`{}` does not say where the vectors of a text end; send one text at a time, or accept `{}` or `{}`",
        Format::Octets.kind(),
        Format::Arrow.kind(),
        Format::Json.kind()
    );
    Fault::invalid(message).param("inputs")
}

/// The bytes of all forms but JSON are f32.
fn not_as_bytes(format: Format) -> Fault {
    let message = format!(
        "`output_dtype` is for answers in JSON, and the header Accept asks for `{}`, whose values are f32; leave one of them out",
        format.kind()
    );
    Fault::invalid(message).param("output_dtype")
}

/// Ends the work of a request that nobody waits for.
pub(crate) struct CancelOnDrop(pub(crate) CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The values of all vectors.
fn values(ask: &Ask, call: &PreparedCall) -> usize {
    let rows = if ask.per_token { call.tokens() } else { ask.inputs.len() };
    rows.saturating_mul(ask.embedder().dimensions())
}

/// Refuses what no answer can hold, or nobody would wait for.
fn fits(settings: &Settings, ask: &Ask, call: &PreparedCall) -> Result<(), Fault> {
    let advice = "send the texts in several requests, or as NDJSON, which has no limit";
    let (tokens, limit) = (call.tokens(), settings.request_tokens);
    let message = if tokens > limit {
        format!(
            "the request has {tokens} tokens, and the limit that --max-request-tokens sets is {limit}; {advice}"
        )
    } else if values(ask, call).saturating_mul(4) > settings.answer_limit {
        let what = if ask.per_token { "tokens" } else { "texts" };
        format!(
            "the vectors of so many {what}, {} values of 4 bytes, are larger than {}, the limit that --max-answer-mb sets; {advice}",
            values(ask, call),
            body::mib(settings.answer_limit)
        )
    } else {
        return Ok(());
    };
    Err(Fault::new(FaultKind::BodyTooLarge, message))
}

/// Texts to token ids; the first that can have no vector is why the request fails.
fn prepare(
    ask: Ask,
    token: &CancellationToken,
    begin: Instant,
    timeout: Duration,
) -> Result<(Ask, PreparedCall), Fault> {
    let request = connote::Request::new(ask.inputs.iter().cloned()).with(ask.options.clone());
    let mut request = request.cancellation(token).deadline(begin + timeout);
    if let Some(priority) = ask.priority {
        request = request.priority(priority);
    }
    let call = ask.embedder().prepare(request).map_err(|error| Fault::from(&error))?;
    if let Some((index, error)) = call.errors().next() {
        return Err(at(&ask, index, error, timeout));
    }
    Ok((ask, call))
}

/// Why one text has no vector, with its index.
fn at(ask: &Ask, index: usize, error: &connote::Error, timeout: Duration) -> Fault {
    let mut fault = Fault::from(error).param("input");
    if fault.kind == FaultKind::Timeout {
        // Its time was the request's: no text of it is to blame.
        return too_slow(timeout);
    }
    let model = ask.served.embedder.model();
    fault.message = match (fault.kind, ask.inputs.get(index)) {
        // The library's advice speaks of its own options.
        (FaultKind::TooLong, Some(input)) => {
            let tokens = model.tokenize(input, &ask.options).map_or(0, |ids| ids.len());
            let limit = model.limit(&ask.options);
            fault.too_long = Some(TooLong { tokens, limit });
            // Where texts are cut, it is the prompt that does not fit.
            let (what, advice) = match ask.options.cuts() {
                false => ("", "shorten or split it, or let it be cut with \"truncate\": true"),
                true => {
                    ("its prompt alone does not fit, so it cannot be cut; ", "shorten the task or the title")
                }
            };
            format!(
                "input {index}: the text has {tokens} tokens and is too large: the model `{}` takes {limit} at most; {what}{advice}",
                model.name(),
            )
        }
        _ => format!("input {index}: {}", error.message()),
    };
    fault
}

/// The name of the vector space.
fn fingerprint(ask: &Ask) -> Result<String, Fault> {
    let none = Input::default();
    let fingerprint = ask.embedder().fingerprint_of(ask.inputs.first().unwrap_or(&none), &ask.options);
    fingerprint.map(|fingerprint| fingerprint.to_string()).map_err(|error| Fault::from(&error))
}

pub(crate) fn priority(headers: &HeaderMap) -> Result<Option<Priority>, Fault> {
    let Some(value) = headers.get("x-priority") else { return Ok(None) };
    let name = value.to_str().unwrap_or("");
    name.trim().parse().map(Some).map_err(|error| Fault::invalid(format!("the header X-Priority: {error}")))
}

/// Seconds that a client may give a request. In less, one short text may not be answered where others wait too; who has less
/// patience goes, which ends the work as well.
const TIMEOUTS: RangeInclusive<f64> = 1.0..=99_999.999;

/// How long a request may take: the client may have less patience than the operator, not more.
pub(crate) fn timeout(service: &Service, headers: &HeaderMap) -> Result<Duration, Fault> {
    // What is without limit for people must be something that clocks can hold.
    let limit = service.settings().request_timeout.min(Duration::from_secs_f64(*TIMEOUTS.end()));
    let Some(value) = headers.get("x-request-timeout") else { return Ok(limit) };
    let seconds = value.to_str().ok().and_then(|value| value.trim().parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| TIMEOUTS.contains(seconds)).ok_or_else(|| {
        let (least, most) = (TIMEOUTS.start(), TIMEOUTS.end());
        Fault::invalid(format!(
            "the header X-Request-Timeout is not a number of seconds from {least} to {most}"
        ))
    })?;
    Ok(Duration::from_secs_f64(seconds).min(limit))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn large_bodies_take_turns() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let permits = TURNS.long.available_permits();
        let work = move || {
            let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            thread::sleep(Duration::from_millis(20));
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(running)
        };
        let tasks: Vec<_> = (0..3 * permits).map(|_| tokio::spawn(aside(LONG, work))).collect();
        // Those of which nobody waits for the end count as well.
        tasks[0].abort();
        for task in tasks {
            let Ok(running) = task.await else { continue };
            assert!(running.is_ok_and(|running| running <= permits));
        }
    }
}
