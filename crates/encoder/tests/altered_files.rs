//! Files that lack something, have something more, or hold the same weights otherwise.

use connote_encoder::{Batch, Encoder, Error, ErrorKind, Pooling, Workspace};
use gguf::Gguf;
use kernels::{Kernels, Level};
use testkit::edit::Edit;
use testkit::tiny::{self, GemmaKind};
use threads::Team;

fn load(bytes: Vec<u8>, kernels: &'static Kernels) -> Result<Encoder, Error> {
    Encoder::load(&Gguf::from_bytes(bytes).expect("a valid file"), kernels, &Team::new(1))
}

fn scalar() -> &'static Kernels {
    Kernels::of(Level::Scalar).expect("every machine has it")
}

/// The error of a file without a tensor or key.
fn without(bytes: &[u8], name: &str) -> Error {
    match load(Edit::of(bytes).without(name).bytes(), scalar()) {
        Ok(_) => panic!("a file without {name} loaded"),
        Err(error) => error,
    }
}

#[test]
fn what_is_missing_is_named() {
    let bert = tiny::bert(1);
    for tensor in [
        "token_embd.weight",
        "position_embd.weight",
        "token_embd_norm.weight",
        "blk.1.attn_q.weight",
        "blk.0.ffn_down.weight",
    ] {
        let error = without(&bert, tensor);
        assert_eq!(error.kind(), ErrorKind::Tensor);
        assert!(error.to_string().contains(tensor), "{error}");
    }
    for key in [
        "bert.embedding_length",
        "bert.block_count",
        "bert.attention.head_count",
        "bert.context_length",
        "bert.feed_forward_length",
        "bert.attention.layer_norm_epsilon",
    ] {
        let error = without(&bert, key);
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.to_string().contains(key), "{error}");
    }
    let gemma = tiny::gemma(1, GemmaKind::WithHeads);
    for key in [
        "gemma-embedding.attention.sliding_window",
        "gemma-embedding.attention.layer_norm_rms_epsilon",
        "gemma-embedding.attention.head_count",
    ] {
        let error = without(&gemma, key);
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.to_string().contains(key), "{error}");
    }
    assert!(without(&bert, "general.architecture").to_string().contains("general.architecture"));
    // One dense head without the other would give a vector of another size.
    let error = without(&gemma, "dense_3.weight");
    assert!(error.to_string().contains("dense_3.weight"), "{error}");
}

/// Optional tensors change the vector, or are counted.
#[test]
fn tensors_that_nobody_reads_are_reported() {
    let bytes = Edit::of(&tiny::bert(1)).tensor("cls.weight", &[24, 2], &[0.0; 48]).bytes();
    let encoder = load(bytes, scalar()).expect("it loads");
    assert_eq!(encoder.unread_tensors(), ["cls.weight"]);
}

#[test]
fn fused_qkv_gives_the_same_bits_as_split() {
    let bytes = tiny::bert(9);
    let mut fused = Edit::of(&bytes);
    for layer in 0..2 {
        for (ending, dims) in [("weight", vec![24, 72]), ("bias", vec![72])] {
            let names = ["attn_q", "attn_k", "attn_v"].map(|part| format!("blk.{layer}.{part}.{ending}"));
            let values = names.each_ref().map(|name| fused.values(name)).concat();
            fused = fused.tensor(&format!("blk.{layer}.attn_qkv.{ending}"), &dims, &values);
            fused = names.iter().fold(fused, |edit, name| edit.without(name));
        }
    }
    let fused = fused.bytes();
    for kernels in Level::available().filter_map(Kernels::of) {
        let [split, fused] = [&bytes, &fused].map(|bytes| {
            let encoder = load(bytes.clone(), kernels).expect("it loads");
            let batch: Batch = [&[2, 7, 8, 3][..]].into_iter().collect();
            encoder.forward(&Team::new(1), &batch, Pooling::Mean, &mut Workspace::new())
        });
        assert_eq!(split, fused, "{}", kernels.level);
    }
}
