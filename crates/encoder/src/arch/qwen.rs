//! Qwen as an embedder: gte-Qwen2 and jina-code-embeddings on Qwen 2, Qwen3-Embedding on Qwen 3 (Yang et al. 2024,
//! 2025; Zhang et al. 2025).
//!
//! Llama's network with halves for pairs: Qwen 2 has biases of Q, K and V, Qwen 3 norms every query and key head.
//! Causal unless the file says otherwise. Sources: transformers' modeling_qwen2.py and modeling_qwen3.py.

use super::Architecture;
use super::llama::llama;
use crate::config::{Config, HeadNorms};
use crate::rope::Pairs;

pub(super) const QWEN2: Architecture =
    Architecture { name: "qwen2", describe: |keys| llama(keys, Pairs::Halves, keys.causal_or(true)?) };

pub(super) const QWEN3: Architecture = Architecture {
    name: "qwen3",
    describe: |keys| {
        let network = llama(keys, Pairs::Halves, keys.causal_or(true)?)?;
        Ok(Config { head_norms: HeadNorms::EachHead, ..network })
    },
};
