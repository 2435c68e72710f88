//! TEI's, Ollama's and llama-server's routes: their shapes, their refusals, and the library's vectors in all of them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connote::{Embedder, Input, Options, Request, Task};
use connote_server::{Service, Settings, TokenIds};
use serde_json::{Value, json};
use testkit::edit::Edit;
use testkit::tiny::{self, GemmaKind, GemmaSize};

use crate::client::{Answer, Client};
use crate::{EMBEDDER, Running, client};

pub(crate) const TEXTS: [&str; 2] = ["a cat on the mat", "hello world"];

/// A tiny network that connote takes for a model with prompts.
pub(crate) fn gemma() -> Arc<Embedder> {
    let size = GemmaSize { layers: 24, dim: 768, kv_heads: 2 };
    let file = Edit::of(&tiny::gemma_of(1, GemmaKind::WithoutHeads, size));
    let file = file.key("general.name", "EmbeddingGemma 300M").bytes();
    Arc::new(Embedder::from_bytes(file).expect("it opens"))
}

pub(crate) fn wanted(text: &str) -> Vec<f32> {
    EMBEDDER.embed_one(text).expect("a vector").vector
}

fn post(path: &str, body: &Value) -> Answer {
    client().send("POST", path, body.to_string())
}

pub(crate) fn floats(value: &Value) -> Vec<f32> {
    value.as_array().expect("a vector").iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

#[test]
fn every_protocol_gives_the_librarys_bits() {
    let both = json!(TEXTS);
    let of = |path: &str, body: Value, vectors: fn(&Value) -> Vec<&Value>| {
        let answer = post(path, &body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{path}: {text}");
        let json = answer.json();
        let got: Vec<Vec<f32>> = vectors(&json).into_iter().map(floats).collect();
        assert_eq!(got, TEXTS.map(wanted), "{path}");
        assert!(answer.header("x-embedding-fingerprint").is_some_and(|print| !print.is_empty()));
        assert!(answer.header("server-timing").is_some_and(|timing| timing.contains("engine;dur=")));
    };
    let array: fn(&Value) -> Vec<&Value> = |json| json.as_array().expect("a list").iter().collect();
    for path in ["/embed", "/"] {
        of(path, json!({ "inputs": both }), array);
    }
    of("/api/embed", json!({ "model": "m", "input": both }), |json| {
        json["embeddings"].as_array().expect("a list").iter().collect()
    });
    let llamas: fn(&Value) -> Vec<&Value> =
        |json| json.as_array().expect("a list").iter().map(|item| &item["embedding"][0]).collect();
    of("/embedding", json!({ "content": both }), llamas);
    of("/embedding", json!({ "input": both }), llamas);
    of("/embeddings", json!({ "content": both }), llamas);
    of("/embeddings", json!({ "input": both }), |json| {
        json["data"].as_array().expect("a list").iter().map(|item| &item["embedding"]).collect()
    });
    let one = post("/api/embeddings", &json!({ "prompt": TEXTS[0] })).json();
    assert_eq!(floats(&one["embedding"]), wanted(TEXTS[0]));
}

#[test]
fn vectors_come_as_octets_and_as_arrow() {
    let ask = |accept: &str| {
        let body = json!({ "input": TEXTS }).to_string();
        client().send_with("POST", "/v1/embeddings", &format!("Accept: {accept}\r\n"), body)
    };
    let octets = ask("application/octet-stream");
    assert_eq!(octets.header("content-type"), Some("application/octet-stream"));
    assert_eq!((octets.header("x-count"), octets.header("x-dimensions")), (Some("2"), Some("384")));
    let values: Vec<f32> = octets
        .body
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")))
        .collect();
    assert_eq!(values, TEXTS.map(wanted).concat());
    let arrow = ask("application/vnd.apache.arrow.stream, */*;q=0.1");
    assert_eq!(arrow.header("content-type"), Some("application/vnd.apache.arrow.stream"));
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert!(
        arrow.body.windows(bytes.len()).any(|window| window == bytes),
        "the vectors lie in it as they are"
    );
    assert_eq!(ask("*/*").header("content-type"), Some("application/json"));
}

#[test]
fn vectors_come_in_fewer_bits() {
    let ask = |dtype: &str, encoding: &str| {
        let body = json!({ "input": TEXTS, "output_dtype": dtype, "encoding_format": encoding });
        let answer = post("/v1/embeddings", &body);
        assert_eq!(answer.status, 200, "{dtype}");
        answer.json()["data"].as_array().expect("a list").iter().map(|one| one["embedding"].clone()).collect()
    };
    for (dtype, width, offset) in
        [("int8", 384, 0), ("uint8", 384, 128), ("ubinary", 48, 0), ("binary", 48, -128)]
    {
        let vectors: Vec<Value> = ask(dtype, "float");
        let in_base64: Vec<Value> = ask(dtype, "base64");
        for (text, (vector, base64)) in TEXTS.into_iter().zip(vectors.iter().zip(in_base64)) {
            let found: Vec<i64> = serde_json::from_value(vector.clone()).expect("integers");
            assert_eq!(found.len(), width, "{dtype}");
            let floats = wanted(text);
            let plain: Vec<i64> = found.iter().map(|integer| integer - offset).collect();
            if width == 384 {
                // Of a vector of length 1 the scale is known.
                let length = plain.iter().map(|&integer| (integer * integer) as f32).sum::<f32>().sqrt();
                let close = plain
                    .iter()
                    .zip(&floats)
                    .all(|(&integer, value)| (integer as f32 / length - value).abs() < 2e-3);
                assert!(close, "{dtype}: {plain:?}");
                assert_eq!(plain.iter().map(|integer| integer.abs()).max(), Some(127));
            } else {
                for (place, value) in floats.iter().enumerate() {
                    assert_eq!(plain[place / 8] >> (7 - place % 8) & 1 == 1, *value > 0.0, "{dtype} {place}");
                }
            }
            let bytes = STANDARD.decode(base64.as_str().expect("base64")).expect("base64");
            assert_eq!(bytes, found.iter().map(|&integer| integer as u8).collect::<Vec<u8>>(), "{dtype}");
        }
    }
    let body = json!({ "input": TEXTS, "output_dtype": "int8" }).to_string();
    let refused = client().send_with("POST", "/v1/embeddings", "Accept: application/octet-stream\r\n", body);
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("output_dtype")));
}

