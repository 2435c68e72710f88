//! llama-server's protocol: <https://github.com/ggml-org/llama.cpp/tree/master/tools/server>.

use std::num::NonZeroU32;

use connote::{Input, Model, Norm, SpecialTokens, Truncation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Service;
use crate::ask::{Ask, Done, Door};
use crate::extras::with_extras;
use crate::fault::Fault;
use crate::json::{self, Count, Inputs};
use crate::tokens;

/// `POST /embedding`, and `POST /embeddings` with `content`.
pub(crate) const EMBEDDING: Door<()> = Door { read, write: vectors };

/// The highest p of a norm: llama-server has an `int`.
pub(crate) const MAX_NORM: f64 = i32::MAX as f64;

with_extras! {
    pub(crate) struct Asked {
        #[serde(default)]
        content: Option<Value>,
        #[serde(default)]
        input: Option<Value>,
        model: Option<String>,
        dimensions: Option<Count>,
        embd_normalize: Option<f64>,
    }
}

fn read(service: &Service, body: &[u8]) -> Result<(Ask, ()), Fault> {
    let mut asked: Asked = json::read(body)?;
    let extras = asked.extras();
    let chosen = service.models().choose(asked.model.as_deref())?;
    let model = chosen.served.embedder.model();
    let (field, value) = match (asked.input, asked.content) {
        (Some(input), _) => ("input", input),
        (None, Some(content)) => ("content", content),
        (None, None) => {
            return Err(Fault::invalid("\"input\" or \"content\" must be provided").param("input"));
        }
    };
    let prompts =
        prompts(&value).map_err(|message| Fault::invalid(format!("\"{field}\" {message}")).param(field))?;
    let inputs = prompts.into_iter().map(|prompt| match prompt {
        Prompt::Text(text) => extras.titled(Input::new(text)),
        Prompt::Parts(parts) => {
            extras.titled(Input::from_ids(ids(model, &parts, true, SpecialTokens::Parse)))
        }
    });
    let inputs = inputs.collect();
    let norm = asked.embd_normalize.map_or(Ok(Norm::L2), norm)?;
    let options = extras.options(&chosen, Truncation::Error, asked.dimensions)?.norm(norm);
    let ask = Ask {
        served: chosen.served,
        inputs,
        options,
        priority: extras.priority,
        per_token: false,
        json_only: false,
    };
    Ok((ask, ()))
}

/// The norm of a number, which may be written as `2.0`.
pub(crate) fn norm(number: f64) -> Result<Norm, Fault> {
    if number.fract() != 0.0 || !(-1.0..=MAX_NORM).contains(&number) {
        let message = format!(
            "`embd_normalize` is {number}; it is -1 (none), 0 (largest value), 1, 2 or the p of a norm, a whole number"
        );
        return Err(Fault::invalid(message).param("embd_normalize"));
    }
    Ok(match NonZeroU32::new(number.max(0.0) as u32) {
        Some(p) => Norm::P(p),
        None if number < 0.0 => Norm::None,
        None => Norm::Largest,
    })
}

/// One prompt.
#[derive(Debug, PartialEq)]
enum Prompt {
    Text(String),
    /// Token ids and texts by turns.
    Parts(Vec<Part>),
}

#[derive(Debug, PartialEq)]
enum Part {
    Id(u32),
    Text(String),
}

/// The prompts that a value stands for: an array with an id in it is one, any other array one an element.
fn prompts(value: &Value) -> Result<Vec<Prompt>, String> {
    match value {
        Value::Array(items) if items.is_empty() => Err("must not be empty".to_owned()),
        Value::Array(items) if !items.iter().any(Value::is_number) => items
            .iter()
            .enumerate()
            .map(|(index, item)| prompt(item).map_err(|why| format!("{index} {why}")))
            .collect(),
        one => Ok(vec![prompt(one)?]),
    }
}

fn prompt(value: &Value) -> Result<Prompt, String> {
    match value {
        Value::String(text) => Ok(Prompt::Text(text.clone())),
        Value::Array(items) if !items.is_empty() => {
            let part = |item: &Value| match item {
                Value::String(text) => Ok(Part::Text(text.clone())),
                Value::Number(number) => {
                    let id = number.as_u64().or_else(|| json::whole(number.as_f64()?));
                    let id = id.and_then(|id| u32::try_from(id).ok());
                    id.map(Part::Id).ok_or_else(|| format!("has {number}, which is no token id"))
                }
                other => Err(format!("has {other} among token ids and strings")),
            };
            items.iter().map(part).collect::<Result<_, _>>().map(Prompt::Parts)
        }
        Value::Object(fields) => {
            let foreign = ["multimodal_data", "multimodal"];
            if foreign.iter().any(|name| fields.get(*name).is_some_and(|data| !data.is_null())) {
                return Err("has images or sound, and the model reads text".to_owned());
            }
            if let Some(Value::String(text)) = fields.get("prompt_string") {
                return Ok(Prompt::Text(text.clone()));
            }
            let Some(Value::Array(parts)) = fields.get("content") else { return Err(FORMS.to_owned()) };
            let text = |part: &Value| match (part["type"].as_str(), part["text"].as_str()) {
                (Some("text"), Some(text)) => Ok(text.to_owned()),
                (kind, _) => Err(format!(
                    "has a part of the type `{}`; the model reads parts of the type `text`",
                    kind.unwrap_or("none")
                )),
            };
            parts
                .iter()
                .map(text)
                .collect::<Result<Vec<String>, _>>()
                .map(|texts| Prompt::Text(texts.concat()))
        }
        _ => Err(FORMS.to_owned()),
    }
}

const FORMS: &str = "must be a string, token ids, both by turns, an object with `prompt_string` or with text parts in `content`, \
                     or an array of those";

/// The ids of a prompt in parts: where special tokens are asked for `around`, they stand around a first part that is text, as
/// llama-server has it.
fn ids(model: &Model, parts: &[Part], around: bool, special: SpecialTokens) -> Vec<u32> {
    let mut ids = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        match part {
            Part::Id(id) => ids.push(*id),
            Part::Text(text) => {
                let own = model.tokenizer().encode(text, special);
                if around && place == 0 {
                    ids.extend(model.tokenizer().prefix());
                    ids.extend(own);
                    ids.extend(model.tokenizer().suffix());
                } else {
                    ids.extend(own);
                }
            }
        }
    }
    ids
}

