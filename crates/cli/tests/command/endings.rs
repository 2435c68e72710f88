//! How a run ends: its exit code where nobody hears it, and what a signal leaves behind.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use testkit::tiny::{self, GemmaKind};

#[test]
fn a_deaf_stderr_changes_no_exit_code_and_loses_no_output() {
    let folder = tempfile::tempdir().expect("a folder");
    // Warnings are said before anything else is.
    let warned = folder.path().join("tiny.gguf");
    fs::write(&warned, tiny::gemma(1, GemmaKind::WithoutHeads)).expect("written");
    let warned = warned.to_str().expect("UTF-8");
    let rows = folder.path().join("rows.jsonl");
    fs::write(&rows, "{\"text\": \"x\"}\nno JSON\n").expect("written");
    let rows = rows.to_str().expect("UTF-8");
    for (arguments, code, lines) in [
        (&["embed", "x"][..], 0, 1),
        (&["embed", "x", "--model", warned], 0, 1),
        (&["similar", "x", "--input", "/dev/null"], 0, 0),
        (&["embed", "x", "--model", "/no/such.gguf"], 1, 0),
        (&["embed", "x", "--dimensions", "5"], 2, 0),
        (&["embed", "x", "--pooling", "max"], 2, 0),
        (&["embed", "--input", rows], 3, 2),
    ] {
        for redirect in ["2>&-", "2>/dev/full"] {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec \"$0\" \"$@\" {redirect}"), env!("CARGO_BIN_EXE_connote")]);
            let output = shell.args(arguments).env_remove("CONNOTE_MODEL").output().expect("it runs");
            assert_eq!(output.status.code(), Some(code), "{arguments:?} {redirect}");
            let count = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(count, lines, "{arguments:?} {redirect}");
        }
    }
}

/// A run that writes to `output` and waits for its next line. `signals` says how it takes them. What it keeps for a
/// while would lie in the same folder.
fn waiting(output: &Path, signals: &str) -> Child {
    let mut command = Command::new("env");
    command.arg(signals).arg(env!("CARGO_BIN_EXE_connote")).args(["embed", "--output"]).arg(output);
    command.env("TMPDIR", output.parent().expect("a folder"));
    command.env_remove("CONNOTE_MODEL").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.as_mut().expect("a pipe").write_all(b"one line\n").expect("written");
    let begun = || files(output.parent().expect("a folder")).iter().any(|name| name.ends_with(".part"));
    wait_for(|| begun().then_some(()), "the unfinished file");
    child
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn wait_for<T>(mut ready: impl FnMut() -> Option<T>, what: &str) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

fn ended(child: &mut Child) -> ExitStatus {
    wait_for(|| child.try_wait().expect("a child"), "its end")
}

#[test]
fn a_signal_leaves_nothing_behind() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = tempfile::tempdir().expect("a folder");
        let output = folder.path().join("vectors.jsonl");
        fs::write(&output, "what was there\n").expect("written");
        let mut child = waiting(&output, "--default-signal=INT,TERM,HUP");
        // A row that fails begins a list.
        child.stdin.as_mut().expect("a pipe").write_all(b"\xff\n").expect("it reads");
        let unfinished = files(folder.path()).into_iter().find(|name| name.ends_with(".part"));
        let unfinished = folder.path().join(unfinished.expect("it has begun"));
        let failed = || fs::read_to_string(&unfinished).is_ok_and(|lines| lines.contains("error"));
        wait_for(|| failed().then_some(()), "the row that failed");
        send(signal, &child);
        assert_eq!(ended(&mut child).code(), Some(130), "{signal}");
        let stderr = child.wait_with_output().expect("it has ended").stderr;
        let said = format!("interrupted; nothing was written to {}", output.display());
        assert!(String::from_utf8_lossy(&stderr).contains(&said), "{signal}");
        assert_eq!(files(folder.path()), ["vectors.jsonl"], "{signal}");
        assert_eq!(fs::read_to_string(&output).expect("the file"), "what was there\n");
    }
}

/// As under `nohup`, or in the background of a script. The other signals still end the run.
#[test]
fn a_signal_that_is_ignored_stays_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("vectors.jsonl");
    let mut child = waiting(&output, "--ignore-signal=INT,HUP");
    send("HUP", &child);
    send("INT", &child);
    child.stdin.as_mut().expect("a pipe").write_all(b"another\n").expect("it still reads");
    drop(child.stdin.take());
    assert!(ended(&mut child).success());
    assert_eq!(fs::read_to_string(&output).expect("the file").lines().count(), 2);

    let output = folder.path().join("others.jsonl");
    let mut child = waiting(&output, "--ignore-signal=INT,HUP");
    send("TERM", &child);
    assert_eq!(ended(&mut child).code(), Some(130));
    assert_eq!(files(folder.path()), ["vectors.jsonl", "vectors.jsonl.meta.json"]);
}

/// Two runs to one name do not write into each other's file: the last to end is what stays.
#[test]
fn two_runs_to_one_file_do_not_mix() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("vectors.jsonl");
    let mut first = waiting(&output, "--default-signal=INT");
    let mut second = waiting(&output, "--default-signal=INT");
    wait_for(|| (files(folder.path()).len() == 2).then_some(()), "the second unfinished file");
    first.stdin.as_mut().expect("a pipe").write_all(b"two\nthree\n").expect("written");
    for (child, rows) in [(&mut first, 3), (&mut second, 1)] {
        drop(child.stdin.take());
        assert!(ended(child).success());
        assert_eq!(fs::read_to_string(&output).expect("the file").lines().count(), rows);
    }
    assert_eq!(files(folder.path()), ["vectors.jsonl", "vectors.jsonl.meta.json"]);
}

/// Data that cannot be written is a failure.
#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").expect("it is there");
    let mut command = Command::new(env!("CARGO_BIN_EXE_connote"));
    let status = command.args(["embed", "-q", "x"]).env_remove("CONNOTE_MODEL").stdout(full).status();
    assert_eq!(status.expect("it runs").code(), Some(1));
}
