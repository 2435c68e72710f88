//! Files of texts become rows.
//!
//! Inputs are files one after another ([`files`]), each read by a reader of its format (`lines`, `json`, `delimited`, `tables`),
//! all with the same columns. Nothing is held but the rows of a chunk.

mod delimited;
mod delimiter;
mod files;
mod ids;
mod ipc_stream;
mod json;
mod json_values;
mod lines;
mod pattern;
mod quotes;
mod roles;
mod row_groups;
mod tables;
mod template;
mod value_from;

use std::cmp::Ordering;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, SchemaRef};

use crate::rows::Chunk;
use crate::{Error, ErrorKind, uuids};

pub use delimiter::Delimiter;
pub use files::FileIdentity;
pub(crate) use files::FileState;
pub use quotes::Quotes;
pub use template::Template;
pub use value_from::ValueFrom;

use files::{Input, Place};

/// A chunk of text formats ends with the row that reaches so many bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Which texts.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// Files, patterns such as `notes/*.csv`, or `-` for standard input; read in this order, those of a pattern by their names.
    pub inputs: Vec<PathBuf>,
    /// How they are written; each by its ending, if it is not said.
    pub format: Option<InputFormat>,
    /// What stands between the values of CSV; a comma, if it is not said.
    pub delimiter: Option<Delimiter>,
    /// Where the text of a row is.
    pub text: TextFrom,
    /// Where the ids are; by custom in `id`, and where there is none rows have their numbers.
    pub id: ValueFrom,
    /// Where the titles are; by custom in `title`, of JSON alone.
    pub title: ValueFrom,
    /// Where the tasks are; by custom in `task`, of JSON alone.
    pub task: ValueFrom,
    /// Columns that are carried along; `*` is all that have no other use.
    pub keep: Vec<String>,
}

/// How texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// A text a line.
    Lines,
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values; the first record names the columns.
    Csv,
    /// The same, separated by tabs.
    Tsv,
    /// Parquet.
    Parquet,
    /// Arrow IPC, the file form or the stream form.
    Arrow,
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lines => "lines",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        })
    }
}

/// Where the text of a row is.
#[derive(Debug, Clone, Default)]
pub enum TextFrom {
    /// In the column `text`, else in the only one that could have it.
    #[default]
    Default,
    /// In this column.
    Column(String),
    /// In several columns.
    Template(Template),
}

impl TextFrom {
    /// Whether texts are made of this column, and say so: it has no other use then that was not asked for.
    fn names(&self, column: &str) -> bool {
        match self {
            Self::Default => false,
            Self::Column(name) => name == column,
            Self::Template(template) => template.columns().contains(&column),
        }
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

/// Counts on through all inputs.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    rows: u64,
    /// What a row without an id is called: its number, in JSONL that of its line.
    names: u64,
}

/// Reads one input.
trait Reader: Send {
    /// `id` and the columns that are carried along.
    fn schema(&self) -> SchemaRef;
    /// At most so many rows, which are counted; `None` at the end.
    fn next_chunk(&mut self, max_rows: usize, count: &mut Count) -> Result<Option<Chunk>, Error>;
    /// Skips so many rows, which are counted; fewer at the end.
    fn skip(&mut self, rows: u64, count: &mut Count) -> Result<u64, Error>;
    /// Bytes of the input that were read, more or less.
    fn read(&self) -> u64;
    /// Of JSON, whose fields are known when it was read: those that were named and that no object so far has; `None` if there was
    /// none.
    fn missing(&self) -> Option<&[String]> {
        None
    }
}

/// Rows of all inputs.
pub struct Source {
    options: SourceOptions,
    inputs: Vec<Input>,
    /// The files, if all inputs are files, and how they stood before they were opened.
    files: Vec<PathBuf>,
    states: Vec<FileState>,
    schema: SchemaRef,
    has_tasks: bool,
    /// What JSON objects have, of all inputs.
    fields: json::Fields,
    /// Fields of JSON that were named and that no object of the inputs so far has; `None` where there was none.
    missing: Option<Vec<String>>,
    /// Of the input that is being read.
    reader: Option<Box<dyn Reader>>,
    /// Of inputs that come later and cannot be opened twice.
    waiting: Vec<Option<Box<dyn Reader>>>,
    /// Inputs that are read to their end.
    ended: usize,
    count: Count,
}

impl Source {
    /// Opens what the options name.
    ///
    /// # Errors
    /// If something is not there, cannot be read, or has not the columns that are asked for.
    pub fn open(options: &SourceOptions) -> Result<Self, Error> {
        let options = options.clone();
        let inputs = files::expand(&options.inputs, options.format)?;
        check_delimiter(&inputs, &options)?;
        let fields = json::Fields::look(&inputs, &options)?;
        let mut waiting = Vec::new();
        let mut schema: Option<SchemaRef> = None;
        // Each is looked at before the first is read: hours later is too late.
        for input in &inputs {
            let reader = open(input, &options, &fields)?;
            match &schema {
                None => schema = Some(reader.schema()),
                Some(schema) => check_columns(&inputs[0], schema, input, &reader.schema())?,
            }
            waiting.push(if input.file().is_none() || waiting.is_empty() { Some(reader) } else { None });
        }
        let (Some(schema), Some(first)) = (schema, waiting.first_mut()) else {
            return Err(Error::new(ErrorKind::Usage, "there is no input; name a file"));
        };
        let reader = first.take();
        let states: Option<Vec<FileState>> = inputs.iter().map(|input| input.state().cloned()).collect();
        let states = states.unwrap_or_default();
        let files = states.iter().map(|state| state.path().to_owned()).collect();
        let is_jsonl = inputs.iter().any(|input| input.format == InputFormat::Jsonl);
        let has_tasks = match &options.task {
            ValueFrom::Custom => is_jsonl,
            ValueFrom::Column(_) => true,
            ValueFrom::Nowhere => false,
        };
        Ok(Self {
            options,
            inputs,
            files,
            states,
            schema,
            has_tasks,
            missing: None,
            fields,
            reader,
            waiting,
            ended: 0,
            count: Count::default(),
        })
    }

