//! Batches as their owners see them: made, looked at, cancelled.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use serde::Deserialize;

use super::files::Id;
use super::page::{MOST_BATCHES, Page};
use super::record::{Batch, Counts, EXPIRY, Progress, Purpose, Record, Status, Usage, now};
use super::store::trouble;
use super::{ENDPOINT, WINDOW, no_batch, no_file, of_store};
use crate::Service;
use crate::ask;
use crate::body;
use crate::fault::Fault;
use crate::json;
use crate::routes::as_json;

/// Batches of a page, if nobody says.
const A_PAGE: usize = 20;

/// What OpenAI allows as notes of a client's own.
const METADATA: usize = 16;
const KEY: usize = 64;
const VALUE: usize = 512;

/// The body of a request for a batch.
#[derive(Deserialize)]
pub(crate) struct Asked {
    input_file_id: String,
    endpoint: String,
    completion_window: String,
    metadata: Option<BTreeMap<String, String>>,
    output_expires_after: Option<ExpiresAfter>,
}

#[derive(Deserialize)]
struct ExpiresAfter {
    anchor: String,
    seconds: json::Count,
}

impl Asked {
    fn check(&self) -> Result<Option<u64>, Fault> {
        if self.endpoint != ENDPOINT {
            let message = format!("`endpoint` is `{ENDPOINT}`: this server answers batches of nothing else");
            return Err(Fault::invalid(message).param("endpoint"));
        }
        if self.completion_window != WINDOW {
            return Err(
                Fault::invalid(format!("`completion_window` is `{WINDOW}`")).param("completion_window")
            );
        }
        if let Some(notes) = &self.metadata {
            let long = |text: &str, limit: usize| text.chars().count() > limit;
            if notes.len() > METADATA || notes.iter().any(|(key, value)| long(key, KEY) || long(value, VALUE))
            {
                let message = format!(
                    "`metadata` has {METADATA} pairs at most, with keys of {KEY} characters and values of {VALUE}"
                );
                return Err(Fault::invalid(message).param("metadata"));
            }
        }
        let Some(ExpiresAfter { anchor, seconds }) = &self.output_expires_after else { return Ok(None) };
        let seconds = seconds.0;
        if anchor != "created_at" || !EXPIRY.contains(&seconds) {
            let (least, most) = (EXPIRY.start(), EXPIRY.end());
            let message = format!(
                "`output_expires_after` has the `anchor` `created_at` and `seconds` from {least} to {most}"
            );
            return Err(Fault::invalid(message).param("output_expires_after"));
        }
        Ok(Some(seconds))
    }
}

/// `POST /v1/batches`.
pub(super) async fn create(State(service): State<Service>, request: Request) -> Result<Response, Fault> {
    let (_, body) = ask::body(&service, request, body::Purpose::Tokens).await?;
    let asked: Asked = json::read(&body)?;
    let output_expires_after = asked.check()?;
    let answer = of_store(&service, move |store| {
        let input = asked.input_file_id;
        let file = store.file(&input).ok_or_else(|| no_file(&input).param("input_file_id"))?;
        if file.purpose != Purpose::Batch {
            let message =
                format!("`input_file_id`: the file `{input}` has results; name one of the purpose `batch`");
            return Err(Fault::invalid(message).param("input_file_id"));
        }
        let record = Record {
            batch: new(store.new_id("batch_"), input.clone(), asked.metadata),
            output_id: store.new_id("file-"),
            error_id: store.new_id("file-"),
            output_expires_after,
            progress: Progress::default(),
            models: None,
            failing: None,
        };
        store.has_place()?;
        json::write(&store.add_batch(record)?.ok_or_else(|| no_file(&input).param("input_file_id"))?.batch)
    });
    answer.await.map(as_json)
}

fn new(id: String, input_file_id: String, metadata: Option<BTreeMap<String, String>>) -> Batch {
    Batch {
        id,
        object: "batch".to_owned(),
        endpoint: ENDPOINT.to_owned(),
        errors: None,
        input_file_id,
        completion_window: WINDOW.to_owned(),
        status: Status::Validating,
        output_file_id: None,
        error_file_id: None,
        created_at: now(),
        in_progress_at: None,
        expires_at: None,
        finalizing_at: None,
        completed_at: None,
        failed_at: None,
        expired_at: None,
        cancelling_at: None,
        cancelled_at: None,
        request_counts: Counts::default(),
        usage: Usage::default(),
        metadata,
    }
}

/// `GET /v1/batches`.
pub(super) async fn list(
    State(service): State<Service>,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let page = Page::read(query.as_deref(), A_PAGE, MOST_BATCHES)?;
    let answer =
        of_store(&service, move |store| page.of(&store.kept().batches, |record| Some(&record.batch)));
    answer.await.map(as_json)
}

/// `GET /v1/batches/ID`.
pub(super) async fn retrieve(State(service): State<Service>, Id(id): Id) -> Result<Response, Fault> {
    let answer =
        of_store(&service, move |store| json::write(&store.batch(&id).ok_or_else(|| no_batch(&id))?.batch));
    answer.await.map(as_json)
}

/// `POST /v1/batches/ID/cancel`: what is answered by then is kept.
pub(super) async fn cancel(State(service): State<Service>, Id(id): Id) -> Result<Response, Fault> {
    let answer = of_store(&service, move |store| {
        let mut before = Status::Cancelled;
        let changed = store.change(&id, |record| {
            before = record.batch.status;
            // What is being finished is done sooner than cancelled.
            if matches!(before, Status::Validating | Status::InProgress) {
                record.batch.status = Status::Cancelling;
                record.batch.cancelling_at = Some(now());
            }
        });
        let changed = changed.map_err(|error| trouble(&error))?.ok_or_else(|| no_batch(&id))?;
        if before.is_over() || before == Status::Finalizing {
            let message = format!("the batch `{id}` is {} and cannot be cancelled", before.name());
            return Err(Fault::invalid(message).param("id"));
        }
        store.told.notify_one();
        json::write(&changed.batch)
    });
    answer.await.map(as_json)
}
