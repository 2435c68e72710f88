//! The command as its users run it.

mod adapt;
mod bench;
mod bench_pool;
mod bulk;
mod bulk_examples;
mod bulk_memory;
mod bulk_reading;
mod bulk_stops;
mod checking;
mod collected;
mod convert;
mod doctor;
mod endings;
#[path = "../../../hub/tests/fake_hub/mod.rs"]
mod fake_hub;
mod files;
mod help_examples;
mod late;
mod packaging;
mod paths;
mod pull;
mod rerank;
mod rows;
mod search;
mod serve;
mod serve_logs;
mod spaces;
mod terminal;
mod tuning;

use std::fs;
use std::io::Write;
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use serde_json::Value;
use testkit::edit::Edit;
use testkit::golden;
use testkit::tiny::{self, GemmaKind};

fn connote() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connote"));
    command.env_remove("CONNOTE_MODEL").env_remove("CONNOTE_CPU");
    command
}

fn lines(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn run(command: &mut Command, code: i32) -> (Vec<u8>, String) {
    let output = command.output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.stdout, stderr)
}

#[test]
fn a_text_is_embedded_with_the_builtin_model() {
    let (stdout, stderr) = run(connote().args(["embed", "hello world"]), 0);
    let rows = lines(&stdout);
    assert_eq!(rows.len(), 1);
    let keys: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["embedding", "id", "tokens", "truncated"]);
    assert_eq!(
        (&rows[0]["id"], &rows[0]["tokens"], &rows[0]["truncated"]),
        (&0.into(), &4.into(), &false.into())
    );
    assert!(stderr.contains("fingerprint"), "{stderr}");
    // Every digit survives: the same f32 as in the library, and the reference's direction.
    let vector: Vec<f32> = serde_json::from_value(rows[0]["embedding"].clone()).expect("numbers");
    let library = connote::Embedder::open(testkit::models::builtin()).expect("it opens");
    assert_eq!(vector, library.embed_one("hello world").expect("a vector").vector);
    assert!(testkit::oracle::cosine(&vector, &golden::texts("minilm")[0].embedding) > 0.999);
}

