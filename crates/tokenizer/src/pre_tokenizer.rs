//! What `tokenizer.ggml.pre` stands for: GGUF keeps a name, the authors' files say what is behind it.

use crate::error::{Error, ErrorKind};
use crate::load::PRE;
use crate::scan::Pattern;

/// Marks that stand around a text where the file does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Template {
    Bare,
    /// BOS before it.
    Begin,
    /// BOS before it and EOS after it, as BERT does with `[CLS]` and `[SEP]`.
    Enclosed,
}

/// How a family of models cuts texts before merging.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PreTokenizer {
    pub(crate) pattern: Pattern,
    /// Whether bytes are merged, written in GPT-2's alphabet; else characters, and bytes only where a character has no
    /// token.
    pub(crate) byte_level: bool,
    /// Whether U+2581 stands for a space in tokens, and is one in texts.
    pub(crate) escapes_spaces: bool,
    /// Whether a space goes before every stretch of text that has none there, whatever the file says of it.
    pub(crate) prefixes_space: bool,
    /// Whether unknown characters side by side are one unknown token.
    pub(crate) fuses_unknown: bool,
    /// Whether texts are composed (NFC) first.
    pub(crate) nfc: bool,
    /// Whether a piece that is a token is that token, whatever merging would make of it.
    pub(crate) ignore_merges: bool,
    pub(crate) template: Template,
    /// Whether user-defined tokens are looked for in the normalised text; else in the raw one.
    pub(crate) user_defined_normalized: bool,
    /// Whether the mask token takes the spaces before it.
    pub(crate) mask_takes_spaces: bool,
}

const GPT2: PreTokenizer = PreTokenizer {
    pattern: Pattern::Gpt2 { digits: false },
    byte_level: true,
    escapes_spaces: false,
    prefixes_space: false,
    fuses_unknown: true,
    nfc: false,
    ignore_merges: false,
    template: Template::Bare,
    user_defined_normalized: true,
    mask_takes_spaces: false,
};
const DIGITS: PreTokenizer = PreTokenizer { pattern: Pattern::Gpt2 { digits: true }, ..GPT2 };
const ROBERTA: PreTokenizer = PreTokenizer { template: Template::Enclosed, mask_takes_spaces: true, ..GPT2 };
const MODERN_BERT: PreTokenizer = PreTokenizer { nfc: true, ..ROBERTA };
const QWEN2: PreTokenizer = PreTokenizer {
    pattern: Pattern::Llama3 { digits: 1, marks: false },
    nfc: true,
    user_defined_normalized: false,
    ..GPT2
};
const QWEN35: PreTokenizer = PreTokenizer { pattern: Pattern::Llama3 { digits: 1, marks: true }, ..QWEN2 };
const LLAMA3: PreTokenizer = PreTokenizer {
    pattern: Pattern::Llama3 { digits: 3, marks: false },
    ignore_merges: true,
    template: Template::Begin,
    ..GPT2
};
const GPT4O: PreTokenizer = PreTokenizer { pattern: Pattern::Gpt4o { digits: 3, endings: true }, ..GPT2 };
const GRANITE: PreTokenizer = PreTokenizer { ignore_merges: true, ..GPT4O };
const TEKKEN: PreTokenizer = PreTokenizer {
    pattern: Pattern::Gpt4o { digits: 1, endings: false },
    ignore_merges: true,
    template: Template::Begin,
    ..GPT2
};

/// Gemma 4's, which merges by a list what Gemma 3 merges by scores.
const GEMMA4: PreTokenizer = PreTokenizer {
    pattern: Pattern::Whole,
    byte_level: false,
    escapes_spaces: true,
    template: Template::Begin,
    user_defined_normalized: false,
    ..GPT2
};
/// Gemma's pieces cut before every space (mmBERT).
const MMBERT: PreTokenizer = PreTokenizer {
    pattern: Pattern::BeforeSpaces,
    prefixes_space: true,
    template: Template::Enclosed,
    mask_takes_spaces: true,
    ..GEMMA4
};
/// Characters of words and of what is none, without spaces (jina-embeddings-v2-base-zh).
const WHITESPACE: PreTokenizer = PreTokenizer {
    pattern: Pattern::Words,
    byte_level: false,
    fuses_unknown: false,
    template: Template::Enclosed,
    mask_takes_spaces: true,
    ..GPT2
};

const KNOWN: [(&str, PreTokenizer); 29] = [
    ("gpt-2", GPT2),
    ("roberta-bpe", ROBERTA),
    ("jina-v1-en", ROBERTA),
    ("jina-v2-en", ROBERTA),
    ("jina-v2-es", ROBERTA),
    ("jina-v2-de", ROBERTA),
    ("jina-v2-code", ROBERTA),
    ("jina-es", ROBERTA),
    ("jina-de", ROBERTA),
    ("modern-bert", MODERN_BERT),
    ("qwen2", QWEN2),
    ("f2llmv2", QWEN2),
    ("qwen35", QWEN35),
    ("llama-bpe", LLAMA3),
    ("llama3", LLAMA3),
    ("llama-v3", LLAMA3),
    ("falcon3", LLAMA3),
    ("jina-v5-nano", LLAMA3),
    ("gpt-4o", GPT4O),
    ("llama4", GPT4O),
    ("granite-embed-multi-97m", GRANITE),
    ("gemma4", GEMMA4),
    ("granite-embed-multi-311m", GEMMA4),
    ("mmbert", MMBERT),
    ("whitespace", WHITESPACE),
    ("tekken", TEKKEN),
    ("smollm", DIGITS),
    ("starcoder", DIGITS),
    ("refact", DIGITS),
];

impl PreTokenizer {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Result<PreTokenizer, Error> {
        KNOWN.iter().find(|(known, _)| *known == name).map(|&(_, pre)| pre).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                PRE,
                format!(
                    "pre-tokenizer {:?} is not known, and another one would give other ids; known are {}",
                    name.chars().take(40).collect::<String>(),
                    KNOWN.map(|(known, _)| known).join(", ")
                ),
            )
        })
    }
}
