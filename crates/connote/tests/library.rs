//! The library with tiny models and the committed one: options, errors, edges, and bits in batches.

use connote::{
    Embedder, ErrorKind, Input, Model, Options, Pooling, Request, SpecialTokens, Task, Truncation,
};
use proptest::prelude::*;
use testkit::edit::Edit;
use testkit::models;
use testkit::tiny::{self, GemmaKind, GemmaSize};

fn minilm() -> Embedder {
    Embedder::open(models::builtin()).expect("the committed model opens")
}

fn tiny_bert() -> Embedder {
    Embedder::from_bytes(tiny::bert(1)).expect("a tiny model opens")
}

fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn the_embedder_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Embedder>();
    shared::<Model>();
    let embedder = tiny_bert();
    let alone = embedder.embed_one("the cat sat").expect("a vector");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(embedder.embed_one("the cat sat").expect("a vector"), alone));
        }
    });
}

#[test]
fn every_kind_of_text_list_is_a_request() {
    let embedder = tiny_bert();
    let wanted = embedder.embed(["a", "b"]).expect("vectors");
    assert_eq!(embedder.embed(vec!["a".to_owned(), "b".to_owned()]).expect("vectors"), wanted);
    let kept = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(embedder.embed(&kept).expect("vectors"), wanted);
    drop(kept);
    assert_eq!(embedder.embed("a b".split(' ')).expect("vectors"), wanted);
    assert_eq!(embedder.embed(Request::new([Input::new("a"), Input::new("b")])).expect("vectors"), wanted);
}

#[test]
fn no_texts_give_no_vectors() {
    assert_eq!(tiny_bert().embed([] as [&str; 0]).expect("nothing"), vec![]);
}

