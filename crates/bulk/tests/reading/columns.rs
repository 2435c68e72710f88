//! Columns `id` and `text` of types that are not those of ids and texts: what can be used is, all else is refused, and none is
//! passed over in silence. Likewise fields of JSON that no row has.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int64Array, NullArray, PrimitiveArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow_schema::{DataType, Schema};
use connote_bulk::{ErrorKind, InputFormat, Source, SourceOptions, TextFrom, ValueFrom};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;

#[cfg(unix)]
use super::piped;
use super::{chunks, opened, options, refused, tables, told, written};

/// A table with this column.
fn with(name: &str, values: ArrayRef) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let other = if name == "text" { "url" } else { "text" };
    RecordBatch::try_from_iter_with_nullable([(name, values, true), (other, texts, true)]).expect("a table")
}

#[test]
fn a_column_called_id_has_the_ids_whatever_its_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(ArrayRef, [&str; 3]); 8] = [
        // As pandas writes integers of which one is missing.
        (Arc::new(Float64Array::from(vec![Some(101.0), None, Some(103.0)])), ["101", "1", "103"]),
        (Arc::new(Float64Array::from(vec![101.0, f64::NAN, -0.0])), ["101", "1", "0"]),
        (Arc::new(Float32Array::from(vec![0.1, 1e30, f32::INFINITY])), ["0.1", "1e30", "\"inf\""]),
        (Arc::new(UInt64Array::from(vec![1, 2, u64::MAX])), ["1", "2", "18446744073709551615"]),
        (
            Arc::new(Date32Array::from(vec![0, 1, 365])),
            ["\"1970-01-01\"", "\"1970-01-02\"", "\"1971-01-01\""],
        ),
        (Arc::new(BooleanArray::from(vec![true, false, true])), ["\"true\"", "\"false\"", "\"true\""]),
        (
            Arc::new(Decimal128Array::from(vec![7, 8, 9])),
            ["\"0.0000000007\"", "\"0.0000000008\"", "\"0.0000000009\""],
        ),
        (Arc::new(BinaryArray::from_vec(vec![b"x", b"y", b"z"])), ["\"x\"", "\"y\"", "\"z\""]),
    ];
    for (values, ids) in cases {
        let table = with("id", values);
        for path in tables(folder.path(), &table) {
            let mut options = options(&[&path]);
            let wanted: Vec<String> =
                ids.iter().zip(["a", "b", "c"]).map(|(id, text)| format!("{id} {text}")).collect();
            assert_eq!(told(&options), wanted);
            // In a column they are text, the same with `--keep '*'`.
            options.keep = vec!["*".to_owned()];
            let carried = &chunks(&options)[0].carried;
            let column: Vec<_> = carried.column(0).as_string::<i32>().iter().flatten().collect();
            assert_eq!(column, ids.map(|id| id.trim_matches('"')));
            options.id = ValueFrom::Column("id".to_owned());
            assert_eq!(told(&options), wanted);
        }
    }
}

#[test]
fn an_id_without_a_form_as_text_is_refused_by_its_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let values = FixedSizeBinaryArray::try_from_iter([[1u8; 8], [2; 8], [3; 8]].iter()).expect("of a size");
    for path in tables(folder.path(), &with("id", Arc::new(values))) {
        let mut options = options(&[&path]);
        let said = refused(&options);
        assert!(
            said.contains("`id` is of type FixedSizeBinary(8)")
                && said.contains("--id-column")
                && said.contains("--no-ids"),
            "{said}"
        );
        options.id = ValueFrom::Nowhere;
        assert_eq!(told(&options), ["0 a", "1 b", "2 c"]);
    }
}

