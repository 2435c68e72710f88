//! A sequence has the same bits alone, in any batch, in any order, and in a workspace that saw others.

use connote_encoder::{Batch, Encoder, Pooling, Workspace};
use gguf::Gguf;
use std::sync::OnceLock;

use kernels::{Kernels, Layout, Level};
use proptest::prelude::*;
use testkit::architectures;
use testkit::edit::Edit;
use testkit::random::Random;
use testkit::tiny::{self, GemmaKind, GemmaSize};
use threads::Team;

fn gemmas(seed: u64) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("embedding gemma with heads", tiny::gemma(seed, GemmaKind::WithHeads)),
        ("embedding gemma without heads", tiny::gemma(seed, GemmaKind::WithoutHeads)),
        ("causal gemma", tiny::gemma(seed, GemmaKind::Causal)),
        ("quantised gemma", tiny::quantised(&tiny::gemma_of(seed, GemmaKind::WithHeads, WIDE))),
        ("quantised causal gemma", tiny::quantised(&tiny::gemma_of(seed, GemmaKind::Causal, WIDE))),
    ]
}

fn every_kind(seed: u64) -> Vec<(&'static str, Vec<u8>)> {
    [vec![("bert", tiny::bert(seed))], gemmas(seed)].concat()
}

/// Wide enough for blocks of 32 weights.
const WIDE: GemmaSize = GemmaSize { layers: 7, dim: 32, kv_heads: 2 };

/// Every level, as it is and with quantised weights in bf16, as AMX has them.
fn levels() -> impl Iterator<Item = &'static Kernels> {
    static ROWS: OnceLock<Vec<Kernels>> = OnceLock::new();
    let rows = || {
        let rows = Level::available().flat_map(Kernels::all_of);
        rows.flat_map(|row| [**row, row.quantised_as(Layout::Bf16)]).collect()
    };
    ROWS.get_or_init(rows).iter()
}

fn load(bytes: &[u8], kernels: &'static Kernels) -> Encoder {
    Encoder::load(&Gguf::from_bytes(bytes.to_vec()).expect("a valid file"), kernels, &Team::new(1))
        .expect("it loads")
}

fn ids(random: &mut Random, count: usize, vocabulary: usize) -> Vec<u32> {
    (0..count).map(|_| random.below(vocabulary) as u32).collect()
}

/// The bits of all values: 0 and -0 are not the same.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn run(encoder: &Encoder, sequences: &[Vec<u32>], pooling: Pooling, workspace: &mut Workspace) -> Vec<u32> {
    let batch: Batch = sequences.iter().map(Vec::as_slice).collect();
    bits(&encoder.forward(&Team::new(1), &batch, pooling, workspace))
}

fn bits_do_not_depend_on_the_batch(
    models: &[(&str, Vec<u8>)],
    lengths: &[usize],
    seed: u64,
    pooling: Pooling,
) -> Result<(), TestCaseError> {
    let mut random = Random::seeded(seed);
    for (name, bytes) in models {
        for kernels in levels() {
            let encoder = load(bytes, kernels);
            let what = format!("{name} {}", kernels.level);
            let sequences: Vec<Vec<u32>> =
                lengths.iter().map(|&n| ids(&mut random, n, encoder.vocabulary())).collect();
            let one = |sequence: &Vec<u32>| {
                run(&encoder, std::slice::from_ref(sequence), pooling, &mut Workspace::new())
            };
            let alone: Vec<Vec<u32>> = sequences.iter().map(one).collect();
            let mut workspace = Workspace::new();
            let together = run(&encoder, &sequences, pooling, &mut workspace);
            prop_assert_eq!(&together, &alone.concat(), "{}", what);
            let reversed: Vec<Vec<u32>> = sequences.iter().rev().cloned().collect();
            let alone: Vec<u32> = alone.into_iter().rev().flatten().collect();
            prop_assert_eq!(run(&encoder, &reversed, pooling, &mut workspace), alone, "{} reversed", what);
        }
    }
    Ok(())
}

