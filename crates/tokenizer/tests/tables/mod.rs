//! Small tokenizers, written as GGUF files by hand so that they may be wrong in any way.

use connote_tokenizer::{Error, Tokenizer};

/// The metadata of a file.
#[derive(Default, Clone)]
pub(crate) struct Keys {
    count: u64,
    bytes: Vec<u8>,
}

pub(crate) const NORMAL: i32 = 1;
pub(crate) const UNKNOWN: i32 = 2;
pub(crate) const CONTROL: i32 = 3;
pub(crate) const USER_DEFINED: i32 = 4;
pub(crate) const BYTE: i32 = 6;

impl Keys {
    /// Keys of a tokenizer kind.
    pub(crate) fn of(model: &str) -> Keys {
        Keys::default().str("model", model)
    }

    fn key(&mut self, key: &str, value_type: u32) {
        self.count += 1;
        let own = key.starts_with("tokenizer.");
        let key = if own { key.to_owned() } else { format!("tokenizer.ggml.{key}") };
        self.text(key.as_bytes());
        self.bytes.extend(value_type.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes.extend((text.len() as u64).to_le_bytes());
        self.bytes.extend(text);
    }

    fn array(&mut self, key: &str, value_type: u32, length: usize) {
        self.key(key, 9);
        self.bytes.extend(value_type.to_le_bytes());
        self.bytes.extend((length as u64).to_le_bytes());
    }

    pub(crate) fn str(mut self, key: &str, value: &str) -> Keys {
        self.key(key, 8);
        self.text(value.as_bytes());
        self
    }

    pub(crate) fn u32(mut self, key: &str, value: u32) -> Keys {
        self.key(key, 4);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn bool(mut self, key: &str, value: bool) -> Keys {
        self.key(key, 7);
        self.bytes.push(value.into());
        self
    }

    pub(crate) fn strings<T: AsRef<[u8]>>(mut self, key: &str, values: &[T]) -> Keys {
        self.array(key, 8, values.len());
        values.iter().for_each(|value| self.text(value.as_ref()));
        self
    }

    pub(crate) fn i32s(mut self, key: &str, values: &[i32]) -> Keys {
        self.array(key, 5, values.len());
        values.iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
        self
    }

    pub(crate) fn u8s(mut self, key: &str, values: &[u8]) -> Keys {
        self.array(key, 0, values.len());
        self.bytes.extend(values);
        self
    }

    pub(crate) fn f32s(mut self, key: &str, values: &[f32]) -> Keys {
        self.array(key, 6, values.len());
        values.iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
        self
    }

    /// Texts, scores and types of all tokens.
    pub(crate) fn tokens(self, tokens: &[(&str, f32, i32)]) -> Keys {
        let texts: Vec<_> = tokens.iter().map(|&(text, _, _)| text).collect();
        let scores: Vec<_> = tokens.iter().map(|&(_, score, _)| score).collect();
        let types: Vec<_> = tokens.iter().map(|&(_, _, token_type)| token_type).collect();
        self.strings("tokens", &texts).f32s("scores", &scores).i32s("token_type", &types)
    }

    /// The tokenizer of a file with these keys and no tensors.
    pub(crate) fn load(&self) -> Result<Tokenizer, Error> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend(0u64.to_le_bytes());
        file.extend(self.count.to_le_bytes());
        file.extend(&self.bytes);
        let file = gguf::Gguf::from_bytes(file).expect("a valid file");
        Tokenizer::from_metadata(file.metadata())
    }
}
