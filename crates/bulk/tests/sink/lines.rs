//! The lines of JSONL and CSV.

use std::fs;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    Array, ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, TimestampSecondArray,
};
use arrow_schema::DataType;
use connote::jsonl;
use connote_bulk::{Answered, ErrorKind, LineEncoder, OutputFormat, Precision, Stored};

use crate::files::{DIMENSIONS, Table, options, second_row, write};

#[test]
fn lines_hold_carried_columns_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(4, 8);
    let path = folder.path().join("t.jsonl");
    write(&path, &options(OutputFormat::Jsonl, Precision::F32, &table), &table);
    let text = fs::read_to_string(&path).expect("text");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let row = &rows[1];
    for (name, wanted) in second_row() {
        assert_eq!(row[name], wanted, "{name}");
    }
    assert_eq!(row["tokens"], 3);
    let keys: Vec<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
    assert!(keys.contains(&"embedding") && !keys.contains(&"error") && !keys.contains(&"scale"), "{keys:?}");
    // Row 0 has nothing but nulls, and an error in its place.
    assert!(rows[0]["title"].is_null() && rows[0]["embedding"].is_null());
    assert_eq!(
        rows[0]["error"],
        serde_json::json!({"kind": "too_long", "message": "line 1: \"no\", really"})
    );
    assert!(text.starts_with("{\"id\":0,\"title\":null,"), "{text}");

    let path = folder.path().join("t.csv");
    write(&path, &options(OutputFormat::Csv, Precision::Int8, &table), &table);
    let mut csv = csv::Reader::from_path(&path).expect("CSV");
    let header: Vec<String> = csv.headers().expect("a header").iter().map(str::to_owned).collect();
    let cells: Vec<csv::StringRecord> = csv.records().map(|row| row.expect("a row")).collect();
    let cell = |row: usize, name: &str| {
        let place = header.iter().position(|it| it == name).unwrap_or_else(|| panic!("{name} in {header:?}"));
        cells[row][place].to_owned()
    };
    assert_eq!(header[header.len() - 5..], ["tokens", "truncated", "scale", "error", "embedding"]);
    for (name, wanted) in second_row() {
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        assert_eq!(cell(1, name), wanted, "{name}");
    }
    assert_eq!(cell(0, "error"), "too_long: line 1: \"no\", really");
    assert_eq!([cell(0, "embedding"), cell(0, "scale"), cell(0, "title")], ["", "", ""]);
    let integers: Vec<i8> = serde_json::from_str(&cell(1, "embedding")).expect("an array");
    assert_eq!(integers.len(), DIMENSIONS);
}

/// UTC is the commonest zone of tables. Other names have no form without a database of zones, and are refused before.
#[test]
fn times_in_utc_are_lines_too() {
    let mut table = Table::new(7, 3).without_columns();
    let times =
        |zone: &str| -> ArrayRef { Arc::new(TimestampSecondArray::from(vec![0, 1, 2]).with_timezone(zone)) };
    let with = |ids: &ArrayRef, times| {
        RecordBatch::try_from_iter_with_nullable([("id", ids.clone(), true), ("at", times, true)])
    };
    let ids = table.carried.column(0).clone();
    for format in [OutputFormat::Jsonl, OutputFormat::Csv] {
        table.carried = with(&ids, times("UTC")).expect("a table");
        let mut encoder = LineEncoder::create(&options(format, Precision::F32, &table)).expect("an encoder");
        let mut lines = Vec::new();
        for (chunk, results) in table.chunks(&[3]) {
            encoder.encode(&Answered { chunk: &chunk, results: &results }, &mut lines).expect("encoded");
        }
        let lines = String::from_utf8(lines).expect("UTF-8");
        assert!(lines.contains("1970-01-01T00:00:02Z"), "{lines}");
        table.carried = with(&ids, times("Europe/Berlin")).expect("a table");
        let refused = options(format, Precision::F32, &table).check().expect_err("it is refused");
        assert!(refused.to_string().contains("Europe/Berlin"), "{refused}");
    }
}

