//! `/openapi.json`: it describes every route there is, and says neither more nor less of them than they do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use connote::{Embedder, Model};
use connote_server::{EmbeddingsDialect, Service, Settings, TokenIds};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::{EMBEDDER, Running, client};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&mut client()));

fn document(client: &mut Client) -> Value {
    let answer = client.send("GET", "/openapi.json", "");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// What checks values against a schema of the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::draft202012::new(&whole).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

/// All operations: path, method, operation.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        item.as_object().expect("operations").iter().map(move |(method, operation)| (path, method, operation))
    })
}

fn request_schema(operation: &Value) -> &Value {
    &operation["requestBody"]["content"]["application/json"]["schema"]
}

/// An answer has a status, a media type, headers and a body that its operation describes.
fn assert_described(document: &Value, operation: &Value, answer: &Answer, asked: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{asked}: the status {} is not described: {text}", answer.status);
    let kind = answer.header("content-type").expect("a media type").split(';').next().expect("one").trim();
    let content = &response["content"][kind];
    assert!(content.is_object(), "{asked}: {kind} is not described");
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let header =
            header["$ref"].as_str().and_then(|place| document.pointer(&place[1..])).expect("a header");
        let said = answer.header(&name.to_lowercase());
        assert!(said.is_some() || header["required"] == false, "{asked}: {name} is missing");
    }
    if kind == "application/json" {
        let errors = validator(document, &content["schema"]);
        let errors: Vec<String> = errors.iter_errors(&answer.json()).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{asked}: {errors:?}\n{text}");
    }
}

#[test]
fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
    assert_whole(&DOCUMENT);
}

fn assert_whole(document: &Value) {
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut left = vec![document];
    let mut used = BTreeSet::new();
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(place) = fields.get("$ref") {
                    let place = place.as_str().and_then(|place| place.strip_prefix('#')).expect("a place");
                    assert!(document.pointer(place).is_some(), "{place} is not there");
                    used.insert(place);
                }
                left.extend(fields.values());
            }
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    for kind in ["schemas", "parameters", "headers"] {
        let named = document["components"][kind].as_object().expect("components").keys();
        let idle = named.filter(|name| !used.contains(format!("/components/{kind}/{name}").as_str()));
        assert_eq!(idle.collect::<Vec<_>>(), Vec::<&String>::new(), "nothing uses these {kind}");
    }
    for (path, method, operation) in operations(document) {
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        if !request_schema(operation).is_null() {
            validator(document, request_schema(operation));
        }
    }
}

/// The paths that the sources of the server route for models that give vectors.
fn routed(with_batches: bool) -> BTreeSet<String> {
    every_route(with_batches).into_iter().filter(|path| !path.contains("/rerank")).collect()
}

/// The paths that the sources of the server route.
fn every_route(with_batches: bool) -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = fs::read_dir(sources).expect("the sources").map(|file| file.expect("a file").path());
    let files = files.filter(|file| with_batches || !file.ends_with("batches.rs"));
    let sources = files.filter(|file| file.is_file()).map(|file| fs::read_to_string(file).expect("text"));
    let mut paths = BTreeSet::new();
    for source in sources {
        for rest in source.split(".route(").skip(1) {
            let path = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
            let (path, _) = path.expect("routes are written out, so that this test finds them");
            paths.insert(path.replace("{*", "{"));
        }
    }
    paths
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let described: BTreeSet<String> = operations(&DOCUMENT).map(|(path, ..)| path.clone()).collect();
    assert_eq!(described, routed(false));
    for path in &described {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            // Bodies that no route reads end a connection.
            let answer = client().send(method, &path.replace("{id}", EMBEDDER.model().name()), "{}");
            let exists = DOCUMENT["paths"][path][method.to_lowercase()].is_object();
            assert_eq!(!matches!(answer.status, 404 | 405), exists, "{method} {path}: {}", answer.status);
            assert_eq!(answer.status == 405, answer.header("allow").is_some(), "{method} {path}");
        }
    }
}