#[test]
fn a_vector_that_is_none_is_withheld_in_every_form() {
    for value in [f32::NAN, 0.0] {
        let file = Edit::of(&tiny::gemma(1, GemmaKind::WithHeads));
        let file = file.tensor("dense_3.weight", &[44, 20], &[value; 44 * 20]).bytes();
        let embedder = Arc::new(Embedder::from_bytes(file).expect("it opens"));
        let server = Running::start(embedder);
        let mut client = Client::connect(server.address);
        for (path, body) in [
            ("/v1/embeddings", json!({ "input": ["cat", "the cat"] })),
            ("/embed", json!({ "inputs": ["cat", "the cat"] })),
            ("/api/embed", json!({ "input": ["cat", "the cat"] })),
            ("/embedding", json!({ "content": ["cat", "the cat"], "embd_normalize": 3 })),
        ] {
            for accept in
                ["application/json", "application/octet-stream", "application/vnd.apache.arrow.stream"]
            {
                let accept = format!("Accept: {accept}\r\n");
                let answer = client.send_with("POST", path, &accept, body.to_string());
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                let status = if path == "/embed" { 424 } else { 500 };
                assert!(answer.status == status && text.contains("withheld"), "{path}: {text}");
            }
        }
    }
}

#[test]
fn octets_of_tokens_are_of_one_text() {
    let ask = |inputs: Value, accept: &str| {
        let body = json!({ "inputs": inputs }).to_string();
        client().send_with("POST", "/embed_all", &format!("Accept: {accept}\r\n"), body)
    };
    let one = ask(json!("hello world"), "application/octet-stream");
    assert_eq!((one.status, one.header("x-count"), one.body.len()), (200, Some("4"), 4 * 384 * 4));
    let two = ask(json!(TEXTS), "application/octet-stream");
    let message = two.json()["error"].as_str().expect("words").to_owned();
    assert!(two.status == 422 && message.contains("arrow"), "{message}");
    assert_eq!(ask(json!(TEXTS), "application/vnd.apache.arrow.stream").status, 200);
}

#[test]
fn answers_say_which_task_they_are_of() {
    let server = Running::start(gemma());
    let mut client = Client::connect(server.address);
    for (body, task) in [
        (json!({ "input": "the cat" }), "none"),
        (json!({ "input": "the cat", "input_type": "search_query" }), "query"),
        (json!({ "input": "the cat", "title": "T" }), "document"),
        (json!({ "input": "the cat", "model": "m:clustering" }), "clustering"),
    ] {
        assert_eq!(client.embed(&body).header("x-task"), Some(task), "{body}");
    }
}

