//! A file's bytes, wherever they are.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes that are owned, built in, shared or mapped. A clone shares them.
#[derive(Clone)]
pub struct Bytes(Arc<Place>);

enum Place {
    Owned(Vec<u8>),
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
    #[cfg(feature = "mmap")]
    Mapped(crate::map::Mapped),
}

#[cfg(feature = "mmap")]
impl Bytes {
    pub(crate) fn mapped(mapped: crate::map::Mapped) -> Self {
        Self(Arc::new(Place::Mapped(mapped)))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Place::Owned(bytes) => bytes,
            Place::Static(bytes) => bytes,
            Place::Shared(bytes) => bytes,
            #[cfg(feature = "mmap")]
            Place::Mapped(mapped) => mapped,
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Place::Owned(bytes)))
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Arc::new(Place::Static(bytes)))
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Arc::new(Place::Shared(bytes)))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
