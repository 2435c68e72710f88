//! Any bytes as the body of a request, on every route that takes one: an answer that keeps the server's promises, or a refusal
//! in the shape of the route's protocol.
#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connote::Embedder;
use connote_server::{Service, Settings, router};
use connote_testkit::http_bodies::Posted;
use connote_testkit::tiny::{self, GemmaKind};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use tower::ServiceExt;

fuzz_target!(|data: &[u8]| {
    let Some(posted) = Posted::read(data) else { return };
    let mut address = posted.route.as_bytes().to_vec();
    if let Some(query) = posted.query {
        address = [&address, b"?".as_slice(), query].concat();
    }
    let Ok(address) = Uri::try_from(address) else { return };
    // The part before a fragment or a foreign `?` decides; another path is another request.
    if address.path() != posted.route {
        return;
    }
    let request = Request::post(address)
        .header("content-type", posted.content_type)
        .header("accept", posted.accept)
        .body(Body::from(posted.body.to_vec()))
        .expect("a request");
    let (runtime, router) = server();
    let (status, headers, body) = runtime.block_on(async {
        let response = router.clone().oneshot(request).await.expect("a router always answers");
        let (head, body) = response.into_parts();
        (head.status, head.headers, to_bytes(body, usize::MAX).await.expect("an answer to its end"))
    });
    if status == StatusCode::OK {
        answered(&posted, &headers, &body);
    } else {
        refused(&posted, status, &body);
    }
});

/// A server of a tiny random model whose vocabulary has every byte.
fn server() -> &'static (Runtime, Router) {
    static SERVER: OnceLock<(Runtime, Router)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let model = connote::Model::from_bytes(tiny::gemma(0, GemmaKind::WithHeads)).expect("a valid file");
        let embedder = Arc::new(Embedder::builder().threads(1).load(model).expect("it loads"));
        let service = Service::new(vec![("m".to_owned(), embedder)], Settings::default()).expect("served");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        (runtime, router(service))
    })
}

fn is_teis(route: &str) -> bool {
    matches!(route, "/" | "/embed" | "/embed_all" | "/decode" | "/tokenize")
}

/// A refusal: of a kind that bodies can cause, in the shape that the protocol's clients read.
fn refused(posted: &Posted<'_>, status: StatusCode, body: &Bytes) {
    let said: Value = serde_json::from_slice(body).expect("a refusal is JSON");
    let teis = is_teis(posted.route);
    let known = matches!(status.as_u16(), 400 | 404) || matches!(status.as_u16(), 413 | 422) && teis;
    assert!(known, "{posted:?}: {status} {said}");
    let error = &said["error"];
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let tei = text(error) && text(&said["error_type"]);
    let llama = text(&error["message"]) && text(&error["type"]) && error["code"] == status.as_u16();
    let openai = text(&error["message"]) && text(&error["type"]) && text(&error["code"]);
    let fits = match posted.route {
        "/tokenize" => tei || llama,
        "/embeddings" => openai || llama,
        "/embedding" | "/detokenize" => llama,
        route if route.starts_with("/api/") => text(error),
        _ if teis => tei,
        _ => openai,
    };
    assert!(fits, "{posted:?}: {status} {said}");
}

fn answered(posted: &Posted<'_>, headers: &HeaderMap, body: &Bytes) {
    if !posted.route.contains("embed") && posted.route != "/" {
        serde_json::from_slice::<Value>(body).expect("an answer is JSON");
        return;
    }
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).expect("it has a type");
    if posted.content_type == "application/x-ndjson" {
        assert_eq!(kind, "application/x-ndjson");
        return streamed(posted, body);
    }
    let inputs = inputs(posted);
    assert_eq!(kind, posted.accept);
    match kind {
        "application/octet-stream" | "application/vnd.apache.arrow.stream" => {
            let number = |name: &str| -> usize {
                headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok()).expect("a number")
            };
            let rows = number("x-count");
            assert!(if posted.route == "/embed_all" { rows >= inputs } else { rows == inputs }, "{posted:?}");
            if kind == "application/octet-stream" {
                assert_eq!(body.len(), rows * number("x-dimensions") * 4);
                let values = body.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                let values: Vec<f32> = values.collect();
                values.chunks(number("x-dimensions").max(1)).for_each(|row| sound(posted, row));
            }
        }
        "application/x-ndjson" => {
            let lines = lines(body);
            assert_eq!(lines.len(), inputs, "{posted:?}");
            lines.iter().for_each(|line| vectors(posted, line.embedding.as_ref().expect("a vector")));
        }
        _ => in_json(posted, &serde_json::from_slice(body).expect("an answer is JSON"), inputs),
    }
}

