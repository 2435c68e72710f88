//! Which model file a name means.

use std::path::PathBuf;

use pyo3::prelude::*;

/// The file that a path or name means, as the command finds it; `None` if there is none, or several fit. Never the network.
#[pyfunction]
pub(crate) fn find_model(name: PathBuf) -> Option<PathBuf> {
    if name.is_file() {
        return Some(name);
    }
    hub::find_model(&name, &|name| std::env::var_os(name)).ok().flatten()
}
