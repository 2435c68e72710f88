//! `connote embed --late-chunks`: a row a chunk, in every format that can tell chunks apart.

use std::fs;
use std::path::Path;

use arrow_array::{Array, Int64Array};
use connote::{Embedder, Options, Request, Split};
use serde_json::{Value, json};

use super::{connote, lines, run};

const TEXTS: [&str; 3] = ["Cats sleep. They purr.\n\nDogs run.", " \n ", "One."];

fn rows() -> String {
    let row = |(number, text): (usize, &&str)| {
        format!("{}\n", json!({"id": format!("t{number}"), "text": text, "kind": number}))
    };
    TEXTS.iter().enumerate().map(row).collect()
}

fn expected(text: &str, split: Split) -> Vec<(usize, usize, usize, Vec<f32>)> {
    let embedder = Embedder::open(testkit::models::builtin()).expect("the committed model opens");
    let request = Request::new([text]).with(Options::new());
    let chunks = embedder.embed_late_chunks(request, split).expect("options").remove(0).expect("chunks");
    let chunk = |(number, chunk): (usize, connote::LateChunk)| {
        (number, chunk.bytes.start, chunk.bytes.end, chunk.embedding.expect("a vector").vector)
    };
    chunks.into_iter().enumerate().map(chunk).collect()
}

