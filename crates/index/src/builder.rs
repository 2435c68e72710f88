//! A collection is built aside, and takes its name when it is complete.

use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::Unfinished;
use half::slice::HalfFloatSliceExt as _;

use crate::collection::{About, FILE_NAME};
use crate::columns::ColumnKind;
use crate::encoding;
use crate::error::Error;
use crate::layout::{self, Kind, Section};
use crate::precision::Precision;
use crate::scheme::Scheme;
use crate::spool::Spool;

/// Vectors one after another, as they come.
#[derive(Debug, Clone, Copy)]
pub enum Vectors<'a> {
    /// Rows x dimensions.
    F32(&'a [f32]),
    /// A value is its integer times the scale of its row.
    Int8 {
        /// Rows x dimensions.
        values: &'a [i8],
        /// One a row.
        scales: &'a [f32],
    },
    /// Rows x dimensions / 8, rounded up: signs, the first in the highest bit; bits past the end are 0.
    Bits(&'a [u8]),
}

/// Values of a column for the same rows.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Of a [`ColumnKind::Integer`].
    Integers(&'a [Option<i64>]),
    /// Of a [`ColumnKind::Float`].
    Floats(&'a [Option<f64>]),
    /// Of a [`ColumnKind::Boolean`].
    Booleans(&'a [Option<bool>]),
    /// Of a [`ColumnKind::Text`].
    Texts(&'a [Option<&'a str>]),
}

/// Makes a collection. Memory does not grow with it: what comes is kept in files without a name beside it, which go
/// with the process, however it ends.
pub struct Builder {
    folder: PathBuf,
    scheme: Scheme,
    spools: Vec<Spool>,
    rows: usize,
}

impl Builder {
    /// Begins a collection in a folder, which is made. One that is there stays as it is until
    /// [`finish`](Self::finish).
    ///
    /// # Errors
    /// If the scheme makes no sense, or nothing can be written there.
    pub fn create(folder: &Path, scheme: Scheme) -> Result<Self, Error> {
        scheme.check()?;
        let writing = |error| Error::writing(folder, &error);
        std::fs::create_dir_all(folder).map_err(writing)?;
        let mut kinds: Vec<(Kind, usize)> = Vec::new();
        for precision in &scheme.precisions {
            kinds.push((precision.section(), 0));
            if *precision == Precision::Int8 {
                kinds.push((Kind::Scales, 0));
            }
        }
        for (column, (_, kind)) in scheme.columns.iter().enumerate() {
            kinds.push((Kind::Present, column));
            match kind {
                ColumnKind::Integer => kinds.push((Kind::Integers, column)),
                ColumnKind::Float => kinds.push((Kind::Floats, column)),
                ColumnKind::Boolean => kinds.push((Kind::Booleans, column)),
                ColumnKind::Text => kinds.extend([(Kind::Ends, column), (Kind::Text, column)]),
            }
        }
        let spools = kinds
            .into_iter()
            .map(|(kind, column)| Spool::create(folder, kind, column as u32))
            .collect::<io::Result<_>>()
            .map_err(writing)?;
        Ok(Self { folder: folder.to_owned(), scheme, spools, rows: 0 })
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows: their vectors, and every column of the scheme.
    ///
    /// # Errors
    /// If shapes differ, a value is not finite, the precisions cannot be made of such vectors, or nothing more can be
    /// written. The builder is of no use then.
    pub fn push(&mut self, vectors: Vectors<'_>, columns: &[Values<'_>]) -> Result<(), Error> {
        let rows = self.check(vectors, columns)?;
        for precision in self.scheme.precisions.clone() {
            self.push_vectors(precision, vectors)?;
        }
        for (column, values) in columns.iter().enumerate() {
            self.push_column(column, values)?;
        }
        self.rows += rows;
        Ok(())
    }

    /// Puts the collection together and gives it its name; gives its bytes.
    ///
    /// # Errors
    /// If it cannot be written; the folder is then as it was.
    pub fn finish(self) -> Result<u64, Error> {
        let Self { folder, scheme, spools, rows } = self;
        put_together(&folder, scheme, spools, rows).map_err(|error| Error::writing(&folder, &error))
    }

    /// The number of rows.
    fn check(&self, vectors: Vectors<'_>, columns: &[Values<'_>]) -> Result<usize, Error> {
        let dimensions = self.scheme.space.dimensions;
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let (width, length, sound) = match vectors {
            Vectors::F32(values) => (dimensions, values.len(), finite(values)),
            Vectors::Int8 { values, scales } => {
                if values.len() != scales.len() * dimensions {
                    return Err(Error::usage("int8 vectors and their scales differ in number"));
                }
                (dimensions, values.len(), finite(scales))
            }
            Vectors::Bits(bytes) => (dimensions.div_ceil(8), bytes.len(), true),
        };
        if length % width != 0 {
            return Err(Error::usage(format_args!("{length} values are no vectors of {dimensions}")));
        }
        if !sound {
            return Err(Error::usage("a vector has values that are no finite numbers"));
        }
        let rows = length / width;
        let fits = |(values, (_, kind)): (&Values<'_>, &(String, ColumnKind))| match (values, kind) {
            (Values::Integers(values), ColumnKind::Integer) => values.len() == rows,
            (Values::Floats(values), ColumnKind::Float) => values.len() == rows,
            (Values::Booleans(values), ColumnKind::Boolean) => values.len() == rows,
            (Values::Texts(values), ColumnKind::Text) => values.len() == rows,
            _ => false,
        };
        let names = &self.scheme.columns;
        if columns.len() == names.len() && columns.iter().zip(names).all(fits) {
            return Ok(rows);
        }
        Err(Error::usage(format_args!("{rows} vectors come with columns of other kinds or lengths")))
    }

    fn push_vectors(&mut self, precision: Precision, vectors: Vectors<'_>) -> Result<(), Error> {
        let dimensions = self.scheme.space.dimensions;
        match (precision, vectors) {
            (Precision::F32, Vectors::F32(values)) => self.write(Kind::F32, 0, bytemuck::cast_slice(values)),
            (Precision::F16, Vectors::F32(values)) => {
                let mut halves = Vec::with_capacity(values.len());
                encoding::to_f16(values, &mut halves).map_err(|value| {
                    Error::usage(format_args!("{value} does not fit f16, whose largest is 65504; keep f32"))
                })?;
                self.write(Kind::F16, 0, bytemuck::cast_slice(halves.reinterpret_cast()))
            }
            (Precision::Int8, Vectors::F32(values)) => {
                let mut integers = Vec::with_capacity(values.len());
                let scales: Vec<f32> = values
                    .chunks_exact(dimensions)
                    .map(|vector| encoding::to_int8(vector, &mut integers))
                    .collect();
                self.write(Kind::Int8, 0, bytemuck::cast_slice(&integers))?;
                self.write(Kind::Scales, 0, bytemuck::cast_slice(&scales))
            }
            (Precision::Int8, Vectors::Int8 { values, scales }) => {
                self.write(Kind::Int8, 0, bytemuck::cast_slice(values))?;
                self.write(Kind::Scales, 0, bytemuck::cast_slice(scales))
            }
            (Precision::Binary, Vectors::F32(values)) => {
                let mut bits = Vec::new();
                for vector in values.chunks_exact(dimensions) {
                    encoding::pack_bits(vector.iter().map(|value| *value > 0.0), &mut bits);
                }
                self.write(Kind::Binary, 0, &bits)
            }
            (Precision::Binary, Vectors::Int8 { values, .. }) => {
                let mut bits = Vec::new();
                for vector in values.chunks_exact(dimensions) {
                    encoding::pack_bits(vector.iter().map(|value| *value > 0), &mut bits);
                }
                self.write(Kind::Binary, 0, &bits)
            }
            (Precision::Binary, Vectors::Bits(bytes)) => self.write(Kind::Binary, 0, bytes),
            (_, Vectors::Int8 { .. }) => Err(Error::usage(format_args!(
                "{precision} cannot be made of int8 vectors; keep int8 or binary, or embed in f32"
            ))),
            (_, Vectors::Bits(_)) => Err(Error::usage(format_args!(
                "{precision} cannot be made of binary vectors; keep binary, or embed in f32"
            ))),
        }
    }

    fn push_column(&mut self, column: usize, values: &Values<'_>) -> Result<(), Error> {
        match values {
            Values::Integers(values) => {
                self.push_presence(column, values)?;
                let integers: Vec<i64> = values.iter().map(|value| value.unwrap_or(0)).collect();
                self.write(Kind::Integers, column, bytemuck::cast_slice(&integers))
            }
            Values::Floats(values) => {
                self.push_presence(column, values)?;
                let floats: Vec<f64> = values.iter().map(|value| value.unwrap_or(0.0)).collect();
                self.write(Kind::Floats, column, bytemuck::cast_slice(&floats))
            }
            Values::Booleans(values) => {
                self.push_presence(column, values)?;
                let booleans: Vec<u8> = values.iter().map(|value| value.unwrap_or(false).into()).collect();
                self.write(Kind::Booleans, column, &booleans)
            }
            Values::Texts(values) => {
                self.push_presence(column, values)?;
                let before = self.spool(Kind::Text, column)?.length();
                let mut text = Vec::new();
                let mut ends = Vec::with_capacity(values.len());
                for value in *values {
                    text.extend(value.unwrap_or("").as_bytes());
                    ends.push(before + text.len() as u64);
                }
                self.write(Kind::Ends, column, bytemuck::cast_slice(&ends))?;
                self.write(Kind::Text, column, &text)
            }
        }
    }

    fn push_presence<T>(&mut self, column: usize, values: &[Option<T>]) -> Result<(), Error> {
        let present: Vec<u8> = values.iter().map(|value| value.is_some().into()).collect();
        self.write(Kind::Present, column, &present)
    }

    fn spool(&mut self, kind: Kind, column: usize) -> Result<&mut Spool, Error> {
        let spool = self.spools.iter_mut().find(|spool| spool.is(kind, column));
        spool.ok_or_else(|| Error::usage(format_args!("the scheme has no {kind:?} {column}")))
    }

    fn write(&mut self, kind: Kind, column: usize, bytes: &[u8]) -> Result<(), Error> {
        let written = self.spool(kind, column)?.push(bytes);
        written.map_err(|error| Error::writing(&self.folder, &error))
    }
}

fn put_together(folder: &Path, scheme: Scheme, spools: Vec<Spool>, rows: usize) -> io::Result<u64> {
    let json = serde_json::to_vec(&About { scheme, rows })?;
    let mut about = Spool::create(folder, Kind::About, 0)?;
    about.push(&json)?;
    let target = folder.join(FILE_NAME);
    files::clear_left(&target, Duration::ZERO);
    let unfinished = Unfinished::create(&target)?;
    let count = spools.len() + 1;
    let mut offset = layout::head_length(count);
    let mut sections: Vec<Section> = Vec::with_capacity(count);
    let mut out = BufWriter::new(unfinished.file());
    out.write_all(&vec![0; offset as usize])?;
    for spool in [about].into_iter().chain(spools) {
        let section = spool.copy_to(&mut out, offset)?;
        offset = (offset + section.length).next_multiple_of(layout::ALIGNMENT);
        sections.push(section);
    }
    out.flush()?;
    drop(out);
    // The head is last: a file without it is no collection.
    let mut file = unfinished.file();
    file.rewind()?;
    file.write_all(&layout::write_head(&sections, offset))?;
    unfinished.complete()?;
    Ok(offset)
}
