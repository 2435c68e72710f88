//! Every command's `--help` has examples, and they run as they stand there.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{golden, tiny};

use super::serve::Serving;
use super::{connote, lines, run};

/// Commands whose examples need more than files around them: the tests that run them, in a file of this folder, look at what they
/// gave, too.
const RUN_ELSEWHERE: [(&str, &str); 5] = [
    ("adapt", "adapt.rs"),
    ("convert", "convert.rs"),
    ("pull", "pull.rs"),
    ("quantize", "convert.rs"),
    ("rerank", "rerank.rs"),
];

/// The programs that examples begin with.
const PROGRAMS: [&str; 5] = ["connote ", "curl ", "cut ", "grep ", "gzip "];

fn help(command: &[String]) -> String {
    let (help, _) = run(connote().args(command).arg("--help"), 0);
    String::from_utf8(help).expect("UTF-8")
}

/// All commands with what is below them, as the help of each lists them.
fn commands() -> Vec<Vec<String>> {
    fn below(command: Vec<String>, all: &mut Vec<Vec<String>>) {
        let help = help(&command);
        let list =
            help.split_once("\nCommands:\n").map(|(_, rest)| rest.split("\n\n").next().unwrap_or(rest));
        let names = list.into_iter().flat_map(str::lines).filter_map(|line| {
            // Descriptions that go on stand further in.
            let name = line.strip_prefix("  ")?;
            (!name.starts_with(' ')).then(|| name.split_whitespace().next()).flatten()
        });
        let names: Vec<String> = names.filter(|name| *name != "help").map(str::to_owned).collect();
        all.push(command.clone());
        for name in names {
            below([&command[..], &[name]].concat(), all);
        }
    }
    let mut all = Vec::new();
    below(Vec::new(), &mut all);
    all
}

/// The lines under `Examples:` or `Example:`, as somebody would copy them.
fn examples(command: &[String]) -> Vec<String> {
    let help = help(command);
    let section = ["\nExamples:\n", "\nExample:\n"].iter().find_map(|head| help.split_once(head));
    let (_, section) =
        section.unwrap_or_else(|| panic!("`connote {}` has no examples: {help}", command.join(" ")));
    let mut examples: Vec<String> = Vec::new();
    for line in section.lines().take_while(|line| !line.trim().is_empty()).map(str::trim) {
        // What is too wide for a line goes on in the next one.
        match examples.last_mut() {
            Some(example) if !PROGRAMS.iter().any(|program| line.starts_with(program)) => {
                *example += &format!(" {line}");
            }
            _ => examples.push(line.to_owned()),
        }
    }
    assert!(PROGRAMS.iter().any(|program| examples[0].starts_with(program)), "{command:?}: {examples:?}");
    examples
}

/// A folder with what examples name. Models that are named are small ones.
fn place(command: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| fs::write(at(name), text).expect("written");
    let embed = |arguments: &[&str]| {
        run(connote().current_dir(folder.path()).args(["embed", "--quiet"]).args(arguments), 0);
    };
    write("lines.txt", "a cat\na dog\n");
    write("texts.jsonl", "{\"text\": \"a cat\", \"id\": 1}\n{\"text\": \"a dog\", \"id\": 2}\n");
    write("notes.csv", "key,title,body\na,Cats,They sleep.\nb,Dogs,\"They run, too.\"\n");
    write("queries.txt", "plants\ncats\n");
    symlink(testkit::models::builtin(), at("all-MiniLM-L6-v2-Q8_0.gguf")).expect("linked");
    match command.split(' ').next().unwrap_or_default() {
        // It takes longer, the larger the model is.
        "bench" | "tune" => fs::write(at("embeddinggemma-300m-Q8_0.gguf"), tiny::bert(1)).expect("written"),
        _ => symlink(testkit::models::builtin(), at("embeddinggemma-300m-Q8_0.gguf")).expect("linked"),
    }
    match command {
        "embed" => {
            fs::create_dir(at("logs")).expect("made");
            write("messages.csv", "message\nit began\nit ended\n");
            for log in ["logs/a.parquet", "logs/b.parquet"] {
                embed(&["-i", "messages.csv", "--text-column", "message", "--keep", "message", "-o", log]);
            }
        }
        "search" | "index" | "index build" | "index check" | "bench search" => {
            write("t.csv", "text,lang\nplants eat light,en\ncats sleep,en\nKatzen schlafen,de\n");
            for name in ["vectors.jsonl", "vectors.parquet"] {
                embed(&["-i", "t.csv", "--text-column", "text", "--keep", "lang", "-o", name]);
            }
            for name in ["query.npy", "vectors.npy", "more.npy"] {
                embed(&["-i", "queries.txt", "-o", name]);
            }
            let mut build = connote();
            build.current_dir(folder.path()).args(["index", "build", "-i", "vectors.parquet", "-o", "notes"]);
            run(build.args(["--precision", "f32,int8"]), 0);
        }
        "verify" => {
            let line = |one: golden::Golden| {
                json!({"text": one.text, "prompt": one.prompt, "ids": one.ids, "embedding": one.embedding})
                    .to_string()
                    + "\n"
            };
            let texts = golden::texts("minilm").into_iter().take(20);
            write("reference.jsonl", &texts.map(line).collect::<String>());
        }
        "eval" | "eval sts" => {
            let pairs = "4.4\tdogs play\ttwo dogs play\n0.6\ta bird lands\ta boat floats\n4.6\tthree children stand\t\
                         children are standing\n1.0\ta man plays\ta woman slices\n3.0\ta dog runs\tdogs run\n";
            for name in ["sts15-images.tsv", "sts15-headlines.tsv"] {
                write(name, pairs);
            }
            write("pairs.tsv", &format!("# of people\n{pairs}"));
            write("stsbenchmark.csv", &format!("score,sentence_a,sentence_b\n{}", pairs.replace('\t', ",")));
        }
        _ => {}
    }
    folder
}

