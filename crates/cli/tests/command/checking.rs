//! `connote verify` and `connote eval`.

use std::fs;

use serde_json::{Value, json};
use testkit::golden;

use super::{connote, run};

/// The commands under "Examples:" in a command's help, without the program's name.
fn examples(command: &[&str]) -> Vec<Vec<String>> {
    let (help, _) = run(connote().args(command).arg("--help"), 0);
    let help = String::from_utf8(help).expect("UTF-8");
    let examples = help.split("Examples:").nth(1).expect("examples").split_whitespace().map(str::to_owned);
    let mut all: Vec<Vec<String>> = Vec::new();
    for word in examples {
        if word == "connote" {
            all.push(Vec::new());
        } else {
            all.last_mut().expect("it begins with the program").push(word);
        }
    }
    assert!(!all.is_empty());
    all
}

fn golden_file(folder: &std::path::Path, change: impl Fn(usize, &mut Value)) -> std::path::PathBuf {
    let path = folder.join("reference.jsonl");
    let lines = golden::texts("minilm").into_iter().take(20).enumerate().map(|(index, one)| {
        let mut line =
            json!({"text": one.text, "prompt": one.prompt, "ids": one.ids, "embedding": one.embedding});
        change(index, &mut line);
        line.to_string() + "\n"
    });
    fs::write(&path, lines.collect::<String>()).expect("written");
    path
}

#[test]
fn the_builtin_model_passes_and_agrees_with_its_authors() {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = golden_file(folder.path(), |_, _| {});
    let (stdout, _) = run(connote().args(["verify", "--json", "--reference"]).arg(&reference), 0);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(report["passed"], true);
    assert_eq!(report["comparison"]["ids_compared"], 20);
    assert!(report["comparison"]["least_cosine"].as_f64().expect("a number") > 0.999);
    let checks = report["checks"].as_array().expect("checks");
    assert!(checks.len() >= 11 && checks.iter().all(|check| check["verdict"] == "passed"), "{checks:?}");
}

#[test]
fn what_differs_from_a_reference_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = golden_file(folder.path(), |index, line| {
        if index == 7 {
            line["embedding"] = json!(golden::texts("minilm")[8].embedding);
        }
        if index == 9 {
            line["ids"] = json!([101, 102]);
        }
    });
    let (stdout, _) = run(connote().args(["verify", "--json", "--reference"]).arg(&reference), 3);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(report["passed"], false);
    let worst = report["comparison"]["worst"].as_array().expect("some");
    assert_eq!((&worst[0]["line"], &worst[0]["same_ids"]), (&json!(10), &json!(false)));
    assert_eq!(worst[1]["line"], 8);
    let failed: Vec<&Value> = report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["verdict"] == "failed")
        .map(|check| &check["check"])
        .collect();
    let names =
        ["token ids are the reference's", "mean cosine to the reference", "smallest cosine to the reference"];
    assert_eq!(failed, names);
    // Bounds can be given; a person sees the texts.
    let bounds = ["--mean-cosine", "0.9", "--min-cosine=-1"];
    let (stdout, _) = run(connote().args(["verify", "--reference"]).arg(&reference).args(bounds), 3);
    let text = String::from_utf8(stdout).expect("UTF-8");
    assert!(text.contains("One check failed") && text.contains("DIFFER"), "{text}");
}

/// The built-in model with a weight that is no number.
#[test]
fn vectors_that_are_no_numbers_are_a_check_that_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nan.gguf");
    let tiny = testkit::tiny::bert(7);
    let mut bytes = tiny;
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).expect("written");
    let (stdout, _) = run(connote().args(["verify", "--json"]).arg(&path), 3);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(report["checks"][0]["verdict"], "failed");
}

