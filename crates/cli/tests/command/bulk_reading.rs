//! Files that must not be taken for something else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::rerankers;

use super::bulk::Workplace;
use super::{connote, lines, run};

/// As spreadsheets in much of Europe write CSV.
const SEMICOLONS: &str = "id;text;lang\n7;hello, world;en\n8;Katzen schlafen;de\n";

fn in_folder(folder: &Path, arguments: &[&str], code: i32) -> (Vec<u8>, String) {
    run(connote().current_dir(folder).args(arguments), code)
}

/// Wherever texts are read, the whole lines are none, and one option makes them columns.
#[test]
fn every_command_reads_the_delimiter_that_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("a.csv"), SEMICOLONS).expect("written");
    let reranker = rerankers::path("xlm-roberta.gguf").display().to_string();
    let embed =
        ["embed", "-q", "-i", "a.csv", "--delimiter", ";", "-o", "v.parquet", "--text-column", "text"];
    in_folder(folder, &embed, 0);
    in_folder(folder, &["index", "build", "-q", "-i", "v.parquet", "-o", "c"], 0);
    for command in [
        &["embed"][..],
        &["tokenize"],
        &["similar", "hello"],
        &["rerank", "-m", &reranker, "--query", "hello"],
        &["search", "--index", "c"],
    ] {
        let (stdout, said) = in_folder(folder, &[command, &["-i", "a.csv"]].concat(), 2);
        let told: Vec<&str> = said.lines().filter(|line| line.contains("a.csv")).collect();
        assert!(stdout.is_empty() && told.len() == 1, "{command:?}: {said}");
        assert!(told[0].contains("line 1 is one column") && told[0].contains("--delimiter ';'"), "{said}");
        let (stdout, _) = in_folder(folder, &[command, &["-i", "a.csv", "--delimiter", ";"]].concat(), 0);
        let rows = lines(&stdout);
        let ids: Vec<&Value> = rows.iter().map(|row| row.get("id").unwrap_or(&row["query"])).collect();
        assert!(
            ids.len() == 2 && ids.contains(&&json!("7")) && ids.contains(&&json!("8")),
            "{command:?}: {rows:?}"
        );
        // Texts of the command line have none.
        let (_, said) = in_folder(folder, &[command, &["--delimiter", ";", "x"]].concat(), 2);
        assert!(said.contains("--delimiter is for --input and standard input"), "{command:?}: {said}");
    }
    let (_, said) = in_folder(folder, &["embed", "-i", "a.csv", "--delimiter", ";;"], 2);
    assert!(said.contains("one character of ASCII"), "{said}");
    let (_, said) =
        in_folder(folder, &["search", "--index", "c", "--vector", "v.parquet", "--delimiter", ";"], 2);
    assert!(said.contains("--delimiter"), "{said}");
    // From a pipe, of which nobody knows what it is.
    let mut piped = connote();
    piped.args(["embed", "-q", "--input-format", "csv", "--delimiter", "|"]);
    let (stdout, _) = run(piped.write_stdin("id|text\n7|a;b\n"), 0);
    assert_eq!(lines(&stdout)[0]["id"], "7");
}

#[test]
fn a_run_that_goes_on_keeps_its_delimiter() {
    let here = Workplace::with(0);
    fs::write(here.path("a.csv"), "id;text|x;y\n7;a|b;c\n").expect("written");
    let embed = |delimiter: &str, column: &str, code: i32| {
        let how = ["--input", "a.csv", "--output", "v/", "--delimiter", delimiter, "--text-column", column];
        run(&mut here.embed(&how), code).1
    };
    embed(";", "text|x", 0);
    let said = embed("|", "x;y", 2);
    assert!(said.contains("the delimiter was ; and is |") && said.contains("--restart"), "{said}");
    embed(";", "text|x", 0);
}

/// A file of integers and one of floats make a column of floats, which must not round.
#[test]
fn a_collection_refuses_integers_that_a_float_would_round() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let write = |name: &str, values: &[&str]| {
        let row = |value: &&str| format!("{{\"n\": {value}, \"embedding\": [1.0, 0.0]}}\n");
        fs::write(folder.join(name), values.iter().map(row).collect::<String>()).expect("written");
    };
    write("floats.jsonl", &["1.5"]);
    write("large.jsonl", &["9007199254740993"]);
    write("small.jsonl", &["9007199254740992", "-7"]);
    write("mixed.jsonl", &["9007199254740993", "1.5"]);
    for files in [["floats.jsonl", "large.jsonl"], ["large.jsonl", "floats.jsonl"]] {
        let (_, said) =
            in_folder(folder, &["index", "build", "--same-space", "-o", "c", "-i", files[0], files[1]], 2);
        let what = "large.jsonl: the column `n` has integers here and floats in another file";
        assert!(
            said.contains(what) && said.contains("9007199254740993") && said.contains("--keep"),
            "{said}"
        );
        assert!(!folder.join("c/collection.connote").exists());
    }
    in_folder(
        folder,
        &["index", "build", "--same-space", "-o", "c", "-i", "floats.jsonl", "large.jsonl", "--keep", ""],
        0,
    );
    let kept = |files: &[&str]| {
        in_folder(
            folder,
            &[&["index", "build", "--same-space", "--replace", "-o", "c", "-i"], files].concat(),
            0,
        );
        let (stdout, _) = in_folder(folder, &["search", "--index", "c", "--vector", "floats.jsonl"], 0);
        let hits = lines(&stdout)[0]["hits"].as_array().expect("hits").clone();
        hits.iter().map(|hit| hit["n"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(kept(&["small.jsonl", "floats.jsonl"]), ["9007199254740992.0", "-7.0", "1.5"]);
    // In one file they are text, as they were written.
    assert_eq!(kept(&["mixed.jsonl"]), ["\"9007199254740993\"", "\"1.5\""]);
    // Two of one name could both be meant.
    fs::write(folder.join("twice.jsonl"), "{\"n\": 1, \"n\": 2, \"embedding\": [1.0]}\n").expect("written");
    let (_, said) = in_folder(folder, &["index", "build", "--same-space", "-o", "d", "-i", "twice.jsonl"], 1);
    assert!(said.contains("twice.jsonl: line 1: two fields are called `n`"), "{said}");
}
