//! Bulk work that is stopped on its way: killed, interrupted, out of room. It goes on, and its end is as if nothing had been.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::random::Random;

use super::bulk::{Workplace, parts_done, texts};
use super::{connote, run};

fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < Duration::from_secs(300), "{what} did not come");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for as many parts.
fn wait_for_parts(folder: &Path, parts: usize, child: &mut Child) {
    wait_until("a part", || {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was stopped");
        parts_done(folder) >= parts
    });
}

fn send(signal: &str, child: &Child) {
    let sent = Process::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// 14,000 rows with the built-in model, killed three times at moments of chance: the output is, byte for byte, that of a run
/// that nobody disturbed. `scripts/bulk/kill_test.py` does the same with 200,000 rows and ten kills.
#[test]
fn a_run_that_is_killed_goes_on() {
    let seed = std::env::var("CONNOTE_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let seed = seed.unwrap_or_else(now);
    println!("CONNOTE_KILL_SEED={seed}");
    let mut random = Random::seeded(seed);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("texts.txt"), texts(14_000)).expect("written");
    for format in ["jsonl", "parquet"] {
        let (whole, killed) = (format!("whole.{format}"), format!("killed.{format}"));
        let arguments =
            |output| ["embed", "-q", "--input", "texts.txt", "--part-rows", "1024", "--output", output];
        run(connote().current_dir(folder.path()).args(arguments(&whole)), 0);
        let parts = folder.path().join(format!("{killed}.parts"));
        let mut at = 0;
        for _ in 0..3 {
            at = (at + 1 + random.below(3)).max(parts_done(&parts));
            let mut command = Process::new(env!("CARGO_BIN_EXE_connote"));
            command.current_dir(folder.path()).env_remove("CONNOTE_MODEL").env_remove("CONNOTE_CPU");
            let mut child = command.args(arguments(&killed)).spawn().expect("it starts");
            wait_for_parts(&parts, at, &mut child);
            thread::sleep(Duration::from_millis(random.below(50) as u64));
            child.kill().expect("it is there to be killed");
            assert!(!child.wait().expect("it ends").success(), "it ended before it was killed: seed {seed}");
        }
        run(connote().current_dir(folder.path()).args(arguments(&killed)), 0);
        let read = |name: &str| fs::read(folder.path().join(name)).expect("the output");
        assert!(read(&whole) == read(&killed), "{format}: the bytes differ; seed {seed}");
        assert!(!parts.exists(), "the parts are gone");
    }
}

/// A run that is at work, and stays so.
fn at_work(here: &Workplace, arguments: &[&str]) -> Child {
    let folder = here.path("v.jsonl.parts");
    let before = parts_done(&folder);
    let mut child = here.begin(arguments);
    wait_for_parts(&folder, before + 1, &mut child);
    child
}

const SLOWLY: [&str; 8] =
    ["--input", "texts.txt", "--output", "v.jsonl", "--part-rows", "1024", "--cpu-percent", "1"];

#[test]
fn a_signal_ends_a_run_that_can_go_on() {
    let here = Workplace::with(30_000);
    let undisturbed = ["--input", "texts.txt", "--part-rows", "1024", "--output", "w.jsonl"];
    run(&mut here.embed(&undisturbed), 0);
    for signal in ["INT", "TERM"] {
        let child = at_work(&here, &SLOWLY);
        send(signal, &child);
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        let told = "rows are done and safe in v.jsonl.parts, and the same command goes on from there";
        assert!(stderr.contains(told), "{stderr}");
        assert!(!here.path("v.jsonl").exists());
    }
    let (_, stderr) = run(&mut here.embed(&SLOWLY[..6]), 0);
    assert!(stderr.contains("found done"), "{stderr}");
    assert!(here.read("v.jsonl") == here.read("w.jsonl"));
}

#[test]
fn a_second_run_is_refused_while_the_first_is_at_work() {
    let here = Workplace::with(30_000);
    let mut child = at_work(&here, &SLOWLY);
    let (_, stderr) = run(&mut here.embed(&SLOWLY), 1);
    assert!(stderr.contains("v.jsonl.parts: another run is at work in it"), "{stderr}");
    child.kill().expect("it is there to be killed");
    child.wait().expect("it ends");
    // No lock outlives who had it.
    run(&mut here.embed(&SLOWLY[..6]), 0);
}

/// The hash was taken before the first row was read; what came after it is not in it.
#[test]
fn an_input_that_changes_meanwhile_is_an_error() {
    let here = Workplace::with(30_000);
    let child = at_work(&here, &SLOWLY);
    fs::write(here.path("texts.txt"), texts(30_001)).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("texts.txt: was changed while it was read"), "{stderr}");
    assert!(!here.path("v.jsonl").exists());
    let (_, stderr) = run(&mut here.embed(&SLOWLY[..6]), 2);
    assert!(stderr.contains("the input texts.txt was "), "{stderr}");
    run(&mut here.embed(&[&SLOWLY[..6], &["--restart"]].concat()), 0);
}

