//! What computes: a level's functions, and the team that shares the work.

use kernels::{Kernels, Shelf};
use threads::Team;

/// A level's functions and a team, as they are handed down from stage to stage.
#[derive(Clone, Copy)]
pub(crate) struct Compute<'a> {
    pub(crate) kernels: &'static Kernels,
    pub(crate) team: &'a Team,
    /// Where weights lie packed already, in the order they are loaded in.
    pub(crate) shelf: Option<&'a Shelf>,
}
