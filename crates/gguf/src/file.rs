//! An open file, or all files of a split model.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::error::Error;
use crate::header;
use crate::metadata::Metadata;
use crate::open::{self, Access};
use crate::split::{self, Split};
use crate::tensor::Tensor;
use crate::tensor_table::TensorTable;

/// An open model file, found whole and consistent. Clones share it.
#[derive(Clone)]
pub struct Gguf(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) shards: Vec<Part>,
    pub(crate) table: TensorTable,
    version: u32,
    alignment: u64,
    metadata: Metadata,
}

pub(crate) struct Part {
    path: Option<PathBuf>,
    pub(crate) bytes: Arc<Bytes>,
}

impl Gguf {
    /// Opens a file and, if it is the first part of a split model (`x-00001-of-0000N.gguf`), the others
    /// beside it.
    ///
    /// The files are mapped (feature `mmap`; read into memory without it): nobody may shorten or overwrite
    /// them while this value lives, or the process may end with SIGBUS. Renaming another file over them is
    /// fine. For files of which that is not known, use [`open_unmapped`](Self::open_unmapped).
    ///
    /// # Errors
    /// If a file cannot be read, is not GGUF or not whole, or contradicts itself.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        #[cfg(feature = "mmap")]
        let access = Access::Map;
        #[cfg(not(feature = "mmap"))]
        let access = Access::Read;
        Self::open_with(path.as_ref(), access)
    }

    /// As [`open`](Self::open), but reads the files into memory.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_unmapped(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path.as_ref(), Access::Read)
    }

    /// Opens a file in memory.
    ///
    /// # Errors
    /// If it is not GGUF or not whole, contradicts itself, or is a part of a split model.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let mut table = TensorTable::default();
        let (first, split) = First::read(None, bytes.into(), &mut table)?;
        if let Some(split) = split {
            return Err(split.not_in_memory());
        }
        first.finish(Vec::new(), table)
    }

    fn open_with(path: &Path, access: Access) -> Result<Self, Error> {
        let mut table = TensorTable::default();
        let bytes = open::bytes(path, access)?;
        let (first, split) =
            First::read(Some(path), bytes, &mut table).map_err(|error| error.in_file(Some(path)))?;
        let mut others = Vec::new();
        if let Some(split) = split {
            split.check_first(path)?;
            for number in 1..split.count {
                let path = split.path(path, number)?;
                let part = split.open(&path, number, access, &mut table);
                let bytes = part.map_err(|error| error.in_file(Some(&path)))?;
                others.push(Part { path: Some(path), bytes: Arc::new(bytes) });
            }
            split.check_total(table.len()).map_err(|error| error.in_file(Some(path)))?;
        }
        first.finish(others, table).map_err(|error| error.in_file(Some(path)))
    }

    /// The version of the format: 2 or 3, which are the same for us.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// What the place of each tensor is a multiple of, in bytes; 32 unless the file says otherwise.
    pub fn alignment(&self) -> u64 {
        self.0.alignment
    }

    /// Its keys and values.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// Gives back the memory of the pages that were read of mapped files, for who needs the tensors no more. What is read again
    /// comes again, from the system's cache of files while it is there. Does nothing for files in memory.
    pub fn give_back_pages(&self) {
        self.0.shards.iter().for_each(|shard| shard.bytes.give_back());
    }

    /// Its tensors in the order of the table, one part after the other.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        (0..self.0.table.len()).map(|index| Tensor { file: &self.0, index })
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        self.0.table.find(name).map(|index| Tensor { file: &self.0, index })
    }

    /// The tensor at a place among [`tensors`](Self::tensors).
    ///
    /// # Panics
    /// If there are not as many.
    pub fn tensor_at(&self, index: usize) -> Tensor<'_> {
        let count = self.0.table.len();
        assert!(index < count, "tensor {index} of {count} was asked for");
        Tensor { file: &self.0, index }
    }

    /// The files of the model: one, or the parts of a split model in order.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = Shard<'_>> {
        self.0.shards.iter().map(|part| Shard { part })
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.shards.first().and_then(|part| part.path.as_ref());
        let (keys, tensors) = (self.0.metadata.len(), self.0.table.len());
        f.debug_struct("Gguf").field("path", &path).field("keys", &keys).field("tensors", &tensors).finish()
    }
}

/// The first file: the one whose metadata counts.
struct First {
    part: Part,
    version: u32,
    alignment: u64,
    metadata: Metadata,
}

impl First {
    fn read(
        path: Option<&Path>,
        bytes: Bytes,
        table: &mut TensorTable,
    ) -> Result<(Self, Option<Split>), Error> {
        let bytes = Arc::new(bytes);
        let header = header::read(&bytes, bytes.len() as u64, 0, table)?;
        let metadata = Metadata::new(bytes.clone(), header.keys);
        let split = split::of(&metadata)?;
        let part = Part { path: path.map(Path::to_owned), bytes };
        Ok((Self { part, version: header.version, alignment: header.alignment, metadata }, split))
    }

    fn finish(self, others: Vec<Part>, mut table: TensorTable) -> Result<Gguf, Error> {
        table.index()?;
        let Self { part, version, alignment, metadata } = self;
        let shards = std::iter::once(part).chain(others).collect();
        Ok(Gguf(Arc::new(Inner { shards, table, version, alignment, metadata })))
    }
}

/// One file of a model.
#[derive(Clone, Copy)]
pub struct Shard<'a> {
    part: &'a Part,
}

impl<'a> Shard<'a> {
    /// Where it is; `None` for bytes in memory.
    pub fn path(self) -> Option<&'a Path> {
        self.part.path.as_deref()
    }

    /// Its size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no file that could be opened is empty")]
    pub fn len(self) -> usize {
        self.part.bytes.len()
    }
}

impl fmt::Debug for Shard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} bytes)", self.path(), self.len())
    }
}
