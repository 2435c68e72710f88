//! From files and folders of vectors to a collection: which row is which, of which model, and what is missing.

use std::fs;

use super::bulk::Workplace;
use super::{connote, lines, run};

/// `connote index build` of all `inputs` into `collection`; what it said.
fn build(here: &Workplace, inputs: &[&str], collection: &str, code: i32) -> String {
    let mut command = connote();
    command.current_dir(here.path("")).args(["index", "build", "-o", collection, "-i"]).args(inputs);
    run(&mut command, code).1
}

/// The ids of a collection, in their order, after a search for the vectors of `queries`: the best for each comes first.
fn ids(here: &Workplace, collection: &str, queries: &str) -> (Vec<u64>, Vec<u64>) {
    let mut command = connote();
    command.current_dir(here.path("")).args(["search", "--json", "--index", collection]);
    let (stdout, _) = run(command.args(["--vector", queries, "--top", "10000"]), 0);
    let answers = lines(&stdout);
    let of = |answer: &serde_json::Value| -> Vec<u64> {
        let hits = answer["hits"].as_array().expect("hits").iter();
        hits.map(|hit| hit["id"].as_u64().expect("a number")).collect()
    };
    let best = answers.iter().map(|answer| of(answer)[0]).collect();
    let mut all = of(&answers[0]);
    all.sort_unstable();
    (all, best)
}

const FAILED: [usize; 3] = [0, 1500, 2099];

/// 2,100 rows of which some fail, in `rows.jsonl`, and the vectors of rows 1, 1501 and 2098 in `queries.npy`.
fn rows_that_fail() -> Workplace {
    let here = Workplace::with(0);
    let row = |row: usize| match row {
        row if FAILED.contains(&row) => "not JSON\n",
        1 => "{\"text\": \"the cat\"}\n",
        1501 => "{\"text\": \"a dog\"}\n",
        2098 => "{\"text\": \"b sat c\"}\n",
        _ => "{\"text\": \"a\"}\n",
    };
    fs::write(here.path("rows.jsonl"), (0..2100).map(row).collect::<String>()).expect("written");
    run(&mut here.embed(&["the cat", "a dog", "b sat c", "-q", "--output", "queries.npy"]), 0);
    here
}

/// A folder of npy parts is the file that they would be joined to: its rows have the same ids, and those that failed are counted.
#[test]
fn rows_of_npy_parts_keep_their_numbers() {
    let here = rows_that_fail();
    let there: Vec<u64> = (0..2100).filter(|row| !FAILED.contains(row)).map(|row| row as u64).collect();
    let embed = |output: &str, more: &[&str]| {
        let base =
            ["--input", "rows.jsonl", "--part-rows", "1024", "--output-format", "npy", "--output", output];
        run(&mut here.embed(&[&base[..], more].concat()), 3);
    };
    embed("v.npy", &[]);
    embed("v/", &[]);
    embed("s1/", &["--shard", "1/2"]);
    embed("s2/", &["--shard", "2/2"]);
    // Shares in any order are of one input.
    for (inputs, collection) in
        [(&["v.npy"][..], "of-file"), (&["v/"], "of-parts"), (&["s2/", "s1/"], "of-shares")]
    {
        let said = build(&here, inputs, collection, 3);
        assert!(said.contains("3 rows have no vector and were left out"), "{collection}: {said}");
        assert!(!said.contains("share"), "{collection}: {said}");
        let (all, best) = ids(&here, collection, "queries.npy");
        assert!(all == there && best == [1, 1501, 2098], "{collection}: {best:?}");
    }
    // One by itself is what the manifest beside it says.
    build(&here, &["v/part-000001.npy"], "of-part", 3);
    let (all, _) = ids(&here, "of-part", "queries.npy");
    assert!(all == there[1023..2046], "{:?} to {:?}", all.first(), all.last());
    // So are all of them, and what a link leads to.
    build(&here, &["v/part-000000.npy", "v/part-000001.npy", "v/part-000002.npy"], "of-parts-by-name", 3);
    assert!(ids(&here, "of-parts-by-name", "queries.npy").0 == there);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("v.npy", here.path("link.npy")).expect("linked");
        build(&here, &["link.npy"], "of-link", 3);
        assert!(ids(&here, "of-link", "queries.npy").0 == there);
    }
    let said = build(&here, &["s1/", "s2/", "s1/"], "twice", 2);
    assert!(said.contains("s1/: share 1/2 of the work is among the inputs already"), "{said}");
    // Half of the work is told for what it is.
    let said = build(&here, &["s1/"], "half", 3);
    assert!(
        said.contains("s1/ is share 1/2 of the work") && said.contains("not in the collection: 2/2"),
        "{said}"
    );
    let (half, _) = ids(&here, "half", "queries.npy");
    let wanted: Vec<u64> = there.iter().copied().filter(|row| row / 1024 % 2 == 0).collect();
    assert!(half == wanted, "{} rows", half.len());
}

