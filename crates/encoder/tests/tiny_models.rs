//! Tiny random models of every architecture against the naive forward pass in f64, and their bits in
//! batches.

use connote_encoder as encoder;
use connote_encoder::{Batch, Encoder, ErrorKind, Pooling, Workspace};
use gguf::Gguf;
use kernels::{Kernels, Level};
use proptest::prelude::*;
use testkit::random::Random;
use testkit::tiny::{self, GemmaKind};
use testkit::{naive, oracle};

fn tiny_files(seed: u64) -> Vec<(&'static str, Vec<u8>, u32)> {
    vec![
        ("bert", tiny::bert(seed), 21),
        ("embedding gemma with heads", tiny::gemma(seed, GemmaKind::WithHeads), 274),
        ("embedding gemma without heads", tiny::gemma(seed, GemmaKind::WithoutHeads), 274),
        ("causal gemma", tiny::gemma(seed, GemmaKind::Causal), 274),
    ]
}

fn open(bytes: &[u8]) -> Gguf {
    Gguf::from_bytes(bytes.to_vec()).expect("a valid file")
}

fn levels() -> impl Iterator<Item = &'static Kernels> {
    Level::available().filter_map(Kernels::of)
}

fn ids(random: &mut Random, count: usize, vocabulary: u32) -> Vec<u32> {
    (0..count).map(|_| random.below(vocabulary as usize) as u32).collect()
}

fn run(encoder: &Encoder, sequences: &[Vec<u32>], pooling: Pooling) -> Vec<f32> {
    let batch: Batch = sequences.iter().map(Vec::as_slice).collect();
    encoder.forward(&batch, pooling, &mut Workspace::new())
}