#[test]
fn verify_refuses_what_it_cannot_use_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("broken.gguf");
    fs::write(&broken, b"GGUF and then nothing").expect("written");
    let reference = |name: &str, line: &str| {
        let path = folder.path().join(name);
        fs::write(&path, line).expect("written");
        path.display().to_string()
    };
    let vectors = reference("vectors.jsonl", "{\"id\": 0, \"embedding\": [1.0]}\n");
    let short = reference("short.jsonl", "{\"text\": \"a\", \"embedding\": [1.0]}\n");
    let empty = reference("empty.jsonl", "\n");
    let huge = reference("huge.jsonl", "{\"text\": \"a\", \"embedding\": [1e39, 1.0]}\n");
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--reference", &huge], 2, "huge.jsonl, line 1: "),
        (&[&broken.display().to_string()], 1, "broken.gguf"),
        (&["no-such-model"], 1, "there is no such file"),
        (&["--reference", &vectors], 2, "line 1: there is no `text`"),
        (&["--reference", &short], 2, "another model's reference"),
        (&["--reference", &empty], 2, "has no lines"),
        (&["--min-cosine", "0.9"], 2, "--reference"),
    ];
    for (arguments, code, words) in cases {
        let (_, stderr) = run(connote().arg("verify").args(arguments), code);
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_examples_of_verify_run() {
    let folder = tempfile::tempdir().expect("a folder");
    golden_file(folder.path(), |_, _| {});
    for example in examples(&["verify"]) {
        let mut command = connote();
        // The model that is built in, as a file.
        command
            .current_dir(folder.path())
            .env("EMBED_MODELS_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/../../models"));
        run(command.args(&example), 0);
    }
}

const PAIRS: &str = "4.40\tA pair of dogs playing with a purple ball.\tTwo dogs play with purple football.\n\
                     0.60\ta bird lands in the water.\ta boat floats in the water.\n\
                     4.60\tThree children stand on or near a fence.\tThe three children are standing on and by a fence.\n\
                     1.00\tA \"quoted\" man plays the guitar.\tA woman slices an onion.\n\
                     3.00\tA dog runs over grass.\tA dog runs on the beach.\n";

#[test]
fn eval_gives_the_correlation_of_the_reference_stack() {
    // The rows of `testdata/sts`, whose figures are those of sentence-transformers within 0.0005 (real_models.rs).
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/sts/sts15-images.tsv");
    let (stdout, _) = run(connote().args(["eval", "sts", file, "--json"]), 0);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    let images = &report["files"][0];
    assert_eq!((&images["pairs"], &images["failed"]), (&json!(750), &json!(0)));
    let spearman = images["spearman"]["value"].as_f64().expect("a number");
    assert!((spearman - 0.93035).abs() < 0.0005, "{spearman}");
    assert_eq!(report["mean_spearman"], images["spearman"]["value"]);
}

#[test]
fn eval_takes_headers_and_tells_what_it_cannot_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain.tsv");
    fs::write(&plain, PAIRS).expect("written");
    let csv = folder.path().join("pairs.csv");
    let rows: String = PAIRS
        .lines()
        .map(|line| {
            let fields: Vec<String> = line.split('\t').map(|field| field.replace('"', "\"\"")).collect();
            format!("\"{}\",\"{}\",{}\n", fields[2], fields[1], fields[0])
        })
        .collect();
    fs::write(&csv, format!("b,a,gold\n{rows}\"x\",\"y\",unknown\n")).expect("written");
    let columns = ["--score-column", "gold", "--first-column", "a", "--second-column", "b"];
    let (stdout, _) = run(connote().args(["eval", "sts", "--json"]).arg(&plain), 0);
    let plain: Value = serde_json::from_slice(&stdout).expect("JSON");
    let (stdout, stderr) = run(connote().args(["eval", "sts", "--json"]).arg(&csv).args(columns), 3);
    let named: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(plain["files"][0]["spearman"], named["files"][0]["spearman"]);
    assert_eq!(named["files"][0]["failed"], 1);
    assert!(stderr.contains("line 7: the score is no number: \"unknown\""), "{stderr}");
}

#[test]
fn eval_refuses_what_it_cannot_use_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path.display().to_string()
    };
    let header = file("header.tsv", "gold\tfirst\tsecond\n1\ta\tb\n");
    let few = file("few.tsv", "1\ta\tb\n2\tc\td\n");
    let none = file("none.tsv", "");
    for (name, code, words) in [
        (&*header, 2, "there is no column `score`; the first row has gold, first, second"),
        (&*few, 1, "there must be four"),
        (&*none, 1, "has no pairs"),
        ("missing.tsv", 1, "missing.tsv: cannot be read"),
    ] {
        let (_, stderr) = run(connote().args(["eval", "sts", name]), code);
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn the_examples_of_eval_run() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["sts15-images.tsv", "sts15-headlines.tsv"] {
        fs::write(folder.path().join(name), PAIRS).expect("written");
    }
    let csv: String =
        PAIRS.lines().map(|line| line.replace(',', ";").replace('"', "").replace('\t', ",") + "\n").collect();
    fs::write(folder.path().join("stsbenchmark.csv"), format!("score,sentence1,sentence2\n{csv}"))
        .expect("written");
    for example in examples(&["eval", "sts"]) {
        run(connote().current_dir(folder.path()).args(&example), 0);
    }
}
