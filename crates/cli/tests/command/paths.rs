//! Names of files that are not UTF-8, as they come from old archives and other systems.
#![cfg(target_os = "linux")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use testkit::tiny;

use super::serve::Serving;
use super::{connote, lines, run};

/// `café` in Latin-1, and what follows.
fn cafe(rest: &str) -> OsString {
    let mut name = b"caf\xe9".to_vec();
    name.extend(rest.bytes());
    OsString::from_vec(name)
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder that is called so, too, with a model and texts in it.
    fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(this.path("")).expect("made");
        fs::write(this.path(".gguf"), tiny::bert(1)).expect("written");
        fs::write(this.path(".csv"), "id,text\n7,a cat\n8,a dog\n").expect("written");
        this
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join(cafe(""))
    }

    fn path(&self, rest: &str) -> PathBuf {
        if rest.is_empty() { self.root() } else { self.root().join(cafe(rest)) }
    }

    fn connote(&self, arguments: &[&dyn AsRef<OsStr>]) -> Command {
        let mut command = connote();
        command.current_dir(self.root()).args(arguments.iter().map(|argument| argument.as_ref()));
        command
    }

    fn run(&self, arguments: &[&dyn AsRef<OsStr>], code: i32) -> (Vec<u8>, String) {
        run(&mut self.connote(arguments), code)
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().expect("text")).collect()
}

#[test]
fn texts_come_from_such_files_and_vectors_go_to_such() {
    let place = Place::new();
    let (csv, model) = (cafe(".csv"), cafe(".gguf"));
    // Endings choose formats; in parts, as a stream, and what lies beside.
    for (ending, input) in [(".jsonl", &csv), (".parquet", &csv), (".npy", &csv)] {
        let output = cafe(ending);
        place.run(&[&"embed", &"-i", input, &"-o", &output, &"-m", &model], 0);
        let (first, name) = (fs::read(place.path(ending)).expect("the file"), output.display().to_string());
        assert!(!first.is_empty(), "{name}");
        let (_, said) = place.run(&[&"embed", &"-i", input, &"-o", &output, &"-m", &model, &"--restart"], 0);
        assert!(!said.contains("\\x"), "{said}");
        assert_eq!(fs::read(place.path(ending)).expect("the file"), first, "{name}");
    }
    assert!(place.path(".npy.meta.json").exists() && !place.path(".npy.parts").exists());
    let rows = lines(&fs::read(place.path(".jsonl")).expect("the file"));
    assert_eq!(ids(&rows), ["7", "8"]);
    // A folder of parts, by its name alone and where it is there already; and the whole of it.
    let parts = cafe("-parts/");
    for _ in 0..2 {
        place.run(&[&"embed", &"-i", &csv, &"-o", &parts, &"-m", &model], 0);
    }
    place.run(&[&"merge", &parts, &"-o", &cafe("-whole.jsonl")], 0);
    assert_eq!(
        fs::read(place.path("-whole.jsonl")).expect("it is there"),
        fs::read(place.path(".jsonl")).expect("too")
    );
    // `-` is what it was, and a pattern finds them.
    let (stdout, _) =
        run(place.connote(&[&"embed", &"-i", &"-", &"-o", &"-", &"-m", &model]).write_stdin("one\ntwo\n"), 0);
    assert_eq!(lines(&stdout).len(), 2);
    for pattern in ["*.csv", "caf?.csv", "./*.csv"] {
        let (stdout, said) = place.run(&[&"tokenize", &"-i", &pattern], 0);
        assert_eq!(lines(&stdout).len(), 2, "{pattern}: {said}");
    }
    for command in [&["tokenize"][..], &["similar", "a cat"]] {
        let arguments: Vec<&dyn AsRef<OsStr>> =
            command.iter().map(|word| word as &dyn AsRef<OsStr>).collect();
        let output = cafe("-rows.jsonl");
        place.run(&[&arguments[..], &[&"-i", &csv, &"-o", &output, &"-m", &model]].concat(), 0);
        assert_eq!(lines(&fs::read(place.path("-rows.jsonl")).expect("the file")).len(), 2);
    }
}

