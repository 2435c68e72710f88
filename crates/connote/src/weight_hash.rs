//! The hash of a model's weights, computed on first need and kept.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use gguf::{Gguf, Tensor};
use sha2::{Digest as _, Sha256};

use crate::fingerprint::{Digest, field, hex};

/// Goes up when hashing changes, so that what older versions kept is not believed.
const VERSION: &str = "weights-1";

/// Which file a model was opened from, so that another one put in its place is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Absolute, so that a change of the working folder does not matter.
    path: PathBuf,
    bytes: u64,
    modified: u128,
    /// Tells files of one name apart where the system can.
    inode: u64,
}

impl Identity {
    /// The file at a path as it is now; `None` where the system does not say.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let about = path.metadata().ok()?;
        let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&about);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { path, bytes: about.len(), modified, inode })
    }

    /// Whether the same file was written to since: another size or time, and not another file of its name. Only where the system
    /// tells files of one name apart.
    pub(crate) fn was_changed(&self) -> bool {
        cfg!(unix) && Self::of(&self.path).is_some_and(|now| now != *self && now.inode == self.inode)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn is_still_there(&self) -> bool {
        Self::of(&self.path).as_ref() == Some(self)
    }
}

/// What packed weights are called: those of one model, for one CPU level, by one version.
pub(crate) fn packed(weights: &Digest, level: kernels::Level) -> Digest {
    let mut hash = Sha256::new();
    for part in [weights.as_slice(), level.name().as_bytes(), env!("CARGO_PKG_VERSION").as_bytes()] {
        field(&mut hash, part);
    }
    hash.finalize().into()
}

/// Over every tensor, by name: type, shape and bytes.
///
/// From files by plain reads, so that hashing does not fill this process's memory with mapped pages, and
/// kept in `cache` under path, size and time of modification. A file that is no longer the one that was
/// opened is not read: then, and for models in memory, the bytes that the model itself has are hashed.
pub(crate) fn weights(gguf: &Gguf, files: &[Identity], cache: Option<&Path>) -> Digest {
    let opened = || !files.is_empty() && files.iter().all(Identity::is_still_there);
    if opened() {
        let entry = cache.map(|folder| folder.join(VERSION).join(name_of(files)));
        if let Some(digest) = entry.as_deref().and_then(read_digest) {
            return digest;
        }
        // Asked again afterwards: it may have been replaced while it was read.
        if let Some(digest) = from_files(gguf, files).ok().filter(|_| opened()) {
            if let Some(entry) = entry {
                // The cache only saves time: where it cannot be written, the hash is computed again.
                let _ = files::cache(&entry, hex(&digest).as_bytes());
            }
            return digest;
        }
    }
    let from_memory = over_tensors(gguf, |tensor, hash| {
        hash.update(tensor.bytes());
        Ok(())
    });
    from_memory.unwrap_or_else(|_| unreachable!("memory can be read"))
}

fn from_files(gguf: &Gguf, identities: &[Identity]) -> io::Result<Digest> {
    let mut files = identities.iter().map(|file| File::open(&file.path)).collect::<io::Result<Vec<_>>>()?;
    let mut buffer = vec![0; 1 << 20];
    over_tensors(gguf, |tensor, hash| {
        let range = tensor.file_range();
        let file = &mut files[tensor.shard()];
        file.seek(SeekFrom::Start(range.start))?;
        let mut left = range.end - range.start;
        while left > 0 {
            let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..part])?;
            hash.update(&buffer[..part]);
            left -= part as u64;
        }
        Ok(())
    })
}

