//! What can be done at which path.

use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::{answers, any_of, joined, schema};
use crate::dialect::Dialect::{self, Jina, Llama, Ollama, OpenAi, Tei};
use crate::metrics;

/// [`crate::ask::TIMEOUTS`] in digits.
const SECONDS: &str = r"^[1-9][0-9]{0,4}(\.[0-9]{1,3})?$";

/// What a stream is.
const LINES: &str = "A stream of lines, each a JSON object: `{\"text\": \"...\", \"id\": any, \"task\": \"...\", \"title\": \"...\"}`, \
                     answered by lines in the same order while it comes. A line that fails has an `error` in place of its `embedding`. \
                     What holds for all lines is in the query: `model`, `dimensions`, `normalize`, `embd_normalize`, `task`, `title`, `truncate`, `priority`.";

/// Headers of requests.
pub(super) fn parameters() -> Value {
    json!({
        "Priority": {
            "name": "X-Priority", "in": "header",
            "description": "As the field `priority`, which goes before it.",
            "schema": { "type": "string", "enum": ["interactive", "batch"] },
        },
        "Timeout": {
            "name": "X-Request-Timeout", "in": "header",
            "description": "Seconds after which the answer is of no use, from 1 to 99999.999: then 504, and the work stops.",
            // As it is written in the header, since fuzzers and proxies see no number there.
            "schema": { "type": "string", "pattern": SECONDS }, "example": "30",
        },
    })
}

/// All paths.
pub(super) fn paths(facts: &Facts) -> Value {
    let doors = Doors(facts);
    let embeddings = if facts.llama {
        doors.embed(
            &[Llama],
            "Vectors (llama-server)",
            schema("LlamaRequest"),
            schema("LlamaEmbeddings"),
            llama_examples(facts),
        )
    } else {
        let request = any_of([schema("OpenAiRequest"), schema("LlamaContentRequest")]);
        let answer = any_of([schema("OpenAiEmbeddings"), schema("LlamaEmbeddings")]);
        let examples = joined(
            openai_examples(facts),
            json!({ "content": { "value": { "content": "a cat on the mat" } } }),
        );
        let description = "By `input` as OpenAI, by `content` as llama-server.";
        let operation =
            doors.embed(&[OpenAi, Llama], "Vectors (OpenAI or llama-server)", request, answer, examples);
        joined(operation, json!({ "description": description }))
    };
    let tei = || {
        doors.embed(
            &[Tei],
            "Vectors (TEI)",
            schema("TeiRequest"),
            schema("TeiEmbeddings"),
            tei_examples(facts),
        )
    };
    let mut paths = json!({
        "/v1/embeddings": { "post": doors.embed(&[OpenAi], "Vectors (OpenAI)", schema("OpenAiRequest"), schema("OpenAiEmbeddings"), openai_examples(facts)) },
        "/v1/models": { "get": doors.look(OpenAi, "The models that are served", "OpenAiModels") },
        "/models": { "get": doors.look(OpenAi, "The models that are served, by llama-server's path", "OpenAiModels") },
        "/v1/models/{id}": { "get": doors.model() },
        "/embeddings": { "post": embeddings },
        "/": { "get": root(), "post": tei() },
        "/embed": { "post": tei() },
        "/embed_all": { "post": doors.embed(&[Tei], "A vector a token (TEI)", schema("TeiRequest"), schema("TeiTokenEmbeddings"), tei_examples(facts)) },
        "/tokenize": { "post": doors.tokenize() },
        "/decode": { "post": doors.short(&[Tei], "Token ids to texts (TEI)", schema("TeiDecodeRequest"), schema("TeiTexts"), json!({
            "one": { "value": { "ids": ids(facts) } },
            "several": { "value": { "ids": [ids(facts), ids(facts)], "skip_special_tokens": false } },
        })) },
        "/detokenize": { "post": doors.short(&[Llama], "Token ids to text (llama-server)", schema("LlamaDetokenizeRequest"), schema("LlamaTextOfTokens"), json!({
            "ids": { "value": { "tokens": ids(facts) } },
        })) },
        "/info": { "get": doors.look(Tei, "The first model, and how it is served (TEI)", "TeiInfo") },
        "/props": { "get": doors.look(Llama, "The first model, and how it is served (llama-server)", "LlamaProps") },
        "/embedding": { "post": doors.embed(&[Llama], "Vectors (llama-server)", schema("LlamaRequest"), schema("LlamaEmbeddings"), llama_examples(facts)) },
        "/api/embed": { "post": doors.embed(&[Ollama], "Vectors (Ollama)", schema("OllamaRequest"), schema("OllamaEmbeddings"), json!({
            "text": { "value": { "model": facts.name, "input": "a cat on the mat" } },
            "texts": { "value": { "model": facts.name, "input": ["a cat on the mat", "a feline on a rug"], "truncate": false } },
        })) },
        "/api/embeddings": { "post": doors.embed(&[Ollama], "A vector, by Ollama's older route", schema("OllamaPromptRequest"), schema("OllamaEmbedding"), json!({
            "text": { "value": { "model": facts.name, "prompt": "a cat on the mat" } },
        })) },
        "/api/show": { "post": doors.short(&[Ollama], "A model (Ollama)", schema("OllamaShowRequest"), schema("OllamaModelInfo"), json!({
            "model": { "value": { "model": facts.name } },
        })) },
        "/api/tags": { "get": doors.look(Ollama, "The models that are served (Ollama)", "OllamaModels") },
        "/api/ps": { "get": doors.look(Ollama, "The models that are loaded, which are all (Ollama)", "OllamaRunning") },
        "/api/version": { "get": doors.look(Ollama, "What version of Ollama's API this is", "OllamaVersion") },
        "/health": { "get": public("Whether it runs", json!({ "application/json": { "schema": schema("Health") } })) },
        "/v1/health": { "get": public("Whether it runs", json!({ "application/json": { "schema": schema("Health") } })) },
        "/health/live": { "get": public("Whether it runs", json!({ "application/json": { "schema": schema("Health") } })) },
        "/health/ready": { "get": ready() },
        "/metrics": { "get": doors.metrics() },
        "/page.js": { "get": public("The page's script", json!({ "text/javascript": { "schema": { "type": "string" } } })) },
        "/style.css": { "get": public("The page's style", json!({ "text/css": { "schema": { "type": "string" } } })) },
        "/openapi.json": { "get": public("This document", json!({ "application/json": { "schema": { "type": "object", "required": ["openapi", "info", "paths"] } } })) },
    });
    // Without a model for them routes refuse every request, and a document that offers them would not be true.
    if !facts.vectors
        && let Some(paths) = paths.as_object_mut()
    {
        paths.retain(|path, _| !EMBED.contains(&path.as_str()));
        if let Some(root) = paths.get_mut("/").and_then(Value::as_object_mut) {
            root.remove("post");
        }
    }
    if facts.reranker.is_some() {
        paths["/rerank"] = json!({ "post": doors.rerank(&[Tei, Jina]) });
        for path in RERANK {
            paths[path] = json!({ "post": doors.rerank(&[Jina, Tei]) });
        }
    }
    paths
}