#[test]
fn a_vector_a_token_and_the_tokens_they_belong_to() {
    let all = post("/embed_all", &json!({ "inputs": TEXTS })).json();
    let tokens = post("/tokenize", &json!({ "inputs": TEXTS })).json();
    for (at, text) in TEXTS.into_iter().enumerate() {
        let ids = EMBEDDER.model().tokenize(&Input::new(text), &Options::new()).expect("ids");
        assert_eq!(all[at].as_array().expect("vectors").len(), ids.len());
        let told: Vec<u32> = tokens[at]
            .as_array()
            .expect("tokens")
            .iter()
            .map(|token| token["id"].as_u64().expect("an id") as u32)
            .collect();
        assert_eq!(told, ids);
        assert_eq!((&tokens[at][0]["text"], &tokens[at][0]["special"]), (&json!("[CLS]"), &json!(true)));
        assert_eq!(tokens[at][1]["special"], false);
        let places = |key: &str| -> Vec<Value> {
            tokens[at].as_array().expect("tokens").iter().map(|token| token[key].clone()).collect()
        };
        let own = EMBEDDER.model().tokens(&Input::new(text), &Options::new()).expect("tokens");
        let bytes: Vec<_> = own.iter().map(|token| token.source.bytes()).collect();
        assert!(bytes[0].is_none() && bytes[1].is_some());
        assert_eq!(
            json!(places("start")),
            json!(bytes.iter().map(|bytes| bytes.as_ref().map(|at| at.start)).collect::<Vec<_>>())
        );
        assert_eq!(
            json!(places("stop")),
            json!(bytes.iter().map(|bytes| bytes.as_ref().map(|at| at.end)).collect::<Vec<_>>())
        );
        // And back.
        assert_eq!(post("/decode", &json!({ "ids": ids })).json(), json!([text]));
        assert_eq!(post("/detokenize", &json!({ "tokens": ids[1..ids.len() - 1] })).json()["content"], text);
        // llama-server's tokens have nothing around them unless asked.
        let plain = post("/tokenize", &json!({ "content": text })).json();
        assert_eq!(plain["tokens"], json!(ids[1..ids.len() - 1]));
        let whole = post("/tokenize", &json!({ "content": text, "add_special": true })).json();
        assert_eq!(whole["tokens"], json!(ids));
    }
    let bare =
        post("/tokenize", &json!({ "inputs": "Na\u{ef}ve caf\u{e9}", "add_special_tokens": false })).json();
    assert_eq!((&bare[0][0]["start"], &bare[0][0]["stop"]), (&json!(0), &json!(6)));
    assert_eq!((&bare[0][1]["start"], &bare[0][1]["stop"]), (&json!(7), &json!(12)));
    assert_eq!(post("/decode", &json!({ "ids": [4_000_000] })).status, 422);
}

#[test]
fn refusals_have_the_shape_of_their_protocol() {
    let long = "cat ".repeat(300);
    let tei = post("/embed", &json!({ "inputs": ["x", long] }));
    assert_eq!((tei.status, &tei.json()["error_type"]), (413, &json!("Validation")));
    for (inputs, status, kind) in [(json!([]), 400, "Empty"), (json!([5, "x"]), 422, "Validation")] {
        let refused = post("/embed", &json!({ "inputs": inputs }));
        assert_eq!((refused.status, &refused.json()["error_type"]), (status, &json!(kind)), "{inputs}");
    }
    assert!(tei.json()["error"].as_str().expect("words").contains("input 1"));
    assert_eq!(post("/embed", &json!({ "inputs": [long], "truncate": true })).status, 200);
    let ollama = post("/api/embed", &json!({ "input": long, "truncate": false }));
    assert!(ollama.status == 400 && ollama.json()["error"].as_str().expect("words").contains("input 0"));
    assert_eq!(
        post("/api/embed", &json!({ "input": long })).status,
        200,
        "Ollama's clients expect it to be cut"
    );
    let llama = post("/embedding", &json!({ "content": long }));
    let error = &llama.json()["error"];
    assert_eq!((llama.status, &error["code"]), (400, &json!(400)));
    assert_eq!((&error["n_prompt_tokens"], &error["n_ctx"]), (&json!(302), &json!(256)));
    for path in ["/embed", "/embedding", "/embeddings", "/decode"] {
        let answer = post(path, &json!({}));
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(
            answer.json()["error"].is_string() || answer.json()["error"]["message"].is_string(),
            "{path}"
        );
    }
}

