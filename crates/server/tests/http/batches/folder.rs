//! The folder of batches: restarts, limits, disks that do not do what they should, and whose it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connote_server::{Service, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    BOUNDARY, begun, content, create, form, id, is_over, line, look, many, rows, send_form, settings, start,
    stop, upload, wait,
};
use crate::EMBEDDER;
use crate::client::Client;

/// What a kill leaves: the files at some moment, and bytes that were written after the last commit.
#[test]
fn work_goes_on_after_a_restart_and_its_result_is_the_same_to_the_byte() {
    let folder = TempDir::new().expect("a folder");
    let settings = settings(folder.path());
    let input = many(1_500) + "no JSON\n" + &line("end", &json!("end"));
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let file = upload(&mut client, &input);
    let batch = id(&create(&mut client, &file).json());
    let begun = wait(&mut client, &batch, |now| now["status"] == "in_progress" || is_over(now));
    assert_eq!(begun["status"], "in_progress");
    stop(server, folder.path());
    // Begins anew from its first commit; what was torn is no part of the result.
    let mut restarts = 0;
    let done = loop {
        for part in fs::read_dir(folder.path().join("parts")).into_iter().flatten().flatten() {
            if let Ok(mut bytes) = fs::read(part.path()) {
                bytes.extend_from_slice(b"{\"id\":\"torn");
                fs::write(part.path(), bytes).expect("written");
            }
        }
        let server = start(&settings);
        let mut client = Client::connect(server.address);
        let before = look(&mut client, &batch)["request_counts"]["completed"].as_u64();
        if restarts == 3 {
            let done = wait(&mut client, &batch, is_over);
            break (server, done);
        }
        let now = wait(&mut client, &batch, |now| {
            is_over(now) || now["request_counts"]["completed"].as_u64() > before
        });
        if is_over(&now) {
            break (server, now);
        }
        restarts += 1;
        stop(server, folder.path());
    };
    let (server, done) = done;
    assert!(restarts > 0, "it was stopped in the middle");
    assert_eq!(done["request_counts"], json!({ "total": 1_502, "completed": 1_501, "failed": 1 }));
    let mut client = Client::connect(server.address);
    // The same work undisturbed, whose lines differ in nothing but the name of the batch.
    let whole = id(&create(&mut client, &file).json());
    let undisturbed = wait(&mut client, &whole, is_over);
    for end in [&done, &undisturbed] {
        assert_eq!(end["status"], "completed", "{end}");
    }
    for kind in ["output_file_id", "error_file_id"] {
        let wanted = content(&mut client, &undisturbed[kind])
            .replace(&whole["batch_".len()..], &batch["batch_".len()..]);
        assert!(content(&mut client, &done[kind]) == wanted, "{kind}");
    }
    assert_eq!(done["usage"], undisturbed["usage"]);
}

#[test]
fn a_time_that_is_over_ends_a_file_and_a_line_too_long_fails_alone() {
    let folder = TempDir::new().expect("a folder");
    let settings = Settings { body_limit: 200, ..settings(folder.path()) };
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let gone = upload(&mut client, "a");
    let file = upload(
        &mut client,
        &[line("a", &json!("a")), line("b", &json!("b ".repeat(200))), line("c", &json!("c"))].concat(),
    );
    let batch = id(&create(&mut client, &file).json());
    let done = wait(&mut client, &batch, is_over);
    assert_eq!(done["request_counts"], json!({ "total": 3, "completed": 2, "failed": 1 }), "{done}");
    assert!(content(&mut client, &done["error_file_id"]).contains("--max-body-mb"));
    stop(server, folder.path());
    let record: PathBuf = folder.path().join("files").join(format!("{gone}.json"));
    let old =
        fs::read_to_string(&record).expect("its record").replace("\"expires_at\":null", "\"expires_at\":1");
    fs::write(&record, old).expect("written");
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    assert_eq!(client.send("GET", &format!("/v1/files/{gone}"), "").status, 404);
    assert_eq!(client.send("GET", &format!("/v1/files/{file}"), "").status, 200);
}

