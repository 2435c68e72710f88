//! What is refused, and what of other people's files is not.

use std::fs;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field, IntervalUnit, Schema, UnionFields, UnionMode};
use connote_bulk::{
    Answered, Error, ErrorKind, OutputFormat, PartWriter, Precision, SinkOptions, Stored, Vectors,
    description_path,
};
use testkit::random::Random;

use crate::files::{Table, options, read, write};

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let table = Table::new(12, 1);
    let refused = |format, precision, change: &dyn Fn(&mut SinkOptions)| {
        let mut options = options(format, precision, &table);
        change(&mut options);
        let error = options.check().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Usage);
        error.to_string()
    };
    let error = refused(OutputFormat::Npy, Precision::F32, &|_| {});
    assert!(error.contains("no columns"), "{error}");
    let error = refused(OutputFormat::Npy, Precision::Int8, &|options| {
        options.schema = Table::new(12, 1).without_columns().carried.schema();
        options.space.normalized = false;
    });
    assert!(error.contains("not normalised"), "{error}");
    for name in ["id", "tokens", "truncated", "scale", "embedding", "error", "title"] {
        let error = refused(OutputFormat::Parquet, Precision::Int8, &|options| {
            let mut fields = options.schema.fields().to_vec();
            fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
            options.schema = Arc::new(Schema::new(fields));
        });
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
    let months = DataType::Interval(IntervalUnit::MonthDayNano);
    let either = DataType::Union(UnionFields::empty(), UnionMode::Sparse);
    for (format, kind, told) in [
        (OutputFormat::Jsonl, &either, "Union"),
        (OutputFormat::Csv, &either, "Union"),
        (OutputFormat::Parquet, &months, "Interval"),
    ] {
        let error = refused(format, Precision::F32, &|options| {
            let field = Field::new("age", kind.clone(), true);
            options.schema = Arc::new(Schema::new(vec![options.schema.field(0).clone(), field]));
        });
        assert!(error.contains("`age`") && error.contains(told), "{error}");
    }
}

#[test]
fn a_value_beyond_half_precision_is_told_and_never_infinite() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = Table::new(13, 9).without_columns();
    table.results[4].as_mut().expect("a vector").vector[3] = -1e5;
    for format in OutputFormat::ALL {
        let mut options = options(format, Precision::F16, &table);
        options.space.normalized = false;
        let file = fs::File::create(folder.path().join("x")).expect("a file");
        let mut writer = PartWriter::create(file, &options).expect("begun");
        let (chunk, results) = &table.chunks(&[9])[0];
        let error = writer.write(&Answered { chunk, results }).expect_err("refused").to_string();
        assert!(error.contains("sample, line 5: -100000 does not fit f16"), "{format}: {error}");
    }
}

