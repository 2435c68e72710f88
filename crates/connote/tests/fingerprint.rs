//! The fingerprint: everything that moves vectors has a part in it, and nothing else.

use std::num::NonZeroU32;

use connote::gguf::OwnedValue;
use connote::{Embedder, Input, Model, Norm, Options, Pooling, Task, Truncation};
use testkit::edit::Edit;
use testkit::models;
use testkit::tiny::{self, GemmaKind};

fn name_of(bytes: Vec<u8>, options: &Options) -> String {
    let model = Model::from_bytes(bytes).expect("it opens");
    let embedder = Embedder::builder().pooling(Pooling::Mean).load(model).expect("it loads");
    embedder.fingerprint(options).expect("a name").to_string()
}

#[test]
fn every_key_of_the_network_and_the_tokenizer_counts() {
    let bert = tiny::bert(1);
    let gemma = tiny::gemma(1, GemmaKind::WithHeads);
    let plain = Options::new();
    for (file, key, value) in [
        (&bert, "bert.attention.head_count", OwnedValue::from(4u32)),
        (&bert, "bert.attention.causal", true.into()),
        (&bert, "bert.attention.layer_norm_epsilon", 0.1f32.into()),
        (&gemma, "gemma-embedding.attention.sliding_window", 4u32.into()),
        (&gemma, "gemma-embedding.attention.sliding_window_pattern", 2u32.into()),
        (&gemma, "gemma-embedding.rope.freq_base", 5000f32.into()),
        (&gemma, "gemma-embedding.rope.freq_base_swa", 5000f32.into()),
        (&gemma, "gemma-embedding.rope.scaling.factor", 2f32.into()),
        (&gemma, "gemma-embedding.rope.dimension_count", 4u32.into()),
        (&gemma, "gemma-embedding.attention.layer_norm_rms_epsilon", 0.1f32.into()),
        (&gemma, "tokenizer.ggml.add_eos_token", false.into()),
        (&gemma, "tokenizer.ggml.add_space_prefix", true.into()),
    ] {
        let changed = Edit::of(file).key(key, value).bytes();
        assert_ne!(name_of(changed, &plain), name_of(file.clone(), &plain), "{key}");
    }
}

#[test]
fn what_moves_no_vector_does_not_count() {
    let gemma = tiny::gemma(1, GemmaKind::WithHeads);
    let plain = Options::new();
    let name = name_of(gemma.clone(), &plain);
    let edit = || Edit::of(&gemma);
    for (what, changed) in [
        ("the name", edit().key("general.name", "another")),
        ("a chat template", edit().key("tokenizer.chat_template", "{{ messages }}")),
        // Dropped: the architecture's own, and the same.
        ("pooling as assumed", edit().without("gemma-embedding.pooling_type")),
        ("another width", edit().key("gemma-embedding.block_count", 7u64)),
        ("a limit", edit().key("gemma-embedding.context_length", 32u32)),
        (
            "another place in the file",
            edit().without("tokenizer.ggml.bos_token_id").key("tokenizer.ggml.bos_token_id", 2u32),
        ),
    ] {
        assert_eq!(name_of(changed.bytes(), &plain), name, "{what}");
    }
}

#[test]
fn options_pooling_weights_and_heads_count() {
    let cache = tempfile::tempdir().expect("a folder");
    let builder = || Embedder::builder().cache_dir(cache.path());
    let embedder = builder().open(models::builtin()).expect("it opens");
    let name = |options: &Options| embedder.fingerprint(options).expect("a name").to_string();
    let plain = name(&Options::new());
    assert_eq!(plain.len(), 16);
    assert_eq!(
        plain,
        name(&Options::new().truncation(Truncation::Error)),
        "truncation does not move vectors"
    );
    assert_eq!(plain, name(&Options::new().task(Task::Query)), "an empty prompt changes nothing");
    let pooled = |pooling| {
        let embedder = builder().pooling(pooling).open(models::builtin()).expect("it opens");
        embedder.fingerprint(&Options::new()).expect("a name").to_string()
    };
    let mut names = vec![
        plain,
        name(&Options::new().normalize(false)),
        name(&Options::new().norm(Norm::Largest)),
        name(&Options::new().norm(Norm::P(NonZeroU32::MIN))),
        name(&Options::new().norm(Norm::P(NonZeroU32::MAX))),
        name(&Options::new().prompt("query: ")),
        name(&Options::new().prompt("query:")),
        pooled(Pooling::Cls),
        pooled(Pooling::None),
        name_of(tiny::bert(1), &Options::new()),
        name_of(tiny::bert(2), &Options::new()),
        name_of(tiny::gemma(1, GemmaKind::WithHeads), &Options::new()),
        name_of(tiny::gemma(1, GemmaKind::WithoutHeads), &Options::new()),
    ];
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "two spaces have one name");
}

#[test]
fn a_model_in_memory_has_the_name_of_the_one_on_disk() {
    let cache = tempfile::tempdir().expect("a folder");
    let open = || Embedder::builder().cache_dir(cache.path()).open(models::builtin()).expect("it opens");
    let memory = Embedder::from_bytes(std::fs::read(models::builtin()).expect("read")).expect("it opens");
    let options = Options::new();
    let name = memory.fingerprint(&options).expect("a name");
    assert_eq!(open().fingerprint(&options).expect("a name"), name);
    assert_eq!(std::fs::read_dir(cache.path()).expect("a folder").count(), 1, "the hash was kept");
    assert_eq!(open().fingerprint(&options).expect("a name"), name);
}

/// The vectors are those of the file that was opened, and so is the name.
#[test]
fn a_file_put_in_its_place_does_not_lend_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, other) = (folder.path().join("m.gguf"), folder.path().join("other.gguf"));
    std::fs::write(&path, tiny::bert(1)).expect("written");
    let embedder = Embedder::builder().cache_dir(folder.path().join("cache")).open(&path).expect("it opens");
    std::fs::write(&other, tiny::bert(2)).expect("written");
    std::fs::rename(&other, &path).expect("replaced");
    let name = embedder.fingerprint(&Options::new()).expect("a name").to_string();
    assert_eq!(name, name_of(tiny::bert(1), &Options::new()));
}

#[test]
fn a_texts_own_task_counts_and_its_words_and_title_do_not() {
    let gemma = Embedder::from_bytes(tiny::gemma(1, GemmaKind::WithHeads)).expect("it opens");
    let prompted = Options::new().prompt("query: ");
    let own = gemma.fingerprint_of(&Input::new("any words").without_task(), &prompted).expect("a name");
    assert_eq!(own, gemma.fingerprint(&Options::new()).expect("a name"));
    assert_ne!(own, gemma.fingerprint(&prompted).expect("a name"));
    let words = gemma.fingerprint_of(&Input::new("other words"), &prompted).expect("a name");
    assert_eq!(words, gemma.fingerprint(&prompted).expect("a name"));
}
