//! Texts from the command line, a file or standard input, row by row.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use connote::{Input, Task};
use serde::Deserialize;
use serde_json::Value;

use crate::args::{InputFormat, TextArgs};
use crate::failure::Failure;

/// One row of input: its name, and its text or what is wrong with it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: Value,
    pub(crate) input: Result<Input, RowError>,
}

/// What is wrong with a row.
#[derive(Debug, Clone)]
pub(crate) struct RowError {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl From<connote::Error> for RowError {
    fn from(error: connote::Error) -> Self {
        Self { kind: error.kind().name(), message: error.message().to_owned() }
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
            });
        }
        let (reader, total, format, name): (Box<dyn Read>, _, _, _) = match args.input.as_deref() {
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
                (Box::new(file), about.is_file().then_some(about.len()), format, path.display().to_string())
            }
            _ => {
                if io::stdin().is_terminal() {
                    eprintln!("Reading texts from the terminal, one a line; Ctrl-D ends them.");
                }
                (
                    Box::new(io::stdin()),
                    None,
                    format.unwrap_or(InputFormat::Lines),
                    "standard input".to_owned(),
                )
            }
        };
        let source = Source::Reader(BufReader::with_capacity(CHUNK_BYTES, reader));
        Ok(Self { source, format, index: 0, read: 0, total, name })
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
                    rows.push(Row { id: Value::from(self.index), input: Ok(Input::new(text)) });
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
    fn row(&mut self, mut line: Vec<u8>) -> Option<Row> {
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        let index = self.index;
        self.index += 1;
        if index == 0 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        let text = String::from_utf8(line).map_err(|error| RowError {
            kind: "invalid_utf8",
            message: format!(
                "line {} is not UTF-8 at byte {}; save the input as UTF-8",
                index + 1,
                error.utf8_error().valid_up_to()
            ),
        });
        match (self.format, text) {
            (_, Err(error)) => Some(Row { id: Value::from(index), input: Err(error) }),
            (InputFormat::Lines, Ok(text)) => {
                Some(Row { id: Value::from(index), input: Ok(Input::new(text)) })
            }
            (InputFormat::Jsonl, Ok(text)) if text.trim().is_empty() => None,
            (InputFormat::Jsonl, Ok(text)) => Some(json_row(&text, index)),
        }
    }
}

/// A line of JSONL. Other fields may be there and are left alone.
#[derive(Deserialize)]
struct JsonRow {
    text: Option<Value>,
    task: Option<Value>,
    title: Option<Value>,
    id: Option<Value>,
}

fn json_row(line: &str, index: usize) -> Row {
    let parsed: JsonRow = match serde_json::from_str(line) {
        Ok(parsed) => parsed,
        Err(error) => {
            // serde_json counts lines within the text it is given, which is always one.
            let message = error.to_string().replace("at line 1 column", "at column");
            let error = RowError { kind: "invalid_json", message: format!("line {}: {message}", index + 1) };
            return Row { id: Value::from(index), input: Err(error) };
        }
    };
    let id = parsed.id.filter(|id| !id.is_null()).unwrap_or_else(|| Value::from(index));
    let wrong = |message: String| RowError {
        kind: "invalid_request",
        message: format!("line {}: {message}", index + 1),
    };
    let string = |name: &str, value: Option<Value>| match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(format!("`{name}` is not a string"))),
    };
    let input = || {
        let text = string("text", parsed.text)?.ok_or_else(|| wrong("there is no `text`".to_owned()))?;
        let mut input = Input::new(text);
        if let Some(title) = string("title", parsed.title)? {
            input = input.title(title);
        }
        match string("task", parsed.task)?.as_deref() {
            None | Some("") => {}
            Some("none") => input = input.without_task(),
            Some(task) => input = input.task(task.parse::<Task>().map_err(wrong)?),
        }
        Ok(input)
    };
    Row { id, input: input() }
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
