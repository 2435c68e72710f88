//! OpenAI's Batch API: <https://platform.openai.com/docs/api-reference/batch>.
//!
//! The way of a batch: `upload` streams a file of requests (`coming`) to the operator's folder, `jobs` makes a batch of it, `work` reads
//! its lines (`input`), asks each as `POST /v1/embeddings` would (`answer`), and commits what is done (`results`); `files` hands the
//! results out. `store` is the folder, `record` what is in it, `room` what may come.

mod answer;
mod coming;
mod files;
mod input;
mod jobs;
mod page;
mod record;
mod results;
mod room;
mod store;
mod strangers;
mod upload;
mod work;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::fault::{Fault, FaultKind};
use crate::{Error, Service, ask};
use store::Store;

#[cfg(test)]
pub(crate) use jobs::Asked;
pub(crate) use page::{MOST_BATCHES, MOST_FILES};
pub(crate) use record::{EXPIRY, Status};

/// The one endpoint that a batch can be for.
pub(crate) const ENDPOINT: &str = "/v1/embeddings";

/// The one time in which OpenAI promises a batch; here it is done as soon as there is room.
pub(crate) const WINDOW: &str = "24h";

/// Files and batches of a folder. Dropped, the work on them ends, and goes on when the folder is opened again.
pub(crate) struct Batches(Arc<Store>);

impl Batches {
    /// Takes a folder, which no other server has then, for so many bytes of files.
    pub(crate) fn open(folder: &Path, limit: u64) -> Result<Self, Error> {
        let store = Store::open(folder, limit).map_err(|why| Error::BatchFolder(folder.to_owned(), why))?;
        Ok(Self(Arc::new(store)))
    }

    /// Begins with what was left unfinished; ends when the service is dropped or stops.
    pub(crate) fn start(&self, service: &Service) -> Result<(), Error> {
        work::start(self.0.clone(), Arc::downgrade(&service.0)).map_err(Error::System)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The routes, where the operator named a folder.
pub(crate) fn routes(service: &Service) -> Router<Service> {
    if service.batches().is_none() {
        return Router::new();
    }
    Router::new()
        .route(
            "/v1/files",
            // The limit is the operator's, and the file is streamed.
            post(upload::upload).layer(DefaultBodyLimit::disable()).get(files::list),
        )
        .route("/v1/files/{id}", get(files::retrieve).delete(files::delete))
        .route("/v1/files/{id}/content", get(files::content))
        .route("/v1/batches", post(jobs::create).get(jobs::list))
        .route("/v1/batches/{id}", get(jobs::retrieve))
        .route("/v1/batches/{id}/cancel", post(jobs::cancel))
        .route_layer(from_fn_with_state(service.clone(), strangers::refuse))
}

/// What to say of a path that would be one of [`routes`], if a folder had been named.
pub(crate) fn off(service: &Service, path: &str) -> Option<&'static str> {
    let is_one =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let off = service.batches().is_none() && ["/v1/files", "/v1/batches"].into_iter().any(is_one);
    off.then_some(
        "files and batches are off; start the server with `connote serve --batch-folder DIR`, which keeps them in DIR",
    )
}

/// What the folder says, without holding up a socket while the disk is slow.
async fn of_store<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce(&Store) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let store = store(service)?;
    let done = tokio::task::spawn_blocking(move || work(&store));
    done.await.unwrap_or_else(|_| Err(Fault::internal(ask::FELL)))
}

fn store(service: &Service) -> Result<Arc<Store>, Fault> {
    let batches = service.batches().ok_or_else(|| Fault::internal("there is no folder for batches"))?;
    Ok(batches.0.clone())
}

fn no_file(id: &str) -> Fault {
    let message = format!("there is no file `{id}`; GET /v1/files lists those there are");
    Fault::new(FaultKind::NotFound, message).param("id")
}

fn no_batch(id: &str) -> Fault {
    let message = format!("there is no batch `{id}`; GET /v1/batches lists those there are");
    Fault::new(FaultKind::NotFound, message).param("id")
}