#[test]
fn stdin_is_a_text_a_line_in_order() {
    let (stdout, _) =
        run(connote().args(["embed", "--quiet"]).write_stdin("first\r\n\nthird \u{1F600}\n"), 0);
    let rows = lines(&stdout);
    assert_eq!(rows.iter().map(|row| row["id"].as_u64().expect("an index")).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(rows[1]["tokens"], 2, "an empty line is an empty text");
    let (by_argument, _) = run(connote().args(["embed", "first", "", "third \u{1F600}"]), 0);
    assert_eq!(lines(&by_argument), rows);
}

#[test]
fn no_input_gives_no_output() {
    let (stdout, _) = run(connote().arg("embed").write_stdin(""), 0);
    assert_eq!(stdout, b"");
}

#[test]
fn jsonl_rows_keep_their_ids_and_bad_rows_their_place() {
    let input = concat!(
        "\u{feff}{\"text\": \"a cat\", \"id\": \"x-1\"}\n",
        "\n",
        "{\"text\": \"lone \\ud800 surrogate\", \"id\": 7}\n",
        "{\"text\": \"a dog\", \"other\": [1, 2], \"task\": \"query\"}\n",
        "not json\n",
        "{\"text\": 5}\n",
        "{\"id\": {\"deep\": true}}\n",
        "{\"text\": \"nul \\u0000 inside\", \"id\": null}\n",
        "{\"text\": \"a title\", \"title\": \"T\"}\n",
        "{\"text\": \"a task\", \"task\": \"poetry\"}\n",
    );
    let (stdout, _) =
        run(connote().args(["embed", "-i", "-", "--input-format", "jsonl"]).write_stdin(input), 3);
    let rows = lines(&stdout);
    let ids: Vec<String> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(ids, ["\"x-1\"", "7", "3", "4", "5", "{\"deep\":true}", "7", "8", "9"]);
    let kinds: Vec<&str> = rows.iter().map(|row| row["error"]["kind"].as_str().unwrap_or("fine")).collect();
    let (bad_json, bad) = ("invalid_json", "invalid_request");
    assert_eq!(kinds, ["fine", bad_json, "fine", bad_json, bad, bad, "fine", bad, bad]);
    assert!(rows[3]["error"]["message"].as_str().expect("a message").contains("line 5"));
}

#[test]
fn the_fingerprint_is_told_for_every_task_of_the_rows() {
    let (_, one) = run(connote().args(["embed", "x", "--task", "none"]), 0);
    let space = one.rsplit("fingerprint ").next().expect("one").trim().to_owned();
    assert_eq!(space.len(), 16, "{one}");
    let rows = "{\"text\": \"a\"}\n{\"text\": \"b\", \"task\": \"none\"}\n";
    let mut command = connote();
    command.args(["embed", "--input-format", "jsonl", "--prompt", "query: "]).write_stdin(rows);
    let (_, stderr) = run(&mut command, 0);
    assert!(
        stderr.contains(&format!("{space} (task none)")) && stderr.matches("(task").count() == 2,
        "{stderr}"
    );
}

/// An exit code of 3 promises some rows.
#[test]
fn a_run_whose_rows_all_failed_ends_so() {
    for arguments in [&["embed"][..], &["tokenize"], &["similar", "a query"]] {
        for (rows, code) in [("no JSON\n", 1), ("no JSON\n{\"text\": \"a\"}\n", 3), ("", 0)] {
            let mut command = connote();
            command.args(arguments).args(["--input-format", "jsonl"]).write_stdin(rows);
            let (stdout, _) = run(&mut command, code);
            assert_eq!(lines(&stdout).len(), rows.lines().count(), "{arguments:?}");
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_cost_their_line_only() {
    let input = b"fine\n\xed\xa0\x80 surrogate bytes\nalso fine\n".to_vec();
    let (stdout, _) = run(connote().args(["embed", "-q"]).write_stdin(input), 3);
    let rows = lines(&stdout);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1]["error"]["kind"], "invalid_utf8");
    assert!(rows[0]["embedding"].is_array() && rows[2]["embedding"].is_array());
}

#[test]
fn a_file_appears_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("texts.jsonl"), folder.path().join("vectors.jsonl"));
    fs::write(&input, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n").expect("written");
    let (stdout, _) = run(connote().arg("embed").arg("-i").arg(&input).arg("-o").arg(&output), 0);
    assert_eq!(stdout, b"");
    assert_eq!(lines(&fs::read(&output).expect("the file")).len(), 2);
    // A run that cannot begin leaves neither a new file nor a damaged old one.
    let before = fs::read(&output).expect("the file");
    run(connote().arg("embed").arg("-i").arg(folder.path().join("missing.jsonl")).arg("-o").arg(&output), 1);
    run(connote().args(["embed", "x", "--dimensions", "5", "-o"]).arg(&output), 2);
    assert_eq!(fs::read(&output).expect("the file"), before);
    // What the vectors are is said beside them.
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
}

#[test]
fn wrong_use_is_told_apart_from_what_cannot_be_done() {
    for (arguments, code, what) in [
        (&["embed", "x", "--model", "/no/such.gguf"][..], 1, "/no/such.gguf"),
        (&["embed", "--input", "/no/such.txt"], 1, "/no/such.txt"),
        (&["embed", "x", "--model", "/"], 1, "is a folder"),
        (&["embed", "x", "--input", "y"], 2, "--input"),
        (&["embed", "x", "--task", "poetry"], 2, "question-answering"),
        (&["embed", "x", "--task", "code"], 2, "query, document"),
        (&["embed", "x", "--task", "query", "--prompt", "p"], 2, "--prompt"),
        (&["embed", "x", "--dimensions", "128"], 2, "384"),
        (&["embed", "x", "--max-tokens", "513"], 2, "512"),
        (&["embed", "x", "--truncate", "middle"], 2, "start"),
        (&["embed", "x", "--pooling", "max"], 2, "cls"),
        (&["embed", "x", "--output", "y.xlsx"], 2, "xlsx"),
        (&["embed", "x", "--output", "y.txt"], 2, "--output-format text writes a short form for people"),
        (&["embed", "--input", "y.csv"], 1, "y.csv"),
        (&["embed", "x", "--model", ""], 2, "--model"),
        (&["embed", "--input", "/"], 1, "is a folder"),
        (&["embed", "x", "--output", "/"], 1, "is a folder"),
        (&["embed", "x", "--policy", "2x1", "--parallelism", "matmul"], 2, "leave one of them out"),
        (&["similar"], 2, "QUERY"),
        (&["similar", "q", "x", "--top", "0"], 2, "--top 0"),
        (&["similar", "q"], 0, "no texts"),
        (&["inspect", "a.gguf", "--model", "b.gguf"], 2, "--model"),
        (&["man", "/dev/null/pages"], 1, "/dev/null/pages"),
        // A title that no row has a place for, before anything is written.
        (&["embed", "x", "--title", "T", "--task", "none"], 2, "a title is given and no task"),
        (&["tokenize", "x", "--title", "T", "--task", "none"], 2, "a title is given and no task"),
        (&["embed", "x", "--title", "T", "--task", "query"], 2, "title"),
        (&["tokenize", "x", "--title", "T", "--prompt", "p"], 2, "title"),
        (&["similar", "q", "x", "--title", "T", "--task", "query"], 2, "title"),
        (&["embed", "--input-format", "jsonl", "--title", "T", "--task", "none"], 2, "title"),
        (&["bench"], 2, "kernels"),
        (&["bench", "kernels", "--level", "sse9"], 2, "scalar"),
        (&["bench", "model", "--model", "/no/such.gguf"], 1, "/no/such.gguf"),
        (&["nonsense"], 2, "nonsense"),
        (
            &["embed", "--imput", "x"],
            2,
            "a similar argument exists: '--input'; `connote embed --help` says more",
        ),
        (
            &["embed", "x", "--output-format", "xml"],
            2,
            "[possible values: jsonl, csv, npy, parquet, arrow, text]",
        ),
        (&["embed", "x", "--threads", "a\nb"], 2, "invalid value 'a b' for '--threads <N>'"),
        (&["merge"], 2, "not provided: --output <FILE>, <FOLDER>...; `connote merge --help` says more"),
        (
            &["index", "build", "-o", "x"],
            2,
            "--input <FILE|FOLDER>...; `connote index build --help` says more",
        ),
        (&[], 2, "Usage"),
    ] {
        let (stdout, stderr) = run(connote().args(arguments).write_stdin(""), code);
        assert!(stderr.contains(what), "{arguments:?}: {stderr}");
        assert_eq!(stdout, b"", "{arguments:?}");
        // Where there is nothing to complain about there is help.
        let asks_for_help = arguments.is_empty() || arguments == ["bench"];
        assert_eq!(stderr.lines().count() == 1, !asks_for_help, "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_cpu_level_that_is_not_there_is_an_error() {
    let (_, stderr) = run(connote().args(["embed", "x"]).env("CONNOTE_CPU", "sse9"), 2);
    assert!(stderr.contains("sse9") && stderr.contains("scalar"), "{stderr}");
    let (scalar, _) = run(connote().args(["embed", "x"]).env("CONNOTE_CPU", "scalar"), 0);
    assert_eq!(lines(&scalar).len(), 1);
}

#[test]
fn tokenize_gives_the_golden_ids() {
    let texts = golden::texts("minilm");
    let input: String =
        texts.iter().map(|text| serde_json::json!({ "text": text.input() }).to_string() + "\n").collect();
    let (stdout, _) = run(connote().args(["tokenize", "--input-format", "jsonl"]).write_stdin(input), 0);
    let rows = lines(&stdout);
    assert_eq!(rows.len(), texts.len());
    for (row, text) in rows.iter().zip(&texts) {
        assert_eq!(row["ids"], serde_json::json!(text.ids));
        assert_eq!(row.as_object().expect("an object").len(), 2);
    }
}

#[test]
fn tokenize_shows_pieces_and_counts() {
    let (stdout, _) = run(
        connote().args(["tokenize", "--pieces", "--counts", "--max-tokens", "4", "embeddings everywhere"]),
        0,
    );
    let row = lines(&stdout).remove(0);
    assert_eq!(row["pieces"], serde_json::json!(["[CLS]", "em", "##bed", "[SEP]"]));
    assert_eq!((&row["tokens"], &row["truncated"]), (&4.into(), &true.into()));
    let (stdout, _) = run(connote().args(["tokenize", "--full", "--counts", &"cat ".repeat(600)]), 0);
    assert_eq!(lines(&stdout)[0]["tokens"], 602);
    let (stdout, _) = run(connote().args(["tokenize", "--plain-text", "--pieces", "[SEP]"]), 0);
    assert_eq!(lines(&stdout)[0]["pieces"], serde_json::json!(["[CLS]", "[", "sep", "]", "[SEP]"]));
}

#[test]
fn tokenize_shows_offsets() {
    let arguments =
        ["tokenize", "--offsets", "--prompt", "to: ", "--max-tokens", "7", "Na\u{ef}ve caf\u{e9} au lait"];
    let (stdout, _) = run(connote().args(arguments), 0);
    let row = lines(&stdout).remove(0);
    let expected = serde_json::json!([null, null, null, [0, 6], [7, 12], [13, 15], null]);
    assert_eq!(row["offsets"], expected, "{row}");
    assert_eq!(row["ids"].as_array().map(Vec::len), Some(7));
    let (all, _) =
        run(connote().args(["tokenize", "--full", "--offsets", "--output-format", "text", "caf\u{e9} 1"]), 0);
    let all = String::from_utf8(all).expect("UTF-8");
    assert!(all.contains("[CLS]:101 cafe:7668@0-5 1:1015@6-7 [SEP]:102"), "{all}");
}

#[test]
fn inspect_tells_what_a_file_holds() {
    let (stdout, _) = run(connote().arg("inspect"), 0);
    let report = String::from_utf8(stdout).expect("UTF-8");
    for what in ["all-MiniLM-L6-v2", "bert", "384", "mean", "WordPiece", "30,522", "22,", "Fingerprint"] {
        assert!(report.contains(what), "{what}:\n{report}");
    }
    let (stdout, _) = run(connote().args(["inspect", "--json"]), 0);
    let about = lines(&stdout).remove(0);
    assert_eq!(
        (&about["dimensions"], &about["max_tokens"], &about["runs"]),
        (&384.into(), &256.into(), &true.into())
    );
    assert_eq!(about["tensors"].as_array().expect("a list").len(), 101);
    assert_eq!(about["metadata"]["bert.block_count"], 6);
}

/// Under which name of the table of models it is known, and by which source; nothing of a model that only looks alike.
#[test]
fn inspect_tells_as_what_a_model_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let bytes = fs::read(testkit::models::builtin()).expect("the built-in model");
    let known_as = |name: &str| {
        fs::write(&path, Edit::of(&bytes).key("general.name", name).bytes()).expect("written");
        let (report, _) = run(connote().arg("inspect").arg(&path), 0);
        let report = String::from_utf8(report).expect("UTF-8");
        let line = report.lines().find_map(|line| line.trim().strip_prefix("Known as"));
        let (json, _) = run(connote().args(["inspect", "--json"]).arg(&path), 0);
        let about = lines(&json).remove(0);
        let named = line.map(|line| line.trim().to_owned());
        assert_eq!(about["known_as"].as_str(), named.as_deref(), "{report}");
        assert_eq!(about["known_from"].is_string(), named.is_some(), "{about}");
        named
    };
    let name = Some("all-MiniLM-L6-v2".to_owned());
    for spelled in ["all-MiniLM-L6-v2", "sentence-transformers_all-MiniLM-L6-v2", "All MiniLM L6 v2 Q8_0"] {
        assert_eq!(known_as(spelled), name, "{spelled}");
    }
    for other in ["all-MiniLM-L6-v2-zh", "model"] {
        assert_eq!(known_as(other), None, "{other}");
    }
}

/// How vectors are cut, where that is more than taking their first values.
#[test]
fn inspect_tells_of_a_layer_norm_before_a_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    for (name, normed) in [("nomic-embed-text-v1.5", true), ("nomic-embed-text-v1", false)] {
        fs::write(&path, testkit::known::nomic(name)).expect("written");
        let (report, _) = run(connote().arg("inspect").arg(&path), 0);
        let report = String::from_utf8(report).expect("UTF-8");
        assert!(report.contains(name), "{report}");
        let line = report.lines().find_map(|line| line.trim().strip_prefix("Before a cut"));
        assert_eq!(line.map(str::trim), normed.then_some("a layer norm of the whole vector"), "{report}");
        let (json, _) = run(connote().args(["inspect", "--json"]).arg(&path), 0);
        assert_eq!(lines(&json).remove(0)["layer_norm_before_cut"], normed, "{name}");
    }
}

#[test]
fn inspect_tells_what_a_file_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    fs::write(&path, tiny::gemma(1, GemmaKind::WithoutHeads)).expect("written");
    let (stdout, _) = run(connote().arg("inspect").arg(&path), 0);
    assert!(String::from_utf8_lossy(&stdout).contains("dense_2"));
    fs::write(&path, tiny::gemma(1, GemmaKind::Causal)).expect("written");
    let (stdout, _) = run(connote().arg("inspect").arg(&path).arg("--json"), 0);
    let about = lines(&stdout).remove(0);
    assert_eq!((&about["pooling"], &about["runs"]), (&Value::Null, &true.into()));
    assert!(about["warnings"].to_string().contains("--pooling"));
    let other = gguf::Writer::new().metadata("general.architecture", "mamba").to_bytes().expect("valid");
    fs::write(&path, other).expect("written");
    let (stdout, _) = run(connote().arg("inspect").arg(&path), 0);
    assert!(String::from_utf8_lossy(&stdout).contains("`mamba` is not supported"));
    fs::write(&path, b"GGUF\x03\0\0\0").expect("written");
    run(connote().arg("inspect").arg(&path), 1);
}

