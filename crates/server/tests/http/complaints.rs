//! What users of other servers complain of, where no other test answers it; and that docs/SERVER.md names tests there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use connote_server::Settings;
use serde_json::json;

use crate::client::Client;
use crate::{EMBEDDER, Running, client, service};

/// TEI has 32 texts at most unless its operator knows better.
#[test]
fn an_array_may_have_any_number_of_items() {
    let texts: Vec<&str> = ["a cat", "the mat", "hello"].into_iter().cycle().take(5_000).collect();
    let wanted: Vec<u8> = texts[..3]
        .iter()
        .flat_map(|text| EMBEDDER.embed_one(*text).expect("a vector").vector)
        .flat_map(f32::to_le_bytes)
        .collect();
    let a_vector = wanted.len() / 3;
    for (path, body) in [
        ("/v1/embeddings", json!({ "input": texts })),
        ("/embed", json!({ "inputs": texts })),
        ("/api/embed", json!({ "input": texts })),
        ("/embedding", json!({ "content": texts })),
    ] {
        let answer =
            client().send_with("POST", path, "Accept: application/octet-stream\r\n", body.to_string());
        assert_eq!((answer.status, answer.header("x-count")), (200, Some("5000")), "{path}");
        assert_eq!(answer.body.len(), texts.len() * a_vector, "{path}");
        let in_order = answer.body.chunks(wanted.len()).all(|three| *three == wanted[..three.len()]);
        assert!(in_order, "{path}");
    }
}

/// Of the committed model, whose limit is 256 tokens, two of them its own.
#[test]
fn every_length_about_the_limit_is_cut_or_refused_as_asked() {
    let text = |tokens: usize| "cat ".repeat(tokens - 2);
    let whole = EMBEDDER.embed_one(text(256)).expect("a vector").vector;
    let octets: Vec<u8> = whole.iter().flat_map(|value| value.to_le_bytes()).collect();
    for tokens in [255, 256, 257, 511, 512, 513, 2048] {
        let cuts = tokens > 256;
        for (path, field, truncate, refusal) in [
            ("/v1/embeddings", "input", None, Some(400)),
            ("/v1/embeddings", "input", Some(true), None),
            ("/embed", "inputs", None, Some(413)),
            ("/embed", "inputs", Some(true), None),
            ("/api/embed", "input", None, None),
            ("/api/embed", "input", Some(false), Some(400)),
        ] {
            let mut body = json!({ field: text(tokens) });
            if let Some(truncate) = truncate {
                body["truncate"] = json!(truncate);
            }
            let answer =
                client().send_with("POST", path, "Accept: application/octet-stream\r\n", body.to_string());
            let status = refusal.filter(|_| cuts).unwrap_or(200);
            let what = format!("{path}, {tokens} tokens, truncate {truncate:?}");
            assert_eq!(answer.status, status, "{what}");
            if status == 200 {
                assert_eq!(answer.header("x-truncated"), Some(if cuts { "1" } else { "0" }), "{what}");
                assert_eq!(answer.body == octets, tokens >= 256, "{what}");
            } else {
                let message = answer.json().to_string();
                assert!(message.contains(&format!("{tokens} tokens")), "{what}: {message}");
            }
        }
    }
}

/// The table that says which test answers which complaint.
#[test]
fn the_tests_that_the_document_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/SERVER.md")).expect("it is there");
    let (_, table) = document.split_once("## What users of other servers complain of").expect("its heading");
    let named: Vec<(PathBuf, &str)> = table
        .split('`')
        .filter_map(|code| code.split_once("::"))
        .map(|(file, test)| {
            let (room, file) = file.split_once('/').expect("a room and a file");
            let room = match room {
                "http" => "crates/server/tests/http",
                "server" => "crates/server/src",
                "pool" => "crates/connote/src/pool",
                "connote" => "crates/connote/tests",
                "command" => "crates/cli/tests/command",
                "clients" => "scripts/clients",
                _ => panic!("docs/SERVER.md names no room `{room}`"),
            };
            (root.join(room).join(file), test)
        })
        .collect();
    assert!(named.len() > 40, "{}", named.len());
    for (file, test) in named {
        let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let has = [format!("fn {test}("), format!("def {test}(")].iter().any(|start| source.contains(start));
        assert!(has, "{} has no test `{test}`", file.display());
    }
}

/// No timer, no request and no `keep_alive` unloads a model: the engine that answers after them is the one before, with one owner
/// less than none.
#[test]
fn nothing_unloads_a_model() {
    let embedder = Arc::new(connote::Embedder::open(testkit::models::builtin()).expect("it opens"));
    let server = Running::start_service(service(embedder.clone(), Settings::default()));
    let mut client = Client::connect(server.address);
    let owners = Arc::strong_count(&embedder);
    let loaded = |client: &mut Client| {
        let answer = client.send("GET", "/api/ps", "").json();
        answer["models"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|model| model["name"].to_string())
            .collect::<Vec<_>>()
    };
    let before = (loaded(&mut client), client.embed(&json!({ "input": "a" })).vectors());
    assert_eq!(before.0.len(), 1);
    for keep_alive in [json!(0), json!("0s"), json!(-1), json!("1ms")] {
        let body = json!({ "model": "m", "input": "a", "keep_alive": keep_alive });
        assert_eq!(client.send("POST", "/api/embed", body.to_string()).status, 200, "{keep_alive}");
        // Ollama unloads on this.
        let body = json!({ "model": "m", "input": [], "keep_alive": keep_alive });
        assert_eq!(client.send("POST", "/api/embed", body.to_string()).status, 200, "{keep_alive}");
        sleep(Duration::from_millis(20));
        assert_eq!(Arc::strong_count(&embedder), owners, "{keep_alive}: the server holds its model");
        assert_eq!(
            (loaded(&mut client), client.embed(&json!({ "input": "a" })).vectors()),
            before,
            "{keep_alive}"
        );
    }
}
