//! The same table in every format, read whole, in pieces and from the middle.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::DataType;
use connote_bulk::{Chunk, ErrorKind, InputFormat, Source, SourceOptions, TextFrom, ValueFrom};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use testkit::random::Random;

const ROWS: usize = 1000;

fn key(row: usize) -> String {
    format!("k{row}")
}

fn title(row: usize) -> String {
    ["", "A, b", "\"quoted\"", "two\nlines"][row % 4].to_owned()
}

fn body(row: usize) -> String {
    format!("text {row} \u{e9}\u{1f600}")
}

fn table() -> RecordBatch {
    let strings = |of: fn(usize) -> String| -> ArrayRef {
        Arc::new((0..ROWS).map(|row| Some(of(row))).collect::<StringArray>())
    };
    let score: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|row| row * 10)));
    RecordBatch::try_from_iter_with_nullable([
        ("key", strings(key), true),
        ("title", strings(title), true),
        ("score", score, true),
        ("body", strings(body), true),
    ])
    .expect("a table")
}

/// The table in a format, and what is read of it.
fn write(folder: &Path, format: &str) -> PathBuf {
    let path = folder.join(format!("table.{format}"));
    let file = || File::create(&path).expect("created");
    let separated = |by: u8| {
        let mut writer = csv::WriterBuilder::new().delimiter(by).from_writer(file());
        writer.write_record(["key", "title", "score", "body"]).expect("written");
        for row in 0..ROWS {
            writer.write_record([key(row), title(row), (row * 10).to_string(), body(row)]).expect("written");
        }
        writer.flush().expect("written");
    };
    let pieces = || (0..ROWS).step_by(150).map(|row| table().slice(row, 150.min(ROWS - row)));
    match format {
        "csv" => separated(b','),
        "tsv" => separated(b'\t'),
        "jsonl" => {
            let line = |row: usize| {
                let blank = if row % 100 == 7 { "\n" } else { "" };
                let row = serde_json::json!({"key": key(row), "title": title(row), "score": row * 10, "body": body(row)});
                format!("{blank}{row}\n")
            };
            fs::write(&path, (0..ROWS).map(line).collect::<String>()).expect("written");
        }
        "parquet" => {
            // Row groups that end within a chunk.
            let properties = WriterProperties::builder().set_max_row_group_row_count(Some(300)).build();
            let mut writer = ArrowWriter::try_new(file(), table().schema(), Some(properties)).expect("begun");
            pieces().for_each(|batch| writer.write(&batch).expect("written"));
            writer.close().expect("written");
        }
        "arrow" => {
            let mut writer = FileWriter::try_new(file(), &table().schema()).expect("begun");
            pieces().for_each(|batch| writer.write(&batch).expect("written"));
            writer.finish().expect("written");
        }
        _ => {
            let mut writer = StreamWriter::try_new(file(), &table().schema()).expect("begun");
            pieces().for_each(|batch| writer.write(&batch).expect("written"));
            writer.finish().expect("written");
        }
    }
    path
}

fn options(inputs: &[&Path]) -> SourceOptions {
    SourceOptions {
        inputs: inputs.iter().map(|path| path.to_path_buf()).collect(),
        text: TextFrom::Template("{title}|{body}|{score}".parse().expect("a template")),
        id: ValueFrom::Column("key".to_owned()),
        keep: vec!["score".to_owned(), "title".to_owned()],
        ..SourceOptions::default()
    }
}

/// Number, id, text or what is wrong, and the columns, as text.
fn told(chunks: &[Chunk]) -> Vec<(u64, String, String, Vec<String>)> {
    let mut told = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk.rows.len(), chunk.carried.num_rows());
        for (index, row) in chunk.rows.iter().enumerate() {
            let text = match &row.input {
                Ok(input) => input.text().to_owned(),
                Err(error) => format!("{}: {}", error.kind, error.message),
            };
            let columns = chunk.carried.columns().iter().map(|column| match column.data_type() {
                _ if column.is_null(index) => "null".to_owned(),
                DataType::Int64 => column.as_primitive::<Int64Type>().value(index).to_string(),
                DataType::Float64 => column.as_primitive::<Float64Type>().value(index).to_string(),
                _ => column.as_string::<i32>().value(index).to_owned(),
            });
            told.push((row.number, row.id.get().to_owned(), text, columns.collect()));
        }
    }
    told
}

