//! Every key that a declaration reads changes the network as the naive forward pass says, at every CPU
//! level: as stated, and by its default when it is absent.

use connote_encoder::{Batch, Encoder, ErrorKind, Pooling, Workspace};
use gguf::Gguf;
use kernels::{Kernels, Level};
use testkit::edit::Edit;
use testkit::random::Random;
use testkit::tiny::{self, GemmaKind, GemmaSize};
use testkit::{naive, oracle};
use threads::Team;

const TOKENS: usize = 75;

fn levels() -> impl Iterator<Item = &'static Kernels> {
    Level::available().filter_map(Kernels::of)
}

fn open(bytes: &[u8]) -> Gguf {
    Gguf::from_bytes(bytes.to_vec()).expect("a valid file")
}

fn ids(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut random = Random::seeded(41);
    (0..count).map(|_| random.below(vocabulary) as u32).collect()
}

/// Every row of a model, which must agree with the naive pass at every level.
fn rows(name: &str, bytes: &[u8]) -> Vec<f32> {
    let gguf = open(bytes);
    let mut all = Vec::new();
    let mut wanted = Vec::new();
    for kernels in levels() {
        let encoder =
            Encoder::load(&gguf, kernels, &Team::new(1)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sequence = ids(TOKENS.min(encoder.config().context_length), encoder.vocabulary());
        if wanted.is_empty() {
            wanted = naive::rows(&gguf, &sequence).into_iter().flatten().map(|v| v as f32).collect();
        }
        let batch: Batch = [sequence.as_slice()].into_iter().collect();
        all = encoder.forward(&Team::new(1), &batch, Pooling::None, &mut Workspace::new());
        assert_eq!(all.len(), wanted.len(), "{name}");
        // Sharp attention makes more of f32's rounding (about 1e-4 at worst); a wrong key is far above.
        let dim = encoder.output_dim();
        for (i, (got, wanted)) in all.chunks(dim).zip(wanted.chunks(dim)).enumerate() {
            let cosine = oracle::cosine(got, wanted);
            assert!(cosine > 0.999_999, "{name}, {}: row {i}: cosine {cosine}", kernels.level);
        }
        let cosine = oracle::cosine(&all, &wanted);
        assert!(cosine > 0.999_999_9, "{name}, {}: cosine {cosine}", kernels.level);
    }
    all
}

/// The edited model agrees with the naive pass, and is another model: the key is not without effect.
fn assert_changes(name: &str, before: &[u8], edited: Edit) {
    let after = edited.bytes();
    let (before, after) = (rows(name, before), rows(name, &after));
    assert_eq!(before.len(), after.len(), "{name}");
    let cosine = oracle::cosine(&before, &after);
    assert!(cosine < 0.999, "{name}: the key changes nothing that this test would see ({cosine})");
}

/// The edited model agrees with the naive pass, and gives the bits of the model before.
fn assert_keeps(name: &str, before: &[u8], edited: Edit) {
    assert_eq!(rows(name, before), rows(name, &edited.bytes()), "{name}");
}

/// Both Gemma architectures: the prefix of their keys, and a tiny model with sharp attention.
fn gemmas(size: GemmaSize) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    [("gemma-embedding", GemmaKind::WithoutHeads), ("gemma3", GemmaKind::Causal)]
        .into_iter()
        .map(move |(prefix, kind)| (prefix, tiny::sharpened(&tiny::gemma_of(5, kind, size), 3.0)))
}

#[test]
fn bases_of_rotation() {
    for (a, bytes) in gemmas(GemmaSize::default()) {
        let key = |key: &str, value: f32| Edit::of(&bytes).key(&format!("{a}.{key}"), value);
        assert_changes("global base", &bytes, key("rope.freq_base", 30.0));
        assert_changes("local base", &bytes, key("rope.freq_base_swa", 30.0));
        assert_keeps("the default local base", &bytes, key("rope.freq_base_swa", 10_000.0));
        let without = Edit::of(&bytes).without(&format!("{a}.rope.freq_base"));
        assert_keeps("the default global base", &bytes, without);
    }
}

