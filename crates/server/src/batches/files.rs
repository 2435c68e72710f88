//! What can be done with files that are there.

use std::fs::File;
use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

use super::page::{MOST_FILES, Page};
use super::record::Purpose;
use super::store::{Deletion, trouble};
use super::{no_file, of_store};
use crate::Service;
use crate::fault::Fault;
use crate::json;
use crate::routes::as_json;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// `GET /v1/files`.
pub(super) async fn list(
    State(service): State<Service>,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let page = Page::read(query.as_deref(), MOST_FILES, MOST_FILES)?;
    let answer = of_store(&service, move |store| {
        let kept = store.kept();
        page.of(&kept.files, |file| {
            let purpose = match file.purpose {
                Purpose::Batch => "batch",
                Purpose::BatchOutput => "batch_output",
            };
            let asked = page.purpose.as_deref().is_none_or(|wanted| wanted == purpose);
            (asked && !file.has_expired()).then_some(file)
        })
    });
    answer.await.map(as_json)
}

/// `GET /v1/files/ID`.
pub(super) async fn retrieve(State(service): State<Service>, Id(id): Id) -> Result<Response, Fault> {
    let answer = of_store(&service, move |store| json::write(&store.file(&id).ok_or_else(|| no_file(&id))?));
    answer.await.map(as_json)
}

#[derive(Serialize)]
struct Deleted<'a> {
    id: &'a str,
    object: &'static str,
    deleted: bool,
}

/// `DELETE /v1/files/ID`.
pub(super) async fn delete(State(service): State<Service>, Id(id): Id) -> Result<Response, Fault> {
    let answer = of_store(&service, move |store| {
        store.file(&id).ok_or_else(|| no_file(&id))?;
        match store.delete(&id).map_err(|error| trouble(&error))? {
            Deletion::Done => json::write(&Deleted { id: &id, object: "file", deleted: true }),
            Deletion::NoFile => Err(no_file(&id)),
            Deletion::ReadBy(batch) => {
                let message = format!(
                    "the batch `{batch}` still reads the file `{id}`; cancel it, or wait for its end"
                );
                Err(Fault::invalid(message).param("id"))
            }
        }
    });
    answer.await.map(as_json)
}

/// `GET /v1/files/ID/content`: a piece at a time, as the client takes them.
pub(super) async fn content(State(service): State<Service>, Id(id): Id) -> Result<Response, Fault> {
    let opened = of_store(&service, move |store| {
        store.file(&id).ok_or_else(|| no_file(&id))?;
        let file = File::open(store.content(&id)).map_err(|error| trouble(&error))?;
        let bytes = file.metadata().map_err(|error| trouble(&error))?.len();
        Ok((file, bytes))
    });
    let (file, bytes) = opened.await?;
    let pieces = stream::try_unfold(file, |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let count = file.read(&mut piece)?;
            piece.truncate(count);
            Ok::<_, std::io::Error>((count > 0).then_some((Bytes::from(piece), file)))
        });
        read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// The id in the address of a file or a batch.
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let id = Path::from_request_parts(parts, state).await;
        let refused = |error: PathRejection| Fault::invalid(format!("the id in the address: {error}"));
        id.map(|Path(id)| Self(id)).map_err(refused)
    }
}
