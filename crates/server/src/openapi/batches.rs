//! Files and batches, where the operator named a folder for them.

use serde_json::{Map, Value, json};

use super::operations::{Doors, refusal};
use super::{joined, schema};
use crate::batches::{ENDPOINT, EXPIRY, MOST_BATCHES, MOST_FILES, Status, WINDOW};
use crate::dialect::Dialect::OpenAi;

/// Their schemas.
pub(super) fn schemas() -> Map<String, Value> {
    let all = [
        ("BatchRequest", request()),
        ("BatchFile", file()),
        ("BatchFiles", list("BatchFile")),
        (
            "BatchFileDeleted",
            object(json!({ "id": text(), "object": one("file"), "deleted": { "type": "boolean" } })),
        ),
        ("Batch", batch()),
        ("Batches", list("Batch")),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// Their paths.
pub(super) fn paths(doors: &Doors<'_>) -> Value {
    let look = |summary: &str, answer: &str| doors.look(OpenAi, summary, answer);
    let id = json!({
        "name": "id", "in": "path", "required": true, "description": "Its id.",
        "schema": { "type": "string", "minLength": 1 },
    });
    let named = |mut operation: Value, why: &str| {
        operation["parameters"] = json!([id]);
        operation["responses"]["400"] = refusal(&[OpenAi], why);
        operation["responses"]["404"] = refusal(&[OpenAi], "There is none of this id.");
        operation
    };
    let query = |name: &str, schema: Value| json!({ "name": name, "in": "query", "schema": schema });
    let paged = |mut operation: Value, parameters: Vec<Value>| {
        operation["parameters"] = Value::Array(parameters);
        operation["responses"]["400"] = refusal(&[OpenAi], "A part of the query is wrong.");
        operation
    };
    let limit = |most: usize| json!({ "type": "integer", "minimum": 1, "maximum": most });
    let order = || query("order", json!({ "type": "string", "enum": ["asc", "desc"] }));
    let files =
        vec![query("after", text()), query("limit", limit(MOST_FILES)), order(), query("purpose", text())];
    let batches = vec![query("after", text()), query("limit", limit(MOST_BATCHES)), order()];
    let mut content = look("What is in a file", "BatchFile");
    content["responses"]["200"]["content"] = json!({ "application/octet-stream": {} });
    let mut create =
        doors.short(&[OpenAi], "A new batch", schema("BatchRequest"), schema("Batch"), json!({}));
    create["responses"]["404"] = refusal(&[OpenAi], "There is no such file.");
    json!({
        "/v1/files": { "post": upload(doors), "get": paged(look("The files, the newest first", "BatchFiles"), files) },
        "/v1/files/{id}": {
            "get": named(look("A file", "BatchFile"), "The id is no UTF-8."),
            "delete": named(look("Deletes a file", "BatchFileDeleted"), "The id is no UTF-8, or a batch still reads the file."),
        },
        "/v1/files/{id}/content": { "get": named(content, "The id is no UTF-8.") },
        "/v1/batches": { "post": create, "get": paged(look("The batches, the newest first", "Batches"), batches) },
        "/v1/batches/{id}": { "get": named(look("A batch", "Batch"), "The id is no UTF-8.") },
        "/v1/batches/{id}/cancel": { "post": named(look("Cancels a batch", "Batch"), "The id is no UTF-8, or the batch is over.") },
    })
}

fn upload(doors: &Doors<'_>) -> Value {
    let mut operation = doors.look(OpenAi, "Keeps a file of requests", "BatchFile");
    let (least, most) = (EXPIRY.start(), EXPIRY.end());
    let form = json!({
        "type": "object",
        "required": ["file", "purpose"],
        // A part's name stands in a head, as that of a header does.
        "propertyNames": { "pattern": "^[^\\x00-\\x1f\\x7f]*$" },
        "properties": {
            "file": { "type": "string", "format": "binary", "description": "A request a line: `custom_id`, `method`, `url`, `body`." },
            "purpose": one("batch"),
            "expires_after[anchor]": one("created_at"),
            "expires_after[seconds]": { "type": "integer", "minimum": least, "maximum": most },
        },
        "dependentRequired": {
            "expires_after[anchor]": ["expires_after[seconds]"],
            "expires_after[seconds]": ["expires_after[anchor]"],
        },
    });
    operation["requestBody"] =
        json!({ "required": true, "content": { "multipart/form-data": { "schema": form } } });
    for (status, why) in [
        ("400", "The form cannot be read, or a field is missing or wrong."),
        ("408", "The body stood still."),
        ("413", "The file is larger than it may be."),
        ("415", "The body has a Content-Encoding."),
    ] {
        operation["responses"][status] = refusal(&[OpenAi], why);
    }
    operation
}

fn request() -> Value {
    let (least, most) = (EXPIRY.start(), EXPIRY.end());
    json!({
        "type": "object",
        "required": ["input_file_id", "endpoint", "completion_window"],
        "properties": {
            "input_file_id": { "type": "string", "description": "A file of the purpose `batch`." },
            "endpoint": one(ENDPOINT),
            "completion_window": one(WINDOW),
            "metadata": {
                "type": ["object", "null"], "maxProperties": 16,
                "propertyNames": { "maxLength": 64 },
                "additionalProperties": { "type": "string", "maxLength": 512 },
            },
            "output_expires_after": {
                "type": ["object", "null"], "required": ["anchor", "seconds"],
                "properties": {
                    "anchor": one("created_at"),
                    "seconds": { "type": "integer", "minimum": least, "maximum": most },
                },
            },
        },
    })
}

fn file() -> Value {
    object(json!({
        "id": text(), "object": one("file"), "bytes": count(), "created_at": count(), "expires_at": moment(), "filename": text(),
        "purpose": { "type": "string", "enum": ["batch", "batch_output"] }, "status": one("processed"),
    }))
}

fn batch() -> Value {
    let statuses: Vec<&str> = Status::ALL.into_iter().map(Status::name).collect();
    let problem = object(json!({
        "code": text(), "message": text(), "param": { "type": ["string", "null"] }, "line": { "type": ["integer", "null"] },
    }));
    let errors = object(json!({ "object": one("list"), "data": { "type": "array", "items": problem } }));
    let mut batch = json!({
        "id": text(), "object": one("batch"), "endpoint": one(ENDPOINT), "completion_window": one(WINDOW),
        "errors": { "anyOf": [errors, { "type": "null" }] },
        "input_file_id": text(), "status": { "type": "string", "enum": statuses }, "created_at": count(),
        "output_file_id": { "type": ["string", "null"] }, "error_file_id": { "type": ["string", "null"] },
        "request_counts": object(json!({ "total": count(), "completed": count(), "failed": count() })),
        "usage": object(json!({
            "input_tokens": count(), "input_tokens_details": object(json!({ "cached_tokens": count() })),
            "output_tokens": count(), "output_tokens_details": object(json!({ "reasoning_tokens": count() })),
            "total_tokens": count(),
        })),
        "metadata": { "type": ["object", "null"], "additionalProperties": text() },
    });
    for at in
        ["in_progress", "expires", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"]
    {
        batch[format!("{at}_at")] = moment();
    }
    object(batch)
}

fn list(of: &str) -> Value {
    let id = json!({ "type": ["string", "null"] });
    object(json!({
        "object": one("list"), "data": { "type": "array", "items": schema(of) },
        "first_id": id, "last_id": id, "has_more": { "type": "boolean" },
    }))
}

/// An object that has all of these fields and no others.
fn object(properties: Value) -> Value {
    let required: Vec<String> =
        properties.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    joined(
        json!({ "type": "object", "required": required, "additionalProperties": false }),
        json!({ "properties": properties }),
    )
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn one(text: &str) -> Value {
    json!({ "type": "string", "enum": [text] })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// Seconds since 1970, once there is such a time.
fn moment() -> Value {
    json!({ "type": ["integer", "null"], "minimum": 0 })
}
