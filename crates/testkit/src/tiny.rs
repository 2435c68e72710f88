//! Tiny random models as GGUF bytes: every axis of the real ones, small enough to run thousands of times.

use gguf::{TensorType, Writer};

use crate::edit::Edit;
use crate::random::Random;

/// A model under construction.
struct Tiny {
    writer: Writer,
    random: Random,
}

impl Tiny {
    fn new(seed: u64, architecture: &str) -> Self {
        let writer = Writer::new()
            .metadata("general.architecture", architecture)
            .metadata("general.name", format!("tiny {architecture}"));
        Self { writer, random: Random::seeded(seed) }
    }

    fn tensor(mut self, name: &str, dims: &[u64], scale: f32, offset: f32) -> Self {
        let count = dims.iter().product::<u64>() as usize;
        let values = self.random.values(count, scale);
        let bytes = values.iter().flat_map(|value| (value + offset).to_le_bytes()).collect();
        self.writer = self.writer.tensor(name, TensorType::F32, dims, bytes);
        self
    }

    fn matrix(self, name: &str, inputs: u64, outputs: u64) -> Self {
        self.tensor(&format!("{name}.weight"), &[inputs, outputs], 1.5 / (inputs as f32).sqrt(), 0.0)
    }

    fn bias(self, name: &str, length: u64) -> Self {
        self.tensor(&format!("{name}.bias"), &[length], 0.3, 0.0)
    }

    fn norm(self, name: &str, length: u64) -> Self {
        self.tensor(&format!("{name}.weight"), &[length], 0.3, 1.0)
    }

    fn key(mut self, key: &str, value: impl Into<gguf::OwnedValue>) -> Self {
        self.writer = self.writer.metadata(key, value);
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.writer.to_bytes().expect("a tiny model is a valid file")
    }
}

/// Words of the tiny WordPiece vocabulary after its special tokens.
const WORDS: &[&str] =
    &["▁a", "▁b", "▁c", "▁the", "▁cat", "▁dog", "▁sat", "s", "ing", "a", "b", "c", "▁.", "▁,", "▁1", "1"];

/// A BERT of 2 layers, 24 wide, 3 heads, WordPiece with a handful of words, mean pooling.
pub fn bert(seed: u64) -> Vec<u8> {
    let mut tokens: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).to_vec();
    tokens.extend(WORDS.iter().map(|word| (*word).to_owned()));
    let types: Vec<i32> = (0..tokens.len()).map(|id| if id < 5 { 3 } else { 1 }).collect();
    let vocabulary = tokens.len() as u64;
    let (dim, inner) = (24, 40);
    let mut model = Tiny::new(seed, "bert")
        .key("bert.context_length", 48u32)
        .key("bert.embedding_length", dim as u32)
        .key("bert.block_count", 2u32)
        .key("bert.feed_forward_length", inner as u32)
        .key("bert.attention.head_count", 3u32)
        .key("bert.attention.layer_norm_epsilon", 1e-12f32)
        .key("bert.attention.causal", false)
        .key("bert.pooling_type", 1u32)
        .key("tokenizer.ggml.model", "bert")
        .key("tokenizer.ggml.tokens", tokens)
        .key("tokenizer.ggml.token_type", types)
        .key("tokenizer.ggml.bos_token_id", 2u32)
        .key("tokenizer.ggml.eos_token_id", 3u32)
        .key("tokenizer.ggml.seperator_token_id", 3u32)
        .key("tokenizer.ggml.unknown_token_id", 1u32)
        .key("tokenizer.ggml.padding_token_id", 0u32)
        .tensor("token_embd.weight", &[dim, vocabulary], 1.0, 0.0)
        .tensor("position_embd.weight", &[dim, 48], 0.5, 0.0)
        .tensor("token_types.weight", &[dim, 2], 0.5, 0.0)
        .norm("token_embd_norm", dim)
        .bias("token_embd_norm", dim);
    for layer in 0..2 {
        let name = |stem: &str| format!("blk.{layer}.{stem}");
        for stem in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            model = model.matrix(&name(stem), dim, dim).bias(&name(stem), dim);
        }
        for stem in ["attn_output_norm", "layer_output_norm"] {
            model = model.norm(&name(stem), dim).bias(&name(stem), dim);
        }
        model = model.matrix(&name("ffn_up"), dim, inner).bias(&name("ffn_up"), inner);
        model = model.matrix(&name("ffn_down"), inner, dim).bias(&name("ffn_down"), dim);
    }
    model.bytes()
}

/// What a tiny Gemma has beside its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GemmaKind {
    /// `gemma-embedding` with both dense heads.
    WithHeads,
    /// `gemma-embedding` as published for llama.cpp: without them.
    WithoutHeads,
    /// `gemma3`: causal, and it states no pooling.
    Causal,
}

/// A Gemma of 7 layers (so that one is global), 20 wide, 4 heads of 8 sharing 2, a window of 6, and a
/// SentencePiece vocabulary of bytes and a few words.
pub fn gemma(seed: u64, kind: GemmaKind) -> Vec<u8> {
    gemma_of(seed, kind, GemmaSize::default())
}

/// Sizes of a tiny Gemma that rules hang on.
#[derive(Debug, Clone, Copy)]
pub struct GemmaSize {
    /// How many layers.
    pub layers: u32,
    /// Width of a row; the 4 heads have 8 dimensions whatever it is.
    pub dim: u64,
    /// Key and value heads: 1, 2 or 4.
    pub kv_heads: u64,
}

