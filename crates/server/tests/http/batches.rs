//! OpenAI's files and batches, without their package, which `scripts/clients/test_openai_batch.py` has.

mod folder;

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use connote_server::{Error, Service, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::{EMBEDDER, Running, client};

const BOUNDARY: &str = "----a-boundary";

fn settings(folder: &Path) -> Settings {
    Settings { batch_folder: Some(folder.to_owned()), ..Settings::default() }
}

/// A server of a folder, as soon as the one before has let go of it.
fn start(settings: &Settings) -> Running {
    let name = EMBEDDER.model().name();
    for _ in 0..6_000 {
        match Service::new(vec![(name.to_owned(), EMBEDDER.clone())], settings.clone()) {
            Ok(service) => return Running::start_service(service),
            Err(Error::BatchFolder(..)) => sleep(Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the folder is never free");
}

/// Stops a server, whatever its batches are at, and waits until it has let go of their folder.
fn stop(server: Running, folder: &Path) {
    drop(server.stop);
    server.thread.join().expect("it stands").expect("it ends in order");
    fs::File::open(folder.join("lock")).and_then(|lock| lock.lock()).expect("it is free");
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        let file = if *name == "file" { "; filename=\"requests.jsonl\"" } else { "" };
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    parts.iter().map(part).collect::<String>() + &format!("--{BOUNDARY}--\r\n")
}

fn send_form(client: &mut Client, parts: &[(&str, &str)]) -> Answer {
    let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
    client.send_with("POST", "/v1/files", &kind, form(parts))
}

fn upload(client: &mut Client, lines: &str) -> String {
    let answer = send_form(client, &[("purpose", "batch"), ("file", lines)]);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    id(&answer.json())
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

fn create(client: &mut Client, file: &str) -> Answer {
    let body = json!({ "input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h", "metadata": { "a": "b" } });
    client.send("POST", "/v1/batches", body.to_string())
}

fn look(client: &mut Client, batch: &str) -> Value {
    client.send("GET", &format!("/v1/batches/{batch}"), "").json()
}

/// Waits until a batch is as it should be.
fn wait(client: &mut Client, batch: &str, is: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..60_000 {
        let now = look(client, batch);
        if is(&now) {
            return now;
        }
        sleep(Duration::from_millis(2));
    }
    panic!("it never comes: {}", look(client, batch));
}

/// A batch of many lines, of which some are done.
fn begun(client: &mut Client, lines: usize) -> String {
    let file = upload(client, &many(lines));
    let batch = id(&create(client, &file).json());
    wait(client, &batch, |now| now["request_counts"]["completed"].as_u64() > Some(0));
    batch
}

fn is_over(batch: &Value) -> bool {
    ["completed", "failed", "cancelled"].contains(&batch["status"].as_str().expect("a status"))
}

fn content(client: &mut Client, file: &Value) -> String {
    let answer = client.send("GET", &format!("/v1/files/{}/content", file.as_str().expect("a file")), "");
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).expect("UTF-8")
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn line(id: &str, input: &Value) -> String {
    json!({ "custom_id": id, "method": "POST", "url": "/v1/embeddings", "body": { "model": "m", "input": input } }).to_string() + "\n"
}

/// Many lines, which take a while.
fn many(count: usize) -> String {
    (0..count)
        .map(|at| {
            line(&format!("row-{at}"), &json!(format!("line {at} {}", "of many words ".repeat(at % 40))))
        })
        .collect()
}

#[test]
fn without_a_folder_it_is_said_what_to_start() {
    for (method, path) in [
        ("POST", "/v1/files"),
        ("GET", "/v1/files/file-1"),
        ("POST", "/v1/batches"),
        ("GET", "/v1/batches/b/cancel"),
    ] {
        let answer = client().send(method, path, "");
        let message = answer.json()["error"]["message"].to_string();
        assert!(answer.status == 404 && message.contains("--batch-folder DIR"), "{path}: {message}");
    }
}

#[test]
fn a_batch_has_the_answers_that_its_requests_have() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&settings(folder.path()));
    let mut client = Client::connect(server.address);
    let long = "cat ".repeat(300);
    let input = [
        // As some editors begin a file.
        "\u{feff}".to_owned() + &line("one", &json!("a cat on the mat")),
        "\n".to_owned(),
        "no JSON\n".to_owned(),
        line("two", &json!(["hello", "the mat"])),
        line("long", &json!(long)),
        line("url", &json!("a")).replace("/v1/embeddings", "/v1/chat/completions"),
        "{\"custom_id\": \"bare\", \"method\": \"POST\", \"url\": \"/v1/embeddings\"}\n".to_owned(),
        "{\"method\": \"POST\", \"url\": \"/v1/embeddings\", \"body\": {}}\n".to_owned(),
        line("last", &json!("")).trim_end().to_owned(),
    ]
    .concat();
    let file = upload(&mut client, &input);
    let made = create(&mut client, &file).json();
    assert_eq!((&made["object"], &made["metadata"]["a"]), (&json!("batch"), &json!("b")));
    let done = wait(&mut client, &id(&made), is_over);
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["request_counts"], json!({ "total": 8, "completed": 3, "failed": 5 }));
    let output = rows(&content(&mut client, &done["output_file_id"]));
    let mut tokens = 0;
    for (row, (name, input)) in output.iter().zip([
        ("one", json!("a cat on the mat")),
        ("two", json!(["hello", "the mat"])),
        ("last", json!("")),
    ]) {
        let asked = client.embed(&json!({ "model": "m", "input": input })).json();
        assert_eq!(row["custom_id"], name);
        assert_eq!(
            (&row["response"]["body"], &row["response"]["status_code"], &row["error"]),
            (&asked, &json!(200), &Value::Null)
        );
        assert!(
            row["response"]["request_id"].is_string()
                && row["id"].as_str().is_some_and(|id| id.starts_with("batch_req_"))
        );
        tokens += asked["usage"]["total_tokens"].as_u64().expect("tokens");
    }
    assert_eq!((output.len(), &done["usage"]["total_tokens"]), (3, &json!(tokens)));
    let errors = rows(&content(&mut client, &done["error_file_id"]));
    let told: Vec<(Value, Value)> = errors
        .iter()
        .map(|row| {
            (
                row["custom_id"].clone(),
                if row["error"].is_null() {
                    row["response"]["body"]["error"]["code"].clone()
                } else {
                    row["error"]["code"].clone()
                },
            )
        })
        .collect();
    let wanted = json!([
        [null, "invalid_json_line"],
        ["long", "context_length_exceeded"],
        ["url", "invalid_request"],
        ["bare", "invalid_request"],
        [null, "invalid_request"],
    ]);
    assert_eq!(json!(told), wanted, "{errors:#?}");
    assert!(errors[0]["error"]["message"].as_str().is_some_and(|message| message.starts_with("line 3:")));
    let metrics = client.send("GET", "/metrics", "");
    let metrics = String::from_utf8(metrics.body).expect("text");
    assert!(metrics.contains("connote_batches_total{status=\"completed\"} 1"), "{metrics}");
}

#[test]
fn a_file_without_lines_or_with_equal_ids_fails_before_any_work() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&settings(folder.path()));
    let mut client = Client::connect(server.address);
    for (input, code, at) in [
        ("\n\n".to_owned(), "empty_file", Value::Null),
        (
            [line("a", &json!("x")), line("b", &json!("x")), line("a", &json!("y"))].concat(),
            "duplicate_custom_id",
            json!(3),
        ),
    ] {
        let file = upload(&mut client, &input);
        let batch = id(&create(&mut client, &file).json());
        let done = wait(&mut client, &batch, is_over);
        assert_eq!(done["status"], "failed");
        assert_eq!(
            (&done["errors"]["data"][0]["code"], &done["errors"]["data"][0]["line"]),
            (&json!(code), &at),
            "{done}"
        );
        assert!(done["output_file_id"].is_null() && done["request_counts"]["completed"] == 0);
    }
}

