//! What a file holds, to know it again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// What a file holds, to know it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Its size.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

impl FileSum {
    /// Reads a file to its end, in constant memory.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let sum = File::open(path).and_then(|mut file| Self::of_rest(&mut file));
        sum.map_err(|error| Error::reading(path, &error))
    }

    /// Of an open file, from its beginning; it is at its end afterwards.
    pub(crate) fn of_open(file: &mut File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Self::of_rest(file)
    }

    fn of_rest(file: &mut File) -> io::Result<Self> {
        let mut sum = Summing::new(io::sink());
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(sum.finish().1),
                Ok(count) => sum.write_all(&piece[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Knows the sum of all that is written through it.
#[derive(Debug)]
pub struct Summing<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Summing<W> {
    /// `to` is empty.
    pub fn new(to: W) -> Self {
        Self { to, hash: Sha256::new(), bytes: 0 }
    }

    /// Where all of it went, and its sum.
    pub fn finish(self) -> (W, FileSum) {
        let digits = self.hash.finalize();
        let sha256 = digits.iter().map(|byte| format!("{byte:02x}")).collect();
        (self.to, FileSum { bytes: self.bytes, sha256 })
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_pieces_has_the_sum_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let mut summing = Summing::new(File::create(&path).expect("created"));
        for piece in [&b"a"[..], b"", b"bc"] {
            summing.write_all(piece).expect("written");
        }
        let (_, sum) = summing.finish();
        assert_eq!(sum, FileSum::of(&path).expect("read"));
        // FIPS 180-4's example.
        assert_eq!(sum.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mut open = File::open(&path).expect("opened");
        open.seek(SeekFrom::End(0)).expect("sought");
        assert_eq!(FileSum::of_open(&mut open).expect("read"), sum);
    }
}
