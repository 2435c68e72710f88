//! What the content of a file must be, as its etag says it.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What the hub says of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum<'a> {
    /// Of large files.
    Sha256(&'a str),
    /// Of files that lie in git: SHA-1 of `blob SIZE\0` and the content; of some mirrors, of the content alone.
    GitBlob(&'a str),
    /// An etag of a mirror's own, of which nothing follows.
    Unknown,
}

impl<'a> Checksum<'a> {
    pub(crate) fn of_etag(etag: &'a str) -> Self {
        match etag.len() {
            _ if !etag.bytes().all(|byte| byte.is_ascii_hexdigit()) => Self::Unknown,
            64 => Self::Sha256(etag),
            40 => Self::GitBlob(etag),
            _ => Self::Unknown,
        }
    }

    /// Begins to hash a content of so many bytes.
    pub(crate) fn hasher(self, bytes: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::GitBlob(_) => {
                let mut hash = Sha1::new();
                hash.update(format!("blob {bytes}\0"));
                Hasher::Sha1 { blob: hash, content: Sha1::new() }
            }
            Self::Unknown => Hasher::None,
        }
    }

    /// What is wrong with a content that was hashed, if anything is.
    pub(crate) fn differs(self, hasher: Hasher) -> Option<String> {
        let (name, wanted) = match self {
            Self::Sha256(wanted) => ("SHA-256", wanted),
            Self::GitBlob(wanted) => ("git hash", wanted),
            Self::Unknown => return None,
        };
        let found = hasher.hexadecimal();
        let is_right = found.iter().any(|found| found.eq_ignore_ascii_case(wanted));
        (!is_right).then(|| format!("{name} {}, the hub says {wanted}", found[0]))
    }
}

/// A content so far.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha1 { blob: Sha1, content: Sha1 },
    None,
}

impl Hasher {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(piece),
            Self::Sha1 { blob, content } => {
                blob.update(piece);
                content.update(piece);
            }
            Self::None => {}
        }
    }

    /// The hashes of which one must be the etag.
    fn hexadecimal(self) -> Vec<String> {
        match self {
            Self::Sha256(hash) => vec![hexadecimal(&hash.finalize())],
            Self::Sha1 { blob, content } => {
                vec![hexadecimal(&blob.finalize()), hexadecimal(&content.finalize())]
            }
            Self::None => vec![String::new()],
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `git hash-object` and `sha256sum`.
    #[test]
    fn contents_are_hashed_as_git_and_the_hub_do() {
        for (content, etag) in [
            (&b"hello\n"[..], "ce013625030ba8dba906f756967f9e9ca394464a"),
            (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
            // Of `sha1sum`.
            (b"hello\n", "f572d396fae9206628714fb2ce00f72e94f2258f"),
            (b"hello\n", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
        ] {
            let wanted = Checksum::of_etag(etag);
            let mut hasher = wanted.hasher(content.len() as u64);
            content.chunks(2).for_each(|piece| hasher.update(piece));
            assert_eq!(wanted.differs(hasher.clone()), None, "{etag}");
            hasher.update(b"x");
            assert!(wanted.differs(hasher).is_some_and(|why| why.contains(etag)));
        }
        for etag in
            ["5f-1a2b3c", "d41d8cd98f00b204e9800998ecf8427e", "ge013625030ba8dba906f756967f9e9ca394464a"]
        {
            let wanted = Checksum::of_etag(etag);
            assert_eq!((wanted, wanted.differs(wanted.hasher(1))), (Checksum::Unknown, None));
        }
    }
}
