//! Text Embeddings Inference's protocol:
//! <https://huggingface.github.io/text-embeddings-inference/>.

use std::ops::Range;

use connote::{Input, Truncation};
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::ask::{Ask, Done, Door};
use crate::extras::with_extras;
use crate::fault::{Fault, FaultKind};
use crate::json::{self, Content, Count, Inputs, Texts};
use crate::models::Served;
use crate::tokens::{self, with_special_tokens};

/// `POST /embed`, and `POST /`.
pub(crate) const EMBED: Door<()> = Door { read: embed, write: vectors };

/// `POST /embed_all`: a vector a token.
pub(crate) const EMBED_ALL: Door<()> = Door { read: embed_all, write: token_vectors };

with_extras! {
    pub(crate) struct Asked {
        inputs: Inputs,
        model: Option<String>,
        #[serde(default, deserialize_with = "json::choice")]
        truncation_direction: Option<Direction>,
        normalize: Option<bool>,
        dimensions: Option<Count>,
    }
}

/// Where a text that is too long is cut. huggingface_hub writes it small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Direction {
    #[serde(alias = "left")]
    Left,
    #[serde(alias = "right")]
    Right,
}

fn embed(service: &Service, body: &[u8]) -> Result<(Ask, ()), Fault> {
    read(service, body, false)
}

fn embed_all(service: &Service, body: &[u8]) -> Result<(Ask, ()), Fault> {
    read(service, body, true)
}

fn read(service: &Service, body: &[u8], per_token: bool) -> Result<(Ask, ()), Fault> {
    let mut asked: Asked = json::read(body)?;
    let extras = asked.extras();
    let chosen = service.models().choose(asked.model.as_deref())?;
    let model = chosen.served.embedder.model();
    let contents = asked.inputs.into_contents();
    if contents.is_empty() {
        let message = "`inputs` is an empty array; give one text at least";
        return Err(Fault::new(FaultKind::Empty, message).param("inputs"));
    }
    let input = |content| match content {
        Content::Text(text) => extras.titled(Input::new(text)),
        Content::Ids(ids) => extras.titled(Input::from_ids(with_special_tokens(model, ids))),
    };
    let inputs = contents.into_iter().map(input).collect();
    // Token vectors are as the network gives them, as TEI's are.
    let normalize = asked.normalize.unwrap_or(!per_token);
    let mut options = extras.options(&chosen, Truncation::Error, asked.dimensions)?.normalize(normalize);
    if (extras.truncate, asked.truncation_direction) == (Some(Truncation::End), Some(Direction::Left)) {
        options = options.truncation(Truncation::Start);
    }
    Ok((
        Ask {
            served: chosen.served,
            inputs,
            options,
            priority: extras.priority,
            per_token,
            json_only: false,
        },
        (),
    ))
}

fn vectors(done: &Done, (): &()) -> Result<Vec<u8>, Fault> {
    json::write(&done.vectors())
}

fn token_vectors(done: &Done, (): &()) -> Result<Vec<u8>, Fault> {
    let vectors: Vec<Vec<&[f32]>> = done.embeddings.iter().map(|one| one.rows().collect()).collect();
    json::write(&vectors)
}

with_extras! {
    pub(crate) struct ToTokenize {
        inputs: Texts,
        model: Option<String>,
        add_special_tokens: Option<bool>,
    }
}

#[derive(Serialize)]
struct Token {
    id: u32,
    text: String,
    special: bool,
    /// Where it begins and ends in the text, in bytes; what comes from elsewhere has none.
    start: Option<usize>,
    stop: Option<usize>,
}

/// `POST /tokenize` with `inputs`.
pub(crate) fn tokenize(service: &Service, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut asked: ToTokenize = json::read(body)?;
    let extras = asked.extras();
    let chosen = service.models().choose(asked.model.as_deref())?;
    let model = chosen.served.embedder.model();
    let task = extras.task(chosen.task)?;
    let around = asked.add_special_tokens.unwrap_or(true);
    let tokens_of = |text: &String| -> Result<Vec<Token>, Fault> {
        let (ids, offsets) = tokens::located(model, text, task.clone(), around)?;
        let token = |(tokens::Token { id, text, special }, bytes): (_, Option<Range<usize>>)| {
            let (start, stop) = bytes.map(|bytes| (bytes.start, bytes.end)).unzip();
            Token { id, text, special, start, stop }
        };
        Ok(tokens::described(model, &ids).into_iter().zip(offsets).map(token).collect())
    };
    json::write(&asked.inputs.into_vec().iter().map(tokens_of).collect::<Result<Vec<_>, Fault>>()?)
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToDecode {
    ids: Inputs,
    model: Option<String>,
    skip_special_tokens: Option<bool>,
}

/// `POST /decode`.
pub(crate) fn decode(service: &Service, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let asked: ToDecode = json::read(body)?;
    let chosen = service.models().choose(asked.model.as_deref())?;
    let skip = asked.skip_special_tokens.unwrap_or(true);
    let text = |content| match content {
        Content::Ids(ids) => tokens::decode(chosen.served.embedder.model(), &ids, skip),
        Content::Text(_) => Err(Fault::invalid("`ids` are token ids, not texts").param("ids")),
    };
    json::write(&asked.ids.into_contents().into_iter().map(text).collect::<Result<Vec<String>, Fault>>()?)
}

/// What it does, as TEI says it.
fn model_type(served: &Served) -> serde_json::Value {
    match served.reranker() {
        Ok(reranker) if served.is_reranker() => {
            let labels = || reranker.labels().iter().enumerate();
            let by_id: serde_json::Map<_, _> =
                labels().map(|(id, label)| (id.to_string(), label.as_str().into())).collect();
            let by_label: serde_json::Map<_, _> =
                labels().map(|(id, label)| (label.clone(), id.into())).collect();
            serde_json::json!({ "reranker": { "id2label": by_id, "label2id": by_label } })
        }
        _ => serde_json::json!({ "embedding": { "pooling": served.embedder.pooling().to_string() } }),
    }
}

/// `GET /info`: of the first model.
pub(crate) fn info(service: &Service) -> Result<Vec<u8>, Fault> {
    let served = service.models().first();
    let embedder = &served.embedder;
    json::write(&serde_json::json!({
        "model_id": served.name,
        "model_sha": served.fingerprint,
        "model_dtype": "gguf",
        "model_type": model_type(served),
        "served_model_name": served.name,
        "max_input_length": embedder.model().max_tokens(),
        "max_batch_tokens": service.settings().queue_tokens,
        "max_batch_requests": null,
        // No bound of their own: bytes and tokens are bounded.
        "max_client_batch_size": u32::MAX,
        "max_concurrent_requests": u32::MAX,
        "auto_truncate": false,
        "tokenization_workers": embedder.threads(),
        "version": env!("CARGO_PKG_VERSION"),
        "sha": null,
        "docker_label": null,
    }))
}
