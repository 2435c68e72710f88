//! The bodies of requests: one schema a reader, which takes exactly what the reader takes.

use connote::Task;
use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::{any_of, joined, schema};
use crate::llama::MAX_NORM;

/// All of them, and the parts that they share.
pub(super) fn schemas(facts: &Facts) -> Map<String, Value> {
    let all = [
        ("TokenId", json!({ "type": "integer", "minimum": 0, "maximum": facts.words.saturating_sub(1) })),
        (
            "Text",
            json!({ "type": "string", "description": "A text. One that has more tokens than the model takes is refused or cut, as `truncate` says." }),
        ),
        ("Texts", any_of([schema("Text"), some(schema("Text"))])),
        (
            "TextsOrIds",
            any_of([
                schema("Text"),
                some(any_of([schema("Text"), array(schema("TokenId"))])),
                some(schema("TokenId")),
            ]),
        ),
        ("Purpose", purpose(facts, Use::Texts)),
        ("PurposeOfIds", purpose(facts, Use::Ids)),
        ("PurposeOfTokens", purpose(facts, Use::Tokens)),
        ("LlamaText", llama_text()),
        ("LlamaPrompt", any_of([schema("LlamaText"), some(part())])),
        ("LlamaTexts", any_of([schema("LlamaText"), some(schema("LlamaText"))])),
        ("LlamaPrompts", any_of([schema("LlamaText"), some(part()), some(schema("LlamaPrompt"))])),
        ("OpenAiRequest", openai(facts)),
        ("TeiRequest", tei(facts)),
        ("TeiTokenizeRequest", tei_tokenize()),
        ("TeiDecodeRequest", tei_decode()),
        ("TeiRerankRequest", tei_rerank()),
        ("RerankRequest", rerank()),
        ("OllamaRequest", ollama(facts)),
        ("OllamaPromptRequest", ollama_prompt(facts)),
        ("OllamaShowRequest", ollama_show()),
        ("LlamaRequest", llama(facts)),
        ("LlamaContentRequest", llama_content(facts)),
        ("LlamaTokenizeRequest", llama_tokenize()),
        ("LlamaDetokenizeRequest", llama_detokenize()),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// None at all, or more.
fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// One at least.
fn some(items: Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": items })
}

/// Or null.
fn nullable(schema: Value) -> Value {
    any_of([schema, json!({ "type": "null" })])
}

/// A field of a plain type, or null.
fn optional(kind: &str, description: &str) -> Value {
    json!({ "type": [kind, "null"], "description": description })
}

/// Looked at by no reader, so anything.
fn ignored(description: &str) -> Value {
    json!({ "description": description })
}

/// An object with the fields that every route for vectors takes beside its own.
fn request(description: &str, required: &[&str], own: Value, conditions: Vec<Value>) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": joined(own, shared()),
        "required": required,
        "allOf": conditions,
    })
}

fn model() -> Value {
    optional(
        "string",
        "One of the names of GET /v1/models, or `NAME:TASK`. Where one model is served, any name is taken.",
    )
}

/// Fields of all routes for vectors. What `task` and `title` may be is a matter of `Purpose`.
fn shared() -> Value {
    json!({
        "model": model(),
        "task": optional("string", "What the vectors are for, which chooses the model's prompt. Without it no prompt is added."),
        "input_type": optional("string", "Another name of `task`."),
        "prompt_name": optional("string", "Another name of `task`."),
        "title": optional("string", "The title of the texts, for the document prompt of a model that has a place for one."),
        "truncate": {
            "enum": [true, false, "end", "start", "error", null],
            "description": "What becomes of a text that is too long: `true` or `end` cuts its end, `start` its start, `false` or \
                            `error` refuses it. Ollama's routes cut unless told otherwise, all others refuse.",
        },
        "priority": {
            "enum": ["interactive", "batch", null],
            "description": "Interactive work goes before batch work. Without it the size of the request decides.",
        },
    })
}

/// What a route does with tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Prompts before texts, with their titles.
    Texts,
    /// No prompt can stand before token ids.
    Ids,
    /// Prompts before texts; titles are not looked at.
    Tokens,
}