/// What only the routes that score speak of.
pub(super) const RERANK_SCHEMAS: [&str; 5] =
    ["Relevances", "RerankError", "RerankRequest", "TeiRanks", "TeiRerankRequest"];

/// What only the routes for vectors speak of.
pub(super) const VECTOR_SCHEMAS: [&str; 19] = [
    "LlamaContentRequest",
    "LlamaEmbeddings",
    "LlamaPrompts",
    "LlamaRequest",
    "LlamaTexts",
    "OllamaEmbedding",
    "OllamaEmbeddings",
    "OllamaPromptRequest",
    "OllamaRequest",
    "OpenAiEmbeddings",
    "OpenAiRequest",
    "Purpose",
    "PurposeOfIds",
    "TeiEmbeddings",
    "TeiRequest",
    "TeiTokenEmbeddings",
    "Texts",
    "TextsOrIds",
    "Vector",
];

/// The routes for vectors, beside `POST /`.
const EMBED: [&str; 7] =
    ["/v1/embeddings", "/embeddings", "/embed", "/embed_all", "/embedding", "/api/embed", "/api/embeddings"];

/// Beside `/rerank`.
const RERANK: [&str; 4] = ["/v1/rerank", "/v2/rerank", "/reranking", "/v1/reranking"];

fn root() -> Value {
    let text = json!({ "schema": { "type": "string" } });
    let page = public("The page for browsers", json!({ "text/html": text, "text/plain": text }));
    joined(
        page,
        json!({ "description": "The page for who takes text/html, else the line by which Ollama's clients know their server." }),
    )
}

/// What anybody may have, with a key or without.
fn public(summary: &str, content: Value) -> Value {
    json!({
        "tags": ["Server"],
        "summary": summary,
        "security": [],
        "responses": { "200": { "description": "As it is.", "content": content } },
    })
}

fn ready() -> Value {
    let content = json!({ "application/json": { "schema": schema("Ready") } });
    let mut operation = public("Whether it should be sent requests", content);
    operation["responses"]["503"] = json!({
        "description": "A model failed its self-check, its file was changed, or the server stops.",
        "content": { "application/json": { "schema": schema("NotReady") } },
    });
    operation
}