/// A folder in the place of one that went, as a full or broken disk is: the file of the results cannot be made.
#[test]
fn a_folder_that_cannot_be_written_is_in_the_batch_and_the_server_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&settings(folder.path()));
    let mut client = Client::connect(server.address);
    let file = upload(&mut client, &line("a", &json!("a")));
    let parts = folder.path().join("parts");
    fs::remove_dir(&parts).expect("it is empty");
    fs::write(&parts, "").expect("written");
    let batch = id(&create(&mut client, &file).json());
    let done = wait(&mut client, &batch, is_over);
    assert_eq!(
        (&done["status"], &done["errors"]["data"][0]["code"]),
        (&json!("failed"), &json!("storage_error")),
        "{done}"
    );
    let answer = send_form(&mut client, &[("purpose", "batch"), ("file", "a")]);
    assert!(answer.status == 500 && answer.json().to_string().contains("batch folder"));
    fs::remove_file(&parts).expect("removed");
    fs::create_dir(&parts).expect("made");
    let batch = id(&create(&mut client, &file).json());
    assert_eq!(wait(&mut client, &batch, is_over)["status"], "completed");
}

#[test]
fn a_folder_has_one_server_and_keys_guard_it() {
    let folder = TempDir::new().expect("a folder");
    let settings = Settings {
        api_keys: vec!["secret".to_owned()],
        cors_origins: vec!["https://a.example".to_owned()],
        ..settings(folder.path())
    };
    let server = start(&settings);
    let name = EMBEDDER.model().name().to_owned();
    let second = Service::new(vec![(name, Arc::clone(&EMBEDDER))], settings.clone());
    assert!(second.is_err_and(|error| error.to_string().contains("another server")));
    let mut client = Client::connect(server.address);
    for (method, path) in [
        ("GET", "/v1/files"),
        ("POST", "/v1/files"),
        ("GET", "/v1/batches"),
        ("DELETE", "/v1/files/a"),
        ("GET", "/v1/files/a/content"),
    ] {
        assert_eq!(client.send(method, path, "").status, 401, "{method} {path}");
    }
    let asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: DELETE\r\n";
    let answer = client.send_with("OPTIONS", "/v1/files/a", asks, "");
    assert!(answer.header("access-control-allow-methods").is_some_and(|all| all.contains("DELETE")));
}

/// What a client keeps is bounded: an upload is refused, and results that would go beyond it end their batch.
#[test]
fn the_folder_has_a_limit_and_deleting_makes_room() {
    let folder = TempDir::new().expect("a folder");
    let settings = Settings { batch_folder_limit: 100_000, ..settings(folder.path()) };
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    // Some ten lines of results have room.
    let file = upload(&mut client, &many(100));
    let batch = id(&create(&mut client, &file).json());
    let done = wait(&mut client, &batch, is_over);
    assert_eq!(
        (&done["status"], &done["errors"]["data"][0]["code"]),
        (&json!("failed"), &json!("storage_full")),
        "{done}"
    );
    let completed = done["request_counts"]["completed"].as_u64().expect("a number");
    assert!(completed > 0 && completed < 100, "{done}");
    assert_eq!(rows(&content(&mut client, &done["output_file_id"])).len() as u64, completed);
    let large = "x".repeat(80_000);
    let parts = [("purpose", "batch"), ("file", large.as_str())];
    let full = |client: &mut Client| {
        let answer = send_form(client, &parts);
        answer.status == 413 && answer.json().to_string().contains("--max-batch-folder-mb")
    };
    assert!(full(&mut client), "with the results it is full");
    assert!(fs::read_dir(folder.path().join("parts")).expect("it is there").next().is_none());
    // A new server counts what is there.
    stop(server, folder.path());
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    assert!(full(&mut client), "after a restart too");
    let output = done["output_file_id"].as_str().expect("a file");
    for file in [output, &file] {
        assert_eq!(client.send("DELETE", &format!("/v1/files/{file}"), "").status, 200);
        assert_eq!(client.send("DELETE", &format!("/v1/files/{file}"), "").status, 404);
    }
    assert_eq!(send_form(&mut client, &parts).status, 200, "there is room again");
}

/// As a kill left it that came when the results were a file and nothing said so.
#[test]
fn results_that_became_a_file_too_early_are_gone_on_with() {
    let folder = TempDir::new().expect("a folder");
    let settings = settings(folder.path());
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let batch = begun(&mut client, 1_500);
    stop(server, folder.path());
    let (output, bytes) = results_of(folder.path(), &batch);
    let (part, content_of) =
        (folder.path().join("parts").join(&output), folder.path().join("files").join(&output));
    let written = fs::read(&part).expect("it is there");
    fs::write(&content_of, &written[..bytes]).expect("written");
    fs::write(&part, "").expect("written");
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let done = wait(&mut client, &batch, is_over);
    assert_eq!(done["status"], "completed", "{done}");
    let output = content(&mut client, &done["output_file_id"]);
    assert!(output.as_bytes().starts_with(&written[..bytes]) && rows(&output).len() == 1_500);
}