/// Nothing but white space as Unicode has it, which is no title.
const BLANK: &str =
    "^[\t-\r \u{85}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}]*$";

/// The three names of a task.
const NAMES: [&str; 3] = ["task", "input_type", "prompt_name"];

/// Which tasks there are, and when a text has a title. Several names of a task agree.
fn purpose(facts: &Facts, use_: Use) -> Value {
    let null = || json!({ "type": "null" });
    let blank = || json!({ "type": ["string", "null"], "pattern": BLANK });
    let untitled = || if use_ == Use::Tokens { json!({ "type": ["string", "null"] }) } else { blank() };
    let form = |names: [Value; 3], title: Value| {
        let fields = NAMES.into_iter().zip(names).chain([("title", title)]);
        json!({ "properties": fields.map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>() })
    };
    let said_by = |name: &str, form: Value| joined(form, json!({ "required": [name] }));
    let mut forms = Vec::new();
    for task in facts.tasks.iter().filter(|task| use_ != Use::Ids || task.wordless) {
        let said = json!({ "enum": task.spellings });
        let or_not = nullable(said.clone());
        forms.push(form([or_not.clone(), or_not.clone(), or_not.clone()], untitled()));
        if task.titled && use_ == Use::Texts {
            forms.extend(NAMES.map(|own| {
                let names = NAMES.map(|name| if name == own { said.clone() } else { or_not.clone() });
                said_by(own, form(names, json!({ "type": "string" })))
            }));
            if task.spellings.first() == Some(&Task::Document.to_string()) {
                // A text with a title is a document, unless it is said to be something else.
                forms.push(form([null(), null(), null()], json!({ "type": "string" })));
            }
        }
    }
    if facts.custom && use_ != Use::Ids {
        let said = json!({ "type": "string", "pattern": "^custom:.*[A-Za-z0-9]" });
        forms.extend(NAMES.map(|own| {
            let names = NAMES.map(|name| if name == own { said.clone() } else { null() });
            said_by(own, form(names, untitled()))
        }));
    }
    if forms.is_empty() {
        forms.push(form([null(), null(), null()], untitled()));
    }
    let description = "A task that the model has, and a title only where its prompt has a place for one.";
    joined(json!({ "description": description }), any_of(forms))
}

/// Texts may have any task; token ids stand for themselves, so a task that has words cannot be theirs.
fn texts_or_ids(field: &str, texts: &str, ids: Value) -> Value {
    any_of([
        json!({ "properties": { field: schema(texts) }, "allOf": [schema("Purpose")] }),
        joined(json!({ "allOf": [schema("PurposeOfIds")] }), ids),
    ])
}

fn dimensions(facts: &Facts) -> Value {
    joined(
        nullable(facts.dimensions.clone()),
        json!({ "description": "The size of the vectors, which are cut to it and normalised again; whole without it." }),
    )
}

fn openai(facts: &Facts) -> Value {
    let own = json!({
        "input": { "description": "A text, or several; token ids of the model's own vocabulary in their place where `token_ids` is `model`." },
        "encoding_format": { "enum": ["float", "base64", null], "description": "Vectors as numbers, or as base64 of their f32 values, little-endian, or of the bytes that `output_dtype` says." },
        "output_dtype": { "enum": ["float", "int8", "uint8", "binary", "ubinary", null], "description": "Vectors in fewer bits: as integers of 8 bits, the largest of a vector 127 (`uint8`: 128 more), or as bits of which values are above 0, eight a byte (`binary`: less 128)." },
        "dimensions": dimensions(facts),
        "embd_normalize": embd_normalize(),
        "token_ids": { "enum": ["model", "reject", null], "description": "Whose token ids `input` has: `model` is this model's vocabulary. OpenAI's ids are other words in it." },
        "user": ignored("Not looked at."),
    });
    let ids = if facts.ids_are_ours {
        json!({ "properties": { "input": schema("TextsOrIds"), "token_ids": { "enum": ["model", null] } } })
    } else {
        json!({ "properties": { "input": schema("TextsOrIds"), "token_ids": { "enum": ["model"] } }, "required": ["token_ids"] })
    };
    request("OpenAI's request for vectors.", &["input"], own, vec![texts_or_ids("input", "Texts", ids)])
}