#[test]
fn ollamas_clients_may_ask_for_a_model_before_they_have_texts() {
    for body in [
        json!({ "model": "m" }),
        json!({ "model": "m", "input": null }),
        json!({ "model": "m", "input": [] }),
    ] {
        let answer = post("/api/embed", &body);
        assert_eq!((answer.status, &answer.json()["embeddings"]), (200, &json!([])), "{body}");
        assert_eq!(answer.json()["model"], "m");
    }
    let older = post("/api/embeddings", &json!({ "model": "m" }));
    assert_eq!((older.status, older.json()), (200, json!({ "embedding": [] })));
    // What no text could have is refused without one, too.
    assert_eq!(post("/api/embed", &json!({ "model": "m", "title": "T" })).status, 400);
    for (accept, length) in
        [("application/octet-stream", Some("0")), ("application/vnd.apache.arrow.stream", None)]
    {
        let accept = format!("Accept: {accept}\r\n");
        let answer = client().send_with("POST", "/api/embed", &accept, r#"{"model": "m"}"#);
        assert_eq!((answer.status, answer.header("x-count")), (200, Some("0")));
        assert!(length.is_none_or(|length| answer.header("content-length") == Some(length)));
    }
    // A text without words is a text.
    let empty = post("/api/embed", &json!({ "input": "" })).json();
    assert_eq!(floats(&empty["embeddings"][0]), wanted(""));
}

#[test]
fn ollamas_context_is_a_limit_in_tokens() {
    let long = "cat ".repeat(300);
    let read = |num_ctx: Value| {
        let answer =
            post("/api/embed", &json!({ "input": long, "options": { "num_ctx": num_ctx, "seed": 1 } }));
        assert_eq!((answer.status, answer.header("x-truncated")), (200, Some("1")), "{num_ctx}");
        answer.json()["prompt_eval_count"].as_u64().expect("a number")
    };
    // Never past the model's own 256; of no use below 4, as Ollama has it.
    for (num_ctx, tokens) in
        [(json!(8), 8), (json!(1), 4), (json!(8192), 256), (json!(0), 256), (json!(null), 256)]
    {
        assert_eq!(read(num_ctx.clone()), tokens, "{num_ctx}");
    }
    let body = json!({ "prompt": long, "options": { "num_ctx": 8 }, "truncate": false });
    let refused = post("/api/embeddings", &body);
    let message = refused.json()["error"].as_str().expect("words").to_owned();
    assert!(
        refused.status == 400 && message.contains("302 tokens") && message.contains("takes 8 at most"),
        "{message}"
    );
    let wrong = post("/api/embed", &json!({ "input": "x", "options": { "num_ctx": "8" } }));
    assert!(wrong.status == 400 && wrong.json()["error"].as_str().expect("words").contains("options"));
}

#[test]
fn the_item_that_is_no_text_is_named() {
    for (path, body, what) in [
        ("/api/embed", json!({ "input": ["a", 5] }), "input 1: invalid type: integer `5`, expected a string"),
        ("/api/embed", json!({ "input": ["a", "b", ["c"]] }), "input 2: invalid type: sequence"),
        (
            "/api/embed",
            json!({ "input": 5 }),
            "`input`: invalid type: integer `5`, expected a string or an array of strings",
        ),
        ("/tokenize", json!({ "inputs": ["a", null] }), "inputs 1: invalid type: null"),
        (
            "/embed",
            json!({ "inputs": "x", "truncation_direction": 1 }),
            "`truncation_direction`: invalid type: integer",
        ),
    ] {
        let answer = post(path, &body);
        let message = answer.json()["error"].as_str().expect("words").to_owned();
        assert!((400..500).contains(&answer.status) && message.contains(what), "{path} {body}: {message}");
    }
}

#[test]
fn what_is_served_is_described() {
    let mut client = client();
    let name = EMBEDDER.model().name();
    let mut get = |path: &str| {
        let answer = client.send("GET", path, "");
        assert_eq!(answer.status, 200, "{path}");
        answer.json()
    };
    let listed = &get("/v1/models")["data"][0];
    assert_eq!((&listed["id"], &listed["max_model_len"]), (&json!(name), &json!(256)));
    assert_eq!((&listed["pooling"], &listed["dimensions"]), (&json!("mean"), &json!(384)));
    assert_eq!(get("/models")["data"][0], *listed);
    assert_eq!(get(&format!("/v1/models/{name}"))["object"], "model");
    assert_eq!(get("/info")["max_input_length"], 256);
    assert_eq!(get("/api/tags")["models"][0]["details"]["quantization_level"], "Q8_0");
    assert_eq!(get("/api/ps")["models"][0]["name"], name);
    assert!(get("/api/version")["version"].is_string());
    assert_eq!(get("/props")["n_embd"], 384);
    let shown = post("/api/show", &json!({ "model": "any" })).json();
    assert_eq!(shown["capabilities"], json!(["embedding"]));
    assert_eq!(shown["model_info"]["bert.embedding_length"], 384);
    // What its file has positions for, and what texts are cut at.
    assert_eq!(shown["model_info"]["bert.context_length"], 512);
    let parameters: Vec<&str> = shown["parameters"].as_str().expect("text").split_whitespace().collect();
    assert_eq!(parameters, ["num_ctx", "256"]);
}

/// Clients ask for a model before they use it, by the name that they use.
#[test]
fn a_model_is_retrieved_by_every_name_that_it_is_asked_for_by() {
    let models = [("notes", EMBEDDER.clone()), ("other", gemma())];
    let models = models.map(|(name, embedder)| (name.to_owned(), embedder)).to_vec();
    let server = Running::start_service(Service::new(models, Settings::default()).expect("it serves"));
    let mut client = Client::connect(server.address);
    for (name, id) in [
        ("notes", "notes"),
        ("NOTES", "notes"),
        ("notes:latest", "notes"),
        ("notes:query", "notes"),
        (EMBEDDER.model().name(), "notes"),
        ("other:custom:law: cases", "other"),
    ] {
        let taken = client.embed(&json!({ "model": name, "input": "the cat" }));
        assert_eq!((taken.status, taken.header("x-model")), (200, Some(id)), "{name}");
        let answer = client.send("GET", &format!("/v1/models/{}", name.replace(' ', "%20")), "");
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id)), "{name}");
    }
    for name in ["none", "none:query"] {
        assert_eq!(client.embed(&json!({ "model": name, "input": "the cat" })).status, 404, "{name}");
        let answer = client.send("GET", &format!("/v1/models/{name}"), "");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("model_not_found")));
    }
    // Where one is served it is meant by any name, and is still not called so.
    let mut client = self::client();
    assert_eq!(client.embed(&json!({ "model": "any", "input": "the cat" })).status, 200);
    assert_eq!(client.send("GET", "/v1/models/any", "").status, 404);
}

