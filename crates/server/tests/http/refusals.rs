//! What a client is told when it cannot have what it asked for.

use connote_server::Settings;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::{EMBEDDER, client};

/// The error of an answer, which must have OpenAI's form.
fn error(answer: &Answer, status: u16) -> Value {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let error = answer.json()["error"].clone();
    let keys: Vec<&String> = error.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["code", "message", "param", "type"], "{body}");
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    assert_eq!(error["type"], kind);
    error
}

fn body_limit() -> usize {
    Settings::default().body_limit
}

/// The connection still serves.
fn still_serves(client: &mut Client) {
    assert_eq!(client.send("GET", "/health", "").status, 200);
}

#[test]
fn a_bad_request_names_the_field_and_what_is_wrong() {
    let mut client = client();
    for (body, param, what) in [
        // Not JSON, or not an object.
        ("", None, "EOF"),
        ("{\"input\": \"x\"", None, "EOF"),
        ("{\"input\": \"x\",}", None, "not valid JSON"),
        ("input=x", None, "not valid JSON"),
        ("{\"input\": \"x\"} {}", None, "trailing"),
        ("[\"x\"]", None, "not a JSON object"),
        ("\"x\"", None, "not a JSON object"),
        ("null", None, "not a JSON object"),
        // No text.
        ("{}", Some("input"), "missing"),
        ("{\"input\": null}", Some("input"), "expected a string"),
        ("{\"input\": []}", Some("input"), "empty array"),
        ("{\"input\": true}", Some("input"), "boolean `true`, expected a string"),
        ("{\"input\": {\"text\": \"x\"}}", Some("input"), "map, expected a string"),
        ("{\"input\": [\"x\", null]}", Some("input"), "input 1: invalid type: null, expected a string"),
        // Half of a character, which JavaScript's `slice` leaves; beside it a whole one.
        ("{\"input\": [\"x\", \"y\", \"\\ud800\"]}", Some("input"), "input 2: it has a lone surrogate"),
        ("{\"input\": \"cat \\ud83d\\ude00 \\ude00\"}", Some("input"), "`input`: it has a lone surrogate"),
        ("{\"input\": \"x\", \"model\": \"\\ud83d\\n\"}", Some("model"), "cut in two"),
        // Token ids.
        ("{\"input\": [101, 102]}", Some("input"), "check_embedding_ctx_length=False"),
        ("{\"input\": [[101, 102]]}", Some("input"), "check_embedding_ctx_length=False"),
        // Read once, in the order in which they stand: the first that is wrong is named.
        ("{\"priority\": 5, \"model\": 5}", Some("priority"), "`priority`: invalid type: integer `5`"),
        ("{\"model\": 5, \"priority\": 5}", Some("model"), "`model`: invalid type: integer `5`"),
        // The other fields.
        ("{\"input\": \"x\", \"encoding_format\": \"int8\"}", Some("encoding_format"), "base64"),
        (
            "{\"input\": \"x\", \"encoding_format\": 1}",
            Some("encoding_format"),
            "`encoding_format`: invalid type: integer `1`, expected a string",
        ),
        ("{\"input\": \"x\", \"token_ids\": true}", Some("token_ids"), "`token_ids`: invalid type: boolean"),
        ("{\"input\": \"x\", \"token_ids\": \"ours\"}", Some("token_ids"), "`reject`"),
        ("{\"input\": \"x\", \"dimensions\": \"9\"}", Some("dimensions"), "whole number"),
        ("{\"input\": \"x\", \"dimensions\": -1}", Some("dimensions"), "whole number"),
        ("{\"input\": \"x\", \"dimensions\": 384.5}", Some("dimensions"), "whole number"),
        ("{\"input\": \"x\", \"dimensions\": 0}", Some("dimensions"), "384"),
        ("{\"input\": \"x\", \"dimensions\": 128}", Some("dimensions"), "384"),
        ("{\"input\": \"x\", \"dimensions\": 385}", Some("dimensions"), "384"),
    ] {
        let error = error(&client.send("POST", "/v1/embeddings", body), 400);
        assert!(error["message"].as_str().expect("a message").contains(what), "{body}: {error}");
        assert_eq!(error["param"], json!(param), "{body}");
    }
    let not_utf8 = client.send("POST", "/v1/embeddings", b"{\"input\": \"\xff\"}");
    error(&not_utf8, 400);
    still_serves(&mut client);
}