fn tei(facts: &Facts) -> Value {
    let own = json!({
        "inputs": { "description": "A text, or several; token ids in their place are of the model's own vocabulary." },
        "truncation_direction": { "enum": ["Left", "Right", "left", "right", null], "description": "Which end is cut, with `truncate`." },
        "normalize": optional("boolean", "To length 1; the default for vectors of texts, not for those of tokens."),
        "dimensions": dimensions(facts),
    });
    let ids = json!({ "properties": { "inputs": schema("TextsOrIds") } });
    request("TEI's request for vectors.", &["inputs"], own, vec![texts_or_ids("inputs", "Texts", ids)])
}

fn tei_tokenize() -> Value {
    let own = json!({
        "inputs": any_of([schema("Text"), array(schema("Text"))]),
        "add_special_tokens": optional("boolean", "With the tokens that the model puts around a text, as by default."),
    });
    request("TEI's request for tokens.", &["inputs"], own, vec![schema("PurposeOfTokens")])
}

fn tei_decode() -> Value {
    json!({
        "type": "object",
        "description": "TEI's request for the texts of token ids.",
        "properties": {
            "ids": any_of([array(schema("TokenId")), array(array(schema("TokenId")))]),
            "model": model(),
            "skip_special_tokens": optional("boolean", "Without the model's own marks, as by default."),
        },
        "required": ["ids"],
    })
}

/// Fields of both requests for scores.
fn shared_of_scores(truncate: &str) -> Value {
    json!({
        "query": { "type": "string", "description": "What the texts are to answer. It is never cut." },
        "model": model(),
        "top_n": joined(nullable(json!({ "type": "integer", "minimum": 0 })), json!({ "description": "Only the best of them." })),
        "raw_scores": optional("boolean", "Scores as the model's head gives them, instead of from 0 to 1."),
        "label": optional("string", "The label whose score counts, of a model that gives several."),
        "truncate": {
            "enum": [true, false, "end", "start", "error", null],
            "description": format!("What becomes of a text that is too long: `true` or `end` cuts its end, `start` its start, `false` or `error` refuses it. {truncate}"),
        },
        "priority": {
            "enum": ["interactive", "batch", null],
            "description": "Interactive work goes before batch work. Without it the size of the request decides.",
        },
    })
}

fn tei_rerank() -> Value {
    let own = json!({
        "texts": some(json!({ "type": "string" })),
        "return_text": optional("boolean", "Each text with its score."),
        "truncation_direction": { "enum": ["Left", "Right", "left", "right", null], "description": "Which end is cut, with `truncate`." },
    });
    json!({
        "type": "object",
        "description": "TEI's request for scores.",
        "properties": joined(own, shared_of_scores("Without it such a text is refused.")),
        "required": ["query", "texts"],
    })
}

fn rerank() -> Value {
    let text = json!({ "type": "string" });
    let object = json!({ "type": "object", "properties": { "text": text }, "required": ["text"] });
    let own = json!({
        "documents": some(any_of([text, object])),
        "return_documents": optional("boolean", "Each document with its score."),
    });
    json!({
        "type": "object",
        "description": "Jina's and Cohere's request for scores.",
        "properties": joined(own, shared_of_scores("Without it its end is cut.")),
        "required": ["query", "documents"],
    })
}

fn ollama(facts: &Facts) -> Value {
    let own = json!({
        "input": any_of([schema("Text"), array(schema("Text")), json!({ "type": "null" })]),
        "dimensions": ollama_dimensions(facts),
        "keep_alive": ignored("Accepted, and without effect: a model stays."),
        "options": model_options(),
    });
    request("Ollama's request for vectors.", &[], own, vec![schema("Purpose")])
}

fn ollama_dimensions(facts: &Facts) -> Value {
    let sizes = any_of([facts.dimensions.clone(), json!({ "enum": [0, null] })]);
    joined(sizes, json!({ "description": "The size of the vectors; 0 is the whole." }))
}