/// With the note that they are UUIDs, in Arrow's way or in Parquet's, as DuckDB and Postgres write it; without it they may as well be
/// hashes, and are digits, as these are written.
#[test]
fn uuids_are_their_canonical_text_and_other_bytes_of_their_size_digits() {
    let folder = tempfile::tempdir().expect("a folder");
    let uuid = |last: u8| {
        let mut bytes = *b"\x55\x0e\x84\x00\xe2\x9b\x41\xd4\xa7\x16\x44\x66\x55\x44\x00\x00";
        bytes[15] = last;
        Some(bytes)
    };
    let values =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([uuid(0), None, uuid(255)].into_iter(), 16);
    let values: ArrayRef = Arc::new(values.expect("of a size"));
    for noted in [false, true] {
        let table = with("id", values.clone());
        let table = match noted {
            false => table,
            true => {
                let name: HashMap<_, _> =
                    [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())].into();
                let mut fields = table.schema().fields().to_vec();
                fields[0] = Arc::new(fields[0].as_ref().clone().with_metadata(name));
                RecordBatch::try_new(Arc::new(Schema::new(fields)), table.columns().to_vec())
                    .expect("a table")
            }
        };
        let text = |last: u8| match noted {
            true => format!("550e8400-e29b-41d4-a716-4466554400{last:02x}"),
            false => format!("550e8400e29b41d4a7164466554400{last:02x}"),
        };
        let mut paths = tables(folder.path(), &table).to_vec();
        if noted {
            paths.push(folder.path().join("b.parquet"));
            noted_by_parquet_alone(&paths[2], &table);
        }
        for path in paths {
            let plain = options(&[&path]);
            let ids = [format!("\"{}\" a", text(0)), "1 b".to_owned(), format!("\"{}\" c", text(255))];
            assert_eq!(told(&plain), ids);
            let carried = &chunks(&plain)[0].carried;
            let column: Vec<_> = carried.column(0).as_string::<i32>().iter().flatten().collect();
            assert_eq!(column, [text(0).as_str(), "1", &text(255)]);
            // Wherever values become text.
            let template = TextFrom::Template("{id}: {text}".parse().expect("a template"));
            let rows = told(&SourceOptions { text: template, id: ValueFrom::Nowhere, ..plain });
            assert_eq!(
                rows,
                [format!("0 {}: a", text(0)), "1 : b".to_owned(), format!("2 {}: c", text(255))]
            );
        }
    }
}

/// One column has one form.
#[test]
fn uuids_and_other_bytes_are_no_column_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let values =
        FixedSizeBinaryArray::try_from_iter([[1u8; 16], [2; 16], [3; 16]].iter()).expect("of a size");
    let table = with("id", Arc::new(values));
    let [bytes, _] = tables(folder.path(), &table);
    let uuids = folder.path().join("b.parquet");
    noted_by_parquet_alone(&uuids, &table);
    let plain = options(&[&bytes, &uuids]);
    let options = SourceOptions { keep: vec!["id".to_owned()], id: ValueFrom::Nowhere, ..plain };
    let said = refused(&options);
    assert!(said.contains("its column `id` is of type UUID"), "{said}");
}

fn noted_by_parquet_alone(path: &Path, table: &RecordBatch) {
    let columns =
        "message m { OPTIONAL FIXED_LEN_BYTE_ARRAY (16) id (UUID); OPTIONAL BYTE_ARRAY text (STRING); }";
    let columns = SchemaDescriptor::new(Arc::new(parse_message_type(columns).expect("a schema")));
    let options = ArrowWriterOptions::new().with_parquet_schema(columns).with_skip_arrow_metadata(true);
    let file = std::fs::File::create(path).expect("created");
    let mut writer = ArrowWriter::try_new_with_options(file, table.schema(), options).expect("begun");
    writer.write(table).expect("written");
    writer.close().expect("written");
}

