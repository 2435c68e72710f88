//! What a person sees at a terminal. `script` gives the command one.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Stdio};

use testkit::tiny::{self, GemmaKind};

use super::{connote, run};

/// What the command shows at a terminal of this width.
fn shown(columns: usize, arguments: &str) -> String {
    shown_with(columns, "", arguments)
}

/// As [`shown`], with variables of its own.
fn shown_with(columns: usize, variables: &str, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_connote");
    let line = format!("stty cols {columns} rows 24; {variables} '{program}' {arguments}");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let output = command.env_remove("CONNOTE_MODEL").stdin(Stdio::null()).output().expect("script runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn inspect_wraps_at_the_terminals_width_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    fs::write(&path, tiny::gemma(1, GemmaKind::WithoutHeads)).expect("written");
    let report = shown(60, &format!("inspect '{}'", path.display()));
    assert!(report.contains("Warning: "), "{report}");
    let widest = report.lines().map(|line| line.trim_end().chars().count()).max();
    assert!((40..=60).contains(&widest.expect("lines")), "{report}");
    let (stdout, _) = run(connote().arg("inspect").arg(&path), 0);
    let whole = String::from_utf8(stdout).expect("UTF-8");
    assert!(whole.lines().any(|line| line.starts_with("Warning: ") && line.len() > 100), "{whole}");
}

#[test]
fn a_prompt_without_words_is_said_in_words() {
    let (stdout, _) = run(connote().arg("inspect"), 0);
    let report = String::from_utf8(stdout).expect("UTF-8");
    assert!(report.contains("(no words)") && !report.contains("\"\""), "{report}");
}

#[test]
fn the_summary_tells_work_from_loading() {
    let (_, stderr) = run(connote().args(["embed", "x"]), 0);
    let (work, loading) = stderr.split_once(" (and ").expect("both");
    assert!(work.contains("1 text, 3 tokens in ") && work.ends_with(" ms"), "{stderr}");
    assert!(loading.contains(" to load the model)"), "{stderr}");
}

#[test]
fn doctor_and_models_wrap_at_words() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("broken.gguf"), b"GGUF and then nothing").expect("written");
    let place = folder.path().display();
    for command in ["doctor --no-speed", "models"] {
        let line = format!("{command}; true");
        let report = shown_with(80, &format!("EMBED_MODELS_DIR='{place}' HF_HUB_CACHE='{place}/hub'"), &line);
        let why = report.split("does not open: ").nth(1).expect("a note").to_owned();
        let wide = shown_with(200, &format!("EMBED_MODELS_DIR='{place}' HF_HUB_CACHE='{place}/hub'"), &line);
        // The same words in the same order: none is cut.
        let words = |text: &str| text.split_whitespace().take(8).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&why), words(wide.split("does not open: ").nth(1).expect("a note")));
        for line in report.lines().map(str::trim_end) {
            assert!(line.chars().count() <= 80 || !line.trim().contains(' '), "{line}");
        }
    }
}

#[test]
fn hits_wrap_at_the_terminals_width() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let long = "a note that goes on for longer than any terminal is wide ".repeat(2);
    let rows: String = (0..3)
        .map(|id| {
            let embedding = if id == 0 { [1.0, 0.0] } else { [0.6, 0.8] };
            let row = serde_json::json!({"id": id, "text": long, "title": long, "embedding": embedding});
            format!("{row}\n")
        })
        .collect();
    fs::write(at("v.jsonl"), rows).expect("written");
    run(connote().args(["index", "build", "-i", &at("v.jsonl"), "-o", &at("i")]), 0);
    let report = shown(80, &format!("search --index '{}' --vector '{}'", at("i"), at("v.jsonl")));
    let widest = report.lines().map(|line| line.trim_end().chars().count()).max();
    assert!((60..=80).contains(&widest.expect("lines")), "{report}");
    assert!(report.contains("+1.0000") && report.contains("rank  score"), "{report}");
    // The query's own name, for each of three, and no JSON.
    assert!(!report.contains("\"hits\""), "{report}");
}
