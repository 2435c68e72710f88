//! What is written is read back.

use std::fs;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::DataType;
use connote_bulk::{OutputFormat, Precision, Stored, Vectors, assemble, row_numbers_path, write_row_numbers};
use parquet::basic::LogicalType;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::files::{DIMENSIONS, Table, has_failed, options, read, write, write_cut};

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
    for format in OutputFormat::ALL {
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
    for format in OutputFormat::ALL {
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
            assert_eq!(got_field.extension_type_name(), field.extension_type_name(), "{format}");
        }
    }
}

/// DuckDB, Postgres and others look for Parquet's own note, and have bytes without it; of a file that was joined, too.
#[test]
fn uuids_are_uuids_in_parquet() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = Table::new(3, 2048);
    let options = options(OutputFormat::Parquet, Precision::F32, &table);
    let whole = folder.path().join("whole.parquet");
    write(&whole, &options, &table);
    let parts = write_cut(folder.path(), &options, &table, &[1024, 1024], &mut || 1024);
    let joined = folder.path().join("joined.parquet");
    assemble(&options, &parts, 0, fs::File::create(&joined).expect("a file")).expect("joined");
    for path in [whole, joined] {
        let file = SerializedFileReader::new(fs::File::open(path).expect("a file")).expect("Parquet");
        let columns = file.metadata().file_metadata().schema_descr().columns().to_vec();
        let noted: Vec<_> = columns
            .iter()
            .filter(|column| column.logical_type_ref() == Some(&LogicalType::Uuid))
            .map(|column| column.name().to_owned())
            .collect();
        assert_eq!(noted, ["uuid"]);
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
    let failed: Vec<u64> = (0..3000).filter(|&row| has_failed(row as usize)).collect();
    let mut numbers = failed.iter().map(|&row| Ok(row));
    let file = fs::File::create(row_numbers_path(&path)).expect("a file");
    write_row_numbers(file, 3000, &mut numbers, failed.len() as u64).expect("written");
    assert_eq!(ids(&path), there.iter().map(|&row| row as i64).collect::<Vec<_>>());
    // One of another file is told.
    let file = fs::File::create(row_numbers_path(&path)).expect("a file");
    write_row_numbers(file, 5, &mut std::iter::empty(), 0).expect("written");
    let error = Stored::open(&path).err().expect("refused").to_string();
    assert!(error.contains("v.npy.rows.npy") && error.contains("row numbers of"), "{error}");
    // Rows that did not fail as it is said: too few, too many, twice, not in their order, or none of them.
    for (failed, count) in
        [(vec![1], 2), (vec![1, 2], 1), (vec![1, 1], 2), (vec![2, 1], 2), (vec![5], 1), (vec![], 6)]
    {
        let file = fs::File::create(row_numbers_path(&path)).expect("a file");
        let mut numbers = failed.iter().map(|&row| Ok(row));
        assert!(write_row_numbers(file, 5, &mut numbers, count).is_err(), "{failed:?}");
    }
}
