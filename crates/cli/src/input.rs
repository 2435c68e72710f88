//! Texts from the command line, a file or standard input, row by row.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use connote::Input;
use connote::jsonl::{self, RowError};
use serde_json::value::RawValue;

use crate::args::{InputFormat, TextArgs};
use crate::failure::Failure;
use crate::identity::Identity;
use crate::say::say;

/// One row of input: its name, and its text or what is wrong with it.
#[derive(Debug)]
pub(crate) struct Row {
    /// As it was written, to the last digit.
    pub(crate) id: Box<RawValue>,
    /// Where it stands in its file, counted from 1; `None` for texts of the command line.
    pub(crate) line: Option<usize>,
    pub(crate) input: Result<Input, RowError>,
}

impl Row {
    /// A row named by its place.
    fn numbered(index: usize, line: Option<usize>, input: Result<Input, RowError>) -> Self {
        Self { id: jsonl::numbered(index), line, input }
    }

    /// What the library says against this row, with the row's line.
    pub(crate) fn refused(&self, error: &connote::Error) -> RowError {
        match self.line {
            Some(line) => RowError::refused(line, error),
            None => RowError { kind: error.kind().name(), message: error.message().to_owned() },
        }
    }
}

/// Rows that are read together: as many as are there without waiting, up to a bound.
const CHUNK_ROWS: usize = 512;
const CHUNK_BYTES: usize = 1 << 20;

/// A source of rows.
pub(crate) struct Rows {
    source: Source,
    format: InputFormat,
    index: usize,
    read: u64,
    total: Option<u64>,
    name: String,
    identity: Option<Identity>,
}

enum Source {
    Texts(std::vec::IntoIter<String>),
    Reader(BufReader<Box<dyn Read>>),
}

impl Rows {
    /// Opens what the arguments name.
    pub(crate) fn open(args: &TextArgs) -> Result<Self, Failure> {
        let format = args.input_format;
        if !args.texts.is_empty() {
            if format.is_some() {
                return Err(Failure::usage(
                    "--input-format is for --input and standard input; the texts are given on the command line",
                ));
            }
            return Ok(Self {
                total: Some(args.texts.len() as u64),
                source: Source::Texts(args.texts.clone().into_iter()),
                format: InputFormat::Lines,
                index: 0,
                read: 0,
                name: "the command line".to_owned(),
                identity: None,
            });
        }
        let (reader, total, format, name, identity): (Box<dyn Read>, _, _, _, _) = match args.input.as_deref()
        {
            Some(path) if path != Path::new("-") => {
                let format = format.map_or_else(|| format_of(path), Ok)?;
                let file =
                    File::open(path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
                let about =
                    file.metadata().map_err(|error| unreadable(&path.display().to_string(), &error))?;
                if about.is_dir() {
                    return Err(Failure::nothing(format!(
                        "{}: is a folder; name a file of texts",
                        path.display()
                    )));
                }
                let total = about.is_file().then_some(about.len());
                (Box::new(file), total, format, path.display().to_string(), Identity::of_path(path))
            }
            _ => {
                if io::stdin().is_terminal() {
                    say(format_args!("Reading texts from the terminal, one a line; Ctrl-D ends them."));
                }
                (
                    Box::new(io::stdin()),
                    None,
                    format.unwrap_or(InputFormat::Lines),
                    "standard input".to_owned(),
                    Identity::of_stdin(),
                )
            }
        };
        let source = Source::Reader(BufReader::with_capacity(CHUNK_BYTES, reader));
        Ok(Self { source, format, index: 0, read: 0, total, name, identity })
    }

    /// Whether rows may say their own task.
    pub(crate) fn are_json(&self) -> bool {
        self.format == InputFormat::Jsonl
    }

    /// The file that they are read from, if it is one.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// How much was read and how much there is, in texts or bytes.
    pub(crate) fn progress(&self) -> (u64, Option<u64>) {
        (self.read, self.total)
    }

    /// The next rows; none when the input has ended. Rows that are there are given out rather than held
    /// back to fill a chunk, so that a program can feed lines and wait for each answer.
    pub(crate) fn next_chunk(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while rows.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
            match &mut self.source {
                Source::Texts(texts) => {
                    let Some(text) = texts.next() else { break };
                    self.read += 1;
                    rows.push(Row::numbered(self.index, None, Ok(Input::new(text))));
                    self.index += 1;
                }
                Source::Reader(reader) => {
                    if !rows.is_empty() && !reader.buffer().contains(&b'\n') {
                        break;
                    }
                    let mut line = Vec::new();
                    let count = reader
                        .read_until(b'\n', &mut line)
                        .map_err(|error| unreadable(&self.name, &error))?;
                    if count == 0 {
                        break;
                    }
                    self.read += count as u64;
                    bytes += count;
                    rows.extend(self.row(line));
                }
            }
        }
        Ok(rows)
    }

    /// One line as a row. Blank lines between JSON objects are no rows; they count as lines.
    fn row(&mut self, line: Vec<u8>) -> Option<Row> {
        let index = self.index;
        self.index += 1;
        let number = Some(index + 1);
        match self.format {
            InputFormat::Lines => {
                let text = jsonl::utf8(line, index + 1).map_err(|(error, _)| error);
                Some(Row::numbered(index, number, text.map(Input::new)))
            }
            InputFormat::Jsonl => {
                let jsonl::Row { id, input } = jsonl::read(line, index)?;
                Some(Row { id, line: number, input })
            }
        }
    }
}

fn format_of(path: &Path) -> Result<InputFormat, Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("").to_ascii_lowercase();
    match ending.as_str() {
        "jsonl" | "ndjson" => Ok(InputFormat::Jsonl),
        "json" | "csv" | "tsv" | "parquet" | "arrow" | "feather" | "npy" | "gz" | "zst" | "zip" => {
            Err(Failure::usage(format!(
                "{}: files ending in .{ending} cannot be read yet; give lines of text or JSONL (or say which it is with --input-format)",
                path.display()
            )))
        }
        _ => Ok(InputFormat::Lines),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::nothing(format!("{name}: cannot be read: {error}"))
}
