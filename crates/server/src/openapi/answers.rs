//! The bodies and headers of answers: what each protocol's clients read, and the shape of its refusals.

use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::{any_of, joined, schema};
use crate::dialect::Dialect;

/// All of them.
pub(super) fn schemas() -> Map<String, Value> {
    let all = [
        (
            "Vector",
            json!({ "type": "array", "items": { "type": "number" }, "description": "The values of one vector, f32." }),
        ),
        ("OpenAiEmbeddings", openai()),
        ("OpenAiModels", object(json!({ "object": one("list"), "data": array(schema("OpenAiModel")) }))),
        ("OpenAiModel", openai_model()),
        ("OpenAiError", openai_error()),
        ("RerankError", rerank_error()),
        ("TeiEmbeddings", described("A vector a text, in the order of the texts.", array(schema("Vector")))),
        ("TeiTokenEmbeddings", described("A vector a token, text by text.", array(array(schema("Vector"))))),
        ("TeiTokens", array(array(tei_token()))),
        ("TeiTexts", described("The text of each array of ids.", array(string()))),
        ("TeiInfo", tei_info()),
        (
            "TeiError",
            object(
                json!({ "error": string(), "error_type": { "enum": ["Validation", "Tokenizer", "Empty", "Overloaded", "Backend"] } }),
            ),
        ),
        ("TeiRanks", described("The best first.", array(tei_rank()))),
        ("Relevances", relevances()),
        ("OllamaEmbeddings", ollama()),
        (
            "OllamaEmbedding",
            object(json!({ "embedding": described("No values where there was no text.", schema("Vector")) })),
        ),
        ("OllamaModels", object(json!({ "models": array(ollama_model(json!({}))) }))),
        ("OllamaRunning", object(json!({ "models": array(ollama_model(running())) }))),
        ("OllamaModelDetails", ollama_details()),
        ("OllamaModelInfo", ollama_show()),
        ("OllamaVersion", object(json!({ "version": string() }))),
        ("OllamaError", object(json!({ "error": string() }))),
        ("LlamaEmbeddings", llama()),
        ("LlamaTokens", llama_tokens()),
        ("LlamaTextOfTokens", object(json!({ "content": string() }))),
        ("LlamaProps", llama_props()),
        ("LlamaError", llama_error()),
        ("Health", object(json!({ "status": one("ok") }))),
        ("Ready", object(json!({ "status": one("ready") }))),
        ("NotReady", object(json!({ "status": one("not ready"), "reason": { "type": "string" } }))),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The schema of a protocol's refusals.
pub(super) fn error(dialect: Dialect) -> Value {
    schema(match dialect {
        Dialect::OpenAi => "OpenAiError",
        Dialect::Jina => "RerankError",
        Dialect::Tei => "TeiError",
        Dialect::Ollama => "OllamaError",
        Dialect::Llama => "LlamaError",
    })
}

/// As OpenAI's, with the words where clients of Jina and Cohere look for them.
fn rerank_error() -> Value {
    let mut error = openai_error();
    for field in ["detail", "message"] {
        error["properties"][field] = string();
        if let Some(required) = error["required"].as_array_mut() {
            required.push(json!(field));
        }
    }
    error
}

/// Headers that only answers with vectors have.
const OF_VECTORS: [&str; 4] = ["X-Embedding-Fingerprint", "X-Task", "X-Dimensions", "X-Count"];

/// Headers of answers.
pub(super) fn headers(facts: &Facts) -> Value {
    let header = |description: &str, required: bool, schema: Value| json!({ "description": description, "required": required, "schema": schema });
    let mut all = json!({
        "X-Embedding-Fingerprint": header(
            "The vector space; vectors of different ones must not be compared.", true,
            json!({ "type": "string", "pattern": "^[0-9a-f]{16}$" }),
        ),
        "X-Model": header("The model that answered, by the name it is served under.", false, string()),
        "X-Task": header("What the vectors are for; `none` without a prompt. Not of a stream.", false, string()),
        "X-Truncated": header("How many texts were cut; a stream says it line by line.", false, count()),
        "X-Dimensions": header("Values of a vector, where they come as bytes.", false, count()),
        "X-Count": header("Vectors, where they come as bytes.", false, count()),
        "Server-Timing": header("Milliseconds in `parse`, `queue` and `engine`; not of a stream.", false, string()),
        "Retry-After": header("Seconds after which to come back, from the measured speed.", true, json!({ "type": "integer", "minimum": 1 })),
    });
    if facts.keys {
        all["WWW-Authenticate"] = header("How to send a key.", true, one("Bearer"));
    }
    if let Some(all) = all.as_object_mut().filter(|_| !facts.vectors) {
        all.retain(|name, _| !OF_VECTORS.contains(&name.as_str()));
    }
    all
}

/// An object that has all of these fields and no others.
fn object(properties: Value) -> Value {
    let required: Vec<String> =
        properties.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn one(text: &str) -> Value {
    json!({ "type": "string", "enum": [text] })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn string_or_null() -> Value {
    json!({ "type": ["string", "null"] })
}

fn described(description: &str, schema: Value) -> Value {
    joined(schema, json!({ "description": description }))
}

fn openai() -> Value {
    let base64 = json!({ "type": "string", "contentEncoding": "base64", "description": "The f32 values, little-endian, or the bytes that `output_dtype` says." });
    let item = json!({ "object": one("embedding"), "index": count(), "embedding": any_of([schema("Vector"), base64]) });
    let usage = json!({ "prompt_tokens": count(), "total_tokens": count() });
    object(
        json!({ "object": one("list"), "data": array(object(item)), "model": string(), "usage": object(usage) }),
    )
}

fn openai_model() -> Value {
    let own = json!({
        "id": described("What requests call it.", string()),
        "object": one("model"),
        "created": described("Since when it is served, in seconds since 1970.", count()),
        "owned_by": string(),
        "name": described("The model's own name.", string()),
        "capabilities": capabilities(),
        "max_model_len": described("The longest text in tokens.", count()),
        "fingerprint": described("The space of its whole vectors without a task; of a reranker a name of the model.", string()),
    });
    with_optional(
        own,
        json!({
            "dimensions": described("Not of a reranker.", count()),
            "pooling": described("How token vectors become one; not of a reranker.", string()),
        }),
    )
}

fn capabilities() -> Value {
    described(
        "What it does, and so which routes take it.",
        json!({ "type": "array", "minItems": 1, "items": { "enum": ["embedding", "rerank"] } }),
    )
}

fn openai_error() -> Value {
    let error = object(json!({
        "message": string(),
        "type": { "enum": ["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"] },
        "param": described("The field at fault.", string_or_null()),
        "code": string(),
    }));
    object(json!({ "error": error }))
}

fn tei_token() -> Value {
    let place = json!({
        "type": ["integer", "null"],
        "description": "Where it is in the text, in bytes; null for tokens around the text and those of a prompt.",
    });
    object(json!({ "id": count(), "text": string(), "special": flag(), "start": place, "stop": place }))
}

fn tei_info() -> Value {
    object(json!({
        "model_id": string(),
        "model_sha": string(),
        "model_dtype": string(),
        "model_type": any_of([
            object(json!({ "embedding": object(json!({ "pooling": string() })) })),
            object(json!({ "reranker": object(json!({ "id2label": { "type": "object" }, "label2id": { "type": "object" } })) })),
        ]),
        "served_model_name": string(),
        "max_input_length": described("The longest text in tokens.", count()),
        "max_batch_tokens": count(),
        "max_batch_requests": { "type": ["integer", "null"] },
        "max_client_batch_size": count(),
        "max_concurrent_requests": count(),
        "auto_truncate": flag(),
        "tokenization_workers": count(),
        "version": string(),
        "sha": string_or_null(),
        "docker_label": string_or_null(),
    }))
}

fn tei_rank() -> Value {
    with_optional(json!({ "index": count(), "score": { "type": "number" } }), json!({ "text": string() }))
}

fn relevances() -> Value {
    let document = object(json!({ "text": string() }));
    let result = with_optional(
        json!({ "index": count(), "relevance_score": { "type": "number" } }),
        json!({ "document": document }),
    );
    object(json!({
        "model": described("The name that the model is served under.", string()),
        "object": one("list"),
        "usage": object(json!({ "prompt_tokens": count(), "total_tokens": count() })),
        "results": described("The best first.", array(result)),
    }))
}

/// An object that has all of the first fields, and may have the others.
fn with_optional(fields: Value, optional: Value) -> Value {
    let mut object = object(fields);
    if let (Some(all), Value::Object(more)) = (object["properties"].as_object_mut(), optional) {
        all.extend(more);
    }
    object
}

fn ollama() -> Value {
    object(json!({
        "model": described("As the request calls it.", string()),
        "embeddings": array(schema("Vector")),
        "total_duration": described("Nanoseconds.", count()),
        "load_duration": count(),
        "prompt_eval_count": described("Tokens.", count()),
    }))
}

fn ollama_details() -> Value {
    object(json!({
        "parent_model": string(),
        "format": string(),
        "family": string(),
        "families": array(string()),
        "parameter_size": string(),
        "quantization_level": string(),
    }))
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn ollama_model(more: Value) -> Value {
    let own = json!({
        "name": string(),
        "model": string(),
        "modified_at": time(),
        "size": described("Bytes of the file.", count()),
        "digest": string(),
        "details": schema("OllamaModelDetails"),
        "capabilities": capabilities(),
    });
    object(joined(own, more))
}

/// What a model has that is loaded.
fn running() -> Value {
    json!({ "expires_at": time(), "size_vram": count(), "context_length": count() })
}

fn ollama_show() -> Value {
    object(json!({
        "modelfile": string(),
        "parameters": described("`num_ctx`: the longest text in tokens.", string()),
        "template": string(),
        "details": schema("OllamaModelDetails"),
        "model_info": { "type": "object", "description": "By the keys of GGUF." },
        "capabilities": capabilities(),
        "modified_at": time(),
    }))
}

fn llama() -> Value {
    let item =
        json!({ "index": count(), "embedding": described("A list of one vector.", array(schema("Vector"))) });
    array(object(item))
}

fn llama_tokens() -> Value {
    let bytes = described(
        "Of a token that is no UTF-8 by itself.",
        array(json!({ "type": "integer", "minimum": 0, "maximum": 255 })),
    );
    let piece = object(json!({ "id": count(), "piece": any_of([string(), bytes]) }));
    object(json!({ "tokens": any_of([array(count()), array(piece)]) }))
}

fn llama_props() -> Value {
    let own = json!({
        "default_generation_settings": object(json!({ "n_ctx": count(), "params": { "type": "object" } })),
        "total_slots": count(),
        "model_alias": string(),
        "model_path": string_or_null(),
        "bos_token": string_or_null(),
        "eos_token": string_or_null(),
        "chat_template": string(),
        "modalities": object(json!({ "vision": flag(), "audio": flag() })),
        "build_info": string(),
        "is_sleeping": flag(),
        "capabilities": capabilities(),
    });
    with_optional(
        own,
        json!({
            "pooling": described("Not of a reranker.", string()),
            "n_embd": described("Not of a reranker.", count()),
        }),
    )
}

fn llama_error() -> Value {
    let kinds = [
        "invalid_request_error",
        "authentication_error",
        "not_found_error",
        "exceed_context_size_error",
        "unavailable_error",
        "server_error",
    ];
    let error =
        json!({ "code": described("The status.", count()), "message": string(), "type": { "enum": kinds } });
    let mut error = object(error);
    error["properties"]["n_prompt_tokens"] = described("Of a text that is too long.", count());
    error["properties"]["n_ctx"] = described("What it may have.", count());
    object(json!({ "error": error }))
}