/// A folder in the place of the record of the results, as on a full disk; then there is room, and a restart.
#[test]
fn results_of_a_batch_that_fails_wait_for_the_disk() {
    let folder = TempDir::new().expect("a folder");
    let settings = settings(folder.path());
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let batch = begun(&mut client, 20_000);
    let (output, _) = results_of(folder.path(), &batch);
    let in_the_way = folder.path().join("files").join(format!("{output}.json"));
    fs::create_dir(&in_the_way).expect("made");
    client.send("POST", &format!("/v1/batches/{batch}/cancel"), "");
    let failed = wait(&mut client, &batch, is_over);
    assert_eq!((&failed["status"], &failed["output_file_id"]), (&json!("failed"), &json!(null)), "{failed}");
    stop(server, folder.path());
    fs::remove_dir(&in_the_way).expect("removed");
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let done = wait(&mut client, &batch, is_over);
    assert_eq!((&done["status"], &done["errors"]), (&json!("failed"), &failed["errors"]), "{done}");
    let completed = done["request_counts"]["completed"].as_u64().expect("a number");
    assert_eq!(rows(&content(&mut client, &done["output_file_id"])).len() as u64, completed);
}

/// The name of a batch's results, and the bytes of them that are for good.
fn results_of(folder: &Path, batch: &str) -> (String, usize) {
    let record = fs::read(folder.join("batches").join(format!("{batch}.json"))).expect("its record");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    let bytes = record["progress"]["output"].as_u64().expect("a number");
    (record["output_id"].as_str().expect("a name").to_owned(), usize::try_from(bytes).expect("few"))
}

/// Lines that are done hold their answers until the first is; meanwhile it has to have its room.
#[test]
fn a_large_line_is_not_kept_waiting_by_those_behind_it() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&Settings {
        held_limit: 600 << 10,
        client_timeout: std::time::Duration::from_secs(600),
        ..settings(folder.path())
    });
    let mut client = Client::connect(server.address);
    let input = line("large", &json!(vec!["a"; 128]))
        + &(0..40).map(|at| line(&format!("row-{at}"), &json!(vec!["a"; 8]))).collect::<String>();
    let file = upload(&mut client, &input);
    // A body that comes slowly leaves room for small lines alone.
    let mut other = Client::connect(server.address);
    other.write(format!(
        "POST /v1/embeddings HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        400 << 10
    ));
    other.write_some(" ".repeat(399 << 10));
    std::thread::sleep(std::time::Duration::from_millis(200));
    let batch = id(&create(&mut client, &file).json());
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(other);
    let done = wait(&mut client, &batch, is_over);
    assert_eq!(done["request_counts"], json!({ "total": 41, "completed": 41, "failed": 0 }), "{done}");
}

/// Vectors of another model would be in one file with those before, and nobody could tell.
#[test]
fn a_batch_does_not_go_on_with_other_models() {
    let folder = TempDir::new().expect("a folder");
    let settings = settings(folder.path());
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let batch = begun(&mut client, 20_000);
    stop(server, folder.path());
    let record = folder.path().join("batches").join(format!("{batch}.json"));
    let kept = fs::read_to_string(&record).expect("its record");
    let fingerprint = EMBEDDER.fingerprint(&connote::Options::new()).expect("a fingerprint").to_string();
    assert!(kept.contains(&fingerprint), "{kept}");
    fs::write(&record, kept.replace(&fingerprint, "another")).expect("written");
    let server = start(&settings);
    let mut client = Client::connect(server.address);
    let done = wait(&mut client, &batch, is_over);
    assert_eq!(
        (&done["status"], &done["errors"]["data"][0]["code"]),
        (&json!("failed"), &json!("models_changed")),
        "{done}"
    );
    let completed = done["request_counts"]["completed"].as_u64().expect("a number");
    let output = rows(&content(&mut client, &done["output_file_id"]));
    assert_eq!(output.len() as u64, completed);
    assert_eq!(output[0]["response"]["headers"]["x-embedding-fingerprint"], fingerprint);
}

