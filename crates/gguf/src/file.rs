//! An opened model file.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::error::{Error, ErrorKind};
use crate::header::{Header, TensorInfo};
use crate::metadata::Metadata;
use crate::split;
use crate::tensor_type::TensorType;

/// An opened GGUF file (or all parts of a split one): keys and tensors. A clone shares everything.
#[derive(Clone)]
pub struct Gguf(Arc<Inner>);

struct Inner {
    version: u32,
    alignment: u64,
    metadata: Metadata,
    shards: Vec<(Option<PathBuf>, Bytes)>,
    tensors: Vec<(u32, TensorInfo)>,
    /// Indices of the tensors, by name.
    sorted: Vec<u32>,
}

/// One file, parsed.
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) version: u32,
    pub(crate) alignment: u64,
    pub(crate) metadata: Metadata,
    pub(crate) tensors: Vec<TensorInfo>,
}

impl Part {
    pub(crate) fn new(bytes: Bytes) -> Result<Self, Error> {
        let Header { version, alignment, entries, tensors } = Header::read(&bytes, bytes.len())?;
        let metadata = Metadata::new(bytes.clone(), entries)?;
        Ok(Self { bytes, version, alignment, metadata, tensors })
    }

    pub(crate) fn open(path: &Path, mapped: bool) -> Result<Self, Error> {
        let read = || {
            let mut file = File::open(path).map_err(|error| Error::io("cannot be opened", error))?;
            let about = file.metadata().map_err(|error| Error::io("cannot be opened", error))?;
            if about.is_dir() {
                return Err(Error::new(ErrorKind::NotGguf, "is a folder; name the GGUF file in it"));
            }
            // An empty file cannot be mapped, and a pipe has no length: both are read.
            #[cfg(feature = "mmap")]
            if mapped && about.is_file() && about.len() > 0 {
                let map = crate::map::Mapped::new(&file).map_err(|error| Error::io("cannot be mapped", error))?;
                return Part::new(Bytes::mapped(map));
            }
            let _ = mapped;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|error| Error::io("cannot be read", error))?;
            Part::new(bytes.into())
        };
        read().map_err(|error| error.in_file(path))
    }
}