#[test]
fn deep_nesting_is_refused_and_no_more() {
    let deep = "[".repeat(1 << 20);
    for body in [format!("{{\"input\": {deep}"), format!("{{\"input\": {deep}{}}}", "]".repeat(1 << 20))] {
        error(&client().send("POST", "/v1/embeddings", body), 400);
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_by_its_index() {
    // 256 tokens are the limit of this model's authors; 2 of them are special.
    let (fits, too_long) = ("cat ".repeat(254), "cat ".repeat(255));
    let mut client = client();
    assert_eq!(client.embed(&json!({ "input": ["x", fits] })).status, 200);
    let error = error(&client.embed(&json!({ "input": ["x", fits, too_long, "y"] })), 400);
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("input 2: the text has 257 tokens") && message.contains("256"), "{message}");
    assert!(message.contains(EMBEDDER.model().name()) && !message.contains("truncation"), "{message}");
    assert_eq!((&error["param"], &error["code"]), (&json!("input"), &json!("context_length_exceeded")));
    still_serves(&mut client);
}

#[test]
fn routes_and_methods_that_are_not_there() {
    let mut client = client();
    for (method, path) in [("POST", "/v1/chat/completions"), ("GET", "/v1/embeddings/")] {
        let error = error(&client.send(method, path, ""), 404);
        let message = error["message"].as_str().expect("a message");
        assert!(
            message.contains(&format!("{method} {path}")) && message.contains("/v1/embeddings"),
            "{message}"
        );
        assert_eq!(error["code"], "unknown_url");
    }
    for (method, path, allowed) in [("GET", "/v1/embeddings", "POST"), ("POST", "/health", "GET,HEAD")] {
        let answer = client.send(method, path, "{\"input\": \"x\"}");
        let error = error(&answer, 405);
        assert_eq!((&error["code"], answer.header("allow")), (&json!("method_not_allowed"), Some(allowed)));
    }
    still_serves(&mut client);
}

#[test]
fn the_name_of_a_model_that_is_no_text_is_refused_in_openais_form() {
    let error = error(&client().send("GET", "/v1/models/%ff", ""), 400);
    assert!(error["message"].as_str().expect("words").contains("the name of the model"), "{error}");
}

#[test]
fn a_compressed_body_is_refused_by_name() {
    let mut client = client();
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    let answer = client.send_with("POST", "/v1/embeddings", "Content-Encoding: gzip\r\n", gzip);
    let error = error(&answer, 415);
    let message = error["message"].as_str().expect("words");
    assert!(message.contains("Content-Encoding") && message.contains("gzip"), "{message}");
    assert_eq!(
        (&error["code"], answer.header("accept-encoding")),
        (&json!("unsupported_content_encoding"), Some("identity"))
    );
    let plain =
        client.send_with("POST", "/v1/embeddings", "Content-Encoding: identity\r\n", r#"{"input": "x"}"#);
    assert_eq!(plain.vectors().len(), 1);
    // Beside the chunks, by either header, however often.
    for (codings, status) in [
        ("gzip, chunked", 415),
        ("gzip\r\nTransfer-Encoding: chunked", 415),
        ("Chunked", 200),
        ("chunked\r\nContent-Encoding: identity, gzip", 415),
    ] {
        let mut client = crate::client();
        client.write(format!(
            "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: {codings}\r\n\r\n"
        ));
        client.write("e\r\n{\"input\": \"x\"}\r\n0\r\n\r\n");
        let answer = client.read();
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{codings}: {said}");
        assert!(status == 200 || (said.contains("-Encoding `gzip`")), "{codings}: {said}");
    }
}

#[test]
fn a_body_past_the_limit_is_refused() {
    // White space, so that the length is all there is against it.
    let body = |length: usize| {
        let text = b"{\"input\": \"hello world\"}";
        [text.as_slice(), &vec![b' '; length - text.len()]].concat()
    };
    let mut client = client();
    let fits = client.send("POST", "/v1/embeddings", body(body_limit()));
    assert_eq!(fits.vectors().len(), 1);
    let refused = error(&client.send("POST", "/v1/embeddings", body(body_limit() + 1)), 413);
    assert!(refused["message"].as_str().expect("a message").contains("64 MiB"), "{refused}");
    still_serves(&mut client);
    // Who asks before sending is refused before sending.
    client.write(format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body_limit() + 1
    ));
    error(&client.read(), 413);
}

#[test]
fn a_body_past_the_limit_in_chunks_is_refused() {
    let mut client = client();
    client.write("POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..=body_limit() >> 20 {
        client.write(format!("{:x}\r\n", chunk.len()));
        client.write(&chunk);
        client.write("\r\n");
    }
    client.write("0\r\n\r\n");
    error(&client.read(), 413);
    still_serves(&mut client);
}
