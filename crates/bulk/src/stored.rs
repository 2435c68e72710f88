//! Files of vectors are read back.
//!
//! Those that a sink wrote, and those of others that have an `embedding` column of numbers or are npy arrays of
//! floats. A file is hostile until checked: what is wrong with it is an error that names it.

mod known;
mod lines;
mod npy;
mod records;
mod row_numbers;
mod tables;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use index::{Precision, Space, to_f16};

use crate::encoded::{to_bits, to_int8};
use crate::error::{Error, ErrorKind};
use crate::file_sum::FileSum;
use crate::run::{FinishedPart, finished_part, linked};
use crate::sink::OutputFormat;
use crate::space::{Description, description_path};

/// Rows of a chunk, at most.
const CHUNK_ROWS: usize = 1024;

/// A file of vectors, read from its beginning.
pub struct Stored {
    description: Option<Description>,
    rows: Rows,
    /// Of a part, the number of its first row among those of the input.
    first_row: u64,
}

enum Rows {
    Lines(lines::StoredLines),
    Npy(npy::StoredNpy),
    Tables(tables::StoredTables),
}

/// Rows that were read together.
#[derive(Debug, Clone)]
pub struct StoredChunk {
    /// `id`, then the columns that were carried along, of [`Stored::schema`].
    pub carried: RecordBatch,
    /// Their vectors; zeros for rows that have none.
    pub vectors: Vectors,
    /// Whether a row has a vector.
    pub present: Vec<bool>,
}

/// Vectors one after another, as they are stored; half precision is read as f32.
#[derive(Debug, Clone, PartialEq)]
pub enum Vectors {
    /// Rows x dimensions.
    F32(Vec<f32>),
    /// A value is its integer times the scale of its row.
    Int8 {
        /// Rows x dimensions.
        values: Vec<i8>,
        /// One a row.
        scales: Vec<f32>,
    },
    /// Rows x dimensions / 8, rounded up: signs, the first in the highest bit.
    Bits(Vec<u8>),
}

impl Vectors {
    fn new(precision: Precision) -> Self {
        match precision {
            Precision::F32 | Precision::F16 => Self::F32(Vec::new()),
            Precision::Int8 => Self::Int8 { values: Vec::new(), scales: Vec::new() },
            Precision::Binary => Self::Bits(Vec::new()),
        }
    }

    /// One vector, rounded as files of this precision have it.
    ///
    /// # Errors
    /// The value that is too large for half precision.
    pub fn of(vector: &[f32], precision: Precision) -> Result<Self, f32> {
        let mut rounded = Self::new(precision);
        match &mut rounded {
            Self::F32(values) if precision == Precision::F16 => {
                let mut halves = Vec::new();
                to_f16(vector, &mut halves)?;
                values.extend(halves.iter().map(|half| half.to_f32()));
            }
            Self::F32(values) => values.extend_from_slice(vector),
            Self::Int8 { values, scales } => scales.push(to_int8(vector, values)),
            Self::Bits(bytes) => to_bits(vector, bytes),
        }
        Ok(rounded)
    }

    /// As rows x `dimensions` values. Signs become vectors of length 1 whose values are all as large.
    pub fn to_f32(&self, dimensions: usize) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::Int8 { values, scales } => {
                let rows = values.chunks(dimensions.max(1)).zip(scales);
                rows.flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value) * scale)).collect()
            }
            Self::Bits(bytes) => {
                let size = 1.0 / (dimensions.max(1) as f32).sqrt();
                let sign = |row: &[u8], place: usize| row[place / 8] >> (7 - place % 8) & 1 == 1;
                let rows = bytes.chunks_exact(dimensions.div_ceil(8).max(1));
                rows.flat_map(|row| (0..dimensions).map(|place| if sign(row, place) { size } else { -size }))
                    .collect()
            }
        }
    }

    /// Appends zeros in the place of a vector.
    fn push_absent(&mut self, dimensions: usize) {
        match self {
            Self::F32(values) => values.resize(values.len() + dimensions, 0.0),
            Self::Int8 { values, scales } => {
                values.resize(values.len() + dimensions, 0);
                scales.push(0.0);
            }
            Self::Bits(bytes) => bytes.resize(bytes.len() + dimensions.div_ceil(8), 0),
        }
    }

    /// Whether every number is one.
    fn are_finite(&self) -> bool {
        match self {
            Self::F32(values) => values.iter().all(|value| value.is_finite()),
            Self::Int8 { scales, .. } => scales.iter().all(|scale| scale.is_finite()),
            Self::Bits(_) => true,
        }
    }
}

