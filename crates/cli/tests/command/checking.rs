//! `connote verify` and `connote eval`.

use std::fs;

use serde_json::{Value, json};
use testkit::golden;

use super::{connote, run};

fn golden_file(folder: &std::path::Path, change: impl Fn(usize, &mut Value)) -> std::path::PathBuf {
    let path = folder.join("reference.jsonl");
    let lines = golden::texts("minilm").into_iter().take(20).enumerate().map(|(index, one)| {
        let mut line =
            json!({"text": one.text, "prompt": one.prompt, "ids": one.ids, "embedding": one.embedding});
        change(index, &mut line);
        line.to_string() + "\n"
    });
    fs::write(&path, lines.collect::<String>()).expect("written");
    path
}

#[test]
fn the_builtin_model_passes_and_agrees_with_its_authors() {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = golden_file(folder.path(), |_, _| {});
    let (stdout, _) = run(connote().args(["verify", "--json", "--reference"]).arg(&reference), 0);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(report["passed"], true);
    assert_eq!(report["comparison"]["ids_compared"], 20);
    assert!(report["comparison"]["least_cosine"].as_f64().expect("a number") > 0.999);
    let checks = report["checks"].as_array().expect("checks");
    let told =
        |check: &Value| check["verdict"] == "passed" || check["check"] == "vector space of the reference";
    assert!(checks.len() >= 12 && checks.iter().all(told), "{checks:?}");
    let bounds = &report["comparison"]["bounds"];
    assert_eq!((&bounds["mean"], &bounds["least"]), (&json!(0.99976), &json!(0.999)));
    assert_eq!(bounds["why"], "all-MiniLM-L6-v2 in Q8_0");
}

#[test]
fn what_differs_from_a_reference_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = golden_file(folder.path(), |index, line| {
        if index == 7 {
            line["embedding"] = json!(golden::texts("minilm")[8].embedding);
        }
        if index == 9 {
            line["ids"] = json!([101, 102]);
        }
    });
    let (stdout, _) = run(connote().args(["verify", "--json", "--reference"]).arg(&reference), 3);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(report["passed"], false);
    let worst = report["comparison"]["worst"].as_array().expect("some");
    assert_eq!((&worst[0]["line"], &worst[0]["same_ids"]), (&json!(10), &json!(false)));
    assert_eq!(worst[1]["line"], 8);
    let failed: Vec<&Value> = report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["verdict"] == "failed")
        .map(|check| &check["check"])
        .collect();
    let names =
        ["token ids are the reference's", "mean cosine to the reference", "smallest cosine to the reference"];
    assert_eq!(failed, names);
    // Bounds can be given; a person sees the texts.
    let bounds = ["--mean-cosine", "0.9", "--min-cosine=-1"];
    let (stdout, _) = run(connote().args(["verify", "--reference"]).arg(&reference).args(bounds), 3);
    let text = String::from_utf8(stdout).expect("UTF-8");
    assert!(text.contains("One check failed") && text.contains("DIFFER"), "{text}");
}

/// The built-in model with a weight that is no number.
#[test]
fn vectors_that_are_no_numbers_are_a_check_that_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nan.gguf");
    let tiny = testkit::tiny::bert(7);
    let mut bytes = tiny;
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).expect("written");
    let (stdout, _) = run(connote().args(["verify", "--json"]).arg(&path), 3);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(report["checks"][0]["verdict"], "failed");
}

