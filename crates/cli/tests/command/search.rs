//! `connote index` and `connote search`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{connote, lines, run};

const NOTES: &str = r#"{"id": "a", "text": "photosynthesis turns light into sugar", "lang": "en", "year": 2001}
{"id": "b", "text": "cats sleep most of the day", "lang": "en", "year": 2002}
{"id": "c", "text": "Katzen schlafen viel", "lang": "de", "year": 2002}
{"id": "d", "text": "plants need water and light to grow", "lang": "en", "year": 2003}
"#;

/// A folder with notes, and a file of their vectors.
fn notes() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("notes.jsonl"), NOTES).expect("written");
    run(
        connote().current_dir(folder.path()).args([
            "embed",
            "-i",
            "notes.jsonl",
            "-o",
            "vectors.parquet",
            "--quiet",
        ]),
        0,
    );
    folder
}

fn build(folder: &Path, options: &[&str], code: i32) -> String {
    run(connote().current_dir(folder).args(["index", "build", "-i"]).args(options), code).1
}

fn search(folder: &Path, options: &[&str], code: i32) -> (Vec<u8>, String) {
    run(connote().current_dir(folder).args(["search", "--index"]).args(options), code)
}

fn ids(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["id"].as_str().expect("an id")).collect()
}

#[test]
fn a_query_that_was_cut_says_so() {
    let folder = notes();
    build(folder.path(), &["vectors.parquet", "-o", "i"], 0);
    let options = ["i", "how do plants eat and what", "x", "--max-tokens", "5", "--top", "1"];
    let (stdout, stderr) = search(folder.path(), &options, 0);
    let answers = lines(&stdout);
    assert_eq!((&answers[0]["truncated"], answers[1].get("truncated")), (&json!(true), None));
    assert_eq!(
        stderr,
        "connote: queries cut to the limit of 5 tokens: 1; --truncate error refuses them instead\n"
    );
    // Neither a model nor a way to compute is looked for where none could be found.
    for (wrong, said) in [
        (&["--pooling", "none"][..], "another pooling than `none`"),
        (&["--policy", "2x1", "--parallelism", "texts"], "leave one of them out"),
    ] {
        let (_, stderr) = search(folder.path(), &[&["i", "x"], wrong].concat(), 2);
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn texts_are_found_by_meaning_at_every_precision() {
    let folder = notes();
    let said = build(folder.path(), &["vectors.parquet", "-o", "i", "--precision", "binary,f32,int8,f16"], 0);
    assert!(said.contains("4 vectors of 384 values in f32, f16, int8, binary"), "{said}");
    for precision in ["f32", "f16", "int8", "binary"] {
        let options = ["i", "how do plants eat", "--precision", precision, "--top", "2"];
        let (stdout, _) = search(folder.path(), &options, 0);
        let answers = lines(&stdout);
        assert_eq!((&answers[0]["query"], &answers[0]["text"]), (&json!(0), &json!("how do plants eat")));
        let mut found = ids(&answers[0]);
        found.sort_unstable();
        assert_eq!(found, ["a", "d"], "{precision}");
    }
    // A score is the cosine of the two vectors.
    let (stdout, _) = search(folder.path(), &["i", "cats sleep most of the day", "--top", "1"], 0);
    let hit = &lines(&stdout)[0]["hits"][0];
    assert_eq!((&hit["rank"], &hit["id"]), (&json!(1), &json!("b")));
    assert!((hit["score"].as_f64().expect("a number") - 1.0).abs() < 1e-5, "{hit}");
    let (stdout, _) = search(folder.path(), &["i", "plants", "--table", "--top", "1"], 0);
    let table = String::from_utf8(stdout).expect("UTF-8");
    assert!(table.starts_with("plants\n") && table.contains("rank") && table.contains("+0."), "{table}");
    let (_, said) = run(connote().current_dir(folder.path()).args(["index", "check", "i"]), 0);
    assert!(said.contains("is whole"), "{said}");
}

/// Vectors that others computed, with columns.
#[test]
fn filters_and_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let row = |id: u32, lang: &str, vector: [f32; 2]| {
        json!({"id": id, "lang": lang, "size": id * 10, "embedding": vector}).to_string() + "\n"
    };
    let file = row(1, "en", [1.0, 0.0]) + &row(2, "de", [0.8, 0.6]) + &row(3, "en", [0.0, 1.0]);
    fs::write(folder.path().join("v.jsonl"), file).expect("written");
    let query = json!({"id": "q", "embedding": [1.0, 0.0]}).to_string() + "\n";
    fs::write(folder.path().join("q.jsonl"), query).expect("written");
    build(folder.path(), &["v.jsonl", "-o", "i"], 0);
    let found = |filters: &[&str]| {
        let options = ["i", "--vector", "q.jsonl"].iter().chain(filters).copied().collect::<Vec<_>>();
        let (stdout, _) = search(folder.path(), &options, 0);
        lines(&stdout)[0]["hits"].clone()
    };
    // What is for texts would be ignored.
    let many = [
        &["--model", "m.gguf"][..],
        &["--task", "query"],
        &["--pooling", "cls"],
        &["--text-column", "t"],
        &["--max-tokens", "9"],
        &["--policy", "table"],
        &["a text"],
    ];
    for of_texts in many {
        let (_, said) = search(folder.path(), &[&["i", "--vector", "q.jsonl"], of_texts].concat(), 2);
        let refused = said.contains("'--vector <FILE>'") && said.contains("cannot be used with");
        assert!(refused && said.lines().count() == 1, "{said}");
    }
    // Queries are called as in their file, and one without a vector is no answer and costs no other.
    let gap = [json!({"id": "p", "embedding": null}), json!({"id": "q", "embedding": [1.0, 0.0]})];
    fs::write(folder.path().join("gap.jsonl"), gap.map(|row| row.to_string() + "\n").concat())
        .expect("written");
    let (stdout, _) = search(folder.path(), &["i", "--vector", "gap.jsonl"], 3);
    let answers = lines(&stdout);
    assert_eq!((answers.len(), &answers[0]["query"], &answers[1]["query"]), (2, &json!("p"), &json!("q")));
    assert!(
        answers[0]["error"]["message"].as_str().is_some_and(|why| why.contains("no vector")),
        "{answers:?}"
    );
    let all = found(&[]);
    assert_eq!(all[0], json!({"rank": 1, "score": 1.0, "id": 1, "lang": "en", "size": 10}));
    let found = |filters: &[&str]| -> Vec<u64> {
        let hits = found(filters);
        let hits = hits.as_array().expect("hits");
        hits.iter().map(|hit| hit["id"].as_u64().expect("an id")).collect()
    };
    assert_eq!(found(&[]), [1, 2, 3]);
    assert_eq!(found(&["--where", "lang=en"]), [1, 3]);
    assert_eq!(found(&["--where", "lang=en", "--where", "size!=10"]), [3]);
    assert_eq!(found(&["--where", "size=20"]), [2]);
    assert_eq!(found(&["--where", "lang=fr"]), [0u64; 0]);

    // Of every kind a value stays what it was, in answers and in filters.
    let typed = [
        json!({"id": "x \"y\"", "price": 1.5, "sold": true, "name": "it's \"so\"", "embedding": [1.0, 0.0]}),
        json!({"id": "z", "price": 2.0, "sold": null, "name": null, "embedding": [0.0, 1.0]}),
    ];
    fs::write(folder.path().join("typed.jsonl"), typed.map(|row| row.to_string() + "\n").concat())
        .expect("written");
    build(folder.path(), &["typed.jsonl", "-o", "typed"], 0);
    let hits = |filter: &str| {
        let (stdout, _) = search(folder.path(), &["typed", "--vector", "q.jsonl", "--where", filter], 0);
        lines(&stdout)[0]["hits"].clone()
    };
    let first =
        json!({"rank": 1, "score": 1.0, "id": "x \"y\"", "price": 1.5, "sold": true, "name": "it's \"so\""});
    let second = json!({"rank": 1, "score": 0.0, "id": "z", "price": 2.0, "sold": null, "name": null});
    for (filter, wanted) in [
        ("price=1.50", &first),
        ("price=2", &second),
        ("sold=true", &first),
        ("sold!=true", &second),
        ("!sold", &second),
        ("sold", &first),
        ("name=it's \"so\"", &first),
        ("id!=z", &first),
    ] {
        assert_eq!(hits(filter), json!([wanted]), "{filter}");
    }

    let refused = |options: &[&str]| search(folder.path(), options, 2).1;
    let said = refused(&["i", "--vector", "q.jsonl", "--where", "color=red"]);
    assert!(said.contains("no column `color`, only id, lang, size"), "{said}");
    let said = refused(&["i", "--vector", "q.jsonl", "--where", "size=big"]);
    assert!(said.contains("`big` is none"), "{said}");
    let said = refused(&["i", "--vector", "q.jsonl", "--precision", "int8"]);
    assert!(said.contains("--precision f32,int8"), "{said}");
    // Nobody knows which model these are of.
    let said = refused(&["i", "a text"]);
    assert!(said.contains("ask with --vector"), "{said}");
    build(folder.path(), &["v.jsonl", "-o", "small", "--keep", "lang"], 0);
    let (stdout, _) = search(folder.path(), &["small", "--vector", "q.jsonl", "--top", "1"], 0);
    assert_eq!(lines(&stdout)[0]["hits"][0], json!({"rank": 1, "score": 1.0, "id": 1, "lang": "en"}));
    let said = build(folder.path(), &["v.jsonl", "-o", "other", "--keep", "color"], 2);
    assert!(said.contains("no column `color` to keep"), "{said}");
    assert!(!folder.path().join("other").exists());
}

#[test]
fn spaces_are_never_mixed() {
    let folder = notes();
    let embed = ["embed", "-i", "notes.jsonl", "-o", "prompted.parquet", "--prompt", "note: ", "--quiet"];
    run(connote().current_dir(folder.path()).args(embed), 0);
    let said = build(folder.path(), &["vectors.parquet", "prompted.parquet", "-o", "i"], 2);
    assert!(said.contains("vectors.parquet is of") && said.contains("prompted.parquet of"), "{said}");
    assert!(!folder.path().join("i").exists(), "nothing was begun");

    build(folder.path(), &["vectors.parquet", "-o", "i"], 0);
    let before = fs::read(folder.path().join("i/collection.connote")).expect("a file");
    let said = build(folder.path(), &["prompted.parquet", "-o", "i"], 2);
    assert!(said.contains("--replace"), "{said}");
    assert_eq!(fs::read(folder.path().join("i/collection.connote")).expect("a file"), before);
    build(folder.path(), &["vectors.parquet", "vectors.parquet", "-o", "i"], 0);
    build(folder.path(), &["prompted.parquet", "-o", "i", "--replace"], 0);
    // The prompt is the texts' own; the model is proven all the same.
    let (stdout, _) = search(folder.path(), &["i", "plants", "--top", "4"], 0);
    assert_eq!(ids(&lines(&stdout)[0]).len(), 4);

    // Another model: the tiny one has other vectors altogether.
    fs::write(folder.path().join("tiny.gguf"), testkit::tiny::bert(1)).expect("written");
    let (_, said) = search(folder.path(), &["i", "plants", "--model", "tiny.gguf"], 2);
    assert!(said.contains("tiny.gguf: its vector space is") && said.contains("collection"), "{said}");
}

/// What does not say what it is may be of any space.
#[test]
fn files_that_say_nothing_are_put_together_only_by_a_word() {
    let folder = notes();
    let write = |name: &str, prompt: &str| {
        let embed = ["embed", "-q", "-i", "notes.jsonl", "--prompt", prompt];
        let vectors = run(connote().current_dir(folder.path()).args(embed), 0).0;
        fs::write(folder.path().join(name), vectors).expect("written");
    };
    write("u1.jsonl", "a: ");
    write("u2.jsonl", "b: ");
    let said = build(folder.path(), &["u1.jsonl", "-o", "one"], 0);
    assert!(said.contains("an unknown model"), "{said}");
    for twice in [["u1.jsonl", "u2.jsonl"], ["u1.jsonl", "u1.jsonl"]] {
        let said = build(folder.path(), &[&twice[..], &["-o", "i"]].concat(), 2);
        assert!(said.contains("--same-space") && said.lines().count() == 1, "{said}");
        let named = twice.iter().all(|name| said.contains(name));
        assert!(named && !folder.path().join("i").exists(), "{said}");
    }
    build(folder.path(), &["u1.jsonl", "u2.jsonl", "-o", "i", "--same-space"], 0);
    // Beside one that says it, and in either order: the collection is of that space.
    for (place, both) in [["u1.jsonl", "vectors.parquet"], ["vectors.parquet", "u1.jsonl"]].iter().enumerate()
    {
        let output = format!("mixed{place}");
        let said = build(folder.path(), &[&both[..], &["-o", &output]].concat(), 2);
        assert!(said.contains("an unknown model"), "{said}");
        let said = build(folder.path(), &[&both[..], &["-o", &output, "--same-space"]].concat(), 0);
        assert!(said.contains("8 vectors") && !said.contains("an unknown model"), "{said}");
    }
    // The word is none for what is known to differ.
    let embed = ["embed", "-q", "-i", "notes.jsonl", "-o", "prompted.parquet", "--prompt", "note: "];
    run(connote().current_dir(folder.path()).args(embed), 0);
    for others in
        [&["vectors.parquet", "prompted.parquet"][..], &["u1.jsonl", "vectors.parquet", "prompted.parquet"]]
    {
        let said = build(folder.path(), &[others, &["-o", "x", "--same-space"]].concat(), 2);
        assert!(said.contains("cannot be compared"), "{said}");
    }
    fs::write(folder.path().join("short.jsonl"), "{\"id\": 1, \"embedding\": [1.0, 2.0]}\n")
        .expect("written");
    let said = build(folder.path(), &["u1.jsonl", "short.jsonl", "-o", "x", "--same-space"], 2);
    assert!(said.contains("(2 values)") && said.contains("(384 values)"), "{said}");
}

/// A file of lines says what its vectors are, however the texts came: so texts can be compared with them.
#[test]
fn texts_through_a_pipe_make_a_file_that_can_be_searched() {
    let folder = notes();
    let mut embed = connote();
    embed.current_dir(folder.path()).args([
        "embed",
        "-q",
        "--input-format",
        "jsonl",
        "--keep",
        "lang",
        "-o",
        "v.jsonl",
    ]);
    run(embed.write_stdin(NOTES), 0);
    build(folder.path(), &["v.jsonl", "-o", "i"], 0);
    let (stdout, _) = search(folder.path(), &["i", "cats sleep most of the day", "--top", "1"], 0);
    assert_eq!(ids(&lines(&stdout)[0]), ["b"]);
}

#[test]
fn many_queries_are_answered_in_their_order_and_one_that_fails_costs_no_other() {
    let folder = notes();
    build(folder.path(), &["vectors.parquet", "-o", "i"], 0);
    let queries =
        "{\"id\": \"q1\", \"text\": \"plants\"}\nno json\n{\"id\": \"q2\", \"text\": \"animals\"}\n";
    fs::write(folder.path().join("q.jsonl"), queries).expect("written");
    let (stdout, _) = search(folder.path(), &["i", "-i", "q.jsonl", "--top", "1"], 3);
    let answers = lines(&stdout);
    assert_eq!(answers.len(), 3);
    assert_eq!((&answers[0]["query"], &answers[2]["query"]), (&json!("q1"), &json!("q2")));
    assert!(answers[1]["error"].is_object(), "{}", answers[1]);
    let (stdout, _) = search(folder.path(), &["i", "animals", "--top", "1"], 0);
    assert_eq!(lines(&stdout)[0]["hits"], answers[2]["hits"]);
}

#[test]
fn wrong_use_is_one_line() {
    let folder = notes();
    let (_, said) = search(folder.path(), &["nowhere", "text"], 1);
    assert!(said.contains("nowhere") && said.lines().count() == 1, "{said}");
    let (_, said) = search(folder.path(), &["i", "text", "--top", "0"], 2);
    assert!(said.contains("at least 1"), "{said}");
    build(folder.path(), &["vectors.parquet", "-o", "exact"], 0);
    let (_, said) = search(folder.path(), &["exact", "text", "--rescore", "5"], 2);
    assert!(said.contains("f32 is exact") && said.lines().count() == 1, "{said}");
    build(folder.path(), &["vectors.parquet", "-o", "i", "--precision", "int8"], 0);
    let (_, said) = search(folder.path(), &["i", "text", "--rescore", "50"], 2);
    assert!(said.contains("--rescore 0"), "{said}");
    let said = build(folder.path(), &["notes.txt", "-o", "x"], 1);
    assert!(said.contains("notes.txt"), "{said}");
    // A byte of the vectors is another.
    let file = folder.path().join("i/collection.connote");
    let mut bytes = fs::read(&file).expect("a file");
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&file, &bytes).expect("written");
    let (_, said) = run(connote().current_dir(folder.path()).args(["index", "check", "i"]), 1);
    assert!(said.contains("damaged"), "{said}");
    fs::write(&file, &bytes[..200]).expect("written");
    let (_, said) = search(folder.path(), &["i", "text"], 1);
    assert!(said.contains("build it again"), "{said}");
}