#[test]
fn warnings_and_missing_pooling_reach_the_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    fs::write(&path, tiny::gemma(1, GemmaKind::WithoutHeads)).expect("written");
    let (_, stderr) = run(connote().args(["embed", "cat", "-m"]).arg(&path), 0);
    assert!(stderr.contains("warning") && stderr.contains("dense_2"), "{stderr}");
    fs::write(&path, tiny::gemma(1, GemmaKind::Causal)).expect("written");
    let (_, stderr) = run(connote().args(["embed", "cat", "-m"]).arg(&path), 2);
    assert!(stderr.contains("--pooling mean"), "{stderr}");
    run(connote().args(["embed", "cat", "--pooling", "last", "-m"]).arg(&path), 0);
}

#[test]
fn a_model_is_found_by_name_in_the_models_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tiny.gguf"), tiny::bert(1)).expect("written");
    for name in ["tiny", "tiny.gguf"] {
        let (stdout, _) =
            run(connote().args(["embed", "cat", "-m", name]).env("EMBED_MODELS_DIR", folder.path()), 0);
        assert_eq!(lines(&stdout)[0]["embedding"].as_array().expect("a vector").len(), 24);
    }
    let (_, stderr) =
        run(connote().args(["embed", "cat", "-m", "tinier"]).env("EMBED_MODELS_DIR", folder.path()), 1);
    assert!(stderr.contains("tinier") && stderr.contains(&*folder.path().to_string_lossy()), "{stderr}");
}

