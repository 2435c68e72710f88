//! The benchmarks of the worker pool give every figure they promise, and their charts.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::bench::{assert_machine, assert_rate, assert_time, document, list, number};
use super::{connote, run};

/// The document of a quick run with two threads, once its chart is checked.
fn measured(bench: &str, options: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let chart = folder.path().join("chart.svg");
    let path = chart.to_str().expect("a path in UTF-8");
    let mut arguments = vec![bench, "--quick", "--threads", "2", "--chart", path];
    arguments.extend(options);
    let report = document(&arguments);
    assert_machine(&report);
    assert_eq!((&report["bench"], &report["quick"]), (&bench.into(), &true.into()));
    assert_eq!((&report["threads"], &report["model"]["name"]), (&2.into(), &"all-MiniLM-L6-v2".into()));
    assert_eq!(report["model"]["fingerprint"].as_str().map(str::len), Some(16));
    assert!(number(&report["seconds"]) > 0.0);
    assert_chart(&chart);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing unfinished is left");
    report
}

fn assert_chart(path: &Path) {
    let svg = fs::read_to_string(path).expect("a chart");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    assert!(svg.contains("all-MiniLM-L6-v2") && svg.contains("N = 2") && !svg.contains("NaN"), "{svg}");
}

/// Asserts a median within its interval.
fn assert_median(median: &Value, pairs: u64) {
    let [low, middle, high] = ["low", "median", "high"].map(|key| number(&median[key]));
    assert!(low <= middle && middle <= high, "{median}");
    assert_eq!(median["pairs"], pairs, "{median}");
}

fn assert_percentiles(of: &Value) {
    let [p50, p95, p99, max] = ["p50", "p95", "p99", "max"].map(|key| number(&of[key]));
    assert!(p50 > 0.0 && p50 <= p95 && p95 <= p99 && p99 <= max, "{of}");
    assert!(of["count"].as_u64() >= Some(1), "{of}");
}

#[test]
fn workers_over_the_matrix() {
    let report = measured("workers", &["--rounds", "2", "--batches", "8,2", "--lengths", "4,16"]);
    assert_eq!(report["rounds"], 2);
    let cells = list(&report, "cells");
    let what = |cell: &Value| ["length", "batch", "workers"].map(|key| cell[key].as_u64().expect("a count"));
    let expected: Vec<[u64; 3]> = [4, 16]
        .into_iter()
        .flat_map(|length| [2, 8].map(|batch| (length, batch)))
        .flat_map(|(length, batch)| [1, 2, 4].map(|workers| [length, batch, workers]))
        .collect();
    assert_eq!(cells.iter().map(what).collect::<Vec<_>>(), expected);
    for cell in cells {
        let [length, batch, _] = what(cell);
        assert_eq!(cell["tokens"], length * batch, "texts are of the length asked for");
        assert_rate(&cell["texts_a_second"]);
        assert_rate(&cell["tokens_a_second"]);
        assert_time(&cell["ms_a_text"]);
    }
    let knees = list(&report, "knees");
    assert_eq!(knees.len(), 4);
    assert!(knees.iter().all(|knee| [1, 2, 4].map(Some).contains(&knee["workers"].as_u64())));
}

#[test]
fn throughput_beside_latency() {
    let report = measured("tradeoff", &["--rounds", "1", "--batches", "1,4", "--lengths", "8"]);
    let settings = list(&report, "settings");
    assert_eq!(settings.len(), 6);
    for one in settings {
        assert!(number(&one["texts_a_second"]) > 0.0);
        assert_percentiles(&one["latency_ms"]);
    }
}