impl Default for GemmaSize {
    fn default() -> Self {
        Self { layers: 7, dim: 20, kv_heads: 2 }
    }
}

/// As [`gemma`], of other sizes.
pub fn gemma_of(seed: u64, kind: GemmaKind, size: GemmaSize) -> Vec<u8> {
    let GemmaSize { layers, dim, kv_heads } = size;
    let a = if kind == GemmaKind::Causal { "gemma3" } else { "gemma-embedding" };
    let mut tokens: Vec<String> = ["<pad>", "<eos>", "<bos>", "<unk>"].map(String::from).to_vec();
    let mut types = vec![3i32, 3, 3, 2];
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    types.extend([6; 256]);
    let words = ["▁", "a", "b", "c", "t", "h", "e", "ca", "cat", "▁the", "th", "▁th", "he", "the"];
    tokens.extend(words.iter().map(|word| (*word).to_owned()));
    types.extend(vec![1; words.len()]);
    let scores: Vec<f32> = (0..tokens.len()).map(|id| if id < 260 { 0.0 } else { -(id as f32) }).collect();
    let vocabulary = tokens.len() as u64;
    let (inner, heads, head_dim) = (36u64, 4u64, 8u64);
    let mut model = Tiny::new(seed, a)
        .key(&format!("{a}.context_length"), 64u32)
        .key(&format!("{a}.embedding_length"), dim as u32)
        .key(&format!("{a}.block_count"), layers)
        .key(&format!("{a}.feed_forward_length"), inner as u32)
        .key(&format!("{a}.attention.head_count"), heads as u32)
        .key(&format!("{a}.attention.head_count_kv"), kv_heads as u32)
        .key(&format!("{a}.attention.key_length"), head_dim as u32)
        .key(&format!("{a}.attention.value_length"), head_dim as u32)
        .key(&format!("{a}.attention.layer_norm_rms_epsilon"), 1e-6f32)
        .key(&format!("{a}.attention.sliding_window"), 6u32)
        .key(&format!("{a}.rope.freq_base"), 1_000_000.0f32)
        .key("tokenizer.ggml.model", "llama")
        .key("tokenizer.ggml.tokens", tokens)
        .key("tokenizer.ggml.scores", scores)
        .key("tokenizer.ggml.token_type", types)
        .key("tokenizer.ggml.bos_token_id", 2u32)
        .key("tokenizer.ggml.eos_token_id", 1u32)
        .key("tokenizer.ggml.unknown_token_id", 3u32)
        .key("tokenizer.ggml.padding_token_id", 0u32)
        .key("tokenizer.ggml.add_bos_token", true)
        .key("tokenizer.ggml.add_eos_token", kind != GemmaKind::Causal)
        .key("tokenizer.ggml.add_space_prefix", false)
        .tensor("token_embd.weight", &[dim, vocabulary], 0.3, 0.0)
        .norm("output_norm", dim);
    if kind != GemmaKind::Causal {
        model = model.key(&format!("{a}.pooling_type"), 1u32);
    }
    if kind == GemmaKind::WithHeads {
        model = model.matrix("dense_2", dim, 44).matrix("dense_3", 44, dim);
    }
    for layer in 0..layers {
        let name = |stem: &str| format!("blk.{layer}.{stem}");
        for stem in ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"] {
            model = model.norm(&name(stem), dim);
        }
        model = model
            .norm(&name("attn_q_norm"), head_dim)
            .norm(&name("attn_k_norm"), head_dim)
            .matrix(&name("attn_q"), dim, heads * head_dim)
            .matrix(&name("attn_k"), dim, kv_heads * head_dim)
            .matrix(&name("attn_v"), dim, kv_heads * head_dim)
            .matrix(&name("attn_output"), heads * head_dim, dim)
            .matrix(&name("ffn_gate"), dim, inner)
            .matrix(&name("ffn_up"), dim, inner)
            .matrix(&name("ffn_down"), inner, dim);
    }
    model.bytes()
}

/// The model with every matrix in Q8_0 whose rows are whole blocks of 32; the others stay F32, so that a model
/// of width 32 has both.
pub fn quantised(bytes: &[u8]) -> Vec<u8> {
    let edit = Edit::of(bytes);
    let names = edit.quantisable();
    assert!(!names.is_empty(), "nothing to quantise");
    names.iter().fold(edit, |edit, name| edit.q8_0(name)).bytes()
}

/// The model with scores `factor` times as large: attention then rests on few keys, so that the vector
/// depends on which of them the mask shows and how they are turned. (Random weights alone attend to all
/// keys nearly alike, and what a window hides hardly matters.)
pub fn sharpened(bytes: &[u8], factor: f32) -> Vec<u8> {
    let mut edit = Edit::of(bytes);
    let gguf = gguf::Gguf::from_bytes(bytes.to_vec()).expect("a valid file");
    let has_norms = gguf.tensor("blk.0.attn_q_norm.weight").is_some();
    // Where heads are normalised, the size of the queries is that of their norm's weight.
    let parts: &[&str] = if has_norms { &["attn_q_norm.weight"] } else { &["attn_q.weight", "attn_q.bias"] };
    for tensor in gguf.tensors().filter(|tensor| parts.iter().any(|part| tensor.name().ends_with(part))) {
        let values: Vec<f32> = edit.values(tensor.name()).iter().map(|value| value * factor).collect();
        edit = edit.tensor(tensor.name(), tensor.dims(), &values);
    }
    edit.bytes()
}
