//! The class that reads a folder's tokenizer at the authors', which is chosen by name: some build the tokenizer anew from parts of
//! `tokenizer.json`, and from what they take for granted.

use serde_json::Value;

use crate::config::Config;

/// As transformers 5 chooses, of those that build anew other than with BERT's flags and those of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Takes the file as it is.
    OfTheFile,
    /// Takes pieces and a map of characters, and cuts at white space.
    XlmRoberta,
    /// Likewise.
    T5,
    /// Takes merges, and puts spaces before texts by its own flags.
    Llama,
}

impl Class {
    pub(super) fn of(tokenizer_config: &Value, config: &Config) -> Self {
        let model_type = config.text("model_type").unwrap_or_default();
        let usual = match model_type {
            // Whatever class the folder names.
            "umt5" | "mistral" => return Self::OfTheFile,
            "xlm-roberta" | "jina_embeddings_v3" => "XLMRobertaTokenizer",
            "t5" | "mt5" => "T5Tokenizer",
            _ => "",
        };
        let named = tokenizer_config["tokenizer_class"].as_str().or(config.text("tokenizer_class"));
        let name = named.unwrap_or(usual);
        match name.strip_suffix("Fast").unwrap_or(name) {
            "XLMRobertaTokenizer" => Self::XlmRoberta,
            "T5Tokenizer" => Self::T5,
            "LlamaTokenizer" => Self::Llama,
            _ => Self::OfTheFile,
        }
    }
}
