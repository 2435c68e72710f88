//! What a file holds, to know it again.

use std::fs::File;
use std::io::{self, Read};
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
        let read = || -> io::Result<Self> {
            let mut file = File::open(path)?;
            let (mut hash, mut bytes) = (Sha256::new(), 0);
            let mut piece = vec![0; 1 << 16];
            loop {
                let count = match file.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                hash.update(&piece[..count]);
                bytes += count as u64;
            }
            let digits = hash.finalize();
            Ok(Self { bytes, sha256: digits.iter().map(|byte| format!("{byte:02x}")).collect() })
        };
        read().map_err(|error| Error::reading(path, &error))
    }
}
