//! What is said of a folder beside what is written: how its vectors are made, and where the file does not run. (What limits
//! texts, a default prompt and tensors that are left out are in `refusals.rs` and `folders.rs`, beside the keys they come from.)

use std::fs;
use std::path::Path;

use connote_convert::Folder;
use serde_json::json;
use testkit::hf_folder::{self, HfTensor, write_json};
use testkit::rerankers;

fn notes(folder: &Path) -> Vec<String> {
    let model = Folder::open(folder).expect("opened").name("a name").model().expect("a model");
    model.notes().to_vec()
}

fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::copy(name, folder.path());
    assert_eq!(notes(folder.path()), [""; 0], "there is nothing to say of {name} as it is");
    folder
}

#[test]
fn a_folder_that_does_not_say_how_it_pools_is_told() {
    let folder = copied("bert-mean");
    // As the repository of a plain BERT.
    fs::remove_file(folder.path().join("modules.json")).expect("removed");
    let said = "the folder does not say how vectors are pooled (1_Pooling/config.json); say it with --pooling when you embed";
    assert_eq!(notes(folder.path()), [said]);
    // A causal one may be a reranker, too.
    let folder = copied("qwen3");
    fs::remove_file(folder.path().join("modules.json")).expect("removed");
    let both = notes(folder.path());
    assert_eq!((both.len(), both[0].as_str()), (2, said));
    assert!(both[1].contains("convert it with --name and a name that has reranker in it"), "{both:?}");
}

#[test]
fn vectors_that_the_authors_do_not_make_one_long_are_told() {
    let folder = copied("bert-mean");
    let module = |kind: &str, path: &str| json!({"type": format!("sentence_transformers.models.{kind}"), "path": path});
    let modules = [module("Transformer", ""), module("Pooling", "1_Pooling")];
    write_json(folder.path(), "modules.json", &json!(modules));
    let said = notes(folder.path());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("the authors do not make vectors one long (no Normalize module)"),
        "{said:?}"
    );
    assert!(said[0].contains("--no-normalize"), "{said:?}");
}

/// A reranker's head as BERT's, in a family of which llama.cpp knows none or only half of it; and in BERT's own, of which it
/// knows all.
#[test]
fn a_head_that_llama_cpp_does_not_load_is_told() {
    let beyond =
        "llama.cpp does not load the file, for its reranker's two products; with one, scores would be others";
    for (name, width, told) in
        [("jina-bert-v2-plain", 32, true), ("nomic-bert", 32, true), ("bert-mean", 36, false)]
    {
        let folder = copied(name);
        let mut tensors: Vec<HfTensor> = hf_folder::weights(folder.path());
        let tensor = |name: &str, shape: &[usize]| {
            (name.to_owned(), shape.to_vec(), vec![0.25; shape.iter().product()])
        };
        tensors.extend([
            tensor("pooler.dense.weight", &[width, width]),
            tensor("pooler.dense.bias", &[width]),
            tensor("classifier.weight", &[1, width]),
            tensor("classifier.bias", &[1]),
        ]);
        hf_folder::write_weights(folder.path(), 1, &tensors);
        let wanted: &[&str] = if told { &[beyond] } else { &[] };
        assert_eq!(notes(folder.path()), wanted, "{name}");
    }
}

/// A judge's two rows: llama.cpp runs those of qwen3, and does not load a file of qwen2 with any.
#[test]
fn a_judge_that_llama_cpp_does_not_load_is_told() {
    let judge = rerankers::path("folders/mxbai-rerank");
    let model = Folder::open(&judge).expect("opened").name("mxbai-rerank").model().expect("a model");
    let said = "llama.cpp does not load the file, for a judge's rows of the language model, for which it has a place in qwen3 alone";
    assert_eq!(model.notes(), [said]);
    // The same folder without the name is no judge, and has none.
    let model = Folder::open(&judge).expect("opened").name("a name").model().expect("a model");
    assert!(!model.notes().iter().any(|note| note.contains("llama.cpp")), "{:?}", model.notes());
}