#[test]
fn verify_refuses_what_it_cannot_use_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("broken.gguf");
    fs::write(&broken, b"GGUF and then nothing").expect("written");
    let reference = |name: &str, line: &str| {
        let path = folder.path().join(name);
        fs::write(&path, line).expect("written");
        path.display().to_string()
    };
    let vectors = reference("vectors.jsonl", "{\"id\": 0, \"embedding\": [1.0]}\n");
    let short = reference("short.jsonl", "{\"text\": \"a\", \"embedding\": [1.0]}\n");
    let empty = reference("empty.jsonl", "\n");
    let huge = reference("huge.jsonl", "{\"text\": \"a\", \"embedding\": [1e39, 1.0]}\n");
    let missing = folder.path().join("missing.jsonl").display().to_string();
    let unnamed = reference("unnamed.jsonl", "{\"text\": \"a\", \"embedding\": [1.0]}\nnot json\n");
    let task = reference("task.jsonl", "{\"text\": \"a\", \"task\": \" \", \"embedding\": [1.0]}\n");
    let latin = folder.path().join("latin.jsonl");
    fs::write(&latin, b"{\"text\": \"caf\xe9\", \"embedding\": [1.0]}\n").expect("written");
    let latin = latin.display().to_string();
    let bits = json!({"text": "a", "embedding": vec![7; 48]}).to_string();
    let bits = reference("bits.jsonl", &bits);
    let uneven = "{\"text\": \"a\", \"embedding\": [1.0]}\n{\"text\": \"b\", \"embedding\": [1.0, 2.0]}\n";
    let uneven = reference("uneven.jsonl", uneven);
    let npy = reference("vectors.npy", "");
    let parquet = reference("broken.parquet", "PAR1");
    let cases: [(&[&str], i32, &str); 18] = [
        (&["--reference", &missing], 1, "missing.jsonl: cannot be read"),
        (&["--reference", &unnamed], 2, "unnamed.jsonl, line 2: "),
        (&["--reference", &task], 2, "task.jsonl, line 1: "),
        (&["--reference", &latin], 2, "latin.jsonl, line 1: is not UTF-8"),
        (&["--reference", &bits], 2, "bits.jsonl.meta.json beside it"),
        (&["--reference", &uneven], 2, "uneven.jsonl, line 2: a vector of 2 values"),
        (&["--reference", &npy], 2, "npy holds no texts"),
        (&["--reference", &parquet], 2, "broken.parquet"),
        (&["--reference", &short, "--mean-cosine", "nan"], 2, "--mean-cosine NaN: is no cosine"),
        (&["--reference", &short, "--mean-cosine", "2"], 2, "--mean-cosine 2: is no cosine"),
        (&["--reference", &short, "--min-cosine", "-1.5"], 2, "--min-cosine -1.5: is no cosine"),
        (&["--reference", &huge], 2, "huge.jsonl, line 1: "),
        (&[&broken.display().to_string()], 1, "broken.gguf"),
        (&["no-such-model"], 1, "there is no such file"),
        (&["--reference", &vectors], 2, "line 1: there is no `text`"),
        (&["--reference", &short], 2, "another model's reference"),
        (&["--reference", &empty], 2, "has no rows with a vector"),
        (&["--min-cosine", "0.9"], 2, "--reference"),
    ];
    for (arguments, code, words) in cases {
        let (_, stderr) = run(connote().arg("verify").args(arguments), code);
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

fn verified(command: &mut assert_cmd::Command, code: i32) -> Value {
    let (stdout, _) = run(command, code);
    serde_json::from_slice(&stdout).expect("JSON")
}

/// What `embed --keep text` wrote is a reference, whatever was asked of it.
#[test]
fn what_embed_wrote_is_a_reference_with_its_task_prompt_dimensions_and_precision() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = folder.path().join("texts.jsonl");
    let rows = "{\"text\": \"a cat\"}\n{\"text\": \"a dog\", \"task\": null}\n{\"nothing\": 1}\n{\"text\": \"rain\"}\n";
    fs::write(&texts, rows).expect("written");
    // It is fast; the built-in one has tasks.
    let tiny = folder.path().join("tiny.gguf");
    fs::write(&tiny, testkit::tiny::bert(7)).expect("written");
    let of = |name: &str, how: &[&str], model: Option<&std::path::Path>| {
        let path = folder.path().join(name);
        let mut embed = connote();
        embed.args(["embed", "--quiet", "--keep", "text", "--input"]).arg(&texts).arg("--output").arg(&path);
        let mut verify = connote();
        verify.args(["verify", "--json", "--reference"]).arg(&path);
        if let Some(model) = model {
            embed.arg("--model").arg(model);
            verify.arg(model);
        }
        // A row has no text.
        run(embed.args(how), 3);
        let report = verified(&mut verify, 0);
        let comparison = report["comparison"].clone();
        assert_eq!((&comparison["texts"], &comparison["reference"]["left_out"]), (&json!(3), &json!(1)));
        assert!(comparison["least_cosine"].as_f64().expect("a number") > 0.999_999, "{name}: {comparison}");
        assert_eq!(comparison["fingerprint"], comparison["reference"]["fingerprint"], "{name}");
        comparison
    };
    for precision in ["f32", "f16", "int8", "binary"] {
        for ending in ["jsonl", "csv", "parquet", "arrow"] {
            let how = ["--precision", precision, "--prompt", "query: "];
            let comparison = of(&format!("{precision}.{ending}"), &how, Some(&tiny));
            assert_eq!(comparison["reference"]["precision"], precision);
            assert_eq!(comparison["reference"]["prompt"], "query: ");
        }
    }
    assert_eq!(of("task.jsonl", &["--task", "query"], None)["reference"]["task"], "query");
    // Columns that came along and had no part in the vectors.
    let csv = folder.path().join("texts.csv");
    fs::write(&csv, "text,title,prompt\na cat,Cats,x: \na dog,Dogs,x: \n").expect("written");
    let carried = folder.path().join("carried.jsonl");
    let mut embed = connote();
    embed
        .args(["embed", "--quiet", "--keep", "text,title,prompt", "--text-column", "text", "--input"])
        .arg(&csv);
    run(embed.arg("--output").arg(&carried), 0);
    let report = verified(connote().args(["verify", "--json", "--reference"]).arg(&carried), 0);
    assert!(report["comparison"]["least_cosine"].as_f64().expect("a number") > 0.999_999);
}

