//! What connote's tests share: reference arithmetic in f64, a naive forward pass, tiny random models, and
//! the golden files.
//!
//! Everything here is written to be plainly right, from the papers and the GGUF fact sheet, and shares no
//! arithmetic with the engine but the tensor decoders (which have their own reference, gguf-py).

pub mod allocations;
pub mod architectures;
pub mod batches;
pub mod edit;
pub mod golden;
pub mod hf_folder;
pub mod http_bodies;
pub mod known;
pub mod models;
pub mod naive;
pub mod oracle;
pub mod random;
pub mod rerankers;
pub mod tiny;
pub mod vocabularies;
pub mod widened;
