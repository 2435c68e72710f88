//! Tiny random models of every architecture against the naive forward pass in f64, at every CPU level.

use connote_encoder::{Batch, Encoder, Mask, Pooling, Workspace};
use gguf::Gguf;
use kernels::{Kernels, Layout, Level};
use testkit::edit::Edit;
use testkit::random::Random;
use testkit::tiny::{self, GemmaKind, GemmaSize};
use testkit::{naive, oracle};
use threads::Team;

/// Around the window of 6, a panel of 32 keys, and a block of 48 queries; many blocks; more rows than the
/// feed-forward pass takes at a time.
const LENGTHS: [usize; 11] = [1, 2, 7, 8, 31, 33, 47, 48, 49, 150, 600];

fn levels() -> impl Iterator<Item = &'static Kernels> {
    Level::available().filter_map(Kernels::of)
}

fn ids(random: &mut Random, count: usize, vocabulary: usize) -> Vec<u32> {
    (0..count).map(|_| random.below(vocabulary) as u32).collect()
}

fn run(encoder: &Encoder, sequence: &[u32], pooling: Pooling) -> Vec<f32> {
    let batch: Batch = [sequence].into_iter().collect();
    encoder.forward(&Team::new(1), &batch, pooling, &mut Workspace::new())
}

/// Every row of every length at every level.
fn assert_agrees(name: &str, bytes: &[u8], lengths: &[usize]) {
    let gguf = Gguf::from_bytes(bytes.to_vec()).expect("a valid file");
    let encoders: Vec<(Level, Encoder)> = levels()
        .map(|kernels| (kernels.level, Encoder::load(&gguf, kernels, &Team::new(1)).expect("it loads")))
        .collect();
    let mut random = Random::seeded(11);
    for &length in lengths {
        let sequence = ids(&mut random, length, encoders[0].1.vocabulary());
        let rows = naive::rows(&gguf, &sequence);
        let mean = naive::project(&gguf, naive::mean(&rows));
        let rows: Vec<Vec<f32>> = rows.into_iter().map(|row| naive::project(&gguf, row)).collect();
        for (level, encoder) in &encoders {
            let what = format!("{name}, {length} tokens, {level}");
            assert_eq!(encoder.unread_tensors(), &[] as &[String], "{what}");
            let got = run(encoder, &sequence, Pooling::None);
            assert_eq!(got.len(), length * encoder.output_dim(), "{what}");
            for (i, (got, wanted)) in got.chunks(encoder.output_dim()).zip(&rows).enumerate() {
                let largest = wanted.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                for (got, wanted) in got.iter().zip(wanted) {
                    let error = (got - wanted).abs() / largest;
                    assert!(error < 1e-4, "{what}: row {i}: {got} {wanted}, {error:e} of the largest");
                }
            }
            let got = run(encoder, &sequence, Pooling::Mean);
            assert!(oracle::cosine(&got, &mean) > 0.999_999_9, "{what}: mean");
        }
    }
}

#[test]
fn bert_agrees_with_the_naive_forward_pass() {
    for seed in 0..3 {
        let bytes = tiny::bert(seed);
        assert_agrees("bert", &bytes, &LENGTHS[..5]);
        assert_agrees("bert to its end", &tiny::sharpened(&bytes, 4.0), &[2, 48]);
        let positions = Random::seeded(seed).values(24 * 600, 0.5);
        let long = Edit::of(&bytes).key("bert.context_length", 600u32);
        let long = long.tensor("position_embd.weight", &[24, 600], &positions).bytes();
        assert_agrees("bert of 600 positions", &tiny::sharpened(&long, 4.0), &LENGTHS);
    }
}

#[test]
fn embedding_gemma_agrees_with_the_naive_forward_pass() {
    for seed in 0..2 {
        let bytes = tiny::gemma(seed, GemmaKind::WithHeads);
        assert_agrees("embedding gemma with heads", &bytes, &LENGTHS);
        assert_agrees("embedding gemma with heads, sharp", &tiny::sharpened(&bytes, 3.0), &LENGTHS);
        let bytes = tiny::gemma(seed, GemmaKind::WithoutHeads);
        assert_agrees("embedding gemma without heads", &tiny::sharpened(&bytes, 3.0), &LENGTHS);
    }
}

#[test]
fn causal_gemma_agrees_with_the_naive_forward_pass() {
    for seed in 0..2 {
        let bytes = tiny::gemma(seed, GemmaKind::Causal);
        assert_agrees("causal gemma", &bytes, &LENGTHS);
        assert_agrees("causal gemma, sharp", &tiny::sharpened(&bytes, 3.0), &LENGTHS);
    }
}

