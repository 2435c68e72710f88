//! `connote adapt`: a model with an adapter in it.

use std::fs;

use testkit::architectures;

use super::{connote, lines, run};

const ADAPTER: &str = "lora-retrieval.query.gguf";
const BASE: &str = "jina-embeddings-v3.gguf";

/// A folder with a base and an adapter, by the names that the examples have.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, name) in [("jina-bert-v3.gguf", BASE), ("jina-bert-v3.retrieval.query.gguf", ADAPTER)] {
        fs::copy(architectures::path(file), folder.path().join(name)).expect("copied");
    }
    folder
}

#[test]
fn the_examples_of_help_give_the_authors_vectors() {
    let folder = folder();
    let (help, _) = run(connote().args(["adapt", "--help"]), 0);
    let help = String::from_utf8(help).expect("UTF-8");
    let examples: Vec<&str> = help.lines().filter_map(|line| line.trim().strip_prefix("connote ")).collect();
    assert_eq!(examples.len(), 2, "{help}");
    let in_folder = |line: &str| {
        let (before, quoted) = line.split_once('\'').unwrap_or((line, ""));
        let words = before.split_whitespace().chain(quoted.strip_suffix('\''));
        run(connote().current_dir(folder.path()).args(words), 0)
    };
    let (nothing, said) = in_folder(examples[0]);
    assert!(nothing.is_empty());
    assert!(said.contains("jina-query.gguf") && said.contains("`retrieval.query`"), "{said}");
    assert!(
        said.contains("\"Represent the query for retrieving evidence documents: \" goes before"),
        "{said}"
    );
    assert_eq!(lines(&in_folder(examples[1]).0).len(), 1);

    let golden = architectures::all().into_iter().find(|golden| golden.adapter.is_some()).expect("one");
    let text = &golden.texts[8];
    let model = folder.path().join("jina-query.gguf");
    let (stdout, _) = run(connote().args(["embed", &text.text, "--model"]).arg(model), 0);
    let vector: Vec<f32> = serde_json::from_value(lines(&stdout)[0]["embedding"].clone()).expect("numbers");
    let cosine = testkit::oracle::cosine(&vector, &text.vector);
    assert!(cosine > 0.999999, "{cosine}");
}

#[test]
fn what_does_not_belong_together_is_said_and_nothing_is_written() {
    let folder = folder();
    let adapt = |base: &str, adapter: &str, output: &str| {
        let mut command = connote();
        command.current_dir(folder.path()).args(["adapt", "-m", base, adapter, "-o", output]);
        run(&mut command, 1).1
    };
    let bert = testkit::models::builtin().display().to_string();
    let said = adapt(&bert, ADAPTER, "out.gguf");
    assert!(said.contains("is for models of architecture `jina-bert-v3`"), "{said}");
    let said = adapt(BASE, BASE, "out.gguf");
    assert!(said.contains("is not an adapter"), "{said}");
    let said = adapt(ADAPTER, ADAPTER, "out.gguf");
    assert!(said.contains("name that model"), "{said}");
    let said = adapt(BASE, "nowhere.gguf", "out.gguf");
    assert!(said.contains("nowhere.gguf"), "{said}");
    assert!(!folder.path().join("out.gguf").exists());
    assert!(adapt(BASE, ADAPTER, ".").contains("is a folder"));
    run(connote().args(["adapt", ADAPTER]), 2);
    // Least of all the model itself is replaced unasked.
    let before = fs::read(folder.path().join(BASE)).expect("the model");
    let mut command = connote();
    command.current_dir(folder.path()).args(["adapt", "-m", BASE, ADAPTER, "-o", BASE]);
    assert!(run(&mut command, 2).1.contains("--force"));
    assert_eq!(fs::read(folder.path().join(BASE)).expect("the model"), before);
}
