//! Writes one file of each format and precision, for scripts/bulk/readers.py:
//!
//!     cargo run --release -p connote-bulk --example write_samples -- FOLDER
//!
//! 3,000 rows in parts of 1,024 that are joined, as a run writes them. Value `i` of row `r` is
//! sin(r x 0.7 + i x 1.3) over the length of the row; every seventh row has failed.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use connote::jsonl::{RowError, numbered};
use connote::{Embedding, Input};
use connote_bulk::{
    Answered, Chunk, Error, OutputFormat, PartWriter, Place, Precision, Row, SinkOptions, Space, assemble,
    description_path, row_numbers_path, write_row_numbers,
};

const ROWS: usize = 3000;
const PART: usize = 1024;
const DIMENSIONS: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder for the samples")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    for format in OutputFormat::ALL {
        for precision in Precision::ALL {
            write(folder, format, precision)?;
        }
    }
    Ok(())
}

fn has_failed(row: usize) -> bool {
    row % 7 == 3
}

fn result(row: usize) -> Result<Embedding, RowError> {
    if has_failed(row) {
        return Err(RowError::at_line(row + 1, "too_long", "the text is too long"));
    }
    let values: Vec<f64> = (0..DIMENSIONS).map(|i| (row as f64 * 0.7 + i as f64 * 1.3).sin()).collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let vector = values.into_iter().map(|value| (value / length) as f32).collect();
    Ok(Embedding { vector, dimensions: DIMENSIONS, tokens: row % 50 + 2, truncated: row.is_multiple_of(10) })
}

/// `id`, and a column of text and one of numbers that are not always there.
fn carried(
    rows: std::ops::Range<usize>,
    format: OutputFormat,
) -> Result<RecordBatch, Box<dyn std::error::Error>> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| row as i64)));
    let titles = rows.clone().map(|row| (row % 5 != 0).then(|| format!("title \"{row}\", Grüße\n")));
    let years = rows.map(|row| (row % 4 != 0).then_some(row as f64 / 4.0));
    let mut columns = vec![("id", ids, true)];
    if format != OutputFormat::Npy {
        columns.push(("title", Arc::new(StringArray::from_iter(titles)), true));
        columns.push(("x", Arc::new(Float64Array::from_iter(years)), true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn write(
    folder: &Path,
    format: OutputFormat,
    precision: Precision,
) -> Result<(), Box<dyn std::error::Error>> {
    let path = folder.join(format!("{precision}.{format}"));
    let space = Space {
        model: "sines".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
        dimensions: DIMENSIONS,
        normalized: true,
        task: None,
        prompt: None,
    };
    let created_by = concat!("connote ", env!("CARGO_PKG_VERSION")).to_owned();
    let schema = carried(0..0, format)?.schema();
    let options = SinkOptions { format, precision, schema, space, created_by, per_token: false };
    let mut parts = Vec::new();
    for start in (0..ROWS).step_by(PART) {
        let rows = start..(start + PART).min(ROWS);
        let part = folder.join(format!("part-{}", parts.len()));
        let row = |row: usize| Row {
            number: row as u64,
            id: numbered(row),
            place: Place { file: "sines".into(), line: row as u64 + 1 },
            input: Ok(Input::new("a text")),
        };
        let chunk = Chunk { rows: rows.clone().map(row).collect(), carried: carried(rows.clone(), format)? };
        let results: Vec<_> = rows.map(result).collect();
        let file = File::options().read(true).write(true).create_new(true).open(&part)?;
        let mut writer = PartWriter::create(file, &options)?;
        writer.write(&Answered { chunk: &chunk, results: &results })?;
        writer.finish()?;
        parts.push(part);
    }
    let (_, sum) = assemble(&options, &parts, 0, File::create(&path)?)?;
    for part in parts {
        fs::remove_file(part)?;
    }
    if let Some(description) = sum.and_then(|sum| options.description(&sum, 0)) {
        fs::write(description_path(&path), description)?;
    }
    if format == OutputFormat::Npy {
        let failed: Vec<u64> = (0..ROWS).filter(|&row| has_failed(row)).map(|row| row as u64).collect();
        let mut numbers = failed.iter().map(|&row| Ok::<_, Error>(row));
        let file = File::create(row_numbers_path(&path))?;
        write_row_numbers(file, ROWS as u64, &mut numbers, failed.len() as u64)?;
    }
    Ok(())
}
