//! How many texts side by side, and how many threads inside each: the choice nobody makes for their users.

mod settings;
mod shape;
mod stub;

pub use settings::{Parallelism, Policy, Preset, Tuning};
pub use shape::Shape;
pub(crate) use stub::*;