#[test]
fn collections_models_and_documents_may_be_called_so() {
    let place = Place::new();
    let (csv, model) = (cafe(".csv"), cafe(".gguf"));
    place.run(&[&"embed", &"-i", &csv, &"-o", &cafe(".arrow"), &"-m", &model], 0);
    place.run(&[&"index", &"build", &"-i", &cafe(".arrow"), &"-o", &cafe("-notes")], 0);
    let (stdout, _) = place.run(&[&"search", &"--index", &cafe("-notes"), &"-m", &model, &"a cat"], 0);
    assert_eq!(lines(&stdout)[0]["hits"][0]["id"], "7");
    // What is JSON stays JSON, with the name as messages show it.
    let one = |arguments: &[&dyn AsRef<OsStr>], pointer: &str| {
        let (stdout, said) = place.run(arguments, 0);
        let document: Value =
            serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        let name = document.pointer(pointer).and_then(Value::as_str).expect("a name").to_owned();
        assert!(name.contains("caf\u{fffd}"), "{name}");
    };
    one(&[&"verify", &model, &"--json"], "/path");
    one(&[&"inspect", &model, &"--json"], "/files/0");
    one(&[&"quantize", &model, &cafe("-small.gguf"), &"Q8_0", &"--json"], "/path");
    fs::write(place.path(".tsv"), "1\ta cat\ta dog\n2\tone\ttwo\n3\tx\ty\n4\tx x\ty\n5\tq\tr\n")
        .expect("written");
    one(&[&"eval", &"sts", &cafe(".tsv"), &"-m", &model, &"--json"], "/files/0/file");
    let mut command = place.connote(&[&"doctor", &"--json", &"--no-speed"]);
    let cache = place.path("-cache");
    command.env("EMBED_MODELS_DIR", place.root()).env("CONNOTE_CACHE_DIR", &cache);
    let document: Value = serde_json::from_slice(&run(&mut command, 0).0).expect("JSON");
    assert_eq!(document["system"]["cache"], cache.display().to_string());
    // By its name alone, without the ending.
    let mut command = place.connote(&[&"embed", &"x", &"-m", &cafe("")]);
    run(command.current_dir("/").env("EMBED_MODELS_DIR", place.root()), 0);
}

#[test]
fn what_is_wrong_with_them_is_told_with_their_names() {
    let place = Place::new();
    for (arguments, code, told) in [
        (vec![cafe("-no.csv")], 1, "caf\u{fffd}-no.csv: "),
        (vec![cafe("-*.csv")], 2, "caf\u{fffd}-*.csv: there is no such file, and a pattern must be UTF-8"),
        (vec![cafe(".csv"), "-o".into(), cafe(".xlsx")], 2, "caf\u{fffd}.xlsx: files ending in `xlsx`"),
        (
            vec![cafe(".csv"), "-o".into(), cafe(".csv")],
            2,
            "caf\u{fffd}.csv: the texts are read from this file",
        ),
    ] {
        let mut command = place.connote(&[&"embed", &"-m", &cafe(".gguf"), &"-i"]);
        let (stdout, said) = run(command.args(&arguments), code);
        assert!(stdout.is_empty() && said.contains(told), "{arguments:?}: {said}");
    }
    assert_eq!(fs::read(place.path(".csv")).expect("still there"), b"id,text\n7,a cat\n8,a dog\n");
}

#[test]
fn a_server_takes_such_a_model_with_an_alias_or_without() {
    let place = Place::new();
    let path = place.path(".gguf");
    let mut named = OsString::from("notes=");
    named.push(&path);
    for model in [named, path.into_os_string()] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_connote"));
        command.args(["serve", "--port", "0", "--model"]).arg(&model);
        let server = Serving::started(command, None);
        assert!(server.get("/props").contains("caf\u{fffd}.gguf"));
        let is_named = server.get("/v1/models").contains("\"notes\"");
        assert_eq!(is_named, model.as_bytes().starts_with(b"notes="));
    }
    let mut wrong = cafe("=");
    wrong.push(Path::new("x.gguf"));
    let (_, said) = run(connote().args(["serve", "--model"]).arg(wrong), 2);
    assert!(said.contains("--model caf\u{fffd}=...") && said.contains("another alias"), "{said}");
}
