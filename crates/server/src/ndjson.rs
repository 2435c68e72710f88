//! Streams of texts: lines of JSON in, lines of JSON out, in one order and without an end that must be known.
//!
//! A line goes body → [`Lines`] → `Window` (lines that were there together) → token ids → room in the queue → the engine →
//! lines → `Answers`, the body of the answer. Reading stops while enough is under way; dropping the answer's body ends all.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use connote::jsonl::{self, Row, RowError};
use connote::{CancellationToken, Embedder, ErrorKind, Input, Options, Pending, Priority};
use http_body::Frame;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::Service;
use crate::admission::Ticket;
use crate::ask::{self, CancelOnDrop};
use crate::body;
use crate::fault::Fault;
use crate::formats::{self, Format};
use crate::lines::{Line, Lines};
use crate::metrics::Work;
use crate::models::Served;
use crate::observe::Watch;
use crate::stream_options::{self, StreamOptions};

/// Lines and bytes that are computed together at most, if a line alone is not larger. Larger windows are no faster, and
/// their first answer comes later.
const WINDOW_LINES: usize = 256;
const WINDOW_BYTES: usize = 32 << 10;

/// Windows that wait behind the one whose answer is next.
const WINDOWS_BEHIND: usize = 2;

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
    let mut lines = Lines::new(request.into_body(), service.settings().body_limit);
    if asks_first {
        // Reading asks it to send, which has to be said before the answer begins.
        let first = tokio::time::timeout(stream.timeout, lines.read()).await;
        first.unwrap_or_else(|_| Err(ask::too_slow("the first line", stream.timeout)))?;
    }
    let name = stream.served.name.clone();
    let (answers, parts) = mpsc::channel(1);
    let work = tokio::spawn(run(stream, lines, answers));
    let mut response = Response::new(Body::new(Answers { parts, ended: false, _work: AbortOnDrop(work) }));
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
    let priority = priority.or(ask::priority(request.headers())?).unwrap_or(Priority::Batch);
    let limit = service.settings().request_timeout;
    let timeout = ask::timeout(request.headers())?.map_or(limit, |asked| asked.min(limit));
    // As the smallest request, so that a full queue says when to come back. Later its lines wait for room.
    drop(service.admission().admit(priority, 1)?);
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

impl Stream {
    fn embedder(&self) -> &Embedder {
        if self.per_token { self.served.per_token() } else { &self.served.embedder }
    }
}

