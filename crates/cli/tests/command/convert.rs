//! `connote convert` and `connote quantize`: the examples of their help, and what they never do.

use std::fs;
use std::path::Path;

use gguf::Gguf;
use serde_json::{Value, json};
use testkit::hf_folder;

use super::{connote, lines, run};

/// The built-in model as its authors' folder, whose weights are those of Q8_0.
fn folder(inside: &Path) {
    let folder = inside.join("all-MiniLM-L6-v2");
    fs::create_dir(&folder).expect("made");
    hf_folder::bert(&Gguf::open(testkit::models::builtin()).expect("a file"), &folder, 1);
}

#[test]
fn a_key_that_nobody_knows_is_refused_until_it_is_ignored() {
    let place = tempfile::tempdir().expect("a folder");
    folder(place.path());
    let config = place.path().join("all-MiniLM-L6-v2/config.json");
    let mut values: Value = serde_json::from_slice(&fs::read(&config).expect("read")).expect("JSON");
    values["rope_everywhere"] = true.into();
    fs::write(&config, values.to_string()).expect("written");
    let convert = |more: &[&str], code| {
        let args = ["convert", "all-MiniLM-L6-v2", "out.gguf", "-q", "-f"];
        run(connote().current_dir(place.path()).args(args).args(more), code).1
    };
    let refusal = convert(&[], 1);
    assert!(refusal.contains("config.json: `rope_everywhere` is true;"), "{refusal}");
    assert!(refusal.trim_end().ends_with("if nothing, say --ignore rope_everywhere"), "{refusal}");
    convert(&["--ignore", "rope_everywhere"], 0);
    assert!(convert(&["--ignore", "hidden_act"], 1).contains("cannot be ignored"));
}

fn examples(command: &str) -> Vec<Vec<String>> {
    let (help, _) = run(connote().args([command, "--help"]), 0);
    let help = String::from_utf8(help).expect("UTF-8");
    // Long lines are broken: an example goes on to the next one, or to the end.
    let words = help.split("Examples:").nth(1).expect("examples").split_whitespace();
    let mut examples: Vec<Vec<String>> = Vec::new();
    for word in words {
        match word {
            "connote" => examples.push(Vec::new()),
            word => examples.last_mut().expect("an example begins so").push(word.to_owned()),
        }
    }
    examples
}

#[test]
fn the_examples_of_help_run_and_their_files_embed() {
    let place = tempfile::tempdir().expect("a folder");
    folder(place.path());
    for (command, count) in [("convert", 3), ("quantize", 2)] {
        let examples = examples(command);
        assert_eq!(examples.len(), count, "{examples:?}");
        for example in examples {
            run(connote().current_dir(place.path()).args(example), 0);
        }
    }
    let embed = |model: &Path| -> Vec<f64> {
        let (out, _) = run(
            connote().args(["embed", "how do plants eat", "--output-format", "jsonl", "--model"]).arg(model),
            0,
        );
        serde_json::from_value(lines(&out)[0]["embedding"].clone()).expect("numbers")
    };
    let wanted = embed(&testkit::models::builtin());
    for (file, least) in [
        ("all-MiniLM-L6-v2-Q8_0.gguf", 0.999_999),
        ("all-MiniLM-L6-v2-F32.gguf", 0.9999),
        ("all-MiniLM-L6-v2-Q4_K_M.gguf", 0.97),
        ("small.gguf", 0.997),
    ] {
        let cosine: f64 = embed(&place.path().join(file)).iter().zip(&wanted).map(|(a, b)| a * b).sum();
        assert!(cosine >= least, "{file}: {cosine}");
    }
}

