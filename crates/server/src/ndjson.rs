//! Streams of texts: lines of JSON in, lines of JSON out, in one order and without an end that must be known.
//!
//! A line goes body → [`Lines`] → `Window` (lines that were there together) → token ids → room in the queue → the engine →
//! lines → `Answers`, the body of the answer. Reading stops while enough is under way; dropping the answer's body ends all.

mod answers;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use connote::jsonl::{self, RowError};
use connote::{CancellationToken, Embedder, Input, Options, Priority};
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc, watch};

use crate::Service;
use crate::ask::{self, CancelOnDrop};
use crate::body;
use crate::fault::{Fault, FaultKind};
use crate::formats::{self, Format};
use crate::lines::{Line, Lines};
use crate::models::Served;
use crate::observe::Watch;
use crate::stream_options::{self, StreamOptions};
use answers::{Answers, Part};
use windows::Computing;

/// Lines and bytes that are computed together at most, if a line alone is not larger. Larger windows are no faster, and
/// their first answer comes later.
const WINDOW_LINES: usize = 256;
const WINDOW_BYTES: usize = 32 << 10;

/// Windows that wait behind the one whose answer is next.
const WINDOWS_BEHIND: usize = 2;

/// Bytes of a value while it is answered: the vector, and the text that is made of it.
const BYTES_A_VALUE: usize = 16;

/// How long a client that is still sending may take to hear why nobody listens any more.
const LINGER: Duration = Duration::from_secs(1);

/// Whether a request is a stream of lines.
pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    formats::is_lines(kind.split(';').next().unwrap_or("").trim())
}

/// What does not change from line to line.
struct Stream {
    service: Service,
    served: Arc<Served>,
    options: Options,
    title: Option<String>,
    priority: Priority,
    per_token: bool,
    /// How long a window may take.
    timeout: Duration,
    token: CancellationToken,
    /// What is learnt of it, for the log and traces.
    watch: Watch,
}

/// Lines that are computed together, each with its index in the stream.
type Window = Vec<(usize, Line)>;

/// Why no more lines are read.
enum End {
    /// There are none.
    Complete,
    /// The server stops; the line at this index and those after it were not taken.
    Stopped(usize),
}

/// Why a stream is not answered to its end.
enum Broken {
    Fault(Fault),
    /// The client does not take its answers.
    NotTaken,
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Answers a stream while it comes. What is wrong with all of it is refused; what comes later is in its lines.
pub(crate) async fn answer(service: Service, request: Request) -> Result<Response, Fault> {
    let (stream, fingerprint) = match begin(&service, &request) {
        Ok(begun) => begun,
        Err(fault) => {
            // One that sends without an end hears it nevertheless.
            let _ = tokio::time::timeout(LINGER, body::discard(&service, request)).await;
            return Err(fault);
        }
    };
    let asks_first = body::asks_first(&request);
    let settings = service.settings();
    let share = service.held().share();
    let mut lines = Lines::new(request.into_body(), settings.body_limit, share, settings.client_timeout);
    if asks_first {
        // Reading asks it to send, which has to be said before the answer begins.
        let first = tokio::time::timeout(stream.timeout, lines.read()).await;
        first.unwrap_or_else(|_| Err(body::late("the first line", stream.timeout)))?;
    }
    let name = stream.served.name.clone();
    let (answers, parts) = mpsc::channel(1);
    let work = tokio::spawn(run(stream, lines, answers));
    let mut response = Response::new(Body::new(Answers::new(parts, work)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Lines.kind()));
    for (header, value) in [("x-embedding-fingerprint", fingerprint), ("x-model", name)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(header), value);
        }
    }
    Ok(response)
}

/// What the stream asks for, if there is room for it, and the vector space of lines without a task of their own.
fn begin(service: &Service, request: &Request) -> Result<(Stream, String), Fault> {
    let StreamOptions { served, options, title, priority, per_token } =
        stream_options::read(service, request.uri())?;
    served.check_gives_vectors()?;
    let priority = priority.or(ask::priority(request.headers())?).unwrap_or(Priority::Batch);
    let timeout = ask::timeout(service, request.headers())?;
    // As the smallest request, so that a full queue says when to come back. Later its lines wait for room.
    drop(service.admission().admit(priority, 1).map_err(|fault| full(service, priority, &fault))?);
    let token = CancellationToken::new();
    let watch = Watch::current();
    let service = service.clone();
    let stream = Stream { service, served, options, title, priority, per_token, timeout, token, watch };
    let mut none = Input::default();
    if let Some(title) = &stream.title {
        none = none.title(title);
    }
    let fingerprint = stream.embedder().fingerprint_of(&none, &stream.options);
    let fingerprint = fingerprint.map_err(|error| Fault::from(&error))?;
    Ok((stream, fingerprint.to_string()))
}

/// There is no room for a stream, in words of its own: nobody knows how many tokens it has.
fn full(service: &Service, priority: Priority, fault: &Fault) -> Fault {
    service.metrics().refused(1);
    let admission = service.admission();
    let why = format!(
        "as many tokens of {priority} work wait as may ({}, --max-queue-tokens), so no stream can begin",
        admission.limit()
    );
    Fault::overloaded(&why, fault.retry_after.unwrap_or_else(|| admission.wait()))
}

impl Stream {
    fn embedder(&self) -> &Embedder {
        if self.per_token { self.served.per_token() } else { &self.served.embedder }
    }

