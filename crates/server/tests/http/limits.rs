//! What bounds a request, and what all of them hold.

use std::time::Duration;

use connote_server::Settings;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::{EMBEDDER, Running};

fn running(settings: Settings) -> Running {
    Running::start_with(EMBEDDER.clone(), settings)
}

fn message(answer: &Answer) -> String {
    let error = &answer.json()["error"];
    error["message"].as_str().or(error.as_str()).expect("words").to_owned()
}

/// A request for the vector of `x`, in so many bytes.
fn padded(length: usize) -> String {
    let body = r#"{"inputs": "x"}"#;
    format!("{body}{}", " ".repeat(length - body.len()))
}

#[test]
fn a_client_may_have_less_patience_than_the_operator_and_not_more() {
    let server = running(Settings { request_timeout: Duration::from_millis(50), ..Settings::default() });
    // Seconds of work.
    let texts: Vec<String> = (0..200).map(|at| format!("{at} {}", "cats and mats ".repeat(60))).collect();
    let body = json!({ "input": texts, "priority": "batch" }).to_string();
    let mut client = Client::connect(server.address);
    client.write("POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nX-Request-Timeout: 600\r\n");
    client.write(format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let late = client.read();
    assert_eq!(late.status, 504);
    // No text of it is to blame.
    assert!(message(&late).contains("0.05 s") && !message(&late).contains("input"), "{}", message(&late));
    assert_eq!(late.json()["error"]["param"], Value::Null);
}

#[test]
fn who_has_no_key_hears_so_after_a_large_body_too() {
    let server = running(Settings { api_keys: vec!["one".to_owned()], ..Settings::default() });
    let mut client = Client::connect(server.address);
    for path in ["/v1/embeddings", "/embed"] {
        let refused = client.send("POST", path, padded(40 << 20));
        assert_eq!(refused.status, 401, "{path}");
    }
}