/// Routes that score are described where there is a reranker, and those for vectors where there is a model that gives them.
#[test]
fn a_server_describes_what_its_models_can() {
    let model = Model::from_bytes(testkit::rerankers::named("bert").file()).expect("it opens");
    let reranker = Arc::new(Embedder::builder().rerankers(true).load(model).expect("it loads"));
    let named = |name: &str, embedder: &Arc<Embedder>| (name.to_owned(), embedder.clone());
    let serve =
        |models| Running::start_service(Service::new(models, Settings::default()).expect("they are served"));
    let of = |document: &Value| -> BTreeSet<(String, String)> {
        operations(document).map(|(path, method, _)| (method.clone(), path.clone())).collect()
    };
    let both = serve(vec![named("minilm", &EMBEDDER), named("judge", &reranker)]);
    let both = document(&mut Client::connect(both.address));
    assert_whole(&both);
    let paths: BTreeSet<String> = of(&both).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, every_route(false));
    assert_eq!(of(&both).difference(&of(&DOCUMENT)).count(), 5);

    let server = serve(vec![named("judge", &reranker)]);
    let mut client = Client::connect(server.address);
    let scores = document(&mut client);
    assert_whole(&scores);
    assert!(scores["info"]["summary"].as_str().is_some_and(|summary| summary.starts_with("Scores")));
    // What it does not describe, and the other one does, it refuses.
    let (of_both, of_scores) = (of(&both), of(&scores));
    let left_out: Vec<_> = of_both.difference(&of_scores).collect();
    assert_eq!((left_out.len(), of_scores.difference(&of_both).count()), (8, 0));
    for (method, path) in left_out {
        let examples = &both["paths"][path][method]["requestBody"]["content"]["application/json"]["examples"];
        for (name, example) in examples.as_object().expect("examples") {
            let mut body = example["value"].clone();
            body["model"] = json!("judge");
            let answer = client.send(&method.to_uppercase(), path, body.to_string());
            assert!(matches!(answer.status, 400 | 422), "{path}, {name}: {}", answer.status);
        }
    }
    // And what it describes it takes.
    for (path, method, operation) in operations(&scores) {
        let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
        for (name, example) in examples.as_object().into_iter().flatten() {
            let answer = client.send(&method.to_uppercase(), path, example["value"].to_string());
            assert_eq!(answer.status, 200, "{path}, {name}: {}", String::from_utf8_lossy(&answer.body));
            assert_described(&scores, operation, &answer, &format!("{path}, {name}"));
        }
    }
}