#[derive(Serialize)]
struct Item<'a> {
    index: usize,
    /// Always a list of vectors, here of one.
    embedding: [&'a [f32]; 1],
}

fn vectors(done: &Done, (): &()) -> Result<Vec<u8>, Fault> {
    let item = |(index, vector)| Item { index, embedding: [vector] };
    json::write(&done.vectors().into_iter().enumerate().map(item).collect::<Vec<Item<'_>>>())
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToTokenize {
    content: Option<Value>,
    model: Option<String>,
    add_special: Option<bool>,
    parse_special: Option<bool>,
    with_pieces: Option<bool>,
}

/// `POST /tokenize` with `content`.
pub(crate) fn tokenize(service: &Service, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let asked: ToTokenize = json::read(body)?;
    let chosen = service.models().choose(asked.model.as_deref())?;
    let model = chosen.served.embedder.model();
    let special = match asked.parse_special {
        Some(false) => SpecialTokens::PlainText,
        _ => SpecialTokens::Parse,
    };
    let around = asked.add_special.unwrap_or(false);
    let prompt = match asked.content {
        // No content, and an array of none, have no tokens with llama-server.
        None => Prompt::Parts(Vec::new()),
        Some(Value::Array(parts)) if parts.is_empty() => Prompt::Parts(Vec::new()),
        Some(content) => {
            prompt(&content).map_err(|why| Fault::invalid(format!("`content` {why}")).param("content"))?
        }
    };
    let ids = match prompt {
        Prompt::Text(text) => tokens::tokenize(model, &text, around, special)?,
        Prompt::Parts(parts) => {
            let ids = ids(model, &parts, around, special);
            tokens::check(model, &ids, "content")?;
            ids
        }
    };
    if asked.with_pieces != Some(true) {
        return json::write(&json!({ "tokens": ids }));
    }
    let piece = |(id, piece): (&u32, Result<String, Vec<u8>>)| match piece {
        Ok(text) => json!({ "id": id, "piece": text }),
        Err(bytes) => json!({ "id": id, "piece": bytes }),
    };
    let pieces: Vec<Value> = ids.iter().zip(tokens::pieces(model, &ids)).map(piece).collect();
    json::write(&json!({ "tokens": pieces }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToDetokenize {
    tokens: Inputs,
    model: Option<String>,
}

/// `POST /detokenize`.
pub(crate) fn detokenize(service: &Service, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let asked: ToDetokenize = json::read(body)?;
    let chosen = service.models().choose(asked.model.as_deref())?;
    let ids = match asked.tokens {
        Inputs::Ids(ids) => ids,
        Inputs::Many(contents) if contents.is_empty() => Vec::new(),
        _ => return Err(Fault::invalid("`tokens` is not an array of token ids").param("tokens")),
    };
    json::write(&json!({ "content": tokens::decode(chosen.served.embedder.model(), &ids, false)? }))
}

/// `GET /props`: of the first model.
pub(crate) fn props(service: &Service) -> Result<Vec<u8>, Fault> {
    let served = service.models().first();
    let model = served.embedder.model();
    let piece =
        |id: Option<u32>| id.and_then(|id| model.tokenizer().piece(id)).map(|piece| piece.into_owned());
    let mut props = json!({
        "default_generation_settings": { "n_ctx": model.max_tokens(), "params": {} },
        "total_slots": served.embedder.explain(&[1]).cpus,
        "model_alias": served.name,
        "model_path": model.path().map(|path| path.display().to_string()),
        "bos_token": piece(model.tokenizer().bos()),
        "eos_token": piece(model.tokenizer().eos()),
        "chat_template": "",
        "modalities": { "vision": false, "audio": false },
        "build_info": concat!("connote ", env!("CARGO_PKG_VERSION")),
        "is_sleeping": false,
        "capabilities": served.capabilities(),
    });
    if !served.is_reranker() {
        props["pooling"] = json!(served.embedder.pooling().to_string());
        props["n_embd"] = json!(model.dimensions());
    }
    json::write(&props)
}
