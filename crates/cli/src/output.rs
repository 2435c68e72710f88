//! Where results go, and in which form.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use connote::jsonl::{self, RowError};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::args::{OutputArgs, OutputFormat};
use crate::aside::Aside;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::rows::Rows;

/// A place for results. A file is written under another name and appears when it is complete.
pub(crate) struct Output {
    writer: BufWriter<Box<dyn Write>>,
    name: String,
    aside: Option<Aside>,
    is_stdout: bool,
    format: OutputFormat,
}

impl Output {
    /// Standard output.
    pub(crate) fn stdout(format: Option<OutputFormat>) -> Self {
        let default = if io::stdout().is_terminal() { OutputFormat::Text } else { OutputFormat::Jsonl };
        let writer = BufWriter::new(Box::new(io::stdout()) as Box<dyn Write>);
        let (name, format) = ("standard output".to_owned(), format.unwrap_or(default));
        Self { writer, name, aside: None, is_stdout: true, format }
    }

    /// A file, or standard output for none and `-`; never what the rows are read from.
    pub(crate) fn open(args: &OutputArgs, rows: &Rows) -> Result<Self, Failure> {
        let path = args.output.as_deref().filter(|path| *path != Path::new("-"));
        let format = args.output_format;
        spare_the_texts(path, rows)?;
        let Some(path) = path else { return Ok(Self::stdout(format)) };
        let name = path.display().to_string();
        let about = fs::metadata(path).ok();
        // The name of a pipe or a device says nothing of a format.
        let is_file = about.as_ref().is_none_or(|about| about.is_file() || about.is_dir());
        let format = match (format, format_of(path)) {
            (Some(format), _) => format,
            (None, Err(_)) if !is_file => OutputFormat::Jsonl,
            (None, of_name) => of_name?,
        };
        if about.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(Failure::nothing(format!("{name}: is a folder; name a file")));
        }
        // A pipe or a device is written as it is; only a file can appear when it is complete.
        let (aside, file) = if !is_file {
            (None, File::create(path).map_err(|error| Failure::writing(&name, &error))?)
        } else {
            let (aside, file) = Aside::create(path)?;
            (Some(aside), file)
        };
        Ok(Self { writer: BufWriter::new(Box::new(file)), name, aside, is_stdout: false, format })
    }

    /// Whether results go to a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_stdout && io::stdout().is_terminal()
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

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write_all(bytes).map_err(|error| Failure::writing(&self.name, &error))
    }

    /// A line for people.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.writer, "{line}").map_err(|error| Failure::writing(&self.name, &error))
    }

    /// A row that failed.
    pub(crate) fn failed(&mut self, id: &RawValue, error: &RowError) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Jsonl => jsonl::write(&mut self.writer, id, Err(error), false)
                .map_err(|error| Failure::writing(&self.name, &error)),
            OutputFormat::Text => self.line(&format!("{id}  failed: {}", error.message)),
        }
    }

    /// Hands over what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| Failure::writing(&self.name, &error))
    }

    /// All is written: to the disk with it, if it is a file.
    pub(crate) fn sync(&mut self) -> Result<(), Failure> {
        self.flush()?;
        self.aside.as_ref().map_or(Ok(()), Aside::sync)
    }

    /// All is written: the file takes its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.flush()?;
        self.aside.take().map_or(Ok(()), Aside::complete)
    }
}

/// Refuses to write over what the rows are read from.
pub(crate) fn spare_the_texts(path: Option<&Path>, rows: &Rows) -> Result<(), Failure> {
    let identity = path.map_or_else(Identity::of_stdout, Identity::of_path);
    if identity.is_none_or(|identity| !rows.identities().contains(&identity)) {
        return Ok(());
    }
    let name = path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    Err(Failure::usage(format!(
        "{name}: the texts are read from this file, and the results would destroy them; name another"
    )))
}

fn format_of(path: &Path) -> Result<OutputFormat, Failure> {
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or("") {
        "" | "jsonl" | "ndjson" => Ok(OutputFormat::Jsonl),
        "txt" => Ok(OutputFormat::Text),
        ending => Err(Failure::usage(format!(
            "{}: files ending in `{ending}` cannot be written yet; end it in .jsonl (or say the format with --output-format)",
            path.display()
        ))),
    }
}

/// A path in a document, as messages show it: JSON is UTF-8, and a path need not be.
pub(crate) fn shown_path<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.display().to_string()).serialize(to)
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