#[test]
fn a_cancelled_batch_keeps_what_is_done_and_its_file_is_free() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&settings(folder.path()));
    let mut client = Client::connect(server.address);
    let file = upload(&mut client, &many(20_000));
    let batch = id(&create(&mut client, &file).json());
    let at = format!("/v1/files/{file}");
    let refused = client.send("DELETE", &at, "");
    assert!(refused.status == 400 && refused.json().to_string().contains(&batch));
    wait(&mut client, &batch, |now| now["request_counts"]["completed"].as_u64() > Some(0));
    // Who waits is answered meanwhile.
    assert_eq!(client.embed(&json!({ "input": "a" })).status, 200);
    let answer = client.send("POST", &format!("/v1/batches/{batch}/cancel"), "");
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("cancelling")));
    let done = wait(&mut client, &batch, is_over);
    let completed = done["request_counts"]["completed"].as_u64().expect("a number");
    assert!(done["status"] == "cancelled" && completed < 20_000, "{done}");
    assert_eq!(rows(&content(&mut client, &done["output_file_id"])).len() as u64, completed);
    assert_eq!(client.send("POST", &format!("/v1/batches/{batch}/cancel"), "").status, 400);
    assert_eq!(
        client.send("DELETE", &at, "").json(),
        json!({ "id": file, "object": "file", "deleted": true })
    );
    assert_eq!(client.send("GET", &at, "").status, 404);
}

