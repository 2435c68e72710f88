//! Files that lack something, have something more, or hold the same weights otherwise.

use std::fs;

use connote_encoder::{Batch, Encoder, Error, ErrorKind, Pooling, Workspace};
use gguf::{Gguf, TensorType};
use kernels::{Kernels, Level};
use testkit::architectures;
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
    // A pooler that was kept: as wide as the rows, so no outputs of a head.
    let bytes = Edit::of(&tiny::bert(1)).tensor("cls.weight", &[24, 24], &[0.0; 576]).bytes();
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

/// Panels then hold the file's 16 bits, wherever an output lies in its tensor: of Q, K and V joined by heads or blocks, turned
/// in pairs, beside up or among experts.
#[test]
fn floats_of_16_bits_give_the_bits_of_the_same_values_in_32() {
    for (name, bytes) in files() {
        for ty in [TensorType::F16, TensorType::BF16] {
            let edit = Edit::of(&bytes);
            let matrices = edit.matrices();
            let short = matrices.iter().fold(edit, |edit, name| edit.float16(name, ty)).bytes();
            let gguf = Gguf::from_bytes(short.clone()).expect("a valid file");
            let long = matrices.iter().fold(Edit::of(&short), |edit, name| {
                let tensor = gguf.tensor(name).expect("a matrix");
                let values = kernels::decode::values(ty, tensor.bytes()).expect("floats");
                edit.tensor(name, tensor.dims(), &values)
            });
            let files = [short, long.bytes()];
            for kernels in Level::available().filter_map(Kernels::of) {
                let what = format!("{name} as {ty}, {}", kernels.level);
                let [(short, bytes), (long, twice)] = files.each_ref().map(|bytes| {
                    let encoder = load(bytes.clone(), kernels).expect("it loads");
                    let batch: Batch = [&[2, 7, 8, 3][..], &[5]].into_iter().collect();
                    let rows = encoder.forward(&Team::new(1), &batch, Pooling::None, &mut Workspace::new());
                    (rows, encoder.packed_bytes())
                });
                assert!(short.iter().all(|value| value.is_finite()), "{what}");
                assert_eq!(short, long, "{what}");
                // Biases and norms have 32 bits in both.
                let is_half = 10 * bytes < 8 * twice;
                assert_eq!(is_half, kernels.keeps_float16, "{what}: {bytes} of {twice}");
            }
        }
    }
}

/// The tiny models of every architecture.
fn files() -> Vec<(String, Vec<u8>)> {
    let goldens = architectures::all().into_iter().filter(|golden| golden.adapter.is_none());
    goldens
        .map(|golden| (golden.name, fs::read(architectures::path(&golden.file)).expect("a file")))
        .collect()
}

/// Loads, and if that works computes: neither may panic, and an error says where.
fn load_and_run(what: &str, bytes: Vec<u8>) -> Result<(), Error> {
    let encoder = load(bytes, scalar()).inspect_err(|error| {
        assert!(error.to_string().contains(['`', '"']), "{what}: nothing is named: {error}")
    })?;
    let batch: Batch = [&[2, 7, 8, 3][..], &[5]].into_iter().collect();
    let vectors = encoder.forward(&Team::new(1), &batch, Pooling::Mean, &mut Workspace::new());
    assert_eq!(vectors.len(), 2 * encoder.output_dim(), "{what}");
    Ok(())
}

/// Without any one of its tensors a file is refused by that tensor's name, but for those that a model may lack.
#[test]
fn a_tensor_that_is_missing_is_named_in_every_architecture() {
    for (name, bytes) in files() {
        let mut refused = 0;
        for tensor in Gguf::from_bytes(bytes.clone()).expect("a valid file").tensors() {
            let what = format!("{name} without {}", tensor.name());
            let Err(error) = load_and_run(&what, Edit::of(&bytes).without(tensor.name()).bytes()) else {
                continue;
            };
            // A joined tensor that is not there is looked for in its parts.
            let [qkv, up] = [("attn_qkv", "attn_q"), ("ffn_up", "ffn_gate")]
                .map(|(joined, part)| tensor.name().replace(joined, part));
            let names = [tensor.name(), &qkv, &up];
            let shape = error.to_string().contains("has the shape");
            assert!(shape || names.iter().any(|name| error.to_string().contains(name)), "{what}: {error}");
            refused += 1;
        }
        assert!(refused > 10, "{name}: {refused}");
    }
}