impl Stored {
    /// Opens a file that ends in .jsonl, .csv, .npy, .parquet or .arrow. Of the formats of lines, the whole file
    /// is read once, for the types of its columns.
    ///
    /// # Errors
    /// If it cannot be read, has no vectors, contradicts itself, or is not the one that its description was written with; of npy
    /// the last is known only at its end.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let format = format_of(path)?;
        Self::open_with(path, format, if format.describes_itself() { Facts::default() } else { facts(path)? })
    }

    /// As [`open`](Self::open), and of npy, too, it is known at once whether it is the file that its description was written with; it
    /// is read once more for that. For those who cannot take back what they said of its first rows.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_whole(path: &Path) -> Result<Self, Error> {
        if format_of(path)? == OutputFormat::Npy {
            read_description(path)?;
        }
        Self::open(path)
    }

    /// Opens a part of a run. Rows without ids have the numbers that they had in the input.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_part(part: &FinishedPart) -> Result<Self, Error> {
        let path = part.path();
        // Its bytes are those that the manifest has: the run was found whole.
        let facts =
            Facts { description: Some(part.description().clone()), known: None, part: Some(part.clone()) };
        Self::open_with(path, format_of(path)?, facts)
    }

    fn open_with(path: &Path, format: OutputFormat, facts: Facts) -> Result<Self, Error> {
        if let Some(known) = &facts.known {
            known.check_length(path)?;
        }
        let first_row = facts.part.as_ref().map_or(0, |part| part.record().first_row);
        let (description, rows) = match format {
            OutputFormat::Jsonl | OutputFormat::Csv => {
                let rows = lines::StoredLines::open(path, format, &facts)?;
                (facts.description, Rows::Lines(rows))
            }
            OutputFormat::Npy => {
                let rows = npy::StoredNpy::open(path, &facts)?;
                (facts.description, Rows::Npy(rows))
            }
            OutputFormat::Parquet | OutputFormat::Arrow => {
                let (mut description, rows) = tables::StoredTables::open(path, format)?;
                // Parts of older builds say it in the manifest alone.
                if let (Some(found), Some(told)) = (&mut description, &facts.description) {
                    found.other_spaces = found.other_spaces.max(told.other_spaces);
                }
                (description, Rows::Tables(rows))
            }
        };
        let mut stored = Self { description, rows, first_row };
        stored.number_from(0);
        match &stored.description {
            Some(described) if described.space.dimensions != stored.dimensions() => Err(wrong(
                path,
                format_args!(
                    "its vectors have {} values, and it says {}",
                    stored.dimensions(),
                    described.space.dimensions
                ),
            )),
            _ => Ok(stored),
        }
    }

    /// Rows without ids are numbered from here on instead of from 0; those of a part, the first row of its input is. To be said before
    /// the first chunk.
    pub fn number_from(&mut self, first: u64) {
        let of_part = first.saturating_add(self.first_row);
        match &mut self.rows {
            Rows::Lines(rows) => rows.number_from(of_part),
            Rows::Npy(rows) => rows.number_from(first),
            Rows::Tables(rows) => rows.number_from(of_part),
        }
    }

    /// Rows of the input that failed and are not in the file at all: npy has no place for them. Known after the last chunk.
    pub fn left_out(&self) -> u64 {
        match &self.rows {
            Rows::Npy(rows) => rows.left_out(),
            Rows::Lines(_) | Rows::Tables(_) => 0,
        }
    }

    /// Rows so far, and those that were left out. Known after the last chunk.
    pub fn rows(&self) -> u64 {
        match &self.rows {
            Rows::Lines(rows) => rows.done(),
            Rows::Npy(rows) => rows.done().saturating_add(rows.left_out()),
            Rows::Tables(rows) => rows.done(),
        }
    }

    /// What the vectors are, where the file or the one beside it says so.
    pub fn space(&self) -> Option<&Space> {
        self.description.as_ref().map(|description| &description.space)
    }

    /// Rows whose vectors are of another space than [`space`](Self::space), as they have a task of their own; 0 where nothing is said
    /// of it.
    pub fn other_spaces(&self) -> u64 {
        self.description.as_ref().map_or(0, |description| description.other_spaces)
    }

    /// What the values are stored as.
    pub fn precision(&self) -> Precision {
        self.shape().precision
    }

    /// Values a vector.
    pub fn dimensions(&self) -> usize {
        self.shape().dimensions
    }

    /// `id` (numbers, where all ids are, else text), then the carried columns.
    pub fn schema(&self) -> SchemaRef {
        match &self.rows {
            Rows::Lines(rows) => rows.schema(),
            Rows::Npy(rows) => rows.schema(),
            Rows::Tables(rows) => rows.schema(),
        }
    }

    /// The next rows; none after the last.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged here; reading ends with it.
    pub fn next_chunk(&mut self) -> Result<Option<StoredChunk>, Error> {
        match &mut self.rows {
            Rows::Lines(rows) => rows.next_chunk(),
            Rows::Npy(rows) => rows.next_chunk(),
            Rows::Tables(rows) => rows.next_chunk(),
        }
    }

    fn shape(&self) -> Shape {
        match &self.rows {
            Rows::Lines(rows) => rows.shape(),
            Rows::Npy(rows) => rows.shape(),
            Rows::Tables(rows) => rows.shape(),
        }
    }
}

