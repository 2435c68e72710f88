//! Models split over several files, `<prefix>-00001-of-0000N.gguf` to `<prefix>-0000N-of-0000N.gguf`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::bytes::Bytes;
use crate::error::{Error, ErrorKind};
use crate::header;
use crate::metadata::Metadata;
use crate::open::{self, Access};
use crate::tensor_table::TensorTable;

pub(crate) const NUMBER: &str = "split.no";
pub(crate) const COUNT: &str = "split.count";
pub(crate) const TENSORS: &str = "split.tensors.count";

/// What the keys of a part say about the whole.
pub(crate) struct Split {
    /// Counted from 0, as nowhere else.
    number: u64,
    pub(crate) count: u16,
    tensors: Option<u64>,
}

/// What a file says about being split; `None` if it is whole.
pub(crate) fn of(metadata: &Metadata) -> Result<Option<Split>, Error> {
    let split = |error: Error| Error::new(ErrorKind::Split, error.to_string());
    let count = metadata.u64(COUNT).map_err(split)?.unwrap_or(0);
    if count <= 1 {
        return Ok(None);
    }
    let count = u16::try_from(count).map_err(|_| {
        Error::new(ErrorKind::Split, format!("key \"{COUNT}\" is {count}; at most 65535 is possible"))
    })?;
    let number = metadata.u64(NUMBER).map_err(split)?;
    let number =
        number.ok_or_else(|| Error::new(ErrorKind::Split, format!("key \"{NUMBER}\" is missing")))?;
    Ok(Some(Split { number, count, tensors: metadata.u64(TENSORS).map_err(split)? }))
}

impl Split {
    pub(crate) fn not_in_memory(&self) -> Error {
        let (number, count) = (self.number.saturating_add(1), self.count);
        let message = format!(
            "this is part {number} of a model split into {count} files; open it by the path of the first, or \
             merge them with llama.cpp's `llama-gguf-split --merge`"
        );
        Error::new(ErrorKind::Split, message)
    }

    /// Refuses another part than the first, and a name from which the others cannot be found.
    pub(crate) fn check_first(&self, path: &Path) -> Result<(), Error> {
        if self.number == 0 {
            return self.path(path, 0).map(drop);
        }
        let number = self.number.saturating_add(1);
        let first = match self.path(path, 0) {
            Ok(first) => format!(": {}", first.display()),
            Err(_) => String::new(),
        };
        let message =
            format!("is part {number} of {} of a split model; open its first part{first}", self.count);
        Err(Error::new(ErrorKind::Split, message).in_file(Some(path)))
    }

    /// The path of a part beside another one.
    pub(crate) fn path(&self, beside: &Path, number: u16) -> Result<PathBuf, Error> {
        let prefix = beside.file_name().and_then(|name| prefix(name, self.count));
        let mut name = prefix.ok_or_else(|| {
            let ending = file_ending(self.number.min(u64::from(u16::MAX)) as u16, self.count);
            let count = self.count;
            let message = format!(
                "is a part of a model split into {count} files, so its name must end in \"{ending}\", and the \
                 others must lie beside it; rename it back"
            );
            Error::new(ErrorKind::Split, message).in_file(Some(beside))
        })?;
        name.push(file_ending(number, self.count));
        Ok(beside.with_file_name(name))
    }

    /// Opens a further part and appends its tensors.
    pub(crate) fn open(
        &self,
        path: &Path,
        number: u16,
        access: Access,
        table: &mut TensorTable,
    ) -> Result<Bytes, Error> {
        if !path.exists() {
            let message = format!(
                "part {} of {} of the model is missing; download all {} files into one folder",
                u32::from(number) + 1,
                self.count,
                self.count
            );
            return Err(Error::new(ErrorKind::Split, message));
        }
        let bytes = open::bytes(path, access)?;
        let keys = header::read(&bytes, bytes.len() as u64, number, table)?.keys;
        let stated = |key| keys.value(key, &bytes).and_then(|value| value.integer());
        let wanted = (Some(i128::from(number)), Some(i128::from(self.count)));
        let found = (stated(NUMBER), stated(COUNT));
        if found != wanted {
            let show = |(number, count): (Option<i128>, Option<i128>)| {
                let show = |value: Option<i128>| value.map_or("absent".to_owned(), |value| value.to_string());
                format!("\"{NUMBER}\" {} and \"{COUNT}\" {}", show(number), show(count))
            };
            let message = format!(
                "has {}, but should have {}; it belongs to another model: download all files again",
                show(found),
                show(wanted)
            );
            return Err(Error::new(ErrorKind::Split, message));
        }
        Ok(bytes)
    }

    /// All tensors together must be as many as the first part says.
    pub(crate) fn check_total(&self, found: usize) -> Result<(), Error> {
        match self.tensors {
            Some(stated) if stated == found as u64 => Ok(()),
            Some(stated) => Err(Error::new(
                ErrorKind::Split,
                format!(
                    "key \"{TENSORS}\" is {stated}, but the {} files have {found} tensors; they do not belong \
                     together: download all of them again",
                    self.count
                ),
            )),
            None => Err(Error::new(ErrorKind::Split, format!("key \"{TENSORS}\" is missing"))),
        }
    }
}

/// How the name of a part ends; `number` counts from 0, the name from 1.
pub(crate) fn file_ending(number: u16, count: u16) -> String {
    format!("-{:05}-of-{count:05}.gguf", u32::from(number) + 1)
}

/// What stands before the ending in the name of any part. It need not be UTF-8.
fn prefix(name: &OsStr, count: u16) -> Option<OsString> {
    let rest = name.as_encoded_bytes().strip_suffix(format!("-of-{count:05}.gguf").as_bytes())?;
    let (_, number) = rest.split_at_checked(rest.len().checked_sub(6)?)?;
    let digits = number.strip_prefix(b"-")?;
    digits.iter().all(u8::is_ascii_digit).then(|| without_end(name, file_ending(0, count).len()))
}

/// A name without its last characters, which are ASCII.
#[cfg(unix)]
fn without_end(name: &OsStr, length: usize) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    let bytes = name.as_bytes();
    OsStr::from_bytes(&bytes[..bytes.len() - length]).to_owned()
}

#[cfg(windows)]
fn without_end(name: &OsStr, length: usize) -> OsString {
    use std::os::windows::ffi::{OsStrExt, OsStringExt};
    let units: Vec<u16> = name.encode_wide().collect();
    OsString::from_wide(&units[..units.len() - length])
}

#[cfg(not(any(unix, windows)))]
fn without_end(name: &OsStr, length: usize) -> OsString {
    let name = name.to_string_lossy();
    name[..name.len() - length].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts() {
        assert_eq!(file_ending(0, 3), "-00001-of-00003.gguf");
        assert_eq!(file_ending(u16::MAX - 1, u16::MAX), "-65535-of-65535.gguf");
        let prefix = |name: &str, count| prefix(OsStr::new(name), count);
        assert_eq!(prefix("m-00001-of-00003.gguf", 3), Some("m".into()));
        assert_eq!(prefix("é-65535-of-65535.gguf", 65535), Some("é".into()));
        assert_eq!(prefix("-00002-of-00003.gguf", 3), Some("".into()));
        assert_eq!(prefix("m-00001-of-00003.gguf", 4), None);
        for name in ["m-0001-of-00003.gguf", "m-0000x-of-00003.gguf", "é0001-of-00003.gguf", "m.gguf", ""] {
            assert_eq!(prefix(name, 3), None, "{name}");
        }
    }
}
