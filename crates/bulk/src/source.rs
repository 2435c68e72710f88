//! Files of texts become rows: lines and JSONL.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use connote::{Input, jsonl};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rows::{Chunk, Place, Row};
use crate::{Error, ErrorKind};

/// Bytes that are read at once, and after which a chunk ends.
const CHUNK_BYTES: usize = 1 << 20;

/// Which texts.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// A file, or `-` for standard input.
    pub inputs: Vec<String>,
    /// How it is written; by its ending, if it is not said.
    pub format: Option<InputFormat>,
    /// Where the text of a row is.
    pub text: TextFrom,
    /// The column of the ids.
    pub id: Option<String>,
    /// The column of the titles.
    pub title: Option<String>,
    /// The column of the tasks.
    pub task: Option<String>,
    /// Columns that are carried along; `*` is all others.
    pub keep: Vec<String>,
}

/// How texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// A text a line.
    Lines,
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// Parquet.
    Parquet,
    /// Arrow IPC.
    Arrow,
}

/// Where the text of a row is.
#[derive(Debug, Clone)]
pub enum TextFrom {
    /// In the column `text`, or the only one of strings.
    Default,
    /// In this column.
    Column(String),
    /// In several columns.
    Template(Template),
}

/// A text with places for columns.
#[derive(Debug, Clone)]
pub struct Template {
    _text: String,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { _text: text.to_owned() })
    }
}

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes there are, where that is known.
    pub total: Option<u64>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// As it was named.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

/// Rows of a file.
pub struct Source {
    reader: BufReader<Box<dyn Read + Send>>,
    name: Arc<str>,
    files: Vec<PathBuf>,
    is_jsonl: bool,
    /// Lines and rows that were read.
    lines: usize,
    rows: u64,
    progress: Progress,
}

impl Source {
    /// Opens what the options name.
    ///
    /// # Errors
    /// If it is not there, or of a format that cannot be read.
    pub fn open(options: &SourceOptions) -> Result<Self, Error> {
        let usage = |message: String| Error::new(ErrorKind::Usage, message);
        let [name] = options.inputs.as_slice() else {
            return Err(usage("one input can be read; join the files first".to_owned()));
        };
        let columns = [&options.id, &options.title, &options.task].into_iter().any(Option::is_some);
        if columns || !options.keep.is_empty() || !matches!(options.text, TextFrom::Default) {
            return Err(usage(
                "lines and JSONL have the columns that they have; none can be chosen".to_owned(),
            ));
        }
        let path = Path::new(name);
        let format = match options.format {
            Some(format) => format,
            None if name == "-" => InputFormat::Lines,
            None => format_of(path),
        };
        if !matches!(format, InputFormat::Lines | InputFormat::Jsonl) {
            return Err(usage(format!("{name}: cannot be read; give lines of text or JSONL")));
        }
        let (mut files, mut total) = (Vec::new(), None);
        let (reader, name): (Box<dyn Read + Send>, &str) = if name == "-" {
            (Box::new(io::stdin()), "standard input")
        } else {
            let file = File::open(path).map_err(|error| Error::reading(path, &error))?;
            let about = file.metadata().map_err(|error| Error::reading(path, &error))?;
            if about.is_dir() {
                return Err(Error::new(
                    ErrorKind::Input,
                    format_args!("{name}: is a folder; name a file of texts"),
                ));
            }
            if about.is_file() {
                files.push(path.to_owned());
                total = Some(about.len());
            }
            (Box::new(file), name)
        };
        Ok(Self {
            reader: BufReader::with_capacity(CHUNK_BYTES, reader),
            name: name.into(),
            files,
            is_jsonl: format == InputFormat::Jsonl,
            lines: 0,
            rows: 0,
            progress: Progress { read: 0, total },
        })
    }

    /// The columns that are carried: the id alone.
    pub fn schema(&self) -> SchemaRef {
        let kind = if self.is_jsonl { DataType::Utf8 } else { DataType::Int64 };
        Arc::new(Schema::new(vec![Field::new("id", kind, true)]))
    }

    /// The files that are read, if they can be read again.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether rows may say their own task.
    pub fn has_tasks(&self) -> bool {
        self.is_jsonl
    }

    /// How much was read.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The next rows; `None` at the end. From a pipe those that are there.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next_chunk(&mut self, max_rows: usize) -> Result<Option<Chunk>, Error> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < max_rows && (rows.is_empty() || bytes < CHUNK_BYTES) {
            if self.files.is_empty() && !rows.is_empty() && !self.reader.buffer().contains(&b'\n') {
                break;
            }
            let Some((line, count)) = self.next_line()? else { break };
            bytes += count;
            rows.extend(self.row(line));
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let ids: ArrayRef = if self.is_jsonl {
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| id_text(&row.id))))
        } else {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.number as i64)))
        };
        let carried = RecordBatch::try_new(self.schema(), vec![ids])
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", self.name)))?;
        Ok(Some(Chunk { rows, carried }))
    }

    /// Skips rows; those that were there to be skipped.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn skip(&mut self, rows: u64) -> Result<u64, Error> {
        let end = self.rows + rows;
        let begin = self.rows;
        while self.rows < end {
            let Some((line, _)) = self.next_line()? else { break };
            // A line between objects that is blank is no row.
            match self.is_jsonl {
                true => drop(self.row(line)),
                false => (self.lines, self.rows) = (self.lines + 1, self.rows + 1),
            }
        }
        Ok(self.rows - begin)
    }

    /// What the files hold; none for a pipe.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn identity(&self) -> Result<Vec<FileIdentity>, Error> {
        let identity = |path: &PathBuf| {
            let failed = |error: io::Error| Error::reading(path, &error);
            let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
            let mut file = File::open(path).map_err(failed)?;
            loop {
                match file.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => {
                        hash.update(&piece[..count]);
                        bytes += count as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(FileIdentity { name: path.display().to_string(), bytes, sha256 })
        };
        self.files.iter().map(identity).collect()
    }

    fn next_line(&mut self) -> Result<Option<(Vec<u8>, usize)>, Error> {
        let mut line = Vec::new();
        let count = self
            .reader
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::reading(Path::new(&*self.name), &error))?;
        self.progress.read += count as u64;
        Ok((count > 0).then_some((line, count)))
    }

    fn row(&mut self, line: Vec<u8>) -> Option<Row> {
        let index = self.lines;
        self.lines += 1;
        let (id, input) = if self.is_jsonl {
            let jsonl::Row { id, input } = jsonl::read(line, index)?;
            (id, input)
        } else {
            (jsonl::numbered(index), jsonl::utf8(line, index + 1).map(Input::new).map_err(|(error, _)| error))
        };
        let number = self.rows;
        self.rows += 1;
        Some(Row { number, id, place: Place { file: self.name.clone(), line: index as u64 + 1 }, input })
    }
}

fn format_of(path: &Path) -> InputFormat {
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or("") {
        "jsonl" | "ndjson" => InputFormat::Jsonl,
        "csv" => InputFormat::Csv,
        "tsv" => InputFormat::Tsv,
        "parquet" => InputFormat::Parquet,
        "arrow" | "feather" => InputFormat::Arrow,
        _ => InputFormat::Lines,
    }
}

/// A string as it is, all else as JSON.
fn id_text(id: &serde_json::value::RawValue) -> String {
    serde_json::from_str(id.get()).unwrap_or_else(|_| id.get().to_owned())
}
