//! Walking through bytes that nobody has checked.

use std::fmt::Display;

use crate::error::{Error, ErrorKind};

/// A position in the bytes of a file. Each read says what it is reading, for the error.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At byte `at`; past the end, nothing is left.
    pub(crate) fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at: at.min(bytes.len()) }
    }

    /// The byte offset of what is read next.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// How many bytes there are from here to the end.
    pub(crate) fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    pub(crate) fn take(&mut self, length: u64, what: &dyn Display) -> Result<&'a [u8], Error> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| self.too_short(length, what))?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &dyn Display) -> Result<[u8; N], Error> {
        let taken = self.bytes[self.at..].first_chunk::<N>().ok_or_else(|| self.too_short(N as u64, what))?;
        self.at += N;
        Ok(*taken)
    }

    pub(crate) fn u32(&mut self, what: &dyn Display) -> Result<u32, Error> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &dyn Display) -> Result<u64, Error> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A length of 8 bytes, and that many bytes.
    pub(crate) fn string(&mut self, what: &dyn Display) -> Result<&'a [u8], Error> {
        let length = self.u64(what)?;
        self.take(length, what)
    }

    fn too_short(&self, length: u64, what: &dyn Display) -> Error {
        let (at, end) = (self.at, self.bytes.len());
        let message = format!(
            "{what} takes {length} bytes from byte {at} on, but the file ends at byte {end}; it is damaged or \
             its download incomplete: get it again"
        );
        Error::new(ErrorKind::Truncated, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_past_the_end() {
        let mut cursor = Cursor::at(&[1, 0, 0, 0, 2], 0);
        assert_eq!(cursor.u32(&"a").expect("4 bytes"), 1);
        assert_eq!((cursor.position(), cursor.left()), (4, 1));
        let error = cursor.take(u64::MAX, &"the moon").expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Truncated);
        assert!(error.to_string().starts_with("the moon takes 18446744073709551615 bytes from byte 4"));
        assert!(cursor.u64(&"b").is_err());
        assert_eq!(cursor.take(1, &"c").expect("1 byte"), [2]);
        assert_eq!(Cursor::at(&[1], 9).left(), 0);
    }
}
