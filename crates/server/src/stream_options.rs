//! What a stream of lines asks for as a whole: the query of its address.

use std::sync::Arc;

use axum::http::Uri;
use connote::{Options, Priority, Truncation};
use serde_json::{Map, Value};

use crate::Service;
use crate::dialect::Dialect;
use crate::extras::with_extras;
use crate::fault::Fault;
use crate::json::{self, Count};
use crate::llama;
use crate::models::Served;

/// For all lines; a line may have a task and a title of its own.
pub(crate) struct StreamOptions {
    pub(crate) served: Arc<Served>,
    pub(crate) options: Options,
    pub(crate) title: Option<String>,
    pub(crate) priority: Option<Priority>,
    /// A vector a token, instead of one a text.
    pub(crate) per_token: bool,
}

with_extras! {
    /// The keys of the query.
    struct Asked {
        model: Option<String>,
        dimensions: Option<Count>,
        normalize: Option<bool>,
        embd_normalize: Option<f64>,
    }
}

/// All that there are.
const KEYS: [&str; 10] = [
    "model",
    "dimensions",
    "normalize",
    "embd_normalize",
    "task",
    "input_type",
    "prompt_name",
    "title",
    "truncate",
    "priority",
];

/// Reads the query; what it leaves open is as the path's protocol has it.
pub(crate) fn read(service: &Service, uri: &Uri) -> Result<StreamOptions, Fault> {
    let fields = fields(uri.query().unwrap_or(""))?;
    let in_query = |mut fault: Fault| {
        // A place in the JSON that was made of it says nothing.
        let said = fault.message.rsplit_once(" at line 1 column ").map_or(&*fault.message, |(said, _)| said);
        fault.message = format!("the query of the address: {said}");
        fault
    };
    let mut asked: Asked = json::read(&fields).map_err(in_query)?;
    let extras = asked.extras();
    let chosen = service.models().choose(asked.model.as_deref())?;
    let truncation = match Dialect::of(uri.path(), service.settings().dialect) {
        Dialect::Ollama => Truncation::End,
        _ => Truncation::Error,
    };
    let per_token = uri.path() == "/embed_all";
    let options = extras.options(&chosen, truncation, asked.dimensions)?;
    let options = match (asked.normalize, asked.embd_normalize) {
        (Some(_), Some(_)) => {
            let message = "the query of the address has `normalize` and `embd_normalize`, which are one thing; leave one of them out";
            return Err(Fault::invalid(message).param("embd_normalize"));
        }
        (None, Some(number)) => options.norm(llama::norm(number)?),
        (normalize, None) => options.normalize(normalize.unwrap_or(!per_token)),
    };
    Ok(StreamOptions {
        served: chosen.served,
        options,
        title: extras.title,
        priority: extras.priority,
        per_token,
    })
}

/// A query as the JSON object that a request would have.
fn fields(query: &str) -> Result<Vec<u8>, Fault> {
    let mut fields = Map::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if !KEYS.contains(&key.as_ref()) {
            let message =
                format!("the query of the address has `{key}`; what is known is {}", KEYS.join(", "));
            return Err(Fault::invalid(message).param(key));
        }
        let value = match (key.as_ref(), value.as_ref()) {
            (_, "") => Value::Null,
            ("truncate" | "normalize", "true") => Value::Bool(true),
            ("truncate" | "normalize", "false") => Value::Bool(false),
            ("dimensions" | "embd_normalize", number) => {
                number.parse().map_or_else(|_| Value::from(number), Value::Number)
            }
            (_, text) => Value::from(text),
        };
        if fields.insert(key.clone().into_owned(), value).is_some() {
            return Err(Fault::invalid(format!("the query of the address has `{key}` twice")).param(key));
        }
    }
    json::write(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_the_fields_of_a_request() {
        let read = |query| fields(query).map(|bytes| String::from_utf8(bytes).expect("JSON"));
        assert_eq!(read("").expect("nothing"), "{}");
        let all = "dimensions=256&truncate=true&normalize=false&title=a+%22b%22&task=";
        let wanted = r#"{"dimensions":256,"normalize":false,"task":null,"title":"a \"b\"","truncate":true}"#;
        assert_eq!(read(all).expect("known keys"), wanted);
        // To be refused later, with the field's name.
        assert_eq!(read("truncate=1&dimensions=x").expect("known"), r#"{"dimensions":"x","truncate":"1"}"#);
        let fault = read("dimension=256").expect_err("no such key");
        assert!(fault.message.contains("`dimension`") && fault.message.contains("model, dimensions"));
        let fault = read("task=query&task=document").expect_err("which?");
        assert!(fault.message.contains("twice"));
    }
}
