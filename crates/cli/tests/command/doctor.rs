//! `connote doctor` and `connote models`.

use std::fs;

use serde_json::Value;

use super::{connote, run};

fn report(stdout: &[u8]) -> Value {
    serde_json::from_slice(stdout).expect("JSON")
}

#[test]
fn a_report_has_the_machine_the_level_and_the_models() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("broken.gguf"), b"GGUF and then nothing").expect("written");
    let mut command = connote();
    command.env("EMBED_MODELS_DIR", folder.path()).env("HF_HUB_CACHE", folder.path().join("hub"));
    command.env("HF_TOKEN", "hf_secret").env("CONNOTE_CACHE_DIR", folder.path().join("cache"));
    let (stdout, _) = run(command.args(["doctor", "--json"]), 0);
    assert!(!String::from_utf8_lossy(&stdout).contains("hf_secret"));
    let report = report(&stdout);
    let level = report["level"].as_str().expect("a level");
    let levels = report["levels"].as_array().expect("levels");
    assert!(levels.iter().any(|seen| seen["level"] == level && seen["available"] == true));
    for seen in levels {
        let lacks = seen["lacks"].as_array().expect("a list");
        assert_eq!(lacks.is_empty(), seen["available"] == true, "{seen}");
    }
    let models = report["models"].as_array().expect("models");
    assert_eq!((&models[0]["name"], &models[0]["architecture"]), (&"built in".into(), &"bert".into()));
    assert_eq!(models[1]["name"], "broken");
    assert!(models[1]["does_not_open"].is_string());
    let findings = report["findings"].as_array().expect("findings");
    assert!(
        findings
            .iter()
            .any(|finding| finding["what"].as_str().is_some_and(|what| what.contains("broken.gguf")))
    );
    let fraction = report["speed"]["fraction_of_peak"].as_f64().expect("a number");
    assert!(fraction > 0.0 && fraction <= 1.0, "{fraction}");
    for number in ["short_text_ms", "batch_tokens_a_second", "peak_gmacs"] {
        assert!(report["speed"][number].as_f64().is_some_and(|number| number > 0.0), "{number}");
    }
    // The probe of the cache folder is gone; the folder may hold the hash of a model.
    assert!(report["system"]["cache_refuses"].is_null());
}

/// The speed check is in what people read, with figures in it, and gone where it is not wanted.
#[test]
fn the_speed_check_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |more: &[&str]| {
        let mut command = connote();
        command.env("EMBED_MODELS_DIR", folder.path()).env("HF_HUB_CACHE", folder.path());
        let text = String::from_utf8(run(command.arg("doctor").args(more), 0).0).expect("UTF-8");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let text = told(&[]);
    let part = text.split("Speed of ").nth(1).unwrap_or_else(|| panic!("no speed in {text}"));
    let between = |from: &str, to: &str| -> f64 {
        let figure = part.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap_or_default();
        figure.trim().parse().unwrap_or_else(|_| panic!("no number between {from:?} and {to:?}: {part}"))
    };
    assert!(between("one short text in", "ms;") > 0.0, "{part}");
    assert!(between("ms;", "tokens a second in a batch") > 0.0, "{part}");
    let share = between("That is", "% of what the registers alone do");
    assert!((0.0..=100.0).contains(&share), "{part}");
    assert!(!told(&["--no-speed"]).contains("Speed of "));
}

#[test]
fn a_forced_level_and_a_missing_one_are_told() {
    let (stdout, _) = run(connote().env("CONNOTE_CPU", "scalar").args(["doctor", "--no-speed", "--json"]), 0);
    let told = report(&stdout);
    assert_eq!(told["level"], "scalar");
    assert!(told["speed"].is_null());
    if told["levels"]
        .as_array()
        .expect("levels")
        .iter()
        .any(|seen| seen["level"] != "scalar" && seen["available"] == true)
    {
        assert!(told["findings"].to_string().contains("CONNOTE_CPU holds this machine at scalar"));
    }
    let (stdout, _) = run(connote().env("CONNOTE_CPU", "mmx").args(["doctor", "--no-speed"]), 3);
    let text = String::from_utf8(stdout).expect("UTF-8");
    assert!(text.contains("Problem: no CPU level is called `mmx`"), "{text}");
    for more in [&["--no-speed"][..], &[]] {
        let (stdout, _) = run(connote().args(["doctor", "--model", "no-such-model"]).args(more), 3);
        let text = String::from_utf8(stdout).expect("UTF-8");
        assert!(text.contains("Problem: no-such-model: there is no such file"), "{text}");
    }
}

