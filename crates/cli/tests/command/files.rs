//! Where results go: links, permissions, devices, and never over the texts.

use std::fs;

use super::{connote, lines, run};

#[cfg(unix)]
#[test]
fn links_are_followed_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let (real, link) = (folder.path().join("real"), folder.path().join("link.jsonl"));
    fs::create_dir(&real).expect("made");
    let target = real.join("vectors.jsonl");
    fs::write(&target, "old\n").expect("written");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).expect("set");
    symlink("middle.jsonl", &link).expect("linked");
    symlink("real/vectors.jsonl", folder.path().join("middle.jsonl")).expect("linked");
    run(connote().args(["embed", "x", "--output"]).arg(&link), 0);
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert_eq!(lines(&fs::read(&target).expect("the file")).len(), 1);
    assert_eq!(fs::metadata(&target).expect("the file").permissions().mode() & 0o777, 0o640);
    // A link to what is not there yet makes it there.
    fs::remove_file(&target).expect("removed");
    run(connote().args(["embed", "x", "--output"]).arg(&link), 0);
    assert_eq!(lines(&fs::read(&target).expect("the file")).len(), 1);
    // A ring of links leads nowhere.
    let ring = folder.path().join("ring.jsonl");
    symlink("ring.jsonl", &ring).expect("linked");
    let (_, stderr) = run(connote().args(["embed", "x", "--output"]).arg(&ring), 1);
    assert!(stderr.contains("ring.jsonl"), "{stderr}");
    // And what its vectors are.
    assert_eq!(fs::read_dir(&real).expect("a folder").count(), 2);
}

/// The same where the work is in parts, from a file.
#[cfg(unix)]
#[test]
fn parts_follow_links_and_keep_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("real")).expect("made");
    fs::write(folder.path().join("texts.txt"), "one\ntwo\n").expect("written");
    let target = folder.path().join("real/vectors.jsonl");
    fs::write(&target, "old\n").expect("written");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).expect("set");
    symlink("real/vectors.jsonl", folder.path().join("link.jsonl")).expect("linked");
    let arguments = ["embed", "--input", "texts.txt", "--output", "link.jsonl"];
    run(connote().current_dir(folder.path()).args(arguments), 0);
    assert!(fs::symlink_metadata(folder.path().join("link.jsonl")).expect("it is there").is_symlink());
    assert_eq!(lines(&fs::read(&target).expect("the file")).len(), 2);
    assert_eq!(fs::metadata(&target).expect("the file").permissions().mode() & 0o777, 0o640);
}

#[cfg(unix)]
#[test]
fn the_texts_are_never_written_over() {
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let texts = folder.path().join("texts.jsonl");
    let before = "{\"text\": \"precious\"}\n";
    fs::write(&texts, before).expect("written");
    let link = folder.path().join("link.jsonl");
    symlink(&texts, &link).expect("linked");
    let hard = folder.path().join("hard.jsonl");
    fs::hard_link(&texts, &hard).expect("linked");
    for command in [&["embed"][..], &["tokenize"], &["similar", "q"]] {
        for output in [&texts, &link, &hard] {
            let mut command_line = connote();
            command_line.args(command).arg("--input").arg(&texts).arg("--output").arg(output);
            let (_, stderr) = run(&mut command_line, 2);
            assert!(stderr.contains("are read from this file"), "{stderr}");
            assert_eq!(fs::read_to_string(&texts).expect("the file"), before);
        }
    }
    let (reading, adding) =
        (|| fs::File::open(&texts).expect("it opens"), || fs::File::options().append(true).open(&texts));
    let streams = |arguments: &[&str], stdin: Stdio, stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connote"));
        command.arg("embed").args(arguments).env_remove("CONNOTE_MODEL").stdin(stdin).stdout(stdout);
        let output = command.stderr(Stdio::null()).status().expect("it runs");
        assert_eq!(output.code(), Some(2), "{arguments:?}");
        assert_eq!(fs::read_to_string(&texts).expect("the file"), before);
    };
    let path = texts.to_str().expect("UTF-8");
    streams(&["--input", path], Stdio::null(), adding().expect("it opens").into());
    streams(&[], reading().into(), adding().expect("it opens").into());
    streams(&["--output", path], reading().into(), Stdio::null());
}