fn vector(row: &Value) -> Vec<f32> {
    let values = row["embedding"].as_array().expect("a vector");
    values.iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

fn assert_rows(rows: &[Value], split: Split) {
    let mut rows = rows.iter();
    for (number, text) in TEXTS.iter().enumerate() {
        if text.trim().is_empty() {
            let row = rows.next().expect("a row that says why");
            assert_eq!(
                (&row["id"], &row["chunk"], &row["start"]),
                (&json!(format!("t{number}")), &Value::Null, &Value::Null)
            );
            assert_eq!(row["error"]["kind"], "no_tokens");
            continue;
        }
        for (chunk, start, end, wanted) in expected(text, split) {
            let row = rows.next().expect("a row a chunk");
            assert_eq!(row["id"], format!("t{number}"));
            assert_eq!(
                (&row["chunk"], &row["start"], &row["end"]),
                (&json!(chunk), &json!(start), &json!(end))
            );
            assert_eq!(vector(row), wanted);
        }
    }
    assert!(rows.next().is_none());
}

#[test]
fn a_row_a_chunk() {
    for (argument, split, count) in
        [("--late-chunks", Split::Sentences, 5), ("--late-chunks=paragraphs", Split::Paragraphs, 4)]
    {
        let mut command = connote();
        command.args(["embed", "-q", "--input-format", "jsonl", "--keep", "kind", argument]);
        let (stdout, _) = run(command.write_stdin(rows()), 3);
        let got = lines(&stdout);
        assert_eq!(got.len(), count);
        assert_rows(&got, split);
        assert_eq!((&got[0]["kind"], &got[count - 1]["kind"]), (&json!(0), &json!(2)));
    }
    let (stdout, _) = run(connote().args(["embed", "-q", "--late-chunks=tokens:2", "one two three four"]), 0);
    let got: Vec<_> =
        lines(&stdout).iter().map(|row| (row["start"].clone(), row["tokens"].clone())).collect();
    assert_eq!(got, [(json!(0), json!(2)), (json!(8), json!(2))]);
}

#[test]
fn people_see_where_a_chunk_is() {
    let mut command = connote();
    command.args(["embed", "-q", "--late-chunks", "--output-format", "text", TEXTS[0]]);
    let (stdout, _) = run(&mut command, 0);
    let shown = String::from_utf8(stdout).expect("UTF-8");
    for (number, (_, start, end, _)) in expected(TEXTS[0], Split::Sentences).into_iter().enumerate() {
        let wanted = format!(" #{number} {start}-{end}  \"{}\"  ", &TEXTS[0][start..end]);
        assert!(shown.lines().any(|line| line.contains(&wanted)), "{wanted}: {shown}");
    }
    let (stdout, _) = run(connote().args(["embed", "-q", "--output-format", "text", TEXTS[0]]), 0);
    assert!(!String::from_utf8(stdout).expect("UTF-8").contains('#'));
}

#[test]
fn files_in_and_files_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("texts.jsonl"), rows()).expect("written");
    let embed = |output: &Path| {
        let mut command = connote();
        command.args(["embed", "-q", "--late-chunks", "--keep", "kind", "-i"]).arg(path("texts.jsonl"));
        command.arg("-o").arg(output);
        command
    };
    run(&mut embed(&path("chunks.jsonl")), 3);
    assert_rows(&lines(&fs::read(path("chunks.jsonl")).expect("the output")), Split::Sentences);
    let failed = fs::read_to_string(path("chunks.jsonl.errors.jsonl")).expect("the list");
    assert!(failed.contains("white space") && failed.lines().count() == 1, "{failed}");
    run(&mut embed(&path("chunks.csv")), 3);
    let csv = fs::read_to_string(path("chunks.csv")).expect("the output");
    assert!(csv.starts_with("id,kind,chunk,start,end,tokens,"), "{csv}");
    assert!(csv.lines().nth(2).is_some_and(|line| line.starts_with("t0,0,1,12,22,")), "{csv}");
    for format in ["parquet", "arrow"] {
        let output = path(&format!("chunks.{format}"));
        run(&mut embed(&output), 3);
        let mut stored = bulk::Stored::open(&output).expect("it opens");
        let mut rows = Vec::new();
        while let Some(read) = stored.next_chunk().expect("rows") {
            let vectors = read.vectors.to_f32(stored.dimensions());
            let column = |name: &str| {
                let column = read.carried.column_by_name(name).expect("the column");
                column.as_any().downcast_ref::<Int64Array>().expect("integers").clone()
            };
            let (chunk, start, end) = (column("chunk"), column("start"), column("end"));
            for (row, vector) in vectors.chunks(stored.dimensions()).enumerate() {
                let place = |column: &Int64Array| column.is_valid(row).then(|| column.value(row) as usize);
                let places = (place(&chunk), place(&start), place(&end));
                rows.push((places, read.present[row].then(|| vector.to_vec())));
            }
        }
        let wanted = TEXTS.iter().flat_map(|text| match text.trim() {
            "" => vec![((None, None, None), None)],
            _ => expected(text, Split::Sentences)
                .into_iter()
                .map(|(chunk, start, end, vector)| ((Some(chunk), Some(start), Some(end)), Some(vector)))
                .collect(),
        });
        assert_eq!(rows, wanted.collect::<Vec<_>>(), "{format}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = folder.path().join("texts.jsonl");
    fs::write(&texts, "{\"text\": \"a\", \"start\": 1}\n").expect("written");
    let out = |name: &str| folder.path().join(name).display().to_string();
    let cases = [
        (vec!["--late-chunks=words".to_owned()], "paragraphs"),
        (vec!["--late-chunks=tokens:0".to_owned()], "from 1"),
        (vec!["--late-chunks".to_owned(), "--pooling".to_owned(), "cls".to_owned()], "pooling `mean`"),
        (vec!["--late-chunks".to_owned(), "--truncate".to_owned(), "start".to_owned()], "cut at its start"),
        (vec!["--late-chunks".to_owned(), "-o".to_owned(), out("x.npy")], "npy has no place"),
        (vec!["--late-chunks".to_owned(), "-o".to_owned(), out("parts/")], "not done in parts"),
        (vec!["--late-chunks".to_owned(), "--part-rows".to_owned(), "1024".to_owned()], "--part-rows"),
        (vec!["--late-chunks".to_owned(), "--keep".to_owned(), "start".to_owned()], "rename it"),
    ];
    for (arguments, told) in cases {
        let mut command = connote();
        command.args(["embed", "-q", "-i"]).arg(&texts).args(&arguments);
        let (stdout, stderr) = run(&mut command, 2);
        assert!(stdout.is_empty());
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
    }
}