/// Where fields of JSON have the names that titles, tasks and ids have by custom, and are something else.
#[test]
fn what_is_left_unread_is_a_field_like_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let row = "{\"text\": \"a\", \"title\": 7, \"task\": \"poetry\", \"id\": \"x\"}\n";
    let path = written(folder.path(), "a.jsonl", row);
    let plain = || options(&[&path]);
    assert!(told(&plain())[0].starts_with("\"x\" invalid_request: line 1: `title` is not a string"));
    let nowhere = || ValueFrom::Nowhere;
    let untitled = SourceOptions { title: nowhere(), ..plain() };
    assert!(told(&untitled)[0].contains("poetry"), "{:?}", told(&untitled));
    assert!(opened(&untitled).has_tasks());
    let options = SourceOptions { title: nowhere(), task: nowhere(), ..plain() };
    assert_eq!(told(&options), ["\"x\" a"]);
    assert!(!opened(&options).has_tasks());
    let options = SourceOptions { title: nowhere(), task: nowhere(), id: nowhere(), ..plain() };
    assert_eq!(told(&options), ["0 a"]);
    assert_eq!(chunks(&options)[0].carried.column(0).data_type(), &DataType::Int64);
    // They come along with all others.
    let options = SourceOptions { keep: vec!["*".to_owned()], id: ValueFrom::Custom, ..options };
    let schema = chunks(&options)[0].carried.schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "task", "title"]);
    #[cfg(unix)]
    {
        let (pipe, writes) = piped(folder.path(), "a", row);
        let format = Some(InputFormat::Jsonl);
        let options = super::options(&[&pipe]);
        let options = SourceOptions { format, title: nowhere(), task: nowhere(), id: nowhere(), ..options };
        assert_eq!(told(&options), ["0 a"]);
        writes.join().expect("it ends").expect("written");
    }
}

#[test]
fn a_column_called_text_has_the_texts_or_is_refused_by_its_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = BinaryArray::from_opt_vec(vec![Some(b"x"), Some(b"\xff"), None]);
    for path in tables(folder.path(), &with("text", Arc::new(bytes))) {
        let rows = told(&options(&[&path]));
        assert_eq!(rows[0], "0 x");
        assert!(rows[1].starts_with("1 invalid_utf8: line 2: `text` is not UTF-8"), "{rows:?}");
        assert!(rows[2].ends_with("there is no text: it is null"), "{rows:?}");
    }
    for path in tables(folder.path(), &with("text", Arc::new(NullArray::new(3)))) {
        let rows = told(&options(&[&path]));
        assert!(rows.len() == 3 && rows.iter().all(|row| row.ends_with("it is null")), "{rows:?}");
    }
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    for path in tables(folder.path(), &with("text", numbers)) {
        let mut options = options(&[&path]);
        for text in [TextFrom::Default, TextFrom::Column("text".to_owned())] {
            options.text = text;
            let said = refused(&options);
            assert!(said.contains("the column `text` is of type Int64 and has no strings"), "{said}");
        }
        options.text = TextFrom::Column("url".to_owned());
        assert_eq!(told(&options), ["0 a", "1 b", "2 c"]);
    }
}

/// Columns that the output has itself come along with `*`, so that who writes it can refuse them by name.
#[test]
fn all_columns_are_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let values: PrimitiveArray<Float64Type> = vec![1.5, 2.5, 3.5].into();
    let [parquet, arrow] = tables(folder.path(), &with("scale", Arc::new(values)));
    let jsonl = written(folder.path(), "a.jsonl", "{\"text\": \"a\", \"scale\": 1.5}\n");
    for path in [parquet, arrow, jsonl] {
        let options = SourceOptions { keep: vec!["*".to_owned()], ..options(&[&path]) };
        let schema = chunks(&options)[0].carried.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["id", "scale"]);
    }
}

#[test]
fn a_field_that_no_row_of_json_has_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = written(folder.path(), "1.jsonl", "{\"text\": \"a\", \"title\": \"T\"}\n");
    let two = written(folder.path(), "2.jsonl", "{\"text\": \"b\", \"body\": null}\n");
    let template = |text: &str| TextFrom::Template(text.parse().expect("a template"));
    let plain = || options(&[&one, &two]);
    let no = || ValueFrom::Column("no".to_owned());
    for options in [
        SourceOptions { text: template("{title}: {no}"), ..plain() },
        SourceOptions { id: no(), ..plain() },
        SourceOptions { title: no(), ..plain() },
        SourceOptions { task: no(), ..plain() },
    ] {
        let error = Source::open(&options).err().expect("it is refused");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("has a field `no`"), "{error}");
        // No rows, no field to miss.
        let empty = written(folder.path(), "empty.jsonl", "");
        let inputs = vec![empty.clone()];
        assert_eq!(told(&SourceOptions { inputs, ..options }), Vec::<String>::new());
    }
    // A column of nulls is seen for what it is.
    let rows = told(&SourceOptions { keep: vec!["no".to_owned()], ..plain() });
    assert_eq!(rows.len(), 2);
    // One row in any of the files is enough. A row without any of them has no text.
    let rows = told(&SourceOptions { text: template("{title}: {body}"), ..plain() });
    assert_eq!(rows[0], "0 T: ");
    assert!(rows[1].ends_with("line 1: there is no text: the row has no `title` and no `body`"), "{rows:?}");
}