/// What is known of a file besides what stands in it.
#[derive(Default)]
struct Facts {
    description: Option<Description>,
    /// What it should hold, where that is to be seen yet.
    known: Option<known::Known>,
    part: Option<FinishedPart>,
}

/// How vectors are stored.
#[derive(Debug, Clone, Copy)]
struct Shape {
    precision: Precision,
    dimensions: usize,
}

/// The dimensions of vectors of `width` stored values: signs do not tell how many bits of the last byte count.
fn dimensions_of(width: usize, precision: Precision, description: Option<&Description>) -> usize {
    match (precision, description) {
        (Precision::Binary, Some(described)) if precision.width(described.space.dimensions) == width => {
            described.space.dimensions
        }
        (Precision::Binary, _) => width.saturating_mul(8),
        _ => width,
    }
}

fn format_of(path: &Path) -> Result<OutputFormat, Error> {
    let ending = path.extension().and_then(|ending| ending.to_str()).and_then(OutputFormat::of_ending);
    // By its first bytes, where the name does not tell.
    let format = match ending {
        Some(format) => Some(format),
        None => {
            let mut first = [0; 6];
            let reading = |error| Error::reading(path, &error);
            let count = File::open(path).and_then(|mut file| file.read(&mut first)).map_err(reading)?;
            match &first[..count] {
                b"ARROW1" => Some(OutputFormat::Arrow),
                b"\x93NUMPY" => Some(OutputFormat::Npy),
                [b'P', b'A', b'R', b'1', ..] => Some(OutputFormat::Parquet),
                [b'{', ..] => Some(OutputFormat::Jsonl),
                _ => None,
            }
        }
    };
    format.ok_or_else(|| {
        wrong(path, "is no file of vectors; end its name in .jsonl, .csv, .npy, .parquet or .arrow")
    })
}

/// What `OUT.meta.json` beside a file of vectors says of them, or the manifest of its folder; None where neither is there. The file
/// is read, to know whether it is the one that this is said of.
///
/// # Errors
/// If it cannot be read, contradicts itself, or is said of another file.
pub fn read_description(path: &Path) -> Result<Option<Description>, Error> {
    let Facts { description, known, .. } = facts(path)?;
    if let Some(known) = known {
        known.check_length(path)?;
        known.check(path, &FileSum::of(path)?)?;
    }
    Ok(description)
}

/// A file beside `path`: where that is a link, beside what it leads to, as writers put it; else beside the link (Hugging Face's cache).
fn beside_target(path: &Path, name: impl Fn(&Path) -> PathBuf) -> PathBuf {
    let beside = name(&linked(path));
    if beside.exists() { beside } else { name(path) }
}

/// What the file beside it or the manifest of its folder says.
fn facts(path: &Path) -> Result<Facts, Error> {
    let beside: PathBuf = beside_target(path, description_path);
    match std::fs::read_to_string(&beside) {
        Ok(json) => {
            let description = Description::from_json(&json, &beside)?;
            let known = description.file.clone().map(|sum| known::Known::new(beside, sum));
            Ok(Facts { description: Some(description), known, part: None })
        }
        // A part is described by the manifest of its folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let Some(part) = finished_part(path)? else { return Ok(Facts::default()) };
            let known = known::Known::new(part.manifest(), part.record().file.clone());
            let description = Some(part.description().clone());
            Ok(Facts { description, known: Some(known), part: Some(part) })
        }
        Err(error) => Err(Error::reading(&beside, &error)),
    }
}

/// Of two columns of one name either could be meant.
fn check_names(path: &Path, names: &[String]) -> Result<(), Error> {
    let is_twice = |name: &&String| names.iter().filter(|other| other == name).count() > 1;
    match names.iter().find(is_twice) {
        Some(name) => {
            Err(wrong(path, format_args!("two columns are called `{name}`; give one of them another name")))
        }
        None => Ok(()),
    }
}

/// Something wrong with a file.
fn wrong(path: &Path, what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Input, format_args!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Precision, Vectors};

    #[test]
    fn a_vector_is_rounded_as_files_have_it() {
        let vector = [0.1, -0.6, 0.0, 1.27];
        let read = |precision| Vectors::of(&vector, precision).expect("it fits").to_f32(4);
        assert_eq!(read(Precision::F32), vector);
        assert_eq!(read(Precision::F16), vector.map(|value| half::f16::from_f32(value).to_f32()));
        // A step is the 127th part of the largest value.
        assert!(read(Precision::Int8).iter().zip(vector).all(|(read, value)| (read - value).abs() < 1e-6));
        assert_eq!(read(Precision::Binary), [0.5, -0.5, -0.5, 0.5]);
        assert_eq!(Vectors::of(&[1e9], Precision::F16), Err(1e9));
    }
}