#[test]
fn a_file_without_an_ending_is_jsonl() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("vectors");
    run(connote().args(["embed", "x", "--output"]).arg(&output), 0);
    assert_eq!(lines(&fs::read(&output).expect("the file")).len(), 1);
    if cfg!(unix) {
        run(connote().args(["embed", "x", "--output", "/dev/null"]), 0);
    }
}

#[test]
fn every_command_with_rows_writes_files() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, command) in
        [("embed", &["embed"][..]), ("tokenize", &["tokenize"]), ("similar", &["similar", "q"])]
    {
        let output = folder.path().join(name).with_extension("jsonl");
        let (stdout, _) = run(connote().args(command).args(["one", "two", "-o"]).arg(&output), 0);
        assert_eq!(stdout, b"", "{name}");
        assert_eq!(lines(&fs::read(&output).expect("the file")).len(), 2, "{name}");
    }
    let output = folder.path().join("ids.txt");
    run(connote().args(["tokenize", "one", "-o"]).arg(&output), 0);
    assert!(fs::read_to_string(&output).expect("the file").contains("[CLS]:101"));
}

/// What an earlier output had beside it must not be taken for that of one that came through a pipe.
#[test]
fn what_lies_beside_an_output_is_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = folder.path().join("texts.jsonl");
    fs::write(&texts, "{\"text\": \"a\"}\nno json\n").expect("written");
    let embed = |output: &str, input: &str, code: i32| {
        let mut command = connote();
        command.args(["embed", "-q", "--input-format", "jsonl", "--output"]).arg(folder.path().join(output));
        run(command.write_stdin(input), code);
    };
    let there = |output: &str| {
        let exists = |ending: &str| folder.path().join(format!("{output}{ending}")).exists();
        [".meta.json", ".errors.jsonl", ".rows.npy"].map(exists)
    };
    for (output, with_parts, piped) in
        [("v.npy", [true; 3], [true, false, false]), ("v.jsonl", [true, true, false], [true, false, false])]
    {
        let described = || {
            let about = fs::read(folder.path().join(format!("{output}.meta.json"))).expect("a description");
            lines(&about).remove(0)
        };
        let mut command = connote();
        command.args(["embed", "-q", "--prompt", "p: ", "--input"]).arg(&texts);
        run(command.arg("--output").arg(folder.path().join(output)), 3);
        assert_eq!(there(output), with_parts, "{output}");
        let of_parts = described();
        assert_eq!(of_parts["prompt"], "p: ");
        embed(output, "{\"text\": \"b\"}\n", 0);
        assert_eq!(there(output), piped, "{output}");
        assert!(described()["prompt"].is_null(), "{output}");
        assert_ne!(described()["fingerprint"], of_parts["fingerprint"], "{output}");
    }
    // The reasons are told, too, where the format has no place for them.
    embed("w.npy", "{\"text\": \"b\"}\n{\"text\": 5}\n", 3);
    let listed = lines(&fs::read(folder.path().join("w.npy.errors.jsonl")).expect("it is listed"));
    assert!(
        listed.len() == 1 && listed[0]["row"] == 1 && listed[0]["kind"] == "invalid_request",
        "{listed:?}"
    );
    embed("w.npy", "{\"text\": 5}\n", 1);
}

/// What a killed run left of the same output goes; what a run is at work on stays, and so does all that has other names.
#[cfg(unix)]
#[test]
fn what_was_left_unfinished_goes_with_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let left = ["v.parquet.connote-4194305.part", "v.parquet.connote-4194305-1.part"];
    let others = [
        "v.parquet.part",
        "v.parquet.4194305.part",
        "v.parquet.connote-x.part",
        "w.parquet.connote-4194305.part",
        "v.parquet.connote-1.part.txt",
    ];
    for name in left.iter().chain(&others) {
        fs::write(at(name), "half").expect("written");
    }
    let held = fs::File::create(at("v.parquet.connote-4194306.part")).expect("created");
    held.lock().expect("it is free");
    run(connote().args(["embed", "-q", "x", "-o"]).arg(at("v.parquet")), 0);
    for name in left {
        assert!(!at(name).exists(), "{name}");
    }
    for name in others.iter().chain(&["v.parquet.connote-4194306.part", "v.parquet"]) {
        assert!(at(name).exists(), "{name}");
    }
    drop(held);
    run(connote().args(["embed", "-q", "x", "-o"]).arg(at("v.parquet")), 0);
    assert!(!at("v.parquet.connote-4194306.part").exists());
}

