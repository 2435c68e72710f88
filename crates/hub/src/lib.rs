//! Models on the Hugging Face hub: what they are called, where they lie on this machine, and how they come here.
//!
//! The cache is that of the Hugging Face libraries, so that what one has fetched the others find. [`Cache::find`] looks
//! into it and never touches the network; [`pull`] is the one function that does, and it refuses before any socket is
//! opened when [`Settings::offline`] is set. Nothing here knows what a model is: a file is bytes with a checksum.
//!
//! Without the feature `tls` only `http://` endpoints can be reached, and all of it is Rust.
#![forbid(unsafe_code)]

mod address;
mod blob;
mod cache;
mod checksum;
mod choice;
mod client;
mod error;
mod event;
mod here;
mod name;
mod pull;
mod settings;
mod short_names;
#[cfg(feature = "tls")]
mod tls;

pub use cache::{Cache, Cached};
pub use error::{Error, ErrorKind};
pub use event::Event;
pub use here::find_model;
pub use name::{MAIN, ModelName, Pick};
pub use pull::{Pulled, PulledFile, address, pull};
pub use settings::{
    Certificates, HUB, Proxies, Settings, Token, Variables, cache_folder, is_offline, models_folder,
};
pub use short_names::{SHORT_NAMES, ShortName, short_name};