/// Ollama is written in Go, whose reader of JSON goes on so.
#[test]
fn half_of_a_character_is_u_fffd_on_ollamas_routes_and_named_on_others() {
    let half = r#"cat \ud83d"#;
    let whole = wanted("cat \u{fffd}");
    let mut client = client();
    let answer = client.send("POST", "/api/embed", format!(r#"{{"input": ["a", "{half}"]}}"#));
    assert_eq!(answer.status, 200);
    assert_eq!(floats(&answer.json()["embeddings"][1]), whole);
    let answer = client.send("POST", "/api/embeddings", format!(r#"{{"prompt": "{half}"}}"#));
    assert_eq!(floats(&answer.json()["embedding"]), whole);
    assert_eq!(client.send("POST", "/api/show", format!(r#"{{"model": "{half}"}}"#)).status, 200);
    // What is wrong beside it is still named.
    let refused = client.send("POST", "/api/embed", format!(r#"{{"input": ["{half}", 5]}}"#));
    assert!(refused.json()["error"].as_str().expect("words").starts_with("input 1: invalid type"));
    for (path, field, status) in
        [("/embed", "inputs", 422), ("/embedding", "content", 400), ("/embeddings", "input", 400)]
    {
        let answer = client.send("POST", path, format!(r#"{{"{field}": ["a", "{half}"]}}"#));
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path}: {said}");
        assert!(said.contains(&format!("{field} 1: it has a lone surrogate")), "{path}: {said}");
    }
}

#[test]
fn the_root_is_a_page_for_browsers_and_a_line_for_others() {
    let mut client = client();
    let line = client.send("GET", "/", "");
    assert_eq!((line.status, line.body.as_slice()), (200, b"Ollama is running".as_slice()));
    client.write("GET / HTTP/1.1\r\nHost: test\r\nAccept: text/html,*/*\r\n\r\n");
    let page = client.read();
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'"))
    );
    for (path, kind) in [("/page.js", "text/javascript"), ("/style.css", "text/css")] {
        let file = client.send("GET", path, "");
        assert!(file.status == 200 && file.header("content-type").is_some_and(|own| own.starts_with(kind)));
    }
}

#[test]
fn token_ids_are_ours_only_when_somebody_says_so() {
    let ids = EMBEDDER.model().tokenize(&Input::new(TEXTS[0]), &Options::new()).expect("ids");
    let bare = &ids[1..ids.len() - 1];
    let foreign = post("/v1/embeddings", &json!({ "input": bare }));
    let message = foreign.json()["error"]["message"].as_str().expect("words").to_owned();
    assert!(foreign.status == 400 && message.contains("check_embedding_ctx_length=False"), "{message}");
    for input in [json!(bare), json!(ids), json!([bare])] {
        let answer = post("/v1/embeddings", &json!({ "input": input, "token_ids": "model" }));
        assert_eq!(answer.vectors(), [wanted(TEXTS[0])], "with and without special tokens");
    }
    let settings = Settings { token_ids: TokenIds::Model, ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut client = Client::connect(server.address);
    assert_eq!(client.embed(&json!({ "input": bare })).vectors(), [wanted(TEXTS[0])]);
    let refused = client.embed(&json!({ "input": bare, "token_ids": "reject" }));
    assert_eq!(refused.status, 400);
}

#[test]
fn ids_have_no_title_so_that_an_answer_is_of_one_space() {
    let server = Running::start(gemma());
    let mut client = Client::connect(server.address);
    for (path, body) in [
        ("/embed", json!({ "inputs": [[2, 3], "hello"], "title": "T" })),
        ("/embed", json!({ "inputs": [2, 3], "title": "T" })),
        ("/embed", json!({ "inputs": [[2, 3], "hello"], "task": "query" })),
        ("/embedding", json!({ "content": [[2, "x"], "hello"], "title": "T" })),
        ("/v1/embeddings", json!({ "input": [[2, 3]], "title": "T", "token_ids": "model" })),
    ] {
        let answer = client.send("POST", path, body.to_string());
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(matches!(answer.status, 400 | 422) && text.contains("token ids"), "{body}: {text}");
    }
    assert_eq!(client.send("POST", "/embed", r#"{"inputs": [[2, 3], "hello"], "title": " "}"#).status, 200);
}

#[test]
fn where_the_prompt_does_not_fit_nobody_is_told_to_cut_the_text() {
    let server = Running::start(gemma());
    let mut client = Client::connect(server.address);
    let task = format!("custom:{}", "case law ".repeat(8));
    let mut message = |truncate: bool| {
        let body = json!({ "inputs": "the cat", "task": task, "truncate": truncate }).to_string();
        let answer = client.send("POST", "/embed", body);
        assert_eq!(answer.status, 413);
        answer.json()["error"].as_str().expect("words").to_owned()
    };
    let cut = message(true);
    assert!(
        cut.contains("input 0") && cut.contains("shorten the task") && !cut.contains("\"truncate\""),
        "{cut}"
    );
    assert!(message(false).contains("\"truncate\": true"));
}

#[test]
fn the_models_name_may_ask_for_a_task_and_other_names_are_nobodys() {
    // MiniLM's prompts have no words: a task is accepted and changes nothing.
    for model in ["anything", "x:latest", "x:query", ""] {
        let answer = post("/v1/embeddings", &json!({ "model": model, "input": TEXTS[0] }));
        assert_eq!(answer.vectors(), [wanted(TEXTS[0])], "{model}");
    }
    let served = gemma();
    let server = Running::start(served.clone());
    let mut client = Client::connect(server.address);
    for (tag, task) in [("query", Task::Query), ("custom:law: cases", Task::Custom("law: cases".to_owned()))]
    {
        let wanted = served.embed(Request::new(["the cat"]).task(task)).expect("a vector").remove(0);
        let answer = client.embed(&json!({ "model": format!("embeddinggemma:{tag}"), "input": "the cat" }));
        assert_eq!(answer.vectors(), [wanted.vector], "{tag}");
    }
    assert_eq!(client.embed(&json!({ "model": "embeddinggemma:custom: ", "input": "x" })).status, 400);
    // A task it has no prompt for is not silently dropped.
    assert_eq!(post("/v1/embeddings", &json!({ "input": "x", "task": "code-retrieval" })).status, 400);
    let both = json!({ "input": "x", "task": "query", "input_type": "document" });
    assert_eq!(post("/v1/embeddings", &both).status, 400);
}
