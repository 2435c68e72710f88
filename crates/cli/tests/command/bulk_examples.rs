//! The examples of docs/BULK.md, docs/TOKENS.md and docs/SEARCH.md, run as they stand; those of `--help` are in `help_examples`.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command as Process;

use super::{connote, run};

/// What the examples name.
fn files(folder: &Path) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("written");
    write("lines.txt", "a cat\na dog\n");
    write("texts.jsonl", "{\"text\": \"a cat\", \"id\": 1}\n{\"text\": \"a dog\", \"id\": 2}\n");
    write("notes.csv", "key,title,body\na,Cats,They sleep.\nb,Dogs,\"They run, too.\"\n");
    write("messages.csv", "message\nit began\nit ended\n");
    fs::create_dir(folder.join("logs")).expect("made");
    let columns = ["--input", "messages.csv", "--text-column", "message", "--keep", "message"];
    for log in ["logs/a.parquet", "logs/b.parquet"] {
        run(connote().current_dir(folder).arg("embed").args(columns).args(["--output", log]), 0);
    }
    write(
        "notes.jsonl",
        "{\"text\": \"plants eat light\", \"lang\": \"en\"}\n{\"text\": \"cats sleep\", \"lang\": \"en\"}\n",
    );
    // Debian's packages, a few of them: what their description says is made into texts by the script that the document names.
    let package =
        |n: usize| format!("Package: p{n}\nSection: misc\nDescription: package number {n}\n more of it\n\n");
    write("dumpavail", &(0..40).map(package).collect::<String>());
    fs::create_dir(folder.join("bin")).expect("made");
    write("bin/apt-cache", "#!/bin/sh\n[ \"$*\" = dumpavail ] && cat dumpavail\n");
    fs::set_permissions(folder.join("bin/apt-cache"), Permissions::from_mode(0o755)).expect("executable");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    symlink(scripts.canonicalize().expect("the scripts"), folder.join("scripts")).expect("linked");
    // The model that is named stands for any.
    let model = testkit::models::builtin();
    fs::copy(model, folder.join("embeddinggemma-300m-Q8_0.gguf")).expect("copied");
}

/// Runs a line of a shell where `connote` is this one.
fn shell(folder: &Path, line: &str) {
    let connote = Path::new(env!("CARGO_BIN_EXE_connote"));
    let path = format!(
        "{}:{}:{}",
        folder.join("bin").display(),
        connote.parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut command = Process::new("sh");
    command.args(["-c", line]).current_dir(folder).env("PATH", path).env_remove("CONNOTE_MODEL");
    let output = command.env("EMBED_MODELS_DIR", folder).output().expect("a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_examples_of_the_documents_run() {
    for (name, count) in [("BULK.md", 4), ("TOKENS.md", 3), ("SEARCH.md", 2)] {
        let folder = tempfile::tempdir().expect("a folder");
        files(folder.path());
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        let document = fs::read_to_string(document).expect("the document");
        let blocks: Vec<&str> =
            document.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(blocks.len() >= count, "{name}: {} blocks", blocks.len());
        blocks.iter().for_each(|block| shell(folder.path(), &format!("set -e\n{block}")));
    }
}