#[test]
fn empty_and_blank_texts_are_their_special_tokens() {
    let embedder = minilm();
    let embeddings = embedder.embed(["", "   ", "\n\t \u{3000}", "\0"]).expect("vectors");
    for embedding in &embeddings {
        assert_eq!(embedding.tokens, 2);
        assert_eq!(embedding.vector, embeddings[0].vector);
        assert!((norm(&embedding.vector) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn a_text_without_any_token_is_refused_and_the_others_are_not() {
    // A causal Gemma whose BOS is switched off adds nothing of its own.
    let file =
        Edit::of(&tiny::gemma(1, GemmaKind::Causal)).key("tokenizer.ggml.add_bos_token", false).bytes();
    let model = Model::from_bytes(file).expect("it opens");
    let embedder = Embedder::builder().pooling(Pooling::Last).load(model).expect("it loads");
    let results = embedder.embed_each(["cat", "", "the"]).expect("results");
    assert!(results[0].is_ok() && results[2].is_ok());
    let error = results[1].as_ref().expect_err("no tokens");
    assert_eq!(error.kind(), ErrorKind::NoTokens);
    let error = embedder.embed(["cat", "", "the"]).expect_err("the first error");
    assert_eq!(error.index(), Some(1));
    assert!(error.to_string().starts_with("input 1: "), "{error}");
}

#[test]
fn nul_and_control_characters_are_text() {
    let embedder = minilm();
    // BERT's tokenizer drops them.
    let [clean, dirty] =
        ["hello world", "he\0llo\u{1} wor\u{7f}ld"].map(|text| embedder.embed_one(text).expect("a vector"));
    assert_eq!(clean.vector, dirty.vector);
}

#[test]
fn truncation_keeps_special_tokens_and_reports_itself() {
    let embedder = minilm();
    let model = embedder.model();
    assert_eq!((model.max_tokens(), model.context_length()), (256, 512));
    let long = Input::new((0..400).map(|n| format!("word{} ", n % 7)).collect::<String>());
    let whole = model.tokenize(&long, &Options::new()).expect("ids");
    for limit in [254, 255, 256, 257, 511, 512] {
        let end = model.prepare(&long, &Options::new().max_tokens(limit)).expect("cut");
        assert!(end.truncated && end.ids.len() == limit);
        assert_eq!((end.ids[0], end.ids[limit - 1]), (101, 102));
        assert_eq!(end.ids[..limit - 1], whole[..limit - 1]);
        let start = model
            .prepare(&long, &Options::new().max_tokens(limit).truncation(Truncation::Start))
            .expect("cut");
        assert!(start.truncated && start.ids.len() == limit && start.ids[0] == 101);
        assert_eq!(start.ids[1..], whole[whole.len() - limit + 1..]);
        let error = model
            .prepare(&long, &Options::new().max_tokens(limit).truncation(Truncation::Error))
            .expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::TooLong);
        assert!(
            error.to_string().contains(&whole.len().to_string())
                && error.to_string().contains(&limit.to_string()),
            "{error}"
        );
    }
    let embedding = embedder.embed_one(long.clone()).expect("a vector");
    assert!(embedding.truncated && embedding.tokens == 256);
    // What just fits is not cut.
    let fits = Input::new("cat ".repeat(254));
    let prepared = model.prepare(&fits, &Options::new().truncation(Truncation::Error)).expect("it fits");
    assert!(!prepared.truncated && prepared.ids.len() == 256);
    let over = Input::new("cat ".repeat(255));
    assert!(model.prepare(&over, &Options::new()).expect("cut").truncated);
}

#[test]
fn truncation_keeps_a_prompt_that_grows_into_the_text() {
    let model = Model::open(models::builtin()).expect("it opens");
    // "pre" and "fix" are one token together: it belongs to both, and stays.
    let options = Options::new().prompt("pre").max_tokens(6).truncation(Truncation::Start);
    let cut = model.prepare(&Input::new("fix one two three four five"), &options).expect("cut");
    let ids = |text: &str| model.tokenizer().encode(text, SpecialTokens::Parse);
    assert_eq!(cut.ids[1..5], [ids("prefix"), ids("three four five")].concat());
}

#[test]
fn truncation_keeps_the_prompt() {
    let model = Model::open(models::builtin()).expect("it opens");
    let options = Options::new().prompt("search for: ").max_tokens(10);
    let long = Input::new("one two three four five six seven eight nine ten");
    let ids = |text: &str| model.tokenizer().encode(text, SpecialTokens::Parse);
    let start = model.prepare(&long, &options.clone().truncation(Truncation::Start)).expect("cut");
    assert_eq!(start.ids[1..9], [ids("search for:"), ids("six seven eight nine ten")].concat());
    let end = model.prepare(&long, &options).expect("cut");
    assert_eq!(end.ids[1..9], [ids("search for:"), ids("one two three four five")].concat());
    let error = model.prepare(&long, &options.max_tokens(4)).expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::TooLong);
    assert!(error.to_string().contains("prompt"), "{error}");
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let embedder = minilm();
    for limit in [0, 1, 2, 513] {
        let error =
            embedder.embed(Request::new(["a"]).with(Options::new().max_tokens(limit))).expect_err("refused");
        assert_eq!((error.kind(), error.index()), (ErrorKind::InvalidRequest, None), "{limit}");
    }
    let least =
        embedder.embed(Request::new(["one two"]).with(Options::new().max_tokens(3))).expect("a vector");
    assert_eq!((least[0].tokens, least[0].truncated), (3, true));
}

#[test]
fn special_token_texts_are_parsed_unless_told_otherwise() {
    let model = Model::open(models::builtin()).expect("it opens");
    let input = Input::new("a [SEP] b");
    let parsed = model.prepare(&input, &Options::new()).expect("ids").ids;
    assert_eq!(parsed, [101, 1037, 102, 1038, 102]);
    let plain =
        model.prepare(&input, &Options::new().special_tokens(SpecialTokens::PlainText)).expect("ids").ids;
    assert!(!plain[1..plain.len() - 1].contains(&102) && plain.len() > 5, "{plain:?}");
}

#[test]
fn only_matryoshka_models_are_cut() {
    let embedder = minilm();
    let error = embedder.embed(Request::new(["a"]).dimensions(128)).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("384"), "{error}");
    assert_eq!(embedder.embed(Request::new(["a"]).dimensions(384)).expect("whole")[0].vector.len(), 384);
    for size in [0, 385] {
        assert!(embedder.embed(Request::new(["a"]).dimensions(size)).is_err(), "{size}");
    }
}

#[test]
fn vectors_have_unit_length_unless_told_otherwise() {
    let embedder = minilm();
    let unit = embedder.embed(["some text"]).expect("a vector").remove(0).vector;
    let raw = embedder
        .embed(Request::new(["some text"]).with(Options::new().normalize(false)))
        .expect("a vector")
        .remove(0)
        .vector;
    assert!((norm(&unit) - 1.0).abs() < 1e-6);
    assert!((norm(&raw) - 1.0).abs() > 0.01);
    assert!(connote::cosine_similarity(&unit, &raw) > 0.999_999);
}

#[test]
fn tasks_need_a_prompt_that_the_model_has() {
    let known = minilm();
    let plain = known.embed(["text"]).expect("a vector");
    // all-MiniLM's authors name these uses and no prompt.
    assert_eq!(known.embed(Request::new(["text"]).task(Task::Query)).expect("a vector"), plain);
    let error = known.embed(Request::new(["text"]).task(Task::CodeRetrieval)).expect_err("no such prompt");
    assert!(error.to_string().contains("query, document, clustering, similarity"), "{error}");
    let error = tiny_bert().embed(Request::new(["text"]).task(Task::Query)).expect_err("unknown model");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let both = Options::new().task(Task::Query).prompt("query: ");
    assert!(known.embed(Request::new(["text"]).with(both)).is_err());
    let document = Options::new().task("document".parse().expect("a task"));
    for options in [&document, &Options::new(), &Options::new().prompt("a prompt: ")] {
        known.model().check_options(options).expect("without a title");
        let error = known.model().check_titles(options).expect_err("no place for a title");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    // A title has no place in these prompts, and is not dropped in silence.
    let results = known.embed_each([Input::new("text").title("Title"), Input::new("text")]).expect("results");
    assert_eq!(results[0].as_ref().expect_err("no place").kind(), ErrorKind::InvalidRequest);
    assert_eq!(results[1].as_ref().expect("a vector"), &plain[0]);
}

#[test]
fn a_text_can_have_a_task_of_its_own_or_none() {
    let embedder = minilm();
    let prompt = Options::new().prompt("query: ");
    let own =
        |input: Input| embedder.embed(Request::new([input]).with(prompt.clone())).map(|mut e| e.remove(0));
    assert_eq!(
        own(Input::new("cats").without_task()).expect("a vector"),
        embedder.embed_one("cats").expect("a vector")
    );
    assert_eq!(
        own(Input::new("cats").task(Task::Query)).expect_err("two prompts").kind(),
        ErrorKind::InvalidRequest
    );
    let query = Options::new().task(Task::Query);
    assert_eq!(Input::new("a").title("t").effective_task(&Options::new()), Some(Task::Document));
    assert_eq!(Input::new("a").title("t").effective_task(&query), Some(Task::Query));
    assert_eq!(Input::new("a").without_task().effective_task(&query), None);
    assert_eq!(Input::new("a").task(Task::Document).effective_task(&query), Some(Task::Document));
}

#[test]
fn a_prompt_is_the_text_before_the_text() {
    let embedder = minilm();
    let prompted =
        embedder.embed(Request::new(["cats"]).with(Options::new().prompt("query: "))).expect("a vector");
    assert_eq!(prompted, embedder.embed(["query: cats"]).expect("a vector"));
}

#[test]
fn a_prompt_that_a_text_has_already_is_not_put_before_it_again() {
    let size = GemmaSize { layers: 24, dim: 768, kv_heads: 2 };
    let file = Edit::of(&tiny::gemma_of(1, GemmaKind::WithoutHeads, size));
    let model = Model::from_bytes(file.key("general.name", "EmbeddingGemma 300M").bytes()).expect("it opens");
    let ids = |text: &str, options: &Options| model.tokenize(&Input::new(text), options).expect("ids");
    let query = Options::new().task(Task::Query);
    let prompt = "task: search result | query: ";
    assert_eq!(ids(&format!("{prompt}the cat"), &query), ids("the cat", &query));
    assert_eq!(ids("the cat", &query), ids(&format!("{prompt}the cat"), &Options::new()));
    let document = Options::new().task(Task::Document);
    assert_eq!(ids("title: none | text: the cat", &document), ids("the cat", &document));
    // Another task's prompt is text like any other, and so is a prompt in the caller's words.
    assert_ne!(ids(&format!("{prompt}a"), &document), ids("a", &document));
    assert_eq!(ids("a: b", &Options::new().prompt("a: ")), ids("a: a: b", &Options::new()));
}

#[test]
fn pooling_can_be_set_and_none_gives_a_vector_a_token() {
    let open = |pooling| Embedder::builder().pooling(pooling).open(models::builtin()).expect("it opens");
    let none = open(Pooling::None).embed_one("hello world").expect("vectors");
    assert_eq!((none.tokens, none.rows().len(), none.vector.len()), (4, 4, 4 * 384));
    assert!(none.rows().all(|row| (norm(row) - 1.0).abs() < 1e-6));
    let cls = open(Pooling::Cls).embed_one("hello world").expect("a vector");
    assert_eq!(none.rows().next(), Some(cls.vector.as_slice()));
    let last = open(Pooling::Last).embed_one("hello world").expect("a vector");
    assert_eq!(none.rows().last(), Some(last.vector.as_slice()));
}

/// A file that is otherwise sound can be used with another pooling than the one it cannot have.
#[test]
fn pooling_that_cannot_be_used_is_refused_and_can_be_overridden() {
    for (stated, what) in [(4u32, "reranker"), (9, "names no pooling")] {
        let file = Edit::of(&tiny::bert(1)).key("bert.pooling_type", stated).bytes();
        let model = Model::from_bytes(file).expect("it opens");
        let error = Embedder::builder().load(model.clone()).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::PoolingUnknown);
        assert!(error.to_string().contains(what) && error.to_string().contains("--pooling mean"), "{error}");
        let embedder = Embedder::builder().pooling(Pooling::Cls).load(model).expect("it loads");
        assert!(embedder.embed(["a"]).is_ok());
    }
}

/// What is taken for granted, or not as the authors have it, is said.
#[test]
fn assumptions_are_said_aloud() {
    let warnings = |edit: Edit| Model::from_bytes(edit.bytes()).expect("it opens").warnings().concat();
    let gemma = tiny::gemma(1, GemmaKind::WithHeads);
    assert_eq!(warnings(Edit::of(&gemma)), "");
    let unstated = warnings(Edit::of(&gemma).without("gemma-embedding.pooling_type"));
    assert!(unstated.contains("`mean` is taken"), "{unstated}");
    let minilm = Edit::of(&std::fs::read(models::builtin()).expect("the committed model"));
    assert_eq!(warnings(minilm.clone()), "");
    let unstated = warnings(minilm.clone().without("bert.pooling_type"));
    assert!(unstated.contains("`mean` is taken"), "{unstated}");
    let other_ends =
        minilm.key("tokenizer.ggml.seperator_token_id", 103u32).key("tokenizer.ggml.eos_token_id", 103u32);
    let other_ends = warnings(other_ends);
    assert!(other_ends.contains("[MASK]") && other_ends.contains("[SEP]"), "{other_ends}");
}

#[test]
fn unknown_pooling_is_refused_with_the_flag_to_set() {
    let error = Embedder::from_bytes(tiny::gemma(1, GemmaKind::Causal)).err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::PoolingUnknown);
    for how in ["`--pooling mean`", "`Builder::pooling`", "`pooling=\"mean\"`"] {
        assert!(error.to_string().contains(how), "{error}");
    }
}

