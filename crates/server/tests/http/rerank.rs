//! Scores of pairs, as the clients of TEI, Jina, Cohere and llama-server ask for them.

use std::sync::{Arc, LazyLock};

use connote::{Embedder, Model, Pooling};
use connote_server::{Service, Settings};
use serde_json::{Value, json};
use testkit::edit::Edit;
use testkit::rerankers::{self, Golden};

use crate::client::{Answer, Client};
use crate::{EMBEDDER, Running, client};

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| rerankers::named("bert"));

fn embedder(name: &str) -> Arc<Embedder> {
    let model = Model::from_bytes(rerankers::named(name).file()).expect("it opens");
    Arc::new(Embedder::builder().rerankers(true).load(model).expect("it loads"))
}

/// A reranker whose operator wants vectors of it as well.
fn pooled() -> Arc<Embedder> {
    let model = Model::from_bytes(rerankers::named("bert").file()).expect("it opens");
    Arc::new(Embedder::builder().rerankers(true).pooling(Pooling::Cls).load(model).expect("it loads"))
}

/// A server of one reranker, and one of an embedder, a reranker and a classifier.
static ONE: LazyLock<Running> = LazyLock::new(|| Running::start(embedder("bert")));
static SEVERAL: LazyLock<Running> = LazyLock::new(|| {
    let named = |name: &str, embedder: Arc<Embedder>| (name.to_owned(), embedder);
    let models = vec![
        named("minilm", EMBEDDER.clone()),
        named("judge", embedder("modern-bert-mean")),
        named("nli", embedder("bert-nli")),
    ];
    Running::start_service(Service::new(models, Settings::default()).expect("they are served"))
});

fn one() -> Client {
    Client::connect(ONE.address)
}

fn several() -> Client {
    Client::connect(SEVERAL.address)
}

fn ask(client: &mut Client, path: &str, body: &Value) -> Answer {
    client.send("POST", path, body.to_string())
}

fn taken(client: &mut Client, path: &str, body: &Value) -> Value {
    let answer = ask(client, path, body);
    assert_eq!(answer.status, 200, "{path} {body}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// The first query of the golden pairs, its documents, and their logits.
fn pairs() -> (&'static str, Vec<&'static str>, Vec<f32>) {
    let pairs = &GOLDEN.pairs[..9];
    let documents = pairs.iter().map(|pair| pair.document.as_str());
    (&pairs[0].query, documents.collect(), pairs.iter().map(|pair| pair.outputs[0]).collect())
}

fn number(value: &Value) -> f32 {
    value.as_f64().expect("a number") as f32
}

#[test]
fn texts_are_ranked_as_tei_does() {
    let (query, texts, logits) = pairs();
    let ask = |more: Value| {
        let mut body = json!({ "query": query, "texts": texts, "truncate": true });
        body.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        taken(&mut one(), "/rerank", &body)
    };
    let ranks = ask(json!({ "raw_scores": true, "return_text": true }));
    let ranks = ranks.as_array().expect("a list");
    assert_eq!(ranks.len(), 9);
    for (rank, next) in ranks.iter().zip(ranks.iter().skip(1)) {
        assert!(number(&rank["score"]) >= number(&next["score"]), "{ranks:?}");
    }
    for rank in ranks {
        let index = rank["index"].as_u64().expect("an index") as usize;
        assert!((number(&rank["score"]) - logits[index]).abs() < 1e-4, "{rank}");
        assert_eq!(rank["text"], texts[index]);
    }
    let scores = ask(json!({}));
    for (score, raw) in scores.as_array().expect("a list").iter().zip(ranks) {
        let keys: Vec<&String> = score.as_object().expect("fields").keys().collect();
        assert_eq!(keys, ["index", "score"]);
        assert_eq!(score["index"], raw["index"]);
        let sigmoid = 1.0 / (1.0 + (-number(&raw["score"])).exp());
        assert!((number(&score["score"]) - sigmoid).abs() < 1e-6, "{score}");
    }
    assert_eq!(
        ask(json!({ "top_n": 2 })).as_array().expect("a list")[..],
        scores.as_array().expect("a list")[..2]
    );
    let info = one().send("GET", "/info", "").json();
    assert_eq!(info["model_type"]["reranker"]["id2label"]["0"], "LABEL_0", "{info}");
}

#[test]
fn documents_are_ranked_as_jina_and_cohere_do() {
    let (query, documents, logits) = pairs();
    for path in ["/rerank", "/v1/rerank", "/v2/rerank", "/reranking", "/v1/reranking"] {
        let body = json!({ "model": "any", "query": query, "documents": documents, "top_n": 3, "return_documents": true });
        let answer = ask(&mut one(), path, &body);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("x-model"), Some("tiny reranker bert"));
        // One of them is longer than the model reads.
        assert_eq!(answer.header("x-truncated"), Some("1"));
        let answer = answer.json();
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.len(), 3, "{path}");
        for result in results {
            let index = result["index"].as_u64().expect("an index") as usize;
            let sigmoid = 1.0 / (1.0 + (-logits[index]).exp());
            assert!((number(&result["relevance_score"]) - sigmoid).abs() < 1e-4, "{result}");
            assert_eq!(result["document"]["text"], documents[index]);
        }
        let tokens: usize = GOLDEN.pairs[..9].iter().map(|pair| pair.ids.len()).sum();
        assert_eq!((&answer["usage"]["total_tokens"], &answer["object"]), (&json!(tokens), &json!("list")));
    }
    let objects: Vec<Value> = documents.iter().map(|text| json!({ "text": text, "id": 7 })).collect();
    let plain = taken(&mut one(), "/v1/rerank", &json!({ "query": query, "documents": documents }));
    assert_eq!(taken(&mut one(), "/v1/rerank", &json!({ "query": query, "documents": objects })), plain);
    assert!(plain["results"][0].get("document").is_none());
}