/// CSV writes an empty text as nothing.
#[test]
fn an_empty_text_of_csv_is_a_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let (texts, vectors) = (folder.path().join("texts.jsonl"), folder.path().join("vectors.csv"));
    fs::write(&texts, "{\"text\": \"a cat\"}\n{\"text\": \"\"}\n{\"text\": \"a dog\"}\n").expect("written");
    let mut embed = connote();
    embed.args(["embed", "--quiet", "--keep", "text", "--input"]).arg(&texts).arg("--output").arg(&vectors);
    run(&mut embed, 0);
    let report = verified(connote().args(["verify", "--json", "--reference"]).arg(&vectors), 0);
    assert_eq!(report["comparison"]["texts"], 3, "{report}");
}

/// As `embed` reads them: an empty task says nothing.
#[test]
fn an_empty_task_is_none_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.jsonl");
    let library = connote::Embedder::open(testkit::models::builtin()).expect("it opens");
    let vector = library.embed_one("a bird").expect("a vector").vector;
    fs::write(&path, json!({"text": "a bird", "task": "", "embedding": vector}).to_string())
        .expect("written");
    let report = verified(connote().args(["verify", "--json", "--reference"]).arg(&path), 0);
    assert_eq!(report["comparison"]["texts"], 1, "{report}");
}

/// Tasks and titles of rows move vectors of models that have prompts, and so do the prompts of a reference of others.
#[test]
fn tasks_titles_and_prompts_of_rows_are_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.jsonl");
    let library = connote::Embedder::open(testkit::models::builtin()).expect("it opens");
    let vector = |text: &str| library.embed_one(text).expect("a vector").vector;
    // The first byte order mark is Windows'; null is as good as nothing.
    let mut lines = "\u{feff}".to_owned();
    for line in [
        json!({"text": "a cat", "prompt": null, "ids": null, "title": null, "embedding": vector("a cat")}),
        json!({"text": "a dog", "prompt": "query: ", "task": null, "embedding": vector("query: a dog")}),
        json!({"text": "a bird", "task": "query", "embedding": vector("a bird")}),
        json!({"text": "a bird", "task": "none", "embedding": vector("a bird")}),
        json!({"text": "rhymes", "task": "custom:poems", "embedding": vector("rhymes")}),
    ] {
        lines += &format!("{line}\n");
    }
    fs::write(&path, lines).expect("written");
    let report = verified(connote().args(["verify", "--json", "--reference"]).arg(&path), 3);
    // This model has no prompt for words of one's own: the line is named, and the others are compared.
    let comparison = &report["comparison"];
    assert_eq!((&comparison["texts"], &comparison["refused"]), (&json!(4), &json!(1)), "{comparison}");
    assert_eq!(comparison["refused_first"][0]["line"], 5);
    assert!(comparison["least_cosine"].as_f64().expect("a number") > 0.999_999, "{comparison}");
    let failed: Vec<&Value> = report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["verdict"] == "failed")
        .collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["seen"].as_str().expect("words").contains("reference.jsonl, line 5: "), "{failed:?}");
}

const PAIRS: &str = "4.40\tA pair of dogs playing with a purple ball.\tTwo dogs play with purple football.\n\
                     0.60\ta bird lands in the water.\ta boat floats in the water.\n\
                     4.60\tThree children stand on or near a fence.\tThe three children are standing on and by a fence.\n\
                     1.00\tA \"quoted\" man plays the guitar.\tA woman slices an onion.\n\
                     3.00\tA dog runs over grass.\tA dog runs on the beach.\n";