#[test]
fn without_columns_a_line_is_the_one_form_of_connote() {
    let table = Table::new(5, 30).without_columns();
    let mut encoder =
        LineEncoder::create(&options(OutputFormat::Jsonl, Precision::F32, &table)).expect("an encoder");
    let (mut got, mut wanted) = (encoder.header().to_vec(), Vec::new());
    for chunk in table.chunks(&[30]) {
        encoder.encode(&Answered { chunk: &chunk.0, results: &chunk.1 }, &mut got).expect("encoded");
        for (row, result) in chunk.0.rows.iter().zip(&chunk.1) {
            jsonl::write(&mut wanted, &row.id, result.as_ref(), false).expect("written");
        }
    }
    assert_eq!(String::from_utf8(got), String::from_utf8(wanted));
}

#[test]
fn vectors_per_token_are_lines_and_nothing_else() {
    let mut table = Table::new(6, 5).without_columns();
    for embedding in table.results.iter_mut().flatten() {
        embedding.vector.extend(vec![0.25; DIMENSIONS]);
    }
    let mut options = options(OutputFormat::Jsonl, Precision::F32, &table);
    options.per_token = true;
    let mut encoder = LineEncoder::create(&options).expect("an encoder");
    let (mut got, mut wanted) = (Vec::new(), Vec::new());
    let (chunk, results) = &table.chunks(&[5])[0];
    encoder.encode(&Answered { chunk, results }, &mut got).expect("encoded");
    for (row, result) in chunk.rows.iter().zip(results) {
        jsonl::write(&mut wanted, &row.id, result.as_ref(), true).expect("written");
    }
    assert_eq!(String::from_utf8(got.clone()), String::from_utf8(wanted));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.jsonl");
    fs::write(&path, got).expect("written");
    let error = Stored::open(&path).err().expect("refused").to_string();
    assert!(error.contains("line 2: a vector per token"), "{error}");
    for format in [OutputFormat::Csv, OutputFormat::Npy, OutputFormat::Parquet, OutputFormat::Arrow] {
        options.format = format;
        let error = options.check().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("jsonl only"), "{error}");
    }
    // Where one vector is promised, two are no row.
    options.format = OutputFormat::Jsonl;
    options.per_token = false;
    let mut encoder = LineEncoder::create(&options).expect("an encoder");
    let error =
        encoder.encode(&Answered { chunk, results }, &mut Vec::new()).expect_err("refused").to_string();
    assert!(error.contains("sample, line 2: 44 values"), "{error}");
}

/// JSON has no word for NaN and the infinities; columns of floats have.
#[test]
fn what_is_no_number_is_nothing_in_lines_and_itself_in_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let values = [Some(1.5), Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None];
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..values.len() as i64));
    let doubles: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    let singles: ArrayRef =
        Arc::new(values.iter().map(|value| value.map(|value| value as f32)).collect::<Float32Array>());
    let columns = [("id", ids, true), ("x", doubles, true), ("y", singles, true)];
    let carried = RecordBatch::try_from_iter_with_nullable(columns).expect("a table");
    let table = Table { carried, results: Table::new(6, values.len()).results };
    for format in [OutputFormat::Jsonl, OutputFormat::Csv, OutputFormat::Parquet, OutputFormat::Arrow] {
        let path = folder.path().join(format!("t.{format}"));
        write(&path, &options(format, Precision::F32, &table), &table);
        for name in ["x", "y"] {
            let mut stored = Stored::open(&path).expect("it opens");
            let carried = stored.next_chunk().expect("rows").expect("some").carried;
            let column = carried.column_by_name(name).expect("a column");
            let is_there: Vec<bool> = (0..values.len()).map(|row| column.is_valid(row)).collect();
            if matches!(format, OutputFormat::Jsonl | OutputFormat::Csv) {
                assert_eq!(is_there, [true, false, false, false, false], "{format} {name}");
                continue;
            }
            assert_eq!(is_there, [true, true, true, true, false], "{format} {name}");
            let doubles = arrow_cast::cast(column, &DataType::Float64).expect("floats");
            let doubles = doubles.as_primitive::<Float64Type>();
            assert!(doubles.value(1).is_nan() && doubles.value(2) == f64::INFINITY, "{format} {name}");
            assert_eq!(doubles.value(3), f64::NEG_INFINITY, "{format} {name}");
        }
    }
    let text = fs::read_to_string(folder.path().join("t.jsonl")).expect("text");
    assert!(
        text.lines().nth(1).is_some_and(|line| line.starts_with("{\"id\":1,\"x\":null,\"y\":null,")),
        "{text}"
    );
    let text = fs::read_to_string(folder.path().join("t.csv")).expect("text");
    assert!(text.lines().nth(2).is_some_and(|line| line.starts_with("1,,,")), "{text}");
}