fn rest(source: &mut Source, mut wanted: impl FnMut() -> usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    loop {
        let most = wanted();
        match source.next_chunk(most).expect("rows") {
            None => return chunks,
            Some(chunk) => {
                assert!(!chunk.rows.is_empty() && chunk.rows.len() <= most);
                chunks.push(chunk);
            }
        }
    }
}

#[test]
fn every_format_gives_the_same_rows_wherever_reading_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected: Vec<_> = (0..ROWS)
        .map(|row| {
            let text = format!("{}|{}|{}", title(row), body(row), row * 10);
            let columns = vec![key(row), (row * 10).to_string(), title(row)];
            (row as u64, format!("\"{}\"", key(row)), text, columns)
        })
        .collect();
    let mut random = Random::seeded(5);
    for format in ["csv", "tsv", "jsonl", "parquet", "arrow", "arrows"] {
        let path = write(folder.path(), format);
        let mut source = Source::open(&options(&[&path])).expect("it opens");
        assert_eq!(source.schema().field(0).data_type(), &DataType::Utf8);
        assert_eq!(source.files(), [path.as_path()]);
        let all = rest(&mut source, || 97);
        assert!(all.iter().all(|chunk| chunk.carried.schema() == source.schema()), "{format}");
        assert!(told(&all) == expected, "{format}");
        let progress = source.progress();
        assert_eq!(
            (Some(progress.read), progress.total),
            (progress.total, Some(fs::metadata(&path).expect("a file").len())),
            "{format}"
        );
        for skipped in [0, 1, 149, 150, 151, 299, 300, 301, 777, ROWS - 1, ROWS, ROWS + 5] {
            let mut source = Source::open(&options(&[&path])).expect("it opens");
            // In two steps, the first of which may begin in the middle of what was decoded.
            let begun = told(&rest_of(&mut source, 3));
            assert_eq!(begun, expected[..3]);
            let there = source.skip(skipped as u64).expect("skipped");
            assert_eq!(there as usize, skipped.min(ROWS - 3), "{format}");
            let rows = told(&rest(&mut source, || 1 + random.below(300)));
            assert!(rows == expected[(3 + skipped).min(ROWS)..], "{format} after {skipped}");
        }
    }
}

fn rest_of(source: &mut Source, rows: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut left = rows;
    while left > 0 {
        let chunk = source.next_chunk(left).expect("rows").expect("more");
        left -= chunk.rows.len();
        chunks.push(chunk);
    }
    chunks
}

#[test]
fn several_files_are_one_input() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, from) in [("b.jsonl", 2), ("a.jsonl", 0)] {
        let line = |row: i32| format!("{{\"text\": \"t{row}\", \"n\": {row}}}\n");
        fs::write(folder.path().join(name), line(from) + &line(from + 1)).expect("written");
    }
    fs::write(folder.path().join("c.txt"), "no JSON").expect("written");
    let mut options = options(&[&folder.path().join("*.jsonl")]);
    (options.text, options.id, options.keep) = (TextFrom::Default, ValueFrom::Custom, vec!["*".to_owned()]);
    let mut source = Source::open(&options).expect("it opens");
    assert_eq!(source.schema().field(0).data_type(), &DataType::Int64);
    let names: Vec<_> =
        source.files().iter().map(|path| path.file_name().expect("a name").to_owned()).collect();
    assert_eq!(names, ["a.jsonl", "b.jsonl"]);
    let identity = source.identity().expect("read");
    assert!(identity.len() == 2 && identity[0].bytes == 46 && identity[0].sha256.len() == 64, "{identity:?}");
    let rows = told(&rest(&mut source, || 100));
    let expected: Vec<_> = (0..4u64)
        .map(|row| (row, row.to_string(), format!("t{row}"), vec![row.to_string(), row.to_string()]))
        .collect();
    assert_eq!(rows, expected);
    let mut source = Source::open(&options).expect("it opens");
    assert_eq!(source.skip(3).expect("skipped"), 3);
    assert_eq!(told(&rest(&mut source, || 100)), expected[3..]);
    // Other columns are no part of it.
    fs::write(folder.path().join("c.csv"), "text,n\nx,1\n").expect("written");
    options.inputs.push(folder.path().join("c.csv"));
    options.keep = vec!["n".to_owned()];
    let refused = Source::open(&options).err().expect("they differ");
    assert!(refused.to_string().contains("c.csv: its column `n` is of type Utf8"), "{refused}");
}

