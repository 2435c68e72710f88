//! Opening allocates at most 8 times the bytes of the file plus 1 MB, whatever the file says.

mod raw;

use connote_gguf::{Gguf, Writer};
use proptest::prelude::*;
use raw::{Raw, array, string};
use testkit::allocations::{self, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What opening a file asks for, beside the file's own bytes, which are there already.
fn asked(file: Vec<u8>) -> (u64, bool) {
    allocations::during(|| Gguf::from_bytes(file).is_ok())
}

#[track_caller]
fn check(what: &str, file: Vec<u8>) -> bool {
    let length = file.len() as u64;
    let (asked, opened) = asked(file);
    let most = 8 * length + (1 << 20);
    assert!(asked <= most, "{what}: {asked} bytes asked for to open {length}, {most} allowed");
    opened
}

#[test]
fn the_allocator_counts() {
    let (asked, bytes) = allocations::during(|| std::hint::black_box(vec![0u8; 5000]));
    assert!(asked >= bytes.len() as u64);
}

/// Names that are all different, of at least `length` bytes.
fn names(count: usize, length: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |number| format!("{number:0length$x}").into_bytes())
}

/// The smallest entries there can be, in numbers around those where lists grow; 1 MB is little beside them.
#[test]
fn many_small_entries() {
    for count in [100_000, 131_072, 131_073, 262_145] {
        for length in [5, 30] {
            let keys = names(count, length).fold(Raw::new(), |file, name| file.key(&name, 0, &[1]));
            assert!(check("keys", keys.bytes()));
            let tensors = names(count, length).fold(Raw::new(), |file, name| file.tensor(&name, &[], 24, 0));
            // All on top of each other, which is found out at last.
            assert!(!check("tensors", tensors.data(32).bytes()));
            let empty =
                names(count, length).fold(Raw::new(), |file, name| file.tensor(&name, &[0; 4], 24, 0));
            assert!(check("tensors without values", empty.bytes()));
        }
        let same = (0..count).fold(Raw::new(), |file, _| file.key(b"k", 0, &[1]));
        assert!(!check("keys of one name", same.bytes()));
        let same = (0..count).fold(Raw::new(), |file, _| file.tensor(b"t", &[], 24, 0));
        assert!(!check("tensors of one name", same.data(32).bytes()));
        let texts = string(b"").repeat(count);
        assert!(check("strings", Raw::new().key(b"k", 9, &array(8, count as u64, &texts)).bytes()));
        assert!(check("bytes", Raw::new().key(b"k", 9, &array(0, count as u64, &vec![0; count])).bytes()));
    }
}

/// 1 MB is for small files; these must not come near it.
#[test]
fn counts_without_anything_behind_them() {
    let base = Raw::new().key(b"k", 0, &[1]).tensor(b"t", &[8], 0, 0).data(32);
    let mut files = vec![];
    for count in [u64::MAX, 1 << 63, 1 << 40, 1 << 31, 1 << 20] {
        files.push(Raw { key_count: count, ..base.clone() }.bytes());
        files.push(Raw { tensor_count: count, ..base.clone() }.bytes());
        files.push(Raw::new().tensor(b"t", &[count >> 1], 24, 0).bytes());
        for id in 0..13 {
            files.push(Raw::new().key(b"k", 9, &array(id, count, &[0; 16])).bytes());
        }
        let mut text = string(b"text");
        text[..8].copy_from_slice(&count.to_le_bytes());
        files.push(Raw::new().key(b"k", 8, &text).bytes());
        files.push([b"GGUF\x03\0\0\0".as_slice(), &[0; 8], &1u64.to_le_bytes(), &text].concat());
        files.push([b"GGUF\x03\0\0\0".as_slice(), &1u64.to_le_bytes(), &[0; 8], &text, &[0; 32]].concat());
    }
    for file in files {
        let length = file.len();
        let (asked, opened) = asked(file);
        assert!(!opened && asked < 8 * 1024, "{asked} bytes asked for to refuse {length}");
    }
}

/// A megabyte that says its counts are as large as its size allows, and holds rubbish.
#[test]
fn the_largest_counts_that_a_size_allows() {
    for (tensors, keys) in [(1 << 15, 0), (0, 1 << 16), (1 << 15, 1 << 16)] {
        let head = Raw { tensor_count: tensors, key_count: keys, ..Raw::new() }.bytes();
        for byte in [0, 1, 0xff] {
            let file = [head.clone(), vec![byte; 1 << 20]].concat();
            let (asked, opened) = asked(file);
            assert!(!opened && asked < 8 * 1024, "{asked} bytes asked for to refuse rubbish");
        }
    }
}

#[test]
fn a_vocabulary_is_not_copied() {
    let tokens: Vec<String> = (0..200_000).map(|id| format!("token {id}")).collect();
    let file = Writer::new().metadata("tokenizer.ggml.tokens", tokens).to_bytes().expect("valid");
    let (asked, opened) = asked(file);
    assert!(opened && asked < 8 * 1024, "{asked} bytes asked for to open 4 MB of strings");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut file = raw::small().to_bytes().expect("valid");
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let length = file.len() as u64;
        let (asked, _) = asked(file);
        prop_assert!(asked <= 8 * length, "{} bytes asked for to open {}", asked, length);
    }
}
