//! The table of tensors: reading it, and checking that all data lies in the file and apart.

use std::ops::Range;

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Quoted};
use crate::names::Names;
use crate::tensor_type::TensorType;

/// The tensors of a file or of all parts of a split model, in file order.
#[derive(Default)]
pub(crate) struct TensorTable {
    names: Names,
    entries: Vec<Entry>,
    /// Dimensions of all tensors, back to back: a fixed 4 for each would let a hostile file of tensors
    /// without dimensions allocate many times its size.
    dims: Vec<u64>,
}

struct Entry {
    /// First byte of the data: relative to the data section while its table is read, then in its file.
    start: u64,
    bytes: u64,
    dims_end: u32,
    shard: u16,
    ty: TensorType,
}

/// As llama.cpp: 63 bytes.
const LONGEST_NAME: usize = 63;
const MOST_DIMS: u32 = 4;

impl TensorTable {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.names.find(name)
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        self.names.get(index)
    }

    pub(crate) fn ty(&self, index: usize) -> TensorType {
        self.entries[index].ty
    }

    pub(crate) fn dims(&self, index: usize) -> &[u64] {
        let start = if index == 0 { 0 } else { self.entries[index - 1].dims_end };
        &self.dims[start as usize..self.entries[index].dims_end as usize]
    }

    pub(crate) fn shard(&self, index: usize) -> usize {
        self.entries[index].shard.into()
    }

    /// The bytes of its part that hold the data.
    pub(crate) fn range(&self, index: usize) -> Range<u64> {
        let Entry { start, bytes, .. } = self.entries[index];
        start..start + bytes
    }

    /// Reads the entries of one part.
    pub(crate) fn read(
        &mut self,
        cursor: &mut Cursor<'_>,
        count: u64,
        alignment: u64,
        shard: u16,
    ) -> Result<(), Error> {
        for _ in 0..count {
            self.read_one(cursor, alignment, shard)?;
        }
        Ok(())
    }

    fn read_one(&mut self, cursor: &mut Cursor<'_>, alignment: u64, shard: u16) -> Result<(), Error> {
        let index = self.len();
        let at = cursor.position();
        let name = self.read_name(cursor)?;
        let quoted = Quoted(name.as_bytes());
        let what = format_args!("tensor {quoted}");
        let malformed = |why: String| {
            Error::new(ErrorKind::Tensor, format!("tensor {quoted} (table entry at byte {at}) {why}"))
        };
        let dim_count = cursor.u32(&what)?;
        if dim_count > MOST_DIMS {
            return Err(malformed(format!("has {dim_count} dimensions; at most {MOST_DIMS} are possible")));
        }
        let first_dim = self.dims.len();
        for _ in 0..dim_count {
            let dim = cursor.u64(&what)?;
            if dim > i64::MAX as u64 {
                return Err(malformed(format!("has the dimension {}, which is negative", dim.cast_signed())));
            }
            self.dims.push(dim);
        }
        let id = cursor.u32(&what)?;
        let offset = cursor.u64(&what)?;
        let ty = TensorType::from_id(id).ok_or_else(|| {
            let why = TensorType::why_not(id);
            Error::new(ErrorKind::TensorType, format!("tensor {quoted} has the type {why}"))
        })?;
        let bytes = data_bytes(ty, &self.dims[first_dim..]).map_err(malformed)?;
        if !offset.is_multiple_of(alignment) {
            return Err(malformed(format!("has its data at {offset}, which is no multiple of {alignment}")));
        }
        let full = || Error::new(ErrorKind::Tensor, format!("there are too many tensors at byte {at}"));
        let dims_end = u32::try_from(self.dims.len()).map_err(|_| full())?;
        self.names.push(name).ok_or_else(full)?;
        debug_assert_eq!(index + 1, self.names.len());
        self.entries.push(Entry { start: offset, bytes, dims_end, shard, ty });
        Ok(())
    }

    fn read_name<'a>(&self, cursor: &mut Cursor<'a>) -> Result<&'a str, Error> {
        let index = self.len();
        let at = cursor.position();
        let name = cursor.string(&format_args!("the name of tensor {index}"))?;
        let malformed = |why: String| {
            Error::new(ErrorKind::Tensor, format!("the name of tensor {index} at byte {at} {why}"))
        };
        if name.is_empty() {
            return Err(malformed("is empty; the file is damaged".to_owned()));
        }
        if name.len() > LONGEST_NAME {
            let (length, name) = (name.len(), Quoted(name));
            return Err(malformed(format!(
                "is {length} bytes long, but {LONGEST_NAME} are possible: {name}"
            )));
        }
        std::str::from_utf8(name).map_err(|_| malformed(format!("is not UTF-8: {}", Quoted(name))))
    }

    /// Turns offsets into places in the file, for the tensors of one part, whose head ends at byte
    /// `head_end` of `file_bytes`.
    pub(crate) fn place(
        &mut self,
        head_end: usize,
        file_bytes: u64,
        alignment: u64,
        shard: u16,
    ) -> Result<(), Error> {
        let first = self.entries.partition_point(|entry| entry.shard < shard);
        let mut needed = 0;
        for index in first..self.len() {
            let entry = &mut self.entries[index];
            let start = (head_end as u64)
                .checked_next_multiple_of(alignment)
                .and_then(|s| s.checked_add(entry.start));
            let end = start.and_then(|start| start.checked_add(entry.bytes));
            let (Some(start), Some(end)) = (start, end) else {
                let (offset, bytes, name) = (entry.start, entry.bytes, Quoted(self.name(index).as_bytes()));
                let message = format!(
                    "tensor {name} has its {bytes} bytes of data at {offset}, beyond any file; the file is damaged"
                );
                return Err(Error::new(ErrorKind::Tensor, message));
            };
            entry.start = start;
            needed = needed.max(end);
        }
        if needed > file_bytes {
            return Err(self.missing(first, needed, file_bytes));
        }
        self.refuse_overlap(first)
    }

    fn missing(&self, first: usize, needed: u64, file_bytes: u64) -> Error {
        let outside = |index: &usize| self.range(*index).end > file_bytes;
        let count = (first..self.len()).filter(outside).count();
        let name = Quoted((first..self.len()).find(outside).map_or("", |index| self.name(index)).as_bytes());
        let (tensors, missing) = (if count == 1 { "tensor" } else { "tensors" }, needed - file_bytes);
        let message = format!(
            "{missing} bytes are missing: the tensors need {needed}, the file has {file_bytes} (data of {count} \
             {tensors} lies outside, the first is {name}); its download seems incomplete: get it again"
        );
        Error::new(ErrorKind::Truncated, message)
    }

    fn refuse_overlap(&self, first: usize) -> Result<(), Error> {
        let holds_data = |&index: &u32| self.entries[index as usize].bytes > 0;
        let mut order: Vec<u32> = (first as u32..self.len() as u32).filter(holds_data).collect();
        order.sort_unstable_by_key(|&index| self.entries[index as usize].start);
        let overlap = order
            .windows(2)
            .find(|pair| self.range(pair[0] as usize).end > self.range(pair[1] as usize).start);
        let Some(pair) = overlap else { return Ok(()) };
        let [(a, from), (b, to)] = [pair[0], pair[1]]
            .map(|i| (Quoted(self.name(i as usize).as_bytes()), self.range(i as usize).start));
        let message = format!(
            "the data of tensors {a} (from byte {from}) and {b} (from byte {to}) overlap; the file is damaged"
        );
        Err(Error::new(ErrorKind::Tensor, message))
    }

    /// After the last part: makes tensors findable, and refuses duplicates.
    pub(crate) fn index(&mut self) -> Result<(), Error> {
        self.names.index().map_err(|(first, second)| {
            let name = Quoted(self.name(first).as_bytes());
            let (a, b) = (self.shard(first), self.shard(second));
            let parts = if a == b { String::new() } else { format!(" (in parts {} and {})", a + 1, b + 1) };
            let message = format!("tensor {name} is there twice{parts}; the file is damaged");
            Error::new(ErrorKind::Tensor, message)
        })
    }
}

/// How many values a shape has; `None` if that exceeds i64.
pub(crate) fn elements(dims: &[u64]) -> Option<u64> {
    if dims.contains(&0) {
        return Some(0);
    }
    let product = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))?;
    (product <= i64::MAX as u64).then_some(product)
}

/// How many bytes the data of a tensor takes, or why it cannot exist.
pub(crate) fn data_bytes(ty: TensorType, dims: &[u64]) -> Result<u64, String> {
    let too_large = || format!("has the shape {dims:?}, which is larger than any memory");
    let elements = elements(dims).ok_or_else(too_large)?;
    let row = dims.first().copied().unwrap_or(1);
    let block = ty.block_elements() as u64;
    if !row.is_multiple_of(block) {
        return Err(format!("has rows of {row} values, but {ty} needs a multiple of {block}"));
    }
    (elements / block).checked_mul(ty.block_bytes() as u64).ok_or_else(too_large)
}
