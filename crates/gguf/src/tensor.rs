//! One tensor of an open file.

use std::fmt;
use std::ops::Range;

use crate::file::Inner;
use crate::tensor_table::elements;
use crate::tensor_type::TensorType;

/// A tensor of an open file: its name, shape, type and bytes.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    pub(crate) file: &'a Inner,
    pub(crate) index: usize,
}

impl<'a> Tensor<'a> {
    /// Its place among [`Gguf::tensors`](crate::Gguf::tensors).
    pub fn index(self) -> usize {
        self.index
    }

    /// Its name: 1 to 63 bytes, unlike that of any other tensor.
    pub fn name(self) -> &'a str {
        self.file.table.name(self.index)
    }

    /// How its values are stored.
    pub fn ty(self) -> TensorType {
        self.file.table.ty(self.index)
    }

    /// Its shape: 0 to 4 lengths, that of a row first. Their product fits `i64`; a row is a whole number of
    /// blocks.
    pub fn dims(self) -> &'a [u64] {
        self.file.table.dims(self.index)
    }

    /// How many values it has: the product of its dimensions, 1 if there are none.
    pub fn elements(self) -> u64 {
        elements(self.dims()).unwrap_or(0)
    }

    /// Exactly its data, at any alignment.
    pub fn bytes(self) -> &'a [u8] {
        let Range { start, end } = self.file_range();
        // Inside the file since it was opened, so that both fit `usize`.
        self.file.shards[self.shard()].bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Which part of a split model has its data, counted from 0; 0 in other files.
    pub fn shard(self) -> usize {
        self.file.table.shard(self.index)
    }

    /// Where its data is in that part, in bytes.
    pub fn file_range(self) -> Range<u64> {
        self.file.table.range(self.index)
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {:?}", self.name(), self.ty(), self.dims())
    }
}
