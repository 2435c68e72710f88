//! Short names for files on the hub.
//!
//! A row stands here when its file was seen in the repository's own listing, or its address in the configuration of programs that
//! fetch it, and connote runs its architecture.

/// A short name and the file it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortName {
    /// The names, the first of which is the usual one. Case does not matter.
    pub names: &'static [&'static str],
    /// The repository, as `org/name`.
    pub repo: &'static str,
    /// The file in it.
    pub file: &'static str,
    /// About how large it is, in bytes.
    pub bytes: u64,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Under which terms its authors give it, as the repository or the model's card says.
    pub licence: &'static str,
    /// Where repository and file were seen: in `repo`, from which it is pulled.
    pub source: &'static str,
}

/// The table.
pub const SHORT_NAMES: &[ShortName] = &[
    ShortName {
        names: &["embeddinggemma", "embeddinggemma-300m"],
        repo: "ggml-org/embeddinggemma-300M-GGUF",
        file: "embeddinggemma-300M-Q8_0.gguf",
        bytes: 334_000_000,
        about: "EmbeddingGemma 300M, 768 dimensions, over 100 languages",
        licence: "Gemma terms of use",
        source: "https://huggingface.co/ggml-org/embeddinggemma-300M-GGUF/resolve/main/embeddinggemma-300M-Q8_0.gguf",
    },
    ShortName {
        names: &["all-minilm-l6-v2", "minilm", "all-minilm"],
        repo: "second-state/All-MiniLM-L6-v2-Embedding-GGUF",
        file: "all-MiniLM-L6-v2-Q8_0.gguf",
        bytes: 25_000_000,
        about: "all-MiniLM-L6-v2, 384 dimensions, English",
        licence: "Apache-2.0",
        source: "https://huggingface.co/second-state/All-MiniLM-L6-v2-Embedding-GGUF/tree/main",
    },
    ShortName {
        names: &["bge-small-en-v1.5", "bge-small"],
        repo: "CompendiumLabs/bge-small-en-v1.5-gguf",
        file: "bge-small-en-v1.5-q8_0.gguf",
        bytes: 36_800_000,
        about: "BGE small 1.5, 384 dimensions, English",
        licence: "MIT",
        source: "https://huggingface.co/CompendiumLabs/bge-small-en-v1.5-gguf/tree/main",
    },
    ShortName {
        names: &["bge-base-en-v1.5", "bge-base"],
        repo: "CompendiumLabs/bge-base-en-v1.5-gguf",
        file: "bge-base-en-v1.5-q8_0.gguf",
        bytes: 118_000_000,
        about: "BGE base 1.5, 768 dimensions, English",
        licence: "MIT",
        source: "https://huggingface.co/CompendiumLabs/bge-base-en-v1.5-gguf/tree/main",
    },
];

/// The row of a short name.
pub fn short_name(name: &str) -> Option<&'static ShortName> {
    SHORT_NAMES.iter().find(|row| row.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}
