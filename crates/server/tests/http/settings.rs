//! What an operator may set: keys, the queue's bound, the dialect, several models, other origins.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use connote::Embedder;
use connote_server::{EmbeddingsDialect, Error, Service, Settings};
use serde_json::{Value, json};
use testkit::edit::Edit;
use testkit::tiny;

use crate::client::Client;
use crate::protocols::{TEXTS, floats, wanted};
use crate::{EMBEDDER, Running, client};

#[test]
fn keys_are_asked_for_and_the_page_is_not() {
    let settings = Settings { api_keys: vec!["one".to_owned(), "another".to_owned()], ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut client = Client::connect(server.address);
    let mut ask = |header: &str| {
        client.write(format!(
            "POST /embed HTTP/1.1\r\nHost: test\r\n{header}Content-Length: 15\r\n\r\n{{\"inputs\": \"x\"}}"
        ));
        client.read()
    };
    for wrong in ["", "Authorization: Bearer on\r\n", "X-Api-Key: onee\r\n", "Authorization: Bearer \r\n"] {
        let answer = ask(wrong);
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.json()["error"].as_str().expect("TEI's shape").contains("key"));
    }
    for right in ["Authorization: Bearer one\r\n", "authorization: bearer another\r\n", "X-Api-Key: one\r\n"]
    {
        assert_eq!(ask(right).status, 200, "{right}");
    }
    for (path, status) in
        [("/health", 200), ("/", 200), ("/page.js", 200), ("/v1/models", 401), ("/info", 401)]
    {
        assert_eq!(client.send("GET", path, "").status, status, "{path}");
    }
}

#[test]
fn a_full_queue_and_a_short_patience_say_so() {
    let settings = Settings { queue_tokens: 10, ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    // Seconds of work, which an empty queue takes however much it is.
    let texts: Vec<String> = (0..200).map(|at| format!("{at} {}", "cats and mats ".repeat(60))).collect();
    let body = json!({ "input": texts, "priority": "batch" }).to_string();
    let mut busy = Client::connect(server.address);
    busy.write(format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut client = Client::connect(server.address);
    // Before it is taken, this one would be.
    let sent = Instant::now();
    while EMBEDDER.statistics().waiting_tokens < 10_000 {
        assert!(sent.elapsed() < Duration::from_secs(20), "it does not begin");
        thread::sleep(Duration::from_millis(5));
    }
    let refused = client.embed(&json!({ "input": TEXTS, "priority": "batch" }));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("overloaded")));
    let wait: u64 = refused.header("retry-after").expect("when to come back").parse().expect("seconds");
    assert!((1..=600).contains(&wait));
    // Queries have their own room.
    assert_eq!(client.embed(&json!({ "input": "hello world", "priority": "interactive" })).status, 200);
    let texts: Vec<String> = (0..2000).map(|at| format!("{at} {}", "mats and cats ".repeat(60))).collect();
    let body = json!({ "input": texts }).to_string();
    client.write(
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nX-Request-Timeout: 1\r\nX-Priority: interactive\r\n",
    );
    client.write(format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let late = client.read();
    assert_eq!((late.status, &late.json()["error"]["code"]), (504, &json!("timeout")));
}

#[test]
fn llamas_dialect_is_the_default_where_the_operator_says_so() {
    let settings = Settings { dialect: EmbeddingsDialect::Llama, ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut client = Client::connect(server.address);
    let answer = client.send("POST", "/embeddings", json!({ "input": TEXTS[0] }).to_string());
    assert_eq!(floats(&answer.json()[0]["embedding"][0]), wanted(TEXTS[0]));
}

#[test]
fn several_models_are_told_apart_by_name() {
    let file = Edit::of(&tiny::bert(1)).key("general.name", "tiny").bytes();
    let small = Arc::new(Embedder::from_bytes(file).expect("it opens"));
    let models = vec![("first".to_owned(), EMBEDDER.clone()), ("second".to_owned(), small.clone())];
    let service = Service::new(models, Settings::default()).expect("two models");
    let server = Running::start_service(service);
    let mut client = Client::connect(server.address);
    let second = small.embed_one("the cat").expect("a vector").vector;
    for model in ["second", "Second", "tiny", "second:latest"] {
        let answer = client.embed(&json!({ "model": model, "input": "the cat" }));
        assert_eq!(
            (answer.vectors(), answer.header("x-model")),
            (vec![second.clone()], Some("second")),
            "{model}"
        );
    }
    for body in [json!({ "input": "the cat" }), json!({ "model": "first", "input": "the cat" })] {
        assert_eq!(client.embed(&body).vectors(), [wanted("the cat")]);
    }
    let unknown = client.embed(&json!({ "model": "third", "input": "the cat" }));
    let message = unknown.json()["error"]["message"].as_str().expect("words").to_owned();
    assert!(unknown.status == 404 && message.contains("first, second"), "{message}");
    let names: Vec<Value> = vec![json!("first"), json!("second")];
    let listed = client.send("GET", "/v1/models", "").json();
    assert_eq!(
        listed["data"].as_array().expect("a list").iter().map(|one| one["id"].clone()).collect::<Vec<_>>(),
        names
    );
    // Two of one name could not be told apart.
    let twice = vec![("x".to_owned(), EMBEDDER.clone()), ("X".to_owned(), small)];
    assert!(matches!(Service::new(twice, Settings::default()), Err(Error::SameName(name)) if name == "X"));
    assert!(matches!(Service::new(Vec::new(), Settings::default()), Err(Error::NoModel)));
}

#[test]
fn pages_may_send_their_key_and_what_is_no_origin_is_refused() {
    let settings = Settings { cors_origins: vec!["*".to_owned()], ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let asked = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\
                 Access-Control-Request-Headers: authorization,content-type\r\n";
    let answer = Client::connect(server.address).send_with("OPTIONS", "/v1/embeddings", asked, "");
    assert_eq!(answer.status, 200);
    // `*` would not be all: by the Fetch standard Authorization must be named.
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type"));
    for origin in ["", "not an origin", "https://example.org/"] {
        let settings = Settings { cors_origins: vec![origin.to_owned()], ..Settings::default() };
        let models = vec![("minilm".to_owned(), EMBEDDER.clone())];
        assert!(matches!(Service::new(models, settings), Err(Error::Origin(text, _)) if text == origin));
    }
}

#[test]
fn pages_of_other_origins_may_ask_where_the_operator_says_so() {
    let ask = |client: &mut Client| {
        client.write("GET /health HTTP/1.1\r\nHost: test\r\nOrigin: https://app.example\r\n\r\n");
        let answer = client.read();
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(ask(&mut client()), None);
    for (allowed, seen) in
        [("https://app.example", Some("https://app.example")), ("*", Some("*")), ("https://other", None)]
    {
        let settings = Settings { cors_origins: vec![allowed.to_owned()], ..Settings::default() };
        let server = Running::start_with(EMBEDDER.clone(), settings);
        assert_eq!(ask(&mut Client::connect(server.address)).as_deref(), seen, "{allowed}");
    }
}