    /// `id`, which is `Int64` for numbers of rows and for columns of integers and `Utf8` else, then the columns that are
    /// carried along; all nullable.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The files, patterns expanded; none if any input is standard input, a pipe or a device, which cannot be read again.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What JSON has is known of files before their rows are read, of all else at the end.
    fn are_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether rows may say their own task.
    pub fn has_tasks(&self) -> bool {
        self.has_tasks
    }

    /// How much was read.
    pub fn progress(&self) -> Progress {
        let size = |input: &Input| input.bytes.unwrap_or(0);
        let ended: u64 = self.inputs[..self.ended].iter().map(size).sum();
        let read = self.reader.as_ref().map_or(0, |reader| reader.read());
        let total = self.inputs.iter().map(|input| input.bytes).sum();
        Progress { read: ended + read, total }
    }

    /// The next rows, at most `max_rows`; `None` at the end. From a pipe those that are there, without waiting for more.
    ///
    /// # Errors
    /// If an input cannot be read on. That is the end: the numbers of rows behind are not known. And at the end of a pipe of
    /// JSON, if a field that was named is in no row; files are refused by [`open`](Self::open).
    pub fn next_chunk(&mut self, max_rows: usize) -> Result<Option<Chunk>, Error> {
        while let Some(reader) = &mut self.reader {
            match reader.next_chunk(max_rows.max(1), &mut self.count) {
                Ok(Some(chunk)) => return self.of_one_table(chunk).map(Some),
                Ok(None) => self.next_input()?,
                Err(error) => {
                    self.reader = None;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Files have the same columns, but not always the same notes on them.
    fn of_one_table(&self, mut chunk: Chunk) -> Result<Chunk, Error> {
        if chunk.carried.schema_ref() != &self.schema {
            let columns = chunk.carried.columns().to_vec();
            chunk.carried = RecordBatch::try_new(self.schema(), columns)
                .map_err(|error| Error::new(ErrorKind::Input, error))?;
        }
        Ok(chunk)
    }

    /// Skips rows, and gives how many there were to be skipped. Row groups of Parquet are not even read.
    ///
    /// # Errors
    /// If an input cannot be read on; that is the end, too.
    pub fn skip(&mut self, rows: u64) -> Result<u64, Error> {
        let mut skipped = 0;
        while let (Some(reader), true) = (&mut self.reader, skipped < rows) {
            match reader.skip(rows - skipped, &mut self.count) {
                Ok(there) => skipped += there,
                Err(error) => {
                    self.reader = None;
                    return Err(error);
                }
            }
            if skipped < rows {
                self.next_input()?;
            }
        }
        Ok(skipped)
    }

    /// What the files hold; none for a pipe. Reads them to their end.
    ///
    /// # Errors
    /// If one cannot be read, or was changed since the source was opened, which may have read of it already.
    pub fn identity(&self) -> Result<Vec<FileIdentity>, Error> {
        let identities = self.files.iter().map(|path| FileIdentity::of(path)).collect();
        match self.states.iter().find(|state| state.now() != **state) {
            None => identities,
            Some(state) => Err(Error::new(
                ErrorKind::Input,
                format_args!("{}: was changed while it was looked at; run it again", state.path().display()),
            )),
        }
    }

    /// How the files stood before they were opened.
    pub(crate) fn states(&self) -> &[FileState] {
        &self.states
    }

    fn next_input(&mut self) -> Result<(), Error> {
        if let Some(missing) = self.reader.as_ref().and_then(|reader| reader.missing()) {
            match &mut self.missing {
                None => self.missing = Some(missing.to_vec()),
                Some(all) => all.retain(|name| missing.contains(name)),
            }
        }
        self.ended += 1;
        if self.ended == self.inputs.len() && !self.are_files() {
            self.reader = None;
            return json::refuse_missing(self.missing.as_deref().unwrap_or_default());
        }
        self.reader = match (self.inputs.get(self.ended), self.waiting.get_mut(self.ended)) {
            (Some(input), Some(waiting)) => match waiting.take() {
                None => Some(open(input, &self.options, &self.fields)?),
                reader => reader,
            },
            _ => None,
        };
        Ok(())
    }
}

fn open(input: &Input, options: &SourceOptions, fields: &json::Fields) -> Result<Box<dyn Reader>, Error> {
    Ok(match input.format {
        InputFormat::Lines => Box::new(lines::LineReader::open(input, options)?),
        InputFormat::Jsonl => Box::new(json::JsonReader::open(input, options, fields)?),
        InputFormat::Csv => {
            let delimiter = options.delimiter.unwrap_or(Delimiter::COMMA);
            Box::new(delimited::DelimitedReader::open(input, options, delimiter)?)
        }
        InputFormat::Tsv => Box::new(delimited::DelimitedReader::open(input, options, Delimiter::TAB)?),
        InputFormat::Parquet | InputFormat::Arrow => Box::new(tables::TableReader::open(input, options)?),
    })
}

/// Only CSV can be separated by this or that.
fn check_delimiter(inputs: &[Input], options: &SourceOptions) -> Result<(), Error> {
    let other = inputs.iter().find(|input| input.format != InputFormat::Csv);
    match (options.delimiter, other) {
        (Some(delimiter), Some(input)) => Err(Error::new(
            ErrorKind::Usage,
            format_args!(
                "{}: --delimiter '{delimiter}' is for CSV, and this is read as {}; say --input-format csv, if it is CSV",
                input.name, input.format
            ),
        )),
        _ => Ok(()),
    }
}

/// All inputs make one table.
fn check_columns(first: &Input, schema: &SchemaRef, other: &Input, columns: &SchemaRef) -> Result<(), Error> {
    // Text that is JSON is written as it is, all other text in quotes: they are no column together.
    let is_alike = |a: &Field, b: &Field| a.name() == b.name() && kind(a) == kind(b);
    let mut pairs = schema.fields().iter().zip(columns.fields());
    let refuse = |what: String| {
        let message = format!("{}: {what}; read them apart, or make them alike", other.name);
        Err(Error::new(ErrorKind::Usage, message))
    };
    // Lines have no columns, but numbers that are their ids.
    if let (Some(a), Some(b)) = (schema.fields().first(), columns.fields().first())
        && !is_alike(a, b)
    {
        let ids = |field: &Field| if field.data_type().is_integer() { "integers" } else { "text" };
        return refuse(format!("its ids are {}, and those of {} are {}", ids(b), first.name, ids(a)));
    }
    if let Some((a, b)) = pairs.find(|(a, b)| !is_alike(a, b)) {
        return refuse(format!(
            "its column `{}` is of type {}, and `{}` of {} is of type {}",
            b.name(),
            kind(b),
            a.name(),
            first.name,
            kind(a)
        ));
    }
    let (more, of, fewer) = match schema.fields().len().cmp(&columns.fields().len()) {
        Ordering::Equal => return Ok(()),
        Ordering::Less => (columns, other, first),
        Ordering::Greater => (schema, first, other),
    };
    let name = more.field(schema.fields().len().min(columns.fields().len())).name();
    refuse(format!("{} has a column `{name}` to keep, and {} has not", of.name, fewer.name))
}

/// The type of a column, for messages.
fn kind(field: &Field) -> String {
    match field.extension_type_name() {
        Some("arrow.json") => "JSON".to_owned(),
        _ if uuids::are_in(field) => "UUID".to_owned(),
        _ => field.data_type().to_string(),
    }
}

/// Of Parquet and Arrow.
fn without_zstd(name: &str) -> Error {
    let message = format!(
        "{name}: is compressed with zstd, which this build cannot read; write it anew with snappy or lz4, or build connote with --features zstd"
    );
    Error::new(ErrorKind::Input, message)
}

/// For messages.
fn place(input: &Input) -> Arc<str> {
    input.name.as_str().into()
}

/// An input cannot be read on.
fn unreadable(input: &Input, error: &std::io::Error) -> Error {
    match &input.place {
        Place::File(state) => Error::reading(state.path(), error),
        Place::Pipe(path) => Error::reading(path, error),
        Place::Stdin => Error::new(ErrorKind::Input, format_args!("standard input: cannot be read: {error}")),
    }
}
