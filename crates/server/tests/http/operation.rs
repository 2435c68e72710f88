//! What an operator sees: metrics, health, request ids; and what a fault of the server leaves standing.

use std::collections::BTreeMap;
#[cfg(unix)]
use std::fs::{self, File, OpenOptions};
#[cfg(unix)]
use std::io::{self, Write};
use std::sync::Arc;
#[cfg(unix)]
use std::time::SystemTime;
use std::time::{Duration, Instant};

use connote::Embedder;
use connote_server::{Service, Settings};
use serde_json::{Value, json};
use testkit::edit::Edit;
use testkit::{models, tiny};

use crate::client::{Answer, Client};
use crate::{EMBEDDER, Running, client, service};

/// The values of `GET /metrics` by name and labels.
fn metrics(client: &mut Client) -> BTreeMap<String, f64> {
    let answer = client.send("GET", "/metrics", "");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(answer.body).expect("UTF-8");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut values = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let kind = comment.split(' ').next().expect("a word");
            assert!(["HELP", "TYPE", "UNIT", "EOF"].contains(&kind), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        assert!(name.starts_with("connote_") || name.starts_with("process_"), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert_eq!(values.insert(name.to_owned(), value), None, "{name} is there twice");
    }
    values
}

/// Asks until a value is as wanted: a request is counted when its answer is sent, which its client may know before.
fn until(client: &mut Client, name: &str, wanted: f64) -> BTreeMap<String, f64> {
    let begin = Instant::now();
    loop {
        let values = metrics(client);
        if values.get(name).copied().unwrap_or(0.0) >= wanted {
            return values;
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "{name} does not become {wanted}: {values:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn metrics_grow_by_what_was_sent() {
    let server = Running::start(EMBEDDER.clone());
    let mut client = Client::connect(server.address);
    let model = EMBEDDER.model().name();
    let before = metrics(&mut client);
    let of = |name: &str| format!("connote_{name}_total{{model=\"{model}\"}}");
    for name in ["texts", "tokens", "truncated_texts"] {
        assert_eq!(before[&of(name)], 0.0, "known before the first request");
    }
    let long = "cat ".repeat(1000);
    let answer = client.embed(&json!({ "input": ["hello world", "a cat", long], "truncate": true }));
    let tokens = answer.json()["usage"]["prompt_tokens"].as_f64().expect("a number");
    assert_eq!(client.send("POST", "/embed", r#"{"inputs": "hello world"}"#).status, 200);
    assert_eq!(client.embed(&json!({})).status, 400);
    assert_eq!(client.send("POST", "/v1/embeddings", "{").status, 400);
    let refused = r#"connote_requests_total{route="/v1/embeddings",method="POST",status="400"}"#;
    let after = until(&mut client, refused, 2.0);
    assert_eq!(after[r#"connote_requests_total{route="/v1/embeddings",method="POST",status="200"}"#], 1.0);
    assert_eq!(after[r#"connote_requests_total{route="/embed",method="POST",status="200"}"#], 1.0);
    assert_eq!(after[refused], 2.0);
    assert_eq!(after[r#"connote_errors_total{kind="invalid_request"}"#], 1.0);
    assert_eq!(after[r#"connote_errors_total{kind="invalid_json"}"#], 1.0);
    assert_eq!(after[r#"connote_errors_total{kind="internal"}"#], 0.0);
    assert_eq!((after[&of("texts")], after[&of("truncated_texts")]), (4.0, 1.0));
    // [CLS] hello world [SEP]
    assert_eq!(after[&of("tokens")], tokens + 4.0);
    let route = r#"route="/v1/embeddings""#;
    assert_eq!(after[&format!("connote_request_duration_seconds_count{{{route}}}")], 3.0);
    assert!(after[&format!("connote_request_duration_seconds_sum{{{route}}}")] > 0.0);
    assert_eq!(after[r#"connote_queue_wait_seconds_count{priority="interactive"}"#], 2.0);
    // This request itself.
    assert_eq!(after["connote_requests_in_flight"], 1.0);
    assert_eq!((after["connote_panics_total"], after["connote_clients_gone_total"]), (0.0, 0.0));
    assert_eq!(after[r#"connote_queue_tokens{priority="batch"}"#], 0.0);
    assert_eq!(after["connote_queue_limit_tokens"], Settings::default().queue_tokens as f64);
    // The engine's counts are of the whole process, in which other tests run.
    let engine = |values: &BTreeMap<String, f64>, prefix: &str| -> f64 {
        values.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
    };
    for (name, at_least) in [
        ("connote_engine_tokens_total", tokens),
        ("connote_engine_texts_total", 4.0),
        ("connote_engine_micro_batches_total{fill=", 2.0),
    ] {
        let more = engine(&after, name) - engine(&before, name);
        assert!(more >= at_least, "{name}: {more}");
    }
    let busy = "connote_worker_busy_seconds_total{worker=";
    assert!(engine(&after, busy) > engine(&before, busy));
    assert!(engine(&after, "connote_model_info{") == 1.0 && engine(&after, "connote_build_info{") == 1.0);
    assert!(after["process_start_time_seconds"] > 1e9);
    if cfg!(target_os = "linux") {
        assert!(after["process_resident_memory_bytes"] > 1e6);
    }
}

#[test]
fn labels_do_not_grow_with_what_clients_make_up() {
    let server = Running::start(EMBEDDER.clone());
    let mut client = Client::connect(server.address);
    let paths = |round: usize| {
        [format!("/odd/{round}"), format!("/v1/models/{round}/x"), format!("/metrics?{round}")]
    };
    let mut sizes = Vec::new();
    for round in 0..3 {
        for _ in 0..20 {
            for path in paths(round) {
                client.send("GET", &path, "");
            }
            client.send(&format!("MADEUP{round}"), "/embed", "");
            client.embed(&json!({ "model": format!("model{round}"), "input": "x" }));
        }
        let other = r#"connote_requests_total{route="other",method="GET",status="404"}"#;
        let wrong = r#"connote_requests_total{route="/embed",method="other",status="405"}"#;
        until(&mut client, other, (round + 1) as f64 * 20.0);
        let values = until(&mut client, wrong, (round + 1) as f64 * 20.0);
        let route = r#"connote_requests_total{route="/v1/models/{*id}",method="GET""#;
        assert!(values.keys().any(|name| name.starts_with(route)), "{values:#?}");
        sizes.push(values.len());
    }
    assert_eq!(sizes[1], sizes[2], "{sizes:?}");
}

#[test]
fn a_full_queue_and_a_client_that_goes_are_counted() {
    let embedder = Embedder::builder().threads(1).open(models::builtin()).expect("the committed model opens");
    let settings = Settings { queue_tokens: 1, ..Settings::default() };
    let server = Running::start_with(Arc::new(embedder), settings);
    let mut watching = Client::connect(server.address);
    let mut busy = Client::connect(server.address);
    // Some half a million tokens: a minute's work for one thread.
    let texts: Vec<String> = (0..2000).map(|at| format!("{at} {}", "cats and mats ".repeat(80))).collect();
    let body = json!({ "input": texts }).to_string();
    let length = body.len();
    busy.write(format!("POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
    busy.write(body);
    let waiting = r#"connote_queue_tokens{priority="batch"}"#;
    assert_eq!(until(&mut watching, waiting, 100_000.0)["connote_requests_in_flight"], 2.0);
    let refused = watching.embed(&json!({ "input": "hello world", "priority": "batch" }));
    assert_eq!(refused.status, 429);
    // [CLS] hello world [SEP]
    let values = until(&mut watching, "connote_refused_tokens_total", 4.0);
    assert_eq!(values["connote_refused_tokens_total"], 4.0);
    assert_eq!(values[r#"connote_errors_total{kind="overloaded"}"#], 1.0);
    drop(busy);
    let values = until(&mut watching, "connote_clients_gone_total", 1.0);
    assert_eq!(values[r#"connote_requests_total{route="/v1/embeddings",method="POST",status="499"}"#], 1.0);
    assert_eq!((values[waiting], values["connote_requests_in_flight"]), (0.0, 1.0));
}

#[test]
fn every_answer_has_an_id() {
    let mut client = client();
    let mut asked = |head: &str| {
        client.write(format!("{head}Host: test\r\nContent-Length: 0\r\n\r\n"));
        client.read().header("x-request-id").expect("an id").to_owned()
    };
    let own = [
        asked("GET /health HTTP/1.1\r\n"),
        asked("GET /nowhere HTTP/1.1\r\n"),
        asked("POST /health HTTP/1.1\r\n"),
        asked("POST /v1/embeddings HTTP/1.1\r\n"),
    ];
    let mut distinct = own.to_vec();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), own.len(), "{own:?}");
    assert_eq!(asked("GET /nowhere HTTP/1.1\r\nX-Request-Id: 7f3c/a\r\n"), "7f3c/a");
    assert_ne!(asked("GET /health HTTP/1.1\r\nX-Request-Id: two words\r\n"), "two words");
    let long = "x".repeat(129);
    assert_ne!(asked(&format!("GET /health HTTP/1.1\r\nX-Request-Id: {long}\r\n")), long);
}

fn standing(answer: &Answer) -> (u16, Value) {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    (answer.status, answer.json())
}

#[test]
fn liveness_and_readiness_are_apart() {
    let mut client = client();
    assert_eq!(standing(&client.send("GET", "/health/live", "")), (200, json!({ "status": "ok" })));
    assert_eq!(standing(&client.send("GET", "/health/ready", "")), (200, json!({ "status": "ready" })));
}

#[test]
fn a_model_that_fails_its_self_check_makes_the_server_not_ready_but_alive() {
    let norm = "blk.1.layer_output_norm";
    let file = Edit::of(&tiny::bert(1)).key("general.name", "broken");
    let file = file.tensor(&format!("{norm}.weight"), &[24], &[0.0; 24]);
    let file = file.tensor(&format!("{norm}.bias"), &[24], &[0.0; 24]);
    let broken = Arc::new(Embedder::from_bytes(file.bytes()).expect("it opens"));
    let models = vec![("good".to_owned(), EMBEDDER.clone()), ("bad".to_owned(), broken)];
    let server = Running::start_service(Service::new(models, Settings::default()).expect("it starts"));
    let mut client = Client::connect(server.address);
    let (status, body) = standing(&client.send("GET", "/health/ready", ""));
    let reason = body["reason"].as_str().expect("a reason");
    assert!(status == 503 && body["status"] == "not ready", "{body}");
    assert!(reason.contains("`bad`") && reason.contains("zero"), "{reason}");
    assert_eq!(client.send("GET", "/health/live", "").status, 200);
    assert_eq!(client.send("GET", "/health", "").status, 200);
}

/// What is mapped follows the file, where that is written to; another file in its place is another.
#[test]
#[cfg(unix)]
fn a_model_file_that_is_changed_in_place_makes_the_server_not_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, other) = (folder.path().join("model.gguf"), folder.path().join("other.gguf"));
    let bytes = tiny::bert(1);
    let serve = || {
        fs::write(&path, &bytes).expect("written");
        Running::start(Arc::new(Embedder::open(&path).expect("it opens")))
    };
    let ready =
        |server: &Running| standing(&Client::connect(server.address).send("GET", "/health/ready", ""));
    let server = serve();
    assert_eq!(ready(&server).0, 200);
    fs::write(&other, b"another").expect("written");
    fs::rename(&other, &path).expect("renamed");
    assert_eq!(ready(&server).0, 200, "it still has the first");
    fs::remove_file(&path).expect("removed");
    assert_eq!(ready(&server).0, 200, "it still has the first");
    // While it started, too: what it has read of it by then is of two files.
    fs::write(&path, &bytes).expect("written");
    let embedder = Arc::new(Embedder::open(&path).expect("it opens"));
    OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(b"more"))
        .expect("changed");
    assert_eq!(ready(&Running::start(embedder)).0, 503);
    fs::remove_file(&path).expect("removed");
    // Of another length, or of the same at another time. (Nothing is taken from it here, which would end this process.)
    let grows = |file: &mut File| file.write_all(b"more");
    let touched = |file: &mut File| file.set_modified(SystemTime::UNIX_EPOCH);
    for change in [grows as fn(&mut File) -> io::Result<()>, touched] {
        let server = serve();
        assert_eq!(ready(&server).0, 200);
        change(&mut OpenOptions::new().append(true).open(&path).expect("it opens")).expect("changed");
        let (status, body) = ready(&server);
        let reason = body["reason"].as_str().expect("a reason").to_owned();
        assert!(status == 503 && reason.contains("model.gguf") && reason.contains("renaming"), "{body}");
        assert_eq!(Client::connect(server.address).send("GET", "/health/live", "").status, 200);
        fs::remove_file(&path).expect("removed");
        assert_eq!(ready(&server).0, 503, "what it computed is no better for that");
    }
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let service = service(EMBEDDER.clone(), Settings::default());
    // Two listeners of one service: the second still answers when the first has ended.
    let first = Running::start_service(service.clone());
    let second = Running::start_service(service);
    let mut client = Client::connect(second.address);
    assert_eq!(client.send("GET", "/health/ready", "").status, 200);
    first.stop.send(()).expect("it runs");
    first.thread.join().expect("it does not panic").expect("it ends well");
    let (status, body) = standing(&client.send("GET", "/health/ready", ""));
    assert_eq!((status, &body["reason"]), (503, &json!("the server is stopping")));
    assert_eq!(client.send("GET", "/health/live", "").status, 200);
}

#[test]
fn keys_guard_the_metrics_and_not_the_health() {
    let settings = Settings { api_keys: vec!["secret".to_owned()], ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut client = Client::connect(server.address);
    for (path, status) in [("/health/live", 200), ("/health/ready", 200), ("/metrics", 401)] {
        assert_eq!(client.send("GET", path, "").status, status, "{path}");
    }
    client.write("GET /metrics HTTP/1.1\r\nHost: test\r\nX-Api-Key: secret\r\n\r\n");
    assert_eq!(client.read().status, 200);
}