/// Rows of several files without ids are counted through, those that failed among them, as `embed` counts those of several inputs.
#[test]
fn rows_without_ids_are_counted_over_files() {
    let here = Workplace::with(0);
    fs::write(here.path("rows.jsonl"), "no\n{\"text\": \"a cat\"}\nno\n").expect("written");
    fs::write(here.path("lines.txt"), "a dog\na house\n").expect("written");
    let embed = |input: &str, output: &str, code: i32| {
        run(&mut here.embed(&["-q", "--input", input, "--output", output]), code);
    };
    embed("rows.jsonl", "a.npy", 3);
    embed("lines.txt", "b.npy", 0);
    let said = build(&here, &["a.npy", "b.npy"], "c", 3);
    assert!(said.contains("2 rows have no vector"), "{said}");
    assert_eq!(ids(&here, "c", "b.npy"), (vec![1, 3, 4], vec![3, 4]));
    build(&here, &["b.npy", "b.npy"], "twice", 0);
    assert_eq!(ids(&here, "twice", "b.npy").0, [0, 1, 2, 3]);
    // Other people's lines and tables without ids are no others.
    let dimensions = 24;
    let vector =
        |row: usize| (0..dimensions).map(|place| u8::from(place == row).to_string()).collect::<Vec<_>>();
    let line = |row: usize| format!("{{\"embedding\": [{}]}}\n", vector(row).join(", "));
    fs::write(here.path("theirs.jsonl"), line(0) + &line(1)).expect("written");
    build(&here, &["theirs.jsonl", "theirs.jsonl", "--same-space"], "theirs", 0);
    assert_eq!(ids(&here, "theirs", "theirs.jsonl").0, [0, 1, 2, 3]);
    // Without the file that has the numbers the ids would be others.
    let numbers = here.read("a.npy.rows.npy");
    fs::remove_file(here.path("a.npy.rows.npy")).expect("removed");
    let said = build(&here, &["a.npy"], "d", 1);
    assert!(said.contains("a.npy.errors.jsonl lists 2 rows") && said.contains("a.npy.rows.npy"), "{said}");
    fs::write(here.path("a.npy.rows.npy"), numbers).expect("written");
    build(&here, &["a.npy"], "d", 3);
}

