//! Vectors cut to fewer values as the authors of nomic-embed-text-v1.5 do it: a layer norm of the whole vector first.

use connote::{Embedder, Embedding, Options, Request};
use testkit::architectures;
use testkit::edit::Edit;
use testkit::random::Random;

const WIDTH: usize = 768;
const LAYERS: usize = 12;

/// A file of nomic-embed-text-v1.5's shape. Its branches give nothing, so that it is quick, and the last norm's bias moves
/// the mean of a vector away from 0.
fn nomic(name: &str) -> Vec<u8> {
    let mut random = Random::seeded(15);
    let file = std::fs::read(architectures::path("nomic-bert.gguf")).expect("the tiny model");
    let tiny = Edit::of(&file);
    let vocabulary = tiny.values("token_embd.weight").len() / 32;
    let (width, inner) = (WIDTH as u64, 32);
    let mut edit = tiny
        .key("general.name", name)
        .key("nomic-bert.embedding_length", width as u32)
        .key("nomic-bert.block_count", LAYERS as u32)
        .key("nomic-bert.attention.head_count", 12u32)
        .key("nomic-bert.feed_forward_length", inner as u32)
        .tensor("token_embd.weight", &[width, vocabulary as u64], &random.values(vocabulary * WIDTH, 1.0))
        .tensor("token_types.weight", &[width, 2], &random.values(2 * WIDTH, 0.1));
    let (ones, none) = (vec![1.0; WIDTH], vec![0.0; WIDTH]);
    let bias: Vec<f32> = random.values(WIDTH, 0.2).iter().map(|value| value + 0.7).collect();
    edit = edit.tensor("token_embd_norm.weight", &[width], &ones).tensor(
        "token_embd_norm.bias",
        &[width],
        &none,
    );
    for layer in 0..LAYERS {
        let matrices = [
            ("attn_qkv", WIDTH, 3 * WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_up", WIDTH, inner),
            ("ffn_gate", WIDTH, inner),
            ("ffn_down", inner, WIDTH),
        ];
        for (matrix, inputs, outputs) in matrices {
            let name = format!("blk.{layer}.{matrix}.weight");
            edit = edit.tensor(&name, &[inputs as u64, outputs as u64], &vec![0.0; inputs * outputs]);
        }
        for norm in ["attn_output_norm", "layer_output_norm"] {
            let is_last = layer + 1 == LAYERS && norm == "layer_output_norm";
            let bias = if is_last { &bias } else { &none };
            edit = edit.tensor(&format!("blk.{layer}.{norm}.weight"), &[width], &ones).tensor(
                &format!("blk.{layer}.{norm}.bias"),
                &[width],
                bias,
            );
        }
    }
    edit.bytes()
}

fn vectors(embedder: &Embedder, options: Options) -> Vec<Embedding> {
    let texts = ["a lamp on a tower", "the sea"];
    embedder.embed(Request::new(texts).with(options)).expect("vectors")
}

#[test]
fn nomics_vectors_have_a_layer_norm_before_they_are_cut() {
    let embedder = Embedder::from_bytes(nomic("nomic-embed-text-v1.5")).expect("it opens");
    let known = embedder.model().known().expect("a known model");
    assert!(known.layer_norm_before_cut, "{}", known.name);
    let raw = Options::new().normalize(false);
    let whole = vectors(&embedder, raw.clone());
    for size in [64, 256, 767] {
        for (whole, (cut, unit)) in whole.iter().zip(
            vectors(&embedder, raw.clone().dimensions(size))
                .into_iter()
                .zip(vectors(&embedder, Options::new().dimensions(size))),
        ) {
            // As the model card has it: `layer_norm(v, [768])[:size]`.
            let mean = whole.vector.iter().map(|&value| f64::from(value)).sum::<f64>() / WIDTH as f64;
            let square = |value: &f32| (f64::from(*value) - mean).powi(2);
            let variance = whole.vector.iter().map(square).sum::<f64>() / WIDTH as f64;
            assert!(mean > 0.5, "the norm does something: {mean}");
            assert_eq!((cut.dimensions, cut.vector.len()), (size, size));
            let wanted: Vec<f64> = whole.vector[..size]
                .iter()
                .map(|&value| (f64::from(value) - mean) / (variance + 1e-5).sqrt())
                .collect();
            let length = wanted.iter().map(|value| value * value).sum::<f64>().sqrt();
            for ((got, unit), wanted) in cut.vector.iter().zip(&unit.vector).zip(wanted) {
                assert!((f64::from(*got) - wanted).abs() < 1e-6, "{size}: {got}, not {wanted}");
                assert!((f64::from(*unit) - wanted / length).abs() < 1e-6, "{size}: {unit}, not one long");
            }
        }
    }
    // Nothing is cut off, so nothing is normed: the model as any other.
    assert_eq!(vectors(&embedder, raw.clone().dimensions(WIDTH)), whole);
    let name = |options: &Options| embedder.fingerprint(options).expect("a name");
    let other = Embedder::from_bytes(nomic("nomic-embed-text-v1")).expect("it opens");
    assert_eq!(other.fingerprint(&Options::new()).expect("a name"), name(&Options::new()));
    assert_eq!(name(&Options::new().dimensions(WIDTH)), name(&Options::new()));
    assert_ne!(name(&Options::new().dimensions(64)), name(&Options::new().dimensions(65)));
}
