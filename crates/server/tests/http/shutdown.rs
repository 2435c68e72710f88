//! How a server ends.

use std::net::TcpStream;

use serde_json::json;

use crate::client::Client;
use crate::{EMBEDDER, Running};

#[test]
fn a_request_at_hand_is_answered_and_no_other_is_taken() {
    let server = Running::start(EMBEDDER.clone());
    let mut idle = Client::connect(server.address);
    assert_eq!(idle.send("GET", "/health", "").status, 200);
    let mut busy = Client::connect(server.address);
    let body = json!({ "input": "hello world" }).to_string();
    let length = body.len();
    busy.write(format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    // It waits for the body: the request is at hand.
    assert_eq!(busy.read().status, 100);
    assert!(!server.thread.is_finished());
    server.stop.send(()).expect("it runs");
    while TcpStream::connect(server.address).is_ok() {
        std::thread::yield_now();
    }
    busy.write(&body);
    let answer = busy.read();
    assert_eq!(answer.vectors(), [EMBEDDER.embed_one("hello world").expect("a vector").vector]);
    // And that was all: idle connections do not hold it up.
    server.thread.join().expect("it does not panic").expect("it ends well");
}

#[test]
fn an_idle_server_ends_at_once() {
    let server = Running::start(EMBEDDER.clone());
    server.stop.send(()).expect("it runs");
    server.thread.join().expect("it does not panic").expect("it ends well");
}
