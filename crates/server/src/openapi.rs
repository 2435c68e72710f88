//! `GET /openapi.json`: the routes as OpenAPI 3.1 has them, for this server with these models.
//!
//! Bodies are described as exactly as they are read: what a schema takes the server takes, and what it forbids the server
//! refuses. So bounds and tasks are those of the models that are served, and the document is made when the server starts.

mod answers;
mod batches;
#[cfg(test)]
mod drift;
mod facts;
mod operations;
mod requests;

use serde_json::{Map, Value, json};

use crate::Service;
use facts::Facts;

/// The whole document.
pub(crate) fn document(service: &Service) -> Value {
    let facts = Facts::of(service);
    let mut schemas = requests::schemas(&facts);
    schemas.extend(answers::schemas());
    if service.batches().is_some() {
        schemas.extend(batches::schemas());
    }
    if facts.reranker.is_none() {
        schemas.retain(|name, _| !operations::RERANK_SCHEMAS.contains(&name.as_str()));
    }
    if !facts.vectors {
        schemas.retain(|name, _| !operations::VECTOR_SCHEMAS.contains(&name.as_str()));
    }
    let mut paths = operations::paths(&facts);
    if service.batches().is_some() {
        paths = joined(paths, batches::paths(&operations::Doors(&facts)));
    }
    let mut components = json!({
        "schemas": schemas,
        "parameters": operations::parameters(),
        "headers": answers::headers(&facts),
    });
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "connote",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": summary(&facts),
            "description": "Several protocols in one process. What is computed is the same to the bit, whichever is spoken. \
                            Fields that no schema here names are not looked at, and a field that is null is as good as absent.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": [
            { "name": "OpenAI", "externalDocs": { "url": "https://platform.openai.com/docs/api-reference/embeddings" } },
            { "name": "TEI", "externalDocs": { "url": "https://huggingface.github.io/text-embeddings-inference/" } },
            { "name": "Ollama", "externalDocs": { "url": "https://github.com/ollama/ollama/blob/main/docs/api.md" } },
            { "name": "llama-server", "externalDocs": { "url": "https://github.com/ggml-org/llama.cpp/tree/master/tools/server" } },
            { "name": "Server", "description": "Its health, its page, and this document." },
        ],
        "paths": paths,
    });
    if facts.keys {
        components["securitySchemes"] = json!({
            "bearer": { "type": "http", "scheme": "bearer", "description": "A key of the server's --api-key-file." },
            "header": { "type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same key in a header of its own." },
        });
        document["security"] = json!([{ "bearer": [] }, { "header": [] }]);
    }
    document["components"] = components;
    document
}

/// What it is for, by the models that it serves.
fn summary(facts: &Facts) -> &'static str {
    match (facts.vectors, &facts.reranker) {
        (true, None) => {
            "Text embeddings as the clients of OpenAI, TEI, Ollama and llama-server ask for them."
        }
        (true, Some(_)) => {
            "Text embeddings as the clients of OpenAI, TEI, Ollama and llama-server ask for them, and scores of texts for a query."
        }
        (false, _) => {
            "Scores of texts for a query as the clients of TEI, Jina, Cohere and llama-server ask for them."
        }
    }
}

/// Where a schema of this name is.
fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Any one of these.
fn any_of(forms: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": forms.into_iter().collect::<Vec<Value>>() })
}

/// Fields of one JSON object after those of another.
fn joined(first: Value, then: Value) -> Value {
    let mut all = Map::new();
    for part in [first, then] {
        if let Value::Object(fields) = part {
            all.extend(fields);
        }
    }
    Value::Object(all)
}