/// Token ids that the model has.
fn ids(facts: &Facts) -> Vec<usize> {
    [2023, 2003, 1037, 3231].map(|id| id % facts.words).to_vec()
}

fn task(facts: &Facts) -> Value {
    facts.tasks.first().map_or(Value::Null, |task| json!(task.spellings[0]))
}

fn openai_examples(facts: &Facts) -> Value {
    json!({
        "text": { "value": { "model": facts.name, "input": "a cat on the mat" } },
        "texts": { "value": { "input": ["a cat on the mat", "a feline on a rug"], "encoding_format": "base64" } },
        "query": { "value": { "input": "plant garlic when?", "task": task(facts), "dimensions": facts.whole } },
        "ids": { "value": { "input": [ids(facts)], "token_ids": "model" } },
    })
}

fn tei_examples(facts: &Facts) -> Value {
    json!({
        "text": { "value": { "inputs": "a cat on the mat" } },
        "texts": { "value": { "inputs": ["a cat on the mat", "a feline on a rug"], "truncate": true, "truncation_direction": "Right" } },
        "query": { "value": { "inputs": "plant garlic when?", "prompt_name": task(facts), "dimensions": facts.whole } },
    })
}

fn llama_examples(facts: &Facts) -> Value {
    json!({
        "text": { "value": { "content": "a cat on the mat" } },
        "texts": { "value": { "input": ["a cat on the mat", { "prompt_string": "a feline on a rug" }], "embd_normalize": 2 } },
        "ids": { "value": { "input": ids(facts) } },
        "parts": { "value": { "input": { "content": [{ "type": "text", "text": "a cat " }, { "type": "text", "text": "on the mat" }] } } },
    })
}

/// Routes that speak a protocol.
pub(super) struct Doors<'a>(pub(super) &'a Facts);

