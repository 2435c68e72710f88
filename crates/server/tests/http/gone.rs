//! Clients that go before their answer.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use connote::Embedder;
use serde_json::json;
use testkit::models;

use crate::Running;
use crate::client::Client;

#[test]
fn work_that_nobody_waits_for_stops() {
    let _turn = crate::many_tokens();
    let embedder = Embedder::builder().threads(1).open(models::builtin()).expect("the committed model opens");
    let embedder = Arc::new(embedder);
    let server = Running::start(embedder.clone());
    assert_eq!(Client::connect(server.address).send("GET", "/health", "").status, 200);
    // Some half a million tokens: a minute's work for one thread.
    let texts: Vec<String> = (0..2000).map(|at| format!("{at} {}", "cats and mats ".repeat(80))).collect();
    let body = json!({ "input": texts }).to_string();
    let mut client = Client::connect(server.address);
    client.write(format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.write(&body);
    // Other tests of this process have a few hundred tokens.
    let waiting = || embedder.statistics().waiting_tokens;
    let sent = Instant::now();
    while waiting() < 100_000 {
        assert!(sent.elapsed() < Duration::from_secs(15), "it does not begin");
        thread::sleep(Duration::from_millis(10));
    }
    drop(client);
    let gone = Instant::now();
    while waiting() > 50_000 {
        assert!(gone.elapsed() < Duration::from_secs(15), "it is computed for nobody");
        thread::sleep(Duration::from_millis(10));
    }
    // The server is as before.
    let answer = Client::connect(server.address).embed(&json!({ "input": "hello world" }));
    assert_eq!(answer.vectors(), [embedder.embed_one("hello world").expect("a vector").vector]);
}