/// Files and batches are described where there is a folder for them.
#[test]
fn files_and_batches_are_as_is_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { batch_folder: Some(folder.path().to_owned()), ..Settings::default() };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut client = Client::connect(server.address);
    let document = document(&mut client);
    let described: BTreeSet<String> = operations(&document).map(|(path, ..)| path.clone()).collect();
    assert_eq!(described, routed(true));
    let mut ask = |method: &str, path: &str, place: &str, headers: &str, body: &str| {
        let answer = client.send_with(method, path, headers, body);
        let operation = &document["paths"][place][method.to_lowercase()];
        assert_described(&document, operation, &answer, &format!("{method} {path} {body}"));
        answer
    };
    let form = "Content-Type: multipart/form-data; boundary=b\r\n";
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n{value}\r\n")
    };
    let whole = part("file", "no JSON") + &part("purpose", "batch") + "--b--\r\n";
    let file =
        ask("POST", "/v1/files", "/v1/files", form, &whole).json()["id"].as_str().expect("an id").to_owned();
    ask("POST", "/v1/files", "/v1/files", form, "--b--\r\n");
    ask("GET", "/v1/files?limit=1", "/v1/files", "", "");
    ask("GET", "/v1/files?limit=0", "/v1/files", "", "");
    ask("GET", &format!("/v1/files/{file}"), "/v1/files/{id}", "", "");
    ask("GET", &format!("/v1/files/{file}/content"), "/v1/files/{id}/content", "", "");
    let right = json!({ "input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h" });
    let mut bodies = vec![right.clone(), json!({}), json!([])];
    bodies.extend(with(&right, "endpoint", [json!("/v1/completions"), json!(null), json!(1)]));
    bodies.extend(with(&right, "completion_window", [json!("1h")]));
    let notes = [
        json!(null),
        json!({}),
        json!({ "a": "b" }),
        json!({ "a": null }),
        json!({ "a".repeat(65): "b" }),
        json!("a"),
    ];
    bodies.extend(with(&right, "metadata", notes));
    let times = [
        (json!("created_at"), json!(3_600)),
        (json!("created_at"), json!(3_600.0)),
        (json!("never"), json!(3_600)),
        (json!("created_at"), json!(3_599)),
    ];
    bodies.extend(with(
        &right,
        "output_expires_after",
        times.map(|(anchor, seconds)| json!({ "anchor": anchor, "seconds": seconds })),
    ));
    let schema = validator(&document, request_schema(&document["paths"]["/v1/batches"]["post"]));
    let mut batch = String::new();
    for body in &bodies {
        let answer = ask("POST", "/v1/batches", "/v1/batches", "", &body.to_string());
        assert_eq!(answer.status == 200, schema.is_valid(body), "{body}: {}", answer.json());
        if answer.status == 200 {
            batch = answer.json()["id"].as_str().expect("an id").to_owned();
        }
    }
    ask("GET", "/v1/batches?limit=3", "/v1/batches", "", "");
    ask("GET", &format!("/v1/batches/{batch}"), "/v1/batches/{id}", "", "");
    ask("POST", &format!("/v1/batches/{batch}/cancel"), "/v1/batches/{id}/cancel", "", "");
    ask("DELETE", &format!("/v1/files/{file}"), "/v1/files/{id}", "", "");
    for (method, end) in [("GET", ""), ("DELETE", ""), ("GET", "/content")] {
        assert_eq!(
            ask(method, &format!("/v1/files/none{end}"), &format!("/v1/files/{{id}}{end}"), "", "").status,
            404
        );
    }
    for (method, end) in [("GET", ""), ("POST", "/cancel")] {
        assert_eq!(
            ask(method, &format!("/v1/batches/none{end}"), &format!("/v1/batches/{{id}}{end}"), "", "")
                .status,
            404
        );
    }
}

#[test]
fn every_example_is_taken_and_answered_as_is_described() {
    let mut client = client();
    let mut count = 0;
    for (path, method, operation) in operations(&DOCUMENT) {
        let content = &operation["requestBody"]["content"]["application/json"];
        let none = vec![json!({ "value": null })];
        let examples: Vec<Value> =
            content["examples"].as_object().map_or(none, |all| all.values().cloned().collect());
        for example in examples {
            let body = &example["value"];
            let sent = if body.is_null() { String::new() } else { body.to_string() };
            let path = path.replace("{id}", EMBEDDER.model().name());
            let answer = client.send(&method.to_uppercase(), &path, &sent);
            let asked = format!("{method} {path} {sent}");
            assert_eq!(answer.status, 200, "{asked}: {}", String::from_utf8_lossy(&answer.body));
            assert_described(&DOCUMENT, operation, &answer, &asked);
            if !body.is_null() {
                assert!(validator(&DOCUMENT, &content["schema"]).is_valid(body), "{asked}");
            }
            count += 1;
        }
    }
    assert!(count > 40, "{count} examples");
}

/// Sends each body, which must be taken if its schema takes it, and refused in a described way if not.
fn assert_agreement(document: &Value, client: &mut Client, path: &str, bodies: &[Value]) {
    let operation = &document["paths"][path]["post"];
    let schema = validator(document, request_schema(operation));
    let (mut taken, mut refused) = (0, 0);
    for body in bodies {
        let answer = client.send("POST", path, body.to_string());
        let asked = format!("POST {path} {body}");
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status == 200, schema.is_valid(body), "{asked}: {} {text}", answer.status);
        assert_described(document, operation, &answer, &asked);
        *(if answer.status == 200 { &mut taken } else { &mut refused }) += 1;
    }
    assert!(taken > 0 && refused > 0, "{path}: bodies of both kinds tell something");
}

