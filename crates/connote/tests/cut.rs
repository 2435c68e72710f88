//! Vectors cut to fewer values as the authors of nomic-embed-text-v1.5 do it: a layer norm of the whole vector first.

use connote::{Embedder, Embedding, LateChunk, Options, Pooling, Request};
use testkit::known::{NOMIC_WIDTH as WIDTH, nomic};

const TEXTS: [&str; 2] = ["a lamp on a tower", "the sea"];

fn known() -> Embedder {
    let embedder = Embedder::from_bytes(nomic("nomic-embed-text-v1.5")).expect("it opens");
    let known = embedder.model().known().expect("a known model");
    assert!(known.layer_norm_before_cut, "{}", known.name);
    embedder
}

fn raw() -> Options {
    Options::new().normalize(false)
}

fn vectors(embedder: &Embedder, options: Options) -> Vec<Embedding> {
    embedder.embed(Request::new(TEXTS).with(options)).expect("vectors")
}

/// As the model card has it: `layer_norm(v, [768])[:size]`, and that with its length made one.
fn assert_cut(whole: &[f32], cut: &[f32], unit: &[f32], size: usize) {
    let mean = whole.iter().map(|&value| f64::from(value)).sum::<f64>() / WIDTH as f64;
    let variance = whole.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / WIDTH as f64;
    assert!(mean > 0.5, "the norm does something: {mean}");
    assert_eq!((whole.len(), cut.len(), unit.len()), (WIDTH, size, size));
    let wanted: Vec<f64> =
        whole[..size].iter().map(|&value| (f64::from(value) - mean) / (variance + 1e-5).sqrt()).collect();
    let length = wanted.iter().map(|value| value * value).sum::<f64>().sqrt();
    for ((got, unit), wanted) in cut.iter().zip(unit).zip(wanted) {
        assert!((f64::from(*got) - wanted).abs() < 1e-6, "{size}: {got}, not {wanted}");
        assert!((f64::from(*unit) - wanted / length).abs() < 1e-6, "{size}: {unit}, not one long");
    }
}

#[test]
fn nomics_vectors_have_a_layer_norm_before_they_are_cut() {
    let embedder = known();
    let whole = vectors(&embedder, raw());
    for size in [64, 256, 767] {
        let cut = vectors(&embedder, raw().dimensions(size));
        let unit = vectors(&embedder, Options::new().dimensions(size));
        for ((whole, cut), unit) in whole.iter().zip(&cut).zip(&unit) {
            assert_eq!(cut.dimensions, size);
            assert_cut(&whole.vector, &cut.vector, &unit.vector, size);
        }
    }
    // Nothing is cut off, so nothing is normed: the model as any other.
    assert_eq!(vectors(&embedder, raw().dimensions(WIDTH)), whole);
}

#[test]
fn rows_of_tokens_have_it_too() {
    let embedder = known().with_pooling(Pooling::None);
    let whole = vectors(&embedder, raw());
    let cut = vectors(&embedder, raw().dimensions(64));
    let unit = vectors(&embedder, Options::new().dimensions(64));
    for ((whole, cut), unit) in whole.iter().zip(&cut).zip(&unit) {
        assert!(whole.rows().len() > 3);
        assert_eq!(cut.rows().len(), whole.rows().len());
        for ((whole, cut), unit) in whole.rows().zip(cut.rows()).zip(unit.rows()) {
            assert_cut(whole, cut, unit, 64);
        }
    }
}

#[test]
fn chunks_have_it_too() {
    let embedder = known();
    let chunks = |options: Options| -> Vec<LateChunk> {
        let given = vec![vec![0..6, 6..TEXTS[0].len()]];
        let request = Request::new([TEXTS[0]]).with(options);
        embedder.embed_late_chunks(request, given).expect("options").remove(0).expect("chunks")
    };
    let vector = |chunk: LateChunk| chunk.embedding.expect("a vector").vector;
    let [whole, cut, unit] = [raw(), raw().dimensions(64), Options::new().dimensions(64)].map(chunks);
    assert_eq!((whole.len(), cut.len(), unit.len()), (2, 2, 2));
    for ((whole, cut), unit) in whole.into_iter().zip(cut).zip(unit) {
        // Of the mean, as of a text's: not of each row that goes into it.
        assert_cut(&vector(whole), &vector(cut), &vector(unit), 64);
    }
}

#[test]
fn their_space_has_a_name_of_its_own() {
    let embedder = known();
    let name = |options: &Options| embedder.fingerprint(options).expect("a name").to_string();
    let other = Embedder::from_bytes(nomic("nomic-embed-text-v1")).expect("it opens");
    assert_eq!(other.fingerprint(&Options::new()).expect("a name").as_str(), name(&Options::new()));
    assert_eq!(name(&Options::new().dimensions(WIDTH)), name(&Options::new()));
    assert_ne!(name(&Options::new().dimensions(64)), name(&Options::new().dimensions(65)));
    // Without the norm's part it would be b22b55ef8e61957a.
    assert_eq!(name(&Options::new().dimensions(64)), "76bb6e49b11cb9f5");
}