#[test]
fn eval_gives_the_correlation_of_the_reference_stack() {
    // The rows of `testdata/sts`, whose figures are those of sentence-transformers within 0.0005 (real_models.rs).
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/sts/sts15-images.tsv");
    let (stdout, _) = run(connote().args(["eval", "sts", file, "--json"]), 0);
    let report: Value = serde_json::from_slice(&stdout).expect("JSON");
    let images = &report["files"][0];
    assert_eq!((&images["pairs"], &images["failed"]), (&json!(750), &json!(0)));
    let spearman = images["spearman"]["value"].as_f64().expect("a number");
    assert!((spearman - 0.93035).abs() < 0.0005, "{spearman}");
    assert_eq!(report["mean_spearman"], images["spearman"]["value"]);
}

#[test]
fn eval_takes_headers_and_tells_what_it_cannot_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain.tsv");
    fs::write(&plain, PAIRS).expect("written");
    let csv = folder.path().join("pairs.csv");
    let rows: String = PAIRS
        .lines()
        .map(|line| {
            let fields: Vec<String> = line.split('\t').map(|field| field.replace('"', "\"\"")).collect();
            format!("\"{}\",\"{}\",{}\n", fields[2], fields[1], fields[0])
        })
        .collect();
    fs::write(&csv, format!("b,a,gold\n{rows}\"x\",\"y\",unknown\n")).expect("written");
    let columns = ["--score-column", "gold", "--first-column", "a", "--second-column", "b"];
    let (stdout, _) = run(connote().args(["eval", "sts", "--json"]).arg(&plain), 0);
    let plain: Value = serde_json::from_slice(&stdout).expect("JSON");
    let (stdout, stderr) = run(connote().args(["eval", "sts", "--json"]).arg(&csv).args(columns), 3);
    let named: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!(plain["files"][0]["spearman"], named["files"][0]["spearman"]);
    assert_eq!(named["files"][0]["failed"], 1);
    assert!(stderr.contains("line 7: the score is no number: \"unknown\""), "{stderr}");
    // What stands behind an open quote is not taken for a sentence.
    fs::write(&csv, format!("b,a,gold\n{rows}\"x\",\"y\",3\n\"open,c,1\nd,e,2\n")).expect("written");
    let (stdout, stderr) = run(connote().args(["eval", "sts", "--json"]).arg(&csv).args(columns), 3);
    let open: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!((&open["files"][0]["pairs"], &open["files"][0]["failed"]), (&6.into(), &1.into()));
    assert!(stderr.contains("line 8: a quote is opened"), "{stderr}");
}

#[test]
fn eval_reads_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pairs.tsv");
    fs::write(&file, PAIRS).expect("written");
    let of_file = verified(connote().args(["eval", "sts", "--json"]).arg(&file), 0);
    let of_pipe = verified(connote().args(["eval", "sts", "--json", "-"]).write_stdin(PAIRS), 0);
    assert_eq!(of_file["files"][0]["spearman"], of_pipe["files"][0]["spearman"]);
    assert_eq!(of_pipe["files"][0]["file"], "standard input");
    let rows = PAIRS.replace(',', ";").replace('"', "").replace('\t', ",");
    let csv = format!("\u{feff}score,sentence1,sentence2\n{rows}");
    let mut command = connote();
    command.args(["eval", "sts", "--json", "--input-format", "csv", "-"]).write_stdin(csv);
    assert_eq!(verified(&mut command, 0)["files"][0]["pairs"], 5);
    let (_, stderr) = run(connote().args(["eval", "sts", "-", "-"]).write_stdin(PAIRS), 2);
    assert!(stderr.contains("`-` is given twice"), "{stderr}");
    let (_, stderr) = run(connote().args(["eval", "sts", "-"]).write_stdin(""), 1);
    assert!(stderr.contains("standard input: has no pairs"), "{stderr}");
}

#[test]
fn eval_refuses_what_it_cannot_use_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path.display().to_string()
    };
    let header = file("header.tsv", "gold\tfirst\tsecond\n1\ta\tb\n");
    let few = file("few.tsv", "1\ta\tb\n2\tc\td\n");
    let none = file("none.tsv", "");
    let twice = file("twice.tsv", "score\tsentence1\tsentence2\tscore\n1\ta\tb\t2\n");
    for (name, code, words) in [
        (&*twice, 2, "two columns are called `score`; give one of them another name"),
        (&*header, 2, "there is no column `score`; the first row has gold, first, second"),
        (&*few, 1, "there must be four"),
        (&*none, 1, "has no pairs"),
        ("missing.tsv", 1, "missing.tsv: cannot be read"),
    ] {
        let (_, stderr) = run(connote().args(["eval", "sts", name]), code);
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{stderr}");
    }
}