/// Sentences that people wrote have near neighbours, which random vectors have not: there a coarse scan could miss some.
/// `scripts/search_goals.py` asks the same of 60,000 texts.
#[test]
fn coarse_scans_find_the_neighbours_of_real_sentences() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let pairs = include_str!("../../../../testdata/sts/sts15-images.tsv");
    let sentences: Vec<&str> = pairs.lines().flat_map(|line| line.split('\t').skip(1)).collect();
    assert_eq!(sentences.len(), 1500);
    fs::write(at("sentences.txt"), sentences.join("\n")).expect("written");
    run(connote().args(["embed", "-q", "-i", &at("sentences.txt"), "-o", &at("v.npy")]), 0);
    let kept = "f32,int8,binary";
    run(connote().args(["index", "build", "-i", &at("v.npy"), "-o", &at("i"), "--precision", kept]), 0);
    let options = ["bench", "search", "--index", &at("i"), "--queries", "500", "--quick", "--json"];
    let report = lines(&run(connote().args(options), 0).0).remove(0);
    let recall = |precision: &str, rescored: bool| -> f64 {
        let searches = report["searches"].as_array().expect("searches");
        let is_it = |one: &&Value| one["precision"] == precision && (one["rescore"] != 0) == rescored;
        searches.iter().find(is_it).expect(precision)["recall_at_10"].as_f64().expect("a number")
    };
    assert_eq!(recall("f32", false), 1.0);
    assert!(recall("int8", true) >= 0.99 && recall("int8", false) >= 0.98, "{report}");
    assert!(recall("binary", true) >= 0.95, "{report}");
}

#[test]
fn the_benchmark_measures_every_way_to_search() {
    let options = ["bench", "search", "--rows", "300", "--dimensions", "20", "--quick", "--json"];
    let (stdout, _) = run(connote().args(options), 0);
    let report = &lines(&stdout)[0];
    assert_eq!((&report["bench"], &report["rows"]), (&json!("search"), &json!(300)));
    let searches = report["searches"].as_array().expect("searches");
    let ways: Vec<(&str, u64)> = searches
        .iter()
        .map(|search| {
            (search["precision"].as_str().expect("a name"), search["rescore"].as_u64().expect("a number"))
        })
        .collect();
    assert_eq!(ways, [("f32", 0), ("f16", 0), ("int8", 0), ("int8", 40), ("binary", 0), ("binary", 200)]);
    for search in searches {
        let recall = search["recall_at_10"].as_f64().expect("a number");
        let exact = search["precision"] == "f32" || search["rescore"] == 200;
        assert!(if exact { recall > 0.9 } else { recall > 0.1 } && recall <= 1.0, "{search}");
        assert!(search["times_memory"].as_f64().is_some_and(|times| times > 0.0), "{search}");
    }
}