#[test]
fn what_is_wrong_has_the_shape_of_its_protocol() {
    let long = "word ".repeat(400);
    let cases = [
        ("/rerank", json!({ "query": "q", "texts": [] }), 400, "`texts` is an empty array"),
        ("/rerank", json!({ "query": "q" }), 422, "missing field `texts`"),
        ("/rerank", json!({ "texts": ["a"] }), 422, "missing field `query`"),
        ("/rerank", json!({ "query": 5, "texts": ["a"] }), 422, "`query`"),
        ("/rerank", json!({ "query": "q", "texts": ["a", 5] }), 422, "texts 1"),
        (
            "/rerank",
            json!({ "query": "q", "texts": ["a", long] }),
            413,
            "text 1: the document and its query have",
        ),
        ("/rerank", json!({ "query": long, "texts": ["a"] }), 413, "shorten the query"),
        ("/rerank", json!({ "query": "q", "texts": ["a"], "label": "maybe" }), 422, "no label `maybe`"),
        ("/rerank", json!({ "query": "q", "documents": [] }), 400, "`documents` is an empty array"),
        ("/v1/rerank", json!({ "query": "q" }), 400, "missing field `documents`"),
        ("/v1/rerank", json!({ "query": "q", "documents": ["a", 5] }), 400, "a document is a text"),
        ("/v1/rerank", json!({ "query": "q", "documents": ["a"], "top_n": -1 }), 400, "top_n"),
        (
            "/v1/rerank",
            json!({ "query": "q", "documents": [long], "truncate": false }),
            400,
            "\"truncate\": true",
        ),
        ("/v1/embeddings", json!({ "input": "a" }), 400, "is a reranker"),
        ("/embed", json!({ "inputs": "a" }), 422, "is a reranker"),
        ("/api/embed", json!({ "model": "any", "input": "a" }), 400, "is a reranker"),
    ];
    for (path, body, status, part) in cases {
        let answer = ask(&mut one(), path, &body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path} {body}: {text}");
        let json = answer.json();
        let teis = json["error_type"].is_string();
        let message = json["error"]["message"].as_str().or(json["error"].as_str()).unwrap_or_default();
        assert!(message.contains(part), "{path} {body}: {text}");
        if path == "/v1/rerank" || body.get("documents").is_some() {
            // Where haystack, LlamaIndex and Cohere's client look.
            assert_eq!(
                (json["detail"].as_str(), json["message"].as_str()),
                (Some(message), Some(message)),
                "{text}"
            );
        }
        assert_eq!(
            teis,
            path == "/embed" || (path == "/rerank" && body.get("documents").is_none()),
            "{text}"
        );
    }
    let lines = "{\"text\": \"a\"}\n";
    let stream = one().send_with("POST", "/v1/embeddings", "Content-Type: application/x-ndjson\r\n", lines);
    assert_eq!(stream.status, 400, "{}", String::from_utf8_lossy(&stream.body));
}

