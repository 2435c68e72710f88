//! What a request for embeddings gets.

use std::slice;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connote::{Embedder, Request};
use serde_json::{Value, json};
use testkit::edit::Edit;
use testkit::tiny::{self, GemmaKind, GemmaSize};

use crate::client::Client;
use crate::{EMBEDDER, Running, client};

const TEXTS: [&str; 3] = ["hello world", "", "How do plants eat? Emoji \u{1F331} too."];

/// What the library gives for them, one by one.
fn wanted() -> Vec<Vec<f32>> {
    TEXTS.iter().map(|text| EMBEDDER.embed_one(*text).expect("a vector").vector).collect()
}

fn bits(vectors: &[Vec<f32>]) -> Vec<Vec<u32>> {
    vectors.iter().map(|vector| vector.iter().map(|value| value.to_bits()).collect()).collect()
}

#[test]
fn the_vectors_are_the_librarys_to_the_bit() {
    let answer = client().embed(&json!({ "input": TEXTS, "model": "any" }));
    assert_eq!(bits(&answer.vectors()), bits(&wanted()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let single = client().embed(&json!({ "input": TEXTS[0] }));
    assert_eq!(bits(&single.vectors()), bits(&wanted()[..1]));
}

#[test]
fn the_answer_has_openais_form() {
    let answer = client().embed(&json!({ "input": TEXTS, "model": "text-embedding-3-small" })).json();
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&answer), ["data", "model", "object", "usage"]);
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!(EMBEDDER.model().name())));
    // Special tokens count.
    let tokens: usize = TEXTS.iter().map(|text| EMBEDDER.embed_one(*text).expect("a vector").tokens).sum();
    assert_eq!(answer["usage"], json!({ "prompt_tokens": tokens, "total_tokens": tokens }));
    for (index, item) in answer["data"].as_array().expect("a list").iter().enumerate() {
        assert_eq!(keys(item), ["embedding", "index", "object"]);
        assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(index)));
    }
    let usage = &client().embed(&json!({ "input": "hello world" })).json()["usage"];
    assert_eq!(usage, &json!({ "prompt_tokens": 4, "total_tokens": 4 }));
}

#[test]
fn base64_holds_the_same_floats() {
    let answer = client().embed(&json!({ "input": TEXTS, "encoding_format": "base64" })).json();
    let decode = |item: &Value| -> Vec<f32> {
        let bytes = STANDARD.decode(item["embedding"].as_str().expect("a string")).expect("base64");
        bytes.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().expect("four"))).collect()
    };
    let vectors: Vec<Vec<f32>> = answer["data"].as_array().expect("a list").iter().map(decode).collect();
    assert_eq!(bits(&vectors), bits(&wanted()));
    let float = client().embed(&json!({ "input": TEXTS, "encoding_format": "float" }));
    assert_eq!(bits(&float.vectors()), bits(&wanted()));
}

#[test]
fn fields_that_do_not_matter_are_ignored() {
    let body = json!({
        "input": TEXTS[0], "user": {"any": "thing"}, "model": null, "dimensions": null, "encoding_format": null,
        "input_type": "query", "extra": [1, [2, {}]],
    });
    assert_eq!(bits(&client().embed(&body).vectors()), bits(&wanted()[..1]));
    // The model's own size is a size it can give.
    let body = json!({ "input": TEXTS[0], "dimensions": 384 });
    assert_eq!(bits(&client().embed(&body).vectors()), bits(&wanted()[..1]));
}

#[test]
fn matryoshka_models_give_fewer_dimensions() {
    // A tiny network that connote takes for the model it knows.
    let size = GemmaSize { layers: 24, dim: 768, kv_heads: 2 };
    let file = Edit::of(&tiny::gemma_of(1, GemmaKind::WithoutHeads, size));
    let file = file.key("general.name", "EmbeddingGemma 300M").bytes();
    let embedder = Arc::new(Embedder::from_bytes(file).expect("it opens"));
    let wanted = embedder.embed(Request::new(["the cat"]).dimensions(256)).expect("a vector").remove(0);
    let server = Running::start(embedder);
    let mut client = Client::connect(server.address);
    let answer = client.embed(&json!({ "input": "the cat", "dimensions": 256 }));
    assert_eq!(wanted.vector.len(), 256);
    assert_eq!(bits(&answer.vectors()), bits(slice::from_ref(&wanted.vector)));
    assert_eq!(answer.json()["model"], "EmbeddingGemma 300M");
    // And on every other route for vectors.
    for (path, field, place) in [
        ("/embed", "inputs", "/0"),
        ("/embedding", "content", "/0/embedding/0"),
        ("/embeddings", "content", "/0/embedding/0"),
        ("/api/embed", "input", "/embeddings/0"),
        ("/api/embeddings", "prompt", "/embedding"),
    ] {
        let body = json!({ field: "the cat", "dimensions": 256 });
        let answer = client.send("POST", path, body.to_string());
        let vector = answer.json().pointer(place).cloned().expect("a vector");
        let vector: Vec<f32> = serde_json::from_value(vector).expect("numbers");
        assert_eq!(bits(&[vector]), bits(slice::from_ref(&wanted.vector)), "{path}");
    }
}

#[test]
fn concurrent_requests_get_the_same_bits() {
    let wanted = bits(&wanted());
    std::thread::scope(|scope| {
        for client_number in 0..8 {
            let wanted = &wanted;
            scope.spawn(move || {
                let mut client = client();
                for request in 0..3 {
                    let place = (client_number + request) % TEXTS.len();
                    let answer = client.embed(&json!({ "input": [TEXTS[place], "another text"] }));
                    assert_eq!(bits(&answer.vectors()[..1]), wanted[place..=place]);
                }
            });
        }
    });
}