/// A weight of zero makes zeros of either sign in the rows; a mean of one row is a sum of one all the same.
#[test]
fn zeros_have_the_same_sign_alone_and_in_a_batch() {
    let edit = Edit::of(&tiny::gemma(3, GemmaKind::WithoutHeads));
    let mut weights = edit.values("output_norm.weight");
    weights[3] = 0.0;
    let length = weights.len() as u64;
    let encoder = load(
        &edit.tensor("output_norm.weight", &[length], &weights).bytes(),
        levels().next().expect("a level"),
    );
    let mut workspace = Workspace::new();
    for id in 0..50 {
        let alone = run(&encoder, &[vec![id]], Pooling::Mean, &mut workspace);
        let among = run(&encoder, &[vec![id], vec![5, 6]], Pooling::Mean, &mut workspace);
        assert_eq!(alone, among[..alone.len()], "{id}");
    }
}

/// CLS and last pooling compute only the rows they need in the last layer: the bits are those of that row
/// among all.
#[test]
fn the_one_row_that_pooling_takes_has_the_bits_it_has_among_all() {
    let mut random = Random::seeded(21);
    for (name, bytes) in every_kind(5) {
        for kernels in levels() {
            let encoder = load(&bytes, kernels);
            let sequences: Vec<Vec<u32>> =
                [3, 1, 40, 7, 33].iter().map(|&n| ids(&mut random, n, encoder.vocabulary())).collect();
            let mut workspace = Workspace::new();
            let rows = run(&encoder, &sequences, Pooling::None, &mut workspace);
            let rows: Vec<&[u32]> = rows.chunks_exact(encoder.output_dim()).collect();
            let (mut first, mut last, mut start) = (Vec::new(), Vec::new(), 0);
            for sequence in &sequences {
                first.extend_from_slice(rows[start]);
                start += sequence.len();
                last.extend_from_slice(rows[start - 1]);
            }
            let what = format!("{name} {}", kernels.level);
            assert_eq!(run(&encoder, &sequences, Pooling::Cls, &mut workspace), first, "{what}: cls");
            assert_eq!(run(&encoder, &sequences, Pooling::Last, &mut workspace), last, "{what}: last");
        }
    }
}

/// And it costs less: the last layer's products are nearly all saved.
#[test]
fn pooling_one_row_saves_the_last_layers_products() {
    let encoder = load(&tiny::bert(1), levels().next().expect("a level"));
    let sequence = [(0..40).map(|id| id % 20).collect::<Vec<u32>>()];
    let macs = |pooling| {
        let mut workspace = Workspace::new();
        workspace.profile().start();
        run(&encoder, &sequence, pooling, &mut workspace);
        workspace.profile().macs()
    };
    let whole = macs(Pooling::Mean);
    assert_eq!(whole, 40 * encoder.macs_a_token());
    // Of two layers the last computes keys and values of all rows (and here queries, which share their panel),
    // and the rest of one.
    assert!(macs(Pooling::Cls) < whole * 3 / 4, "{} of {whole}", macs(Pooling::Cls));
}

