//! A collection on disk, opened.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytemuck::AnyBitPattern;
use kernels::{Kernels, Level};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::columns::{Column, ColumnKind, Value};
use crate::error::Error;
use crate::filter::{Filter, Sieve, Test, Wanted};
use crate::layout::{self, Kind, Section, Wrong};
use crate::map;
use crate::precision::Precision;
use crate::scan::Rows;
use crate::scheme::{Scheme, Space};

/// The file of a collection in its folder.
pub const FILE_NAME: &str = "collection.connote";

/// Vectors and the columns beside them, mapped from a file: opening reads a few hundred bytes of it.
#[derive(Debug)]
pub struct Collection {
    path: PathBuf,
    file: Mmap,
    sections: Vec<Section>,
    about: About,
    pub(crate) kernels: &'static Kernels,
}

/// The first section.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    #[serde(flatten)]
    pub(crate) scheme: Scheme,
    pub(crate) rows: usize,
}

impl Collection {
    /// Opens the collection in a folder, or such a file. While it is open nobody may change the file in place;
    /// building again is fine.
    ///
    /// # Errors
    /// If there is none, or its header, table or lengths contradict each other. Vectors and columns are not read:
    /// see [`verify`](Self::verify).
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
        let level = Level::chosen().map_err(Error::usage)?;
        if cfg!(target_endian = "big") {
            return Err(Error::usage("collections are little endian, which this machine is not"));
        }
        let reading = |error| Error::reading(&path, &error);
        // Asked first: opening a pipe waits for who writes it.
        if !path.metadata().map_err(reading)?.is_file() {
            return Err(Error::damaged(&path, "it is no file"));
        }
        let file = File::open(&path).map_err(reading)?;
        let file = map::map(&file).map_err(reading)?;
        let damaged = |wrong: Wrong| Error::damaged(&path, wrong);
        let sections = layout::read_head(&file).map_err(damaged)?;
        let about = read_about(&file, &sections).map_err(damaged)?;
        // Every level that is available has a row.
        let kernels = Kernels::of(level).unwrap_or(kernels_everywhere());
        let this = Self { path, file, sections, about, kernels };
        this.check_lengths().map_err(|wrong| Error::damaged(&this.path, wrong))?;
        Ok(this)
    }

    /// The same, computing at another CPU level: the answers are the same bits.
    ///
    /// # Errors
    /// If this machine lacks it.
    pub fn at_level(mut self, level: Level) -> Result<Self, Error> {
        self.kernels = Kernels::of(level)
            .ok_or_else(|| Error::usage(format_args!("this machine lacks the CPU level `{level}`")))?;
        Ok(self)
    }

    /// Reads all of it and compares with the checksums.
    ///
    /// # Errors
    /// If a section is not as it was written.
    pub fn verify(&self) -> Result<(), Error> {
        for section in &self.sections {
            if <[u8; 32]>::from(Sha256::digest(self.bytes(section))) != section.sum {
                let what = format_args!("its section {:?} {} is damaged", section.kind, section.column);
                return Err(Error::damaged(&self.path, what));
            }
        }
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the vectors come from.
    pub fn space(&self) -> &Space {
        &self.about.scheme.space
    }

    /// What the vectors are kept as, the finest first.
    pub fn precisions(&self) -> &[Precision] {
        &self.about.scheme.precisions
    }

    /// Names and kinds of the columns; the first is the id.
    pub fn columns(&self) -> &[(String, ColumnKind)] {
        &self.about.scheme.columns
    }

    /// Vectors.
    pub fn rows(&self) -> usize {
        self.about.rows
    }

    /// Values a vector.
    pub fn dimensions(&self) -> usize {
        self.about.scheme.space.dimensions
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file.len() as u64
    }

    /// The bytes that a search with a precision reads, as they are in the file.
    ///
    /// # Errors
    /// If the vectors are not kept so.
    pub fn stored(&self, precision: Precision) -> Result<&[u8], Error> {
        self.check_kept(precision)?;
        self.section(precision.section(), 0).map_err(|wrong| Error::damaged(&self.path, wrong))
    }

    /// The vector of a row in f32 or f16, as f32.
    ///
    /// # Errors
    /// If neither is kept, or there is no such row.
    pub fn vector(&self, row: usize) -> Result<Vec<f32>, Error> {
        let finest = self.precisions().first().copied().unwrap_or(Precision::Binary);
        if row >= self.rows() || !finest.is_float() {
            return Err(Error::usage(format_args!(
                "{}: has no row {row} in f32 or f16",
                self.path.display()
            )));
        }
        Ok(self.vectors(finest)?.as_f32(row, self.dimensions()))
    }

    /// A value beside a vector.
    ///
    /// # Errors
    /// If there is no such column or row, or the file is damaged there.
    pub fn value(&self, column: usize, row: usize) -> Result<Value<'_>, Error> {
        if column >= self.columns().len() || row >= self.rows() {
            let path = self.path.display();
            return Err(Error::usage(format_args!("{path}: has no column {column} of row {row}")));
        }
        let damaged = || Error::damaged(&self.path, format_args!("the columns of row {row} are damaged"));
        self.column(column).ok().and_then(|column| column.value(row)).ok_or_else(damaged)
    }

    pub(crate) fn check_kept(&self, precision: Precision) -> Result<(), Error> {
        if self.precisions().contains(&precision) {
            return Ok(());
        }
        let kept: Vec<&str> = self.precisions().iter().map(|kept| kept.name()).collect();
        let (path, kept) = (self.path.display(), kept.join(", "));
        Err(Error::usage(format_args!(
            "{path}: has no vectors in {precision}, only in {kept}; build it with --precision {kept},{precision}"
        )))
    }

    /// The vectors in a precision that is kept.
    pub(crate) fn vectors(&self, precision: Precision) -> Result<Rows<'_>, Error> {
        self.check_kept(precision)?;
        let read = || -> Result<Rows<'_>, Wrong> {
            Ok(match precision {
                Precision::F32 => Rows::F32(self.numbers(Kind::F32, 0)?),
                Precision::F16 => Rows::F16(self.numbers(Kind::F16, 0)?),
                Precision::Int8 => Rows::Int8 {
                    values: self.numbers(Kind::Int8, 0)?,
                    scales: self.numbers(Kind::Scales, 0)?,
                },
                Precision::Binary => Rows::Binary(self.section(Kind::Binary, 0)?),
            })
        };
        read().map_err(|wrong| Error::damaged(&self.path, wrong))
    }

    /// What a filter does to this collection's rows.
    pub(crate) fn sieve<'a>(&'a self, filter: &'a Filter) -> Result<Sieve<'a>, Error> {
        let name = &filter.column;
        let place = self.columns().iter().position(|(column, _)| column == name).ok_or_else(|| {
            let names: Vec<&str> = self.columns().iter().map(|(name, _)| name.as_str()).collect();
            let path = self.path.display();
            Error::usage(format_args!("{path}: has no column `{name}`, only {}", names.join(", ")))
        })?;
        let column = self.column(place).map_err(|wrong| Error::damaged(&self.path, wrong))?;
        let (value, inverted) = match &filter.test {
            Test::Equals(value) => (Some(value), false),
            Test::Differs(value) => (Some(value), true),
            Test::Present => (None, false),
            Test::Missing => (None, true),
        };
        let Some(text) = value else { return Ok(Sieve { column, wanted: Wanted::Any, inverted }) };
        let no = |what: &str| {
            Error::usage(format_args!("the column `{name}` holds {what}, and `{text}` is none of them"))
        };
        let value = match column {
            Column::Integers { .. } => Value::Integer(text.trim().parse().map_err(|_| no("integers"))?),
            Column::Floats { .. } => Value::Float(text.trim().parse().map_err(|_| no("numbers"))?),
            Column::Booleans { .. } => {
                Value::Boolean(text.trim().to_ascii_lowercase().parse().map_err(|_| no("true and false"))?)
            }
            Column::Texts { .. } => Value::Text(text),
        };
        Ok(Sieve { column, wanted: Wanted::Value(value), inverted })
    }

    fn column(&self, column: usize) -> Result<Column<'_>, Wrong> {
        let present = self.section(Kind::Present, column)?;
        Ok(match self.columns()[column].1 {
            ColumnKind::Integer => {
                Column::Integers { present, values: self.numbers(Kind::Integers, column)? }
            }
            ColumnKind::Float => Column::Floats { present, values: self.numbers(Kind::Floats, column)? },
            ColumnKind::Boolean => {
                Column::Booleans { present, values: self.section(Kind::Booleans, column)? }
            }
            ColumnKind::Text => Column::Texts {
                present,
                ends: self.numbers(Kind::Ends, column)?,
                text: self.section(Kind::Text, column)?,
            },
        })
    }

    /// Compares the length of every section with the rows and dimensions.
    fn check_lengths(&self) -> Result<(), Wrong> {
        let (rows, dimensions) = (self.rows(), self.dimensions());
        let check = |kind: Kind, column: usize, width: usize| {
            let length = self.section(kind, column)?.len();
            if rows.checked_mul(width) == Some(length) {
                return Ok(());
            }
            Err(Wrong(format!("its section {kind:?} {column} has {length} bytes for {rows} rows")))
        };
        for precision in self.precisions() {
            check(precision.section(), 0, precision.bytes(dimensions))?;
            if *precision == Precision::Int8 {
                check(Kind::Scales, 0, 4)?;
            }
        }
        for (column, (_, kind)) in self.columns().iter().enumerate() {
            check(Kind::Present, column, 1)?;
            match kind {
                ColumnKind::Integer => check(Kind::Integers, column, 8)?,
                ColumnKind::Float => check(Kind::Floats, column, 8)?,
                ColumnKind::Boolean => check(Kind::Booleans, column, 1)?,
                ColumnKind::Text => {
                    check(Kind::Ends, column, 8)?;
                    self.section(Kind::Text, column)?;
                }
            }
        }
        Ok(())
    }

    fn section(&self, kind: Kind, column: usize) -> Result<&[u8], Wrong> {
        find(&self.sections, kind, column).map(|section| self.bytes(section))
    }

    fn numbers<T: AnyBitPattern>(&self, kind: Kind, column: usize) -> Result<&[T], Wrong> {
        let bytes = self.section(kind, column)?;
        bytemuck::try_cast_slice(bytes)
            .map_err(|error| Wrong(format!("its section {kind:?} {column} holds no numbers: {error}")))
    }

    fn bytes(&self, section: &Section) -> &[u8] {
        bytes(&self.file, section)
    }
}

/// `read_head` saw that it lies inside the file.
fn bytes<'a>(file: &'a [u8], section: &Section) -> &'a [u8] {
    &file[section.offset as usize..][..section.length as usize]
}

fn find(sections: &[Section], kind: Kind, column: usize) -> Result<&Section, Wrong> {
    let found = sections.iter().find(|section| section.kind == kind && section.column as usize == column);
    found.ok_or_else(|| Wrong(format!("it has no section {kind:?} {column}")))
}

fn read_about(file: &[u8], sections: &[Section]) -> Result<About, Wrong> {
    let section = find(sections, Kind::About, 0)?;
    let json = bytes(file, section);
    if <[u8; 32]>::from(Sha256::digest(json)) != section.sum {
        return Err(Wrong("what it says of itself is damaged".to_owned()));
    }
    let about: About =
        serde_json::from_slice(json).map_err(|error| Wrong(format!("what it says of itself: {error}")))?;
    about.scheme.check().map_err(|error| Wrong(error.to_string()))?;
    Ok(about)
}

fn kernels_everywhere() -> &'static Kernels {
    match Kernels::of(Level::Scalar) {
        Some(kernels) => kernels,
        None => unreachable!("every machine has the scalar level"),
    }
}