/// What is no file would be replaced by one, and to open a pipe is to wait for whoever reads it.
#[cfg(unix)]
#[test]
fn a_model_is_written_to_a_file_and_nothing_else() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let (pipe, link) = (folder.path().join("p.fifo"), folder.path().join("link.gguf"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    symlink("/dev/null", &link).expect("linked");
    let model = testkit::models::builtin();
    for output in [&pipe, &link] {
        let (_, stderr) = run(connote().arg("quantize").arg(&model).arg(output).args(["Q8_0", "--force"]), 2);
        assert!(stderr.contains("so name one"), "{stderr}");
    }
    assert!(fs::metadata(&pipe).expect("still there").file_type().is_fifo());
    assert!(fs::metadata(&link).expect("still there").file_type().is_char_device());
    // Rows are written to a pipe as they come, whatever it is called.
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::read(pipe))
    };
    run(connote().args(["tokenize", "x", "--output"]).arg(&pipe), 0);
    assert_eq!(lines(&reader.join().expect("no panic").expect("read")).len(), 1);
}

/// `ulimit -f` ends a write with an error; the signal that comes with it must not end the run.
#[cfg(unix)]
#[test]
fn a_file_that_may_not_grow_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts: String = (0..3000).map(|row| format!("row {row}\n")).collect();
    fs::write(folder.path().join("texts.txt"), texts).expect("written");
    // 64 blocks of 512 or 1024 bytes, less than the ids take.
    let script =
        "ulimit -f 64; exec \"$0\" tokenize -i texts.txt -o ids.jsonl --full --pieces --offsets --counts";
    let mut shell = assert_cmd::Command::new("sh");
    shell.current_dir(folder.path()).args(["-c", script, env!("CARGO_BIN_EXE_connote")]);
    let (_, stderr) = run(shell.env_remove("CONNOTE_MODEL"), 1);
    assert!(stderr.contains("ids.jsonl: cannot be written"), "{stderr}");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// As with every other row: what was cut is said, in the rows and on stderr.
#[test]
fn texts_that_were_cut_are_told_where_no_vectors_are_shown() {
    let long = "one two three four five six seven eight";
    let arguments = ["similar", "one", long, "short", "--max-tokens", "5", "--output-format", "jsonl"];
    let (stdout, stderr) = run(connote().args(arguments), 0);
    let cut = |text: &str| {
        let rows = lines(&stdout);
        rows.iter().find(|row| row["text"] == text).expect("it is ranked")["truncated"].clone()
    };
    assert_eq!((cut(long), cut("short")), (true.into(), false.into()));
    assert_eq!(
        stderr,
        "connote: texts cut to the limit of 5 tokens: 1; --truncate error refuses them instead\n"
    );
    let (_, stderr) = run(connote().args(["similar", long, "x", "--max-tokens", "5"]), 0);
    assert!(stderr.starts_with("connote: queries cut to the limit of 5 tokens: 1"), "{stderr}");
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = format!("{long},one,1\na cat,a dog,2\na car,a tree,3\na sun,a moon,4\nup,down,5\n");
    fs::write(folder.path().join("pairs.csv"), format!("sentence1,sentence2,score\n{pairs}"))
        .expect("written");
    let arguments = ["eval", "sts", "pairs.csv", "--json", "--max-tokens", "5"];
    let (stdout, stderr) = run(connote().current_dir(folder.path()).args(arguments), 0);
    assert!(stderr.contains("pairs.csv: texts cut to the limit of 5 tokens: 1"), "{stderr}");
    assert_eq!(lines(&stdout)[0]["files"][0]["truncated"], 1);
}