#[test]
fn every_architecture_agrees_with_the_naive_forward_pass() {
    let mut random = Random::seeded(11);
    for seed in 0..3 {
        for (name, bytes, vocabulary) in tiny_files(seed) {
            let gguf = open(&bytes);
            for kernels in levels() {
                let encoder = Encoder::load(&gguf, kernels).expect("it loads");
                assert_eq!(encoder.unread_tensors(), &[] as &[String], "{name}");
                // 1 and 2 tokens, more than a window of 6, and up to the context of BERT.
                for length in [1, 2, 7, 8, 17, 48] {
                    let sequence = ids(&mut random, length, vocabulary);
                    let mean = run(&encoder, std::slice::from_ref(&sequence), Pooling::Mean);
                    let what = format!("{name}, seed {seed}, {length} tokens, {}", kernels.level);
                    let wanted = naive::mean_pooled(&gguf, &sequence);
                    assert!(oracle::cosine(&mean, &wanted) > 0.999_999_9, "{what}: mean");
                    let last = run(&encoder, std::slice::from_ref(&sequence), Pooling::Last);
                    let wanted = naive::last_pooled(&gguf, &sequence);
                    assert!(oracle::cosine(&last, &wanted) > 0.999_999_9, "{what}: last");
                    for (value, wanted) in last.iter().zip(&wanted) {
                        assert!(
                            (value - wanted).abs() < 2e-5 * wanted.abs().max(1.0),
                            "{what}: {value} {wanted}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn longer_than_a_block_of_queries_agrees_too() {
    let gguf = open(&tiny::gemma(5, GemmaKind::WithoutHeads));
    let sequence = ids(&mut Random::seeded(12), 150, 274);
    let wanted = naive::mean_pooled(&gguf, &sequence);
    for kernels in levels() {
        let encoder = Encoder::load(&gguf, kernels).expect("it loads");
        let got = run(&encoder, std::slice::from_ref(&sequence), Pooling::Mean);
        assert!(oracle::cosine(&got, &wanted) > 0.999_999_9, "{}", kernels.level);
    }
}

#[test]
fn pooling_takes_the_rows_it_names() {
    let gguf = open(&tiny::bert(1));
    let encoder = Encoder::load(&gguf, levels().last().expect("a level")).expect("it loads");
    let sequence = vec![2, 5, 9, 3];
    let all = run(&encoder, std::slice::from_ref(&sequence), Pooling::None);
    let dim = encoder.output_dim();
    assert_eq!(all.len(), 4 * dim);
    assert_eq!(run(&encoder, std::slice::from_ref(&sequence), Pooling::Cls), all[..dim]);
    assert_eq!(run(&encoder, std::slice::from_ref(&sequence), Pooling::Last), all[3 * dim..]);
    let mean = run(&encoder, std::slice::from_ref(&sequence), Pooling::Mean);
    for (i, value) in mean.iter().enumerate() {
        let wanted = (0..4).map(|row| f64::from(all[row * dim + i])).sum::<f64>() / 4.0;
        assert_eq!(*value, wanted as f32);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_sequence_has_the_same_bits_in_any_batch(
        lengths in prop::collection::vec(1usize..40, 1..7),
        seed in 0u64..1000,
        pooling in prop::sample::select(Pooling::ALL.to_vec()),
    ) {
        let mut random = Random::seeded(seed);
        for (name, bytes, vocabulary) in tiny_files(7) {
            let gguf = open(&bytes);
            for kernels in levels() {
                let encoder = Encoder::load(&gguf, kernels).expect("it loads");
                let sequences: Vec<Vec<u32>> = lengths.iter().map(|&n| ids(&mut random, n, vocabulary)).collect();
                let alone: Vec<Vec<f32>> = sequences.iter().map(|s| run(&encoder, std::slice::from_ref(s), pooling)).collect();
                prop_assert_eq!(&run(&encoder, &sequences, pooling), &alone.concat(), "{}", name);
                let reversed: Vec<Vec<u32>> = sequences.iter().rev().cloned().collect();
                let alone: Vec<f32> = alone.into_iter().rev().flatten().collect();
                prop_assert_eq!(run(&encoder, &reversed, pooling), alone, "{} {}", name, kernels.level);
            }
        }
    }
}

/// A workspace that has seen longer and other batches gives the same bits as a new one.
#[test]
fn a_used_workspace_leaves_no_trace() {
    let mut random = Random::seeded(13);
    for (name, bytes, vocabulary) in tiny_files(3) {
        let encoder = Encoder::load(&open(&bytes), levels().last().expect("a level")).expect("it loads");
        let mut used = Workspace::new();
        for length in [40, 3, 48, 1, 17] {
            let sequence = ids(&mut random, length, vocabulary);
            let batch: Batch = [sequence.as_slice()].into_iter().collect();
            let fresh = encoder.forward(&batch, Pooling::Mean, &mut Workspace::new());
            assert_eq!(encoder.forward(&batch, Pooling::Mean, &mut used), fresh, "{name}");
        }
    }
}

/// Removes one tensor or key from a tiny file and gives the error.
fn without(bytes: &[u8], name: &str) -> encoder::Error {
    let gguf = open(bytes);
    let mut writer = gguf::Writer::new();
    for (key, value) in gguf.metadata().iter().filter(|(key, _)| *key != name) {
        writer = writer.metadata(key, value);
    }
    for tensor in gguf.tensors().filter(|tensor| tensor.name() != name) {
        writer = writer.tensor(tensor.name(), tensor.ty(), tensor.dims(), tensor.bytes().to_vec());
    }
    let changed = open(&writer.to_bytes().expect("a valid file"));
    match Encoder::load(&changed, Kernels::of(Level::Scalar).expect("a level")) {
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
    for key in
        ["bert.embedding_length", "bert.block_count", "bert.attention.head_count", "bert.context_length"]
    {
        let error = without(&bert, key);
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.to_string().contains(key), "{error}");
    }
    assert!(without(&bert, "general.architecture").to_string().contains("general.architecture"));
    // One dense head without the other would give a vector of another size.
    let error = without(&tiny::gemma(1, GemmaKind::WithHeads), "dense_3.weight");
    assert!(error.to_string().contains("dense_3.weight"), "{error}");
}

/// Optional tensors change the vector, or are counted.
#[test]
fn tensors_that_nobody_reads_are_reported() {
    let gguf = open(&tiny::bert(1));
    let mut writer = gguf::Writer::new();
    for (key, value) in gguf.metadata().iter() {
        writer = writer.metadata(key, value);
    }
    for tensor in gguf.tensors() {
        writer = writer.tensor(tensor.name(), tensor.ty(), tensor.dims(), tensor.bytes().to_vec());
    }
    let writer = writer.tensor("cls.weight", gguf::TensorType::F32, &[24, 2], vec![0; 24 * 2 * 4]);
    let changed = open(&writer.to_bytes().expect("a valid file"));
    let encoder = Encoder::load(&changed, Kernels::of(Level::Scalar).expect("a level")).expect("it loads");
    assert_eq!(encoder.unread_tensors(), ["cls.weight"]);
}

#[test]
fn fused_qkv_gives_the_same_bits_as_split() {
    let gguf = open(&tiny::bert(9));
    let mut writer = gguf::Writer::new();
    for (key, value) in gguf.metadata().iter() {
        writer = writer.metadata(key, value);
    }
    for tensor in gguf
        .tensors()
        .filter(|tensor| !["attn_q.", "attn_k.", "attn_v."].iter().any(|part| tensor.name().contains(part)))
    {
        writer = writer.tensor(tensor.name(), tensor.ty(), tensor.dims(), tensor.bytes().to_vec());
    }
    for layer in 0..2 {
        for (ending, dims) in [("weight", vec![24, 72]), ("bias", vec![72])] {
            let parts = ["attn_q", "attn_k", "attn_v"]
                .map(|part| gguf.tensor(&format!("blk.{layer}.{part}.{ending}")).expect("a part").bytes());
            writer = writer.tensor(
                format!("blk.{layer}.attn_qkv.{ending}"),
                gguf::TensorType::F32,
                &dims,
                parts.concat(),
            );
        }
    }
    let fused = open(&writer.to_bytes().expect("a valid file"));
    for kernels in levels() {
        let [split, fused] = [&gguf, &fused].map(|file| {
            let encoder = Encoder::load(file, kernels).expect("it loads");
            run(&encoder, &[vec![2, 7, 8, 3]], Pooling::Mean)
        });
        assert_eq!(split, fused, "{}", kernels.level);
    }
}
