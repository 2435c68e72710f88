//! How many texts side by side, and how many threads inside each: the choice nobody makes for their users.

mod adaptive;
pub(crate) mod cache;
mod calibrate;
mod candidates;
mod cell;
mod choice;
mod cost;
mod micro_batches;
mod runs;
mod settings;
mod shape;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod simulation;
mod table;
mod work;

pub(crate) use calibrate::calibrate;
pub(crate) use candidates::candidates;
pub use choice::Choice;
pub(crate) use choice::{Chooser, count};
pub use cost::CostModel;
pub use settings::{Parallelism, Policy, Preset, Tuning};
pub use shape::Shape;
pub(crate) use work::Work;
