//! `POST /v1/embeddings`, as OpenAI has it: <https://platform.openai.com/docs/api-reference/embeddings/create>.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connote::{CancellationToken, Embedder, Embedding, ErrorKind, Input, Options, Request, Truncation};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// What a client asks for. `model`, `user` and fields that are not known are not looked at.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    texts: Vec<String>,
    encoding: Encoding,
    dimensions: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Encoding {
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
    /// Of the values' bytes, little-endian.
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// From the body of a request to the body of its answer. Takes as long as the engine does.
pub(crate) fn embeddings(
    embedder: &Embedder,
    body: &[u8],
    token: &CancellationToken,
) -> Result<Vec<u8>, Refusal> {
    let Asked { texts, encoding, dimensions } = Asked::read(body)?;
    let model = embedder.model();
    // A client of this protocol does not hear that a text was cut, so none is.
    let mut options = Options::new().truncation(Truncation::Error);
    if let Some(dimensions) = dimensions {
        model.check_dimensions(Some(dimensions)).map_err(|error| Refusal::of(&error, "dimensions"))?;
        options = options.dimensions(dimensions);
    }
    let request = Request::new(&texts).with(options.clone()).cancellation(token);
    let embeddings = embedder.embed(request).map_err(|error| refused(embedder, &texts, &options, &error))?;

    let tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
    let item =
        |(index, embedding)| Item { object: "embedding", index, embedding: encoding.vector(embedding) };
    let answer = Answer {
        object: "list",
        data: embeddings.iter().enumerate().map(item).collect(),
        model: model.name(),
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    };
    serde_json::to_vec(&answer)
        .map_err(|error| Refusal::fault(format!("the answer cannot be written: {error}")))
}

/// Why the engine did not take the texts.
fn refused(embedder: &Embedder, texts: &[String], options: &Options, error: &connote::Error) -> Refusal {
    let refusal = Refusal::of(error, "input");
    let text = error.index().and_then(|index| Some((index, texts.get(index)?)));
    match (error.kind(), text) {
        // The library's advice, another truncation policy, is not to be had here.
        (ErrorKind::TooLong, Some((index, text))) => {
            let model = embedder.model();
            let tokens = model.tokenize(&Input::from(text), options).map_or(0, |ids| ids.len());
            let message = format!(
                "input {index}: the text has {tokens} tokens and the model `{}` takes {} at most; shorten or split it",
                model.name(),
                model.max_tokens()
            );
            Refusal::bad(message).param("input").code("context_length_exceeded")
        }
        _ => refusal,
    }
}

impl Encoding {
    fn vector<'a>(&self, embedding: &'a Embedding) -> Vector<'a> {
        match self {
            Encoding::Float => Vector::Float(&embedding.vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = embedding.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                Vector::Base64(STANDARD.encode(bytes))
            }
        }
    }
}

impl Asked {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        // Field by field, so that a refusal can name the field and the text.
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(body).map_err(|error| {
            let what = if error.is_data() { "is not a JSON object" } else { "is not valid JSON" };
            Refusal::bad(format!("the body of the request {what}: {error}")).code("invalid_json")
        })?;
        let field = |name| fields.get(name).map(|value| value.get()).filter(|value| *value != "null");
        let input = field("input")
            .ok_or_else(|| bad_input("`input` is missing: a text, or an array of texts".to_owned()))?;
        Ok(Self {
            texts: texts(input)?,
            encoding: field("encoding_format").map_or(Ok(Encoding::Float), encoding)?,
            dimensions: field("dimensions").map(dimensions).transpose()?,
        })
    }
}

/// Texts a request may have, as with OpenAI.
const MOST_INPUTS: usize = 2048;

fn texts(input: &str) -> Result<Vec<String>, Refusal> {
    if !input.starts_with('[') {
        return Ok(vec![text(0, input)?]);
    }
    let items: Vec<&RawValue> = serde_json::from_str(input).map_err(|error| bad_input(error.to_string()))?;
    if items.len() > MOST_INPUTS {
        let what = format!("`input` has {} texts; a request takes {MOST_INPUTS}, send several", items.len());
        return Err(bad_input(what));
    }
    if items.is_empty() {
        return Err(bad_input("`input` is an empty array; give one text at least".to_owned()));
    }
    items.iter().enumerate().map(|(index, item)| text(index, item.get())).collect()
}

fn text(index: usize, value: &str) -> Result<String, Refusal> {
    match kind(value) {
        "a string" => serde_json::from_str(value)
            .map_err(|error| bad_input(format!("input {index}: the string is not text: {error}"))),
        "a number" | "an array" => Err(bad_input(format!(
            "input {index}: is {}, and token ids are not taken; send the text itself (LangChain does with \
             check_embedding_ctx_length=False)",
            kind(value)
        ))),
        other => Err(bad_input(format!("input {index}: is {other}; give a string"))),
    }
}

fn encoding(value: &str) -> Result<Encoding, Refusal> {
    match serde_json::from_str::<String>(value).as_deref() {
        Ok("float") => Ok(Encoding::Float),
        Ok("base64") => Ok(Encoding::Base64),
        _ => {
            Err(Refusal::bad("`encoding_format` is neither \"float\" nor \"base64\"")
                .param("encoding_format"))
        }
    }
}

fn dimensions(value: &str) -> Result<usize, Refusal> {
    let message = "`dimensions` is not a whole number from 1 on";
    serde_json::from_str(value).map_err(|_| Refusal::bad(message).param("dimensions"))
}

fn bad_input(message: String) -> Refusal {
    Refusal::bad(message).param("input").code("invalid_input")
}

/// What kind of value a valid JSON text is.
fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