#[test]
fn an_embedder_scores_nothing_and_says_so() {
    let answer = ask(&mut client(), "/rerank", &json!({ "query": "q", "texts": ["a"] }));
    assert_eq!(answer.status, 422);
    assert!(answer.json()["error"].as_str().is_some_and(|message| message.contains("scores no pairs")));
    let answer = ask(&mut client(), "/v1/rerank", &json!({ "query": "q", "documents": ["a"] }));
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("model")));
}

#[test]
fn of_several_models_the_first_that_scores_is_meant() {
    let body = |model: Value| json!({ "query": "q", "documents": ["a", "b"], "model": model });
    let unnamed = taken(&mut several(), "/v1/rerank", &body(json!(null)));
    assert_eq!(unnamed["model"], "judge");
    assert_eq!(taken(&mut several(), "/v1/rerank", &body(json!("judge"))), unnamed);
    assert_eq!(ask(&mut several(), "/v1/rerank", &body(json!("other"))).status, 404);
    assert_eq!(ask(&mut several(), "/v1/rerank", &body(json!("minilm"))).status, 400);
    let answer = ask(&mut several(), "/v1/rerank", &body(json!("nli")));
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("label")));
    let mut labelled = body(json!("nli"));
    labelled["label"] = json!("entailment");
    assert_eq!(taken(&mut several(), "/v1/rerank", &labelled)["results"].as_array().expect("two").len(), 2);
    assert_eq!(several().embed(&json!({ "input": "a" })).vectors().len(), 1);
}

#[test]
fn the_document_has_examples_that_are_taken() {
    for client in [one, several] {
        let document = client().send("GET", "/openapi.json", "").json();
        for path in ["/rerank", "/v1/rerank", "/v2/rerank", "/reranking", "/v1/reranking"] {
            let content = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"];
            let examples = content["examples"].as_object().expect("examples");
            assert_eq!(examples.len(), 2);
            for example in examples.values() {
                let answer = taken(&mut client(), path, &example["value"]);
                let wanted = json!({ "allOf": [document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]], "components": document["components"] });
                assert!(jsonschema::is_valid(&wanted, &answer), "{path}: {answer}");
                let wanted = json!({ "allOf": [content["schema"]], "components": document["components"] });
                assert!(jsonschema::is_valid(&wanted, &example["value"]), "{path}: {example}");
            }
        }
        for (method, path, body) in [
            ("GET", "/info", ""),
            ("GET", "/v1/models", ""),
            ("GET", "/api/tags", ""),
            ("GET", "/api/ps", ""),
            ("GET", "/props", ""),
            ("POST", "/api/show", r#"{"model": "judge"}"#),
        ] {
            let told = client().send(method, path, body).json();
            let schema = &document["paths"][path][method.to_lowercase()]["responses"]["200"]["content"]["application/json"]
                ["schema"];
            let schema = json!({ "allOf": [schema], "components": document["components"] });
            assert!(jsonschema::is_valid(&schema, &told), "{path}: {told}");
        }
    }
}

#[test]
fn a_query_times_its_documents_is_bounded() {
    let body = json!({ "query": "q ".repeat(40), "documents": vec![""; 200_000] });
    let answer = ask(&mut one(), "/v1/rerank", &body);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (413, &json!("request_too_large")),
        "{text}"
    );
    assert!(text.contains("--max-request-tokens"), "{text}");
}

#[test]
fn a_pooling_that_was_set_makes_vectors_of_a_reranker() {
    let server = Running::start(pooled());
    let mut client = Client::connect(server.address);
    assert_eq!(client.embed(&json!({ "input": "a" })).vectors().len(), 1);
    taken(&mut client, "/v1/rerank", &json!({ "query": "q", "documents": ["a"] }));
}