    /// Bytes of a window and its answer.
    fn weight(&self, bytes: usize, vectors: usize) -> usize {
        vectors
            .saturating_mul(self.embedder().dimensions())
            .saturating_mul(BYTES_A_VALUE)
            .saturating_add(bytes)
    }
}

/// The whole stream, from its lines to its last answer.
async fn run(stream: Stream, mut lines: Lines, answers: mpsc::Sender<Part>) {
    let _waits = CancelOnDrop(stream.token.clone());
    let stream = Arc::new(stream);
    let (behind, windows) = mpsc::channel(WINDOWS_BEHIND);
    let (is_blocked, blocked) = watch::channel(false);
    let written = Notify::new();
    let reading = async {
        let end = read(&stream, &mut lines, behind, blocked).await?;
        if let End::Stopped(_) = end {
            // One that sends all it has before it reads would not take its answers otherwise.
            lines.draining(written.notified()).await;
        }
        Ok(end)
    };
    let writing = async {
        write(&stream, windows, &answers, &is_blocked).await?;
        written.notify_one();
        Ok(())
    };
    let last = match tokio::try_join!(reading, writing) {
        Ok((End::Complete, ())) => None,
        Ok((End::Stopped(index), ())) => {
            let message = format!(
                "the server stops: line {} and those after it were not read; send them again, from there on",
                index + 1
            );
            Some(RowError { kind: "stopped", message })
        }
        Err(Broken::Fault(fault)) => {
            stream.watch.fails(fault.kind);
            Some(RowError { kind: fault.kind.name(), message: fault.message })
        }
        // Who takes no answers would not take this one, and sees a connection that breaks.
        Err(Broken::NotTaken) => return stream.watch.fails(FaultKind::Timeout),
    };
    if let Some(error) = last {
        // It concerns no line of the client's: they all have an id.
        let mut line = Vec::new();
        if jsonl::write(&mut line, RawValue::NULL, Err(&error), false).is_err() {
            return;
        }
        // The answers before it may not have been taken yet.
        let patience = stream.service.settings().client_timeout;
        let told = tokio::time::timeout(patience, answers.send(Part::Lines(line.into())));
        if !matches!(lines.draining(told).await, Ok(Ok(()))) {
            return;
        }
        let _ = tokio::time::timeout(LINGER, lines.drain(LINGER)).await;
    }
    let _ = answers.send(Part::End).await;
}

/// Lines to windows that are being computed, until there are no more.
async fn read(
    stream: &Arc<Stream>,
    lines: &mut Lines,
    behind: mpsc::Sender<Computing>,
    mut blocked: watch::Receiver<bool>,
) -> Result<End, Fault> {
    let mut stopping = stream.service.stopping();
    let mut index = 0;
    loop {
        let mut window = Window::new();
        let mut bytes = 0;
        // A window is begun by its first line and closed when it is full, or when there is a place for it and no line
        // that is ready. So nothing waits for lines that may never come, and they come together where they have to wait.
        let place = loop {
            while window.len() < WINDOW_LINES && bytes < WINDOW_BYTES {
                let Some(line) = lines.ready() else { break };
                bytes += if let Line::Whole(line) = &line { line.len() } else { 0 };
                window.push((index, line));
                index += 1;
            }
            let is_full = window.len() >= WINDOW_LINES || bytes >= WINDOW_BYTES;
            let no_more = lines.has_ended() || *stopping.borrow();
            if window.is_empty() && no_more {
                return Ok(if lines.has_ended() { End::Complete } else { End::Stopped(index) });
            }
            if is_full || no_more {
                break lines.during(behind.reserve(), &mut blocked).await?;
            }
            tokio::select! {
                biased;
                read = lines.read() => read?,
                place = behind.reserve(), if !window.is_empty() => break place,
                _ = stopping.wait_for(|stopping| *stopping), if !*stopping.borrow() => {}
            }
        };
        // Nobody takes windows any more: the writer says why.
        let Ok(place) = place else { return Ok(End::Complete) };
        let stopped = *stopping.borrow() && !lines.has_ended();
        // Before its time begins: others may take theirs. A text has no more tokens than bytes, but for those at its ends.
        let vectors = if stream.per_token { bytes + 2 * window.len() } else { window.len() };
        let mut share = lines.share().sibling();
        lines.during(share.grow_soon(stream.weight(bytes, vectors)), &mut blocked).await?;
        let submitted = windows::submit(stream, window, bytes, share);
        place.send(lines.during(submitted, &mut blocked).await??);
        if stopped {
            return Ok(End::Stopped(index));
        }
    }
}

/// Answers to the client, in the order of its lines.
async fn write(
    stream: &Stream,
    mut windows: mpsc::Receiver<Computing>,
    answers: &mpsc::Sender<Part>,
    is_blocked: &watch::Sender<bool>,
) -> Result<(), Broken> {
    let timeout = stream.timeout;
    while let Some(Computing(computing)) = windows.recv().await {
        let lines = windows::stood(&stream.service, computing).await?;
        if lines.is_empty() {
            continue;
        }
        let place = match answers.try_reserve() {
            Ok(place) => place,
            Err(_) => {
                is_blocked.send_replace(true);
                let place = tokio::time::timeout(timeout, answers.reserve()).await;
                is_blocked.send_replace(false);
                let Ok(Ok(place)) = place else { return Err(Broken::NotTaken) };
                place
            }
        };
        place.send(Part::Lines(lines));
    }
    Ok(())
}
