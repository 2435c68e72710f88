//! `POST /v1/files`: a form whose file goes to the disk as it comes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::coming::{Coming, Part};
use super::record::{EXPIRY, FileRecord, Purpose};
use super::room::{Full, Room};
use super::store::{Store, trouble};
use super::{of_store, store};
use crate::Service;
use crate::body::{self, DROPPED, mib};
use crate::fault::{Fault, FaultKind};
use crate::json;
use crate::routes::as_json;

/// Bytes of a field that is no file.
const MAX_FIELD: usize = 4 << 10;

/// Bytes that are written at once.
const PIECE: usize = 256 << 10;

/// Characters of a file's name that are kept.
const MAX_NAME: usize = 255;

/// What a form says, as far as it was read.
#[derive(Default)]
struct Form {
    file: Option<Received>,
    purpose: Option<String>,
    anchor: Option<String>,
    seconds: Option<String>,
}

/// A file on the disk that is nobody's yet: without an owner it goes, and the room that it took.
struct Received {
    id: String,
    path: PathBuf,
    name: String,
    room: Room,
    is_kept: bool,
}

impl Received {
    /// It has an owner.
    fn keep(&mut self) {
        self.is_kept = true;
        self.room.keep();
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) async fn upload(State(service): State<Service>, request: Request) -> Result<Response, Fault> {
    let kind = request.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("multipart/form-data") {
        body::discard(&service, request).await;
        return Err(Fault::invalid(
            "a file is sent as multipart/form-data, with the fields `file` and `purpose` (curl -F file=@requests.jsonl -F purpose=batch)",
        ));
    }
    // The file, and what of it or beside it is dropped.
    let most = service.settings().batch_file_limit.saturating_add(4 * DROPPED as u64);
    let form = read(&service, Coming::new(&service, request, most).await?).await?;
    let (mut received, expires_after) = form.checked()?;
    let answer = of_store(&service, move |store| {
        store.has_place()?;
        let file = FileRecord::new(
            received.id.clone(),
            received.room.bytes(),
            received.name.clone(),
            Purpose::Batch,
            expires_after,
        );
        let file = store.keep_file(file).map_err(|error| trouble(&error))?;
        received.keep();
        json::write(&file)
    });
    answer.await.map(as_json)
}

impl Form {
    /// The file, and the seconds after which it goes, if the client asked for that.
    fn checked(self) -> Result<(Received, Option<u64>), Fault> {
        let missing =
            |field: &'static str| Fault::invalid(format!("the form has no field `{field}`")).param(field);
        let received = self.file.ok_or_else(|| missing("file"))?;
        let purpose = self.purpose.ok_or_else(|| missing("purpose"))?;
        if purpose != "batch" {
            return Err(Fault::invalid("`purpose` is `batch`: this server keeps files for nothing else")
                .param("purpose"));
        }
        let expires_after = match (self.anchor.as_deref(), self.seconds) {
            (None, None) => None,
            (Some("created_at"), Some(seconds)) => {
                Some(seconds.parse().ok().filter(|seconds| EXPIRY.contains(seconds)).ok_or_else(|| {
                    let (least, most) = (EXPIRY.start(), EXPIRY.end());
                    Fault::invalid(format!("`expires_after[seconds]` is not a number from {least} to {most}"))
                        .param("expires_after[seconds]")
                })?)
            }
            _ => {
                let message =
                    "`expires_after[anchor]` is `created_at`, and `expires_after[seconds]` is with it";
                return Err(Fault::invalid(message).param("expires_after[anchor]"));
            }
        };
        Ok((received, expires_after))
    }
}

/// The whole form. Also what is refused is read, so that a client that sends first and listens then hears why.
async fn read(service: &Service, mut coming: Coming<'_>) -> Result<Form, Fault> {
    let mut form = Form::default();
    let mut refusal = None;
    while let Some(part) = coming.field().await? {
        let done = match part.name().as_str() {
            "file" if form.file.is_some() => Err(twice("file")),
            "file" => receive(service, part).await.map(|received| form.file = Some(received)),
            "purpose" => text(part, &mut form.purpose).await,
            "expires_after[anchor]" => text(part, &mut form.anchor).await,
            "expires_after[seconds]" => text(part, &mut form.seconds).await,
            // Fields that are not known are not looked at.
            _ => skip(part, 0).await,
        };
        match done {
            // Nothing more will come, or too much has.
            Err(fault) if fault.kind == FaultKind::Stalled || fault.kind == FaultKind::BodyTooLarge => {
                return Err(fault);
            }
            Err(fault) => refusal = refusal.or(Some(fault)),
            Ok(()) => {}
        }
    }
    refusal.map_or(Ok(form), Err)
}

fn twice(field: &str) -> Fault {
    Fault::invalid(format!("the form has the field `{field}` twice")).param(field)
}

/// A field of a few words.
async fn text(mut part: Part<'_>, into: &mut Option<String>) -> Result<(), Fault> {
    let name = part.name();
    let mut bytes = Vec::new();
    while let Some(data) = part.chunk().await? {
        bytes.extend_from_slice(&data);
        if bytes.len() > MAX_FIELD {
            skip(part, bytes.len()).await?;
            return Err(Fault::invalid(format!("the field `{name}` is too long")).param(name));
        }
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Fault::invalid(format!("the field `{name}` is no UTF-8")).param(name.clone()))?;
    into.replace(text).map_or(Ok(()), |_| Err(twice(&name)))
}

/// Drops the rest of a field, up to what anybody may send for nothing.
async fn skip(mut part: Part<'_>, mut length: usize) -> Result<(), Fault> {
    while let Some(data) = part.chunk().await? {
        length += data.len();
        if length > DROPPED {
            return Err(Fault::new(
                FaultKind::BodyTooLarge,
                "a field of the form that is not used is too large",
            ));
        }
    }
    Ok(())
}

/// A file, to the disk.
async fn receive(service: &Service, mut part: Part<'_>) -> Result<Received, Fault> {
    let limit = service.settings().batch_file_limit;
    let store = store(service)?;
    let id = store.new_id("file-");
    // Shown to clients, and never the name of a file here.
    let name: String = part.field.file_name().unwrap_or("requests.jsonl").chars().take(MAX_NAME).collect();
    let received = Received { path: store.part(&id), id, name, room: Room::new(&store, 0), is_kept: false };
    let mut writing = Writing { received, file: None, buffer: Vec::new() };
    while let Some(data) = part.chunk().await? {
        let size = data.len() as u64;
        match take(&store, size).await {
            Ok(room) => writing.received.room.grow(room),
            Err(full) => {
                drop(writing);
                skip(part, 0).await?;
                return Err(Fault::from(full).param("file"));
            }
        }
        if writing.received.room.bytes() > limit {
            drop(writing);
            let message = format!(
                "the file is larger than {}, the limit that --max-batch-file-mb sets; make several files of it",
                mib(usize::try_from(limit).unwrap_or(usize::MAX))
            );
            skip(part, 0).await?;
            return Err(Fault::new(FaultKind::BodyTooLarge, message).param("file"));
        }
        writing.buffer.extend_from_slice(&data);
        if writing.buffer.len() >= PIECE {
            writing = match writing.flush(false).await {
                Ok(writing) => writing,
                Err(error) => {
                    skip(part, 0).await?;
                    return Err(trouble(&error));
                }
            };
        }
    }
    let done = writing.flush(true).await.map_err(|error| trouble(&error))?;
    Ok(done.received)
}

/// Room for more of it, without holding up a socket where files have to go first.
async fn take(store: &Arc<Store>, bytes: u64) -> Result<Room, Full> {
    let full = match store.take_now(bytes) {
        Ok(room) => return Ok(room),
        Err(full) => full,
    };
    let store = store.clone();
    tokio::task::spawn_blocking(move || store.take(bytes)).await.unwrap_or(Err(full))
}

/// A file on its way to the disk.
struct Writing {
    received: Received,
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Writing {
    /// Writes what is there, without holding up a socket; at the end for good.
    async fn flush(mut self, end: bool) -> io::Result<Self> {
        let written = tokio::task::spawn_blocking(move || {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(File::create(&self.received.path)?),
            };
            let mut buffer = mem::take(&mut self.buffer);
            file.write_all(&buffer)?;
            buffer.clear();
            self.buffer = buffer;
            if end {
                file.sync_all()?;
            }
            Ok(self)
        });
        written.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn room_for_a_client_that_went_is_there_for_others() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let store = Arc::new(Store::open(folder.path(), 10).expect("it opens"));
        let old = FileRecord::new(store.new_id("file-"), 8, "a".to_owned(), Purpose::Batch, None);
        fs::write(store.part(&old.id), b"12345678").expect("written");
        store.take(8).expect("room").keep();
        store.keep_file(old.clone()).expect("kept");
        store.kept().files.get_mut(&old.id).expect("it is there").expires_at = Some(1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        {
            let _enters = runtime.enter();
            // Until the client has gone, the old file cannot go, so the room is not there yet.
            let held = store.kept();
            let mut taking = Box::pin(take(&store, 3));
            assert!(taking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(taking);
            drop(held);
        }
        while store.content(&old.id).exists() {
            std::thread::yield_now();
        }
        // It waits for what was begun aside.
        drop(runtime);
        assert_eq!(store.take(10).map(|room| room.bytes()).map_err(|full| full.message()), Ok(10));
    }
}
