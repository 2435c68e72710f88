//! Ollama's protocol: <https://github.com/ollama/ollama/blob/main/docs/api.md>.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use connote::{Input, Model, Truncation, gguf};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Service;
use crate::ask::{Ask, Done, Door};
use crate::extras::{Extras, with_extras};
use crate::fault::Fault;
use crate::json::{self, Count, Texts};
use crate::models::Served;

/// `POST /api/embed`.
pub(crate) const EMBED: Door<String> = Door { read: embed, write: vectors };

/// `POST /api/embeddings`, the older route of one text.
pub(crate) const EMBEDDINGS: Door<()> = Door { read: embeddings, write: vector };

/// What a version of Ollama's API this is; clients ask for it before they use newer routes.
const API_VERSION: &str = "0.12.0";

with_extras! {
    pub(crate) struct Asked {
        model: Option<String>,
        #[serde(default)]
        input: Option<Texts>,
        dimensions: Option<Count>,
        options: Option<ModelOptions>,
    }
}

with_extras! {
    pub(crate) struct AskedOne {
        model: Option<String>,
        prompt: Option<String>,
        dimensions: Option<Count>,
        options: Option<ModelOptions>,
    }
}

/// What Ollama lets a request set of the model. All but this is about memory and writing text.
#[derive(Debug, Deserialize)]
struct ModelOptions {
    /// The longest text in tokens.
    num_ctx: Option<f64>,
}

impl ModelOptions {
    /// The limit in tokens; Ollama takes 4 for less. What is no count of any is no limit.
    fn limit(&self) -> Option<usize> {
        self.num_ctx.filter(|&tokens| tokens >= 1.0).map(|tokens| (tokens as usize).max(4))
    }
}

fn embed(service: &Service, body: &[u8]) -> Result<(Ask, String), Fault> {
    let mut asked: Asked = json::read_replacing(body)?;
    let extras = asked.extras();
    // Without texts it asks whether the model is there, which is how clients of Ollama have one loaded.
    let texts = asked.input.map(Texts::into_vec).unwrap_or_default();
    let limit = asked.options.and_then(|options| options.limit());
    let ask = ask(service, &extras, asked.model.as_deref(), texts, asked.dimensions, limit)?;
    let name = asked.model.unwrap_or_else(|| ask.served.name.clone());
    Ok((ask, name))
}

fn embeddings(service: &Service, body: &[u8]) -> Result<(Ask, ()), Fault> {
    let mut asked: AskedOne = json::read_replacing(body)?;
    let extras = asked.extras();
    let texts = asked.prompt.into_iter().collect();
    let limit = asked.options.and_then(|options| options.limit());
    Ok((ask(service, &extras, asked.model.as_deref(), texts, asked.dimensions, limit)?, ()))
}

fn ask(
    service: &Service,
    extras: &Extras,
    model: Option<&str>,
    texts: Vec<String>,
    dimensions: Option<Count>,
    limit: Option<usize>,
) -> Result<Ask, Fault> {
    let chosen = service.models().choose(model)?;
    // 0 is how Ollama says all.
    let dimensions = dimensions.filter(|&Count(dimensions)| dimensions > 0);
    // Its clients expect texts to be cut.
    let mut options = extras.options(&chosen, Truncation::End, dimensions)?;
    if let Some(limit) = limit {
        // Clients send one number for all their models: it never asks for more than a model takes.
        options = options.max_tokens(limit.min(chosen.served.embedder.model().max_tokens()));
    }
    if texts.is_empty() {
        // A title that no text could have is refused as it is beside a text.
        let titled = extras.titled(Input::new(""));
        let fits = chosen.served.embedder.model().tokenize(&titled, &options);
        fits.map_err(|error| Fault::from(&error))?;
    }
    let inputs = texts.into_iter().map(|text| extras.titled(Input::new(text))).collect();
    Ok(Ask {
        served: chosen.served,
        inputs,
        options,
        priority: extras.priority,
        per_token: false,
        json_only: false,
    })
}

#[derive(Serialize)]
struct Answer<'a> {
    model: &'a str,
    embeddings: Vec<&'a [f32]>,
    /// Nanoseconds.
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: usize,
}

#[derive(Serialize)]
struct AnswerOne<'a> {
    /// Of no values where no text was sent.
    embedding: &'a [f32],
}

fn vectors(done: &Done, model: &String) -> Result<Vec<u8>, Fault> {
    json::write(&Answer {
        model,
        embeddings: done.vectors(),
        total_duration: u64::try_from(done.took.as_nanos()).unwrap_or(u64::MAX),
        // It is loaded.
        load_duration: 0,
        prompt_eval_count: done.tokens(),
    })
}

