//! Rows with vectors and columns of many types, and files of them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeBinaryArray,
    Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use connote::jsonl::{RowError, numbered};
use connote::{Embedding, Input};
use connote_bulk::{
    Answered, Chunk, OutputFormat, PartWriter, Place, Precision, Row, SinkOptions, Space, Stored,
    StoredChunk, description_path, row_numbers_path, write_row_numbers,
};
use testkit::random::Random;

/// Not a multiple of 8, so that bits have to be filled up.
pub(crate) const DIMENSIONS: usize = 22;

/// Rows, their columns and what became of them.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) carried: RecordBatch,
    pub(crate) results: Vec<Result<Embedding, RowError>>,
}

/// Every seventh row.
pub(crate) fn has_failed(row: usize) -> bool {
    row.is_multiple_of(7)
}

impl Table {
    pub(crate) fn new(seed: u64, rows: usize) -> Self {
        let mut random = Random::seeded(seed);
        let results = (0..rows).map(|row| {
            let mut vector: Vec<f32> = (0..DIMENSIONS).map(|_| random.signed()).collect();
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|value| *value /= length);
            match has_failed(row) {
                true => Err(RowError::at_line(row + 1, "too_long", "\"no\", really")),
                false => Ok(Embedding {
                    vector,
                    dimensions: DIMENSIONS,
                    tokens: row + 2,
                    truncated: row.is_multiple_of(2),
                }),
            }
        });
        Self { results: results.collect(), carried: columns(rows) }
    }

    /// With ids alone.
    pub(crate) fn without_columns(&self) -> Self {
        Self { carried: self.carried.project(&[0]).expect("a column"), results: self.results.clone() }
    }

    /// Rows from `start` on, in chunks of `sizes`.
    fn chunks_from(
        &self,
        mut start: usize,
        sizes: &[usize],
    ) -> Vec<(Chunk, Vec<Result<Embedding, RowError>>)> {
        let chunk = |&size: &usize| {
            let rows = (start..start + size).map(|row| Row {
                number: row as u64,
                id: numbered(row),
                place: Place { file: "sample".into(), line: row as u64 + 1 },
                input: Ok(Input::new("a")),
            });
            let chunk = Chunk { rows: rows.collect(), carried: self.carried.slice(start, size) };
            let results = self.results[start..start + size].to_vec();
            start += size;
            (chunk, results)
        };
        sizes.iter().map(chunk).collect()
    }

    pub(crate) fn chunks(&self, sizes: &[usize]) -> Vec<(Chunk, Vec<Result<Embedding, RowError>>)> {
        self.chunks_from(0, sizes)
    }
}

