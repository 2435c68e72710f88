//! `connote pull` and names of models, against a server that plays the hub.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;
use testkit::tiny;

use super::fake_hub::{FakeHub, Fault};
use super::{connote, lines, run};

struct Scene {
    hub: FakeHub,
    home: TempDir,
}

impl Scene {
    /// A hub with the files that the help's examples name, which are small models of random weights.
    fn new() -> Self {
        let scene = Self { hub: FakeHub::start(), home: tempfile::tempdir().expect("a folder") };
        for (repo, file) in [
            ("ggml-org/embeddinggemma-300M-GGUF", "embeddinggemma-300M-Q8_0.gguf"),
            ("second-state/All-MiniLM-L6-v2-Embedding-GGUF", "all-MiniLM-L6-v2-Q8_0.gguf"),
            ("CompendiumLabs/bge-small-en-v1.5-gguf", "bge-small-en-v1.5-q8_0.gguf"),
        ] {
            scene.hub.put(repo, file, &tiny::bert(1));
        }
        scene
    }

    fn connote(&self) -> Command {
        let mut command = connote();
        for name in [
            "HF_TOKEN",
            "HF_HUB_CACHE",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
            "HF_HUB_OFFLINE",
            "CONNOTE_OFFLINE",
        ] {
            command.env_remove(name);
        }
        command
            .env("HF_ENDPOINT", &self.hub.endpoint)
            .env("HF_HOME", self.home.path())
            .env("EMBED_MODELS_DIR", self.home.path().join("models"));
        command
    }

    fn connections(&self) -> usize {
        self.hub.state().connections
    }
}

#[test]
fn the_examples_of_the_help_run() {
    let scene = Scene::new();
    let (help, _) = run(scene.connote().args(["pull", "--help"]), 0);
    let help = String::from_utf8(help).expect("UTF-8");
    let joined =
        help.split("Examples:").nth(1).expect("examples").split_whitespace().collect::<Vec<_>>().join(" ");
    let examples: Vec<&str> = joined.split("connote ").filter(|example| !example.is_empty()).collect();
    assert_eq!(examples.len(), 4, "{examples:?}");
    for example in examples {
        let (stdout, _) = run(scene.connote().args(example.split_whitespace()), 0);
        let stdout = String::from_utf8(stdout).expect("UTF-8");
        if !example.contains("--list") {
            assert!(Path::new(stdout.trim()).is_file(), "{example}: {stdout}");
        }
    }
}

#[test]
fn a_model_is_pulled_described_and_then_needs_no_network() {
    let scene = Scene::new();
    scene.hub.fail(Fault::Status(503, &[]));
    let (stdout, stderr) = run(scene.connote().args(["pull", "minilm"]), 0);
    let path = String::from_utf8(stdout).expect("UTF-8").trim().to_owned();
    assert_eq!(fs::read(&path).expect("the file"), tiny::bert(1));
    for told in ["trying again", "its checksum is right", "bert", "licence", "fingerprint"] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    let connections = scene.connections();
    let repo = "second-state/All-MiniLM-L6-v2-Embedding-GGUF";
    let by_path = run(scene.connote().args(["embed", "a cat", "--model", &path]), 0).0;
    for name in ["minilm", repo, &format!("{repo}:Q8_0"), &format!("hf.co/{repo}@main")] {
        assert_eq!(run(scene.connote().args(["embed", "a cat", "--model", name]), 0).0, by_path, "{name}");
        run(scene.connote().args(["--offline", "tokenize", "a cat", "--model", name]), 0);
        let (stdout, _) = run(scene.connote().args(["pull", "--offline", name]), 0);
        assert_eq!(String::from_utf8(stdout).expect("UTF-8").trim(), path);
    }
    assert_eq!(scene.connections(), connections, "only pull goes to the network");
}

#[test]
fn offline_opens_no_connection_and_a_missing_model_says_how_to_get_it() {
    let scene = Scene::new();
    for variable in ["HF_HUB_OFFLINE", "CONNOTE_OFFLINE"] {
        let (_, stderr) = run(scene.connote().env(variable, "1").args(["pull", "minilm"]), 1);
        assert!(stderr.contains("offline") && stderr.lines().count() == 1, "{stderr}");
    }
    run(scene.connote().args(["pull", "minilm", "--offline"]), 1);
    for name in ["minilm", "org/repo:Q8_0"] {
        let (_, stderr) = run(scene.connote().args(["embed", "x", "--model", name]), 1);
        assert!(stderr.contains(&format!("`connote pull {name}` fetches it")), "{stderr}");
    }
    assert_eq!(scene.connections(), 0);
}

#[test]
fn progress_and_results_are_read_by_programs() {
    let scene = Scene::new();
    let (stdout, stderr) = run(scene.connote().args(["pull", "minilm", "--json", "--progress", "json"]), 0);
    let row = &lines(&stdout)[0];
    assert_eq!(row["model"]["architecture"], "bert");
    assert!(Path::new(row["path"].as_str().expect("a path")).is_file());
    let objects = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events: Vec<String> =
        objects.map(|object| object["event"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(events, ["chosen", "begun", "came", "done"]);
    let (stdout, stderr) = run(scene.connote().args(["pull", "minilm", "--quiet"]), 0);
    assert!(!stdout.is_empty() && stderr.is_empty(), "{stderr}");
    let (stdout, _) = run(scene.connote().args(["pull", "--list", "--json"]), 0);
    assert_eq!(lines(&stdout).len(), hub_rows());
}

fn hub_rows() -> usize {
    let table = include_str!("../../../hub/src/short_names.rs");
    table.matches("ShortName {\n        names:").count()
}

#[test]
fn wrong_use_is_refused_in_a_line() {
    let scene = Scene::new();
    scene.hub.put("org/repo", "a-Q8_0.gguf", b"no model");
    scene.hub.put("org/repo", "b-Q8_0.gguf", b"x");
    for (arguments, code, why) in [
        (&["pull"][..], 2, "required"),
        (&["pull", "qwen"], 2, "short name"),
        (&["pull", "org/repo"], 2, "a-Q8_0.gguf, b-Q8_0.gguf"),
        (&["pull", "org/none"], 1, "no such model"),
        (&["pull", "org/repo/a-Q8_0.gguf"], 1, "cannot run it"),
    ] {
        let (_, stderr) = run(scene.connote().args(arguments), code);
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
    let (_, stderr) = run(scene.connote().env("HF_ENDPOINT", "nowhere").args(["pull", "minilm"]), 2);
    assert!(stderr.contains("HF_ENDPOINT"), "{stderr}");
    #[cfg(not(feature = "hub"))]
    {
        let (_, stderr) = run(scene.connote().env_remove("HF_ENDPOINT").args(["pull", "minilm"]), 1);
        assert!(
            stderr.contains("--features hub")
                && stderr.contains("curl -fL")
                && stderr.contains("--model all-minilm-l6-v2"),
            "{stderr}"
        );
        // And the file, where that line puts it, is found.
        let models = scene.home.path().join("models");
        fs::create_dir_all(&models).expect("a folder");
        fs::write(models.join("all-MiniLM-L6-v2-Q8_0.gguf"), tiny::bert(1)).expect("written");
        run(scene.connote().args(["tokenize", "x", "--model", "all-minilm-l6-v2"]), 0);
    }
}