/// A body with each of these values in a field.
fn with(body: &Value, field: &str, values: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let body = |value| {
        let mut body = body.clone();
        body[field] = value;
        body
    };
    values.into_iter().map(body).collect()
}

/// Fields of all routes for vectors, as they may be and as they may not.
fn shared(body: &Value) -> Vec<Value> {
    let kinds = || [json!(null), json!(true), json!(1), json!(1.5), json!("x"), json!([]), json!({})];
    let mut all = kinds().to_vec();
    for field in ["model", "task", "input_type", "prompt_name", "title", "truncate", "priority"] {
        all.extend(with(body, field, kinds()));
    }
    let names =
        ["query", "search_document", "STS", "classification", "code-retrieval", "custom:law", "custom:"];
    all.extend(with(body, "task", names.map(|name| json!(name))));
    all.extend(with(
        &with(body, "task", [json!("query")])[0],
        "prompt_name",
        [json!("search_query"), json!("document")],
    ));
    all.extend(with(
        &with(body, "input_type", [json!("document")])[0],
        "title",
        [json!("a title"), json!(""), json!(" ")],
    ));
    all.extend(with(body, "truncate", ["end", "start", "error", "END", ""].map(|name| json!(name))));
    all.extend(with(body, "priority", ["interactive", "batch", "high"].map(|name| json!(name))));
    all.extend(with(body, "anything", kinds()));
    // What servers of Ollama and OpenAI take and this one does not look at.
    all.extend(["user", "keep_alive", "options"].into_iter().flat_map(|field| with(body, field, kinds())));
    all
}

fn inputs() -> [Value; 18] {
    [
        json!(null),
        json!(true),
        json!(5),
        json!({}),
        json!(""),
        json!([]),
        json!([""]),
        json!(["a", "b"]),
        json!(["a", null]),
        json!(["a", 5]),
        json!([101, 2023, 102]),
        json!([101.0]),
        json!([101.5]),
        json!([-1]),
        json!([30522]),
        json!([[101, 102], [2023]]),
        json!([["a"]]),
        json!([[101], "a"]),
    ]
}

fn sizes() -> [Value; 8] {
    [json!(384), json!(384.0), json!(0), json!(383), json!(-1), json!(385), json!("384"), json!(null)]
}

fn norms() -> [Value; 9] {
    [
        json!(-2),
        json!(-1),
        json!(0),
        json!(2.0),
        json!(2.5),
        json!(i32::MAX),
        json!(1u64 << 31),
        json!("2"),
        json!(null),
    ]
}

#[test]
fn openais_and_teis_schemas_take_what_their_readers_take() {
    let body = json!({ "input": "a cat" });
    let mut bodies = shared(&body);
    bodies.extend(with(&body, "input", inputs()));
    bodies.extend(with(&json!({ "token_ids": "model" }), "input", inputs()));
    bodies.extend(with(&body, "token_ids", [json!("reject"), json!("openai"), json!(null), json!(1)]));
    bodies.extend(with(&body, "dimensions", sizes()));
    bodies.extend(with(
        &body,
        "encoding_format",
        [json!("float"), json!("base64"), json!("int8"), json!(1), json!(null)],
    ));
    bodies.extend(with(
        &body,
        "output_dtype",
        [json!("float"), json!("int8"), json!("ubinary"), json!("int4"), json!(8), json!(null)],
    ));
    bodies.extend(with(&body, "embd_normalize", norms()));
    bodies.push(json!({ "input": [101], "token_ids": "model", "title": "x" }));
    bodies.push(json!({ "content": "a cat", "input": null }));
    assert_agreement(&DOCUMENT, &mut client(), "/v1/embeddings", &bodies);
    assert_agreement(&DOCUMENT, &mut client(), "/embeddings", &bodies);
    let body = json!({ "inputs": "a cat" });
    let mut bodies = shared(&body);
    bodies.extend(with(&body, "inputs", inputs()));
    bodies.extend(with(&body, "dimensions", sizes()));
    bodies.extend(with(&body, "normalize", [json!(false), json!(null), json!(0)]));
    bodies.extend(with(&body, "truncation_direction", ["Left", "right", "LEFT"].map(|name| json!(name))));
    for path in ["/", "/embed", "/embed_all"] {
        assert_agreement(&DOCUMENT, &mut client(), path, &bodies);
    }
}

