//! What bounds a request, and what all of them hold.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use connote_server::Settings;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::ndjson::Stream;
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
fn a_request_of_too_many_tokens_is_refused() {
    let server = running(Settings { request_tokens: 8, ..Settings::default() });
    let mut client = Client::connect(server.address);
    // Two are special.
    assert_eq!(client.embed(&json!({ "input": ["cat cat", "cat cat"] })).status, 200);
    let refused = client.embed(&json!({ "input": ["cat cat", "cat cat cat"] }));
    assert_eq!(refused.status, 413);
    assert!(message(&refused).contains("9 tokens"), "{}", message(&refused));
    assert!(message(&refused).contains("--max-request-tokens"), "{}", message(&refused));
}

#[test]
fn an_answer_that_would_be_too_large_is_refused_before_it_is_computed() {
    // Three vectors.
    let server = running(Settings { answer_limit: 3 * 384 * 4, ..Settings::default() });
    let mut client = Client::connect(server.address);
    let send = |client: &mut Client, path: &str, inputs: Value| {
        client.send("POST", path, json!({ "inputs": inputs }).to_string())
    };
    assert_eq!(send(&mut client, "/embed", json!(["", "", ""])).status, 200);
    // Of a text and two special tokens.
    assert_eq!(send(&mut client, "/embed_all", json!("cat")).status, 200);
    for refused in [
        send(&mut client, "/embed", json!(["", "", "", ""])),
        send(&mut client, "/embed_all", json!("cat cat")),
    ] {
        assert_eq!(refused.status, 413);
        assert!(message(&refused).contains("--max-answer-mb"), "{}", message(&refused));
    }
}

#[test]
fn routes_whose_answers_are_many_times_as_long_take_shorter_bodies() {
    let server = running(Settings { answer_limit: 128 << 10, ..Settings::default() });
    let mut client = Client::connect(server.address);
    for (path, body) in [
        ("/tokenize", json!({ "inputs": "a ".repeat(500) })),
        ("/tokenize", json!({ "content": "a ".repeat(500) })),
        ("/detokenize", json!({ "tokens": vec![7; 400] })),
        ("/decode", json!({ "ids": vec![7; 400] })),
    ] {
        let mut body = body.to_string();
        body.push_str(&" ".repeat(1024 - body.len()));
        assert_eq!(client.send("POST", path, &body).status, 200, "{path}");
        body.push(' ');
        let refused = client.send("POST", path, &body);
        assert_eq!(refused.status, 413, "{path}");
        assert!(message(&refused).contains("--max-answer-mb"), "{}", message(&refused));
    }
}

/// Whether a body of so many bytes would be taken now, without sending it.
fn has_room(server: &Running, length: usize) -> bool {
    let mut client = Client::connect(server.address);
    client.write("POST /embed HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n");
    client.write(format!("Content-Length: {length}\r\n\r\n"));
    let answer = client.read();
    if answer.status == 429 {
        assert_eq!(answer.header("retry-after"), Some("1"), "nothing is computed");
        assert!(message(&answer).contains("--max-held-mb"), "{}", message(&answer));
        return false;
    }
    assert_eq!(answer.status, 100);
    true
}

/// Waits until there is room, or none.
fn until(room: bool, server: &Running, length: usize) {
    let begin = Instant::now();
    while has_room(server, length) != room {
        assert!(begin.elapsed() < Duration::from_secs(60), "room for {length} bytes is still {}", !room);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn bodies_past_what_may_be_at_hand_are_told_to_come_back() {
    let server = running(Settings { held_limit: 4 << 20, ..Settings::default() });
    let mut large = Client::connect(server.address);
    large.write(format!("POST /embed HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", 4 << 20));
    let body = padded(4 << 20);
    large.write(&body[..3 << 20]);
    until(false, &server, 2 << 20);
    let mut client = Client::connect(server.address);
    assert_eq!(client.send("POST", "/embed", padded(2 << 20)).status, 429);
    // The connection goes on, and queries are not meant.
    assert_eq!(client.send("POST", "/embed", padded(1 << 14)).status, 200);
    // In chunks, of which nobody says how many will come.
    client.write("POST /embed HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = padded(2 << 20);
    client.write(format!("{:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len()));
    assert_eq!(client.read().status, 429);
    large.write(&body[3 << 20..]);
    assert_eq!(large.read().status, 200);
    until(true, &server, 2 << 20);
    // Alone it may be larger.
    assert_eq!(client.send("POST", "/embed", padded(8 << 20)).status, 200);
}

#[test]
fn answers_that_wait_for_their_reader_are_at_hand_too() {
    let server = running(Settings { held_limit: 4 << 20, ..Settings::default() });
    // Tens of MB, which no socket holds.
    let mut slow = Client::connect(server.address);
    let body = json!({ "inputs": "a ".repeat(1 << 19) }).to_string();
    slow.write(format!(
        "POST /tokenize HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    slow.wait();
    assert!(!has_room(&server, 1 << 20));
    assert_eq!(slow.read().status, 200);
    until(true, &server, 1 << 20);
}

#[test]
fn streams_are_at_hand_too_and_wait_for_room() {
    let server = running(Settings { held_limit: 4 << 20, ..Settings::default() });
    // Halves of lines, which together are more than there is room for.
    let clients = [0; 4].map(|_| {
        let mut stream = Stream::open(server.address, "/embed");
        let (go_on, waits) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            stream.send(format!("{{\"padding\": \"{}", "x".repeat(3 << 20)));
            waits.recv().expect("it is told");
            stream.send("\", \"text\": \"x\"}\n");
            stream.finish();
            stream.head();
            stream.rest()
        });
        (go_on, thread)
    });
    until(false, &server, 1 << 20);
    for (go_on, _) in &clients {
        go_on.send(()).expect("it waits");
    }
    for (_, thread) in clients {
        let found = thread.join().expect("it is answered");
        assert!(found.len() == 1 && found[0]["embedding"].is_array(), "{found:?}");
    }
    until(true, &server, 4 << 20);
    // Alone it may be larger, also when it reads nothing meanwhile.
    let mut alone = Stream::open(server.address, "/embed");
    let line = format!("{}\n", json!({ "text": "x", "padding": "x".repeat(2000) }));
    for _ in 0..800 {
        alone.send(line.repeat(10));
    }
    assert!(!has_room(&server, 1 << 20), "it is at hand");
    alone.finish();
    alone.head();
    let found = alone.rest();
    assert_eq!(found.len(), 8000);
    assert!(found.iter().all(|line| line["embedding"].is_array()));
    until(true, &server, 4 << 20);
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
