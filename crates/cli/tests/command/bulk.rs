//! Files in, files out, in parts that are committed one by one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use assert_cmd::Command;
use testkit::random::Random;
use testkit::tiny;

use super::{connote, lines, run};

/// A folder with a small model and texts in it, and what is run there.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
    model: PathBuf,
}

impl Workplace {
    /// With `rows` texts in `texts.txt`.
    pub(crate) fn with(rows: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let model = folder.path().join("tiny.gguf");
        fs::write(&model, tiny::bert(1)).expect("written");
        let this = Self { folder, model };
        fs::write(this.path("texts.txt"), texts(rows)).expect("written");
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(folder))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// `connote embed` with the small model.
    pub(crate) fn embed(&self, arguments: &[&str]) -> Command {
        let mut command = connote();
        command.current_dir(self.folder.path()).arg("embed").args(arguments).arg("--model").arg(&self.model);
        command
    }

    /// The same, to be watched and stopped on its way.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = Process::new(env!("CARGO_BIN_EXE_connote"));
        command.current_dir(self.folder.path()).env_remove("CONNOTE_MODEL").env_remove("CONNOTE_CPU");
        command.arg("embed").args(arguments).arg("--model").arg(&self.model);
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
    }
}

/// Short texts, always the same, a line each.
pub(crate) fn texts(rows: usize) -> String {
    const WORDS: [&str; 12] =
        ["red", "green", "cat", "dog", "house", "river", "stone", "light", "old", "new", "fast", "cold"];
    let mut random = Random::seeded(7);
    let mut text = |row: usize| {
        let words: Vec<&str> = (0..2 + random.below(3)).map(|_| WORDS[random.below(WORDS.len())]).collect();
        format!("{row} {}\n", words.join(" "))
    };
    (0..rows).map(&mut text).collect()
}

/// Parts that the manifest of a folder knows.
pub(crate) fn parts_done(folder: &Path) -> usize {
    let Ok(text) = fs::read(folder.join("manifest.json")) else { return 0 };
    let manifest: serde_json::Value =
        serde_json::from_slice(&text).expect("a manifest is whole at any moment");
    manifest["parts"].as_array().expect("a list").len()
}

#[test]
fn a_file_in_parts_is_the_stream() {
    let here = Workplace::with(5000);
    let (stream, _) = run(&mut here.embed(&["--input", "texts.txt"]), 0);
    let (stdout, stderr) =
        run(&mut here.embed(&["--input", "texts.txt", "--output", "v.jsonl", "--part-rows", "1024"]), 0);
    assert!(stdout.is_empty() && stderr.contains("5000 texts"), "{stderr}");
    assert!(here.read("v.jsonl") == stream, "the bytes differ");
    assert_eq!(here.names(""), ["texts.txt", "tiny.gguf", "v.jsonl", "v.jsonl.meta.json"]);
    let about: serde_json::Value = serde_json::from_slice(&here.read("v.jsonl.meta.json")).expect("JSON");
    assert_eq!(about["dimensions"], 24);
}

#[test]
fn a_folder_keeps_the_parts() {
    let here = Workplace::with(2500);
    let arguments =
        ["--input", "texts.txt", "--output", "v/", "--part-rows", "1024", "--output-format", "csv"];
    run(&mut here.embed(&arguments), 0);
    let parts = ["manifest.json", "part-000000.csv", "part-000001.csv", "part-000002.csv"];
    assert_eq!(here.names("v"), parts);
    // All is done; a part that was damaged since is computed again, and the others stay.
    let before = here.read("v/part-000001.csv");
    let untouched = fs::metadata(here.path("v/part-000000.csv")).expect("a file").modified().expect("a time");
    let mut damaged = before.clone();
    damaged[100] ^= 1;
    fs::write(here.path("v/part-000001.csv"), damaged).expect("written");
    fs::write(here.path("v/part-000009.csv"), "what a killed run left").expect("written");
    fs::write(here.path("v/notes.txt"), "of somebody").expect("written");
    let (_, stderr) = run(&mut here.embed(&arguments), 0);
    assert!(stderr.contains("part 1 in v/ is damaged") && stderr.contains("1476 found"), "{stderr}");
    assert!(here.read("v/part-000001.csv") == before);
    let after = fs::metadata(here.path("v/part-000000.csv")).expect("a file").modified().expect("a time");
    assert_eq!(after, untouched);
    assert_eq!(here.names("v"), [&parts[..1], &["notes.txt"], &parts[1..]].concat());
}

