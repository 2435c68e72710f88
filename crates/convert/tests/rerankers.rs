//! Folders of rerankers (`testdata/rerankers/folders`, saved by the authors' classes, or under the names of those that no
//! package has) become files that give the authors' ids and outputs, and have the weights of the files that were made of the
//! same networks by another way.

use std::fs;
use std::path::Path;

use connote::{RankRequest, Reranker};
use connote_convert::{FileType, Folder};
use gguf::Gguf;
use serde_json::Value;
use testkit::hf_folder::{self, write_json};
use testkit::rerankers;

/// As for the files made directly (`crates/connote/tests/rerankers.rs`).
const LARGEST_DIFFERENCE: f32 = 2e-5;

fn convert(folder: &Path, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let model = Folder::open(folder).expect("a folder").name(name).model().expect("a model");
    model.write(FileType::F32, &mut bytes, |_| true).expect("written");
    bytes
}

#[test]
fn heads_pairs_and_outputs_are_the_authors() {
    let folders = fs::read_dir(rerankers::path("folders")).expect("the folder of folders");
    let mut seen = Vec::new();
    for folder in folders {
        let folder = folder.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_str().expect("ASCII").to_owned();
        // Behind the dot, in whose names.
        let golden = rerankers::named(name.split('.').next().expect("a part"));
        let bytes = convert(&folder, "a reranker");
        let (ours, theirs) = (
            Gguf::from_bytes(bytes.clone()).expect("a file"),
            Gguf::from_bytes(golden.file()).expect("the other file"),
        );
        assert_eq!(ours.tensors().count(), theirs.tensors().count(), "{name}");
        for tensor in theirs.tensors() {
            let found = ours.tensor(tensor.name()).unwrap_or_else(|| panic!("{name}: no {}", tensor.name()));
            assert!(found.bytes() == tensor.bytes(), "{name}: other values of {}", tensor.name());
        }
        for key in ["pooling_type", "classifier.pooling_type", "classifier.output_labels"] {
            let key = format!("{}.{key}", golden.architecture);
            assert_eq!(ours.metadata().get(&key), theirs.metadata().get(&key), "{name}: {key}");
        }
        let reranker = Reranker::from_bytes(bytes).expect("a reranker");
        assert!(reranker.warnings().is_empty(), "{name}: {:?}", reranker.warnings());
        for pairs in golden.by_query() {
            let documents = pairs.iter().map(|pair| pair.document.as_str());
            let mut request = RankRequest::new(&pairs[0].query, documents);
            if let Some([.., last]) = golden.labels.as_deref() {
                request = request.label(last);
            }
            let scores = reranker.score_each(request).expect("a request that makes sense");
            for (score, pair) in scores.into_iter().zip(pairs) {
                let what = format!("{name}: {:?} and {:?}", pair.query, pair.document);
                let prepared = reranker.prepare_pair(&pair.query, &pair.document).expect("a pair");
                assert_eq!(prepared.ids, pair.ids, "{what}");
                let logits = score.expect("a score").logits;
                assert_eq!(logits.len(), pair.outputs.len(), "{what}");
                for (got, wanted) in logits.iter().zip(&pair.outputs) {
                    assert!((got - wanted).abs() < LARGEST_DIFFERENCE, "{what}: {got}, not {wanted}");
                }
            }
        }
        seen.push(name);
    }
    // Every head that is kept: of BERT's families with each way to name them, and of ModernBERT with both ways to pool.
    seen.sort();
    let wanted = [
        "bert",
        "bert-nli",
        "jina-bert-v2-fused",
        "jina-bert-v2-plain",
        "modern-bert-cls",
        "modern-bert-mean",
        "nomic-bert",
        "nomic-bert.authors",
        "roberta",
        "xlm-roberta",
    ];
    assert_eq!(seen, wanted);
}

/// A Qwen3 reranker's folder looks as an embedder's; its name tells.
#[test]
fn yes_and_no_are_rows_of_the_language_model() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::copy("qwen3", folder.path());
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().expect("a vocabulary");
    // Two pieces of several bytes, that no merge makes any more, answer.
    let found: Vec<(String, Value)> = vocabulary
        .iter()
        .filter(|(piece, _)| piece.len() > 3)
        .take(2)
        .map(|(a, b)| (a.clone(), b.clone()))
        .collect();
    for ((piece, id), word) in found.iter().zip(["yes", "no"]) {
        vocabulary.remove(piece);
        vocabulary.insert(word.to_owned(), id.clone());
    }
    let rows: Vec<usize> = found.iter().map(|(_, id)| id.as_u64().expect("an id") as usize).collect();
    let merges = tokenizer["model"]["merges"].as_array_mut().expect("merges");
    let makes = |merge: &Value| match merge {
        Value::String(both) => both.replacen(' ', "", 1),
        parts => [&parts[0], &parts[1]].map(|part| part.as_str().expect("a piece")).concat(),
    };
    let of = |merge: &Value, piece: &str| merge.to_string().contains(piece);
    merges.retain(|merge| found.iter().all(|(piece, _)| makes(merge) != *piece && !of(merge, piece)));
    write_json(folder.path(), "tokenizer.json", &tokenizer);
    // Its folder has no modules.
    fs::remove_file(folder.path().join("modules.json")).expect("removed");

    let model = Folder::open(folder.path()).expect("opened").name("an embedder").model().expect("a model");
    assert!(model.notes().iter().any(|note| note.contains("--name")), "{:?}", model.notes());
    let file = Gguf::from_bytes(convert(folder.path(), "Tiny Reranker")).expect("a file");
    let (head, words) =
        (file.tensor("cls.output.weight").expect("a head"), file.tensor("token_embd.weight").expect("words"));
    let row = words.bytes().len() / words.dims()[1] as usize;
    let picked: Vec<u8> = rows.iter().flat_map(|&id| words.bytes()[id * row..][..row].to_vec()).collect();
    assert!(head.bytes() == picked, "yes first, then no");
    let golden = Gguf::from_bytes(rerankers::named("qwen3-yes-no").file()).expect("the authors' form");
    for key in ["tokenizer.chat_template.rerank", "qwen3.classifier.output_labels"] {
        assert_eq!(file.metadata().get(key), golden.metadata().get(key), "{key}");
        assert!(file.metadata().get(key).is_some(), "{key}");
    }
}