/// A description is of one file, and of no other that has its name.
#[test]
fn a_description_of_another_file_is_refused() {
    let here = Workplace::with(20);
    let other = super::tiny::bert(2);
    for format in ["npy", "jsonl", "csv"] {
        let name = format!("v.{format}");
        let meta = format!("{name}.meta.json");
        let embed = || run(&mut here.embed(&["-q", "--input", "texts.txt", "--output", &name]), 0);
        embed();
        let about: serde_json::Value = serde_json::from_slice(&here.read(&meta)).expect("JSON");
        assert_eq!(about["file"]["bytes"], here.read(&name).len(), "{about}");
        let of_first = (here.read(&name), here.read(&meta));
        let model = here.read("tiny.gguf");
        fs::write(here.path("tiny.gguf"), &other).expect("written");
        embed();
        fs::write(here.path("tiny.gguf"), model).expect("written");
        let of_second = here.read(&meta);
        let good = format!("good-{format}");
        build(&here, &[&name], &good, 0);
        // The old one beside the new vectors, and the other way round.
        for (content, about) in [(None, &of_first.1), (Some(&of_first.0), &of_second)] {
            if let Some(content) = content {
                fs::write(here.path(&name), content).expect("written");
            }
            fs::write(here.path(&meta), about).expect("written");
            let said = build(&here, &[&name], "bad", 1);
            let complaint = said.lines().last().expect("a line");
            assert!(complaint.contains(&format!("is not the file that {meta} was written with")), "{said}");
            assert!(!here.path("bad/collection.connote").exists());
        }
        // Vectors of the first model that say they are of the second, as the collection is: refused before any answer.
        let mut command = connote();
        command.current_dir(here.path("")).args(["search", "--json", "--index", &good, "--vector", &name]);
        let (stdout, said) = run(&mut command, 1);
        assert!(stdout.is_empty() && said.contains("was written with"), "{said}");
        let mut command = connote();
        command.current_dir(here.path("")).args(["verify", "--reference", &name, "--model", "tiny.gguf"]);
        if format == "jsonl" {
            assert!(run(&mut command, 2).1.contains("was written with"));
        }
        // One that an older connote wrote says nothing of its file, and is believed.
        let mut about: serde_json::Value = serde_json::from_slice(&of_first.1).expect("JSON");
        about.as_object_mut().expect("an object").remove("file");
        fs::write(here.path(&meta), about.to_string()).expect("written");
        build(&here, &[&name], &format!("old-{format}"), 0);
    }
}

/// What somebody else keeps in a folder is not replaced, whatever is asked for.
#[test]
fn a_manifest_of_somebody_else_is_left_alone() {
    let here = Workplace::with(10);
    fs::create_dir(here.path("app")).expect("made");
    fs::write(here.path("app/manifest.json"), "{\"name\": \"my app\"}").expect("written");
    fs::write(here.path("app/part-000001.jsonl"), "precious").expect("written");
    for restart in [&[][..], &["--restart"]] {
        let arguments = [&["--input", "texts.txt", "--output", "app"], restart].concat();
        let (_, stderr) = run(&mut here.embed(&arguments), 2);
        assert!(stderr.contains("manifest.json: is not of connote"), "{stderr}");
        assert!(stderr.contains("name an empty folder") && !stderr.contains("--restart"), "{stderr}");
    }
    let mut command = connote();
    let (_, stderr) = run(command.current_dir(here.path("")).args(["merge", "-o", "v.jsonl", "app"]), 2);
    assert!(stderr.contains("manifest.json: is not of connote"), "{stderr}");
    assert_eq!(fs::read_dir(here.path("app")).expect("a folder").count(), 2, "no lock is left in it");
    let left = ["app/manifest.json", "app/part-000001.jsonl"].map(|name| here.read(name));
    assert_eq!(left, [&b"{\"name\": \"my app\"}"[..], b"precious"]);
    // One of connote's that is damaged is begun anew, as it says.
    run(&mut here.embed(&["--input", "texts.txt", "--output", "v/"]), 0);
    let mut manifest = here.read("v/manifest.json");
    manifest.truncate(200);
    fs::write(here.path("v/manifest.json"), manifest).expect("written");
    let (_, stderr) = run(&mut here.embed(&["--input", "texts.txt", "--output", "v/"]), 2);
    assert!(stderr.contains("damaged") && stderr.contains("--restart"), "{stderr}");
    run(&mut here.embed(&["--input", "texts.txt", "--output", "v/", "--restart"]), 0);
}
