//! Rows with their vectors become files.
//!
//! A run writes parts, each by a [`PartWriter`], and in the end [`assemble`]s them. Every byte is a function of
//! the rows and the options alone.

mod arrow;
mod carried;
mod lines;
mod npy;
mod parquet;
mod table;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use arrow_schema::{Field, SchemaRef};
use connote::Embedding;
use index::{Precision, Space};
use serde::{Deserialize, Serialize};

use crate::encoded::Encoded;
use crate::error::{Error, ErrorKind};
use crate::file_sum::FileSum;
use crate::rows::{Answered, Row};
use crate::space::{Description, Scale};

pub use lines::LineEncoder;
pub use npy::write_row_numbers;
pub(crate) use npy::{Element, Header};

/// The columns that connote adds to those that are carried along.
pub(crate) const OWN_COLUMNS: [&str; 6] = ["id", "tokens", "truncated", SCALE, "embedding", "error"];

/// Only there with [`Precision::Int8`].
pub(crate) const SCALE: &str = "scale";

/// The form of a file of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// A JSON object a line; the vector is an array.
    Jsonl,
    /// Comma-separated values with a header; the vector is a JSON array in its cell.
    Csv,
    /// numpy's array of rows x dimensions, without ids and without the rows that failed.
    Npy,
    /// Parquet; the vector is a fixed-size list.
    Parquet,
    /// Arrow IPC, the file form; the vector is a fixed-size list.
    Arrow,
}

impl OutputFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Jsonl, Self::Csv, Self::Npy, Self::Parquet, Self::Arrow];

    /// Its name on the command line, which is the ending of its files too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Npy => "npy",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// The format of files that end in `ending`, which has no dot.
    pub fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "npy" => Some(Self::Npy),
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// Whether a file says itself what its vectors are.
    pub fn describes_itself(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| format!("`{name}` is no format; write jsonl, csv, npy, parquet or arrow"))
    }
}

/// What is written, and how.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// The form of the file.
    pub format: OutputFormat,
    /// What values are written as.
    pub precision: Precision,
    /// `id` and the carried columns, of the source.
    pub schema: SchemaRef,
    /// What the vectors are.
    pub space: Space,
    /// The program that computed them and its version: `connote 0.1.0`.
    pub created_by: String,
    /// Whether a text has a vector a token, as with pooling `none`.
    pub per_token: bool,
}

impl SinkOptions {
    /// Refuses what makes no sense, before anything is written.
    ///
    /// # Errors
    /// That say what to ask for instead.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Usage, message));
        if self.per_token && self.format != OutputFormat::Jsonl {
            return refuse(format!(
                "vectors per token (pooling none) are written as jsonl only, not {}",
                self.format
            ));
        }
        if (self.format, self.precision, self.space.normalized) == (OutputFormat::Npy, Precision::Int8, false)
        {
            return refuse(
                "int8 in npy has no scale a row, so it is for vectors of length 1, and these are not normalised; \
                 write f16, or a parquet file, or normalise them"
                    .to_owned(),
            );
        }
        if self.format == OutputFormat::Npy && self.schema.fields().len() > 1 {
            return refuse("npy holds vectors and no columns; keep none, or write another format".to_owned());
        }
        for (place, field) in self.schema.fields().iter().enumerate().skip(1) {
            let name = field.name();
            let is_own = OWN_COLUMNS.contains(&name.as_str());
            if is_own && (name != SCALE || self.precision == Precision::Int8) {
                return refuse(format!(
                    "the column `{name}` cannot be kept: the output has one of this name; name those to keep, or rename it"
                ));
            }
            if self.schema.fields()[..place].iter().any(|other| other.name() == name) {
                return refuse(format!("the column `{name}` is there twice; keep it once"));
            }
            if !self.can_hold(field) {
                let (kind, format) = (field.data_type(), self.format);
                return refuse(format!(
                    "the column `{name}` cannot be kept: {format} has no form for {kind}; keep others, or cast it"
                ));
            }
        }
        Ok(())
    }

    fn can_hold(&self, field: &Field) -> bool {
        match self.format {
            OutputFormat::Jsonl | OutputFormat::Csv => carried::can_hold(field),
            OutputFormat::Parquet => parquet::can_hold(field),
            OutputFormat::Arrow | OutputFormat::Npy => true,
        }
    }

    /// What is said of the vectors.
    pub fn describe(&self) -> Description {
        let scale = if self.format == OutputFormat::Npy { Scale::Length } else { Scale::Column };
        let scale = (self.precision == Precision::Int8).then_some(scale);
        Description {
            space: self.space.clone(),
            created_by: self.created_by.clone(),
            precision: self.precision,
            scale,
            file: None,
            other_spaces: 0,
        }
    }

    /// The content of the file [`description_path`](crate::description_path) beside a file with this sum, for formats that do not
    /// say themselves what their vectors are; so many rows are [of another space](Description::other_spaces).
    pub fn description(&self, file: &FileSum, other_spaces: u64) -> Option<String> {
        let description = || Description { file: Some(file.clone()), other_spaces, ..self.describe() };
        (!self.format.describes_itself()).then(|| description().to_json() + "\n")
    }
}