#[test]
fn lists_have_pages() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&settings(folder.path()));
    let mut client = Client::connect(server.address);
    let file = upload(&mut client, &line("a", &json!("a")));
    let batches: Vec<String> = (0..5).map(|_| id(&create(&mut client, &file).json())).collect();
    for batch in &batches {
        wait(&mut client, batch, is_over);
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = client.send("GET", &format!("/v1/batches?limit=2{after}"), "").json();
        seen.extend(page["data"].as_array().expect("a list").iter().map(id));
        after = format!("&after={}", page["last_id"].as_str().expect("an id"));
        if page["has_more"] == false {
            break;
        }
    }
    assert!(seen.iter().eq(batches.iter().rev()), "{seen:?}");
    let count = |client: &mut Client, query: &str| {
        client.send("GET", &format!("/v1/files{query}"), "").json()["data"].as_array().expect("a list").len()
    };
    assert_eq!(
        (
            count(&mut client, ""),
            count(&mut client, "?purpose=batch"),
            count(&mut client, "?limit=3&order=asc")
        ),
        (6, 1, 3)
    );
    for wrong in ["limit=0", "limit=101", "limit=a", "order=up"] {
        assert_eq!(client.send("GET", &format!("/v1/batches?{wrong}"), "").status, 400, "{wrong}");
    }
}

#[test]
fn what_is_wrong_with_a_form_or_a_batch_is_said() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&Settings { batch_file_limit: 1 << 20, ..settings(folder.path()) });
    let mut client = Client::connect(server.address);
    let large = "x".repeat((1 << 20) + 1);
    for (parts, status, named) in [
        (vec![("purpose", "batch")], 400, "`file`"),
        (vec![("file", "a")], 400, "`purpose`"),
        (vec![("file", "a"), ("purpose", "fine-tune")], 400, "`purpose` is `batch`"),
        (vec![("file", "a"), ("file", "b"), ("purpose", "batch")], 400, "twice"),
        (vec![("file", "a"), ("purpose", "batch"), ("expires_after[seconds]", "3600")], 400, "anchor"),
        (
            vec![
                ("file", "a"),
                ("purpose", "batch"),
                ("expires_after[anchor]", "created_at"),
                ("expires_after[seconds]", "5"),
            ],
            400,
            "3600",
        ),
        (vec![("purpose", "batch"), ("file", large.as_str())], 413, "--max-batch-file-mb"),
    ] {
        let answer = send_form(&mut Client::connect(server.address), &parts);
        let message = answer.json()["error"]["message"].to_string();
        assert!(answer.status == status && message.contains(named), "{}: {message}", answer.status);
    }
    assert_eq!(client.send("POST", "/v1/files", "{}").status, 400, "no form");
    assert!(
        fs::read_dir(folder.path().join("parts")).expect("it is there").next().is_none(),
        "nothing is left of them"
    );
    let file = upload(&mut client, &line("a", &json!("a")));
    let right = json!({ "input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h" });
    for (field, value, status) in [
        ("endpoint", json!("/v1/chat/completions"), 400),
        ("completion_window", json!("1h"), 400),
        ("input_file_id", json!("file-none"), 404),
        ("metadata", json!({ "a": 1 }), 400),
        ("metadata", json!({ "a": "b".repeat(513) }), 400),
        ("output_expires_after", json!({ "anchor": "created_at", "seconds": 1 }), 400),
    ] {
        let mut body = right.clone();
        body[field] = value;
        let answer = client.send("POST", "/v1/batches", body.to_string());
        let said = answer.json();
        let names = said["error"].to_string().contains(field);
        assert!(answer.status == status && names, "{said}");
    }
    // A time that is over, as it would be an hour later.
    let parts = [
        ("file", "a"),
        ("purpose", "batch"),
        ("expires_after[anchor]", "created_at"),
        ("expires_after[seconds]", "3600"),
    ];
    let kept = send_form(&mut client, &parts).json();
    assert_eq!(kept["expires_at"].as_u64(), kept["created_at"].as_u64().map(|at| at + 3_600));
}
