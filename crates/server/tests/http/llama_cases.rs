//! llama-server's own embedding tests (tools/server/tests/unit/test_embedding.py), as cases of ours, by their numbers.
//!
//! What cannot apply: (3) flash attention on: there is no other attention here, and its texts of 253 to 256 words are tested
//! as they fit MiniLM's limit. (9) and (10) pooling none for a whole server: `serve` refuses to start with it (tested
//! in `main.rs`); a vector a token is TEI's /embed_all, whose vectors are not of unit length, which case 9 asserts here. (11)
//! and (12) use the openai package: `scripts/clients/test_openai.py`. The embedding inputs of case 4 are sent to /embedding, whose ids are the
//! model's: on /v1/embeddings ids are refused unless somebody says whose they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Client;
use crate::protocols::gemma;
use crate::{Running, client};

fn post(path: &str, body: &Value) -> (u16, Value) {
    let answer = client().send("POST", path, body.to_string());
    (answer.status, answer.json())
}

fn openai(input: &Value) -> Vec<Vec<f64>> {
    let (status, answer) = post("/v1/embeddings", &json!({ "input": input }));
    assert_eq!(status, 200, "{answer}");
    answer["data"].as_array().expect("a list").iter().map(|item| floats(&item["embedding"])).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a vector").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

const FOUR: [&str; 4] = [
    "I believe the meaning of life is",
    "Write a joke about AI from a very long prompt",
    "This is a test",
    "This is another test",
];

#[test]
fn case_01_and_07_a_single_text_has_a_vector_of_unit_length() {
    let vectors = openai(&json!(FOUR[0]));
    assert_eq!(vectors.len(), 1);
    assert!((norm(&vectors[0]) - 1.0).abs() < 1e-3);
}

#[test]
fn case_02_and_08_four_texts_have_four_vectors() {
    let vectors = openai(&json!(FOUR));
    assert_eq!(vectors.len(), 4);
    assert!(vectors.iter().all(|vector| (norm(vector) - 1.0).abs() < 1e-3));
}

#[test]
fn case_03_texts_of_many_words_side_by_side() {
    let texts = [("a ", 251), ("b ", 252), ("c ", 253), ("d ", 254)].map(|(word, count)| word.repeat(count));
    assert_eq!(openai(&json!(texts)).len(), 4);
}

#[test]
fn case_04_eleven_forms_of_input() {
    for (input, count) in [
        (json!(""), 1),
        (json!("string"), 1),
        (json!([12, 34, 56]), 1),
        (json!([12, 34, "string", 56, 78]), 1),
        (json!(["string1", "string2"]), 2),
        (json!(["string1", [12, 34, 56]]), 2),
        (json!([[12, 34, 56], [12, 34, 56]]), 2),
        (json!([[12, 34, 56], [12, "string", 34, 56]]), 2),
        (json!({ "prompt_string": "string" }), 1),
        (json!({ "content": [{ "type": "text", "text": "string" }] }), 1),
        (
            json!(["string", { "prompt_string": "string" }, { "content": [{ "type": "text", "text": "string" }] }]),
            3,
        ),
    ] {
        let (status, answer) = post("/embedding", &json!({ "input": input }));
        assert_eq!(status, 200, "{input}: {answer}");
        assert_eq!(answer.as_array().expect("a list").len(), count, "{input}");
    }
}

#[test]
fn case_05_parts_of_a_text_are_the_text() {
    let parts =
        json!({ "content": [{ "type": "text", "text": "hello " }, { "type": "text", "text": "world" }] });
    let (_, of_parts) = post("/embedding", &json!({ "input": parts }));
    let (_, whole) = post("/embedding", &json!({ "input": "hello world" }));
    assert_eq!(of_parts, whole);
}

#[test]
fn case_06_what_is_no_text_is_refused() {
    for input in [
        json!([]),
        json!({ "content": "string" }),
        json!({ "content": [{ "type": "unknown", "text": "string" }] }),
        json!({ "content": [{ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } }] }),
        json!({ "content": [{ "type": "input_audio", "input_audio": { "data": "AA==", "format": "wav" } }] }),
        json!({ "content": [{ "type": "input_video", "input_video": { "data": "AA==" } }] }),
    ] {
        let (status, answer) = post("/embedding", &json!({ "input": input }));
        assert_eq!(status, 400, "{input}: {answer}");
        assert_eq!(answer["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn case_09_a_vector_a_token_is_not_of_unit_length() {
    let (status, answer) = post("/embed_all", &json!({ "inputs": "hello hello hello" }));
    assert_eq!(status, 200);
    let rows = answer[0].as_array().expect("vectors");
    assert_eq!(rows.len(), 5, "three words and two special tokens");
    assert!(rows.iter().all(|row| (norm(&floats(row)) - 1.0).abs() > 1e-3));
}

#[test]
fn case_13_a_text_that_is_too_long_is_refused() {
    let (status, answer) = post("/v1/embeddings", &json!({ "input": "This is a test ".repeat(512) }));
    assert_ne!(status, 200);
    assert!(answer["error"]["message"].as_str().expect("words").contains("too large"), "{answer}");
}

#[test]
fn case_14_equal_texts_have_equal_vectors() {
    let vectors = openai(&json!(vec!["This is a test"; 5]));
    assert!(vectors.iter().all(|vector| *vector == vectors[0]));
}

#[test]
fn case_15_and_16_usage_is_exact_and_summed() {
    for (input, tokens) in [
        (json!("I believe the meaning of life is"), 9),
        (json!("This is a test"), 6),
        (json!(["I believe the meaning of life is", "I believe the meaning of life is"]), 18),
    ] {
        let (_, answer) = post("/v1/embeddings", &json!({ "input": input }));
        assert_eq!(answer["usage"], json!({ "prompt_tokens": tokens, "total_tokens": tokens }), "{input}");
    }
}

#[test]
fn case_17_base64_is_the_same_floats() {
    let (_, answer) =
        post("/v1/embeddings", &json!({ "input": "This is a test", "encoding_format": "base64" }));
    let bytes = STANDARD.decode(answer["data"][0]["embedding"].as_str().expect("a string")).expect("base64");
    let decoded: Vec<f64> = bytes
        .chunks_exact(4)
        .map(|value| f32::from_le_bytes(value.try_into().expect("four")).into())
        .collect();
    let floats = openai(&json!("This is a test"));
    assert!(decoded.iter().zip(&floats[0]).all(|(one, other)| (one - other).abs() < 1e-6));
    assert_eq!(decoded.len(), floats[0].len());
}

#[test]
fn case_18_wrong_requests_are_invalid_request_errors() {
    for body in
        [json!({ "input": [] }), json!({ "input": true }), json!({ "input": "hello", "encoding_format": 1 })]
    {
        let (status, answer) = post("/v1/embeddings", &body);
        assert_eq!((status, &answer["error"]["type"]), (400, &json!("invalid_request_error")), "{body}");
    }
}

#[test]
fn embd_normalize_is_the_norm() {
    let vector = |normalize: i64| {
        let (status, answer) =
            post("/embedding", &json!({ "content": "a cat", "embd_normalize": normalize }));
        assert_eq!(status, 200, "{answer}");
        floats(&answer[0]["embedding"][0])
    };
    let largest = |vector: &[f64]| vector.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    assert!((norm(&vector(-1)) - 1.0).abs() > 1e-3);
    assert!((largest(&vector(0)) - 32760.0).abs() < 1.0);
    assert!((vector(1).iter().map(|value| value.abs()).sum::<f64>() - 1.0).abs() < 1e-4);
    assert!((norm(&vector(2)) - 1.0).abs() < 1e-4);
    assert!((vector(3).iter().map(|value| value.abs().powi(3)).sum::<f64>() - 1.0).abs() < 1e-4);
    assert!((largest(&vector(2000)) - 1.0).abs() < 1e-2, "a power past the doubles is a norm, too");
    for wrong in [json!(-2), json!(2.5), json!(1e10)] {
        assert_eq!(post("/embedding", &json!({ "content": "a cat", "embd_normalize": wrong })).0, 400);
    }
}

#[test]
fn tokens_of_arrays_go_by_the_same_flags_as_those_of_texts() {
    for (body, tokens) in [
        (json!({ "content": ["hello", "world"] }), json!([7592, 2088])),
        (json!({ "content": ["hello", "world"], "add_special": true }), json!([101, 7592, 102, 2088])),
        (json!({ "content": [101, "hello"], "add_special": true }), json!([101, 7592])),
        (json!({ "content": ["[CLS] hello"] }), json!([101, 7592])),
        (json!({ "content": ["[CLS]"], "parse_special": false }), post_tokens("[CLS]", false)),
        (json!({ "content": [] }), json!([])),
        (json!({}), json!([])),
    ] {
        let (status, answer) = post("/tokenize", &body);
        assert_eq!((status, &answer["tokens"]), (200, &tokens), "{body}");
    }
    assert_ne!(post_tokens("[CLS]", false), json!([101]));
    assert_eq!(post("/tokenize", &json!({ "content": 5 })).0, 400);
    assert_eq!(post("/tokenize", &json!({ "content": [true] })).0, 400);
}

fn post_tokens(content: &str, parse_special: bool) -> Value {
    post("/tokenize", &json!({ "content": content, "parse_special": parse_special })).1["tokens"].clone()
}

#[test]
fn pieces_are_the_bytes_of_the_text() {
    let (_, answer) =
        post("/tokenize", &json!({ "content": "hello worlding", "with_pieces": true, "add_special": true }));
    let pieces: Vec<&Value> =
        answer["tokens"].as_array().expect("tokens").iter().map(|token| &token["piece"]).collect();
    assert_eq!(pieces, ["[CLS]", " hello", " world", "ing", "[SEP]"]);
    let server = Running::start(gemma());
    let mut gemma = Client::connect(server.address);
    let body = json!({ "content": "the\n\u{F3}", "with_pieces": true }).to_string();
    let tokens = gemma.send("POST", "/tokenize", body).json()["tokens"].clone();
    let pieces: Vec<&Value> =
        tokens.as_array().expect("tokens").iter().map(|token| &token["piece"]).collect();
    // U+00F3 has no token of its own: its two bytes are no UTF-8 one by one.
    assert_eq!(pieces, [&json!("the"), &json!("\n"), &json!([0xC3]), &json!([0xB3])]);
}

#[test]
fn embd_normalize_holds_on_every_route_that_llama_server_heeds_it_on() {
    let whole = |path: &str, body: Value| {
        let answer = client().send("POST", path, body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        let space = answer.header("x-embedding-fingerprint").expect("a name").to_owned();
        (answer.json(), space)
    };
    for normalize in [-1, 0, 1, 2, 3] {
        let own = whole("/embedding", json!({ "content": "a cat", "embd_normalize": normalize }));
        let own = (floats(&own.0[0]["embedding"][0]), own.1);
        for path in ["/v1/embeddings", "/embeddings"] {
            let (answer, space) = whole(path, json!({ "input": "a cat", "embd_normalize": normalize }));
            assert_eq!((floats(&answer["data"][0]["embedding"]), space), own, "{path} {normalize}");
        }
        let path = format!("/embedding?embd_normalize={normalize}");
        let kind = "Content-Type: application/x-ndjson\r\nConnection: close\r\n";
        let line = r#"{"text": "a cat"}"#;
        let mut client = client();
        client.write(format!("POST {path} HTTP/1.0\r\n{kind}Content-Length: {}\r\n\r\n{line}", line.len()));
        let said = String::from_utf8(client.read_to_end()).expect("text");
        let (head, line) = said.split_once("\r\n\r\n").expect("a head and a line");
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(floats(&line["embedding"]), own.0, "{path}");
        assert!(head.to_lowercase().contains(&format!("x-embedding-fingerprint: {}", own.1)), "{head}");
    }
    let wrong = post("/v1/embeddings", &json!({ "input": "a cat", "embd_normalize": -2 }));
    assert_eq!((wrong.0, &wrong.1["error"]["param"]), (400, &json!("embd_normalize")));
    let both = "/embedding?normalize=true&embd_normalize=2";
    let both = client().send_with("POST", both, "Content-Type: application/x-ndjson\r\n", "");
    assert_eq!(both.status, 400);
}

#[test]
fn embd_normalize_holds_in_every_form_of_answer_and_names_another_space() {
    let ask = |normalize: i64, accept: &str| {
        let body = json!({ "content": "a cat", "embd_normalize": normalize }).to_string();
        client().send_with("POST", "/embedding", &format!("Accept: {accept}\r\n"), body)
    };
    let mut spaces = std::collections::HashSet::new();
    for normalize in [-1, 0, 1, 2, 3] {
        let json = ask(normalize, "application/json");
        let values = floats(&json.json()[0]["embedding"][0]);
        let bytes: Vec<u8> = values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
        assert_eq!(ask(normalize, "application/octet-stream").body, bytes, "{normalize}");
        let arrow = ask(normalize, "application/vnd.apache.arrow.stream").body;
        assert!(arrow.windows(bytes.len()).any(|window| window == bytes), "{normalize}");
        spaces.insert(json.header("x-embedding-fingerprint").expect("a name").to_owned());
    }
    assert_eq!(spaces.len(), 5, "{spaces:?}");
}
