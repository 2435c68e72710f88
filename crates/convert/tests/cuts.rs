//! Ways to cut that have a tokenizer.json of their own (`scripts/tokenizer_small_vocabularies.py` wrote it with the authors' package)
//! become files that give the authors' ids.

use std::fs;
use std::path::Path;

use connote::Model;
use connote::tokenizer::SpecialTokens;
use connote_convert::{FileType, Folder};
use gguf::Gguf;
use serde_json::{Value, json};
use testkit::golden;
use testkit::hf_folder::{self, HfTensor, write_json, write_weights};
use testkit::vocabularies::SmallVocabulary;

/// A model with the tokenizer of that name, and an embedding for each of its tokens.
fn folder(name: &str, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::copy("jina-bert-v2-plain", folder.path());
    let text =
        fs::read(golden::path("tokenizer").join(format!("small_{name}.tokenizer.json"))).expect("a file");
    let mut tokenizer: Value = serde_json::from_slice(&text).expect("JSON");
    let tokens = tokenizer["model"]["vocab"].as_object().expect("a vocabulary").len();
    change(&mut tokenizer);
    write_json(folder.path(), "tokenizer.json", &tokenizer);
    let mut config: Value =
        serde_json::from_slice(&fs::read(folder.path().join("config.json")).expect("read")).expect("JSON");
    config["vocab_size"] = json!(tokens);
    write_json(folder.path(), "config.json", &config);
    let mut tensors: Vec<HfTensor> = hf_folder::weights(folder.path());
    let words =
        tensors.iter_mut().find(|(name, ..)| name.ends_with("word_embeddings.weight")).expect("words");
    let width = words.1[1];
    words.1[0] = tokens;
    words.2 = (0..tokens * width).map(|place| (place % 97) as f32 / 97.0 - 0.5).collect();
    write_weights(folder.path(), 1, &tensors);
    folder
}

fn convert(folder: &Path) -> Result<Vec<u8>, String> {
    let model = Folder::open(folder).and_then(|folder| folder.model()).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    model.write(FileType::F32, &mut bytes, |_| true).expect("written");
    Ok(bytes)
}

#[test]
fn characters_in_words_and_from_space_to_space() {
    for (name, kind, pre) in [("whitespace", "whitespace", "whitespace"), ("metaspace", "gpt2", "mmbert")] {
        let folder = folder(name, |_| {});
        let bytes = convert(folder.path()).expect("converted");
        let file = Gguf::from_bytes(bytes.clone()).expect("a file");
        let vocabulary = SmallVocabulary::read(name);
        let theirs = vocabulary.file(0, None).to_bytes().expect("a file");
        let theirs = Gguf::from_bytes(theirs).expect("a file");
        let keys = ["tokens", "merges", "bos_token_id", "eos_token_id", "unknown_token_id"];
        for key in keys.map(|key| format!("tokenizer.ggml.{key}")) {
            assert!(theirs.metadata().get(&key).is_some(), "{key}");
            assert_eq!(file.metadata().get(&key), theirs.metadata().get(&key), "{name}: {key}");
        }
        let text = |key: &str| file.metadata().str(key).expect("a text").map(str::to_owned);
        assert_eq!(text("tokenizer.ggml.model").as_deref(), Some(kind));
        assert_eq!(text("tokenizer.ggml.pre").as_deref(), Some(pre));
        let model = Model::from_bytes(bytes).expect("a model");
        let tokenizer = model.tokenizer();
        assert_eq!(
            (tokenizer.prefix().len(), tokenizer.suffix().len()),
            (1, 1),
            "{name}: marks around a text"
        );
        for (at, text) in vocabulary.texts().iter().enumerate() {
            let (parsed, plain) = vocabulary.expected(0, at);
            assert_eq!(tokenizer.encode(text, SpecialTokens::Parse), parsed, "{name}: {text:?}");
            assert_eq!(tokenizer.encode(text, SpecialTokens::PlainText), plain, "{name}: {text:?}");
        }
    }
}

/// What is changed in a file, and what the refusal says.
type Change<'a> = (&'a dyn Fn(&mut Value), &'a str);

#[test]
fn what_is_not_read_of_them_is_named() {
    let refusal =
        |name: &str, change: &dyn Fn(&mut Value)| convert(folder(name, change).path()).expect_err("refused");
    let whitespace: [Change<'_>; 3] = [
        (&|file| file["model"]["fuse_unk"] = json!(true), "fuse_unk is true beside the cuts of Whitespace"),
        (&|file| file["pre_tokenizer"]["type"] = json!("WhitespaceSplit"), "WhitespaceSplit"),
        (
            &|file| file["normalizer"] = json!({"type": "NFC"}),
            "composes texts (NFC) before the cuts of Whitespace",
        ),
    ];
    for (change, said) in whitespace {
        let refused = refusal("whitespace", change);
        assert!(refused.contains(said), "{refused}");
    }
    let metaspace: [Change<'_>; 4] = [
        (&|file| file["pre_tokenizer"]["prepend_scheme"] = json!("first"), "the pre_tokenizer"),
        (&|file| file["normalizer"] = json!({"type": "Lowercase"}), "before the cuts of Metaspace"),
        (
            &|file| file["model"]["ignore_merges"] = json!(true),
            "ignore_merges is true beside the cuts of Metaspace",
        ),
        (
            &|file| {
                let vocabulary = file["model"]["vocab"].as_object_mut().expect("a vocabulary");
                let id = vocabulary.remove("<0x41>").expect("a byte");
                vocabulary.insert("\u{e000}".to_owned(), id);
            },
            "no <0x41> for byte_fallback",
        ),
    ];
    for (change, said) in metaspace {
        let refused = refusal("metaspace", change);
        assert!(refused.contains(said), "{refused}");
    }
}