fn vector(done: &Done, (): &()) -> Result<Vec<u8>, Fault> {
    json::write(&AnswerOne { embedding: done.vectors().first().copied().unwrap_or_default() })
}

/// `GET /api/version`.
pub(crate) fn version() -> Result<Vec<u8>, Fault> {
    json::write(&json!({ "version": API_VERSION }))
}

/// `GET /api/tags`: the models that are served.
pub(crate) fn tags(service: &Service) -> Result<Vec<u8>, Fault> {
    list(service, |_, _| {})
}

/// `GET /api/ps`: those that are loaded, which are all.
pub(crate) fn running(service: &Service) -> Result<Vec<u8>, Fault> {
    list(service, |served, model| {
        // Never unloaded: as far off as keep_alive -1 is with Ollama.
        model.insert("expires_at".to_owned(), json!("2318-01-01T00:00:00Z"));
        model.insert("size_vram".to_owned(), json!(0));
        model.insert("context_length".to_owned(), json!(served.embedder.model().max_tokens()));
    })
}

fn list(service: &Service, more: impl Fn(&Served, &mut Map<String, Value>)) -> Result<Vec<u8>, Fault> {
    let mut models = Vec::new();
    for served in service.models().all() {
        let bytes: usize = served.embedder.model().gguf().shards().map(gguf::Shard::len).sum();
        let mut model = Map::new();
        model.insert("name".to_owned(), json!(served.name));
        model.insert("model".to_owned(), json!(served.name));
        model.insert("modified_at".to_owned(), json!(rfc3339(served.since)));
        model.insert("size".to_owned(), json!(bytes));
        model.insert("digest".to_owned(), json!(served.fingerprint));
        model.insert("details".to_owned(), details(served));
        model.insert("capabilities".to_owned(), json!(served.capabilities()));
        more(served, &mut model);
        models.push(Value::Object(model));
    }
    json::write(&json!({ "models": models }))
}

fn details(served: &Served) -> Value {
    let model = served.embedder.model();
    let architecture = &model.config().architecture;
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": architecture,
        "families": [architecture],
        "parameter_size": parameters(count(model)),
        "quantization_level": main_type(model),
    })
}

/// Parameters of a model.
fn count(model: &Model) -> u64 {
    model.gguf().tensors().map(|tensor| tensor.elements()).sum()
}

/// The type that most of its parameters have.
fn main_type(model: &Model) -> String {
    let mut types: HashMap<String, u64> = HashMap::new();
    for tensor in model.gguf().tensors() {
        *types.entry(tensor.ty().name().to_owned()).or_default() += tensor.elements();
    }
    types.into_iter().max_by_key(|(_, count)| *count).map_or_else(String::new, |(name, _)| name)
}

/// A number of parameters as people write it.
fn parameters(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{:.2}K", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2}M", count as f64 / 1e6),
        _ => format!("{:.1}B", count as f64 / 1e9),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToShow {
    model: Option<String>,
    /// Its older name.
    name: Option<String>,
}

/// `POST /api/show`.
pub(crate) fn show(service: &Service, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let asked: ToShow = json::read_replacing(body)?;
    let served = service.models().choose(asked.model.or(asked.name).as_deref())?.served;
    let model = served.embedder.model();
    let architecture = &model.config().architecture;
    let mut info = Map::new();
    info.insert("general.architecture".to_owned(), json!(architecture));
    info.insert("general.name".to_owned(), json!(model.name()));
    info.insert("general.parameter_count".to_owned(), json!(count(model)));
    info.insert(format!("{architecture}.context_length"), json!(model.context_length()));
    if !served.is_reranker() {
        info.insert(format!("{architecture}.embedding_length"), json!(model.dimensions()));
        info.insert(format!("{architecture}.pooling"), json!(served.embedder.pooling().to_string()));
    }
    json::write(&json!({
        "modelfile": format!("FROM {}", served.name),
        // The limit that texts are cut at, as Ollama writes a parameter: the file's own length, which is that of its table of
        // positions, may be more than its authors trained.
        "parameters": format!("{:<30} {}", "num_ctx", model.max_tokens()),
        "template": "",
        "details": details(&served),
        "model_info": info,
        "capabilities": served.capabilities(),
        "modified_at": rfc3339(served.since),
    }))
}

/// A time as RFC 3339 has it, in whole seconds of UTC.
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of a day counted from 1970: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that a leap day is the last of its year; eras of 400 years are alike.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(at(1_764_057_600), "2025-11-25T08:00:00Z");
    }
}