#[test]
fn it_works_without_a_home_and_where_nothing_can_be_written() {
    let mut command = connote();
    for name in ["HOME", "XDG_CACHE_HOME", "EMBED_MODELS_DIR", "CONNOTE_CACHE_DIR", "HF_HOME", "HF_HUB_CACHE"]
    {
        command.env_remove(name);
    }
    let (stdout, _) = run(command.args(["doctor", "--no-speed"]), 0);
    let text = String::from_utf8(stdout).expect("UTF-8");
    assert!(text.contains("no folder for caches"), "{text}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut command = connote();
    command.env("CONNOTE_CACHE_DIR", file.path().join("below"));
    let (stdout, _) = run(command.args(["doctor", "--no-speed", "--json"]), 0);
    assert!(report(&stdout)["system"]["cache_refuses"].is_string());
}

/// Runs it with at most so many KiB of addresses.
#[cfg(target_os = "linux")]
fn limited(kibibytes: u32, arguments: &str, folder: &std::path::Path) -> std::process::Output {
    let line = format!("ulimit -v {kibibytes}; exec '{}' {arguments}", env!("CARGO_BIN_EXE_connote"));
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &line]).env_remove("CONNOTE_MODEL").env_remove("CONNOTE_CPU");
    command.env("EMBED_MODELS_DIR", folder).output().expect("it runs")
}

#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_a_problem_and_not_an_end_without_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    // A file whose size alone is beyond the limit; nothing in it is read.
    let large = fs::File::create(folder.path().join("large.gguf")).expect("made");
    large.set_len(1 << 30).expect("room");
    for kibibytes in [150_000, 200_000] {
        for arguments in ["doctor", "doctor --no-speed", "doctor --json", "doctor --model large"] {
            let output = limited(kibibytes, arguments, folder.path());
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(3), "{kibibytes} {arguments}: {text}");
            assert!(text.contains("(`ulimit -v`) leaves"), "{text}");
            assert!(text.contains("large.gguf was not opened"), "{text}");
        }
    }
    let output = limited(150_000, "models", folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("     was not opened: it takes about 1.00 GiB"),
        "{text}"
    );
}

#[test]
fn the_table_says_what_each_model_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("broken.gguf"), b"GGUF and then nothing").expect("written");
    fs::write(folder.path().join("tiny.gguf"), testkit::tiny::gemma(1, testkit::tiny::GemmaKind::Causal))
        .expect("written");
    let models = |more: &[&str], folder: &std::path::Path| {
        let mut command = connote();
        command.env("EMBED_MODELS_DIR", folder).env("HF_HUB_CACHE", folder.join("hub"));
        run(command.arg("models").args(more), 0).0
    };
    let text = String::from_utf8(models(&[], folder.path())).expect("UTF-8");
    let below = |name: &str| {
        let at = text.lines().position(|line| line.trim_start().starts_with(name)).expect(name);
        text.lines().nth(at + 1).expect("a note").to_owned()
    };
    assert!(below("(built in)").contains("serves where no --model is given"), "{text}");
    assert!(below("broken").contains("does not open: "), "{text}");
    assert!(below("tiny").contains("give --pooling mean, cls or last"), "{text}");
    assert!(text.contains(&format!("In {}:", folder.path().display())), "{text}");
    let found = report(&models(&["--json"], folder.path()));
    assert_eq!((&found[2]["name"], &found[2]["needs_pooling"]), (&"tiny".into(), &true.into()));
    let mut command = connote();
    command.env("EMBED_MODELS_DIR", folder.path()).env("CONNOTE_MODEL", "tiny").arg("models");
    let named = String::from_utf8(run(&mut command, 0).0).expect("UTF-8");
    assert!(named.contains("CONNOTE_MODEL names tiny") && !named.contains("serves where no"), "{named}");
    // What is listed as built in is no name.
    let (_, stderr) = run(connote().args(["embed", "--model", "built in", "x"]), 1);
    assert!(stderr.contains("leave --model out") && stderr.lines().count() == 1, "{stderr}");
    // A folder that is not there is told.
    let nowhere = folder.path().join("nowhere");
    let text = String::from_utf8(models(&[], &nowhere)).expect("UTF-8");
    assert!(text.contains(&format!("the folder {} is not there", nowhere.display())), "{text}");
    let (stdout, _) = run(connote().env("EMBED_MODELS_DIR", &nowhere).args(["doctor", "--no-speed"]), 0);
    let text = String::from_utf8(stdout).expect("UTF-8");
    assert!(text.contains("Advice: no models are found in EMBED_MODELS_DIR"), "{text}");
}
