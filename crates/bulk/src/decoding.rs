//! Files of columns are decoded by crates that check much, but not all of what a damaged file can say.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// Does `work`, which decodes `file`: an error and a panic are both the file's fault, and end only the reading of
/// it. What `work` used must not be used again after a failure.
pub(crate) fn decoding<T, E: fmt::Display>(
    file: &Path,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    let wrong = |what: &dyn fmt::Display| {
        let file = file.display();
        Error::new(ErrorKind::Input, format_args!("{file}: is damaged or not what its name says: {what}"))
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(wrong(&error)),
        Err(_) => Err(wrong(&"its parts contradict each other")),
    }
}
