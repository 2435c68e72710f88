//! npy files of vectors.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use half::f16;
use index::Precision;

use super::known::KnownFile;
use super::row_numbers::RowNumbers;
use super::{CHUNK_ROWS, Facts, Shape, StoredChunk, Vectors, dimensions_of, wrong};
use crate::encoded::unit_scale;
use crate::error::Error;
use crate::sink::{Element, Header};

/// An npy file, from row to row.
pub(super) struct StoredNpy {
    path: PathBuf,
    values: BufReader<KnownFile>,
    numbers: RowNumbers,
    header: Header,
    shape: Shape,
    width: usize,
    done: u64,
}

impl StoredNpy {
    pub(super) fn open(path: &Path, facts: &Facts) -> Result<Self, Error> {
        let description = facts.description.as_ref();
        let (_, header, begins) = open(path)?;
        let width =
            header.width.ok_or_else(|| wrong(path, "it has one axis; vectors are rows x dimensions"))?;
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        let precision = match (header.element, description.map(|described| described.precision)) {
            (Element::F32 | Element::F64, None | Some(Precision::F32)) => Precision::F32,
            (Element::F16, None | Some(Precision::F16)) => Precision::F16,
            (Element::I8, Some(Precision::Int8)) => Precision::Int8,
            (Element::U8, Some(Precision::Binary)) => Precision::Binary,
            (Element::I8 | Element::U8, None) => {
                let what =
                    "it holds bytes, and no file .meta.json beside it says what they stand for; save floats";
                return Err(wrong(path, what));
            }
            (element, Some(precision)) => {
                let what =
                    format_args!("it holds {}, and the file beside it says {precision}", element.name());
                return Err(wrong(path, what));
            }
            (element, None) => {
                return Err(wrong(path, format_args!("its {} are no vectors", element.name())));
            }
        };
        if width == 0 {
            return Err(wrong(path, "its vectors have no values"));
        }
        let dimensions = dimensions_of(width, precision, description);
        let shape = Shape { precision, dimensions };
        let numbers = match &facts.part {
            Some(part) => RowNumbers::of_part(part, header.rows)?,
            None => RowNumbers::of_file(path, header.rows)?,
        };
        // Once more, to be compared as a whole while it is read.
        let mut values = BufReader::with_capacity(1 << 16, KnownFile::open(path, facts.known.as_ref())?);
        read(path, &mut values, begins)?;
        Ok(Self { path: path.to_owned(), values, numbers, header, shape, width, done: 0 })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]))
    }

    pub(super) fn number_from(&mut self, first: u64) {
        self.numbers.start_at(first);
    }

    /// Rows that failed.
    pub(super) fn left_out(&self) -> u64 {
        self.numbers.left_out()
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<StoredChunk>, Error> {
        let rows = usize::try_from(self.header.rows - self.done).unwrap_or(usize::MAX).min(CHUNK_ROWS);
        if rows == 0 {
            self.values.get_mut().check(&self.path)?;
            return Ok(None);
        }
        // No more than the file holds, as `open` has checked.
        let bytes = read(&self.path, &mut self.values, rows * self.width * self.header.element.size())?;
        let vectors = match self.header.element {
            Element::F16 => Vectors::F32(numbers(&bytes, f16::from_le_bytes).map(f16::to_f32).collect()),
            Element::F32 => Vectors::F32(numbers(&bytes, f32::from_le_bytes).collect()),
            Element::F64 => {
                Vectors::F32(numbers(&bytes, f64::from_le_bytes).map(|value| value as f32).collect())
            }
            Element::I8 => {
                let values: Vec<i8> = numbers(&bytes, i8::from_le_bytes).collect();
                let scales = values.chunks_exact(self.width).map(unit_scale).collect();
                Vectors::Int8 { values, scales }
            }
            Element::U8 | Element::I64 => Vectors::Bits(bytes),
        };
        if !vectors.are_finite() {
            let what =
                format_args!("rows {} to {} hold what is no number", self.done, self.done + rows as u64 - 1);
            return Err(wrong(&self.path, what));
        }
        let ids = Int64Array::from(self.numbers.take(rows)?);
        self.done += rows as u64;
        let carried = RecordBatch::try_new(self.schema(), vec![Arc::new(ids)]);
        let carried = carried.map_err(|error| wrong(&self.path, error))?;
        Ok(Some(StoredChunk { carried, vectors, present: vec![true; rows] }))
    }
}

/// A file whose size is what its header says, at its first value, and how many bytes come before that.
pub(super) fn open(path: &Path) -> Result<(BufReader<File>, Header, usize), Error> {
    let reading = |error: std::io::Error| Error::reading(path, &error);
    let file = File::open(path).map_err(reading)?;
    let size = file.metadata().map_err(reading)?.len();
    let mut values = BufReader::with_capacity(1 << 16, file);
    let header = Header::read(&mut values).map_err(|what| wrong(path, what))?;
    let at = std::io::Seek::stream_position(&mut values).map_err(reading)?;
    let row = header.width.unwrap_or(1).checked_mul(header.element.size() as u64);
    let bytes = row.and_then(|row| row.checked_mul(header.rows)).and_then(|bytes| bytes.checked_add(at));
    if bytes != Some(size) {
        let what =
            format_args!("it has {size} bytes, which is not what its header says; it was cut or damaged");
        return Err(wrong(path, what));
    }
    // A header has some ten thousand bytes at most.
    Ok((values, header, usize::try_from(at).unwrap_or(usize::MAX)))
}

fn read(path: &Path, from: &mut impl Read, count: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).map(|()| bytes).map_err(|error| Error::reading(path, &error))
}

fn numbers<const N: usize, T>(bytes: &[u8], of: fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    bytes.as_chunks::<N>().0.iter().map(move |&number| of(number))
}