/// What comes through a pipe is known at its end.
#[cfg(unix)]
#[test]
fn a_field_that_no_row_of_a_pipe_has_is_told_at_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = "{\"text\": \"a\", \"key\": 7}\n{\"text\": \"b\"}\n";
    for (id, fails) in [("key", false), ("kay", true)] {
        let (pipe, writer) = piped(folder.path(), id, lines);
        let mut options = options(&[&pipe]);
        (options.format, options.id) = (Some(InputFormat::Jsonl), ValueFrom::Column(id.to_owned()));
        let mut source = Source::open(&options).expect("it opens");
        let mut rows = 0;
        let end = loop {
            match source.next_chunk(100) {
                Ok(Some(chunk)) => rows += chunk.rows.len(),
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        writer.join().expect("no panic").expect("written");
        assert_eq!((rows, end.is_some()), (2, fails));
        assert!(end.is_none_or(|said| said.contains("has a field `kay`")));
    }
}

/// Only JSON is without columns: those of other pipes are known from the first row on.
#[cfg(unix)]
#[test]
fn columns_of_other_pipes_are_not_missed_at_their_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let template = || TextFrom::Template("{text}".parse().expect("a template"));
    let table = with("key", Arc::new(Int64Array::from(vec![7, 8, 9])));
    let mut arrow = Vec::new();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut arrow, &table.schema()).expect("a writer");
    writer.write(&table).and_then(|()| writer.finish()).expect("written");
    let csv = b"key,text\n7,a\n8,b\n9,c\n".to_vec();
    for (name, format, content) in [("csv", InputFormat::Csv, csv), ("arrow", InputFormat::Arrow, arrow)] {
        let (pipe, writer) = piped(folder.path(), name, content);
        let plain = options(&[&pipe]);
        let options = SourceOptions {
            format: Some(format),
            id: ValueFrom::Column("key".to_owned()),
            text: template(),
            ..plain
        };
        let rows = told(&options);
        writer.join().expect("no panic").expect("written");
        // Ids of CSV are text.
        let wanted = if name == "csv" { ["\"7\" a", "\"8\" b", "\"9\" c"] } else { ["7 a", "8 b", "9 c"] };
        assert_eq!(rows, wanted, "{name}");
    }
}

/// UTC is the commonest zone of tables; others that have a name change their offset with the time.
#[test]
fn times_in_utc_have_a_form_as_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let times = |zone: &str| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![0, 1, 2]).with_timezone(zone))
    };
    for zone in ["UTC", "Etc/UTC", "+00:00"] {
        for path in tables(folder.path(), &with("id", times(zone))) {
            assert_eq!(told(&options(&[&path]))[0], "\"1970-01-01T00:00:00Z\" a");
            let text = TextFrom::Template("{id} {text}".parse().expect("a template"));
            let options =
                SourceOptions { text, id: ValueFrom::Column("text".to_owned()), ..options(&[&path]) };
            assert_eq!(told(&options)[1], "\"b\" 1970-01-01T00:00:00.000001Z b");
        }
    }
    for path in tables(folder.path(), &with("id", times("Europe/Berlin"))) {
        let said = refused(&options(&[&path]));
        assert!(said.contains("Europe/Berlin") && said.contains("no form as text"), "{said}");
    }
}
