//! Streams of lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use connote::Embedder;
use connote_server::Settings;
use serde_json::{Value, json};
use testkit::models;

use crate::client::Client;
use crate::{EMBEDDER, Running};

/// One stream, sent in chunks and answered in chunks.
pub(crate) struct Stream {
    stream: BufReader<TcpStream>,
    chunk: Vec<u8>,
}

impl Stream {
    pub(crate) fn open(address: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("it connects");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("written");
        Self { stream: BufReader::new(stream), chunk: Vec::new() }
    }

    /// Another hold of it, to send and read at once.
    pub(crate) fn again(&self) -> Self {
        let stream = self.stream.get_ref().try_clone().expect("a handle");
        Self { stream: BufReader::new(stream), chunk: Vec::new() }
    }

    /// Sends, if the server still listens.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.stream.get_mut().write_all(&chunk)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).expect("written");
    }

    /// Ends the connection, whoever else has a hold of it.
    pub(crate) fn close(self) {
        self.stream.get_ref().shutdown(Shutdown::Both).expect("shut");
    }

    pub(crate) fn line(&mut self, line: &Value) {
        self.send(format!("{line}\n"));
    }

    pub(crate) fn finish(&mut self) {
        self.stream.get_mut().write_all(b"0\r\n\r\n").expect("written");
    }

    /// The head of the answer, which must be one.
    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).expect("a line") > 0, "it ended: {head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        head.to_ascii_lowercase()
    }

    /// The next line of the answer; none at its proper end.
    fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.chunk.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.chunk.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("JSON"));
            }
            let mut size = String::new();
            self.stream.read_line(&mut size).expect("a chunk");
            let size = usize::from_str_radix(size.trim(), 16).expect("the answer goes on, or ends in order");
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).expect("the chunk");
            if size == 0 {
                assert!(self.chunk.is_empty(), "the last line has an end");
                return None;
            }
            self.chunk.extend(&chunk[..size]);
        }
    }

    pub(crate) fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// Everything at once, and all answers.
fn answers(path: &str, body: impl AsRef<[u8]>) -> Vec<Value> {
    let mut stream = Stream::open(crate::shared(), path);
    if !body.as_ref().is_empty() {
        stream.send(body);
    }
    stream.finish();
    stream.head();
    stream.rest()
}

