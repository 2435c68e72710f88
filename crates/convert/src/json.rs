//! JSON files of a folder.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::Error;

/// What the file says.
pub(crate) fn read(path: &Path) -> Result<Value, Error> {
    let text = fs::read(path).map_err(|error| Error::file(path, format!("cannot be read: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| Error::file(path, format!("is not JSON: {error}")))
}

/// What the file says, if it is there.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Value>, Error> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}
