//! Whether the input is still what it was: parts of what was changed while it was read must not become part of the output.

use crate::source::{FileIdentity, FileState};
use crate::{Error, ErrorKind, FileSum};

/// The files of a source, as they were before they were read.
pub(super) struct InputWatch {
    files: Vec<(FileState, FileIdentity)>,
}

impl InputWatch {
    /// `states` from before the files were opened, and what they held then.
    pub(super) fn new(states: Vec<FileState>, identities: &[FileIdentity]) -> Self {
        Self { files: states.into_iter().zip(identities.iter().cloned()).collect() }
    }

    /// Asked after rows were read and before they count. Another file in its place that holds what it held is the same;
    /// one that was written to is not, whatever it holds now: what was read may be what it held in between.
    ///
    /// # Errors
    /// If a file was changed.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        for (state, identity) in &mut self.files {
            let now = state.now();
            if *state == now {
                continue;
            }
            let holds_the_same = || {
                let sum = FileSum::of(state.path());
                sum.is_ok_and(|sum| (sum.bytes, &sum.sha256) == (identity.bytes, &identity.sha256))
            };
            if state.was_written_to(&now) || !holds_the_same() {
                let file = state.path().display();
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    format_args!(
                        "{file}: was changed while it was read; put back what it was, or begin anew with --restart"
                    ),
                ));
            }
            *state = now;
        }
        Ok(())
    }
}