/// The protocol's own form.
fn in_json(posted: &Posted<'_>, answer: &Value, inputs: usize) {
    let list: Vec<&Value> = match posted.route {
        "/api/embed" => answer["embeddings"].as_array().expect("a list").iter().collect(),
        // Without a text Ollama's clients load a model, and get no values.
        "/api/embeddings" if inputs == 0 => answer["embedding"].as_array().expect("a list").iter().collect(),
        "/api/embeddings" => vec![&answer["embedding"]],
        _ if answer.is_object() => {
            answer["data"].as_array().expect("a list").iter().map(|one| &one["embedding"]).collect()
        }
        _ => {
            let items = answer.as_array().expect("a list").iter();
            items.map(|one| if one.is_object() { &one["embedding"] } else { one }).collect()
        }
    };
    assert_eq!(list.len(), inputs, "{posted:?}: {answer}");
    list.into_iter().for_each(|one| vectors(posted, one));
}

/// Streams: a line for every line that is not blank, and each a vector or why there is none.
fn streamed(posted: &Posted<'_>, body: &Bytes) {
    let is_row = |(index, line): &(usize, &[u8])| {
        let line = if *index == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        !std::str::from_utf8(line).is_ok_and(|line| line.trim().is_empty())
    };
    let rows = posted.body.split(|&byte| byte == b'\n').enumerate().filter(is_row).count();
    let lines = lines(body);
    assert_eq!(lines.len(), rows, "{posted:?}");
    for Line { id, embedding, error } in lines {
        assert_ne!(id.get(), "null", "a line that is no text's");
        match (embedding, error) {
            (Some(embedding), None) => vectors(posted, &embedding),
            (None, Some(error)) => {
                let wanted = ["invalid_json", "invalid_request", "invalid_utf8", "no_tokens", "too_long"];
                assert!(wanted.contains(&error["kind"].as_str()), "{posted:?}: {error:?}");
                assert!(!error["message"].is_empty());
            }
            _ => panic!("{posted:?}: neither a vector nor an error"),
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    embedding: Option<Value>,
    error: Option<HashMap<String, String>>,
}

fn lines(body: &Bytes) -> Vec<Line<'_>> {
    let ends = body.is_empty() || body.ends_with(b"\n");
    assert!(ends, "the last line has its end");
    let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("a line is JSON")).collect()
}

/// Fields of the body as they are written: one that the route does not read may hold anything. A byte order mark may come first.
fn fields<'a>(posted: &Posted<'a>) -> serde_json::Result<HashMap<String, &'a RawValue>> {
    serde_json::from_slice(posted.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(posted.body))
}

/// Texts of a request that was answered.
fn inputs(posted: &Posted<'_>) -> usize {
    let fields = fields(posted).expect("what was answered was read");
    let field = |name: &str| -> Option<Value> {
        let value = serde_json::from_str(fields.get(name)?.get()).expect("what was answered was read");
        Some(value).filter(|value: &Value| !value.is_null())
    };
    let value = match posted.route {
        "/api/embeddings" => return field("prompt").map_or(0, |_| 1),
        "/embed" | "/embed_all" | "/" => field("inputs"),
        // It has no other name for them: a request without is to load the model.
        "/api/embed" => field("input"),
        _ => field("input").or_else(|| field("content")),
    };
    match value {
        // Without a text Ollama's clients load a model.
        None if posted.route == "/api/embed" => 0,
        None => panic!("what was answered has texts"),
        Some(Value::Array(items)) if items.is_empty() || !items.iter().any(Value::is_number) => items.len(),
        Some(_) => 1,
    }
}

/// Whether the vectors are asked for as integers, which OpenAI's routes have.
fn in_fewer_bits(posted: &Posted<'_>) -> bool {
    let fields = fields(posted).unwrap_or_default();
    let openais = matches!(posted.route, "/v1/embeddings" | "/embeddings");
    openais && fields.get("output_dtype").is_some_and(|dtype| !matches!(dtype.get(), "null" | "\"float\""))
}

/// A vector as numbers or base64, or a list of them.
fn vectors(posted: &Posted<'_>, value: &Value) {
    match value {
        // In fewer bits: any bytes, and zeros too.
        Value::String(text) if in_fewer_bits(posted) => drop(STANDARD.decode(text).expect("base64")),
        Value::Array(items) if in_fewer_bits(posted) && items.iter().all(Value::is_i64) => {}
        Value::String(text) => {
            let bytes = STANDARD.decode(text).expect("base64");
            let values: Vec<f32> =
                bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            sound(posted, &values);
        }
        Value::Array(items) if items.first().is_some_and(Value::is_array) => {
            items.iter().for_each(|one| vectors(posted, one));
        }
        Value::Array(items) => {
            let values: Vec<f32> = items.iter().map(|item| item.as_f64().expect("a number") as f32).collect();
            sound(posted, &values);
        }
        other => panic!("{posted:?}: no vector: {other}"),
    }
}

fn sound(posted: &Posted<'_>, vector: &[f32]) {
    let finite = vector.iter().all(|value| value.is_finite());
    assert!(finite && vector.iter().any(|value| *value != 0.0), "{posted:?}: {vector:?}");
}
