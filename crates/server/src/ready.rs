//! Whether it should be sent requests: `GET /health/ready`.
//!
//! Every model computes a short text twice before the first request is taken. A probe reads what came of it, looks whether the
//! models' files are as they were, and computes nothing: however busy the engine is, it is answered at once, and a server under
//! load is not taken for a dead one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use connote::{Embedder, Embedding, RankRequest, Reranker};
use serde_json::json;

use crate::Service;
use crate::models::Models;

/// How long a probe waits for the disk.
const PATIENCE: Duration = Duration::from_millis(500);

/// What every model computes.
const TEXT: &str = "Is it ready?";

/// What a service knows of itself.
pub(crate) struct Readiness {
    standing: Mutex<Standing>,
    /// Held by who looks at the models' files.
    looking: Mutex<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Ready,
    /// The self-check failed, or a model's file was changed, and why that is said.
    Failed(String),
    /// It takes no more requests.
    Stopping,
}

impl Readiness {
    /// Checks all models.
    pub(crate) fn check(models: &Models) -> Self {
        let failed = models.all().iter().find_map(|served| {
            let fault = match served.reranker() {
                Ok(reranker) if served.is_reranker() => scores(reranker).err()?,
                _ => computes(&served.embedder).err()?,
            };
            Some(format!("the self-check of the model `{}` failed: {fault}", served.name))
        });
        let checked = Self { standing: Mutex::new(Standing::Ready), looking: Mutex::default() };
        failed.into_iter().for_each(|reason| checked.fail(reason));
        checked
    }

    /// For good: a file that is changed back may have been read in between.
    fn fail(&self, reason: String) {
        let mut standing = self.standing();
        if *standing == Standing::Ready {
            tracing::error!(target: "connote::ready", reason, "not ready");
            *standing = Standing::Failed(reason);
        }
    }

    /// Looks at the models' files, unless somebody does.
    fn look(&self, models: &Models) {
        let Ok(_one) = self.looking.try_lock() else { return };
        if let Some(path) = models.all().iter().find_map(|served| served.embedder.model().changed_in_place())
        {
            self.fail(format!(
                "the model's file {} was changed in place since it was opened, so vectors may be wrong; start the server again, and \
                 replace files by renaming others into their place",
                path.display()
            ));
        }
    }

    /// From now on it ends.
    pub(crate) fn stop(&self) {
        *self.standing() = Standing::Stopping;
    }

    /// Why it is not ready.
    pub(crate) fn reason(&self) -> Option<String> {
        match &*self.standing() {
            Standing::Ready => None,
            Standing::Failed(reason) => Some(reason.clone()),
            Standing::Stopping => Some("the server is stopping".to_owned()),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Computes the short text twice.
fn computes(embedder: &Embedder) -> Result<(), String> {
    let one = || embedder.embed_one(TEXT).map_err(|error| error.to_string());
    sound(&one()?, &one()?, embedder.dimensions())
}

/// Scores a pair twice: the row alone would say nothing of the head.
fn scores(reranker: &Reranker) -> Result<(), String> {
    let one = || {
        // Any label will do: all outputs are computed.
        let request = RankRequest::new(TEXT, [TEXT]).label(&reranker.labels()[0]);
        let scores = reranker.score_each(request).map_err(|error| error.to_string())?;
        let first = scores.into_iter().next().ok_or("it gave no score")?;
        // What is not finite is an error already.
        let logits = first.map_err(|error| error.to_string())?.logits;
        Ok::<_, String>(logits.iter().map(|logit| logit.to_bits()).collect::<Vec<_>>())
    };
    if one()? != one()? {
        return Err("the same pair had another score the second time".to_owned());
    }
    Ok(())
}

/// Whether a vector that was computed twice can be one.
fn sound(first: &Embedding, again: &Embedding, dimensions: usize) -> Result<(), String> {
    let vector = &first.vector;
    if vector.len() != dimensions {
        return Err(format!("its vector has {} values instead of {dimensions}", vector.len()));
    }
    if !vector.iter().all(|value| value.is_finite()) {
        return Err("its vector is not finite".to_owned());
    }
    if vector.iter().all(|value| *value == 0.0) {
        return Err("its vector is zero".to_owned());
    }
    let bits =
        |embedding: &Embedding| embedding.vector.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    if bits(first) != bits(again) {
        return Err("the same text had another vector the second time".to_owned());
    }
    Ok(())
}

/// `GET /health/live`: that this is answered is the answer.
pub(crate) async fn live() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}

/// `GET /health/ready`: 200, or 503 with a reason.
pub(crate) async fn ready(State(service): State<Service>) -> Response {
    let looking = service.clone();
    // A panic there says nothing of the files, and neither does a disk that does not answer: what is known is said.
    let look = tokio::task::spawn_blocking(move || looking.readiness().look(looking.models()));
    let _ = tokio::time::timeout(PATIENCE, look).await;
    let (status, body) = match service.readiness().reason() {
        None => (StatusCode::OK, json!({ "status": "ready" })),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not ready", "reason": reason })),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Embedding {
        Embedding { vector: values.to_vec(), dimensions: 2, tokens: 5, truncated: false }
    }

    #[test]
    fn a_vector_that_cannot_be_one_is_not_sound() {
        let good = of(&[0.6, -0.8]);
        assert_eq!(sound(&good, &good, 2), Ok(()));
        for (first, again, what) in [
            (of(&[1.0]), good.clone(), "1 values instead of 2"),
            (of(&[0.6, f32::NAN]), good.clone(), "not finite"),
            (of(&[f32::INFINITY, 0.0]), good.clone(), "not finite"),
            (of(&[0.0, -0.0]), good.clone(), "zero"),
            (good.clone(), of(&[0.6, -0.800_000_1]), "the second time"),
        ] {
            let fault = sound(&first, &again, 2).expect_err(what);
            assert!(fault.contains(what), "{fault}");
        }
    }
}