#[test]
fn stretched_positions() {
    for (a, bytes) in gemmas(GemmaSize::default()) {
        let factor = |factor: f32| Edit::of(&bytes).key(&format!("{a}.rope.scaling.factor"), factor);
        let kind = |edit: Edit, kind: &str| edit.key(&format!("{a}.rope.scaling.type"), kind);
        assert_changes("a factor", &bytes, factor(8.0));
        assert_changes("a linear factor", &bytes, kind(factor(8.0), "linear"));
        assert_keeps("a linear factor is the default", &factor(8.0).bytes(), kind(factor(8.0), "linear"));
        assert_keeps("a factor of 1", &bytes, factor(1.0));
        assert_keeps("a factor of 0 is none", &bytes, factor(0.0));
        let older = Edit::of(&bytes).key(&format!("{a}.rope.scale_linear"), 8.0f32);
        assert_keeps("the factor by its older name", &factor(8.0).bytes(), older.clone());
        let both = older.key(&format!("{a}.rope.scaling.factor"), 2.0f32);
        assert_keeps("the newer name wins", &factor(2.0).bytes(), both);
        assert_keeps("a factor that is turned off", &bytes, kind(factor(8.0), "none"));
        assert_keeps("linear without a factor", &bytes, kind(Edit::of(&bytes), "linear"));
        // Layers with a window are not stretched.
        let pattern = |edit: Edit| edit.key(&format!("{a}.attention.sliding_window_pattern"), 0u32);
        let windowed = pattern(Edit::of(&bytes)).bytes();
        assert_keeps("a factor without global layers", &windowed, pattern(factor(8.0)));
    }
}

#[test]
fn patterns_of_windows() {
    for (a, bytes) in gemmas(GemmaSize::default()) {
        let key = format!("{a}.attention.sliding_window_pattern");
        let edit = || Edit::of(&bytes);
        let flags = vec![true, false, true, true, false, false, true];
        assert_changes("a list of flags", &bytes, edit().key(&key, flags.clone()));
        let as_flags = edit().key(&key, flags.clone()).bytes();
        let numbers: Vec<i32> = flags.iter().map(|&flag| flag.into()).collect();
        assert_keeps("a list of numbers", &as_flags, edit().key(&key, numbers));
        // A list that no period gives: it is not read as one.
        let mirrored: Vec<bool> = flags.iter().map(|flag| !flag).collect();
        assert_changes("the other way round", &as_flags, edit().key(&key, mirrored));
        for period in [0u32, 1, 2, 3, 7, 8] {
            let name = format!("a period of {period}");
            if period == 8 {
                // No layer of 7 is the eighth.
                let all_windowed = edit().key(&key, 0u32).bytes();
                assert_keeps(&name, &all_windowed, edit().key(&key, period));
            } else {
                assert_changes(&name, &bytes, edit().key(&key, period));
            }
        }
        assert_keeps("the default period", &bytes, edit().key(&key, 6u32));
    }
}

#[test]
fn widths_of_windows() {
    for (a, bytes) in gemmas(GemmaSize::default()) {
        let key = format!("{a}.attention.sliding_window");
        for width in [1u32, 3, 20, 1000] {
            assert_changes(&format!("{a}, a window of {width}"), &bytes, Edit::of(&bytes).key(&key, width));
        }
    }
    // A symmetric window reaches half its width, rounded down, on either side.
    let (a, bytes) = gemmas(GemmaSize::default()).next().expect("gemma-embedding");
    assert_keeps("7 is as 6", &bytes, Edit::of(&bytes).key(&format!("{a}.attention.sliding_window"), 7u32));
    // A causal model without a window sees everything before; its layers still turn by two bases.
    let (a, bytes) = gemmas(GemmaSize::default()).last().expect("gemma3");
    let key = format!("{a}.attention.sliding_window");
    assert_changes("7 is more than 6", &bytes, Edit::of(&bytes).key(&key, 7u32));
    assert_changes("no window", &bytes, Edit::of(&bytes).without(&key));
    let none = Edit::of(&bytes).without(&key).bytes();
    assert_keeps("a window of 0 is none", &none, Edit::of(&bytes).key(&key, 0u32));
}

#[test]
fn heads_that_turn_in_part() {
    for (a, bytes) in gemmas(GemmaSize::default()) {
        let key = format!("{a}.rope.dimension_count");
        for dims in [2u32, 4, 6] {
            assert_changes(&format!("{dims} of 8"), &bytes, Edit::of(&bytes).key(&key, dims));
        }
        assert_keeps("all is the default", &bytes, Edit::of(&bytes).key(&key, 8u32));
    }
}

