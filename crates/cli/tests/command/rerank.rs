//! `connote rerank`.

use std::fs;
use std::process::Command as Process;

use testkit::rerankers;

use super::{connote, lines, run};

/// A folder with a reranker and texts, by the names that the examples have.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("bge-reranker.gguf");
    fs::copy(rerankers::path("xlm-roberta.gguf"), model).expect("copied");
    let rows = ["{\"id\":\"a\",\"text\":\"Garlic\"}", "{\"text\":5}", "{\"id\":\"c\",\"text\":\"Cats\"}"];
    fs::write(folder.path().join("notes.jsonl"), rows.join("\n")).expect("written");
    fs::write(folder.path().join("notes.tsv"), "1\tGarlic\n2\tCats sleep\n").expect("written");
    folder
}

fn model(name: &str) -> String {
    rerankers::path(&format!("{name}.gguf")).display().to_string()
}

#[test]
fn the_examples_of_help_run() {
    let folder = folder();
    let (help, _) = run(connote().args(["rerank", "--help"]), 0);
    let help = String::from_utf8(help).expect("UTF-8");
    let examples: Vec<&str> = help
        .split("Examples:")
        .nth(1)
        .expect("examples")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(examples.len(), 3, "{help}");
    let binary = env!("CARGO_BIN_EXE_connote");
    // One row of the file is no text, which the second says.
    for (example, (code, count)) in examples.iter().zip([(0, 2), (3, 0), (0, 2)]) {
        let line = example.replace("connote rerank", &format!("'{binary}' rerank"));
        let output =
            Process::new("sh").args(["-c", &line]).current_dir(folder.path()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{example}: {said}");
        assert_eq!(lines(&output.stdout).len(), count, "{example}");
    }
    let best = lines(&fs::read(folder.path().join("best.jsonl")).expect("written"));
    let failed = best.iter().filter(|row| !row["error"].is_null()).count();
    assert_eq!((best.len(), failed), (3, 1), "{best:?}");
}

#[test]
fn scores_are_the_authors_and_the_best_come_first() {
    let golden = rerankers::named("modern-bert-cls");
    let pairs = &golden.pairs[..9];
    let texts = || pairs.iter().map(|pair| &pair.document);
    let model = model(&golden.name);
    let arguments = ["rerank", "-m", &model, "--query", &pairs[0].query, "--raw"];
    let (stdout, _) = run(connote().args(arguments).args(texts()), 0);
    let rows = lines(&stdout);
    assert_eq!(rows.len(), 9);
    for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
        assert!(row["score"].as_f64() >= next["score"].as_f64(), "{rows:?}");
    }
    for row in &rows {
        let pair = &pairs[row["id"].as_u64().expect("an index") as usize];
        let score = row["score"].as_f64().expect("a number");
        assert!((score - f64::from(pair.outputs[0])).abs() < 1e-4, "{row}");
        assert_eq!(
            (&row["text"], &row["truncated"]),
            (&pair.document.clone().into(), &pair.truncated.into())
        );
    }
    let (stdout, _) = run(connote().args(&arguments[..5]).args(["--top-n", "2"]).args(texts()), 0);
    let best = lines(&stdout);
    assert_eq!(best.iter().map(|row| &row["id"]).collect::<Vec<_>>(), [&rows[0]["id"], &rows[1]["id"]]);
    let sigmoid = |row: &serde_json::Value| 1.0 / (1.0 + (-row["score"].as_f64().expect("a number")).exp());
    assert!((best[0]["score"].as_f64().expect("a number") - sigmoid(&rows[0])).abs() < 1e-6);
    let (text, _) = run(connote().args(&arguments[..5]).args(["--output-format", "text", "a", "b"]), 0);
    assert_eq!(String::from_utf8(text).expect("UTF-8").lines().count(), 2);
}

#[test]
fn what_is_wrong_is_said_in_a_line() {
    let (bert, nli) = (model("bert"), model("bert-nli"));
    let long = "word ".repeat(400);
    let cases: [(&[&str], i32, &str); 9] = [
        (&["-m", &bert, "a"], 2, "--query"),
        (&["-m", &bert, "--query", " ", "a"], 2, "--query is empty"),
        (&["-m", &bert, "--query", "q", "--top-n", "0", "a"], 2, "--top-n 0"),
        (&["-m", &nli, "--query", "q", "a"], 2, "contradiction, entailment, neutral"),
        (&["-m", &bert, "--query", "q", "--label", "maybe", "a"], 2, "no label `maybe`"),
        (&["-m", &bert, "--query", "q", "--max-tokens", "9999", "a"], 2, "context of 160"),
        (&["-m", &bert, "--query", &long, "a"], 1, "shorten the query"),
        (&["-m", &bert, "--query", "q", "--truncate", "error", &long], 1, ""),
        (&["--query", "q", "a"], 1, "no reranker"),
    ];
    for (arguments, code, part) in cases {
        let (_, said) = run(connote().arg("rerank").args(arguments), code);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    let (stdout, said) = run(connote().args(["rerank", "-m", &bert, "--query", "q"]).write_stdin(""), 0);
    assert!(stdout.is_empty() && said.contains("no texts to rank"), "{said}");
    // A model of vectors says what it is not, and one of scores likewise.
    let (_, said) = run(connote().args(["embed", "-m", &bert, "a"]), 2);
    assert!(said.contains("connote rerank"), "{said}");
    let (stdout, _) =
        run(connote().args(["rerank", "-m", &nli, "--query", "q", "--label", "entailment", "a"]), 0);
    assert_eq!(lines(&stdout).len(), 1);
}
