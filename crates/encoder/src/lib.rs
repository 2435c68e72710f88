//! Token ids in, embedding rows out.
//!
//! The way of the data: [`describe`] reads keys and tensor names into a plain [`Config`];
//! [`Encoder::load`] packs the weights once; [`Encoder::forward`] turns a packed [`Batch`] of token ids
//! into vectors, with all scratch in a [`Workspace`].
//!
//! An architecture is a declaration (see `arch/`); one block executes them all. Architecture names appear
//! nowhere else.
//!
//! A sequence's vector has the same bits in every batch: rows never mix but in attention, attention is
//! computed per sequence, and every sum has an order of its own row.
#![forbid(unsafe_code)]

mod arch;
mod attention;
mod batch;
mod block;
mod compute;
mod config;
mod distance_bias;
mod encoder;
mod error;
mod experts;
mod keys;
mod layer_weights;
mod network;
mod norm_weights;
mod pooling;
mod profile;
mod rope;
mod scoring;
mod tensors;
mod weights;
mod workspace;

pub use arch::{describe, names as architectures};
pub use batch::Batch;
pub use config::{
    Activation, BlockNorms, Config, DenseActivation, Experts, FeedForward, FusedQkv, HeadNorms, Heads,
    LayerConfig, LayerNames, Mask, Norm, NormNames, Positions, Scoring, ScoringDense, StatedPooling,
};
pub use encoder::Encoder;
pub use error::{Error, ErrorKind};
pub use pooling::{Pooling, Readout};
pub use profile::{Profile, Work};
pub use rope::{Pairs, Rope, Yarn};
pub use workspace::Workspace;
