//! numpy's own format: a header, then rows x dimensions of one type, little endian.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use half::slice::HalfFloatSliceExt;
use index::Precision;

use super::lines::{Copying, copy};
use super::{SinkOptions, encode, not_written, open_part, other_part};
use crate::encoded::Encoded;
use crate::error::Error;
use crate::file_sum::{FileSum, Summing};
use crate::rows::Answered;

/// The type of a value, as numpy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    F32,
    F64,
    I8,
    U8,
    I64,
}

const ELEMENTS: [(Element, &str, usize); 6] = [
    (Element::F16, "<f2", 2),
    (Element::F32, "<f4", 4),
    (Element::F64, "<f8", 8),
    (Element::I8, "|i1", 1),
    (Element::U8, "|u1", 1),
    (Element::I64, "<i8", 8),
];

impl Element {
    fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Int8 => Self::I8,
            Precision::Binary => Self::U8,
        }
    }

    /// As numpy writes it.
    pub(crate) fn name(self) -> &'static str {
        ELEMENTS.iter().find(|(element, ..)| *element == self).map_or("", |(_, name, _)| name)
    }

    /// Bytes of a value.
    pub(crate) fn size(self) -> usize {
        ELEMENTS.iter().find(|(element, ..)| *element == self).map_or(1, |(.., size)| *size)
    }
}

/// What an npy file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) element: Element,
    pub(crate) rows: u64,
    /// Values a row; none in an array of one axis.
    pub(crate) width: Option<u64>,
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// Before the text of the header in version 1: magic, version, length.
const PREFIX: usize = 10;
/// Digits numpy leaves room for in the first axis, so that the header of a growing file keeps its length.
const DIGITS: usize = 21;

impl Header {
    /// The bytes that `numpy.save` writes; as many whatever the number of rows.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let Self { element, rows, width } = self;
        let shape = width.map_or_else(|| format!("({rows},)"), |width| format!("({rows}, {width})"));
        let mut text =
            format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", element.name());
        text.push_str(&" ".repeat(DIGITS.saturating_sub(rows.to_string().len())));
        let whole = (PREFIX + text.len() + 1).next_multiple_of(64);
        text.push_str(&" ".repeat(whole - PREFIX - text.len() - 1));
        text.push('\n');
        // A few hundred bytes at most.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
    }

    /// Reads a header and leaves `reader` at the first value.
    ///
    /// # Errors
    /// What is wrong with it, or what of it is not supported.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut take = |count: usize| {
            let mut bytes = vec![0; count];
            reader.read_exact(&mut bytes).map(|()| bytes).map_err(|error| format!("its header: {error}"))
        };
        if take(MAGIC.len())? != MAGIC {
            return Err("it is no npy file".to_owned());
        }
        let version = take(2)?;
        let length = match version[0] {
            1 => take(2)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)),
            2 | 3 => take(4)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)),
            other => return Err(format!("it is of version {other} of npy, and only 1 to 3 are known")),
        };
        // numpy itself reads no more.
        if length > 10_000 {
            return Err(format!("its header has {length} bytes, more than any array of numbers needs"));
        }
        let text = String::from_utf8(take(length)?).map_err(|_| "its header is not text".to_owned())?;
        parse(&text)
    }
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(text: &str) -> Result<Header, String> {
    let value = |key: &str| {
        let (_, after) =
            text.split_once(&format!("'{key}'")).ok_or_else(|| format!("its header has no {key}"))?;
        Ok::<_, String>(after.trim_start().strip_prefix(':').unwrap_or(after).trim_start())
    };
    let descr = value("descr")?;
    let name = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).map(|(name, _)| name);
    let element = ELEMENTS.iter().find(|(_, known, _)| Some(*known) == name).map(|(element, ..)| *element);
    let element = element.ok_or_else(|| {
        let shown: String = descr.chars().take_while(|&c| c != ',').take(40).collect();
        format!("its values are {shown}, which is no type that vectors are read from; save float32")
    })?;
    if !value("fortran_order")?.starts_with("False") {
        return Err("it is in Fortran order; save numpy.ascontiguousarray of it".to_owned());
    }
    let shape = value("shape")?;
    let axes = shape.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(axes, _)| axes);
    let axes = axes.ok_or_else(|| "its shape is no tuple".to_owned())?;
    let axes: Vec<&str> = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty()).collect();
    let number = |axis: &str| axis.parse::<u64>().map_err(|_| format!("its shape has `{axis}`"));
    match axes[..] {
        [rows] => Ok(Header { element, rows: number(rows)?, width: None }),
        [rows, width] => Ok(Header { element, rows: number(rows)?, width: Some(number(width)?) }),
        _ => Err(format!("it has {} axes; vectors are rows x dimensions", axes.len())),
    }
}

/// Writes one part: the vectors there are, without those of rows that failed.
pub(super) struct NpyWriter {
    out: BufWriter<File>,
    options: SinkOptions,
    rows: u64,
    encoded: Encoded,
}

fn header(options: &SinkOptions, rows: u64) -> Header {
    let width = options.precision.width(options.space.dimensions) as u64;
    Header { element: Element::of(options.precision), rows, width: Some(width) }
}

impl NpyWriter {
    pub(super) fn create(file: File, options: &SinkOptions) -> Result<Self, Error> {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.write_all(&header(options, 0).to_bytes()).map_err(not_written)?;
        Ok(Self { out, options: options.clone(), rows: 0, encoded: Encoded::new(options.precision) })
    }

