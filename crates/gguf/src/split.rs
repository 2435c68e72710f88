//! Models split over several files, `NAME-00001-of-00003.gguf` and so on.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};
use crate::file::Part;

const COUNT: &str = "split.count";
const NUMBER: &str = "split.no";
const TENSORS: &str = "split.tensors.count";

/// How many files the model has: 1 for one that is not split.
fn count(part: &Part) -> Result<u64, Error> {
    Ok(part.metadata.u64(COUNT)?.unwrap_or(1).max(1))
}

/// Bytes in memory have no files beside them.
pub(crate) fn refuse_if_split(part: &Part) -> Result<(), Error> {
    match count(part)? {
        1 => Ok(()),
        count => Err(split_error(format!("this is one of {count} files of a split model; open it by path, or join the files"))),
    }
}

/// The other files of the model whose first file is at `path`.
pub(crate) fn siblings(path: &Path, first: &Part, mapped: bool) -> Result<Vec<(Option<PathBuf>, Part)>, Error> {
    let count = count(first)?;
    if count == 1 {
        return Ok(Vec::new());
    }
    let prefix = prefix(path, count)?;
    let sibling = |number: u64| path.with_file_name(format!("{prefix}-{:05}-of-{count:05}.gguf", number + 1));
    let own = first.metadata.u64(NUMBER)?.unwrap_or(0);
    if own != 0 {
        return Err(split_error(format!("this is part {} of {count}; open the first, {}", own.saturating_add(1), sibling(0).display())));
    }
    let mut parts = Vec::new();
    for number in 1..count {
        let path = sibling(number);
        if !path.exists() {
            return Err(split_error(format!("part {} of {count} is missing: {}", number + 1, path.display())));
        }
        let part = Part::open(&path, mapped)?;
        let found = (part.metadata.u64(NUMBER)?, self::count(&part)?);
        if found != (Some(number), count) {
            let (number, count) = (found.0.map_or(-1, |n| i128::from(n) + 1), found.1);
            return Err(split_error(format!("{} says it is part {number} of {count}; it belongs to another model", path.display())));
        }
        parts.push((Some(path), part));
    }
    let found: usize = first.tensors.len() + parts.iter().map(|(_, part)| part.tensors.len()).sum::<usize>();
    match first.metadata.u64(TENSORS)? {
        Some(declared) if declared != found as u64 => {
            Err(split_error(format!("the parts hold {found} tensors and the first says {declared}; they do not belong together")))
        }
        _ => Ok(parts),
    }
}

/// What stands before `-00001-of-0000N.gguf`.
fn prefix(path: &Path, count: u64) -> Result<&str, Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = format!("-of-{count:05}.gguf");
    let numbered = name.strip_suffix(&ending).and_then(|rest| rest.split_at_checked(rest.len().wrapping_sub(6)));
    match numbered {
        Some((prefix, number)) if number.starts_with('-') && number[1..].bytes().all(|b| b.is_ascii_digit()) => Ok(prefix),
        _ => Err(split_error(format!("the model is split over {count} files, but this one is not called NAME-00001{ending}, so the others cannot be found"))),
    }
}

fn split_error(message: String) -> Error {
    Error::new(ErrorKind::Split, message)
}