/// What is lost to a coarse type is no reason to let another model's reference pass.
#[test]
fn a_coarse_file_is_told_from_another_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let mut quantize = connote();
    run(quantize.arg("quantize").arg(testkit::models::builtin()).arg(at("q4.gguf")).arg("Q4_0"), 0);
    let cosines = |report: &Value| -> Vec<String> {
        let checks = report["checks"].as_array().expect("checks");
        let of_cosines =
            checks.iter().filter(|check| check["check"].as_str().is_some_and(|c| c.contains("cosine")));
        of_cosines.map(|check| check["verdict"].as_str().expect("a verdict").to_owned()).collect()
    };
    let reference = golden_file(folder.path(), |_, _| {});
    let mut verify = connote();
    verify.args(["verify", "--json", "--reference"]).arg(&reference).arg(at("q4.gguf"));
    let report = verified(&mut verify, 0);
    assert_eq!(cosines(&report), ["passed", "passed"]);
    assert_eq!(report["comparison"]["judged"], true);
    assert_eq!(report["comparison"]["bounds"]["why"], "the floor of files with weights of 4.5 bits");

    // Vectors as long, of a network that shares nothing with it.
    let size = testkit::tiny::GemmaSize { layers: 2, dim: 384, ..Default::default() };
    let other = testkit::tiny::gemma_of(1, testkit::tiny::GemmaKind::WithoutHeads, size);
    fs::write(at("other.gguf"), other).expect("written");
    let texts: String = golden::texts("minilm")
        .iter()
        .take(20)
        .map(|one| json!({"text": one.text}).to_string() + "\n")
        .collect();
    fs::write(at("texts.jsonl"), texts).expect("written");
    for precision in ["f32", "int8", "binary"] {
        let others = at(&format!("{precision}.jsonl"));
        let mut embed = connote();
        embed.args(["embed", "-q", "--keep", "text", "--precision", precision, "-i"]).arg(at("texts.jsonl"));
        run(embed.arg("-o").arg(&others).arg("--model").arg(at("other.gguf")), 0);
        let mut verify = connote();
        verify.args(["verify", "--json", "--reference"]).arg(&others).arg(at("q4.gguf"));
        assert_eq!(cosines(&verified(&mut verify, 3)), ["failed", "failed"], "{precision}");
    }
    // Who takes all bounds away is told what that means.
    let mut verify = connote();
    verify.args(["verify", "--mean-cosine=-1", "--min-cosine=-1", "--reference"]).arg(at("f32.jsonl"));
    let text = String::from_utf8(run(verify.arg(at("q4.gguf")), 0).0).expect("UTF-8");
    assert!(
        text.ends_with("the reference was not judged: no bound was left that a cosine could miss.\n"),
        "{text}"
    );
    assert_eq!(text.matches("which no cosine could miss").count(), 2, "{text}");
}

/// Pairs in perfect order, as few may be by chance, do not say between what bounds the true correlation lies.
#[test]
fn eval_gives_no_interval_where_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pairs.tsv");
    let pairs = "5\ta cat sleeps\ta cat sleeps\n4\ta cat sleeps\ta cat is sleeping\n2\ta cat sleeps\ta dog sleeps\n0\ta cat sleeps\tthe \
                 stock market fell\n";
    fs::write(&file, pairs).expect("written");
    let report = verified(connote().args(["eval", "sts", "--json"]).arg(&file), 0);
    let spearman = &report["files"][0]["spearman"];
    assert_eq!(spearman, &json!({"value": 1.0, "low": null, "high": null}));
    assert!(report["files"][0]["pearson"]["low"].is_number(), "{report}");
    let text = String::from_utf8(run(connote().args(["eval", "sts"]).arg(&file), 0).0).expect("UTF-8");
    assert!(text.contains("none") && text.contains("A correlation of 1 or -1 has no interval"), "{text}");
    assert!(!text.contains("1.000 to 1.000"), "{text}");
    // With one pair out of order there is one, and nothing to be said.
    fs::write(&file, pairs.replacen('5', "3", 1)).expect("written");
    let text = String::from_utf8(run(connote().args(["eval", "sts"]).arg(&file), 0).0).expect("UTF-8");
    assert!(!text.contains("none") && !text.contains("has no interval"), "{text}");
}
