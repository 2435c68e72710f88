//! Which files a pattern such as `notes/*.csv` means.

use std::path::{Path, PathBuf};

use glob::Pattern;

use crate::{Error, ErrorKind};

/// What a pattern names, in the order of the names.
pub(super) fn matching(pattern: &Path) -> Result<Vec<PathBuf>, Error> {
    let shown = pattern.display();
    let wrong = |what: String| Error::new(ErrorKind::Usage, format_args!("{shown}: {what}"));
    let no_pattern = |error: glob::PatternError| wrong(format!("is no pattern: {error}"));
    let Some(written) = pattern.to_str() else {
        return Err(wrong("there is no such file, and a pattern must be UTF-8".to_owned()));
    };
    let mut found = glob::glob(written)
        .map_err(no_pattern)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::new(ErrorKind::Input, error))?;
    if let Some(last) = pattern.file_name().and_then(|name| name.to_str()) {
        let folder = pattern.parent().unwrap_or(Path::new(""));
        let passed_over = not_utf8(folder, &Pattern::new(last).map_err(no_pattern)?);
        if !passed_over.is_empty() {
            found.extend(passed_over);
            found.sort_unstable();
        }
    }
    Ok(found)
}

/// Files whose names are not UTF-8, which `glob` passes over: they match as their names are shown.
fn not_utf8(folder: &Path, last: &Pattern) -> Vec<PathBuf> {
    let folders = match folder.to_str() {
        None | Some("") => vec![PathBuf::new()],
        Some(folder) => glob::glob(folder).into_iter().flatten().flatten().collect(),
    };
    let mut found = Vec::new();
    for folder in folders {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        // What cannot be read was told already.
        for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_none() && last.matches(&name.to_string_lossy()) {
                found.push(folder.join(name));
            }
        }
    }
    found
}
