//! Reading and writing GGUF model files, with every byte checked.
//!
//! A file is hostile until checked: every count, length, offset and type is held against the bytes that are
//! there before anything is allocated or read, and every error names the key, the tensor or the byte offset.
//! Lists are not copied: a [`Value`] and a [`Tensor`] are ranges of the file's bytes, checked once at open.
//!
//! The format: magic, version (2 or 3), counts, keys with values, tensor table, padding, data; all numbers
//! little-endian, nothing aligned but the data. Source: `docs/gguf.md` of the ggml project, and its reader.

mod bytes;
mod cursor;
mod error;
mod file;
mod header;
#[cfg(feature = "mmap")]
mod map;
mod metadata;
mod split;
mod tensor_type;
mod value;
mod writer;

pub use bytes::Bytes;
pub use error::{Error, ErrorKind};
pub use file::{Gguf, Shard, Tensor};
pub use metadata::Metadata;
pub use tensor_type::TensorType;
pub use value::{Array, Value, ValueType};
pub use writer::{OwnedValue, Writer};
