//! What is written is read back, and parts that are joined are the file that was never cut.

mod files;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, IntervalUnit, Schema, UnionFields, UnionMode};
use connote::jsonl::{self, RowError};
use connote_bulk::{
    Answered, ErrorKind, LineEncoder, OutputFormat, Precision, Stored, Vectors, assemble, description_path,
    row_numbers_path, write_row_numbers,
};
use files::{DIMENSIONS, Table, has_failed, options, read, write, write_cut};
use testkit::random::Random;

const FORMATS: [OutputFormat; 5] = OutputFormat::ALL;

/// How far a stored value may be from the one that was written.
fn tolerance(precision: Precision, vector: &[f32]) -> f32 {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    match precision {
        Precision::F32 => 0.0,
        Precision::F16 => largest / 2048.0,
        Precision::Int8 => largest / 254.0 * 1.001,
        Precision::Binary => f32::INFINITY,
    }
}

#[test]
fn every_format_and_precision_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(1, 2505);
    for format in FORMATS {
        for precision in Precision::ALL {
            let what = format!("{format} {precision}");
            let table = if format == OutputFormat::Npy { table.without_columns() } else { table.clone() };
            let options = options(format, precision, &table);
            let path = folder.path().join(format!("{precision}.{format}"));
            write(&path, &options, &table);
            let (stored, chunks) = read(&path);
            assert_eq!(stored.space(), Some(&options.space), "{what}");
            assert_eq!((stored.precision(), stored.dimensions()), (precision, DIMENSIONS), "{what}");

            let mut row = 0;
            for chunk in chunks {
                let ids = chunk.carried.column(0).as_primitive::<Int64Type>();
                let values = chunk.vectors.to_f32(DIMENSIONS);
                for (place, &present) in chunk.present.iter().enumerate() {
                    if format == OutputFormat::Npy {
                        row += usize::from(has_failed(row));
                    }
                    assert_eq!(ids.value(place), row as i64, "{what}");
                    assert_eq!(present, !has_failed(row), "{what}: {row}");
                    let got = &values[place * DIMENSIONS..][..DIMENSIONS];
                    match table.results[row].as_ref() {
                        Err(_) if precision == Precision::Binary => {}
                        Err(_) => assert!(got.iter().all(|&value| value == 0.0), "{what}: {row}"),
                        Ok(embedding) => {
                            let allowed = match (format, precision) {
                                // The scale is found from the integers, whose length is rounded.
                                (OutputFormat::Npy, Precision::Int8) => 0.02,
                                _ => tolerance(precision, &embedding.vector),
                            };
                            for (got, &value) in got.iter().zip(&embedding.vector) {
                                assert!((got - value).abs() <= allowed, "{what}: {row}: {got} for {value}");
                                assert!(
                                    value == 0.0 || (*got > 0.0) == (value > 0.0) || *got == 0.0,
                                    "{what}"
                                );
                            }
                        }
                    }
                    row += 1;
                }
            }
            assert_eq!(row, table.results.len(), "{what}");
        }
    }
}

#[test]
fn stored_integers_and_bits_are_those_that_numpy_would_compute() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(2, 40);
    for format in FORMATS {
        let table = if format == OutputFormat::Npy { table.without_columns() } else { table.clone() };
        let vectors: Vec<&[f32]> =
            table.results.iter().filter_map(|result| Some(&*result.as_ref().ok()?.vector)).collect();
        let stored = |precision| {
            let path = folder.path().join(format!("{precision}.{format}"));
            write(&path, &options(format, precision, &table), &table);
            read(&path).1
        };
        let mut packed = Vec::new();
        for vector in &vectors {
            for eight in vector.chunks(8) {
                let bit = |(place, value): (usize, &f32)| if *value > 0.0 { 128 >> place } else { 0 };
                packed.push(eight.iter().enumerate().map(bit).sum::<u8>());
            }
        }
        let mut integers = Vec::new();
        for vector in &vectors {
            let largest = vector.iter().fold(0.0_f64, |largest, &value| largest.max(f64::from(value).abs()));
            integers.extend(vector.iter().map(|&value| f64::from(value) / largest * 127.0));
        }
        let (mut got_bits, mut got_integers) = (Vec::new(), Vec::new());
        for chunk in stored(Precision::Binary) {
            let Vectors::Bits(bytes) = &chunk.vectors else { panic!("bits") };
            let rows = bytes.chunks(DIMENSIONS.div_ceil(8)).zip(&chunk.present);
            got_bits.extend(rows.filter(|(_, present)| **present).flat_map(|(row, _)| row.to_vec()));
        }
        for chunk in stored(Precision::Int8) {
            let Vectors::Int8 { values, .. } = &chunk.vectors else { panic!("integers") };
            let rows = values.chunks(DIMENSIONS).zip(&chunk.present);
            got_integers.extend(rows.filter(|(_, present)| **present).flat_map(|(row, _)| row.to_vec()));
        }
        assert_eq!(got_bits, packed, "{format}");
        assert_eq!(got_integers.len(), integers.len(), "{format}");
        for (got, wanted) in got_integers.iter().zip(integers) {
            assert!((f64::from(*got) - wanted).abs() <= 0.5001, "{format}: {got} for {wanted}");
        }
    }
}