    pub(super) fn write(&mut self, rows: &Answered<'_>) -> Result<(), Error> {
        for (row, result) in rows.chunk.rows.iter().zip(rows.results) {
            let Ok(embedding) = result else { continue };
            self.encoded.clear();
            encode(row, embedding, &self.options, &mut self.encoded)?;
            write_values(&mut self.out, &self.encoded).map_err(not_written)?;
            self.rows += 1;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(File, FileSum), Error> {
        let mut file = self.out.into_inner().map_err(|error| not_written(error.error()))?;
        // Now the number of rows is known; the header's length does not depend on it.
        let header = header(&self.options, self.rows).to_bytes();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header)).map_err(not_written)?;
        // What is written first is known last, so it is read again for its sum.
        let sum = FileSum::of_open(&mut file).map_err(not_written)?;
        Ok((file, sum))
    }
}

fn write_values(out: &mut impl Write, values: &Encoded) -> io::Result<()> {
    match values {
        Encoded::F32(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
        Encoded::F16(values) => {
            values.reinterpret_cast().iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
        }
        Encoded::Int8 { values, .. } => {
            values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
        }
        Encoded::Bits(bytes) => out.write_all(bytes),
    }
}

/// The headers are read first, for the number of all rows, then the values are copied.
pub(super) fn assemble(
    options: &SinkOptions,
    parts: &[PathBuf],
    into: File,
) -> Result<(File, FileSum), Error> {
    let open = |part: &PathBuf| {
        let mut values = BufReader::new(open_part(part)?);
        let found = Header::read(&mut values).map_err(|what| other_part(part, what))?;
        if found != header(options, found.rows) {
            return Err(other_part(part, "its vectors have another size or precision"));
        }
        Ok((values, found.rows))
    };
    let mut all = 0_u64;
    for part in parts {
        all = all.saturating_add(open(part)?.1);
    }
    let mut out = BufWriter::with_capacity(1 << 16, Summing::new(into));
    out.write_all(&header(options, all).to_bytes()).map_err(not_written)?;
    let row = options.precision.bytes(options.space.dimensions) as u64;
    for part in parts {
        let (mut values, rows) = open(part)?;
        let copied = copy(&mut values, &mut out).map_err(|error| match error {
            Copying::Reading(error) => Error::reading(part, &error),
            Copying::Writing(error) => not_written(error),
        })?;
        if Some(copied) != rows.checked_mul(row) {
            return Err(other_part(
                part,
                format_args!("{copied} bytes of values where {rows} rows have {row} each"),
            ));
        }
    }
    Ok(out.into_inner().map_err(|error| not_written(error.error()))?.finish())
}

/// Writes the numbers of the rows that have a vector as an npy file of int64: what stands beside an npy file of vectors where
/// some rows failed. Of `rows`, counted from 0, those of `failed` have none: `count` of them, in their order.
///
/// # Errors
/// If a number of `failed` cannot be had or is not in its place, there are not `count`, or the file cannot be written.
pub fn write_row_numbers(
    into: File,
    rows: u64,
    failed: &mut dyn Iterator<Item = Result<u64, Error>>,
    count: u64,
) -> Result<File, Error> {
    let wrong = || not_written(format_args!("the rows that failed are not {count} of {rows} in their order"));
    let mut out = BufWriter::with_capacity(1 << 16, into);
    let there = rows.checked_sub(count).ok_or_else(wrong)?;
    let header = Header { element: Element::I64, rows: there, width: None };
    out.write_all(&header.to_bytes()).map_err(not_written)?;
    let (mut next, mut skipped) = (0, 0);
    let mut write = |numbers: std::ops::Range<u64>| {
        numbers.into_iter().try_for_each(|row| out.write_all(&row.to_le_bytes())).map_err(not_written)
    };
    for row in failed {
        let row = row?;
        if row < next || row >= rows {
            return Err(wrong());
        }
        write(next..row)?;
        (next, skipped) = (row + 1, skipped + 1);
    }
    write(next..rows)?;
    if skipped != count {
        return Err(wrong());
    }
    out.into_inner().map_err(|error| not_written(error.error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_numpys_and_keeps_its_length() {
        let header = |rows, width| Header { element: Element::F32, rows, width };
        let bytes = header(3, Some(4)).to_bytes();
        // numpy 2: np.save(np.zeros((3, 4), "f4")).
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }";
        assert_eq!(&bytes[..PREFIX], b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!(std::str::from_utf8(&bytes[PREFIX..]), Ok(&*format!("{text:<117}\n")));
        for rows in [0, 9, 10, 1_000_000, u64::MAX] {
            let bytes = header(rows, Some(4)).to_bytes();
            assert_eq!(bytes.len(), 128);
            assert_eq!(Header::read(&mut &bytes[..]), Ok(header(rows, Some(4))));
        }
        assert_eq!(Header::read(&mut &header(7, None).to_bytes()[..]), Ok(header(7, None)));
    }

    #[test]
    fn a_header_that_is_none_is_told() {
        let with = |text: &str| {
            let length = (text.len() as u16).to_le_bytes();
            Header::read(&mut &[MAGIC, &[1, 0], &length, text.as_bytes()].concat()[..])
        };
        for (text, told) in [
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }", "'>f4'"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", "[('a'"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", "Fortran"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, -4), }", "`-4`"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 5), }", "3 axes"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': 3, }", "tuple"),
            ("{'fortran_order': False, 'shape': (3, 4), }", "descr"),
            ("", "descr"),
        ] {
            let error = with(text).expect_err(text);
            assert!(error.contains(told), "{text}: {error}");
        }
        assert!(Header::read(&mut &b"PK\x03\x04\0\0\0\0\0\0"[..]).expect_err("a zip").contains("no npy"));
        let endless = [MAGIC, &[2, 0, 255, 255, 255, 255]].concat();
        assert!(Header::read(&mut &endless[..]).expect_err("too long").contains("4294967295"));
        assert!(Header::read(&mut &MAGIC[..3]).is_err());
    }
}
