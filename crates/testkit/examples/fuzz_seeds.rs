//! Writes files for the fuzzers to begin with: `cargo run -p connote-testkit --example fuzz_seeds fuzz/corpus`.

use std::fs;
use std::path::Path;

use connote_testkit::tiny::{self, GemmaKind};
use connote_testkit::vocabularies::SmallVocabulary;
use connote_testkit::{golden, hf_folder, http_bodies};

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "fuzz/corpus".to_owned());
    let folder = Path::new(&folder);
    let files = [
        ("bert", tiny::bert(0)),
        ("gemma", tiny::gemma(0, GemmaKind::WithHeads)),
        ("causal", tiny::gemma(0, GemmaKind::Causal)),
        (
            "keys",
            gguf::Writer::new().metadata("a", "b").metadata("c", vec![1u8, 2]).to_bytes().unwrap_or_default(),
        ),
    ];
    fs::create_dir_all(folder.join("gguf_reader"))?;
    for (name, bytes) in files {
        fs::write(folder.join("gguf_reader").join(name), bytes)?;
    }
    fs::create_dir_all(folder.join("convert_folder"))?;
    for (place, (name, file)) in hf_folder::FUZZED.iter().enumerate() {
        // The first byte chooses the file.
        let whole = fs::read(golden::path("folders").join(name).join(file))?;
        fs::write(
            folder.join("convert_folder").join(format!("{name}-{place}")),
            [&[place as u8], &whole[..]].concat(),
        )?;
    }
    for target in ["wordpiece", "sentencepiece"] {
        fs::create_dir_all(folder.join(target))?;
        for (index, text) in golden::texts("minilm").iter().enumerate() {
            fs::write(folder.join(target).join(format!("golden-{index}")), &text.text)?;
        }
    }
    for (target, vocabulary) in [("byte_level_bpe", "bpe"), ("unigram", "unigram")] {
        fs::create_dir_all(folder.join(target))?;
        let vocabulary = SmallVocabulary::read(vocabulary);
        for (index, text) in vocabulary.texts().iter().enumerate() {
            // The first byte chooses how the vocabulary is read.
            let seed = [&[index as u8], text.as_bytes()].concat();
            fs::write(folder.join(target).join(format!("text-{index}")), seed)?;
        }
        if let Some(map) = vocabulary.charsmap() {
            fs::write(folder.join(target).join("map"), [&[7], map.as_slice()].concat())?;
        }
    }
    fs::create_dir_all(folder.join("http_bodies"))?;
    for (index, request) in http_bodies::seeds().iter().enumerate() {
        fs::write(folder.join("http_bodies").join(format!("seed-{index}")), request)?;
    }
    Ok(())
}
