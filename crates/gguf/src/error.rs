//! What can go wrong: which kind, in which file, where in it, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file was refused, could not be read or could not be written, or why a key is not what was asked for.
///
/// Its text names the file (if there is one), the key, tensor or byte offset, and what to do.
pub struct Error(Box<Details>);

struct Details {
    kind: ErrorKind,
    file: Option<PathBuf>,
    message: String,
    source: Option<io::Error>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system could not read or write the file, or it is not a regular file.
    Io,
    /// The file is something else: another format, a Git LFS pointer, a web page, empty.
    NotGguf,
    /// A GGUF version or byte order that this reader does not know.
    UnsupportedVersion,
    /// The file ends before what it declares.
    Truncated,
    /// A metadata key or its value is malformed, or two keys have the same name.
    Key,
    /// An entry of the tensor table is malformed, or contradicts another.
    Tensor,
    /// A tensor type that does not exist, or exists no more.
    TensorType,
    /// A part of a split model is missing or does not belong to the others.
    Split,
    /// A key has another type than was asked for, or a value out of that type's range.
    WrongType,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details { kind, file: None, message: message.into(), source: None }))
    }

    pub(crate) fn io(path: Option<&Path>, what: impl Into<String>, source: io::Error) -> Self {
        let file = path.map(Path::to_owned);
        Self(Box::new(Details { kind: ErrorKind::Io, file, message: what.into(), source: Some(source) }))
    }

    /// Says in which file it happened, unless that is known already.
    pub(crate) fn in_file(mut self, path: Option<&Path>) -> Self {
        if self.0.file.is_none() {
            self.0.file = path.map(Path::to_owned);
        }
        self
    }

    /// Which kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file in which it happened; `None` for bytes in memory and for typed reads of keys.
    pub fn path(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.0.file {
            write!(f, "{}: ", file.display())?;
        }
        f.write_str(&self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.0.kind, self.to_string())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

/// A name out of a file as it may be shown: quoted, escaped and cut, as nobody vouches for its contents.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl Quoted<'_> {
    const SHOWN: usize = 100;
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(Self::SHOWN)];
        write!(f, "{:?}", String::from_utf8_lossy(shown))?;
        if shown.len() < self.0.len() {
            write!(f, " and {} more bytes", self.0.len() - shown.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_file_and_cause() {
        let error = Error::new(ErrorKind::Key, "key \"a\" is odd").in_file(Some(Path::new("m.gguf")));
        assert_eq!(error.to_string(), "m.gguf: key \"a\" is odd");
        assert_eq!(error.in_file(Some(Path::new("other"))).path(), Some(Path::new("m.gguf")));
        let error = Error::io(None, "cannot write", io::Error::other("full"));
        assert_eq!(error.to_string(), "cannot write: full");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn quoting_escapes_and_cuts() {
        assert_eq!(Quoted(b"a\x1b[0m\"").to_string(), r#""a\u{1b}[0m\"""#);
        assert_eq!(Quoted(&[b'x'; 103]).to_string(), format!("\"{}\" and 3 more bytes", "x".repeat(100)));
        assert_eq!(Quoted(&[0xff]).to_string(), "\"\u{fffd}\"");
    }
}