/// The whole stream, from its lines to its last answer.
async fn run(stream: Stream, mut lines: Lines, answers: mpsc::Sender<Part>) {
    let _waits = CancelOnDrop(stream.token.clone());
    let stream = Arc::new(stream);
    let (behind, windows) = mpsc::channel(WINDOWS_BEHIND);
    let (is_blocked, blocked) = watch::channel(false);
    let reading = read(&stream, &mut lines, behind, blocked);
    let writing = write(&stream, windows, &answers, &is_blocked);
    let last = match tokio::try_join!(reading, writing) {
        Ok((End::Complete, ())) => None,
        Ok((End::Stopped(index), ())) => {
            let message = format!(
                "the server stops: line {} and those after it were not read; send them again, from there on",
                index + 1
            );
            Some(RowError { kind: "stopped", message })
        }
        // The client went, or does not take its answers. What is under way is dropped, which ends its work.
        Err(fault) => Some(RowError { kind: fault.kind.name(), message: fault.message }),
    };
    if let Some(error) = last {
        // It concerns no line of the client's: they all have an id.
        let mut line = Vec::new();
        let written = jsonl::write(&mut line, RawValue::NULL, Err(&error), false);
        // Who does not take this sees a connection that breaks.
        if written.is_err() || answers.try_send(Part::Lines(line)).is_err() {
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
        let computing = lines.during(submit(stream, window, bytes), &mut blocked).await?;
        place.send(Computing(AbortOnDrop(computing?)));
        if stopped {
            return Ok(End::Stopped(index));
        }
    }
}

/// A window on its way through the engine, to the bytes of its answer.
struct Computing(AbortOnDrop<Result<Vec<u8>, Fault>>);

/// Lines to token ids, and these to the engine as soon as there is room.
async fn submit(
    stream: &Arc<Stream>,
    window: Window,
    bytes: usize,
) -> Result<JoinHandle<Result<Vec<u8>, Fault>>, Fault> {
    let begin = Instant::now();
    let deadline = begin + stream.timeout;
    let preparing = stream.clone();
    let (rows, call) = ask::aside(bytes, move || {
        let rows = rows(&preparing, window);
        let inputs = rows.iter().filter_map(|(_, row)| row.input.as_ref().ok().cloned());
        let request = connote::Request::new(inputs).with(preparing.options.clone());
        let request = request.cancellation(&preparing.token).deadline(deadline).priority(preparing.priority);
        let call = preparing.embedder().prepare(request).map_err(|error| Fault::from(&error))?;
        Ok((rows, call))
    })
    .await?;
    let read = Instant::now();
    stream.watch.step("parse", begin, read - begin);
    stream.watch.asks(&stream.served.name, rows.len(), call.tokens());
    let room = stream.service.admission().wait_for_room(stream.priority, call.tokens());
    // Without room in time it is late at once, and its lines say so.
    let ticket = tokio::time::timeout_at(deadline.into(), room).await.ok();
    let pending = call.submit();
    let submitted = Instant::now();
    stream.watch.step("queue", read, submitted - read);
    Ok(tokio::spawn(compute(stream.clone(), rows, pending, ticket, [submitted, deadline])))
}

/// Lines as texts, with the title of the stream where they have none.
fn rows(stream: &Stream, window: Window) -> Vec<(usize, Row)> {
    let limit = stream.service.settings().body_limit;
    let row = |(index, line)| {
        let mut row = match line {
            Line::Whole(line) => jsonl::read(line, index)?,
            Line::TooLong => {
                let message = format!(
                    "it is longer than {} MiB, the limit of one line, which --max-body-mb sets; split the text",
                    limit >> 20
                );
                let error = RowError::at_line(index + 1, "line_too_long", message);
                Row { id: jsonl::numbered(index), input: Err(error) }
            }
        };
        if let (Ok(input), Some(title)) = (&mut row.input, &stream.title) {
            *input = std::mem::take(input).title_if_none(title);
        }
        Some((index, row))
    };
    window.into_iter().filter_map(row).collect()
}

/// Waits for vectors, and writes them as lines.
async fn compute(
    stream: Arc<Stream>,
    rows: Vec<(usize, Row)>,
    mut pending: Pending,
    ticket: Option<Ticket>,
    [submitted, deadline]: [Instant; 2],
) -> Result<Vec<u8>, Fault> {
    let results = match tokio::time::timeout_at(deadline.into(), &mut pending).await {
        Ok(results) => results,
        // Past its deadline it is ready: with what there is, and with errors for the rest.
        Err(_) => (&mut pending).await,
    };
    // Who takes the answer late holds nobody up.
    drop(ticket);
    let waited = pending.waited().unwrap_or_default();
    stream.watch.step("queue", submitted, waited);
    stream.watch.step("engine", submitted + waited, submitted.elapsed().saturating_sub(waited));
    let metrics = stream.service.metrics();
    metrics.waited(stream.priority, waited);
    metrics.embedded(Work {
        model: &stream.served.name,
        texts: results.iter().flatten().count(),
        tokens: results.iter().flatten().map(|embedding| embedding.tokens).sum(),
        truncated: results.iter().flatten().filter(|embedding| embedding.truncated).count(),
    });
    let values: usize = results.iter().flatten().map(|embedding| embedding.vector.len()).sum();
    ask::aside(values * 10, move || {
        let mut results = results.into_iter();
        let mut lines = Vec::with_capacity(values * 12);
        for (index, Row { id, input }) in rows {
            let result = input.and_then(|_| {
                let lost = || RowError::at_line(index + 1, "internal", "the text was not computed");
                let result = results.next().ok_or_else(lost)?;
                result.map_err(|error| refused(index, &error))
            });
            if let Err(error) = &result {
                stream.service.metrics().line_failed(error.kind);
            }
            jsonl::write(&mut lines, &id, result.as_ref(), stream.per_token)
                .map_err(|error| Fault::internal(format!("the answer cannot be written: {error}")))?;
        }
        Ok(lines)
    })
    .await
}

/// What the library says against the text of a line; its advice speaks of its own options.
fn refused(index: usize, error: &connote::Error) -> RowError {
    let mut refused = RowError::refused(index + 1, error);
    if error.kind() == ErrorKind::TooLong {
        refused.message.push_str("; `?truncate=true` in the address cuts the texts of a stream");
    }
    refused
}

/// Answers to the client, in the order of its lines.
async fn write(
    stream: &Stream,
    mut windows: mpsc::Receiver<Computing>,
    answers: &mpsc::Sender<Part>,
    is_blocked: &watch::Sender<bool>,
) -> Result<(), Fault> {
    let timeout = stream.timeout;
    while let Some(Computing(computing)) = windows.recv().await {
        let lines = computing.await.unwrap_or_else(|_| {
            // The answer has begun, so no outer layer sees the panic.
            stream.service.metrics().panicked();
            Err(Fault::internal(ask::FELL))
        })?;
        if lines.is_empty() {
            continue;
        }
        let place = match answers.try_reserve() {
            Ok(place) => place,
            Err(_) => {
                is_blocked.send_replace(true);
                let place = tokio::time::timeout(timeout, answers.reserve()).await;
                is_blocked.send_replace(false);
                let Ok(Ok(place)) = place else {
                    return Err(ask::too_slow("taking an answer", timeout));
                };
                place
            }
        };
        place.send(Part::Lines(lines));
    }
    Ok(())
}

/// A piece of the answer's body.
enum Part {
    Lines(Vec<u8>),
    /// It is complete. An answer that ends without it must not look as if it were.
    End,
}

/// The answer's body. Where it is dropped, as when the client goes, the work ends.
struct Answers {
    parts: mpsc::Receiver<Part>,
    ended: bool,
    _work: AbortOnDrop<()>,
}

impl HttpBody for Answers {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = std::task::ready!(self.parts.poll_recv(context));
        self.ended = !matches!(part, Some(Part::Lines(_)));
        Poll::Ready(match part {
            Some(Part::Lines(lines)) => Some(Ok(Frame::data(lines.into()))),
            Some(Part::End) => None,
            None => Some(Err(io::Error::other("the stream was not answered to its end"))),
        })
    }
}

/// A task that ends with who waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}
