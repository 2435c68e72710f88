//! How a server ends.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use connote_server::Settings;
use serde_json::json;

use crate::client::Client;
use crate::ndjson::{Stream, counted};
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

/// Stops a server, which has to end; what it ends with.
fn ended(server: Running) -> std::io::Result<()> {
    server.stop.send(()).expect("it runs");
    let begin = Instant::now();
    while !server.thread.is_finished() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not end");
        thread::sleep(Duration::from_millis(5));
    }
    server.thread.join().expect("it does not panic")
}

/// A server that bears clients who keep still for so long.
fn patient(client_timeout: Duration) -> Running {
    Running::start_with(EMBEDDER.clone(), Settings { client_timeout, ..Settings::default() })
}

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn clients_that_asked_for_nothing_yet_do_not_hold_it_up() {
    let server = patient(Duration::from_secs(3600));
    let connect = || TcpStream::connect(server.address).expect("it listens");
    let [mut silent, mut half, mut second] = [connect(), connect(), connect()];
    half.write_all(b"GET /hea").expect("written");
    let mut answer = [0; 12];
    second.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\nGET /hea").expect("written");
    second.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    ended(server).expect("it ends well");
    for client in [&mut silent, &mut half, &mut second] {
        // Closed, whatever was still on its way.
        let _ = client.read_to_end(&mut Vec::new());
    }
}

#[test]
fn clients_that_keep_still_are_left() {
    let server = patient(SHORT);
    // A head that never ends.
    let mut half = TcpStream::connect(server.address).expect("it listens");
    half.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    half.write_all(b"GET /hea").expect("written");
    assert_eq!(half.read(&mut [0; 99]).expect("closed"), 0);
    // Bodies that never end, wanted or not.
    for (method, path, status) in [("POST", "/embed", 408), ("POST", "/nope", 404), ("PUT", "/embed", 405)] {
        let mut client = Client::connect(server.address);
        client.write(format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n{{"));
        let answer = client.read();
        assert_eq!(answer.status, status, "{path}");
        if status == 408 {
            let said = answer.json()["error"].as_str().expect("words").to_owned();
            assert!(said.contains("--client-timeout"), "{said}");
        }
    }
    ended(server).expect("it ends well");
}

#[test]
fn a_body_that_comes_too_slowly_is_refused_as_the_clients() {
    let settings = Settings { request_timeout: SHORT, ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    for expect in ["", "Content-Type: application/x-ndjson\r\nExpect: 100-continue\r\n"] {
        let mut client = Client::connect(server.address);
        client.write(format!("POST /embed HTTP/1.1\r\nHost: test\r\n{expect}Content-Length: 100\r\n\r\n"));
        let mut answer = client.read();
        if answer.status == 100 {
            answer = client.read();
        }
        let said = answer.json()["error"].as_str().expect("words").to_owned();
        assert!(answer.status == 408 && said.contains("0.3 s"), "{}: {said}", answer.status);
    }
    ended(server).expect("it ends well");
}

/// Asks for an answer of some 60 MB, which no socket holds, and reads none of it.
fn asks_for_much(server: &Running) -> TcpStream {
    let body = json!({ "inputs": "a ".repeat(1 << 20) }).to_string();
    let mut client = TcpStream::connect(server.address).expect("it listens");
    let length = body.len();
    let head = format!("POST /tokenize HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).expect("written");
    client.write_all(body.as_bytes()).expect("written");
    let mut begins = [0; 99];
    client.read_exact(&mut begins).expect("it begins");
    // Not a refusal, which is short enough for any socket.
    assert!(begins.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&begins));
    client
}

#[test]
fn an_answer_that_nobody_reads_does_not_hold_it_up() {
    let server = patient(SHORT);
    let _reads_nothing = asks_for_much(&server);
    ended(server).expect("it ends well");
}

#[test]
fn what_takes_longer_than_a_request_and_a_client_may_is_dropped() {
    // Time enough for the answer to be written beside all the other tests, on a slow machine.
    let settings = Settings {
        request_timeout: Duration::from_secs(15),
        client_timeout: Duration::from_secs(5),
        ..Settings::default()
    };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut slow = asks_for_much(&server);
    // Never still, and never done, as the whole would take it minutes: it gives up when the connection does.
    let reads = thread::spawn(move || {
        while slow.read(&mut [0; 1 << 15]).is_ok_and(|read| read > 0) {
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(ended(server).expect_err("it was not read").kind(), ErrorKind::TimedOut);
    reads.join().expect("it gives up");
}

#[test]
fn a_busy_stream_is_answered_to_the_line_that_says_where_it_stopped() {
    let _turn = crate::many_tokens();
    let server = Running::start(EMBEDDER.clone());
    let mut stream = Stream::open(server.address, "/embed");
    let mut sending = stream.again();
    let sender = thread::spawn(move || {
        let lines = format!("{}\n", json!({ "text": "the cat", "padding": "x".repeat(100) })).repeat(100);
        // Without an end: it stops when nobody listens any more.
        while sending.try_send(lines.as_bytes()).is_ok() {}
    });
    // More answers than sockets hold: some wait to be taken, and others behind them, so that no more are computed.
    let texts = format!("connote_texts_total{{model=\"{}\"}}", EMBEDDER.model().name());
    let begin = Instant::now();
    let mut before = 0;
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = counted(&server, &texts);
        if now > 1000 && now == before {
            break;
        }
        before = now;
        assert!(begin.elapsed() < Duration::from_secs(60), "it is computed without an end");
    }
    server.stop.send(()).expect("it runs");
    // It reads late.
    thread::sleep(Duration::from_millis(500));
    stream.head();
    let found = stream.rest();
    let (last, answers) = found.split_last().expect("lines");
    assert!(answers.len() > 1000, "{}", answers.len());
    for (index, line) in answers.iter().enumerate() {
        assert!(line["id"] == index && line["embedding"].is_array(), "{index}");
    }
    assert!(last["id"].is_null() && last["error"]["kind"] == "stopped", "{last}");
    let message = last["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&format!("line {} and those after", answers.len() + 1)), "{message}");
    stream.close();
    sender.join().expect("it ends");
    server.thread.join().expect("it does not panic").expect("it ends well");
}