/// `id`, and columns of many types; those of row 0 are null.
fn columns(rows: usize) -> RecordBatch {
    fn of<T>(rows: usize, value: impl Fn(usize) -> T) -> Vec<Option<T>> {
        (0..rows).map(|row| (row > 0).then(|| value(row))).collect()
    }
    let langs = of(rows, |row| ["en", "de", "日本"][row % 3]);
    let mut lists = ListBuilder::new(Int32Builder::new());
    for row in 0..rows as i32 {
        (0..row % 3).for_each(|value| lists.values().append_value(value));
        lists.append(row > 0);
    }
    let inner: ArrayRef = Arc::new(Int64Array::from(of(rows, |row| row as i64)));
    let other: ArrayRef = Arc::new(StringArray::from(of(rows, |row| format!("s{row}"))));
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int64, true)), inner),
        (Arc::new(Field::new("s", DataType::Utf8, true)), other),
    ]);
    let days = of(rows, |row| row as i32);
    let times = TimestampMillisecondArray::from(of(rows, |row| row as i64 * 1000)).with_timezone("+00:00");
    let prices = Decimal128Array::from(of(rows, |row| row as i128 * 105)).with_precision_and_scale(10, 2);
    let json = StringArray::from(of(rows, |row| format!("{{\"k\":[{row}]}}")));
    let extension = |name: &str| -> HashMap<String, String> {
        [("ARROW:extension:name".to_owned(), name.to_owned())].into()
    };
    let json_field = Field::new("json", DataType::Utf8, true).with_metadata(extension("arrow.json"));
    let sixteen = of(rows, |row| [row as u8; 16]).into_iter();
    let sixteen = FixedSizeBinaryArray::try_from_sparse_iter_with_size(sixteen, 16).expect("of a size");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("title", Arc::new(StringArray::from(of(rows, |row| format!("t{row}, \"x\"\n"))))),
        ("lang", Arc::new(langs.into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("n", Arc::new(Int64Array::from(of(rows, |row| row as i64 - 5)))),
        ("x", Arc::new(Float64Array::from(of(rows, |row| row as f64 / 2.0)))),
        ("ok", Arc::new(BooleanArray::from(of(rows, |row: usize| row.is_multiple_of(2))))),
        ("list", Arc::new(lists.finish())),
        ("struct", Arc::new(structs)),
        ("day", Arc::new(Date32Array::from(days))),
        ("time", Arc::new(times)),
        ("price", Arc::new(prices.expect("a type"))),
        ("raw", Arc::new(BinaryArray::from_iter(of(rows, |row| vec![row as u8, 255])))),
        ("large", Arc::new(LargeStringArray::from(of(rows, |row| format!("l{row}"))))),
        (
            "view",
            Arc::new(StringViewArray::from_iter(of(rows, |row| format!("a text of some length {row}")))),
        ),
        ("json", Arc::new(json)),
        ("uuid", Arc::new(sixteen.clone())),
        ("md5", Arc::new(sixteen)),
    ];
    let fields = columns.iter().map(|(name, array)| match *name {
        "json" => json_field.clone(),
        "uuid" => {
            Field::new("uuid", DataType::FixedSizeBinary(16), true).with_metadata(extension("arrow.uuid"))
        }
        name => Field::new(name, array.data_type().clone(), true),
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect())
        .expect("a table")
}

/// The carried columns of row 1 as JSON.
pub(crate) fn second_row() -> Vec<(&'static str, serde_json::Value)> {
    use serde_json::json;
    vec![
        ("id", json!(1)),
        ("title", json!("t1, \"x\"\n")),
        ("lang", json!("de")),
        ("n", json!(-4)),
        ("x", json!(0.5)),
        ("ok", json!(false)),
        ("list", json!([0])),
        ("struct", json!({"n": 1, "s": "s1"})),
        ("day", json!("1970-01-02")),
        ("time", json!("1970-01-01T00:00:01Z")),
        ("price", json!(1.05)),
        ("raw", json!("01ff")),
        ("large", json!("l1")),
        ("view", json!("a text of some length 1")),
        ("json", json!({"k": [1]})),
        ("uuid", json!("01010101-0101-0101-0101-010101010101")),
        ("md5", json!("01010101010101010101010101010101")),
    ]
}

pub(crate) fn options(format: OutputFormat, precision: Precision, table: &Table) -> SinkOptions {
    let space = Space {
        model: "a model".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
        dimensions: DIMENSIONS,
        normalized: true,
        task: Some("query".to_owned()),
        prompt: Some("query: ".to_owned()),
    };
    let created_by = "connote 0.0.0".to_owned();
    SinkOptions { format, precision, schema: table.carried.schema(), space, created_by, per_token: false }
}

/// Writes a table as one file, with the files beside it that its format needs.
pub(crate) fn write(path: &Path, options: &SinkOptions, table: &Table) {
    let mut writer = PartWriter::create(empty(path), options).expect("begun");
    for (chunk, results) in &table.chunks(&[table.results.len()]) {
        writer.write(&Answered { chunk, results }).expect("written");
    }
    let (_, sum) = writer.finish().expect("finished");
    if let Some(description) = options.description(&sum, 0) {
        fs::write(description_path(path), description).expect("written");
    }
    if options.format == OutputFormat::Npy {
        let rows = table.results.len();
        let failed: Vec<u64> = (0..rows).filter(|&row| has_failed(row)).map(|row| row as u64).collect();
        let file = File::create(row_numbers_path(path)).expect("a file");
        let mut numbers = failed.iter().map(|&row| Ok(row));
        write_row_numbers(file, rows as u64, &mut numbers, failed.len() as u64).expect("written");
    }
}

/// Writes a table as parts of `sizes` rows, which come in steps.
pub(crate) fn write_cut(
    folder: &Path,
    options: &SinkOptions,
    table: &Table,
    sizes: &[usize],
    step: &mut dyn FnMut() -> usize,
) -> Vec<PathBuf> {
    let mut start = 0;
    let part = |(number, &size): (usize, &usize)| {
        let path = folder.join(format!("part-{number}"));
        let mut writer = PartWriter::create(empty(&path), options).expect("begun");
        let end = start + size;
        while start < end {
            let rows = step().min(end - start);
            let (chunk, results) = &table.chunks_from(start, &[rows])[0];
            writer.write(&Answered { chunk, results }).expect("written");
            start += rows;
        }
        writer.finish().expect("finished");
        path
    };
    let parts = sizes.iter().enumerate().map(part).collect();
    assert_eq!(start, table.results.len(), "all rows are in the parts");
    parts
}

pub(crate) fn read(path: &Path) -> (Stored, Vec<StoredChunk>) {
    let mut stored = Stored::open(path).unwrap_or_else(|error| panic!("{error}"));
    let mut chunks = Vec::new();
    while let Some(chunk) = stored.next_chunk().unwrap_or_else(|error| panic!("{error}")) {
        chunks.push(chunk);
    }
    (stored, chunks)
}

/// All of a Parquet or Arrow file, with the metadata of its schema.
pub(crate) fn batch(path: &Path) -> RecordBatch {
    let file = File::open(path).expect("a file");
    let (schema, batches): (_, Vec<RecordBatch>) = match path.extension().is_some_and(|it| it == "parquet") {
        true => {
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
                .expect("Parquet");
            let schema = reader.schema().clone();
            (schema, reader.build().expect("a reader").map(|batch| batch.expect("rows")).collect())
        }
        false => {
            let reader = arrow_ipc::reader::FileReader::try_new(file, None).expect("Arrow");
            (reader.schema(), reader.map(|batch| batch.expect("rows")).collect())
        }
    };
    arrow_select::concat::concat_batches(&schema, &batches).expect("one schema")
}

/// A file for a part, which is read again, too.
fn empty(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(true).open(path).expect("a file")
}