/// The reader of forms takes what comes until a part's head ends, which here it never does.
#[test]
fn a_form_whose_head_never_ends_is_refused_and_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&settings(folder.path()));
    let mut client = Client::connect(server.address);
    let body = format!("--{BOUNDARY}\r\nContent-Disposition: {}", "x".repeat(8 << 20));
    let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
    client.write(format!(
        "POST /v1/files HTTP/1.1\r\nHost: test\r\n{kind}Content-Length: {}\r\n\r\n",
        100 << 20
    ));
    client.write_some(&body);
    let answer = client.read();
    assert!(answer.status == 400 && answer.json().to_string().contains("too long a head"), "{answer:?}");
    // One that breaks off leaves nothing either.
    let mut client = Client::connect(server.address);
    let whole = form(&[("purpose", "batch"), ("file", &"x".repeat(1 << 20))]);
    client.write(format!(
        "POST /v1/files HTTP/1.1\r\nHost: test\r\n{kind}Content-Length: {}\r\n\r\n{}",
        whole.len(),
        &whole[..whole.len() / 2]
    ));
    drop(client);
    let parts = || fs::read_dir(folder.path().join("parts")).expect("it is there").count();
    for _ in 0..1_000 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        if parts() == 0 {
            break;
        }
    }
    assert_eq!(parts(), 0);
}

#[test]
fn names_of_files_are_shown_and_never_used() {
    let folder = TempDir::new().expect("a folder");
    let server = start(&settings(folder.path()));
    let mut client = Client::connect(server.address);
    for name in ["../../escaped", "/etc/passwd", "a\u{202e}lnosj.\u{1f600}"] {
        let body = form(&[("purpose", "batch"), ("file", "a")]).replace("requests.jsonl", name);
        let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
        let answer = client.send_with("POST", "/v1/files", &kind, body).json();
        assert_eq!(answer["filename"], name, "{answer}");
        let own = folder.path().join("files").join(id(&answer));
        assert_eq!(fs::read(own).expect("it is there"), b"a");
    }
    for path in ["..%2F..%2Flock", "%2e%2e", "lock", "..%2Fbatches%2Fx.json", "%00", "%ff"] {
        for (method, at) in [("GET", ""), ("GET", "/content"), ("DELETE", "")] {
            let answer = client.send(method, &format!("/v1/files/{path}{at}"), "");
            assert!(matches!(answer.status, 400 | 404), "{method} {path}: {}", answer.status);
        }
    }
    #[cfg(unix)]
    for part in ["files", "batches", "parts"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join(part)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{part}: nobody else reads clients' texts");
    }
}

/// A browser sends forms to any address without asking it first.
#[test]
fn pages_of_strangers_neither_fill_the_folder_nor_read_it() {
    let folder = TempDir::new().expect("a folder");
    let cors_origins = vec!["https://a.example".to_owned()];
    let server = start(&Settings { cors_origins, ..settings(folder.path()) });
    let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
    for (site, origin, status) in [
        ("cross-site", "https://b.example", 400),
        ("same-site", "null", 400),
        ("cross-site", "https://a.example", 200),
        ("same-origin", "http://127.0.0.1", 200),
    ] {
        let from = format!("{kind}Sec-Fetch-Site: {site}\r\nOrigin: {origin}\r\n");
        let body = form(&[("purpose", "batch"), ("file", "a")]);
        let answer = Client::connect(server.address).send_with("POST", "/v1/files", &from, body);
        assert_eq!(answer.status, status, "{site} {origin}");
    }
    // A browser says so much to an address of a network, and no more.
    for (origin, status) in
        [("http://evil.example", 400), ("null", 400), ("http://test", 200), ("https://a.example", 200)]
    {
        let from = format!("{kind}Origin: {origin}\r\n");
        let body = form(&[("purpose", "batch"), ("file", "a")]);
        let answer = Client::connect(server.address).send_with("POST", "/v1/files", &from, body);
        assert_eq!(answer.status, status, "{origin}");
    }
    // The same page under a name of its own, which it has led here.
    for (host, status) in
        [("evil.example:8080", 400), ("a.example", 200), ("localhost:8080", 200), ("connote", 200)]
    {
        let mut client = Client::connect(server.address);
        client.write(format!("GET /v1/files HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.read().status, status, "{host}");
    }
}

/// As keys of one project of OpenAI's: a key may be replaced by another, and the files stay.
#[test]
fn all_keys_see_the_same_files() {
    let folder = TempDir::new().expect("a folder");
    let api_keys = vec!["first".to_owned(), "second".to_owned()];
    let server = start(&Settings { api_keys, ..settings(folder.path()) });
    let mut client = Client::connect(server.address);
    let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nX-Api-Key: first\r\n");
    let made = client.send_with("POST", "/v1/files", &kind, form(&[("purpose", "batch"), ("file", "a")]));
    let at = format!("/v1/files/{}", id(&made.json()));
    assert_eq!(client.send_with("GET", &at, "X-Api-Key: second\r\n", "").status, 200);
    assert_eq!(client.send_with("GET", &at, "X-Api-Key: third\r\n", "").status, 401);
}
