//! The bytes of a file, whoever owns them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The bytes of a file: owned, shared, built into the program, or mapped. Any alignment will do.
pub struct Bytes(Storage);

enum Storage {
    Owned(Vec<u8>),
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
    #[cfg(feature = "mmap")]
    Mapped(memmap2::Mmap),
}

impl Bytes {
    /// Gives back the memory of what was read of a mapped file.
    pub(crate) fn give_back(&self) {
        #[cfg(feature = "mmap")]
        if let Storage::Mapped(bytes) = &self.0 {
            crate::map::give_back(bytes);
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Storage::Owned(bytes) => bytes,
            Storage::Static(bytes) => bytes,
            Storage::Shared(bytes) => bytes,
            #[cfg(feature = "mmap")]
            Storage::Mapped(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Storage::Owned(bytes))
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Storage::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Bytes {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self(Storage::Static(bytes))
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Storage::Shared(bytes))
    }
}

#[cfg(feature = "mmap")]
impl Bytes {
    /// Only of a file: see `map`.
    pub(crate) fn mapped(bytes: memmap2::Mmap) -> Self {
        Self(Storage::Mapped(bytes))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
