//! Rows with tasks of their own: what is told of their vector spaces, and which titles they may have.

use std::fs;
use std::path::Path;

use testkit::edit::Edit;
use testkit::tiny::{self, GemmaKind, GemmaSize};

use super::{connote, lines, run};

/// A model with random weights that has the prompts of EmbeddingGemma, as it has its name and its shape.
pub(super) fn with_prompts(folder: &Path) -> std::path::PathBuf {
    let size = GemmaSize { layers: 24, dim: 768, ..GemmaSize::default() };
    let bytes = tiny::gemma_of(1, GemmaKind::WithHeads, size);
    let path = folder.join("prompts.gguf");
    let bytes = Edit::of(&bytes).key("general.name", "EmbeddingGemma 300M").bytes();
    fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn many_spaces_are_told_shortly() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = with_prompts(folder.path());
    let told = |count: usize| {
        let row = |n: usize| format!("{{\"text\": \"a\", \"task\": \"custom:t{}\"}}\n", n % count);
        let input: String = (0..2 * count).map(row).collect();
        let mut command = connote();
        command.args(["embed", "--input-format", "jsonl", "--model"]).arg(&model).write_stdin(input);
        let (stdout, stderr) = run(&mut command, 0);
        assert_eq!(stdout.iter().filter(|&&byte| byte == b'\n').count(), 2 * count);
        stderr
    };
    let few = told(8);
    assert!(few.matches("(task custom:t").count() == 8 && !few.contains("more"), "{few}");
    let many = told(30);
    assert!(many.matches("(task custom:t").count() == 8 && many.contains("and 22 more"), "{many}");
}

/// A title makes texts documents; one without words does not.
#[test]
fn a_title_without_words_switches_no_prompt_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = with_prompts(folder.path());
    let ids = |title: &[&str]| run(connote().args(["tokenize", "a", "--model"]).arg(&model).args(title), 0).0;
    assert_eq!(ids(&["--title", " \t"]), ids(&[]));
    assert_ne!(ids(&["--title", "T"]), ids(&[]));
}

/// A title that only rows with a task of their own can use is no mistake; for plain lines it is.
#[test]
fn a_title_may_be_for_rows_that_are_documents() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = with_prompts(folder.path());
    let options = ["--title", "T", "--task", "query", "--model"];
    let rows = "{\"text\": \"a\", \"task\": \"document\"}\n{\"text\": \"b\"}\n";
    let mut command = connote();
    command.args(["tokenize", "--input-format", "jsonl"]).args(options).arg(&model).write_stdin(rows);
    let (stdout, _) = run(&mut command, 3);
    assert!(lines(&stdout)[0]["ids"].is_array() && lines(&stdout)[1]["error"].is_object());
    let (stdout, _) = run(connote().args(["tokenize", "a"]).args(options).arg(&model), 2);
    assert_eq!(stdout, b"");
}

/// A file names one space; rows of another are not passed over in silence, not even if an earlier run computed them.
#[test]
fn rows_of_another_space_than_the_file_names_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = with_prompts(folder.path());
    let row = |row: usize| match row {
        7 => "{\"text\": \"a\", \"task\": \"query\"}\n".to_owned(),
        8 => "{\"text\": \"a\", \"task\": \"none\"}\n".to_owned(),
        _ => "{\"text\": \"a\"}\n".to_owned(),
    };
    fs::write(folder.path().join("rows.jsonl"), (0..20).map(row).collect::<String>()).expect("written");
    for _ in 0..2 {
        let mut command = connote();
        command.current_dir(folder.path()).args([
            "embed",
            "--input",
            "rows.jsonl",
            "--output",
            "v/",
            "--model",
        ]);
        let (_, stderr) = run(command.arg(&model), 0);
        assert!(stderr.contains("connote: 1 rows have a task of their own"), "{stderr}");
    }
}

