//! A field that a reader gets, or loses, is missed here until the document says so.

use std::collections::BTreeSet;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::json;

use super::facts::Facts;
use super::{batches, requests};
use crate::batches::Asked;
use crate::{llama, ollama, openai, rerank, tei};

/// Asks a type for its fields: it is told that none can be read, with their names.
struct Names;

impl<'de> Deserializer<'de> for Names {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom(""))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom(fields.join(" ")))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn names<T: for<'de> Deserialize<'de>>() -> String {
    T::deserialize(Names).err().map(|names| names.to_string()).unwrap_or_default()
}

#[test]
fn the_document_has_the_fields_that_the_readers_have() {
    let facts = Facts {
        name: "a".to_owned(),
        several: false,
        words: 10,
        whole: 4,
        dimensions: json!({}),
        tasks: Vec::new(),
        custom: false,
        keys: false,
        ids_are_ours: false,
        llama: false,
        vectors: true,
        reranker: None,
    };
    let mut schemas = requests::schemas(&facts);
    schemas.extend(batches::schemas());
    assert!(names::<openai::Asked>().contains("prompt_name"), "those of all routes are among them");
    // Beside them, fields that are described to say that they change nothing, or whose they are.
    for (name, read, beside) in [
        ("OpenAiRequest", names::<openai::Asked>(), "user"),
        ("TeiRequest", names::<tei::Asked>(), ""),
        ("TeiTokenizeRequest", names::<tei::ToTokenize>(), ""),
        ("TeiDecodeRequest", names::<tei::ToDecode>(), ""),
        ("TeiRerankRequest", names::<rerank::TeiAsked>(), ""),
        ("RerankRequest", names::<rerank::DocumentsAsked>(), ""),
        ("OllamaRequest", names::<ollama::Asked>(), "keep_alive options"),
        ("OllamaPromptRequest", names::<ollama::AskedOne>(), "keep_alive options"),
        ("OllamaShowRequest", names::<ollama::ToShow>(), ""),
        ("LlamaRequest", names::<llama::Asked>(), ""),
        ("LlamaContentRequest", names::<llama::Asked>(), ""),
        ("LlamaTokenizeRequest", names::<llama::ToTokenize>(), "inputs"),
        ("LlamaDetokenizeRequest", names::<llama::ToDetokenize>(), ""),
        ("BatchRequest", names::<Asked>(), ""),
    ] {
        let described = schemas[name]["properties"].as_object().expect("fields").keys().map(String::as_str);
        let wanted: BTreeSet<&str> = read.split_whitespace().chain(beside.split_whitespace()).collect();
        assert_eq!(described.collect::<BTreeSet<&str>>(), wanted, "{name}");
    }
    let all = schemas.keys().filter(|name| name.ends_with("Request")).count();
    assert_eq!(all, 14, "each of them is looked at above");
}