/// Who embeds the library may do by the system's number what it does for other files.
#[test]
fn a_file_that_the_system_does_not_let_be_read_has_its_error_as_the_source() {
    use std::error::Error as _;
    let refused = |path: &str| Model::open(path).err().expect("refused");
    let error = refused("no/such/file.gguf").clone();
    let system = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(system.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound), "{error}");
    assert!(system.and_then(std::io::Error::raw_os_error).is_some());
    // The file's content is at fault, not the system.
    assert!(refused(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).source().is_none());
}

#[test]
fn a_model_in_memory_is_the_model_on_disk_at_any_alignment() {
    let mut bytes = std::fs::read(models::builtin()).expect("the committed model");
    bytes.insert(0, 0);
    let shifted: &'static [u8] = &bytes.leak()[1..];
    let memory = Embedder::from_bytes(shifted).expect("it opens");
    assert_eq!(memory.embed(["bytes"]).expect("a vector"), minilm().embed(["bytes"]).expect("a vector"));
    let options = Options::new();
    assert_eq!(
        memory.fingerprint(&options).expect("a name"),
        minilm().fingerprint(&options).expect("a name")
    );
}

/// A vector that is not finite or is zero never leaves.
#[test]
fn damaged_weights_give_errors_not_vectors() {
    for (value, what) in [(f32::NAN, "not finite"), (f32::INFINITY, "not finite"), (0.0, "zero")] {
        let file = Edit::of(&tiny::gemma(1, GemmaKind::WithHeads)).tensor(
            "dense_3.weight",
            &[44, 20],
            &[value; 44 * 20],
        );
        let embedder = Embedder::from_bytes(file.bytes()).expect("it opens");
        let error = embedder.embed(["cat"]).expect_err("withheld");
        assert_eq!((error.kind(), error.index()), (ErrorKind::BadVector, Some(0)));
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn missing_heads_are_said_aloud() {
    let warnings = |kind| Embedder::from_bytes(tiny::gemma(1, kind)).expect("it opens").warnings();
    assert_eq!(warnings(GemmaKind::WithHeads), Vec::<String>::new());
    assert!(warnings(GemmaKind::WithoutHeads).concat().contains("dense_2, dense_3"));
}

#[test]
fn files_that_are_no_models_are_refused() {
    for (path, what) in [("/no/such/model.gguf", "model.gguf"), ("/", "/"), ("Cargo.toml", "Cargo.toml")] {
        let error = Embedder::open(path).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::ModelFile, "{path}: {error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert!(Embedder::from_bytes(Vec::new()).is_err());
    let other =
        connote::gguf::Writer::new().metadata("general.architecture", "mamba").to_bytes().expect("valid");
    let error = Embedder::from_bytes(other).err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
    assert!(error.to_string().contains("mamba") && error.to_string().contains("gemma-embedding"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_text_has_the_same_bits_in_any_batch(
        texts in prop::collection::vec("[a-c tẞ日\u{301} .\\n]{0,60}|\\PC{0,20}", 1..12),
        order in any::<u64>(),
        threads in 1usize..5,
    ) {
        for bytes in [tiny::bert(4), tiny::gemma(4, GemmaKind::WithHeads)] {
            let single = Embedder::builder().threads(1).load(Model::from_bytes(bytes.clone()).unwrap()).unwrap();
            let several = Embedder::builder().threads(threads).load(Model::from_bytes(bytes).unwrap()).unwrap();
            let mut shuffled: Vec<usize> = (0..texts.len()).collect();
            let mut random = testkit::random::Random::seeded(order);
            for i in (1..shuffled.len()).rev() {
                shuffled.swap(i, random.below(i + 1));
            }
            let together = several.embed(shuffled.iter().map(|&i| &texts[i])).unwrap();
            for (place, &i) in shuffled.iter().enumerate() {
                prop_assert_eq!(&single.embed_one(&texts[i]).unwrap(), &together[place]);
            }
        }
    }
}
