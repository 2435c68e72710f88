#![cfg(unix)]
//! Packed weights in a file that processes share: the same bits, believed only if it is what would be packed.

use std::fs;
use std::path::{Path, PathBuf};

use connote::Embedder;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/all-MiniLM-L6-v2-Q8_0.gguf");
const TEXTS: [&str; 3] = ["a cat on the mat", "", "stock markets fell sharply on Monday"];

fn vectors(embedder: &Embedder) -> Vec<Vec<u32>> {
    let embeddings = embedder.embed(TEXTS).expect("vectors");
    embeddings.into_iter().map(|one| one.vector.into_iter().map(f32::to_bits).collect()).collect()
}

fn open(cache: &Path) -> Embedder {
    Embedder::builder().threads(1).cache_dir(cache).shared_weights(true).open(MODEL).expect("it opens")
}

fn packed(cache: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(cache.join("packed-5")).expect("a folder");
    files.map(|file| file.expect("a file").path()).collect()
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&path.metadata().expect("a file"))
}

#[test]
fn a_file_is_written_once_and_gives_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Embedder::builder().threads(1).cache_dir(folder.path()).open(MODEL).expect("it opens");
    assert!(!folder.path().join("packed-5").exists(), "only who asks writes");
    let first = open(folder.path());
    let [file] = packed(folder.path()).try_into().expect("one file, and none left aside");
    let made = inode(&file);
    let second = open(folder.path());
    assert_eq!(inode(&file), made);
    assert_eq!(packed(folder.path()).len(), 1);
    assert!(file.metadata().expect("a file").len() as usize > first.packed_bytes() / 2);
    assert_eq!(vectors(&first), vectors(&own));
    assert_eq!(vectors(&second), vectors(&own));
    // It is mapped: with the file gone its memory is still there.
    fs::remove_file(&file).expect("removed");
    assert_eq!(vectors(&second), vectors(&own));
}

#[test]
fn what_would_not_be_packed_so_is_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let right = vectors(&open(folder.path()));
    let [file] = packed(folder.path()).try_into().expect("one file");
    let whole = fs::read(&file).expect("bytes");
    let damages: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.clear(),
        |bytes| bytes[10] ^= 1,
        // The layout of the first matrix, its number of values, its first scale or value.
        |bytes| bytes[40] ^= 1,
        |bytes| bytes[48] ^= 1,
        |bytes| bytes[64..72].iter_mut().for_each(|byte| *byte ^= 0x11),
    ];
    for (index, damage) in damages.into_iter().enumerate() {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        // As another version would: another file in its place.
        fs::remove_file(&file).expect("removed");
        fs::write(&file, &bytes).expect("written");
        let embedder = open(folder.path());
        assert!(fs::read(&file).expect("bytes") == whole, "damage {index}");
        assert_eq!(vectors(&embedder), right, "damage {index}");
    }
}

#[test]
fn where_nothing_can_be_written_weights_are_ones_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("no-folder");
    fs::write(&file, "a file where a folder should be").expect("written");
    assert_eq!(vectors(&open(&file)), vectors(&open(folder.path())));
}
