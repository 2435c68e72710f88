//! Room in the folder, of which there is a limit: who takes some has it until it belongs to a file that stays, or gives it back.

use std::mem;
use std::sync::Arc;

use super::store::Store;
use crate::body::mib;
use crate::fault::{Fault, FaultKind};

/// Bytes that were taken for what is no file yet. Dropped, whoever drops it and why, they are there for others.
pub(super) struct Room {
    store: Arc<Store>,
    bytes: u64,
}

impl Room {
    /// Of so many bytes, which the store counts as taken.
    pub(super) fn new(store: &Arc<Store>, bytes: u64) -> Self {
        Self { store: store.clone(), bytes }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// More for the same.
    pub(super) fn grow(&mut self, mut more: Room) {
        self.bytes += mem::take(&mut more.bytes);
    }

    /// A file has it now, with which it is given back.
    pub(super) fn keep(&mut self) {
        self.bytes = 0;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.store.give_back(self.bytes);
    }
}

/// The files have as many bytes together as they may, which are these.
#[derive(Debug)]
pub(super) struct Full(pub(super) u64);

impl Full {
    pub(super) fn message(&self) -> String {
        format!(
            "the batch folder is full: its files may have {} together, the limit that --max-batch-folder-mb sets; delete \
             files that are not needed (DELETE /v1/files/ID)",
            mib(usize::try_from(self.0).unwrap_or(usize::MAX))
        )
    }
}

impl From<Full> for Fault {
    fn from(full: Full) -> Self {
        Fault::new(FaultKind::BodyTooLarge, full.message())
    }
}