fn over_tensors(
    gguf: &Gguf,
    mut bytes_into: impl FnMut(Tensor<'_>, &mut Sha256) -> io::Result<()>,
) -> io::Result<Digest> {
    let mut tensors: Vec<(&str, Digest)> = Vec::new();
    for tensor in gguf.tensors() {
        let mut hash = Sha256::new();
        field(&mut hash, tensor.ty().name().as_bytes());
        tensor.dims().iter().for_each(|dim| hash.update(dim.to_le_bytes()));
        bytes_into(tensor, &mut hash)?;
        tensors.push((tensor.name(), hash.finalize().into()));
    }
    tensors.sort_unstable();
    let mut hash = Sha256::new();
    for (name, digest) in tensors {
        field(&mut hash, name.as_bytes());
        field(&mut hash, &digest);
    }
    Ok(hash.finalize().into())
}

/// What the kept hash of these files is called: by all that identifies them.
fn name_of(files: &[Identity]) -> String {
    let mut hash = Sha256::new();
    for Identity { path, bytes, modified, inode } in files {
        field(&mut hash, path.as_os_str().as_encoded_bytes());
        field(&mut hash, &bytes.to_le_bytes());
        field(&mut hash, &modified.to_le_bytes());
        field(&mut hash, &inode.to_le_bytes());
    }
    hex(&hash.finalize()[..16])
}

/// The folder where connote keeps hashes of model files and what was measured: `$CONNOTE_CACHE_DIR`, else `connote` in the user's
/// cache folder; `None` where there is neither. It need not exist.
pub fn default_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CONNOTE_CACHE_DIR")
        .or_else(|| Some(set("XDG_CACHE_HOME").or_else(|| set("LOCALAPPDATA"))?.join("connote")))
        .or_else(|| Some(set("HOME")?.join(".cache/connote")))
}

fn read_digest(path: &Path) -> Option<Digest> {
    let text = fs::read_to_string(path).ok()?;
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::tiny;

    fn open(path: &Path) -> (Gguf, Vec<Identity>) {
        (Gguf::open(path).expect("a valid file"), vec![Identity::of(path).expect("a file")])
    }

    fn kept(cache: &Path) -> Vec<PathBuf> {
        fs::read_dir(cache.join(VERSION))
            .map_or(Vec::new(), |list| list.map(|entry| entry.expect("an entry").path()).collect())
    }

    #[test]
    fn files_and_memory_give_one_hash_and_it_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, cache) = (folder.path().join("m.gguf"), folder.path().join("cache"));
        fs::write(&path, tiny::bert(1)).expect("written");
        let (gguf, files) = open(&path);
        let from_memory = weights(&gguf, &[], None);
        assert_eq!(weights(&gguf, &files, None), from_memory);
        assert_eq!(weights(&gguf, &files, Some(&cache)), from_memory);
        let entries = kept(&cache);
        assert_eq!(entries.len(), 1);
        // What is kept is what is used, while it can be true.
        fs::write(&entries[0], "ab".repeat(32)).expect("written");
        assert_eq!(weights(&gguf, &files, Some(&cache)), [0xab; 32]);
        for damaged in ["", "short", &"x".repeat(64), &"\u{e9}".repeat(32)] {
            fs::write(&entries[0], damaged).expect("written");
            assert_eq!(weights(&gguf, &files, Some(&cache)), from_memory, "{damaged:?}");
        }
        assert_eq!(fs::read_to_string(&entries[0]).expect("kept again"), hex(&from_memory));
        // A folder that cannot be written costs time only.
        assert_eq!(weights(&gguf, &files, Some(&path)), from_memory);
    }

    #[test]
    fn a_file_put_in_the_place_of_the_opened_one_is_not_hashed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other, cache) =
            (folder.path().join("m.gguf"), folder.path().join("other"), folder.path().join("cache"));
        fs::write(&path, tiny::bert(1)).expect("written");
        let (gguf, files) = open(&path);
        let opened = weights(&gguf, &[], None);
        fs::write(&other, tiny::bert(2)).expect("written");
        fs::rename(&other, &path).expect("replaced");
        assert_eq!(weights(&gguf, &files, Some(&cache)), opened);
        assert_eq!(kept(&cache), Vec::<PathBuf>::new());
        fs::remove_file(&path).expect("removed");
        assert_eq!(weights(&gguf, &files, Some(&cache)), opened);
    }

    #[test]
    fn another_file_under_the_same_name_is_hashed_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, cache) = (folder.path().join("m.gguf"), folder.path().join("cache"));
        let mut seen = Vec::new();
        for seed in [1, 2, 1] {
            fs::write(&path, tiny::bert(seed)).expect("written");
            let file = File::options().write(true).open(&path).expect("the file");
            let time = UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + seen.len() as u64);
            file.set_modified(time).expect("a time");
            let (gguf, files) = open(&path);
            seen.push(weights(&gguf, &files, Some(&cache)));
            assert_eq!(kept(&cache).len(), seen.len());
        }
        assert_ne!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
    }
}
