//! Reading and writing GGUF model files, with every byte checked.
//!
//! ```
//! use connote_gguf::{Gguf, TensorType, Writer};
//!
//! let file = Writer::new()
//!     .metadata("general.architecture", "bert")
//!     .tensor("token_embd_norm.bias", TensorType::F32, &[2], vec![0; 8])
//!     .to_bytes()?;
//! let gguf = Gguf::from_bytes(file)?;
//! assert_eq!(gguf.metadata().str("general.architecture")?, Some("bert"));
//! assert_eq!(gguf.tensor("token_embd_norm.bias").map(|tensor| tensor.bytes().len()), Some(8));
//! # Ok::<(), connote_gguf::Error>(())
//! ```
//!
//! A file is hostile until it is open: every length, count, offset and type is checked by [`Gguf::open`]
//! before anything is allocated or read from it, so that what an open file hands out can be used as it is.
//! Opening allocates at most 8 times the bytes read plus 1 MB; arrays and tensors stay where they are in the
//! file.
//!
//! What is read: GGUF versions 2 and 3, little-endian, all value types (no arrays of arrays, as in
//! llama.cpp), all tensor types, any power-of-two alignment, and models split over several files. Tensor data
//! may lie in any order and with gaps (llama.cpp wants them in order and without), but aligned, inside the
//! file, and without overlap. Bytes after the data are ignored.

mod array;
mod bytes;
mod cursor;
mod error;
mod file;
mod foreign;
mod header;
#[cfg(feature = "mmap")]
mod map;
mod metadata;
mod names;
mod open;
mod owned_value;
mod split;
mod tensor;
mod tensor_table;
mod tensor_type;
mod value;
mod writer;

pub use array::Array;
pub use bytes::Bytes;
pub use error::{Error, ErrorKind};
pub use file::{Gguf, Shard};
pub use metadata::Metadata;
pub use owned_value::OwnedValue;
pub use tensor::Tensor;
pub use tensor_type::TensorType;
pub use value::{Value, ValueType};
pub use writer::Writer;