#[test]
fn widths_and_counts_of_heads() {
    for (a, bytes) in gemmas(GemmaSize { dim: 32, ..GemmaSize::default() }) {
        let without = |key: &str| Edit::of(&bytes).without(&format!("{a}.attention.{key}"));
        assert_keeps("a head's width is its share of a row", &bytes, without("key_length"));
        assert_keeps("values are as wide as keys", &bytes, without("value_length"));
        let neither = without("key_length").without(&format!("{a}.attention.value_length"));
        assert_keeps("neither stated", &bytes, neither);
    }
    for kv_heads in [1, 2, 4] {
        for (_, bytes) in gemmas(GemmaSize { kv_heads, ..GemmaSize::default() }) {
            rows(&format!("{kv_heads} key heads"), &bytes);
        }
    }
    for (a, bytes) in gemmas(GemmaSize { kv_heads: 4, ..GemmaSize::default() }) {
        let without = Edit::of(&bytes).without(&format!("{a}.attention.head_count_kv"));
        assert_keeps("as many key heads as query heads", &bytes, without);
    }
}

/// The 27B model scales its scores by the width per head of a row: here 20 / 4, where a head has 8.
#[test]
fn scores_of_a_model_of_62_layers() {
    for layers in [61, 62, 63] {
        for (a, bytes) in gemmas(GemmaSize { layers, ..GemmaSize::default() }) {
            rows(&format!("{a} of {layers} layers"), &bytes);
            let encoder = Encoder::load(&open(&bytes), levels().last().expect("a level"), &Team::new(1))
                .expect("it loads");
            let width = if layers == 62 { 5.0f32 } else { 8.0 };
            assert_eq!(encoder.config().attention_scale, 1.0 / width.sqrt(), "{a} of {layers} layers");
        }
    }
}

#[test]
fn epsilons() {
    for (a, bytes) in gemmas(GemmaSize::default()) {
        let key = format!("{a}.attention.layer_norm_rms_epsilon");
        assert_changes("RMS epsilon", &bytes, Edit::of(&bytes).key(&key, 0.5f32));
    }
    let bytes = tiny::sharpened(&tiny::bert(5), 4.0);
    let key = "bert.attention.layer_norm_epsilon";
    assert_changes("epsilon", &bytes, Edit::of(&bytes).key(key, 0.5f32));
}

#[test]
fn a_causal_bert() {
    let bytes = tiny::sharpened(&tiny::bert(5), 4.0);
    let key = "bert.attention.causal";
    assert_changes("causal", &bytes, Edit::of(&bytes).key(key, true));
    assert_keeps("absent is not causal", &bytes, Edit::of(&bytes).without(key));
}

#[test]
fn keys_that_make_no_sense_are_refused_by_name() {
    let refused = |key: &str, edit: Edit| {
        let error =
            match Encoder::load(&open(&edit.bytes()), levels().next().expect("a level"), &Team::new(1)) {
                Ok(_) => panic!("a file with a wrong {key} loaded"),
                Err(error) => error,
            };
        assert_eq!(error.kind(), ErrorKind::Key, "{key}: {error}");
        error.to_string()
    };
    for (a, bytes) in gemmas(GemmaSize::default()) {
        let names = |key: &str, error: String| assert!(error.contains(key), "{key}: {error}");
        let edit = |key: &str, value: gguf::OwnedValue| {
            let key = format!("{a}.{key}");
            names(&key, refused(&key, Edit::of(&bytes).key(&key, value)));
        };
        edit("attention.sliding_window_pattern", vec![true; 6].into());
        edit("attention.sliding_window_pattern", vec![1i32; 8].into());
        edit("attention.sliding_window_pattern", vec!["a"; 7].into());
        edit("rope.scaling.type", "yarn".into());
        edit("attention.value_length", 4u32.into());
        edit("attention.key_length_swa", 4u32.into());
        edit("attention.value_length_swa", 4u32.into());
        edit("rope.dimension_count_swa", 4u32.into());
        if a == "gemma3" {
            edit("attention.causal", false.into());
        }
        for factor in [-1.0, f32::NAN, f32::INFINITY] {
            edit("rope.scaling.factor", factor.into());
            edit("rope.freq_base", factor.into());
            edit("rope.freq_base_swa", factor.into());
        }
        for size in [0u32, 1 << 25] {
            edit("attention.key_length", size.into());
            edit("attention.head_count", size.into());
            edit("attention.head_count_kv", size.into());
            edit("rope.dimension_count", size.into());
            edit("block_count", size.into());
        }
        for dims in [3u32, 10] {
            let wrong = Edit::of(&bytes).key(&format!("{a}.rope.dimension_count"), dims);
            names(&format!("RoPE over {dims} of 8"), refused("rope.dimension_count", wrong));
        }
        let wrong = Edit::of(&bytes).key(&format!("{a}.attention.head_count_kv"), 3u32);
        names("3 key heads", refused("attention.head_count_kv", wrong));
    }
    let heads = Edit::of(&tiny::bert(1)).key("bert.attention.head_count", 5u32);
    assert!(refused("heads", heads).contains("bert.attention.head_count"));
}