#[test]
fn carried_columns_keep_their_values_and_types() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(3, 1500);
    for format in [OutputFormat::Parquet, OutputFormat::Arrow] {
        let path = folder.path().join(format!("t.{format}"));
        write(&path, &options(format, Precision::F32, &table), &table);
        let (stored, chunks) = read(&path);
        let batches: Vec<RecordBatch> = chunks.into_iter().map(|chunk| chunk.carried).collect();
        let got = arrow_select::concat::concat_batches(&stored.schema(), &batches).expect("one schema");
        assert_eq!(got.num_columns(), table.carried.num_columns());
        for (place, field) in table.carried.schema().fields().iter().enumerate() {
            let wanted = table.carried.column(place);
            // A dictionary comes out as its values, a view as what it shows.
            let wanted = match field.name().as_str() {
                "lang" | "view" => arrow_cast::cast(wanted, &DataType::Utf8).expect("text"),
                _ => Arc::clone(wanted),
            };
            let got_field = got.schema().field(place).clone();
            assert_eq!(
                (got_field.name(), got_field.data_type()),
                (field.name(), wanted.data_type()),
                "{format}"
            );
            assert_eq!(got.column(place).to_data(), wanted.to_data(), "{format}: {}", field.name());
        }
    }
}

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
    for (name, wanted) in files::second_row() {
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
    for (name, wanted) in files::second_row() {
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        assert_eq!(cell(1, name), wanted, "{name}");
    }
    assert_eq!(cell(0, "error"), "too_long: line 1: \"no\", really");
    assert_eq!([cell(0, "embedding"), cell(0, "scale"), cell(0, "title")], ["", "", ""]);
    let integers: Vec<i8> = serde_json::from_str(&cell(1, "embedding")).expect("an array");
    assert_eq!(integers.len(), DIMENSIONS);
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

#[test]
fn joined_parts_are_the_file_that_was_never_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::seeded(7);
    for format in FORMATS {
        for precision in Precision::ALL {
            let table = Table::new(8, 4096);
            let table = if format == OutputFormat::Npy { table.without_columns() } else { table };
            let options = options(format, precision, &table);
            let whole = folder.path().join(format!("whole.{format}"));
            write(&whole, &options, &table);
            let join = |sizes: &[usize], steps: &mut dyn FnMut() -> usize| {
                let parts = write_cut(folder.path(), &options, &table, sizes, steps);
                let joined = folder.path().join(format!("joined.{format}"));
                let file = fs::File::create(&joined).expect("a file");
                assemble(&options, &parts, file).expect("joined");
                joined
            };
            // However the rows of a part came, its bytes are the same, and so are those of the whole.
            let cuts = [1024, 2048, 1024];
            let joined = fs::read(join(&cuts, &mut || 1024)).expect("read");
            for _ in 0..2 {
                let again = fs::read(join(&cuts, &mut || 1 + random.below(1500))).expect("read");
                assert!(again == joined, "{format} {precision}: the bytes depend on how the rows came");
            }
            // Lines, arrays and batches are the bytes of the whole; row groups are as many as parts.
            if format == OutputFormat::Parquet {
                let (one, other) =
                    (files::batch(&whole), files::batch(&folder.path().join("joined.parquet")));
                assert_eq!(one, other, "{precision}");
            } else {
                assert!(joined == fs::read(&whole).expect("read"), "{format} {precision}");
            }
            // Parts of any size hold the same rows; of lines and arrays they are the same bytes too.
            let odd = join(&[1, 0, 2000, 95, 2000], &mut || 333);
            match format {
                OutputFormat::Parquet | OutputFormat::Arrow => {
                    assert_eq!(files::batch(&odd), files::batch(&whole), "{format} {precision}");
                }
                _ => assert!(fs::read(odd).expect("read") == joined, "{format} {precision}"),
            }
            // A whole file is a part as good as any: joining it alone changes nothing.
            let alone = folder.path().join(format!("alone.{format}"));
            assemble(&options, std::slice::from_ref(&whole), fs::File::create(&alone).expect("a file"))
                .expect("joined");
            match format {
                // But for optional fields of its footer, of which a copied chunk keeps fewer.
                OutputFormat::Parquet => {
                    assert_eq!(files::batch(&alone), files::batch(&whole), "{precision}")
                }
                _ => assert!(fs::read(alone).expect("read") == fs::read(&whole).expect("read"), "{format}"),
            }
        }
    }
}

#[test]
fn no_parts_are_an_empty_file_of_the_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(9, 0);
    for format in FORMATS {
        let table = if format == OutputFormat::Npy { table.without_columns() } else { table.clone() };
        let options = options(format, Precision::F32, &table);
        let path = folder.path().join(format!("none.{format}"));
        assemble(&options, &[], fs::File::create(&path).expect("a file")).expect("written");
        let written = folder.path().join(format!("written.{format}"));
        write(&written, &options, &table);
        assert!(fs::read(&path).expect("read") == fs::read(&written).expect("read"), "{format}");
        match format {
            // Without a row there is nothing that says how long vectors are.
            OutputFormat::Jsonl | OutputFormat::Csv => {
                let error = Stored::open(&path).err().expect("refused").to_string();
                assert!(error.contains("has no vectors"), "{error}");
            }
            _ => assert!(read(&path).1.is_empty(), "{format}"),
        }
    }
}

