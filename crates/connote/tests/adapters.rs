//! Adapters: what is refused, whose words come before a text, and which space the vectors lie in.

use connote::{Embedder, Error, ErrorKind, Input, Model, Options};
use testkit::architectures;
use testkit::edit::Edit;

const BASE: &str = "jina-bert-v3.gguf";
const QUERY: &str = "jina-bert-v3.retrieval.query.gguf";
const MATCHING: &str = "jina-bert-v3.text-matching.gguf";
/// What the query adapter was trained with.
const WORDS: &str = "Represent the query for retrieving evidence documents: ";

fn base() -> Model {
    Model::open(architectures::path(BASE)).expect("the base opens")
}

fn with(adapter: &str) -> Model {
    base().with_adapter(architectures::path(adapter)).expect("the adapter fits")
}

fn edit(adapter: &str) -> Edit {
    Edit::of(&std::fs::read(architectures::path(adapter)).expect("a committed file"))
}

/// The error of an adapter that should be refused.
fn refusal(adapter: Edit) -> Error {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), adapter.bytes()).expect("a temporary file");
    let error = base().with_adapter(file.path()).err().expect("it is refused");
    assert!(error.message().starts_with(&file.path().display().to_string()), "{error}");
    error
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let cut = |edit: &Edit, name: &str, dims: &[u64]| {
        let values = edit.values(name);
        let count = dims.iter().product::<u64>() as usize;
        edit.clone().tensor(name, dims, &values[..count])
    };
    let good = edit(MATCHING);
    let a = "blk.1.ffn_up.weight.lora_a";
    let cases = [
        (good.clone().key("general.type", "model"), "is not an adapter"),
        (good.clone().without("general.type"), "is not an adapter"),
        (good.clone().key("adapter.type", "dora"), "of type `dora`"),
        (good.clone().key("general.architecture", "bert"), "architecture `bert`"),
        (good.clone().key("adapter.lora.alpha", f32::NAN), "alpha` is NaN"),
        (good.clone().without(a), "lacks `blk.1.ffn_up.weight.lora_a`"),
        (good.clone().tensor("blk.0.ffn_up.weight", &[1], &[0.0]), "no `.lora_a`"),
        (
            good.clone().tensor("blk.9.ffn_up.weight.lora_a", &[1, 1], &[0.0]),
            "`blk.9.ffn_up.weight`, which the model does not have",
        ),
        (good.clone().tensor("token_embd_norm.weight.lora_a", &[1, 1], &[0.0]), "which is no matrix"),
        (cut(&good, a, &[32, 1]), "do not fit"),
        (cut(&good, a, &[16, 2]), "do not fit"),
        (
            cut(&cut(&good, a, &[32, 0]), "blk.1.ffn_up.weight.lora_b", &[0, 64]),
            "`blk.1.ffn_up.weight.lora_a` has rank 0",
        ),
        (cut(&good, "token_embd.weight.lora_a", &[2, 7]), "do not fit"),
        (cut(&good, "token_embd.weight.lora_b", &[2, 16]), "do not fit"),
    ];
    for (adapter, words) in cases {
        let error = refusal(adapter);
        assert!(error.message().contains(words), "{error} instead of {words}");
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel, "{error}");
    }
    let twice = with(QUERY).with_adapter(architectures::path(MATCHING)).err().expect("one is enough");
    assert!(twice.message().contains("has the adapter `retrieval.query` already"), "{twice}");
    let alone = Model::open(architectures::path(QUERY)).err().expect("an adapter is no model");
    assert!(alone.message().contains("is an adapter"), "{alone}");
    let missing = base().with_adapter("/nowhere.gguf").err().expect("no file, no adapter");
    assert_eq!(missing.kind(), ErrorKind::ModelFile, "{missing}");
}

#[test]
fn its_words_come_before_what_has_no_other() {
    let (plain, query) = (base(), with(QUERY));
    let ids = |model: &Model, input: Input, options: Options| {
        model.prepare(&input, &options).expect("a text that fits").ids
    };
    let by_hand = ids(&plain, Input::new(format!("{WORDS}a cat")), Options::new());
    assert_eq!(ids(&query, Input::new("a cat"), Options::new()), by_hand);
    // A client that puts them there itself gets them once.
    assert_eq!(ids(&query, Input::new(format!("{WORDS}a cat")), Options::new()), by_hand);
    let bare = ids(&plain, Input::new("a cat"), Options::new());
    assert_eq!(ids(&query, Input::new("a cat").without_task(), Options::new()), bare);
    assert_eq!(ids(&query, Input::new("a cat"), Options::new().prompt("")), bare);
    assert_eq!(ids(&query, Input::new("a cat"), Options::new().without_default_prompt()), bare);
    let own = ids(&plain, Input::new("say: a cat"), Options::new());
    assert_eq!(ids(&query, Input::new("a cat"), Options::new().prompt("say: ")), own);
    // An adapter without words adds none.
    assert_eq!(ids(&with(MATCHING), Input::new("a cat"), Options::new()), bare);
}

#[test]
fn each_adapter_is_a_space_of_its_own() {
    let builder = || Embedder::builder().threads(1);
    let spaces: Vec<_> = [base(), with(QUERY), with(MATCHING)]
        .into_iter()
        .map(|model| builder().load(model).expect("it packs"))
        .map(|embedder| {
            (
                embedder.fingerprint(&Options::new()).expect("a name"),
                embedder.embed_one("a cat").expect("a vector"),
            )
        })
        .collect();
    assert!(spaces[0] != spaces[1] && spaces[1] != spaces[2] && spaces[0] != spaces[2]);
    assert_ne!(spaces[0].0, spaces[1].0);
    assert_ne!(spaces[1].0, spaces[2].0);
    assert_ne!(spaces[0].0, spaces[2].0);
    // The file that is written is the same model.
    let file = base().adapted_file(architectures::path(QUERY)).expect("the adapter fits");
    let written = Model::from_bytes(file).expect("a model");
    assert_eq!(written.adapter(), Some("retrieval.query"));
    let written = builder().load(written).expect("it packs");
    assert_eq!(written.fingerprint(&Options::new()).expect("a name"), spaces[1].0);
    assert_eq!(written.embed_one("a cat").expect("a vector"), spaces[1].1);
}

/// A base of quantised matrices: what changes is F16, what does not stays as it is; the vectors move by the quantisation alone.
#[test]
fn a_quantised_base_changes_by_the_same() {
    let whole = std::fs::read(architectures::path(BASE)).expect("a committed file");
    let names = ["blk.0.ffn_up.weight", "blk.1.attn_output.weight"];
    let small = names.iter().fold(Edit::of(&whole), |edit, name| edit.q8_0(name)).bytes();
    let base = Model::from_bytes(small).expect("a model");
    let adapted = base.with_adapter(architectures::path(MATCHING)).expect("it fits");
    let ty = |name: &str| adapted.gguf().tensor(name).expect("a tensor").ty().name();
    assert_eq!(names.map(ty), ["F16", "F16"]);
    assert_eq!(ty("blk.0.ffn_down.weight"), "F32");
    let vector = |model: Model| {
        let embedder = Embedder::builder().threads(1).load(model).expect("it packs");
        embedder.embed_one("twelve cats sat on a mat").expect("a vector").vector
    };
    let cosine = testkit::oracle::cosine(&vector(adapted), &vector(with(MATCHING)));
    assert!((0.999..0.9999999).contains(&cosine), "{cosine}");
}
