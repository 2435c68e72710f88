//! The file: a header, a table of sections, and the sections, each at a multiple of 64 bytes.
//!
//! ```text
//! 0   8  "CONNOTE\0"          16  8  bytes of the file        32 + 64 n  16  SHA-256 of all before, its first half
//! 8   4  version, 1           24  8  zeros
//! 12  4  n, sections          32  64 n  sections:  4 kind, 4 column, 8 offset, 8 length, 8 zeros, 32 SHA-256
//! ```
//!
//! All numbers are little endian.

use std::fmt;

use sha2::{Digest as _, Sha256};

pub(crate) const MAGIC: &[u8; 8] = b"CONNOTE\0";
pub(crate) const VERSION: u32 = 1;
/// Where sections begin: of cache lines, and of every type's alignment.
pub(crate) const ALIGNMENT: u64 = 64;
const HEADER: usize = 32;
const ENTRY: usize = 64;
const SUM: usize = 16;
/// Five a column, and a few.
const MOST_SECTIONS: usize = 8192;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON: the scheme and the number of rows.
    About,
    F32,
    F16,
    Int8,
    /// f32, one a row: of `Int8`.
    Scales,
    Binary,
    /// A byte a row: whether a column has a value.
    Present,
    /// i64, one a row.
    Integers,
    /// u64, one a row: where its text ends.
    Ends,
    /// UTF-8, one text after another.
    Text,
    /// f64, one a row.
    Floats,
    /// A byte a row: 1 is true.
    Booleans,
}

const KINDS: [Kind; 12] = [
    Kind::About,
    Kind::F32,
    Kind::F16,
    Kind::Int8,
    Kind::Scales,
    Kind::Binary,
    Kind::Present,
    Kind::Integers,
    Kind::Ends,
    Kind::Text,
    Kind::Floats,
    Kind::Booleans,
];

/// A section, as the table has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    pub(crate) kind: Kind,
    /// Of what belongs to a column.
    pub(crate) column: u32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) sum: [u8; 32],
}

/// Bytes of header and table, filled up.
pub(crate) fn head_length(sections: usize) -> u64 {
    ((HEADER + ENTRY * sections + SUM) as u64).next_multiple_of(ALIGNMENT)
}

/// Header and table.
pub(crate) fn write_head(sections: &[Section], file_length: u64) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend((sections.len() as u32).to_le_bytes());
    head.extend(file_length.to_le_bytes());
    head.extend([0; 8]);
    for section in sections {
        let kind = KINDS.iter().position(|kind| *kind == section.kind).unwrap_or_default();
        head.extend((kind as u32).to_le_bytes());
        head.extend(section.column.to_le_bytes());
        head.extend(section.offset.to_le_bytes());
        head.extend(section.length.to_le_bytes());
        head.extend([0; 8]);
        head.extend(section.sum);
    }
    let sum = Sha256::digest(&head);
    head.extend(&sum[..SUM]);
    head.resize(head_length(sections.len()) as usize, 0);
    head
}

/// Reads the table of a whole file; every section lies inside it, aligned.
pub(crate) fn read_head(file: &[u8]) -> Result<Vec<Section>, Wrong> {
    let wrong = |what: &str| Wrong(what.to_owned());
    if file.get(..8) != Some(MAGIC) {
        return Err(wrong("it does not begin as one"));
    }
    let version = u32_at(file, 8)?;
    if version != VERSION {
        return Err(Wrong(format!("its version is {version}, and this program reads {VERSION}")));
    }
    let count = u32_at(file, 12)? as usize;
    if count > MOST_SECTIONS {
        return Err(wrong("its table is too long"));
    }
    let end = HEADER + ENTRY * count;
    let (Some(table), Some(sum)) = (file.get(..end), file.get(end..end + SUM)) else {
        return Err(wrong("it is cut off"));
    };
    if Sha256::digest(table)[..SUM] != *sum {
        return Err(wrong("its table is damaged"));
    }
    if u64_at(file, 16)? != file.len() as u64 {
        return Err(wrong("it is cut off, or too long"));
    }
    let mut sections: Vec<Section> = Vec::with_capacity(count);
    for entry in 0..count {
        let at = HEADER + ENTRY * entry;
        let kind =
            KINDS.get(u32_at(file, at)? as usize).ok_or_else(|| wrong("a section of no known kind"))?;
        let section = Section {
            kind: *kind,
            column: u32_at(file, at + 4)?,
            offset: u64_at(file, at + 8)?,
            length: u64_at(file, at + 16)?,
            sum: bytes_at(file, at + 32)?,
        };
        let end = section.offset.checked_add(section.length);
        if end.is_none_or(|end| end > file.len() as u64) || !section.offset.is_multiple_of(ALIGNMENT) {
            return Err(wrong("a section lies outside it"));
        }
        if sections.iter().any(|other| (other.kind, other.column) == (section.kind, section.column)) {
            return Err(wrong("a section is there twice"));
        }
        sections.push(section);
    }
    Ok(sections)
}

/// What is wrong with a file, whose name the caller knows.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn bytes_at<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], Wrong> {
    let bytes = file.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Wrong("it is cut off".to_owned()))
}

fn u32_at(file: &[u8], at: usize) -> Result<u32, Wrong> {
    bytes_at(file, at).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], at: usize) -> Result<u64, Wrong> {
    bytes_at(file, at).map(u64::from_le_bytes)
}