#[test]
fn ollamas_and_llama_servers_schemas_take_what_their_readers_take() {
    let body = json!({ "input": "a cat" });
    let mut bodies = shared(&body);
    bodies.extend(with(&body, "input", inputs()));
    bodies.extend(with(&body, "dimensions", sizes()));
    assert_agreement(&DOCUMENT, &mut client(), "/api/embed", &bodies);
    let body = json!({ "prompt": "a cat" });
    let mut bodies = shared(&body);
    bodies.extend(with(&body, "prompt", inputs()));
    bodies.extend(with(&body, "dimensions", sizes()));
    assert_agreement(&DOCUMENT, &mut client(), "/api/embeddings", &bodies);
    let mut prompts = inputs().to_vec();
    prompts.extend([
        json!([12, "string", 34.0]),
        json!(["string", [12, "string"]]),
        json!([12, [34]]),
        json!([[]]),
        json!({ "prompt_string": "a" }),
        json!({ "prompt_string": 1 }),
        json!({ "prompt_string": "a", "multimodal_data": ["x"] }),
        json!([{ "prompt_string": "a" }, "b"]),
        json!({ "content": [] }),
        json!({ "content": "a" }),
        json!({ "content": [{ "type": "text", "text": "a" }] }),
        json!({ "content": [{ "type": "image_url", "text": "a" }] }),
        json!({ "content": [{ "type": "text" }] }),
    ]);
    let body = json!({ "content": "a cat" });
    let mut bodies = shared(&body);
    bodies.extend(with(&body, "content", prompts.clone()));
    bodies.extend(with(&json!({}), "input", prompts.clone()));
    bodies.extend(with(&body, "input", [json!(null), json!("x"), json!(5)]));
    bodies.extend(with(&body, "embd_normalize", norms()));
    bodies.extend(with(&body, "dimensions", sizes()));
    assert_agreement(&DOCUMENT, &mut client(), "/embedding", &bodies);
    assert_agreement(&DOCUMENT, &mut client(), "/embeddings", &bodies);
    let mut bodies = with(&json!({}), "content", prompts);
    bodies.extend(with(&json!({ "content": "a cat", "with_pieces": true }), "inputs", inputs()));
    for field in ["add_special", "parse_special", "add_special_tokens"] {
        bodies.extend(with(&json!({ "content": "a" }), field, [json!(true), json!(null), json!("true")]));
        bodies.extend(with(&json!({ "inputs": "a" }), field, [json!(false), json!(null), json!(0)]));
    }
    bodies.extend(shared(&json!({ "inputs": ["a cat"] })));
    assert_agreement(&DOCUMENT, &mut client(), "/tokenize", &bodies);
    let flags =
        with(&json!({ "ids": [101] }), "skip_special_tokens", [json!(false), json!(null), json!("no")]);
    assert_agreement(
        &DOCUMENT,
        &mut client(),
        "/decode",
        &[with(&json!({}), "ids", inputs()), flags].concat(),
    );
    assert_agreement(&DOCUMENT, &mut client(), "/detokenize", &with(&json!({}), "tokens", inputs()));
    let shows = [
        json!({}),
        json!({ "model": null, "name": "x" }),
        json!({ "model": 1 }),
        json!({ "name": [] }),
        json!([]),
    ];
    assert_agreement(&DOCUMENT, &mut client(), "/api/show", &shows);
}