#[test]
fn what_is_no_file_of_vectors_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |name: &str, content: &str, meta: Option<&str>| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        if let Some(meta) = meta {
            fs::write(description_path(&path), meta).expect("written");
        }
        let read = || {
            let mut stored = Stored::open(&path)?;
            while stored.next_chunk()?.is_some() {}
            Ok::<_, Error>(())
        };
        let error = read().expect_err(content);
        let _ = fs::remove_file(description_path(&path));
        assert_eq!(error.kind(), ErrorKind::Input);
        let error = error.to_string();
        assert!(error.contains(name) && !error.contains('\n'), "{error}");
        error
    };
    for (name, content, what) in [
        ("a.jsonl", "", "no vectors"),
        ("a.jsonl", "{\"id\": 1}\n", "no vectors"),
        ("a.jsonl", "[1, 2]\n", "line 1"),
        ("a.jsonl", "{\"embedding\": [1, 2]}\n{\"embedding\": [1]}\n", "line 2: 1 values, others have 2"),
        ("a.jsonl", "{\"embedding\": [1, 1e39]}\n", "line 1"),
        ("a.jsonl", "{\"embedding\": \"abc\"}\n", "line 1: its embedding"),
        ("a.jsonl", "{\"embedding\": []}\n", "no vectors"),
        ("a.csv", "id,text\n1,x\n", "no column `embedding`"),
        ("a.csv", "id,embedding\n1,\"[1]\",7\n", "record 1"),
        ("a.csv", "id,embedding,id\n1,\"[1]\",2\n", "two columns are called `id`"),
        ("a.npy", "no", "its header"),
        ("a.parquet", "no", "damaged"),
        ("a.arrow", "no", "damaged"),
        ("a.xyz", "no", "no file of vectors"),
    ] {
        let error = told(name, content, None);
        assert!(error.contains(what), "{name}: {error}");
    }
    let meta = |rest: &str| {
        format!(
            "{{\"model\": \"m\", \"fingerprint\": \"f\", \"normalized\": false, \"created_by\": \"c\", {rest}}}"
        )
    };
    let vectors = "{\"embedding\": [1, 2]}\n";
    for (rest, what) in [
        ("\"dimensions\": 3, \"precision\": \"f32\"", "has 2 values, and it says 3".replace("has", "have")),
        ("\"dimensions\": 0, \"precision\": \"f32\"", "`dimensions` is 0".to_owned()),
        ("\"dimensions\": 2, \"precision\": \"int8\"", "without `scale`".to_owned()),
        ("\"dimensions\": 2, \"precision\": \"int8\", \"scale\": \"column\"", "integers without".to_owned()),
        ("\"dimensions\": 2, \"precision\": \"int8\", \"scale\": \"length\"", "not of length 1".to_owned()),
        ("\"dimensions\": 2, \"precision\": \"f8\"", "a.jsonl.meta.json".to_owned()),
        ("\"dimensions\": 2, \"precision\": \"f32\", \"other_spaces\": -1", "a.jsonl.meta.json".to_owned()),
    ] {
        let error = told("a.jsonl", vectors, Some(&meta(rest)));
        assert!(error.contains(&what), "{rest}: {error}");
    }
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::seeded(14);
    for format in OutputFormat::ALL {
        let table = Table::new(15, 60);
        let table = if format == OutputFormat::Npy { table.without_columns() } else { table };
        let path = folder.path().join(format!("whole.{format}"));
        let options = options(format, Precision::Int8, &table);
        write(&path, &options, &table);
        let (bytes, rows) = (fs::read(&path).expect("read"), table.results.len());
        let damaged = folder.path().join(format!("damaged.{format}"));
        // It says nothing of the file's sum, by which all of them would be told at once.
        if !format.describes_itself() {
            fs::write(description_path(&damaged), options.describe().to_json()).expect("written");
        }
        let (mut refused, tries) = (0, 400);
        for round in 0..tries {
            let mut bytes = bytes.clone();
            match round % 3 {
                0 => bytes.truncate(random.below(bytes.len())),
                // Where the sizes are: at the beginning and the end.
                1 => {
                    let place = bytes.len() - 1 - random.below(bytes.len().min(600));
                    bytes[place] = random.bits() as u8;
                }
                _ => {
                    for _ in 0..8 {
                        let place = random.below(bytes.len());
                        bytes[place] = random.bits() as u8;
                    }
                }
            }
            fs::write(&damaged, &bytes).expect("written");
            let read = || {
                let (mut stored, mut count) = (Stored::open(&damaged)?, 0);
                while let Some(chunk) = stored.next_chunk()? {
                    count += chunk.present.len();
                }
                Ok::<_, Error>(count)
            };
            match std::panic::catch_unwind(read) {
                Ok(Ok(count)) => assert!(count <= rows * 2, "{format}: {count} rows"),
                Ok(Err(error)) => {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::Input, "{format}: {error}");
                }
                Err(_) => panic!("{format}: round {round} panicked"),
            }
        }
        assert!(refused > tries / 4, "{format}: {refused} of {tries} refused");
    }
}

#[test]
fn other_peoples_files_are_read_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("theirs.jsonl");
    let lines = "{\"embedding\": [1, 0.5], \"n\": 1}\n\n{\"id\": \"b\", \"n\": 2.5, \"x\": {\"y\": [1]}, \"ok\": true}\n\
                 {\"embedding\": [0, -1], \"id\": 7, \"n\": null, \"x\": \"s\"}";
    fs::write(&path, lines).expect("written");
    let (stored, chunks) = read(&path);
    assert!(stored.space().is_none());
    let chunk = &chunks[0];
    let text = |name: &str| -> Vec<Option<String>> {
        let column = chunk.carried.column_by_name(name).expect(name);
        let text = arrow_cast::cast(column, &DataType::Utf8).expect("text");
        text.as_string::<i32>().iter().map(|it| it.map(str::to_owned)).collect()
    };
    let some = |values: [&str; 3]| values.map(|value| (!value.is_empty()).then(|| value.to_owned())).to_vec();
    assert_eq!(text("id"), some(["0", "b", "7"]));
    assert_eq!(text("n"), some(["1.0", "2.5", ""]));
    assert_eq!(text("x"), some(["", "{\"y\": [1]}", "s"]));
    assert_eq!(text("ok"), some(["", "true", ""]));
    assert_eq!(chunk.present, [true, false, true]);
    assert_eq!(chunk.vectors, Vectors::F32(vec![1.0, 0.5, 0.0, 0.0, 0.0, -1.0]));
}