/// Windows narrower and wider than panels and blocks of queries, odd ones, and one that hides nothing.
#[test]
fn windows_of_any_width_agree() {
    for width in [1u32, 2, 5, 7, 16, 33, 64, 100, 1000] {
        for (architecture, kind) in
            [("gemma-embedding", GemmaKind::WithoutHeads), ("gemma3", GemmaKind::Causal)]
        {
            let edit = Edit::of(&tiny::gemma(3, kind));
            let bytes = edit.key(&format!("{architecture}.attention.sliding_window"), width).bytes();
            let name = format!("{architecture} with a window of {width}");
            assert_agrees(&name, &tiny::sharpened(&bytes, 3.0), &[7, 65, 150]);
        }
    }
}

#[test]
fn masks_show_what_they_say() {
    for length in [1, 2, 6, 7, 13] {
        for width in [1, 2, 3, 6, 7, 12, 1 << 24] {
            for query in 0..length {
                let sees = |mask: Mask| -> Vec<usize> { mask.visible(query, length).collect() };
                let those = |show: &dyn Fn(usize) -> bool| -> Vec<usize> {
                    (0..length).filter(|&key| show(key)).collect()
                };
                assert_eq!(sees(Mask::Full), those(&|_| true));
                assert_eq!(sees(Mask::Causal), those(&|key| key <= query));
                let near = those(&|key| key.abs_diff(query) <= width / 2);
                assert_eq!(sees(Mask::SymmetricWindow { width }), near, "{width} at {query} of {length}");
                let before = those(&|key| key <= query && query - key < width);
                assert_eq!(sees(Mask::CausalWindow { width }), before, "{width} at {query} of {length}");
            }
        }
    }
}

#[test]
fn pooling_takes_the_rows_it_names() {
    let gguf = Gguf::from_bytes(tiny::bert(1)).expect("a valid file");
    let encoder = Encoder::load(&gguf, levels().last().expect("a level"), &Team::new(1)).expect("it loads");
    let sequence = [2, 5, 9, 3];
    let all = run(&encoder, &sequence, Pooling::None);
    let dim = encoder.output_dim();
    assert_eq!(all.len(), 4 * dim);
    assert_eq!(run(&encoder, &sequence, Pooling::Cls), all[..dim]);
    assert_eq!(run(&encoder, &sequence, Pooling::Last), all[3 * dim..]);
    let mean = run(&encoder, &sequence, Pooling::Mean);
    for (i, value) in mean.iter().enumerate() {
        let wanted = (0..4).map(|row| f64::from(all[row * dim + i])).sum::<f64>() / 4.0;
        assert_eq!(*value, wanted as f32);
    }
}

/// Quantised and float matrices in one model, in each layout that a level may want: as near the naive pass over
/// the decoded weights as the layout's bits allow.
#[test]
fn quantised_models_agree_with_the_naive_forward_pass() {
    let size = GemmaSize { layers: 7, dim: 32, kv_heads: 2 };
    let team = Team::new(1);
    let mut random = Random::seeded(17);
    for kind in [GemmaKind::WithHeads, GemmaKind::Causal] {
        let bytes = tiny::quantised(&tiny::gemma_of(2, kind, size));
        let gguf = Gguf::from_bytes(bytes).expect("a valid file");
        for row in levels() {
            for (layout, least) in [(Layout::F32, 0.999_999_9), (Layout::I16, 0.999_9), (Layout::Bf16, 0.995)]
            {
                let kernels = Box::leak(Box::new(row.quantised_as(layout)));
                let encoder = Encoder::load(&gguf, kernels, &team).expect("it loads");
                let what = format!("{kind:?} {} {}", row.level, layout.name());
                // The down projection's 36 inputs are no whole block, so it stays in floats.
                let layouts: Vec<Layout> = encoder.layouts().into_iter().map(|(layout, _)| layout).collect();
                let both = layouts.contains(&layout) && layouts.contains(&Layout::F32);
                assert!(both, "{what}: {layouts:?}");
                for length in [1, 7, 50, 130] {
                    let sequence = ids(&mut random, length, encoder.vocabulary());
                    let rows = naive::rows(&gguf, &sequence);
                    let got = run(&encoder, &sequence, Pooling::None);
                    for (got, wanted) in got.chunks(encoder.output_dim()).zip(rows) {
                        let cosine = oracle::cosine(got, &naive::project(&gguf, wanted));
                        assert!(cosine > least, "{what}, {length} tokens: {cosine}");
                    }
                }
            }
        }
    }
}