#[test]
fn the_model_of_the_environment_serves_unless_it_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    fs::write(&path, tiny::bert(1)).expect("written");
    let dimensions = |command: &mut Command| {
        let (stdout, _) = run(command.args(["embed", "-q", "cat"]), 0);
        lines(&stdout)[0]["embedding"].as_array().expect("a vector").len()
    };
    assert_eq!(dimensions(connote().env("CONNOTE_MODEL", &path)), 24);
    assert_eq!(dimensions(connote().env("CONNOTE_MODEL", "")), 384);
    let (stdout, _) = run(connote().arg("inspect").arg(&path).env("CONNOTE_MODEL", "other.gguf"), 0);
    assert!(String::from_utf8_lossy(&stdout).contains("tiny bert"));
}

#[test]
fn pooling_none_gives_a_list_of_vectors() {
    let (stdout, _) = run(connote().args(["embed", "hello world", "--pooling", "none"]), 0);
    let row = lines(&stdout).remove(0);
    let vectors: Vec<Vec<f32>> = serde_json::from_value(row["embedding"].clone()).expect("vectors");
    assert_eq!((vectors.len(), vectors[0].len()), (4, 384));
}

#[test]
fn similar_ranks_the_most_alike_first() {
    let texts = ["the stock market fell", "a kitten sleeps on the rug", "dogs and cats are pets"];
    let (stdout, _) = run(connote().args(["similar", "a cat on the mat"]).args(texts), 0);
    let rows = lines(&stdout);
    assert_eq!(rows[0]["text"], texts[1]);
    assert_eq!(rows[2]["text"], texts[0]);
    let scores: Vec<f64> = rows.iter().map(|row| row["score"].as_f64().expect("a number")).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 1.0);
    let (stdout, _) = run(
        connote()
            .args(["similar", "cat", "--top", "1", "--output-format", "text"])
            .write_stdin(texts.join("\n")),
        0,
    );
    assert_eq!(String::from_utf8(stdout).expect("UTF-8").lines().count(), 1);
}