/// Keys that are out of all reason.
#[test]
fn no_key_makes_any_architecture_panic() {
    for (name, bytes) in files() {
        let gguf = Gguf::from_bytes(bytes.clone()).expect("a valid file");
        let prefix =
            format!("{}.", gguf.metadata().str("general.architecture").expect("a text").expect("a name"));
        for (key, value) in gguf.metadata().iter().filter(|(key, _)| key.starts_with(&prefix)) {
            let values: Vec<gguf::OwnedValue> = match value {
                gguf::Value::F32(_) => {
                    [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e-38, 1.0, 1e38].map(Into::into).into()
                }
                gguf::Value::Bool(_) => vec![true.into(), false.into(), 7u32.into()],
                gguf::Value::String(_) => vec!["".into(), "something else".into(), 1u32.into()],
                _ => {
                    let mut values: Vec<gguf::OwnedValue> =
                        [0u32, 1, 2, 3, 5, 1 << 24, u32::MAX].map(Into::into).into();
                    values.push(vec![1i32, 2].into());
                    values.push("many".into());
                    values
                }
            };
            for value in values {
                let what = format!("{name} with {key} {value:?}");
                // Positions past those that were learned are a panic that is promised: texts are cut before.
                let _ = load_and_run(&what, Edit::of(&bytes).key(key, value).bytes());
            }
        }
    }
}

/// Keys that other architectures have, and this one's declaration does not read.
#[test]
fn keys_of_other_networks_are_refused_by_name() {
    for (name, bytes) in files() {
        let gguf = Gguf::from_bytes(bytes.clone()).expect("a valid file");
        let prefix = gguf.metadata().str("general.architecture").expect("a text").expect("a name");
        for (key, value) in
            [("attn_logit_softcapping", 30.0f32), ("attention.scale", 0.5), ("residual_scale", 0.2)]
        {
            let key = format!("{prefix}.{key}");
            let error = load_and_run(&name, Edit::of(&bytes).key(&key, value).bytes()).expect_err("an error");
            assert!(error.kind() == ErrorKind::Key && error.to_string().contains(&key), "{error}");
            // As good as absent.
            load_and_run(&name, Edit::of(&bytes).key(&key, 0.0f32).bytes()).expect("it loads");
        }
    }
}

/// Shares that are no numbers must not read as experts that were not picked: the vector says that something is wrong.
#[test]
fn a_router_that_gives_no_numbers_reaches_the_vector() {
    let bytes = fs::read(architectures::path("nomic-bert-moe.gguf")).expect("a committed file");
    let name = "blk.1.ffn_gate_inp.weight";
    let values = Edit::of(&bytes).values(name);
    for level in Level::available() {
        let kernels = Kernels::of(level).expect("it is available");
        let finite = |scale: f32| {
            let values: Vec<f32> = values.iter().map(|value| value.signum() * scale).collect();
            let encoder =
                load(Edit::of(&bytes).tensor(name, &[32, 8], &values).bytes(), kernels).expect("it loads");
            let batch: Batch = [&[5u32, 6, 7][..]].into_iter().collect();
            let rows = encoder.forward(&Team::new(1), &batch, Pooling::Mean, &mut Workspace::new());
            rows.iter().all(|value| value.is_finite())
        };
        assert!(finite(1.0), "{level}");
        // Logits beyond what f32 holds: their softmax is no number.
        assert!(!finite(3e38), "{level}");
    }
}
