//! Where results go, and in which form.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::args::OutputFormat;
use crate::failure::Failure;
use crate::input::RowError;

/// A place for results. A file is written under another name and appears when it is complete.
pub(crate) struct Output {
    writer: BufWriter<Box<dyn Write>>,
    name: String,
    aside: Option<(PathBuf, PathBuf)>,
    format: OutputFormat,
}

/// A row that failed, in its place.
#[derive(Serialize)]
struct FailedRow<'a> {
    id: &'a Value,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    kind: &'a str,
    message: &'a str,
}

impl Output {
    /// Standard output.
    pub(crate) fn stdout(format: Option<OutputFormat>) -> Self {
        let default = if io::stdout().is_terminal() { OutputFormat::Text } else { OutputFormat::Jsonl };
        let writer = BufWriter::new(Box::new(io::stdout()) as Box<dyn Write>);
        Self { writer, name: "standard output".to_owned(), aside: None, format: format.unwrap_or(default) }
    }

    /// A file, or standard output for none and `-`.
    pub(crate) fn open(path: Option<&Path>, format: Option<OutputFormat>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(Self::stdout(format)) };
        let format = format.map_or_else(|| format_of(path), Ok)?;
        let name = path.display().to_string();
        // A pipe or a device is written as it is; only a file can appear when it is complete.
        let special = fs::metadata(path).is_ok_and(|about| !about.is_file());
        let aside = (!special).then(|| {
            let mut aside = path.as_os_str().to_owned();
            aside.push(format!(".{}.part", std::process::id()));
            (PathBuf::from(aside), path.to_owned())
        });
        let target = aside.as_ref().map_or(path, |(aside, _)| aside);
        let file = File::create(target).map_err(|error| Failure::writing(&name, &error))?;
        Ok(Self { writer: BufWriter::new(Box::new(file)), name, aside, format })
    }

    pub(crate) fn format(&self) -> OutputFormat {
        self.format
    }

    /// One JSON object on a line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let written = serde_json::to_writer(&mut self.writer, value).map_err(io::Error::from);
        written
            .and_then(|()| self.writer.write_all(b"\n"))
            .map_err(|error| Failure::writing(&self.name, &error))
    }

    /// A line for people.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.writer, "{line}").map_err(|error| Failure::writing(&self.name, &error))
    }

    /// A row that failed.
    pub(crate) fn failed(&mut self, id: &Value, error: &RowError) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Jsonl => {
                self.json(&FailedRow { id, error: ErrorBody { kind: error.kind, message: &error.message } })
            }
            OutputFormat::Text => self.line(&format!("{id}  failed: {}", error.message)),
        }
    }

    /// Hands over what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| Failure::writing(&self.name, &error))
    }

    /// All is written: the file takes its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.flush()?;
        if let Some((aside, path)) = self.aside.take() {
            fs::rename(&aside, &path).map_err(|error| Failure::writing(&self.name, &error))?;
        }
        Ok(())
    }
}

impl Drop for Output {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        if let Some((aside, _)) = &self.aside {
            let _ = fs::remove_file(aside);
        }
    }
}

fn format_of(path: &Path) -> Result<OutputFormat, Failure> {
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or("") {
        "jsonl" | "ndjson" => Ok(OutputFormat::Jsonl),
        "txt" => Ok(OutputFormat::Text),
        ending => Err(Failure::usage(format!(
            "{}: files ending in `{ending}` cannot be written yet; end it in .jsonl (or say the format with --output-format)",
            path.display()
        ))),
    }
}

/// A text on one line of at most `width` characters, for people.
pub(crate) fn excerpt(text: &str, width: usize) -> String {
    let mut short = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == width {
            short.push('…');
            break;
        }
        short.push(if c.is_control() { ' ' } else { c });
    }
    short
}
