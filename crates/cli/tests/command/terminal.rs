//! What a person sees at a terminal. `script` gives the command one.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use testkit::tiny::{self, GemmaKind};

use super::bulk::Workplace;
use super::{connote, lines, run};

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

/// A run that takes a while, so that there is something to tell.
const SLOWLY: &str =
    "embed --model tiny.gguf --input texts.txt --output v.jsonl --part-rows 1024 --cpu-percent 1";

/// Texts that last: a share of the CPUs is more work where there are more of them.
fn many_texts() -> usize {
    60_000 * std::thread::available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(2))
}

/// Begun at a terminal; what is written to its stdin are keys.
fn at_terminal(here: &Workplace, arguments: &str) -> Child {
    let line = format!("stty cols 120 rows 24; '{}' {arguments}", env!("CARGO_BIN_EXE_connote"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(here.path(""));
    command.env_remove("CONNOTE_MODEL").env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("script runs")
}

/// Reads on until all of `what` was shown.
fn read_until(from: &mut impl Read, what: &[&str]) -> String {
    let (mut shown, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&shown).into_owned();
        if what.iter().all(|what| text.contains(what)) {
            return text;
        }
        let read = from.read(&mut some).expect("it can be read");
        assert!(read > 0, "it ended before {what:?} was shown: {text}");
        shown.extend_from_slice(&some[..read]);
    }
}

/// A bar with rows, speed, time left and memory; Ctrl-C there is a signal as any other.
#[test]
fn at_a_terminal_progress_is_a_bar() {
    let here = Workplace::with(many_texts());
    let mut child = at_terminal(&here, SLOWLY);
    let mut stdout = child.stdout.take().expect("a pipe");
    let bar = read_until(&mut stdout, &["%  ", " rows, ", " tokens/s, about ", " left, ", "MiB of memory"]);
    // It is drawn over itself, again and again, and no line of it stays.
    assert!(bar.contains("\u{1b}[") && bar.contains('░'), "{bar:?}");
    assert!(
        !bar.lines().any(|line| line.trim_end().ends_with("of memory") && !line.contains('░')),
        "{bar:?}"
    );
    child.stdin.take().expect("a pipe").write_all(b"\x03").expect("pressed");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest}");
    assert!(rest.contains("rows are done and safe in v.jsonl.parts"), "{rest}");
}

/// The first line comes after ten seconds.
#[test]
fn without_a_terminal_progress_is_plain_lines() {
    let all = many_texts();
    let here = Workplace::with(all);
    let mut child = here.begin(&SLOWLY.split(' ').skip(3).collect::<Vec<_>>());
    let told = read_until(child.stderr.as_mut().expect("a pipe"), &[" of memory\n"]);
    child.kill().expect("it is there to be killed");
    child.wait().expect("it ends");
    let line = told.lines().find(|line| line.contains(" tokens/s, about ")).expect("a line");
    let rows: u64 = line.split_once(" rows, ").expect("rows").0.parse().expect("a number");
    assert!(rows > 0 && rows < all as u64 && line.contains(" left, "), "{line}");
    assert!(!told.contains('\u{1b}') && !told.contains('\r') && !told.contains('░'), "{told:?}");
}

/// On its way a run says how far it is and how long it will take.
#[test]
fn programs_are_told_on_the_way() {
    let all = many_texts();
    let here = Workplace::with(all);
    // Some is done already, and is counted as rows but not as work.
    let arguments: Vec<&str> = SLOWLY.split(' ').skip(3).chain(["--progress", "json"]).collect();
    let on_its_way = |least: u64| {
        let mut child = here.begin(&arguments);
        let objects = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let object = objects
            .map(|line| lines(line.expect("UTF-8").as_bytes()).remove(0))
            .find(|object| object["committed"].as_u64() > Some(least))
            .expect("it ended without a word");
        child.kill().expect("it is there to be killed");
        child.wait().expect("it ends");
        object
    };
    let (mut before, mut tokens_a_row) = (0, None);
    for _ in 0..2 {
        let object = on_its_way(before);
        let count = |key: &str| object[key].as_u64().unwrap_or_else(|| panic!("no {key}: {object}"));
        let number = |key: &str| object[key].as_f64().unwrap_or_else(|| panic!("no {key}: {object}"));
        let (rows, committed) = (count("rows"), count("committed"));
        assert!(committed > before && committed <= rows && rows < all as u64, "{object}");
        assert!(committed % 1024 == 0 && object["done"] == false && object["failed"] == 0, "{object}");
        assert!(count("tokens") > 0 && count("resident_bytes") > 1 << 20, "{object}");
        let rate = count("tokens") as f64 / number("seconds");
        assert!((number("tokens_per_second") / rate - 1.0).abs() < 1e-6, "{object}");
        // Lines are about as long as each other: what is left takes as long a row as what was done in this run.
        let a_row = *tokens_a_row.get_or_insert(count("tokens") as f64 / rows as f64);
        let done = count("tokens") as f64 / a_row;
        let expected = number("seconds") * (all as u64 - rows) as f64 / done;
        assert!((0.7..1.4).contains(&(number("eta_seconds") / expected)), "{object}: {expected}");
        before = committed;
    }
}