fn vector(line: &Value) -> Vec<f32> {
    serde_json::from_value(line["embedding"].clone()).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn direct(text: &str) -> Vec<f32> {
    EMBEDDER.embed_one(text).expect("a vector").vector
}

/// A server whose engine has one thread of its own.
fn one_thread(settings: Settings) -> (Arc<Embedder>, Running) {
    let embedder = Embedder::builder().threads(1).open(models::builtin()).expect("the committed model opens");
    let embedder = Arc::new(embedder);
    (embedder.clone(), Running::start_with(embedder, settings))
}

#[test]
fn every_route_gives_the_same_bits_in_order() {
    let texts = ["hello world", "", "a cat on the mat", "hello world", "\u{65e5}\u{672c} \u{1f600}"];
    let body: String = texts.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    for path in
        ["/v1/embeddings", "/embeddings", "/embed", "/", "/api/embed", "/api/embeddings", "/embedding"]
    {
        let found = answers(path, &body);
        assert_eq!(found.len(), texts.len(), "{path}");
        for (index, (line, text)) in found.iter().zip(texts).enumerate() {
            let embedding = EMBEDDER.embed_one(text).expect("a vector");
            assert_eq!(line["id"], index, "{path}");
            assert_eq!((&line["tokens"], &line["truncated"]), (&json!(embedding.tokens), &json!(false)));
            assert_eq!(vector(line), embedding.vector, "{path}");
        }
    }
    // A vector a token where the route has them.
    let found = answers("/embed_all", "{\"text\": \"hello world\"}");
    assert_eq!(found[0]["embedding"].as_array().map(Vec::len), Some(4));
}

#[test]
fn the_head_names_the_model_and_the_space_and_comes_before_any_line() {
    let mut stream = Stream::open(crate::shared(), "/v1/embeddings");
    let head = stream.head();
    let plain = crate::client().embed(&json!({ "input": "x" }));
    for (name, value) in [
        ("content-type", "application/x-ndjson"),
        ("x-embedding-fingerprint", plain.header("x-embedding-fingerprint").expect("it has one")),
        ("x-model", plain.header("x-model").expect("it has one")),
    ] {
        assert!(head.contains(&format!("{name}: {}\r\n", value.to_ascii_lowercase())), "{head}");
    }
    stream.finish();
    assert!(stream.rest().is_empty());
}

#[test]
fn lines_may_end_in_any_way() {
    for body in ["", "\n", "\r\n \n\n"] {
        assert!(answers("/v1/embeddings", body).is_empty());
    }
    let found = answers("/v1/embeddings", "\u{feff}{\"text\":\"a\"}\r\n\n{\"text\":\"b\", \"id\": -0.5}");
    assert_eq!(found.len(), 2);
    assert_eq!((vector(&found[0]), vector(&found[1])), (direct("a"), direct("b")));
    assert_eq!((&found[0]["id"], &found[1]["id"]), (&json!(0), &json!(-0.5)));
    // A body of a known length, and the other names of the form.
    for kind in ["application/jsonl", "Application/NDJSON; charset=utf-8"] {
        let mut client = crate::client();
        let body = "{\"text\":\"a\",\"id\":1e400}";
        client.write(format!(
            "POST /embed HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = String::from_utf8(client.read_to_end()).expect("text");
        assert!(answer.contains("\r\n\r\n{\"id\":1e400,\"tokens\":3,"), "{kind}: {answer}");
    }
}

#[test]
fn a_bad_line_fails_alone() {
    let long = format!("{{\"id\": 6, \"text\": \"{}\"}}\n", "cat ".repeat(300));
    let body = [
        b"{\"id\": \"first\", \"text\": \"good\"}\n".as_slice(),
        b"not json\n",
        b"{\"id\": [2]}\n",
        b"{\"id\": 3, \"text\": 5}\n",
        b"{\"id\": 4, \"text\": \"\xff\"}\n",
        b"{\"id\": 5, \"text\": \"x\", \"task\": \"dancing\"}\n",
        long.as_bytes(),
        b"[\"x\"]\n",
        b"{\"id\": 8, \"text\": \"cat \\ud83d\"}\n",
        b"{\"text\": \"good\", \"anything\": {}}\n",
    ];
    let found = answers("/v1/embeddings", body.concat());
    assert_eq!(found.len(), body.len());
    assert_eq!((vector(&found[0]), vector(&found[9])), (direct("good"), direct("good")));
    assert_eq!((&found[0]["id"], &found[9]["id"]), (&json!("first"), &json!(9)));
    let wanted = [
        (json!(1), "invalid_json", "line 2: "),
        (json!([2]), "invalid_request", "line 3: there is no `text`"),
        (json!(3), "invalid_request", "line 4: `text` is not a string"),
        (json!(4), "invalid_utf8", "line 5: not UTF-8 at byte 19"),
        (json!(5), "invalid_request", "line 6: "),
        (json!(6), "too_long", "truncate"),
        (json!(7), "invalid_json", "line 8: not a JSON object"),
        // In the words of the other routes.
        (json!(8), "invalid_json", "line 9: `text` (column 30): it has a lone surrogate"),
    ];
    for (line, (id, kind, message)) in found[1..9].iter().zip(wanted) {
        let said = line["error"]["message"].as_str().expect("a message");
        assert!(line["id"] == id && line["error"]["kind"] == kind && said.contains(message), "{line}");
        assert_eq!(line.as_object().map(|object| object.len()), Some(2), "{line}");
    }
    // The same texts where all are cut: Ollama's route, or when the query says so.
    for path in ["/api/embed", "/v1/embeddings?truncate=true", "/embed?truncate=end&dimensions=384&task="] {
        let found = answers(path, body[6]);
        assert_eq!((&found[0]["truncated"], &found[0]["tokens"]), (&json!(true), &json!(256)), "{path}");
    }
    assert_eq!(answers("/api/embed?truncate=false", body[6])[0]["error"]["kind"], "too_long");
    let raw = vector(&answers("/embed?normalize=false", body[0])[0]);
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() > 0.01, "{length}");
}

#[test]
fn what_is_wrong_with_the_whole_stream_is_refused() {
    for (path, status, what) in [
        ("/v1/embeddings?dimension=3", 400, "`dimension`; what is known is model, dimensions"),
        ("/v1/embeddings?dimensions=3", 400, "384"),
        ("/embed?dimensions=many", 422, "`dimensions`"),
        ("/embedding?truncate=middle", 400, "`truncate`"),
        ("/api/embed?priority=high", 400, "`priority`"),
        ("/?task=query&task=document", 422, "twice"),
        ("/embeddings?normalize=2", 400, "`normalize`"),
    ] {
        let mut client = crate::client();
        let body = "{\"text\":\"a\"}\n";
        client.write(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = client.read();
        let said = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == status && said.contains(what), "{path}: {} {said}", answer.status);
        assert!(!said.contains(" at line 1 column "), "{said}");
        assert!(answer.json()["error"].is_object() || answer.json()["error"].is_string());
        assert_eq!(client.send("GET", "/health", "").status, 200, "the connection still serves");
    }
}

#[test]
fn a_line_is_answered_before_the_next_is_sent() {
    let mut stream = Stream::open(crate::shared(), "/v1/embeddings");
    stream.head();
    for (index, text) in ["one", "two", "three"].into_iter().enumerate() {
        // In two pieces, for a line is not a chunk.
        let line = json!({ "text": text }).to_string();
        stream.send(&line[..5]);
        stream.send(format!("{}\n", &line[5..]));
        let answer = stream.next().expect("an answer");
        assert_eq!((&answer["id"], vector(&answer)), (&json!(index), direct(text)));
    }
    stream.finish();
    assert!(stream.rest().is_empty());
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked() {
    let mut client = crate::client();
    let body = "{\"text\":\"hello world\"}";
    let length = body.len();
    client.write(format!(
        "POST /embed HTTP/1.0\r\nContent-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    let plain = String::from_utf8(client.read_to_end()).expect("text");
    let mut client = crate::client();
    client.write(format!(
        "POST /embed HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-ndjson\r\nExpect: 100-continue\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(client.read().status, 100);
    client.write(body);
    let asked = String::from_utf8(client.read_to_end()).expect("text");
    let (_, line) = plain.split_once("\r\n\r\n").expect("a body");
    assert!(asked.contains(line.trim_end()) && line.contains("embedding"), "{asked}");
}

#[test]
fn a_long_stream_has_little_under_way() {
    let _turn = crate::many_tokens();
    let (embedder, server) = one_thread(Settings::default());
    let mut sending = Stream::open(server.address, "/embed");
    let mut reading = sending.again();
    let lines = 6000;
    let sender = thread::spawn(move || {
        for index in 0..lines {
            sending.line(&json!({ "text": format!("{index} {}", "the cat sat on the mat ".repeat(4)) }));
        }
        sending.finish();
    });
    let (most, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let watcher = {
        let (most, done) = (most.clone(), done.clone());
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(embedder.statistics().waiting_tokens, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        })
    };
    reading.head();
    for index in 0..lines {
        assert_eq!(reading.next().expect("an answer")["id"], index);
    }
    assert!(reading.next().is_none());
    done.store(true, Ordering::Relaxed);
    watcher.join().expect("it watches");
    sender.join().expect("it sends");
    // Some 160,000 tokens in all; five windows of 32 KiB have fewer than 40,000. Other tests have some thousand.
    let most = most.load(Ordering::Relaxed);
    assert!((1..60_000).contains(&most), "{most} tokens waited at once");
}

#[test]
fn a_client_may_send_all_it_has_before_it_reads() {
    let mut stream = Stream::open(crate::shared(), "/embed");
    // More bytes both ways than sockets hold.
    let line = format!("{}\n", json!({ "text": "the cat", "padding": "x".repeat(2000) }));
    let lines = 10_000;
    for _ in 0..lines / 10 {
        stream.send(line.repeat(10));
    }
    stream.finish();
    stream.head();
    let found = stream.rest();
    assert_eq!(found.len(), lines);
    let wanted = direct("the cat");
    for (index, line) in found.iter().enumerate() {
        assert!(line["id"] == index && vector(line) == wanted);
    }
}

#[test]
fn no_line_is_too_long_for_the_stream() {
    let settings = Settings { body_limit: 1 << 20, ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut stream = Stream::open(server.address, "/embed");
    stream.line(&json!({ "text": "before", "id": "a" }));
    let part = vec![b'x'; 1 << 18];
    stream.send("{\"id\": \"b\", \"text\": \"");
    for _ in 0..5 {
        stream.send(&part);
    }
    stream.head();
    assert_eq!(stream.next().expect("an answer")["id"], "a");
    // It is told while the line goes on.
    let told = stream.next().expect("an answer");
    assert_eq!((&told["id"], &told["error"]["kind"]), (&json!(1), &json!("line_too_long")));
    assert!(told["error"]["message"].as_str().expect("a message").contains("--max-body-mb"), "{told}");
    stream.send("\"}\n");
    for _ in 0..20 {
        stream.line(&json!({ "text": "after", "padding": "p".repeat(1 << 17) }));
    }
    stream.finish();
    let after = stream.rest();
    assert_eq!(after.len(), 20);
    assert!(after.iter().all(|line| vector(line) == direct("after")));
}

#[test]
fn lines_wait_for_room_and_a_stream_that_finds_none_is_told() {
    let _turn = crate::many_tokens();
    let (embedder, server) = one_thread(Settings { queue_tokens: 300, ..Settings::default() });
    let text = "the cat sat on the mat ".repeat(8);
    // Windows are larger than what may wait, and none is sent away.
    let mut stream = Stream::open(server.address, "/embed");
    for _ in 0..10 {
        let line = |at: usize| format!("{}\n", json!({ "text": format!("{at} {text}") }));
        stream.send((0..100).map(line).collect::<String>());
    }
    let mut client = Client::connect(server.address);
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(15), "it does not begin");
        if embedder.statistics().waiting_tokens > 1000 {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    // Now there is no room for others.
    client.write("POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-ndjson\r\nContent-Length: 0\r\n\r\n");
    let refused = client.read();
    assert_eq!(refused.status, 429, "{}", String::from_utf8_lossy(&refused.body));
    assert!(refused.header("retry-after").is_some());
    let said = String::from_utf8_lossy(&refused.body);
    assert!(said.contains("(300, --max-queue-tokens), so no stream can begin"), "{said}");
    assert_eq!(counted(&server, "connote_refused_tokens_total"), 1);
    stream.finish();
    stream.head();
    let found = stream.rest();
    assert_eq!(found.len(), 1000);
    assert!(found.iter().all(|line| line["embedding"].is_array()));
}

#[test]
fn the_time_of_a_request_is_that_of_a_window() {
    let (_, server) =
        one_thread(Settings { request_timeout: Duration::from_micros(1), ..Settings::default() });
    let mut client = Client::connect(server.address);
    let body = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    client.write(format!(
        "POST /embed HTTP/1.0\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = String::from_utf8(client.read_to_end()).expect("text");
    assert_eq!(answer.matches("\"kind\":\"deadline_exceeded\"").count(), 2, "{answer}");
}

#[test]
fn work_of_a_client_that_goes_stops() {
    let _turn = crate::many_tokens();
    let (embedder, server) = one_thread(Settings::default());
    let waiting = || embedder.statistics().waiting_tokens;
    let text = "cats and mats ".repeat(70);
    for half in [false, true] {
        let mut stream = Stream::open(server.address, "/embed");
        // Two windows and a half: seconds of work for one thread, and the client is still sending.
        let lines: String =
            (0..80).map(|at| format!("{}\n", json!({ "text": format!("{at} {text}") }))).collect();
        stream.send(&lines);
        let sent = Instant::now();
        while waiting() < 10_000 {
            assert!(sent.elapsed() < Duration::from_secs(15), "it does not begin");
            thread::sleep(Duration::from_millis(1));
        }
        // With a word of farewell, or without one.
        if half {
            stream.stream.get_ref().shutdown(Shutdown::Write).expect("shut");
        } else {
            drop(stream);
        }
        let gone = Instant::now();
        while waiting() > 5_000 {
            assert!(gone.elapsed() < Duration::from_secs(15), "it is computed for nobody");
            thread::sleep(Duration::from_millis(1));
        }
    }
    let answer = Client::connect(server.address).embed(&json!({ "input": "hello world" }));
    assert_eq!(answer.vectors(), [direct("hello world")]);
}

#[test]
fn a_body_that_breaks_off_ends_in_a_line_that_says_so() {
    let server = Running::start(EMBEDDER.clone());
    for kind in ["too_long", "invalid_json"] {
        assert_eq!(counted(&server, &format!("connote_line_errors_total{{kind=\"{kind}\"}}")), 0);
    }
    let mut stream = Stream::open(server.address, "/embed");
    stream.line(&json!({ "text": "a" }));
    stream.head();
    assert_eq!(vector(&stream.next().expect("an answer")), direct("a"));
    stream.stream.get_mut().write_all(b"no chunk\r\n").expect("written");
    let last = stream.next().expect("a line");
    assert!(last["id"].is_null() && last["error"]["kind"] == "invalid_request", "{last}");
    assert!(last["error"]["message"].as_str().expect("a message").contains("broke off"), "{last}");
    // It is an error like those of other requests.
    let name = "connote_errors_total{kind=\"invalid_request\"}";
    let ended = Instant::now();
    while counted(&server, name) != 1 {
        assert!(ended.elapsed() < Duration::from_secs(15), "it is not counted");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A number of the server's metrics, which must be there.
pub(crate) fn counted(server: &Running, name: &str) -> u64 {
    let metrics = Client::connect(server.address).send("GET", "/metrics", "").body;
    let metrics = String::from_utf8(metrics).expect("text");
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}")).parse().expect("a whole number")
}

#[test]
fn a_client_that_still_sends_does_not_keep_still() {
    let patience = Duration::from_secs(1);
    let server =
        Running::start_with(EMBEDDER.clone(), Settings { client_timeout: patience, ..Settings::default() });
    let mut stream = Stream::open(server.address, "/embed");
    // Answers that no socket holds, and then some lines after a long time.
    let line = format!("{}\n", json!({ "text": "the cat", "padding": "x".repeat(1000) }));
    let (many, few) = (6000, 60);
    for _ in 0..many / 10 {
        stream.send(line.repeat(10));
    }
    for _ in 0..few {
        thread::sleep(patience / 15);
        stream.send(&line);
    }
    stream.finish();
    stream.head();
    let found = stream.rest();
    assert_eq!(found.len(), many + few);
    assert!(found.iter().enumerate().all(|(index, line)| line["id"] == index && line["tokens"] == 4));
}

#[test]
fn a_server_that_stops_ends_its_streams_in_order() {
    let server = Running::start(EMBEDDER.clone());
    let mut idle = Stream::open(server.address, "/embed");
    idle.head();
    let mut stream = Stream::open(server.address, "/embed");
    stream.line(&json!({ "text": "first" }));
    stream.head();
    assert_eq!(vector(&stream.next().expect("an answer")), direct("first"));
    stream.send("{\"text\": \"half a li");
    server.stop.send(()).expect("it runs");
    let last = stream.next().expect("a line");
    assert!(last["id"].is_null() && last["error"]["kind"] == "stopped", "{last}");
    let message = last["error"]["message"].as_str().expect("a message");
    assert!(message.contains("line 2 and those after it"), "{message}");
    stream.finish();
    assert!(stream.next().is_none());
    let last = idle.next().expect("a line");
    assert!(last["error"]["message"].as_str().expect("a message").contains("line 1 and"), "{last}");
    // A client that does not end its side holds nothing up.
    assert!(idle.next().is_none());
    server.thread.join().expect("it does not panic").expect("it ends well");
}

#[test]
fn a_stream_that_was_read_is_answered_when_the_server_stops() {
    let _turn = crate::many_tokens();
    let (embedder, server) = one_thread(Settings::default());
    let mut stream = Stream::open(server.address, "/embed");
    let text = "cats and mats ".repeat(70);
    // More windows than are under way at once, and all of them read.
    let lines: String =
        (0..200).map(|at| format!("{}\n", json!({ "text": format!("{at} {text}") }))).collect();
    stream.send(&lines);
    stream.finish();
    let sent = Instant::now();
    while embedder.statistics().waiting_tokens < 5000 {
        assert!(sent.elapsed() < Duration::from_secs(15), "it does not begin");
        thread::sleep(Duration::from_millis(1));
    }
    server.stop.send(()).expect("it runs");
    stream.head();
    let found = stream.rest();
    assert_eq!(found.len(), 200);
    assert!(found.iter().all(|line| line["embedding"].is_array()));
    server.thread.join().expect("it does not panic").expect("it ends well");
}

#[test]
fn an_ordinary_request_may_ask_for_lines() {
    let texts = ["hello world", "a cat"];
    for (path, field) in [("/v1/embeddings", "input"), ("/embed", "inputs"), ("/embedding", "content")] {
        let body = json!({ field: texts }).to_string();
        let mut client = crate::client();
        client.write(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nAccept: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = client.read();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
        let lines: Vec<Value> = String::from_utf8(answer.body.clone())
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 2);
        for (index, (line, text)) in lines.iter().zip(texts).enumerate() {
            assert_eq!((&line["id"], vector(line)), (&json!(index), direct(text)), "{path}");
        }
    }
}