#[test]
fn titles_are_taken_as_is_described_where_a_prompt_has_a_place_for_one() {
    let server = Running::start(crate::protocols::gemma());
    let mut client = Client::connect(server.address);
    let document = document(&mut client);
    for (path, body) in [
        ("/v1/embeddings", json!({ "input": "a cat" })),
        ("/embed", json!({ "inputs": "a cat" })),
        ("/api/embed", json!({})),
        ("/embedding", json!({ "content": "a cat" })),
    ] {
        let mut bodies = Vec::new();
        for task in [json!(null), json!("document"), json!("query"), json!("custom:law")] {
            let titles = ["a title", "", " ", "\u{84}", "\u{85}"].map(|title| json!(title));
            bodies.extend(with(&with(&body, "task", [task])[0], "title", titles));
        }
        bodies.extend(with(&body, "title", [json!("a title"), json!(null), json!(5)]));
        assert_agreement(&document, &mut client, path, &bodies);
    }
}

#[test]
fn vectors_as_bytes_and_refused_headers_are_as_is_described() {
    let operation = &DOCUMENT["paths"]["/embed"]["post"];
    let body = r#"{"inputs": ["a cat", "a dog"]}"#;
    let mut client = client();
    let mut ask = |header: &str| {
        client.write(format!(
            "POST /embed HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = client.read();
        assert_described(&DOCUMENT, operation, &answer, header);
        answer.status
    };
    for kind in ["application/octet-stream", "application/vnd.apache.arrow.stream"] {
        assert_eq!(ask(&format!("Accept: {kind}")), 200);
    }
    let seconds = DOCUMENT["components"]["parameters"]["Timeout"]["schema"].clone();
    let seconds = validator(&DOCUMENT, &seconds);
    for said in ["30", "0.75", "99999.999", "0", "0.0", "0.01", "-1", "100000", "soon", "nan", "inf", ""] {
        let taken = ask(&format!("X-Request-Timeout: {said}")) == 200;
        assert_eq!(taken, seconds.is_valid(&json!(said)), "{said}");
    }
    for (said, status) in [("batch", 200), ("interactive", 200), ("Batch", 422), ("", 422)] {
        assert_eq!(ask(&format!("X-Priority: {said}")), status, "{said}");
    }
}

#[test]
fn keys_and_the_operators_choices_are_in_it() {
    assert!(DOCUMENT.get("security").is_none(), "anybody may ask where there is no key");
    let settings = Settings {
        api_keys: vec!["secret".to_owned()],
        dialect: EmbeddingsDialect::Llama,
        token_ids: TokenIds::Model,
        ..Settings::default()
    };
    let server = Running::start_with(EMBEDDER.clone(), settings);
    let mut client = Client::connect(server.address);
    let document = document(&mut client);
    for (path, method, operation) in operations(&document) {
        let answer = Client::connect(server.address).send(&method.to_uppercase(), path, "{}");
        let public = operation["security"] == json!([]);
        assert_eq!(answer.status == 401, !public, "{method} {path}: {}", answer.status);
        assert_described(&document, operation, &answer, path);
    }
    let mut send = |path: &str, body: &Value| {
        let body = body.to_string();
        client.write(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: secret\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        client.read()
    };
    let ids =
        with(&json!({ "input": [[101, 102]] }), "token_ids", [json!(null), json!("model"), json!("reject")]);
    let prompts = [json!({ "input": [12, "a"] }), json!({ "content": "a" }), json!({ "content": null })];
    for (path, bodies) in [("/v1/embeddings", ids), ("/embeddings", prompts.to_vec())] {
        let operation = &document["paths"][path]["post"];
        for body in &bodies {
            let answer = send(path, body);
            let valid = validator(&document, request_schema(operation)).is_valid(body);
            assert_eq!(
                answer.status == 200,
                valid,
                "{path} {body}: {}",
                String::from_utf8_lossy(&answer.body)
            );
            assert_described(&document, operation, &answer, path);
        }
    }
}