#[test]
fn what_is_wrong_with_a_row_costs_that_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |name: &str, content: &[u8], text: TextFrom, task: Option<&str>| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        let mut options = options(&[&path]);
        (options.text, options.id, options.keep) = (text, ValueFrom::Custom, Vec::new());
        options.task = task.map_or(ValueFrom::Custom, |task| ValueFrom::Column(task.to_owned()));
        let mut source = Source::open(&options).expect("it opens");
        told(&rest(&mut source, || 100))
            .into_iter()
            .map(|(_, id, text, _)| format!("{id} {text}"))
            .collect::<Vec<_>>()
    };
    let csv = b"text,task,n\na,query,1\nb,poetry,2\nc,,\n\"d\nd\",none,3\ne\n\xff,query,4\nf,query,5\n";
    let rows = read("a.csv", csv, TextFrom::Column("text".to_owned()), Some("task"));
    assert_eq!(rows.len(), 7);
    assert_eq!((&*rows[0], &*rows[2], &*rows[3], &*rows[6]), ("0 a", "2 c", "3 d\nd", "6 f"));
    assert!(rows[1].starts_with("1 invalid_request: line 3: no task"), "{}", rows[1]);
    assert_eq!(rows[4], "4 invalid_request: line 7: there are 1 fields, and 3 names in the first line");
    assert!(rows[5].starts_with("5 invalid_utf8: line 8: "), "{}", rows[5]);
    let jsonl = b"{\"a\": \"x\"}\n\n{\"a\": 5}\nno\n{}\n{\"a\": \"y\", \"id\": 1.10}\n{\"a\": \"\xff\"}\n";
    let rows = read("a.jsonl", jsonl, TextFrom::Column("a".to_owned()), None);
    let begins = [
        "0 x",
        "2 invalid_request: line 3: `a` is not a string",
        "3 invalid_json: line 4: not a JSON object",
        "4 invalid_request: line 5: there is no `a`",
        "1.10 y",
        "6 invalid_utf8: line 7: ",
    ];
    assert_eq!(rows.len(), begins.len());
    rows.iter().zip(begins).for_each(|(row, begin)| assert!(row.starts_with(begin), "{row}"));
    // A null is no text.
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([("t", texts, true)]).expect("a table");
    let path = folder.path().join("a.parquet");
    let mut writer =
        ArrowWriter::try_new(File::create(&path).expect("created"), batch.schema(), None).expect("begun");
    writer.write(&batch).expect("written");
    writer.close().expect("written");
    let content = fs::read(&path).expect("read");
    let rows = read("b.parquet", &content, TextFrom::Default, None);
    assert_eq!(rows, ["0 a", "1 invalid_request: line 2: there is no text: it is null"]);
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let csv = write(folder.path(), "csv");
    fs::write(path("damaged.parquet"), "PAR1 and no more").expect("written");
    fs::write(path("damaged.arrow"), "ARROW1 and no more").expect("written");
    let refused = |input: &Path, change: &dyn Fn(&mut SourceOptions), kind: ErrorKind, what: &str| {
        let mut options = options(&[input]);
        change(&mut options);
        let error = Source::open(&options).err().unwrap_or_else(|| panic!("{what}: it opens"));
        assert!(error.kind() == kind && error.to_string().contains(what), "{error}");
    };
    let nothing = |_: &mut SourceOptions| ();
    let default = |options: &mut SourceOptions| {
        options.text = TextFrom::Default;
        options.keep.clear();
    };
    refused(
        &csv,
        &|options| options.id = ValueFrom::Column("no".to_owned()),
        ErrorKind::Usage,
        "there is no column `no`; there is `key`, `title`",
    );
    refused(&csv, &|options| options.keep = vec!["no".to_owned()], ErrorKind::Usage, "`no` to keep");
    refused(
        &csv,
        &|options| options.text = TextFrom::Template("{no}".parse().expect("a template")),
        ErrorKind::Usage,
        "template",
    );
    refused(&csv, &default, ErrorKind::Usage, "--text-column");
    refused(
        &csv,
        &|options| options.format = Some(InputFormat::Lines),
        ErrorKind::Usage,
        "lines of text have no columns",
    );
    refused(
        &write(folder.path(), "parquet"),
        &|options| options.text = TextFrom::Column("score".to_owned()),
        ErrorKind::Usage,
        "`score` is of type Int64 and has no strings",
    );
    refused(&path("damaged.parquet"), &nothing, ErrorKind::Input, "damaged.parquet");
    refused(&path("damaged.arrow"), &nothing, ErrorKind::Input, "damaged.arrow");
    refused(&path("none.csv"), &nothing, ErrorKind::Input, "none.csv");
    refused(&path("none*.csv"), &nothing, ErrorKind::Input, "no such file");
    refused(folder.path(), &nothing, ErrorKind::Input, "is a folder");
    fs::write(path("empty.csv"), "").expect("written");
    refused(&path("empty.csv"), &nothing, ErrorKind::Input, "is empty; a table begins");
    fs::write(path("a.zip"), "").expect("written");
    refused(&path("a.zip"), &nothing, ErrorKind::Usage, ".zip");
}

