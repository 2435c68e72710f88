//! `connote bench` gives every figure it promises. How fast anything is, no test may ask.

use std::process::Stdio;

use connote::kernels::{Kernels, Level};
use serde_json::Value;
use testkit::tiny;

use super::{connote, lines, run};

/// The one document that a benchmark prints.
pub(super) fn document(arguments: &[&str]) -> Value {
    let (stdout, stderr) = run(connote().arg("bench").args(arguments).arg("--json"), 0);
    assert_eq!(stderr, "", "progress is for terminals");
    let mut documents = lines(&stdout);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list `{key}` in {value}"))
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Asserts a figure of which `best` is at least as good as `median`, more being better.
pub(super) fn assert_rate(figure: &Value) {
    let (best, median) = (number(&figure["best"]), number(&figure["median"]));
    assert!(median > 0.0 && best >= median && best.is_finite(), "{figure}");
}

/// The same of a time.
pub(super) fn assert_time(figure: &Value) {
    let (best, median) = (number(&figure["best"]), number(&figure["median"]));
    assert!(best > 0.0 && median >= best && median.is_finite(), "{figure}");
}

pub(super) fn assert_machine(report: &Value) {
    let machine = &report["machine"];
    assert!(machine["cpu"].as_str().is_some_and(|cpu| !cpu.is_empty()), "{machine}");
    assert!(machine["topology"]["cores"].as_u64() >= Some(1), "{machine}");
    assert_eq!(machine["connote"], env!("CARGO_PKG_VERSION"));
    let date = machine["date"].as_str().expect("a date");
    assert!(date.starts_with("20") && date.ends_with('Z') && date.len() == 20, "{date}");
    let levels: Vec<&str> = Level::available().map(Level::name).collect();
    assert_eq!(machine["levels"], serde_json::json!(levels));
}

#[test]
fn kernels_at_the_levels_asked_for() {
    let fastest = Level::available().last().expect("scalar at least");
    let mut asked = vec![Level::Scalar, fastest];
    asked.dedup();
    // Backwards, and one twice: the report has each once, plainest first.
    let report = document(&[
        "kernels",
        "--quick",
        "--level",
        fastest.name(),
        "--level",
        "scalar",
        "--level",
        "scalar",
    ]);
    assert_machine(&report);
    assert_eq!((&report["bench"], &report["threads"]), (&"kernels".into(), &1.into()));
    let levels = list(&report, "levels");
    assert_eq!(levels.len(), asked.len());
    for (level, asked) in levels.iter().zip(asked) {
        assert_eq!(level["level"], asked.name());
        let kernels = Kernels::of(asked).expect("it is available");
        assert_eq!(list(level, "peaks").len(), kernels.peaks.len());
        list(level, "peaks").iter().for_each(|peak| assert_rate(&peak["gmacs"]));
        for peak in kernels.peaks {
            let layout = peak.layout.name();
            let products = list(level, "products").iter().filter(|product| product["layout"] == layout);
            assert!(products.count() >= 4, "{layout} products at {asked}");
            let kept_as = |what: &str| {
                let is =
                    |product: &&serde_json::Value| product["layout"] == layout && product["kept_as"] == what;
                list(level, "products").iter().filter(is).count() > 0
            };
            assert!(kept_as(layout), "{layout} products at {asked}");
            let bytes = layout == "i16" && kernels.byte_rows > 0;
            let floats = layout == "f32" && kernels.keeps_float16;
            for (what, is_kept) in
                [("bytes", bytes), ("bytes and offsets", bytes), ("f16", floats), ("bf16", floats)]
            {
                assert_eq!(kept_as(what), is_kept, "{what}: {layout} at {asked}");
            }
        }
        let all = list(level, "products").iter().chain(list(level, "attention"));
        for product in all {
            assert_rate(&product["gmacs"]);
            assert!(number(&product["fraction_of_peak"]) > 0.0, "{product}");
        }
        let functions = list(level, "row_functions");
        assert!(functions.len() >= 15);
        functions.iter().for_each(|function| assert_time(&function["nanoseconds_a_value"]));
    }
}

#[test]
fn a_level_that_this_machine_lacks_is_wrong_use() {
    let Some(lacking) = Level::ALL.iter().find(|level| !level.is_available()) else { return };
    let (stdout, stderr) = run(connote().args(["bench", "kernels", "--level", lacking.name()]), 2);
    assert!(stdout.is_empty() && stderr.contains(lacking.name()) && stderr.contains("scalar"), "{stderr}");
}

#[test]
fn the_builtin_model() {
    let report = document(&["model", "--quick", "--threads", "1"]);
    assert_machine(&report);
    assert_eq!((&report["bench"], &report["threads"]), (&"model".into(), &1.into()));
    let model = &report["model"];
    assert_eq!((&model["name"], &model["dimensions"]), (&"all-MiniLM-L6-v2".into(), &384.into()));
    assert_eq!(model["fingerprint"].as_str().map(str::len), Some(16));
    let layouts: f64 = list(model, "layouts").iter().map(|layout| number(&layout["macs_a_token"])).sum();
    assert_eq!(layouts, number(&model["macs_a_token"]));
    let workloads = list(&report, "workloads");
    let names: Vec<&str> = workloads.iter().filter_map(|one| one["workload"].as_str()).collect();
    assert_eq!(
        names,
        [
            "single_short",
            "single_long",
            "single_xlong",
            "batch96_short",
            "batch96_long",
            "batch16_xlong",
            "mixed64"
        ]
    );
    for one in workloads {
        assert_time(&one["seconds"]);
        assert_rate(&one["tokens_a_second"]);
    }
    // 256 tokens are the model's limit.
    assert_eq!((&workloads[0]["tokens"], &workloads[5]["tokens"]), (&11.into(), &4096.into()));
    assert_eq!((&workloads[4]["texts_cut"], &workloads[5]["texts_cut"]), (&0.into(), &16.into()));

    let shares = &report["shares"];
    assert_eq!(shares["tokens"], workloads[4]["tokens"]);
    let kinds: f64 = list(shares, "work").iter().map(|work| number(&work["share"])).sum();
    assert!((kinds - 1.0).abs() < 1e-9, "{shares}");
    let products = &shares["products"];
    let product_share = 1.0 - number(&shares["rest_share"]);
    assert!(product_share > 0.0 && product_share < 1.0, "{shares}");
    assert!(number(&products["gmacs"]) > 0.0 && number(&products["macs"]) > 0.0);
    if Level::chosen() != Ok(Level::Scalar) {
        assert!(number(&products["fraction_of_peak"]) > 0.0, "{products}");
    }
    assert!(number(&report["opening"]["second"]) > 0.0);
    if cfg!(target_os = "linux") {
        let memory = &report["memory"];
        let (after, peak) = (number(&memory["resident_after_workloads"]), number(&memory["resident_peak"]));
        assert!(number(&memory["packed_weights"]) < after && after <= peak, "{memory}");
    }
}

#[test]
fn people_get_tables_that_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, tiny::bert(1)).expect("written");
    let (stdout, stderr) = run(connote().args(["bench", "model", "--quick", "--model"]).arg(&path), 0);
    assert_eq!(stderr, "");
    let report = String::from_utf8(stdout).expect("UTF-8");
    for what in ["SPEED", "mixed64", "lost their end", "matrix products", "Register peak", "Fingerprint"] {
        assert!(report.contains(what), "{what}:\n{report}");
    }
    let widest = report.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{report}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_connote"));
    command.args(["bench", "kernels", "--quick", "--level", "scalar"]).env_remove("CONNOTE_CPU");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
