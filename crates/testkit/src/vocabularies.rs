//! Small vocabularies of each tokenizer kind, trained and tokenized by the authors' package
//! (`scripts/tokenizer_small_vocabularies.py`).

use gguf::Writer;
use serde_json::Value;

/// A vocabulary, texts, and for each way to read it the ids that the authors' tokenizer gives for them.
pub struct SmallVocabulary {
    content: Value,
}

fn list<T>(value: &Value, each: impl Fn(&Value) -> T) -> Option<Vec<T>> {
    value.as_array().map(|values| values.iter().map(each).collect())
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

impl SmallVocabulary {
    /// Reads `testdata/tokenizer/small_NAME.json`.
    pub fn read(name: &str) -> Self {
        let path = format!("{}/../../testdata/tokenizer/small_{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { content: serde_json::from_str(&text).expect("JSON") }
    }

    /// The texts, in order.
    pub fn texts(&self) -> Vec<String> {
        list(&self.content["texts"], string).expect("texts")
    }

    /// The ways to read it.
    pub fn variants(&self) -> &[Value] {
        self.content["variants"].as_array().expect("variants")
    }

    /// What the authors make of text number `text`: its ids, and its ids with all marks taken for text.
    pub fn expected(&self, variant: usize, text: usize) -> (Vec<u32>, Vec<u32>) {
        let ids = |value: &Value| list(value, |id| id.as_u64().expect("an id") as u32);
        let (variant, key) = (&self.variants()[variant], text.to_string());
        let parsed = ids(&variant["ids"][&key]).or_else(|| ids(&self.variants()[0]["ids"][&key]));
        let parsed = parsed.expect("ids of every text");
        let plain = ids(&variant["plain"][&key]).unwrap_or_else(|| parsed.clone());
        (parsed, plain)
    }

    /// Its precompiled character map, if it has one.
    pub fn charsmap(&self) -> Option<Vec<u8>> {
        list(&self.content["precompiled_charsmap"], |byte| byte.as_u64().expect("a byte") as u8)
    }

    /// A file with the vocabulary and the keys of a variant, and no tensors; `charsmap` instead of its own one.
    pub fn file(&self, variant: usize, charsmap: Option<&[u8]>) -> Writer {
        let content = &self.content;
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let mut file = Writer::new()
            .metadata(key("model"), string(&content["model"]))
            .metadata(key("tokens"), list(&content["tokens"], string).expect("tokens"))
            .metadata(
                key("token_type"),
                list(&content["token_type"], |kind| kind.as_i64().expect("a type") as i32).expect("types"),
            );
        if let Some(merges) = list(&content["merges"], string) {
            file = file.metadata(key("merges"), merges);
        }
        if let Some(scores) = list(&content["scores"], |score| score.as_f64().expect("a score") as f32) {
            file = file.metadata(key("scores"), scores);
        }
        if let Some(map) = charsmap.map(<[u8]>::to_vec).or_else(|| self.charsmap()) {
            file = file.metadata(key("precompiled_charsmap"), map);
        }
        for (name, id) in content["ids"].as_object().expect("ids") {
            file = file.metadata(key(name), id.as_u64().expect("an id") as u32);
        }
        for (name, value) in self.variants()[variant]["keys"].as_object().expect("keys") {
            file = match value {
                Value::Bool(value) => file.metadata(key(name), *value),
                value => file.metadata(key(name), string(value)),
            };
        }
        file
    }
}