#[test]
fn the_automatic_choice_beside_all_others() {
    let report = measured("strategies", &["--batches", "4", "--lengths", "8,12", "--rounds", "4"]);
    let cells = list(&report, "cells");
    assert_eq!(cells.len(), 2);
    let mut within = true;
    for cell in cells {
        let ways = list(cell, "ways");
        let names: Vec<&str> = ways.iter().filter_map(|way| way["way"].as_str()).collect();
        assert_eq!(names, ["adaptive", "cost-model", "table", "1x1", "1x2", "2x1", "4x1"]);
        for way in ways {
            assert_rate(&way["texts_a_second"]);
            let rounds = way["rounds"].as_u64().expect("a count");
            assert!(
                rounds == 4 || (rounds == 3 && names[..3].iter().all(|name| way["way"] != *name)),
                "{way}"
            );
            assert_median(&way["automatic_over_it"], rounds);
            assert_median(&way["over_best_fixed"], rounds);
        }
        let best = ways.iter().find(|way| way["way"] == cell["best_fixed"]).expect("one of them");
        assert_eq!((number(&best["over_best_fixed"]["median"]), &best["rounds"]), (1.0, &4.into()));
        let worst = ways.iter().find(|way| way["way"] == cell["worst_beside"]).expect("one of them");
        assert_eq!(worst["automatic_over_it"], cell["automatic_over_it"]);
        let below = number(&cell["automatic_over_it"]["median"]) < 0.95;
        let verdicts = if below { ["probably_below", "below"] } else { ["within", "probably_within"] };
        assert!(verdicts.iter().any(|verdict| cell["verdict"] == *verdict), "{cell}");
        within &= !below;
    }
    assert_eq!(report["within_in_every_cell"], within);
}

#[test]
fn speed_ups_over_serial() {
    let options = ["--rounds", "1", "--batches", "1,3", "--lengths", "8"];
    let report = measured("serial-vs-parallel", &options);
    let runs = list(&report, "runs");
    let what = |run: &Value| {
        let [workload, way] = ["workload", "way"].map(|key| run[key].as_str().expect("a name").to_owned());
        format!("{workload}: {way}")
    };
    let workloads = [
        ("16 texts of 64 tokens", true),
        ("16 texts of 4 to 256 tokens", true),
        ("1 text of 256 tokens", false),
        ("1 text of 8 tokens", false),
        ("3 texts of 8 tokens", true),
    ];
    let ways = |many: bool| if many { vec!["1x2", "2x1", "adaptive"] } else { vec!["1x2", "adaptive"] };
    let expected: Vec<String> = workloads
        .into_iter()
        .flat_map(|(name, many)| ways(many).into_iter().map(move |way| format!("{name}: {way}")))
        .collect();
    assert_eq!(runs.iter().map(what).collect::<Vec<_>>(), expected);
    for run in runs {
        assert_time(&run["serial_seconds"]);
        assert_time(&run["seconds"]);
        assert_median(&run["speed_up"], 1);
        let efficiency = number(&run["speed_up"]["median"]) / number(&run["cpus"]);
        assert!((number(&run["efficiency"]) - efficiency).abs() < 1e-9 && efficiency > 0.0, "{run}");
    }
    assert_eq!(runs[0]["tokens"], 16 * 64);
}

#[test]
fn what_a_token_costs_and_how_soon_it_acts() {
    let report = measured("cancellation", &["--rounds", "2"]);
    let costs = list(&report, "costs");
    assert_eq!(
        costs.iter().map(|cost| cost["tokens"].as_u64()).collect::<Vec<_>>(),
        [Some(54), Some(24 * 54)]
    );
    assert_median(&costs[0]["percent"], 8);
    assert_median(&costs[1]["percent"], 2);
    let cancelled = &report["cancelled"];
    let calls = list(cancelled, "calls");
    assert_eq!(calls.len(), 4);
    let ended = ["ended_cancelled", "ended_complete"].map(|key| cancelled[key].as_u64().expect("a count"));
    assert_eq!(ended.iter().sum::<u64>(), 4);
    assert!(number(&cancelled["whole_call_ms"]) > 0.0);
    let returned = calls.iter().filter(|call| call["return_ms"].is_f64()).count();
    assert_eq!(cancelled["return_ms"]["count"].as_u64().unwrap_or(0), returned as u64);
    if cfg!(target_os = "linux") {
        assert!(calls.iter().all(|call| call["cpu_after_ms"].is_f64()), "{cancelled}");
        assert_eq!(calls.iter().filter(|call| call["stop_ms"].is_f64()).count(), returned);
    }
}