#[test]
fn a_file_that_is_there_is_kept_and_a_run_that_fails_leaves_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    folder(place.path());
    let here = || {
        let mut command = connote();
        command.current_dir(place.path());
        command
    };
    fs::write(place.path().join("out.gguf"), "mine").expect("written");
    let (_, stderr) = run(here().args(["convert", "all-MiniLM-L6-v2", "out.gguf"]), 2);
    assert_eq!(stderr, "connote: out.gguf: is there already; --force replaces it\n");
    let (_, stderr) = run(here().args(["convert", "all-MiniLM-L6-v2", "new.gguf", "-t", "Q9"]), 2);
    assert!(stderr.contains("not a type that connote writes; it writes F32, F16,"), "{stderr}");
    let (_, stderr) = run(here().args(["convert", "nowhere", "new.gguf"]), 1);
    assert!(stderr.starts_with("connote: nowhere: is no folder; give the folder"), "{stderr}");
    let (_, stderr) = run(here().args(["quantize", "out.gguf", "new.gguf", "Q8_0"]), 1);
    assert!(stderr.contains("out.gguf"), "{stderr}");

    // Found while it is written: a value that F16 has no room for.
    let gguf = Gguf::open(testkit::models::builtin()).expect("a file");
    let mut tensors = hf_folder::bert_tensors(&gguf);
    tensors.iter_mut().find(|(name, ..)| name.contains("5.output.dense.weight")).expect("the last layer").2
        [0] = 1e6;
    hf_folder::bert_of(&gguf, &place.path().join("all-MiniLM-L6-v2"), 1, tensors);
    let (_, stderr) =
        run(here().args(["convert", "all-MiniLM-L6-v2", "out.gguf", "--type", "F16", "--force"]), 1);
    assert_eq!(
        stderr,
        "connote: out.gguf: tensor blk.5.ffn_down.weight holds 1e6, too large for F16; choose BF16 or F32\n"
    );
    assert_eq!(fs::read(place.path().join("out.gguf")).expect("read"), b"mine");
    let files: Vec<_> =
        fs::read_dir(place.path()).expect("read").map(|entry| entry.expect("read").file_name()).collect();
    assert_eq!(files.len(), 2, "{files:?}");

    run(here().args(["convert", "all-MiniLM-L6-v2", "out.gguf", "--type", "BF16", "--force"]), 0);
    let (_, stderr) = run(here().args(["quantize", "out.gguf", "./out.gguf", "Q8_0", "--force"]), 2);
    assert_eq!(stderr, "connote: ./out.gguf: is the file to be read; name another to write\n");
}

#[test]
fn what_was_written_is_told() {
    let place = tempfile::tempdir().expect("a folder");
    folder(place.path());
    let args = ["convert", "all-MiniLM-L6-v2", "out.gguf", "--type", "Q4_K_M", "--json"];
    let (out, stderr) = run(connote().current_dir(place.path()).args(args), 0);
    let about = &lines(&out)[0];
    assert_eq!((&about["architecture"], &about["type"]), (&"bert".into(), &"Q4_K_M".into()));
    assert_eq!((&about["tensors"], &about["why_not"]), (&101.into(), &Value::Null));
    let fallback = "connote: blk.0.attn_q.weight and 27 more are Q5_0 for Q4_K: rows of 384 values are no whole blocks of 256\n";
    assert!(stderr.contains(fallback), "{stderr}");
    assert!(stderr.contains("connote: wrote out.gguf: bert, 101 tensors, 22.6 million values, "), "{stderr}");
    let (out, stderr) = run(connote().current_dir(place.path()).args(args).args(["--force", "--quiet"]), 0);
    assert_eq!((lines(&out).len(), stderr.as_str()), (1, ""));
}

/// What there is to say of a folder, and that a file does not run here, reach people and programs.
#[test]
fn warnings_are_told_and_written() {
    let place = tempfile::tempdir().expect("a folder");
    folder(place.path());
    fs::remove_file(place.path().join("all-MiniLM-L6-v2/modules.json")).expect("removed");
    let here = |args: &[&str]| run(connote().current_dir(place.path()).args(args), 0);
    let convert = ["convert", "all-MiniLM-L6-v2", "out.gguf", "--type", "Q8_0", "--json"];
    let (out, stderr) = here(&convert);
    let note = "the folder does not say how vectors are pooled (1_Pooling/config.json); say it with --pooling when you embed";
    assert!(stderr.starts_with(&format!("connote: {note}\n")), "{stderr}");
    assert_eq!(lines(&out)[0]["notes"], json!([note]));

    let (out, stderr) = here(&["quantize", "out.gguf", "again.gguf", "Q4_0", "--json"]);
    let note = "37 tensors are quantised already (token_embd.weight and so on); a file made from F32, F16 or BF16 is more exact";
    assert!(stderr.starts_with(&format!("connote: {note}\n")), "{stderr}");
    assert_eq!(lines(&out)[0]["notes"], json!([note]));

    let other = gguf::Writer::new().metadata("general.architecture", "mamba").to_bytes().expect("valid");
    fs::write(place.path().join("other.gguf"), other).expect("written");
    let (out, stderr) = here(&["quantize", "other.gguf", "mamba.gguf", "Q8_0", "--json"]);
    let about = &lines(&out)[0];
    assert_eq!(about["notes"], json!([]));
    let why = about["why_not"].as_str().expect("a reason");
    assert!(why.contains("`mamba` is not supported"), "{why}");
    assert!(stderr.ends_with(&format!("connote: connote itself cannot run the file: {why}\n")), "{stderr}");
}
