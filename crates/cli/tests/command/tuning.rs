//! How workers and threads are chosen, from the command line: seen, set, measured and kept.

use serde_json::Value;

use super::{connote, lines, run};

fn texts() -> Vec<String> {
    (0..40).map(|at| format!("{at} cats {}", "and mats ".repeat(at % 7))).collect()
}

#[test]
fn every_policy_gives_the_same_lines() {
    let text = texts().join("\n");
    let embed = |options: &[&str]| {
        let arguments = ["embed", "--quiet", "--threads", "2"];
        lines(&run(connote().args(arguments).args(options).write_stdin(text.as_str()), 0).0)
    };
    let wanted = embed(&[]);
    assert_eq!(wanted.len(), 40);
    for options in [
        &["--policy", "table"][..],
        &["--policy", "2x1"],
        &["--policy", "3", "--preset", "throughput"],
        &["--parallelism", "matmul"],
        &["--parallelism", "texts", "--preset", "latency"],
    ] {
        assert_eq!(embed(options), wanted, "{options:?}");
    }
}

#[test]
fn explain_says_the_machine_the_plan_and_why() {
    let explain = |options: &[&str]| {
        let arguments = ["embed", "--explain", "--threads", "2"];
        let (stdout, stderr) = run(connote().args(arguments).args(options).args(texts()), 0);
        assert_eq!(lines(&stdout).len(), 40, "stdout is data");
        stderr
    };
    let said = explain(&["--policy", "4x1"]);
    for part in ["machine", "NUMA node", "policy 4x1", "40 texts", "4 workers x 1 thread", "4x1 as set"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    let said = explain(&["--parallelism", "matmul"]);
    assert!(said.contains("plan     1 worker x"), "{said}");
    // A limit of the environment is named.
    let (_, said) = run(connote().env("CONNOTE_THREADS", "1").args(["embed", "--explain", "a cat"]), 0);
    assert!(said.contains("CONNOTE_THREADS allows 1") && said.contains("1 worker x 1 thread"), "{said}");
}

#[test]
fn tune_measures_prints_the_grid_and_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let tune = |seconds: u32, options: &[&str]| {
        let mut command = connote();
        command.env("CONNOTE_CACHE_DIR", folder.path());
        run(command.args(["tune", "--threads", "2", "--seconds", &seconds.to_string()]).args(options), 0).0
    };
    // No call is begun that would not end in time, and on a machine with other work a second can be too little for any.
    let calls_in = |seconds: u32| {
        let report: Value = serde_json::from_slice(&tune(seconds, &["--json"])).expect("one document");
        assert_eq!((&report["saved"], &report["threads"]), (&true.into(), &2.into()));
        report["calls"].as_array().expect("calls").clone()
    };
    let mut tries = (0..8).map(|doubled| calls_in(1 << doubled));
    let calls = tries.find(|calls| !calls.is_empty()).expect("two minutes are enough for a call");
    for call in &calls {
        let of = |key: &str| call[key].as_f64().expect("a number");
        let rate = of("texts") * of("tokens_a_text") / of("seconds");
        assert!((of("tokens_a_second") / rate - 1.0).abs() < 1e-9, "{call}");
        let same = calls.iter().filter(|other| {
            ["texts", "tokens_a_text"].iter().all(|&key| other[key] == call[key]) && other["knee"] == true
        });
        assert_eq!(same.count(), 1, "a knee for each kind of call");
    }
    let text = String::from_utf8(tune(1, &[])).expect("text");
    assert!(text.contains("knee") && text.contains("Saved"), "{text}");
    // What was kept is what the next run goes by: the cost model has no need to measure again.
    let kept = || {
        let files = std::fs::read_dir(folder.path().join("tuning-2")).expect("a folder");
        let times =
            files.map(|file| file.expect("a file").metadata().expect("about it").modified().expect("a time"));
        times.collect::<Vec<_>>()
    };
    let before = kept();
    assert_eq!(before.len(), 1);
    let mut command = connote();
    command.env("CONNOTE_CACHE_DIR", folder.path());
    let arguments = ["embed", "--explain", "--threads", "2", "--policy", "cost-model", "a cat", "a dog"];
    let (_, said) = run(command.args(arguments), 0);
    assert!(said.contains("predicted from what was measured here"), "{said}");
    assert_eq!(kept(), before);
}

#[test]
fn what_makes_no_sense_is_said() {
    for (arguments, part) in [
        (&["embed", "--policy", "best", "a"][..], "cost-model"),
        (&["embed", "--policy", "0x1", "a"], "4x2"),
        (&["embed", "--parallelism", "both", "a"], "matmul"),
        (&["serve", "--preset", "fast"], "latency"),
        (&["tune", "--seconds", "21"], "not from 0.1 to 20"),
        (&["tune", "--seconds", "soon"], "not a number"),
        (&["tune", "--policy", "table"], "unexpected argument"),
        (&["bench", "workers", "--policy", "table"], "unexpected argument"),
    ] {
        let (_, said) = run(connote().args(arguments), 2);
        assert!(said.contains(part), "no {part} in {said}");
    }
    let (stdout, _) = run(connote().args(["tune", "--help"]), 0);
    assert!(String::from_utf8_lossy(&stdout).contains("--seconds"));
}