#[test]
fn text_for_people_is_short() {
    let (stdout, _) = run(connote().args(["embed", "hello\nworld", "--output-format", "text"]), 0);
    let text = String::from_utf8(stdout).expect("UTF-8");
    assert!(text.contains("\"hello world\"  4 tokens, 384 values") && text.len() < 200, "{text}");
    let (stdout, _) = run(connote().args(["tokenize", "hello", "--output-format", "text"]), 0);
    assert!(String::from_utf8_lossy(&stdout).contains("[CLS]:101 hello:7592 [SEP]:102"));
}

#[test]
fn help_completions_and_manual_are_there() {
    for arguments in
        [&["--help"][..], &["embed", "--help"], &["completions", "bash"], &["completions", "zsh"], &["man"]]
    {
        let (stdout, _) = run(connote().args(arguments), 0);
        assert!(stdout.len() > 500, "{arguments:?}");
    }
    // CI builds other models in; then the help must not name this one.
    let (stdout, _) = run(connote().arg("--help"), 0);
    let says_which = String::from_utf8_lossy(&stdout).contains("all-MiniLM-L6-v2");
    assert_eq!(says_which, option_env!("CONNOTE_BUILTIN_MODEL").is_none_or(str::is_empty));
    let folder = tempfile::tempdir().expect("a folder");
    run(connote().arg("man").arg(folder.path()), 0);
    assert!(folder.path().join("connote-embed.1").is_file());
}

/// `connote embed ... | head -1` ends quietly.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Process::new(env!("CARGO_BIN_EXE_connote"))
        .args(["embed", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may leave before it has read all.
    let _ = stdin.write_all("some text\n".repeat(3000).as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stderr, b"");
}

/// A program can write a line, wait for its vector, and write the next.
#[test]
fn lines_are_answered_as_they_come() {
    use std::io::{BufRead, BufReader};
    let mut child = Process::new(env!("CARGO_BIN_EXE_connote"))
        .args(["embed", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    for id in 0..3 {
        stdin.write_all(b"one line\n").expect("written");
        let mut answer = String::new();
        stdout.read_line(&mut answer).expect("an answer");
        assert!(answer.starts_with(&format!("{{\"id\":{id},")), "{answer}");
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}