/// What is written is bounded by the system, as on a full disk.
fn with_room_for(here: &Workplace, blocks: usize, arguments: &[&str], code: i32) -> String {
    let shell = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" embed \"$@\" --model tiny.gguf");
    let mut command = Process::new("sh");
    command.args(["-c", &shell, env!("CARGO_BIN_EXE_connote")]).args(arguments);
    command.current_dir(here.path("")).env_remove("CONNOTE_MODEL").stdin(Stdio::null());
    let output = command.output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

#[test]
fn a_disk_that_is_full_loses_nothing_that_was_done() {
    let here = Workplace::with(0);
    // Ids are written as they are: from row 2,500 on they are long, and so are the parts.
    let row = |row: usize| {
        let id = "x".repeat(if row < 2500 { 1 } else { 3000 });
        format!("{{\"id\": \"{id}\", \"text\": \"cat {row}\"}}\n")
    };
    fs::write(here.path("rows.jsonl"), (0..5000).map(row).collect::<String>()).expect("written");
    let arguments = |output| ["--input", "rows.jsonl", "--part-rows", "1024", "--output", output];
    run(&mut here.embed(&arguments("w.jsonl")), 0);
    // 1,500 blocks of 512 bytes: room for parts of short ids.
    let stderr = with_room_for(&here, 1500, &arguments("v.jsonl"), 1);
    let told = "; 2048 rows are done and safe in v.jsonl.parts, and the same command goes on from there";
    assert!(stderr.contains("v.jsonl.parts/part-000002.jsonl: ") && stderr.contains(told), "{stderr}");
    // Its room was given back; what was done is still there.
    assert_eq!(
        here.names("v.jsonl.parts"),
        [".lock", "manifest.json", "part-000000.jsonl", "part-000001.jsonl"]
    );
    // Room for every part, and not for all of them in one file.
    let stderr = with_room_for(&here, 9000, &arguments("v.jsonl"), 1);
    assert!(stderr.contains("v.jsonl: ") && stderr.contains("5000 rows are done"), "{stderr}");
    assert!(!here.path("v.jsonl").exists());
    run(&mut here.embed(&arguments("v.jsonl")), 0);
    assert!(here.read("v.jsonl") == here.read("w.jsonl"));
    assert!(!here.path("v.jsonl.parts").exists());
}

/// Every thread gives way, those of the engine too.
#[test]
fn nice_work_gives_way() {
    let here = Workplace::with(30_000);
    let mut child = at_work(&here, &[&SLOWLY[..], &["--nice"]].concat());
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("threads");
    let nice: Vec<String> = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .filter_map(|stat| stat.rsplit(')').next()?.split_whitespace().nth(16).map(str::to_owned))
        .collect();
    child.kill().expect("it is there to be killed");
    child.wait().expect("it ends");
    assert!(nice.len() >= 3 && nice.iter().all(|nice| nice == "19"), "{nice:?}");
}