#[test]
fn without_a_name_vectors_are_asked_of_the_first_that_has_them() {
    let models = vec![("judge".to_owned(), embedder("bert")), ("notes".to_owned(), EMBEDDER.clone())];
    let server = Running::start_service(Service::new(models, Settings::default()).expect("they are served"));
    let mut client = Client::connect(server.address);
    assert_eq!(client.embed(&json!({ "input": "a" })).vectors().len(), 1);
    assert_eq!(taken(&mut client, "/embed", &json!({ "inputs": "a" })).as_array().expect("vectors").len(), 1);
    taken(&mut client, "/v1/rerank", &json!({ "query": "q", "documents": ["a"] }));
}

#[test]
fn a_head_that_scores_nothing_finite_is_not_ready() {
    let edit = Edit::of(&rerankers::named("bert").file());
    let broken = edit.tensor("cls.output.bias", &[1], &[f32::NAN]).bytes();
    let model = Model::from_bytes(broken).expect("it opens");
    let embedder = Embedder::builder().rerankers(true).load(model).expect("it loads");
    let server = Running::start(Arc::new(embedder));
    let answer = Client::connect(server.address).send("GET", "/health/ready", "");
    assert_eq!(answer.status, 503);
    assert!(String::from_utf8_lossy(&answer.body).contains("not finite"));
}

#[test]
fn scores_are_counted() {
    let models = vec![("counted".to_owned(), embedder("modern-bert-mean"))];
    let server = Running::start_service(Service::new(models, Settings::default()).expect("it is served"));
    let mut client = Client::connect(server.address);
    let texts = |client: &mut Client| {
        let metrics = client.send("GET", "/metrics", "");
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let line = text.lines().find(|line| line.starts_with("connote_texts_total{model=\"counted\""));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok()).expect("a count")
    };
    assert_eq!(texts(&mut client), 0.0);
    taken(&mut client, "/v1/rerank", &json!({ "query": "q", "documents": ["a", "b"] }));
    assert_eq!(texts(&mut client), 2.0);
    assert_eq!(client.send("GET", "/health/ready", "").status, 200);
}

/// A list of models is read to learn which can be asked for what.
#[test]
fn what_a_model_does_is_said_wherever_it_is_listed() {
    let models = vec![
        ("judge".to_owned(), embedder("bert")),
        ("minilm".to_owned(), EMBEDDER.clone()),
        ("both".to_owned(), pooled()),
    ];
    let server = Running::start_service(Service::new(models, Settings::default()).expect("they are served"));
    let mut client = Client::connect(server.address);
    let (rerank, embedding) = (json!(["rerank"]), json!(["embedding"]));
    let both = json!(["embedding", "rerank"]);
    let mut get = |path: &str| client.send("GET", path, "").json();
    let told = get("/v1/models")["data"].as_array().expect("a list").clone();
    let tags = get("/api/tags")["models"].as_array().expect("a list").clone();
    let (props, document) = (get("/props"), get("/openapi.json"));
    for (at, (name, wanted)) in [("judge", rerank), ("minilm", embedding), ("both", both)].iter().enumerate()
    {
        let body = json!({ "model": name }).to_string();
        let shown = client.send("POST", "/api/show", body).json();
        assert_eq!([&told[at]["id"], &tags[at]["name"]], [name, name]);
        for capabilities in [&told[at], &tags[at], &shown].map(|model| &model["capabilities"]) {
            assert_eq!(capabilities, wanted, "{name}");
        }
        // What is told of vectors is told of models that give them, and what is listed can be asked for.
        let gives_vectors = *name != "judge";
        let info = shown["model_info"].as_object().expect("an object");
        for is_told in [
            told[at].get("dimensions").is_some(),
            told[at].get("pooling").is_some(),
            info.contains_key("bert.embedding_length"),
            info.contains_key("bert.pooling"),
            client.embed(&json!({ "model": name, "input": "a" })).status == 200,
        ] {
            assert_eq!(is_told, gives_vectors, "{name}");
        }
        let body = json!({ "model": name, "query": "a", "documents": ["b"] });
        let scores = ask(&mut client, "/v1/rerank", &body).status == 200;
        assert_eq!(scores, wanted.as_array().expect("a list").contains(&json!("rerank")), "{name}");
    }
    // Of the first.
    assert_eq!(props["capabilities"], json!(["rerank"]));
    assert!(props.get("n_embd").is_none() && props.get("pooling").is_none());
    let examples = &document["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]
        ["examples"];
    assert_eq!(examples["text"]["value"]["model"], "minilm");
}
