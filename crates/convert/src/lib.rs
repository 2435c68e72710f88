//! Hugging Face folders to GGUF, and GGUF files to smaller tensor types.
//!
//! ```no_run
//! use std::fs::File;
//! use connote_convert::{FileType, Folder, Model};
//!
//! let model = Folder::open("all-MiniLM-L6-v2".as_ref())?.model()?;
//! model.notes().iter().for_each(|note| eprintln!("{note}"));
//! model.write(FileType::Q8_0, &mut File::create("model.gguf")?, |_| true)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One arrow: a folder, or a file, becomes a [`Model`] (keys, and tensors that stay in their mapped files), and a model
//! is written in a [`FileType`], in memory that does not depend on its size. An architecture is one entry of a table
//! (`families/`): its names at Hugging Face and in GGUF, and its keys.

mod config;
mod error;
mod families;
mod file_type;
mod folder;
mod from_gguf;
mod harmless;
mod json;
mod mixture;
mod model;
mod sentence;
mod tokenizer;
mod weights;
mod write;

pub use error::{Error, ErrorKind};
pub use file_type::FileType;
pub use folder::Folder;
pub use model::{Model, Typed};
pub use write::Progress;
