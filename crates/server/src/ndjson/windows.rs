//! Lines that are computed together: through the engine, to the bytes of their answer.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use connote::jsonl::{self, Row, RowError};
use connote::{ErrorKind, Pending};

use super::answers::AbortOnDrop;
use super::{Stream, Window};
use crate::Service;
use crate::admission::Ticket;
use crate::ask;
use crate::compute;
use crate::fault::Fault;
use crate::held::Share;
use crate::lines::Line;

/// A window on its way through the engine, to the bytes of its answer.
pub(super) struct Computing(pub(super) AbortOnDrop<Result<Bytes, Fault>>);

/// Lines to token ids, and these to the engine as soon as there is room.
pub(super) async fn submit(
    stream: &Arc<Stream>,
    window: Window,
    bytes: usize,
    mut share: Share,
) -> Result<Computing, Fault> {
    let begin = Instant::now();
    let deadline = begin + stream.timeout;
    let preparing = stream.clone();
    let prepared = ask::aside(bytes, move || {
        let rows = rows(&preparing, window);
        let inputs = rows.iter().filter_map(|(_, row)| row.input.as_ref().ok().cloned());
        let request = connote::Request::new(inputs).with(preparing.options.clone());
        let request = request.cancellation(&preparing.token).deadline(deadline).priority(preparing.priority);
        let call = preparing.embedder().prepare(request).map_err(|error| Fault::from(&error))?;
        Ok((rows, call))
    });
    // In a task of its own: the answer has begun, so no outer layer sees a panic.
    let (rows, call) = stood(&stream.service, AbortOnDrop(tokio::spawn(prepared))).await?;
    let vectors = if stream.per_token { call.tokens() } else { rows.len() };
    share.set(stream.weight(bytes, vectors));
    let read = Instant::now();
    stream.watch.step("parse", begin, read - begin);
    stream.watch.asks(&stream.served.name, rows.len(), call.tokens());
    let room = stream.service.admission().wait_for_room(stream.priority, call.tokens());
    // Without room in time it is late at once, and its lines say so.
    let ticket = tokio::time::timeout_at(deadline.into(), room).await.ok();
    let pending = call.submit();
    let submitted = Instant::now();
    stream.watch.step("queue", read, submitted - read);
    let computing = compute(stream.clone(), rows, pending, ticket, [submitted, deadline], share);
    Ok(Computing(AbortOnDrop(tokio::spawn(computing))))
}

/// What comes of a task; a panic is counted, and is a fault.
pub(super) async fn stood<T>(service: &Service, task: AbortOnDrop<Result<T, Fault>>) -> Result<T, Fault> {
    task.await.unwrap_or_else(|_| {
        service.metrics().panicked();
        Err(Fault::internal(ask::FELL))
    })
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
    share: Share,
) -> Result<Bytes, Fault> {
    let results = match tokio::time::timeout_at(deadline.into(), &mut pending).await {
        Ok(results) => results,
        // Past its deadline it is ready: with what there is, and with errors for the rest.
        Err(_) => (&mut pending).await,
    };
    // Who takes the answer late holds nobody up.
    drop(ticket);
    let waited = pending.waited().unwrap_or_default();
    let engine = submitted.elapsed().saturating_sub(waited);
    compute::passed(&stream.service, &stream.watch, stream.priority, submitted, waited, engine);
    stream.service.metrics().embedded(&stream.served.name, results.iter().flatten());
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
        Ok(ask::held(lines, share))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    #[tokio::test]
    async fn a_panic_is_counted_and_told() {
        let embedder = Arc::new(connote::Embedder::open(testkit::models::builtin()).expect("it opens"));
        let service = Service::new(vec![("m".to_owned(), embedder)], crate::Settings::default());
        let service = service.expect("it serves");
        let falls = async { if true { panic!("on purpose") } else { Ok(()) } };
        let fault = stood(&service, AbortOnDrop(tokio::spawn(falls))).await.expect_err("it fell");
        assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Internal, ask::FELL));
        assert_eq!(service.metrics().panics(), 1);
    }
}