/// As a shell reads it, where `connote` is this one and nothing of the user's is touched.
fn shell(folder: &Path, line: &str) {
    let bin = Path::new(env!("CARGO_BIN_EXE_connote")).parent().expect("a folder").display();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Process::new("sh");
    command.args(["-c", line]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    for name in ["CONNOTE_MODEL", "CONNOTE_CPU", "HF_HUB_CACHE"] {
        command.env_remove(name);
    }
    command.env("EMBED_MODELS_DIR", folder).env("HOME", folder).env("HF_HOME", folder.join("hf"));
    let output = command.env("CONNOTE_CACHE_DIR", folder.join("cache")).output().expect("a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What runs for seconds, or until it is ended.
fn takes_long(command: &[String]) -> bool {
    ["bench", "tune", "serve"].iter().any(|name| command.first().is_some_and(|first| first == name))
}

#[test]
fn every_command_has_examples() {
    let commands = commands();
    assert!(
        commands.len() > 25 && commands.contains(&vec!["bench".to_owned(), "serial-vs-parallel".to_owned()])
    );
    for command in &commands {
        examples(command);
    }
    for (command, file) in RUN_ELSEWHERE {
        if commands.contains(&vec![command.to_owned()]) {
            let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command").join(file);
            let tests = fs::read_to_string(tests).expect(file);
            assert!(
                tests.contains("fn the_examples_of") && tests.contains(&format!("\"{command}\"")),
                "{file}"
            );
        }
    }
}

#[test]
fn the_examples_run() {
    for command in commands().iter().filter(|command| !takes_long(command)) {
        let name = command.join(" ");
        if RUN_ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name) {
            continue;
        }
        let folder = place(&name);
        examples(command).iter().for_each(|example| shell(folder.path(), example));
        if name == "search" {
            let answers = lines(&fs::read(folder.path().join("answers.jsonl")).expect("answers"));
            assert_eq!(answers.len(), 2);
        }
    }
}

#[test]
fn the_examples_of_bench_and_tune_run() {
    let mut ran: Vec<String> = Vec::new();
    for command in commands().iter().filter(|command| takes_long(command) && command[0] != "serve") {
        let folder = place(&command.join(" "));
        for example in examples(command) {
            // Some commands share their help.
            if !ran.contains(&example) {
                shell(folder.path(), &example);
                ran.push(example);
            }
        }
    }
}

/// The servers serve, and the last answers what the example asks; but at a port that is free.
#[test]
fn the_examples_of_serve_run() {
    let folder = place("serve");
    let models = folder.path().to_str().expect("UTF-8");
    let mut serving = None;
    for example in examples(&["serve".to_owned()]) {
        if let Some(arguments) = example.strip_prefix("connote serve ") {
            let arguments = arguments.replace("--port 8080", "");
            // Beside the models, not where the tests run.
            let arguments = arguments.replace("--batch-folder ", &format!("--batch-folder {models}/"));
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            serving = Some(Serving::start_with(&arguments, Some(("EMBED_MODELS_DIR", models))));
            continue;
        }
        let rest = example.strip_prefix("curl http://127.0.0.1:8080").expect("curl");
        let (path, body) = rest.split_once(" -d '").expect("a body");
        let body = body.strip_suffix('\'').expect("a quote");
        // As curl sends it.
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            body.len()
        );
        let answer = serving.as_ref().expect("a server before").ask(&head, body);
        let (head, answer) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let answer: Value = serde_json::from_str(answer).expect("JSON");
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(2), "{answer}");
    }
    assert!(serving.is_some());
}
