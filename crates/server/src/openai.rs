//! OpenAI's protocol: <https://platform.openai.com/docs/api-reference/embeddings/create>.

use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connote::{Embedding, Input, Norm, Truncation};
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::ask::{Ask, Done, Door};
use crate::extras::with_extras;
use crate::fault::Fault;
use crate::formats;
use crate::json::{self, Content, Count, Inputs};
use crate::llama;
use crate::models::Served;
use crate::output_dtype::{self, OutputDtype};
use crate::settings::TokenIds;
use crate::tokens::with_special_tokens;

/// `POST /v1/embeddings`.
pub(crate) const EMBEDDINGS: Door<Form> = Door { read: embeddings, write: answer };

with_extras! {
    /// The body of a request. `user` and fields that are not known are not looked at.
    pub(crate) struct Asked {
        input: Inputs,
        model: Option<String>,
        #[serde(default, deserialize_with = "json::choice")]
        encoding_format: Option<Encoding>,
        #[serde(default, deserialize_with = "json::choice")]
        output_dtype: Option<OutputDtype>,
        dimensions: Option<Count>,
        /// llama-server's, which has it on OpenAI's route as well.
        embd_normalize: Option<f64>,
        #[serde(default, deserialize_with = "json::choice")]
        token_ids: Option<TokenIds>,
    }
}

/// How vectors are written.
pub(crate) struct Form {
    encoding: Encoding,
    dtype: OutputDtype,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    #[default]
    Float,
    Base64,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Float(&'a [f32]),
    Integers(Vec<i16>),
    /// Of the values' bytes, floats little-endian.
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

fn embeddings(service: &Service, body: &[u8]) -> Result<(Ask, Form), Fault> {
    let mut asked: Asked = json::read(body)?;
    let extras = asked.extras();
    let chosen = service.models().choose(asked.model.as_deref())?;
    let model = chosen.served.embedder.model();
    let ids_are_ours = asked.token_ids.unwrap_or(service.settings().token_ids) == TokenIds::Model;
    let contents = asked.input.into_contents();
    if contents.is_empty() {
        return Err(Fault::invalid("`input` is an empty array; give one text at least").param("input"));
    }
    let input = |content| match content {
        Content::Text(text) => Ok(extras.titled(Input::new(text))),
        Content::Ids(ids) if ids_are_ours => {
            Ok(extras.titled(Input::from_ids(with_special_tokens(model, ids))))
        }
        Content::Ids(_) => Err(foreign_ids()),
    };
    let inputs = contents.into_iter().map(input).collect::<Result<Vec<Input>, Fault>>()?;
    // A client of this protocol does not hear that a text was cut, so none is unless it asks for it.
    let norm = asked.embd_normalize.map_or(Ok(Norm::L2), llama::norm)?;
    let options = extras.options(&chosen, Truncation::Error, asked.dimensions)?.norm(norm);
    let form = Form {
        encoding: asked.encoding_format.unwrap_or_default(),
        dtype: asked.output_dtype.unwrap_or_default(),
    };
    let json_only = form.dtype != OutputDtype::Float;
    let ask = Ask {
        served: chosen.served,
        inputs,
        options,
        priority: extras.priority,
        per_token: false,
        json_only,
    };
    Ok((ask, form))
}

fn foreign_ids() -> Fault {
    Fault::invalid(
        "`input` has token ids, and not of this model's vocabulary unless you say so: in OpenAI's they are other words. \
         Send the texts themselves (LangChain's OpenAIEmbeddings does with check_embedding_ctx_length=False), or say \
         \"token_ids\": \"model\" if the ids come from this server's /tokenize",
    )
    .param("input")
}

fn answer(done: &Done, form: &Form) -> Result<Vec<u8>, Fault> {
    let tokens = done.tokens();
    let item = |(index, embedding)| Item { object: "embedding", index, embedding: form.vector(embedding) };
    json::write(&Answer {
        object: "list",
        data: done.embeddings.iter().enumerate().map(item).collect(),
        model: &done.served.name,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    })
}

impl Form {
    fn vector<'a>(&self, embedding: &'a Embedding) -> Vector<'a> {
        match (self.encoding, self.dtype.integers(&embedding.vector)) {
            (Encoding::Float, None) => Vector::Float(&embedding.vector),
            (Encoding::Float, Some(integers)) => Vector::Integers(integers),
            (Encoding::Base64, None) => {
                Vector::Base64(STANDARD.encode(formats::little_endian(&embedding.vector)))
            }
            (Encoding::Base64, Some(integers)) => {
                Vector::Base64(STANDARD.encode(output_dtype::bytes(&integers)))
            }
        }
    }
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Described<'a>>,
}

/// A model as OpenAI lists it, and what its users need to know.
#[derive(Serialize)]
struct Described<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// The model's own name.
    name: &'a str,
    capabilities: Vec<&'static str>,
    /// Not of a reranker, which gives no vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    /// How token vectors become one: a choice of the file, or of the operator. As the dimensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pooling: Option<String>,
    /// The longest text in tokens; vLLM calls it so.
    max_model_len: usize,
    fingerprint: &'a str,
}

/// `GET /v1/models`.
pub(crate) fn list(service: &Service) -> Result<Vec<u8>, Fault> {
    let data = service.models().all().iter().map(|served| describe(served)).collect();
    json::write(&List { object: "list", data })
}

/// `GET /v1/models/ID`: by every name of its own that a request for vectors may have for it. Whatever else is taken where one model
/// is served is not there, as clients that look for a name expect.
pub(crate) fn retrieve(service: &Service, id: &str) -> Result<Vec<u8>, Fault> {
    let served = service.models().retrieve(id)?;
    json::write(&describe(&served))
}

fn describe(served: &Served) -> Described<'_> {
    let model = served.embedder.model();
    let gives_vectors = !served.is_reranker();
    Described {
        id: &served.name,
        object: "model",
        created: served.since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        owned_by: "connote",
        name: model.name(),
        capabilities: served.capabilities(),
        dimensions: gives_vectors.then(|| model.dimensions()),
        pooling: gives_vectors.then(|| served.embedder.pooling().to_string()),
        max_model_len: model.max_tokens(),
        fingerprint: &served.fingerprint,
    }
}