fn model_options() -> Value {
    json!({
        "type": ["object", "null"],
        "properties": { "num_ctx": optional("number", "A limit in tokens, where it is below the model's own.") },
        "description": "All but `num_ctx` is accepted and without effect.",
    })
}

fn ollama_prompt(facts: &Facts) -> Value {
    let own = json!({
        "prompt": nullable(schema("Text")),
        "dimensions": ollama_dimensions(facts),
        "keep_alive": ignored("Accepted, and without effect: a model stays."),
        "options": model_options(),
    });
    request("Ollama's older request for one vector.", &[], own, vec![schema("Purpose")])
}

fn ollama_show() -> Value {
    json!({
        "type": "object",
        "description": "Which model to show.",
        "properties": { "model": model(), "name": optional("string", "Older name of `model`.") },
    })
}

/// Token ids and texts by turns: one prompt.
fn part() -> Value {
    any_of([schema("Text"), schema("TokenId")])
}

fn llama_text() -> Value {
    let none = || json!({ "type": "null" });
    let text = json!({
        "type": "object",
        "properties": { "type": { "enum": ["text"] }, "text": { "type": "string" } },
        "required": ["type", "text"],
    });
    any_of([
        schema("Text"),
        json!({
            "type": "object",
            "properties": { "prompt_string": schema("Text"), "multimodal_data": none(), "multimodal": none() },
            "required": ["prompt_string"],
        }),
        json!({
            "type": "object",
            "properties": { "content": array(text), "multimodal_data": none(), "multimodal": none() },
            "required": ["content"],
        }),
    ])
}

fn embd_normalize() -> Value {
    json!({
        "type": ["integer", "null"],
        "minimum": -1,
        "maximum": MAX_NORM as i64,
        "description": "-1: as the network gives it; 0: the largest value is 32760; 1, 2 (the default) or more: the p of a norm.",
    })
}

fn llama(facts: &Facts) -> Value {
    let field = |field: &str| {
        texts_or_ids(field, "LlamaTexts", json!({ "properties": { field: schema("LlamaPrompts") } }))
    };
    let input = json!({ "required": ["input"], "allOf": [field("input")] });
    let content = json!({ "required": ["content"], "properties": { "input": { "type": "null" } }, "allOf": [field("content")] });
    let own = json!({
        "input": { "description": "A prompt, or several: texts, token ids, both by turns, or objects with a text." },
        "content": { "description": "The same by its older name; looked at where there is no `input`." },
        "dimensions": dimensions(facts),
        "embd_normalize": embd_normalize(),
    });
    request("llama-server's request for vectors.", &[], own, vec![any_of([input, content])])
}

fn llama_content(facts: &Facts) -> Value {
    let own = json!({
        "input": { "type": "null" },
        "content": { "description": "A prompt, or several: texts, token ids, both by turns, or objects with a text." },
        "dimensions": dimensions(facts),
        "embd_normalize": embd_normalize(),
    });
    let ids = json!({ "properties": { "content": schema("LlamaPrompts") } });
    request(
        "llama-server's request for vectors by `content` alone.",
        &["content"],
        own,
        vec![texts_or_ids("content", "LlamaTexts", ids)],
    )
}

fn llama_tokenize() -> Value {
    json!({
        "type": "object",
        "description": "llama-server's request for tokens.",
        "properties": {
            "content": any_of([schema("LlamaPrompt"), json!({ "type": "array", "maxItems": 0 }), json!({ "type": "null" })]),
            "inputs": { "type": "null" },
            "model": model(),
            "add_special": optional("boolean", "With the tokens that the model puts around a text; not by default."),
            "parse_special": optional("boolean", "Whether names of special tokens in the text are read as such, as by default."),
            "with_pieces": optional("boolean", "Each token with its text."),
        },
    })
}

fn llama_detokenize() -> Value {
    json!({
        "type": "object",
        "description": "llama-server's request for the text of token ids.",
        "properties": { "tokens": array(schema("TokenId")), "model": model() },
        "required": ["tokens"],
    })
}