#[test]
fn a_part_of_another_output_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(10, 20);
    for format in FORMATS {
        let table = if format == OutputFormat::Npy { table.without_columns() } else { table.clone() };
        let mine = options(format, Precision::F32, &table);
        let part = folder.path().join(format!("part.{format}"));
        let mut others = vec![("precision", options(format, Precision::F16, &table))];
        let mut other_model = mine.clone();
        other_model.space.fingerprint = "another".to_owned();
        others.push(("model", other_model));
        others.push(("columns", options(format, Precision::F32, &table.without_columns())));
        for (what, other) in others {
            let told = match format {
                OutputFormat::Parquet | OutputFormat::Arrow => true,
                OutputFormat::Csv => what == "columns",
                OutputFormat::Npy => what == "precision",
                // A line says nothing of the others.
                OutputFormat::Jsonl => false,
            };
            let table = if what == "columns" { table.without_columns() } else { table.clone() };
            write(&part, &other, &table);
            let joined = fs::File::create(folder.path().join("joined")).expect("a file");
            let result = assemble(&mine, std::slice::from_ref(&part), joined);
            assert_eq!(result.is_err(), told, "{format}: {what}");
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::Mismatch, "{format}: {what}: {error}");
                assert!(error.to_string().contains("part."), "{error}");
            }
        }
        let missing = PathBuf::from("/nowhere/part");
        let joined = fs::File::create(folder.path().join("joined")).expect("a file");
        let error = assemble(&mine, &[missing], joined).expect_err("not there");
        assert_eq!(error.kind(), ErrorKind::Input);
    }
}

#[test]
fn an_npy_file_names_the_rows_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(11, 3000).without_columns();
    let options = options(OutputFormat::Npy, Precision::F16, &table);
    let path = folder.path().join("v.npy");
    write(&path, &options, &table);
    fs::remove_file(row_numbers_path(&path)).expect("it was written beside");
    // Without it, rows are counted as they stand.
    let ids = |path| -> Vec<i64> {
        let chunks = read(path).1.into_iter();
        chunks
            .flat_map(|chunk| chunk.carried.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect()
    };
    let there: Vec<u64> = (0..3000).filter(|&row| !has_failed(row as usize)).collect();
    assert_eq!(ids(&path), (0..there.len() as i64).collect::<Vec<_>>());
    let mut rows = there.iter().map(|&row| Ok(row));
    let file = fs::File::create(row_numbers_path(&path)).expect("a file");
    write_row_numbers(file, &mut rows, there.len() as u64).expect("written");
    assert_eq!(ids(&path), there.iter().map(|&row| row as i64).collect::<Vec<_>>());
    // One of another file is told.
    let file = fs::File::create(row_numbers_path(&path)).expect("a file");
    write_row_numbers(file, &mut (0..5).map(Ok), 5).expect("written");
    let error = Stored::open(&path).err().expect("refused").to_string();
    assert!(error.contains("v.npy.rows.npy") && error.contains("row numbers of"), "{error}");
    let file = fs::File::create(row_numbers_path(&path)).expect("a file");
    assert!(write_row_numbers(file, &mut (0..4).map(Ok), 5).is_err());
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let table = Table::new(12, 1);
    let refused = |format, precision, change: &dyn Fn(&mut connote_bulk::SinkOptions)| {
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
    for format in FORMATS {
        let mut options = options(format, Precision::F16, &table);
        options.space.normalized = false;
        let file = fs::File::create(folder.path().join("x")).expect("a file");
        let mut writer = connote_bulk::PartWriter::create(file, &options).expect("begun");
        let (chunk, results) = &table.chunks(&[9])[0];
        let error = writer.write(&Answered { chunk, results }).expect_err("refused").to_string();
        assert!(error.contains("sample, line 5: -100000 does not fit f16"), "{format}: {error}");
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
            Ok::<_, connote_bulk::Error>(())
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
    ] {
        let error = told("a.jsonl", vectors, Some(&meta(rest)));
        assert!(error.contains(&what), "{rest}: {error}");
    }
    let error = RowError::at_line(1, "x", "y");
    assert_eq!(error.message, "line 1: y");
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::seeded(14);
    for format in FORMATS {
        let table = Table::new(15, 60);
        let table = if format == OutputFormat::Npy { table.without_columns() } else { table };
        let path = folder.path().join(format!("whole.{format}"));
        write(&path, &options(format, Precision::Int8, &table), &table);
        let (bytes, rows) = (fs::read(&path).expect("read"), table.results.len());
        let damaged = folder.path().join(format!("damaged.{format}"));
        if let Ok(meta) = fs::read(description_path(&path)) {
            fs::write(description_path(&damaged), meta).expect("written");
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
                Ok::<_, connote_bulk::Error>(count)
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