/// Kinds of JSON values become kinds of columns; what is of several stays JSON.
#[test]
fn fields_of_json_become_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.jsonl");
    let lines = [
        r#"{"text": "a", "id": 1, "n": 1, "f": 1, "b": true, "s": "x", "m": 1, "l": [1, 2]}"#,
        r#"{"text": "b", "id": 2, "n": null, "f": 2.5, "b": false, "s": "y\n", "m": "z"}"#,
    ];
    fs::write(&path, lines.join("\n")).expect("written");
    let mut options = options(&[&path]);
    (options.text, options.id, options.keep) =
        (TextFrom::Default, ValueFrom::Custom, vec!["s".to_owned(), "*".to_owned()]);
    let mut source = Source::open(&options).expect("it opens");
    let schema = source.schema();
    let columns: Vec<(&str, &DataType, bool)> = schema
        .fields()
        .iter()
        .map(|field| {
            (field.name().as_str(), field.data_type(), field.extension_type_name() == Some("arrow.json"))
        })
        .collect();
    let expected = [
        ("id", &DataType::Int64, false),
        ("s", &DataType::Utf8, false),
        ("b", &DataType::Boolean, false),
        ("f", &DataType::Float64, false),
        ("l", &DataType::Utf8, true),
        ("m", &DataType::Utf8, true),
        ("n", &DataType::Int64, false),
    ];
    assert_eq!(columns, expected);
    let chunk = source.next_chunk(10).expect("rows").expect("some");
    let text = |column: usize, row: usize| {
        let column = chunk.carried.column(column).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row))
    };
    assert_eq!((text(1, 1), text(4, 0), text(4, 1)), (Some("y\n"), Some("[1, 2]"), None));
    assert_eq!((text(5, 0), text(5, 1)), (Some("1"), Some("\"z\"")));
    assert!(chunk.carried.column(6).is_null(1));
}