impl Doors<'_> {
    /// A route for vectors.
    fn embed(
        &self,
        dialects: &[Dialect],
        summary: &str,
        request: Value,
        answer: Value,
        examples: Value,
    ) -> Value {
        let mut operation = self.short(dialects, summary, request, answer, examples);
        operation["parameters"] = timing();
        let done = &mut operation["responses"]["200"];
        done["headers"] = headers(&[
            "X-Embedding-Fingerprint",
            "X-Model",
            "X-Task",
            "X-Truncated",
            "X-Dimensions",
            "X-Count",
            "Server-Timing",
        ]);
        done["content"]["application/octet-stream"] = json!({});
        done["content"]["application/vnd.apache.arrow.stream"] = json!({});
        done["content"]["application/x-ndjson"] = json!({});
        operation["requestBody"]["content"]["application/x-ndjson"] =
            json!({ "schema": { "type": "string", "description": LINES } });
        operation["responses"]["429"] = busy(dialects);
        operation
    }

    /// A route for scores, by whichever of two requests.
    fn rerank(&self, dialects: &[Dialect]) -> Value {
        let examples = self.0.reranker.as_ref().map_or(json!({}), |scorer| {
            let texts = json!(["Garlic is planted in autumn.", "Cats sleep a lot."]);
            let query = "plant garlic when?";
            json!({
                "texts": { "value": { "query": query, "texts": texts, "model": scorer.name, "return_text": true, "label": scorer.label } },
                "documents": { "value": { "query": query, "documents": texts, "model": scorer.name, "top_n": 1, "return_documents": true, "label": scorer.label } },
            })
        });
        let request = any_of([schema("TeiRerankRequest"), schema("RerankRequest")]);
        let answer = any_of([schema("TeiRanks"), schema("Relevances")]);
        let mut operation = self.short(dialects, "Scores of texts for a query", request, answer, examples);
        operation["description"] = json!(
            "By `texts` as TEI, by `documents` as Jina and Cohere. Of models that are rerankers: others are refused."
        );
        operation["parameters"] = timing();
        operation["responses"]["200"]["headers"] = headers(&["X-Model", "X-Truncated", "Server-Timing"]);
        operation["responses"]["429"] = busy(dialects);
        operation
    }

    /// A route that reads a body.
    pub(super) fn short(
        &self,
        dialects: &[Dialect],
        summary: &str,
        request: Value,
        answer: Value,
        examples: Value,
    ) -> Value {
        let mut responses = self.responses(dialects, answer);
        let mut refuse = |status: &str, why: &str| responses[status] = refusal(dialects, why);
        refuse(
            "400",
            "The body is no JSON object, or a field or header is missing or wrong, or there is no text.",
        );
        if dialects.contains(&Tei) {
            refuse("422", "A field or header is missing or wrong (TEI).");
        }
        if self.0.several {
            refuse("404", "No model is served under this name.");
        }
        refuse("408", "The body stood still, or took longer than it may.");
        refuse(
            "413",
            match dialects.contains(&Tei) {
                false => "The body or the answer is larger than it may be.",
                true => "The body or the answer is larger than it may be, or a text is too long (TEI).",
            },
        );
        refuse("415", "The body is compressed, as its Content-Encoding or Transfer-Encoding says.");
        refuse("504", "It took longer than it may.");
        json!({
            "tags": dialects.iter().copied().map(tag).collect::<Vec<&str>>(),
            "summary": summary,
            "requestBody": { "required": true, "content": { "application/json": { "schema": request, "examples": examples } } },
            "responses": responses,
        })
    }

    /// A route without a body.
    pub(super) fn look(&self, dialect: Dialect, summary: &str, answer: &str) -> Value {
        json!({ "tags": [tag(dialect)], "summary": summary, "responses": self.responses(&[dialect], schema(answer)) })
    }

    fn model(&self) -> Value {
        let mut operation = self.look(OpenAi, "A model that is served", "OpenAiModel");
        operation["parameters"] = json!([{
            "name": "id", "in": "path", "required": true, "description": "Its name.",
            "schema": { "type": "string", "minLength": 1 }, "example": self.0.name,
        }]);
        operation["responses"]["400"] =
            refusal(&[OpenAi], "The name is no UTF-8, or asks for a task without words.");
        operation["responses"]["404"] = refusal(&[OpenAi], "No model is served under this name.");
        operation
    }

    fn tokenize(&self) -> Value {
        let request = any_of([schema("TeiTokenizeRequest"), schema("LlamaTokenizeRequest")]);
        let answer = any_of([schema("TeiTokens"), schema("LlamaTokens")]);
        let examples = json!({
            "tei": { "value": { "inputs": ["a cat on the mat", "a feline on a rug"], "add_special_tokens": false } },
            "llama": { "value": { "content": "a cat on the mat", "add_special": true, "with_pieces": true } },
        });
        let operation =
            self.short(&[Tei, Llama], "Texts to tokens (TEI or llama-server)", request, answer, examples);
        joined(operation, json!({ "description": "By `inputs` as TEI, by `content` as llama-server." }))
    }

    /// What Prometheus reads.
    fn metrics(&self) -> Value {
        let mut operation = self.look(OpenAi, "Counters and gauges for Prometheus", "Health");
        operation["tags"] = json!(["Server"]);
        let kind = metrics::OPENMETRICS.split(';').next().unwrap_or_default();
        operation["responses"]["200"]["content"] = json!({ kind: { "schema": { "type": "string" } } });
        operation
    }

    /// The answer in JSON, and what any route may have to say instead.
    fn responses(&self, dialects: &[Dialect], answer: Value) -> Value {
        let mut all = Map::new();
        let done = json!({ "description": "Done.", "content": { "application/json": { "schema": answer } } });
        all.insert("200".to_owned(), done);
        if self.0.keys {
            let mut unknown = refusal(dialects, "A key is needed that the server knows.");
            unknown["headers"] = headers(&["WWW-Authenticate"]);
            all.insert("401".to_owned(), unknown);
        }
        for status in ["424", "500"] {
            // TEI calls it the backend's.
            let whose: Vec<Dialect> =
                dialects.iter().copied().filter(|&one| (one == Tei) == (status == "424")).collect();
            if !whose.is_empty() {
                let fault = refusal(&whose, "A fault of the server or of the model's file.");
                all.insert(status.to_owned(), fault);
            }
        }
        Value::Object(all)
    }
}

/// The headers that say when an answer is wanted.
fn timing() -> Value {
    ["Priority", "Timeout"]
        .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }))
        .into_iter()
        .collect()
}

fn busy(dialects: &[Dialect]) -> Value {
    let mut busy = refusal(dialects, "Too much waits already.");
    busy["headers"] = headers(&["Retry-After"]);
    busy
}

fn headers(names: &[&str]) -> Value {
    let all = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
    Value::Object(all.collect())
}

/// A refusal in the shape of these protocols.
pub(super) fn refusal(dialects: &[Dialect], why: &str) -> Value {
    let shape = match dialects {
        [one] => answers::error(*one),
        several => any_of(several.iter().copied().map(answers::error)),
    };
    json!({ "description": why, "content": { "application/json": { "schema": shape } } })
}

fn tag(dialect: Dialect) -> &'static str {
    match dialect {
        OpenAi => "OpenAI",
        Jina => "Jina, Cohere",
        Tei => "TEI",
        Ollama => "Ollama",
        Llama => "llama-server",
    }
}