#[test]
fn a_query_beside_a_bulk_job() {
    let report = measured("priority", &["--texts", "80", "--interval-ms", "10"]);
    let bulk = &report["bulk"];
    assert_eq!((&bulk["texts"], &bulk["tokens"]), (&80.into(), &(80 * 24).into()));
    assert!(bulk["micro_batches"].as_u64() >= Some(1) && number(&bulk["layer_ms"]) > 0.0, "{bulk}");
    assert!(
        number(&bulk["texts_a_second_alone"]) > 0.0 && number(&bulk["texts_a_second_with_queries"]) > 0.0
    );
    assert_median(&bulk["loss_percent"], 1);
    assert_percentiles(&report["idle_ms"]);
    assert_percentiles(&report["busy_ms"]);
    assert_eq!((&report["query_tokens"], &report["interval_ms"]), (&8.into(), &10.0.into()));
    let bound = number(&report["idle_p99_and_two_layers_ms"]);
    let expected = number(&report["idle_ms"]["p99"]) + 2.0 * number(&bulk["layer_ms"]);
    assert!((bound - expected).abs() < 1e-9);
    assert_eq!(list(&report, "idle").len() as u64, report["idle_ms"]["count"].as_u64().expect("a count"));
    assert_eq!(list(&report, "busy").len() as u64, report["busy_ms"]["count"].as_u64().expect("a count"));
}

#[test]
fn reports_for_people() {
    let narrow = ["--quick", "--rounds", "1", "--batches", "2", "--lengths", "4"];
    for (bench, options, words) in [
        ("workers", &narrow[..], ["WORKERS", "knee", "texts/s"]),
        ("tradeoff", &narrow[..], ["TRADE-OFF", "p99 ms", "Fingerprint"]),
        ("strategies", &narrow[..], ["AUTOMATIC AGAINST FIXED", "cost-model", "In every cell"]),
        (
            "serial-vs-parallel",
            &narrow[..],
            ["SERIAL AGAINST PARALLEL", "efficiency", "1 text of 256 tokens"],
        ),
        ("cancellation", &narrow[..3], ["CARRYING A TOKEN", "until the call returns", "left alone"]),
        ("priority", &["--quick", "--texts", "64"][..], ["PRIORITY", "nothing else runs", "It loses"]),
    ] {
        let (stdout, stderr) = run(connote().args(["bench", bench]).args(options), 0);
        assert_eq!(stderr, "", "progress is for terminals");
        let report = String::from_utf8(stdout).expect("UTF-8");
        words.iter().for_each(|word| assert!(report.contains(word), "{word}:\n{report}"));
        let widest = report.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{report}");
    }
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path in UTF-8").to_owned();
    let (picture, nowhere) = (path("chart.png"), path("missing/chart.svg"));
    for (arguments, code, words) in [
        (["workers", "--rounds", "0"], 2, "--rounds"),
        (["workers", "--batches", "8,0"], 2, "--batches"),
        (["tradeoff", "--batches", "70000"], 2, "at most 65536"),
        (["strategies", "--lengths", "many"], 2, "--lengths"),
        (["strategies", "--lengths", "5000"], 2, "at most 256 tokens"),
        (["cancellation", "--batches", "8"], 2, "--batches"),
        (["priority", "--interval-ms", "0"], 2, "--interval-ms"),
        (["serial-vs-parallel", "--chart", &picture], 2, "SVG"),
        (["priority", "--chart", &nowhere], 1, "missing"),
        (["cancellation", "--chart", "/"], 2, "SVG"),
    ] {
        let (stdout, stderr) = run(connote().arg("bench").args(arguments), code);
        assert!(stdout.is_empty() && stderr.contains(words), "{arguments:?}: {stderr}");
    }
    // A run that fails after it began leaves no chart.
    let chart = path("chart.svg");
    let (_, stderr) =
        run(connote().args(["bench", "workers", "--model", "/missing.gguf", "--chart", &chart]), 1);
    assert!(stderr.contains("missing.gguf"), "{stderr}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