/// All threads on one batch, its products cut by panels and rows.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let mut random = Random::seeded(22);
    for (name, bytes) in every_kind(6) {
        for kernels in levels() {
            let encoder = load(&bytes, kernels);
            let lengths: &[usize] = if name == "bert" { &[40, 3, 48] } else { &[130, 3, 600] };
            let sequences: Vec<Vec<u32>> =
                lengths.iter().map(|&n| ids(&mut random, n, encoder.vocabulary())).collect();
            for pooling in [Pooling::Mean, Pooling::Last] {
                let alone = run(&encoder, &sequences, pooling, &mut Workspace::new());
                for threads in [2, 3, 7] {
                    let batch: Batch = sequences.iter().map(Vec::as_slice).collect();
                    let mut workspace = Workspace::new();
                    let got = encoder.forward(&Team::new(threads), &batch, pooling, &mut workspace);
                    assert_eq!(bits(&got), alone, "{name} {} {threads} threads", kernels.level);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_short_sequence_has_the_same_bits_in_any_batch(
        lengths in prop::collection::vec(1usize..40, 1..7),
        seed in 0u64..1000,
        pooling in prop::sample::select(Pooling::ALL.to_vec()),
    ) {
        bits_do_not_depend_on_the_batch(&every_kind(7), &lengths, seed, pooling)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Longer than a block of queries, so that blocks of one sequence see different keys; among short ones.
    #[test]
    fn a_long_sequence_has_the_same_bits_in_any_batch(
        long in prop::collection::vec(64usize..200, 1..4),
        short in prop::collection::vec(1usize..64, 0..3),
        seed in 0u64..1000,
        pooling in prop::sample::select(Pooling::ALL.to_vec()),
    ) {
        let lengths = [short, long].concat();
        bits_do_not_depend_on_the_batch(&gemmas(8), &lengths, seed, pooling)?;
    }
}

/// More tokens than a feed-forward pass takes at a time: the cut falls inside a sequence.
#[test]
fn a_batch_longer_than_a_block_of_rows_has_the_same_bits() {
    let lengths = [200, 3, 199, 64, 1, 65, 130];
    bits_do_not_depend_on_the_batch(&gemmas(9), &lengths, 14, Pooling::None).expect("equal bits");
}

/// A workspace that has seen longer and other batches gives the same bits as a new one.
#[test]
fn a_used_workspace_leaves_no_trace() {
    let mut random = Random::seeded(13);
    // One workspace for models of other sizes, and of other rotations under one name.
    let mut used = Workspace::new();
    let gemma = tiny::gemma(3, GemmaKind::WithHeads);
    let turned = Edit::of(&gemma).key("gemma-embedding.rope.freq_base_swa", 50.0f32).bytes();
    for (name, bytes) in every_kind(3).into_iter().chain([("turned", turned), ("not turned", gemma)]) {
        let encoder = load(&bytes, levels().last().expect("a level"));
        for length in [40, 3, 48, 1, 17] {
            let sequence = [ids(&mut random, length, encoder.vocabulary())];
            let fresh = run(&encoder, &sequence, Pooling::Mean, &mut Workspace::new());
            assert_eq!(run(&encoder, &sequence, Pooling::Mean, &mut used), fresh, "{name}");
        }
    }
}

/// Every architecture, in floats and quantised: experts, distances, windows and norms of every kind.
#[test]
fn every_architecture_has_the_same_bits_in_any_batch() {
    let mut quantised = 0;
    for golden in architectures::all().into_iter().filter(|golden| golden.adapter.is_none()) {
        let bytes = std::fs::read(architectures::path(&golden.file)).expect("a file");
        let mut models = vec![(golden.name.as_str(), bytes.clone())];
        // Rows of some are no whole blocks.
        if !Edit::of(&bytes).quantisable().is_empty() {
            models.push((golden.name.as_str(), tiny::quantised(&bytes)));
            quantised += 1;
        }
        for pooling in [Pooling::None, Pooling::Cls, Pooling::Last] {
            bits_do_not_depend_on_the_batch(&models, &[5, 1, 70, 33], 23, pooling).expect("equal bits");
        }
        for (name, bytes) in &models {
            for kernels in levels() {
                let encoder = load(bytes, kernels);
                let sequences = [ids(&mut Random::seeded(4), 130, encoder.vocabulary())];
                let alone = run(&encoder, &sequences, Pooling::None, &mut Workspace::new());
                let batch: Batch = sequences.iter().map(Vec::as_slice).collect();
                let got = encoder.forward(&Team::new(3), &batch, Pooling::None, &mut Workspace::new());
                assert_eq!(bits(&got), alone, "{name} {} three threads", kernels.level);
            }
        }
    }
    assert!(quantised > 20, "{quantised} models were quantised");
}