/// Writes one part: a whole file of its format.
pub struct PartWriter {
    format: Format,
    other_spaces: u64,
}

enum Format {
    Lines(lines::LinesWriter),
    Npy(npy::NpyWriter),
    Parquet(parquet::ParquetWriter),
    Arrow(arrow::ArrowWriter),
}

impl PartWriter {
    /// Begins `file`, which is empty and open to be read as well.
    ///
    /// # Errors
    /// If the options make no sense ([`SinkOptions::check`]) or the file cannot be written.
    pub fn create(file: File, options: &SinkOptions) -> Result<Self, Error> {
        options.check()?;
        let format = match options.format {
            OutputFormat::Jsonl | OutputFormat::Csv => {
                Format::Lines(lines::LinesWriter::create(file, options)?)
            }
            OutputFormat::Npy => Format::Npy(npy::NpyWriter::create(file, options)?),
            OutputFormat::Parquet => Format::Parquet(parquet::ParquetWriter::create(file, options)?),
            OutputFormat::Arrow => Format::Arrow(arrow::ArrowWriter::create(file, options)?),
        };
        Ok(Self { format, other_spaces: 0 })
    }

    /// Writes rows after those before.
    ///
    /// # Errors
    /// If the file cannot be written, or a vector is not of the space or does not fit the precision.
    pub fn write(&mut self, rows: &Answered<'_>) -> Result<(), Error> {
        rows.check()?;
        match &mut self.format {
            Format::Lines(writer) => writer.write(rows),
            Format::Npy(writer) => writer.write(rows),
            Format::Parquet(writer) => writer.write(rows),
            Format::Arrow(writer) => writer.write(rows),
        }
    }

    /// So many more rows are [of another space](Description::other_spaces): formats that describe themselves say so.
    pub fn add_other_spaces(&mut self, rows: u64) {
        self.other_spaces += rows;
    }

    /// Writes what is left. The file is complete, and its sum is known; to sync it is the caller's.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(self) -> Result<(File, FileSum), Error> {
        match self.format {
            Format::Lines(writer) => writer.finish(),
            Format::Npy(writer) => writer.finish(),
            Format::Parquet(writer) => writer.finish(self.other_spaces),
            Format::Arrow(writer) => writer.finish(self.other_spaces),
        }
    }
}

/// Writes `parts`, one after another, as one file into `into`, which is empty. Memory does not grow with them. With the file comes
/// its sum, for the description beside it, where the format has one. At least so many of the rows are
/// [of another space](Description::other_spaces): parts of older builds do not say it themselves.
///
/// # Errors
/// If a part cannot be read or was written with other options, or the file cannot be written.
pub fn assemble(
    options: &SinkOptions,
    parts: &[PathBuf],
    other_spaces: u64,
    into: File,
) -> Result<(File, Option<FileSum>), Error> {
    options.check()?;
    let with_sum = |(file, sum)| (file, Some(sum));
    let alone = |file| (file, None);
    match options.format {
        OutputFormat::Jsonl | OutputFormat::Csv => lines::assemble(options, parts, into).map(with_sum),
        OutputFormat::Npy => npy::assemble(options, parts, into).map(with_sum),
        OutputFormat::Parquet => parquet::assemble(options, parts, other_spaces, into).map(alone),
        OutputFormat::Arrow => arrow::assemble(options, parts, other_spaces, into).map(alone),
    }
}

impl Answered<'_> {
    /// Refuses a chunk whose parts are not of one length.
    fn check(&self) -> Result<(), Error> {
        let (rows, results, carried) =
            (self.chunk.rows.len(), self.results.len(), self.chunk.carried.num_rows());
        if rows == results && rows == carried {
            return Ok(());
        }
        Err(not_written(format_args!("{rows} rows have {results} results and {carried} rows of columns")))
    }
}

/// Appends the vector, or the vectors, of a row.
fn encode(row: &Row, embedding: &Embedding, options: &SinkOptions, out: &mut Encoded) -> Result<(), Error> {
    let dimensions = options.space.dimensions;
    let place = match row.place.line {
        0 => row.place.file.to_string(),
        line => format!("{}, line {line}", row.place.file),
    };
    let (got, values, wanted) = (embedding.dimensions, embedding.vector.len(), options.per_token);
    if got != dimensions || dimensions == 0 || values % dimensions != 0 || (values != dimensions && !wanted) {
        let message = format_args!("{place}: {values} values, where a vector has {dimensions}");
        return Err(Error::new(ErrorKind::Model, message));
    }
    for vector in embedding.rows() {
        out.push(vector).map_err(|value| {
            let message = format_args!(
                "{place}: {value} does not fit f16, whose largest is 65504; write f32, or normalise the vectors"
            );
            Error::new(ErrorKind::Usage, message)
        })?;
    }
    Ok(())
}

/// Opens a part to be read.
fn open_part(part: &Path) -> Result<File, Error> {
    File::open(part).map_err(|error| Error::reading(part, &error))
}

/// Writing failed; the caller knows the file's name.
fn not_written(error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Output, format_args!("the vectors cannot be written: {error}"))
}

/// A part was written with other options.
fn other_part(part: &Path, what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Mismatch, format_args!("{}: is no part of this output: {what}", part.display()))
}