#[test]
fn a_folder_of_somebody_else_is_refused_and_left_alone() {
    let here = Workplace::with(10);
    fs::create_dir(here.path("mine")).expect("made");
    fs::write(here.path("mine/part-000001.csv"), "precious").expect("written");
    for restart in [&[][..], &["--restart"]] {
        let arguments =
            [&["--input", "texts.txt", "--output", "mine", "--output-format", "csv"], restart].concat();
        let (_, stderr) = run(&mut here.embed(&arguments), 1);
        assert!(stderr.contains("part-000001.csv") && stderr.contains("empty folder"), "{stderr}");
    }
    assert_eq!(here.read("mine/part-000001.csv"), b"precious");
}

/// What was begun with one input, model or set of options is not finished with another.
#[test]
fn what_changed_is_refused_by_name() {
    let here = Workplace::with(3000);
    let base = ["--input", "texts.txt", "--output", "v/", "--part-rows", "1024"];
    run(&mut here.embed(&base), 0);
    let refused = |here: &Workplace, arguments: &[&str], what: &[&str]| {
        let (_, stderr) = run(&mut here.embed(&[&base[..4], arguments].concat()), 2);
        for what in what {
            assert!(stderr.contains(what), "{arguments:?}: {what}: {stderr}");
        }
        assert!(stderr.contains("--restart"), "{stderr}");
    };
    let whole = ["--part-rows", "1024"];
    let with = |more: &[&'static str]| [&whole[..], more].concat();
    refused(&here, &[], &["the rows of a part was 1024 and is 8192"]);
    refused(&here, &with(&["--prompt", "p: "]), &["the fingerprint was ", "the prompt was none and is p: "]);
    refused(&here, &with(&["--truncate", "start"]), &["the truncation was end and is start"]);
    refused(&here, &with(&["--max-tokens", "9"]), &["the token limit was none and is 9"]);
    refused(&here, &with(&["--output-format", "npy"]), &["the output format was jsonl and is npy"]);
    refused(&here, &with(&["--precision", "f16"]), &["the precision was f32 and is f16"]);
    refused(&here, &with(&["--shard", "1/2"]), &["the shard was none and is 1/2"]);
    refused(&here, &with(&["--no-normalize"]), &["the fingerprint was "]);
    let model = here.read("tiny.gguf");
    fs::write(here.path("tiny.gguf"), tiny::bert(2)).expect("written");
    refused(&here, &whole, &["the fingerprint was "]);
    fs::write(here.path("tiny.gguf"), model).expect("written");
    let mut texts = here.read("texts.txt");
    texts[0] ^= 1;
    fs::write(here.path("texts.txt"), &texts).expect("written");
    refused(&here, &whole, &["the input texts.txt was ", "SHA-256"]);
    // Under another name it is the same input.
    texts[0] ^= 1;
    fs::write(here.path("other.txt"), &texts).expect("written");
    run(&mut here.embed(&["--input", "other.txt", "--output", "v/", "--part-rows", "1024"]), 0);
    // Anew it is all right, whatever it was before.
    run(&mut here.embed(&[&base[..4], &["--restart", "--output-format", "npy"]].concat()), 0);
    assert_eq!(here.names("v"), ["manifest.json", "part-000000.npy"]);
}

/// Every option that decides the output, by the name that a message gives it.
#[test]
fn every_option_that_changed_is_refused_by_name() {
    let here = Workplace::with(0);
    let model = super::spaces::with_prompts(&here.path(""));
    fs::write(here.path("t.csv"), "key,title,body\na,Cats,They sleep.\nb,Dogs,They run.\n").expect("written");
    let embed = |texts: &[&str], more: &[&str], code: i32| {
        let mut command = connote();
        command.current_dir(here.path("")).args(["embed", "--input", "t.csv", "--output", "v/"]);
        run(command.args(texts).args(more).arg("--model").arg(&model), code).1
    };
    let body = ["--text-column", "body"];
    embed(&body, &[], 0);
    let changed: [(&[&str], &[&str], &str); 22] = [
        (&["--text-column", "title"], &[], "the text column was body and is title"),
        (&["--template", "{body}"], &[], "the template was none and is {body}"),
        (&body, &["--input-format", "csv"], "the input format was none and is csv"),
        (&body, &["--delimiter", ","], "the delimiter was none and is ,"),
        (&body, &["--id-column", "key"], "the id column was none and is key"),
        (&body, &["--title-column", "title"], "the title column was none and is title"),
        (&body, &["--task-column", "title"], "the task column was none and is title"),
        (&body, &["--no-ids"], "--no-ids was none and is given"),
        (&body, &["--no-titles"], "--no-titles was none and is given"),
        (&body, &["--no-tasks"], "--no-tasks was none and is given"),
        (&body, &["--keep", "key,title"], "the columns kept was none and is key,title"),
        (&body, &["--task", "query"], "the task was none and is query"),
        (&body, &["--prompt", "p: "], "the prompt was none and is p: "),
        (&body, &["--title", "T"], "the title was none and is T"),
        (&body, &["--dimensions", "256"], "the dimensions was 768 and is 256"),
        (&body, &["--truncate", "start"], "the truncation was end and is start"),
        (&body, &["--max-tokens", "9"], "the token limit was none and is 9"),
        (&body, &["--pooling", "cls"], "--pooling was none and is cls"),
        (&body, &["--no-normalize"], "--no-normalize was none and is given"),
        (&body, &["--plain-text"], "--plain-text was none and is given"),
        (&body, &["--output-format", "csv"], "the output format was jsonl and is csv"),
        (&body, &["--precision", "int8"], "the precision was f32 and is int8"),
    ];
    for (texts, more, what) in changed {
        let said = embed(texts, more, 2);
        let complaint = said.lines().last().expect("a line");
        assert!(complaint.contains(what) && complaint.contains("--restart"), "{what}: {said}");
    }
    // What was done stays.
    assert!(["manifest.json", "part-000000.jsonl"].iter().all(|name| here.path("v").join(name).is_file()));
    embed(&body, &[], 0);
}

#[test]
fn two_runs_do_not_work_in_one_folder() {
    let here = Workplace::with(4000);
    let arguments = ["--input", "texts.txt", "--output", "v.jsonl", "--part-rows", "1024"];
    // Held as another run would hold it.
    fs::create_dir(here.path("v.jsonl.parts")).expect("made");
    let lock = File::create(here.path("v.jsonl.parts/.lock")).expect("made");
    lock.try_lock().expect("it is free");
    let (_, stderr) = run(&mut here.embed(&arguments), 1);
    assert!(stderr.contains("another run is at work"), "{stderr}");
    // The lock goes with whoever had it; the file may stay.
    drop(lock);
    run(&mut here.embed(&arguments), 0);
    assert!(!here.path("v.jsonl.parts").exists());
}

#[test]
fn rows_that_fail_are_listed_and_cost_nothing_else() {
    let here = Workplace::with(0);
    let row = |row: usize| match row % 700 {
        3 => "not JSON\n".to_owned(),
        4 => format!("{{\"id\": \"x{row}\", \"text\": 5}}\n"),
        _ => format!("{{\"id\": \"x{row}\", \"text\": \"cat {row}\"}}\n"),
    };
    let input: String = (0..2100).map(row).collect();
    fs::write(here.path("rows.jsonl"), input).expect("written");
    let arguments = ["--input", "rows.jsonl", "--part-rows", "1024", "--output"];
    let (stream, _) = run(&mut here.embed(&arguments[..2]), 3);
    let (_, stderr) = run(&mut here.embed(&[&arguments[..], &["v.jsonl"]].concat()), 3);
    assert!(stderr.contains("6 rows failed; v.jsonl.errors.jsonl says which and why"), "{stderr}");
    assert!(here.read("v.jsonl") == stream);
    let told: Vec<(u64, String, String)> = lines(&here.read("v.jsonl.errors.jsonl"))
        .iter()
        .map(|line| {
            assert!(line["message"].as_str().is_some_and(|message| message.starts_with("line ")), "{line}");
            (line["row"].as_u64().expect("a number"), line["id"].to_string(), line["kind"].to_string())
        })
        .collect();
    let expected = [3, 4, 703, 704, 1403, 1404].map(|row| match row % 700 {
        3 => (row, row.to_string(), "\"invalid_json\"".to_owned()),
        _ => (row, format!("\"x{row}\""), "\"invalid_request\"".to_owned()),
    });
    assert_eq!(told, expected);
    // npy has no place for them: their numbers are missing beside it.
    let (_, stderr) = run(&mut here.embed(&[&arguments[..], &["v.npy"]].concat()), 3);
    assert!(stderr.contains("v.npy.rows.npy"), "{stderr}");
    let numbers = here.read("v.npy.rows.npy");
    let numbers: Vec<i64> = numbers[numbers.len() - 2094 * 8..]
        .chunks_exact(8)
        .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight")))
        .collect();
    let there: Vec<i64> = (0..2100).filter(|row| ![3, 4].contains(&(row % 700))).collect();
    assert_eq!(numbers, there);
    // Without failures nothing of that lies beside it any more.
    fs::write(here.path("rows.jsonl"), "{\"text\": \"a\"}\n").expect("written");
    run(&mut here.embed(&[&arguments[..], &["v.npy"]].concat()), 0);
    let beside: Vec<String> = here.names("").into_iter().filter(|name| name.starts_with("v.npy")).collect();
    assert_eq!(beside, ["v.npy", "v.npy.meta.json"]);
    // And where nothing is of use the exit code says so.
    fs::write(here.path("rows.jsonl"), "no\nno\n").expect("written");
    run(&mut here.embed(&[&arguments[..], &["v.npy"]].concat()), 1);
}

#[test]
fn shares_joined_are_the_undivided_run() {
    let here = Workplace::with(7000);
    for format in ["jsonl", "parquet", "npy", "arrow", "csv"] {
        let whole = format!("whole.{format}");
        run(&mut here.embed(&["--input", "texts.txt", "--part-rows", "1024", "--output", &whole]), 0);
        let shares = ["a", "b", "c"].map(|name| format!("{format}-{name}/"));
        for (number, folder) in (1..).zip(&shares) {
            let shard = format!("{number}/3");
            let share = ["--output", folder, "--output-format", format, "--shard", &shard];
            let (_, stderr) = run(
                &mut here.embed(&[&["--input", "texts.txt", "--part-rows", "1024"], &share[..]].concat()),
                0,
            );
            assert!(stderr.contains(&format!("share {shard} is done")), "{stderr}");
        }
        let joined = format!("joined.{format}");
        let merge = |folders: &[&str], code: i32| {
            let mut command = connote();
            command.current_dir(here.path("")).args(["merge", "--output", &joined]).args(folders);
            run(&mut command, code).1
        };
        // In any order; the parts have their numbers.
        let [a, b, c] = [0, 1, 2].map(|share| shares[share].as_str());
        merge(&[c, a, b], 0);
        assert!(here.read(&joined) == here.read(&whole), "{format}");
        assert!(merge(&[a, b], 2).contains("share 3/3 is missing"));
        assert!(merge(&[a, "nowhere/"], 2).contains("nowhere/: is no folder of parts"));
        assert!(merge(&[a, &shares[0].replace(format, "none")], 2).contains("no folder of parts"));
    }
    let mut command = connote();
    command.current_dir(here.path("")).args(["merge", "-o", "x", "jsonl-a", "parquet-b", "jsonl-c"]);
    let (_, stderr) = run(&mut command, 2);
    assert!(stderr.contains("the output format was jsonl and is parquet"), "{stderr}");
    fs::write(here.path("jsonl-b/part-000001.jsonl"), "damaged").expect("written");
    let mut command = connote();
    command.current_dir(here.path("")).args(["merge", "-o", "x", "jsonl-a", "jsonl-b", "jsonl-c"]);
    let (_, stderr) = run(&mut command, 2);
    assert!(stderr.contains("part 1 is damaged"), "{stderr}");
    assert!(!here.path("x").exists());
}

/// Rows that failed in a share fail in the whole: in their place, in its list of errors, and in the exit code.
#[test]
fn shares_with_rows_that_failed_are_joined_with_their_errors() {
    let here = Workplace::with(0);
    let row = |row: usize| match row % 900 {
        5 => "not JSON\n".to_owned(),
        _ => format!("{{\"id\": \"x{row}\", \"text\": \"cat {row}\"}}\n"),
    };
    fs::write(here.path("rows.jsonl"), (0..3000).map(row).collect::<String>()).expect("written");
    let share = |format: &str, name: &str, shard: &str, code: i32| {
        let place = format!("{format}-{name}/");
        let share = ["--output", &place, "--output-format", format, "--shard", shard, "--part-rows", "1024"];
        run(&mut here.embed(&[&["--input", "rows.jsonl"], &share[..]].concat()), code).1
    };
    let merge = |format: &str, code: i32| {
        let [output, a, b] = [format!("joined.{format}"), format!("{format}-a"), format!("{format}-b")];
        let mut command = connote();
        run(command.current_dir(here.path("")).args(["merge", "--output", &output, &b, &a]), code).1
    };
    for format in ["jsonl", "parquet", "npy", "arrow", "csv"] {
        let whole = format!("whole.{format}");
        run(&mut here.embed(&["--input", "rows.jsonl", "--part-rows", "1024", "--output", &whole]), 3);
        for (name, shard) in [("a", "1/2"), ("b", "2/2")] {
            let said = share(format, name, shard, 3);
            assert!(
                said.contains(&format!("{format}-{name}/part-*.errors.jsonl says which and why")),
                "{said}"
            );
        }
        let said = merge(format, 3);
        assert!(said.contains(&format!("4 rows failed; joined.{format}.errors.jsonl says which")), "{said}");
        // The whole and what lies beside it, list of errors included.
        for name in here.names("").iter().filter(|name| name.starts_with(&whole)) {
            let joined = name.replace("whole", "joined");
            assert!(here.read(name) == here.read(&joined), "{joined}");
        }
        let errors = lines(&here.read(&format!("joined.{format}.errors.jsonl")));
        let rows: Vec<u64> = errors.iter().filter_map(|error| error["row"].as_u64()).collect();
        assert_eq!(rows, [5, 905, 1805, 2705], "{format}");
    }
    // Where nothing is of use, that is said; and a list of errors goes with what it was of.
    let of_rows = |rows: &str| {
        fs::write(here.path("rows.jsonl"), rows.repeat(2000)).expect("written");
        for name in ["npy-a", "npy-b"] {
            fs::remove_dir_all(here.path(name)).expect("removed");
        }
    };
    of_rows("no\n");
    assert!(
        ["1/2", "2/2"].iter().zip(["a", "b"]).all(|(shard, name)| !share("npy", name, shard, 1).is_empty())
    );
    merge("npy", 1);
    of_rows("{\"text\": \"a\"}\n");
    ["1/2", "2/2"].iter().zip(["a", "b"]).for_each(|(shard, name)| drop(share("npy", name, shard, 0)));
    merge("npy", 0);
    let beside: Vec<String> =
        here.names("").into_iter().filter(|name| name.starts_with("joined.npy")).collect();
    assert_eq!(beside, ["joined.npy", "joined.npy.meta.json"]);
}

/// Shares skip what is not theirs, in every format that is read; columns go with their rows.
#[test]
fn shares_of_tables_begin_where_they_should() {
    let here = Workplace::with(0);
    let record = |row: usize| format!("k{row},title {row},\"body, {row}\"\n");
    fs::write(here.path("t.csv"), "key,title,body\n".to_owned() + &(0..3000).map(record).collect::<String>())
        .expect("written");
    let columns = ["--text-column", "body", "--keep", "key,title,body", "--part-rows", "1024"];
    for (input, format) in [("t.csv", "parquet"), ("whole.parquet", "arrow"), ("whole.arrow", "jsonl")] {
        let whole = format!("whole.{format}");
        run(&mut here.embed(&[&["--input", input, "--output", &whole], &columns[..]].concat()), 0);
        for shard in ["1/2", "2/2"] {
            let folder = format!("{format}-{}/", &shard[..1]);
            let share = ["--input", input, "--output", &folder, "--output-format", format, "--shard", shard];
            run(&mut here.embed(&[&share[..], &columns[..]].concat()), 0);
        }
        let joined = format!("joined.{format}");
        let folders = [format!("{format}-1"), format!("{format}-2")];
        run(connote().current_dir(here.path("")).args(["merge", "-q", "-o", &joined]).args(folders), 0);
        assert!(here.read(&joined) == here.read(&whole), "{format}");
    }
    let rows = lines(&here.read("whole.jsonl"));
    assert_eq!(rows.len(), 3000);
    for (row, read) in rows.iter().enumerate() {
        let wanted = [format!("k{row}"), format!("title {row}"), format!("body, {row}")];
        assert_eq!(
            [&read["key"], &read["title"], &read["body"]].map(|value| value.as_str().unwrap_or("")),
            wanted
        );
        assert_eq!(read["id"], row);
    }
}

/// What a run keeps for itself, its parts and what lies beside its output, is no place to read texts from or to write the
/// whole to: it would be gone.
#[test]
fn no_output_destroys_an_input() {
    let here = Workplace::with(2500);
    let row = b"{\"text\": \"a\"}\n";
    fs::create_dir(here.path("o.jsonl.parts")).expect("made");
    for (input, arguments) in [
        ("o.jsonl.parts/part-000000.jsonl", &["--output", "o.jsonl", "--restart"][..]),
        ("o.jsonl.errors.jsonl", &["--output", "o.jsonl"]),
        ("o.npy.meta.json", &["--output", "o.npy", "--input-format", "jsonl"]),
    ] {
        fs::write(here.path(input), row).expect("written");
        let (_, stderr) = run(here.embed(&["--input", input]).args(arguments), 2);
        assert!(stderr.contains(input) && stderr.contains("name another --output"), "{stderr}");
        assert_eq!(here.read(input), row);
        fs::remove_file(here.path(input)).expect("removed");
    }
    let parts = ["--input", "texts.txt", "--output", "v/", "--part-rows", "1024"];
    run(&mut here.embed(&parts), 0);
    let (names, first) = (here.names("v"), here.read("v/part-000000.jsonl"));
    let again = ["--input", "v/part-000000.jsonl", "--text-column", "id", "--output", "v/", "--restart"];
    run(&mut here.embed(&again), 2);
    let merge = |output: &str| {
        let mut command = connote();
        command.current_dir(here.path("")).args(["merge", "v/", "--output", output]);
        run(&mut command, 2).1
    };
    #[cfg(unix)]
    std::os::unix::fs::symlink("v/part-000000.jsonl", here.path("link.jsonl")).expect("linked");
    for output in ["v/part-000000.jsonl", "v/manifest.json", "v/new.jsonl", "link.jsonl"] {
        if cfg!(unix) || output != "link.jsonl" {
            assert!(merge(output).contains("among the parts"), "{output}");
        }
    }
    assert!(merge("-").contains("name one") && merge("v.csv").contains("end it in .jsonl"));
    assert_eq!((here.names("v"), here.read("v/part-000000.jsonl")), (names, first));

    // A folder from which something is missing is no whole.
    let build = |code: i32| {
        let mut command = connote();
        command.current_dir(here.path("")).args(["index", "build", "-i", "v/", "-o", "c/"]);
        run(&mut command, code).1
    };
    let second = here.read("v/part-000001.jsonl");
    fs::remove_file(here.path("v/part-000001.jsonl")).expect("removed");
    assert!(build(2).contains("part 1 is damaged"));
    fs::write(here.path("v/part-000001.jsonl"), second).expect("written");
    fs::write(here.path("v/part-000009.jsonl"), "of no run").expect("written");
    assert!(build(0).contains("2500 vectors"));
}

#[test]
fn what_needs_parts_says_so() {
    let here = Workplace::with(3);
    for (arguments, code, what) in [
        (&["x", "--shard", "1/2"][..], 2, "--shard"),
        (&["--input", "texts.txt", "--shard", "1/2", "--output", "v.jsonl"], 2, "FOLDER/"),
        (&["--input", "texts.txt", "--shard", "3/2", "--output", "v/"], 2, "3/64"),
        (&["--input", "texts.txt", "--part-rows", "1000", "--output", "v.jsonl"], 2, "1024"),
        (&["--input", "texts.txt", "--part-rows", "1024"], 2, "--part-rows"),
        (&["--restart", "--output", "v.jsonl"], 2, "--restart"),
        (&["x", "--output", "v/"], 1, "is a folder"),
        (&["x", "--keep", "a"], 2, "--keep"),
        (&["x", "--output", "v.json"], 2, ".jsonl"),
        (&["x", "--precision", "int4"], 2, "int8"),
        (&["x", "--precision", "int8", "--output-format", "text"], 2, "--precision is for files"),
        (&["x", "--cpu-percent", "0"], 2, "1..=100"),
        (&["x", "--progress", "loud"], 2, "json"),
        (&["--input", "texts.txt", "--output", "no/such/v.jsonl"], 1, "no/such/v.jsonl"),
        (&["--input", "texts.txt", "--output", "v.parquet", "--pooling", "none"], 2, "jsonl"),
    ] {
        let (stdout, stderr) = run(here.embed(arguments).write_stdin("x\n"), code);
        assert!(stderr.contains(what) && stdout.is_empty(), "{arguments:?}: {stderr}");
    }
    let mut command = connote();
    let (_, stderr) = run(command.current_dir(here.path("")).args(["merge", "-o", "x"]), 2);
    assert!(stderr.contains("FOLDER"), "{stderr}");
    assert_eq!(here.names(""), ["texts.txt", "tiny.gguf"]);
}

/// A pipe has no second time, so there are no parts; but every format can be written.
#[test]
fn texts_from_a_pipe_become_any_format() {
    let here = Workplace::with(2000);
    let texts = here.read("texts.txt");
    for format in ["jsonl", "csv", "npy", "parquet", "arrow"] {
        let (by_file, by_pipe) = (format!("f.{format}"), format!("p.{format}"));
        run(&mut here.embed(&["--input", "texts.txt", "--output", &by_file]), 0);
        let (_, stderr) = run(here.embed(&["--output", &by_pipe]).write_stdin(texts.as_slice()), 0);
        assert!(stderr.contains("cannot be read again"), "{stderr}");
        let (stdout, _) = run(here.embed(&["--output-format", format]).write_stdin(texts.as_slice()), 0);
        let file = here.read(&by_file);
        assert!(stdout == here.read(&by_pipe), "{format}");
        // One part: the file is the part.
        assert!(stdout == file || ["parquet", "arrow"].contains(&format), "{format}");
        assert!(stdout.len().abs_diff(file.len()) < 2000, "{format}");
    }
    // Into a folder it goes in parts, once.
    let folder = ["--output", "v/", "--part-rows", "1024"];
    run(here.embed(&folder).write_stdin(texts.as_slice()), 0);
    assert_eq!(here.names("v"), ["manifest.json", "part-000000.jsonl", "part-000001.jsonl"]);
    let (_, stderr) = run(here.embed(&folder).write_stdin(texts.as_slice()), 2);
    assert!(stderr.contains("from a pipe") && stderr.contains("--restart"), "{stderr}");
}

#[test]
fn programs_can_follow_the_progress() {
    let here = Workplace::with(3000);
    let arguments =
        ["--input", "texts.txt", "--output", "v.csv", "--part-rows", "1024", "--progress", "json"];
    let (_, stderr) = run(&mut here.embed(&arguments), 0);
    let told = lines(stderr.as_bytes());
    let last = told.last().expect("at least the end");
    assert_eq!(
        (&last["rows"], &last["committed"], &last["done"]),
        (&3000.into(), &3000.into(), &true.into())
    );
    assert_eq!((&last["failed"], &last["eta_seconds"]), (&0.into(), &0.0.into()));
    assert!(last["tokens"].as_u64() > Some(6000) && last["fingerprint"].is_string(), "{last}");
    assert!(!cfg!(target_os = "linux") || last["resident_bytes"].as_u64() > Some(1 << 20), "{last}");
    for quiet in [&["--quiet"][..], &["--progress", "none", "--quiet"]] {
        let code = if quiet.len() == 1 { 0 } else { 2 };
        let (_, stderr) = run(&mut here.embed(&[&arguments[..6], quiet].concat()), code);
        assert_eq!(stderr.is_empty(), code == 0, "{stderr}");
    }
}