/// Documents are asked for as the model's authors meant it, without a word on the command line.
#[test]
fn search_asks_documents_by_the_prompt_for_queries() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = with_prompts(folder.path());
    let model = Some(model.as_path());
    let notes = "plants eat light\ncats sleep\nrivers run to the sea\n";
    fs::write(folder.path().join("notes.txt"), notes).expect("written");
    let run_here = |arguments: &[&str], model: Option<&Path>| {
        let mut command = connote();
        command.current_dir(folder.path()).args(arguments);
        if let Some(model) = model {
            command.arg("--model").arg(model);
        }
        run(&mut command, 0).0
    };
    let search = |index: &str, more: &[&str], model: Option<&Path>| -> Vec<(u64, String)> {
        let answers = run_here(&[&["search", "--json", "--index", index], more].concat(), model);
        let hits = lines(&answers)[0]["hits"].as_array().expect("hits").clone();
        hits.iter().map(|hit| (hit["id"].as_u64().expect("an id"), hit["score"].to_string())).collect()
    };
    let query = ["how do plants eat"];
    run_here(&["embed", "how do plants eat", "-q", "-t", "query", "-o", "query.npy"], model);
    for (task, asked_as) in [("document", "query"), ("none", "query"), ("similarity", "similarity")] {
        let (vectors, index) = (format!("{task}.parquet"), format!("{task}/"));
        run_here(&["embed", "-q", "-i", "notes.txt", "-t", task, "-o", &vectors], model);
        run_here(&["index", "build", "-q", "-i", &vectors, "-o", &index], None);
        let by_itself = search(&index, &query, model);
        assert_eq!(by_itself.len(), 3);
        assert_eq!(by_itself, search(&index, &[query[0], "--task", asked_as], model), "{task}");
        assert_ne!(by_itself, search(&index, &[query[0], "--task", "none"], model), "{task}");
        if asked_as == "query" {
            assert_eq!(by_itself, search(&index, &["--vector", "query.npy"], None), "{task}");
        }
    }
}

/// A collection is of one space. Rows of another are not taken into it in silence, whatever the format, and however they came.
#[test]
fn rows_of_another_space_are_not_indexed_without_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = with_prompts(folder.path());
    let rows = |rows: usize| -> String {
        let task = |row| if row % 5 == 2 { ", \"task\": \"query\"" } else { "" };
        (0..rows).map(|row| format!("{{\"text\": \"a\"{}}}\n", task(row))).collect()
    };
    // Three parts of a folder: 2, 7, 12, ... up to 2047 are 410 in the first two, and 2052, 2057 in the last.
    fs::write(folder.path().join("many.jsonl"), rows(2060)).expect("written");
    fs::write(folder.path().join("rows.jsonl"), rows(10)).expect("written");
    let embed = |more: &[&str], stdin: &str| {
        let mut command = connote();
        command.current_dir(folder.path()).args(["embed", "--output"]).args(more).arg("--model").arg(&model);
        run(command.write_stdin(stdin), 0).1
    };
    let build = |input: &[&str], code: i32| {
        let mut command = connote();
        command.current_dir(folder.path()).args(["index", "build", "-o", "i", "--replace", "-i"]);
        run(command.args(input), code).1
    };
    let mut outputs = Vec::new();
    for format in ["jsonl", "csv", "npy", "parquet", "arrow"] {
        let [file, piped, parts] = [format!("f.{format}"), format!("p.{format}"), format!("{format}/")];
        embed(&[&file, "--input", "rows.jsonl"], "");
        let said = embed(&[&piped, "--input-format", "jsonl"], &rows(10));
        assert!(said.contains("2 rows have a task of their own"), "{said}");
        let in_parts = ["--input", "many.jsonl", "--part-rows", "1024", "--output-format", format];
        embed(&[&[&*parts], &in_parts[..]].concat(), "");
        outputs.extend([(file, 2), (piped, 2), (parts, 412)]);
    }
    for (output, count) in &outputs {
        let said = build(&[output], 2);
        assert!(said.contains("of its rows have a task of their own") && said.lines().count() == 1, "{said}");
        assert!(!folder.path().join("i").exists(), "{output}");
        let said = build(&[output, "--same-space"], 0);
        assert!(said.contains(&format!("{count} rows have a task of their own")), "{output}: {said}");
        fs::remove_dir_all(folder.path().join("i")).expect("removed");
    }
    // The whole says as many as its parts.
    for format in ["jsonl", "npy", "parquet", "arrow"] {
        let (whole, parts) = (format!("whole.{format}"), format!("{format}/"));
        run(connote().current_dir(folder.path()).args(["merge", "-q", "-o", &whole, &parts]), 0);
        let said = build(&[&whole, "--same-space"], 0);
        assert!(said.contains("412 rows have a task of their own"), "{whole}: {said}");
    }
    // Of one space, nothing is said and nothing asked.
    embed(&["plain.parquet", "a text"], "");
    assert!(!build(&["plain.parquet"], 0).contains("task of their own"));
}
