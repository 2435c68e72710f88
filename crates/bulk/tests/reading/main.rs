//! What files of texts have at their edges, and what a reader must not take for something else: other delimiters, other encodings,
//! numbers that a float rounds, fields that are there twice.

mod bytes;
mod columns;
mod edges;
mod fields;
mod separated;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use connote_bulk::{Chunk, Source, SourceOptions};
use parquet::arrow::ArrowWriter;

fn options(inputs: &[&Path]) -> SourceOptions {
    SourceOptions {
        inputs: inputs.iter().map(|path| path.to_path_buf()).collect(),
        ..SourceOptions::default()
    }
}

fn written(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    path
}

fn refused(options: &SourceOptions) -> String {
    Source::open(options).err().expect("it is refused").to_string()
}

fn opened(options: &SourceOptions) -> Source {
    Source::open(options).expect("it opens")
}

fn rest(source: &mut Source) -> Vec<Chunk> {
    std::iter::from_fn(|| source.next_chunk(100).expect("rows")).collect()
}

fn chunks(options: &SourceOptions) -> Vec<Chunk> {
    rest(&mut opened(options))
}

/// Id and text, or id and what is wrong.
fn told(options: &SourceOptions) -> Vec<String> {
    told_of(&chunks(options))
}

fn told_of(chunks: &[Chunk]) -> Vec<String> {
    let rows = chunks.iter().flat_map(|chunk| &chunk.rows);
    rows.map(|row| match &row.input {
        Ok(input) => format!("{} {}", row.id, input.text()),
        Err(error) => format!("{} {}: {}", row.id, error.kind, error.message),
    })
    .collect()
}

/// The table as a file of Parquet and as one of Arrow.
fn tables(folder: &Path, table: &RecordBatch) -> [PathBuf; 2] {
    let paths = [folder.join("a.parquet"), folder.join("a.arrow")];
    let file = |path: &Path| File::create(path).expect("created");
    let mut parquet = ArrowWriter::try_new(file(&paths[0]), table.schema(), None).expect("begun");
    parquet.write(table).expect("written");
    parquet.close().expect("written");
    let mut arrow = FileWriter::try_new(file(&paths[1]), &table.schema()).expect("begun");
    arrow.write(table).expect("written");
    arrow.finish().expect("written");
    paths
}

/// A pipe, and who writes into it.
#[cfg(unix)]
fn piped(
    folder: &Path,
    name: &str,
    content: impl AsRef<[u8]> + Send + 'static,
) -> (PathBuf, std::thread::JoinHandle<std::io::Result<()>>) {
    let pipe = folder.join(format!("{name}.fifo"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let into = pipe.clone();
    (pipe, std::thread::spawn(move || fs::write(into, content)))
}