impl Gguf {
    /// Opens a file, mapped into memory (read, without the feature `mmap`). Of a split model, name the first
    /// part (`...-00001-of-0000N.gguf`); the others are opened beside it.
    ///
    /// A mapped file must not be changed in place while it is open: replace it by renaming.
    ///
    /// # Errors
    /// If it cannot be read, is not GGUF, or anything in it does not fit the bytes that are there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_as(path.as_ref(), true)
    }

    /// As [`open`](Self::open), but reads the file into memory.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_unmapped(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_as(path.as_ref(), false)
    }

    fn open_as(path: &Path, mapped: bool) -> Result<Self, Error> {
        let first = Part::open(path, mapped)?;
        let others = split::siblings(path, &first, mapped).map_err(|error| error.in_file(path))?;
        let parts = std::iter::once((Some(path.to_owned()), first)).chain(others).collect();
        Self::join(parts).map_err(|error| error.in_file(path))
    }

    /// Takes a file that is in memory, at any alignment.
    ///
    /// # Errors
    /// As [`open`](Self::open); and if it is one part of several.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let part = Part::new(bytes.into())?;
        split::refuse_if_split(&part)?;
        Self::join(vec![(None, part)])
    }

    /// The parts of one model. Metadata are those of the first.
    fn join(parts: Vec<(Option<PathBuf>, Part)>) -> Result<Self, Error> {
        let mut shards = Vec::with_capacity(parts.len());
        let mut tensors = Vec::with_capacity(parts.iter().map(|(_, part)| part.tensors.len()).sum());
        let mut about = None;
        for (index, (path, part)) in parts.into_iter().enumerate() {
            shards.push((path, part.bytes));
            tensors.extend(part.tensors.into_iter().map(|info| (index as u32, info)));
            about.get_or_insert((part.version, part.alignment, part.metadata));
        }
        let Some((version, alignment, metadata)) = about else { return Err(Error::malformed("there is no part")) };
        let mut inner = Inner { version, alignment, metadata, shards, tensors, sorted: Vec::new() };
        let mut sorted: Vec<u32> = (0..inner.tensors.len() as u32).collect();
        sorted.sort_unstable_by(|&a, &b| inner.name(a as usize).cmp(inner.name(b as usize)));
        if let Some(twice) = sorted.windows(2).find(|pair| inner.name(pair[0] as usize) == inner.name(pair[1] as usize)) {
            return Err(Error::malformed(format!("tensor `{}` is there twice", inner.name(twice[0] as usize))));
        }
        inner.sorted = sorted;
        Ok(Self(Arc::new(inner)))
    }

    /// The format's version: 2 or 3.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// What the tensors' offsets are multiples of.
    pub fn alignment(&self) -> u64 {
        self.0.alignment
    }

    /// Keys and values.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// All tensors, in the order of the files.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        (0..self.0.tensors.len()).map(|index| self.tensor_at(index))
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        let found = self.0.sorted.binary_search_by(|&index| self.0.name(index as usize).cmp(name)).ok()?;
        Some(self.tensor_at(self.0.sorted[found] as usize))
    }

    /// The tensor with this place in [`tensors`](Self::tensors).
    ///
    /// # Panics
    /// If there are not so many.
    pub fn tensor_at(&self, index: usize) -> Tensor<'_> {
        assert!(index < self.0.tensors.len(), "tensor {index} of {}", self.0.tensors.len());
        Tensor { inner: &self.0, index }
    }

    /// The files, in order: one, unless the model is split.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = Shard<'_>> {
        self.0.shards.iter().map(|(path, bytes)| Shard { path: path.as_deref(), bytes })
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GGUF version {}, {} keys, {} tensors", self.version(), self.metadata().len(), self.0.tensors.len())
    }
}

impl Inner {
    /// Names were checked to be UTF-8 when the file was opened.
    fn name(&self, index: usize) -> &str {
        let (shard, info) = &self.tensors[index];
        std::str::from_utf8(&self.shards[*shard as usize].1[info.name.clone()]).unwrap_or_default()
    }
}

/// One file of a model.
#[derive(Debug, Clone, Copy)]
pub struct Shard<'a> {
    path: Option<&'a Path>,
    bytes: &'a [u8],
}

impl<'a> Shard<'a> {
    /// Where it was opened from; `None` for bytes in memory.
    pub fn path(&self) -> Option<&'a Path> {
        self.path
    }

    /// Its size in bytes.
    #[allow(clippy::len_without_is_empty)] // a file that could be opened is not empty
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A tensor of an opened file.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    inner: &'a Inner,
    index: usize,
}

impl<'a> Tensor<'a> {
    fn info(&self) -> &'a TensorInfo {
        &self.inner.tensors[self.index].1
    }

    /// Its place in [`Gguf::tensors`].
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.inner.name(self.index)
    }

    /// How its values are stored.
    pub fn ty(&self) -> TensorType {
        self.info().ty
    }

    /// Its shape, the fastest dimension first: `[values a row, rows, ..]`. Empty for a single value.
    pub fn dims(&self) -> &'a [u64] {
        let info = self.info();
        &info.dims[..info.dim_count]
    }

    /// Its values.
    pub fn elements(&self) -> u64 {
        self.info().dims.iter().product()
    }

    /// Its bytes, at any alignment.
    pub fn bytes(&self) -> &'a [u8] {
        &self.inner.shards[self.shard()].1[self.info().data.clone()]
    }

    /// Which of [`Gguf::shards`] holds it.
    pub fn shard(&self) -> usize {
        self.inner.tensors[self.index].0 as usize
    }

    /// Where its bytes are in that file.
    pub fn file_range(&self) -> Range<u64> {
        let data = &self.info().data;
        data.start as u64..data.end as u64
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.name(), self.ty(), self.dims())
    }
}
