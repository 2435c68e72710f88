//! Opening by path: mapped or read, whole or split, or not a model at all.

mod raw;

use std::fs;
use std::path::{Path, PathBuf};

use connote_gguf::{Error, ErrorKind, Gguf, TensorType, Writer};

/// By both ways, which must agree.
#[track_caller]
fn open(path: &Path) -> Result<Gguf, Error> {
    let (mapped, read) = (Gguf::open(path), Gguf::open_unmapped(path));
    match (&mapped, &read) {
        (Ok(mapped), Ok(read)) => assert_eq!(raw::touch(mapped), raw::touch(read)),
        (Err(mapped), Err(read)) => assert_eq!(mapped.to_string(), read.to_string()),
        _ => panic!("mapped: {mapped:?}, read: {read:?}"),
    }
    mapped
}

#[track_caller]
fn refused(path: &Path, kind: ErrorKind, says: &[&str]) {
    let error = open(path).expect_err("refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.path().is_some(), "{error}");
    for part in says {
        assert!(error.to_string().contains(part), "{error} should say {part:?}");
    }
}

#[test]
fn a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.gguf");
    let bytes = raw::small().to_bytes().expect("valid");
    fs::write(&path, &bytes).expect("written");
    let gguf = open(&path).expect("it opens");
    assert_eq!(raw::touch(&gguf), raw::touch(&Gguf::from_bytes(bytes.clone()).expect("it opens")));
    let shards: Vec<_> = gguf.shards().map(|shard| (shard.path(), shard.len())).collect();
    assert_eq!(shards, [(Some(path.as_path()), bytes.len())]);
}

#[test]
fn what_is_no_model() {
    let folder = tempfile::tempdir().expect("a folder");
    refused(&folder.path().join("none.gguf"), ErrorKind::Io, &["none.gguf: cannot be read"]);
    refused(folder.path(), ErrorKind::Io, &["is a folder"]);
    #[cfg(unix)]
    refused(Path::new("/dev/zero"), ErrorKind::Io, &["not a regular file"]);
    let path = folder.path().join("model.gguf");
    let bytes = raw::small().to_bytes().expect("valid");
    let cases: [(&[u8], ErrorKind, &str); 5] = [
        (b"", ErrorKind::NotGguf, "model.gguf: not a GGUF file: it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", ErrorKind::NotGguf, "git lfs pull"),
        (b"<!DOCTYPE html>", ErrorKind::NotGguf, "web page"),
        (b"GGUF\x03\0\0\0", ErrorKind::Truncated, "file ends at byte 8"),
        (&bytes[..bytes.len() - 1], ErrorKind::Truncated, "1 bytes are missing"),
    ];
    for (bytes, kind, says) in cases {
        fs::write(&path, bytes).expect("written");
        refused(&path, kind, &["model.gguf", says]);
    }
}

/// Three parts, the keys in the first.
fn split(folder: &Path) -> Vec<PathBuf> {
    raw::small().alignment(64).write_split(folder.join("m"), 3).expect("written")
}

#[test]
fn a_split_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = split(folder.path());
    let gguf = open(&paths[0]).expect("it opens");
    let whole = Gguf::from_bytes(raw::small().alignment(64).to_bytes().expect("valid")).expect("it opens");
    assert_eq!(gguf.shards().map(|shard| shard.path().map(Path::to_owned)).collect::<Vec<_>>(), {
        paths.iter().cloned().map(Some).collect::<Vec<_>>()
    });
    assert_eq!(gguf.tensors().len(), whole.tensors().len());
    for (part, tensor) in gguf.tensors().zip(whole.tensors()) {
        assert_eq!((part.name(), part.ty(), part.dims()), (tensor.name(), tensor.ty(), tensor.dims()));
        assert_eq!(part.bytes(), tensor.bytes());
        let file = fs::read(&paths[part.shard()]).expect("read");
        let range = part.file_range();
        assert_eq!(&file[range.start as usize..range.end as usize], tensor.bytes());
    }
    assert_eq!(gguf.tensors().map(|tensor| tensor.shard()).collect::<Vec<_>>(), [0, 1, 1, 2, 2]);
    for (key, value) in whole.metadata().iter() {
        assert_eq!(gguf.metadata().get(key), Some(value), "{key}");
    }
    assert_eq!(gguf.metadata().len(), whole.metadata().len() + 3);
}

/// As old archives have them; the others are found by the name of the first.
#[cfg(target_os = "linux")]
#[test]
fn parts_whose_names_are_not_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    let paths = raw::small().alignment(64).write_split(prefix, 3).expect("written");
    let gguf = open(&paths[0]).expect("it opens");
    assert_eq!(gguf.shards().map(|shard| shard.path()).collect::<Vec<_>>(), {
        paths.iter().map(|path| Some(path.as_path())).collect::<Vec<_>>()
    });
    refused(&paths[1], ErrorKind::Split, &["caf\u{fffd}-00001-of-00003.gguf"]);
}

#[test]
fn more_parts_than_tensors() {
    let folder = tempfile::tempdir().expect("a folder");
    let writer = Writer::new().metadata("a", 1u8).tensor("t", TensorType::I8, &[1], vec![5]);
    let paths = writer.write_split(folder.path().join("m"), 4).expect("written");
    let gguf = open(&paths[0]).expect("it opens");
    assert_eq!(gguf.tensor("t").map(|tensor| (tensor.shard(), tensor.bytes())), Some((3, &[5][..])));
    let one = writer.write_split(folder.path().join("one"), 1).expect("written");
    assert_eq!(open(&one[0]).expect("it opens").shards().len(), 1);
    let error = writer.write_split(folder.path().join("none"), 0).expect_err("no parts");
    assert_eq!(error.kind(), ErrorKind::Split);
}

#[test]
fn a_split_model_that_is_not_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = split(folder.path());
    refused(&paths[1], ErrorKind::Split, &["part 2 of 3", "m-00001-of-00003.gguf"]);
    let bytes = fs::read(&paths[0]).expect("read");
    let error = Gguf::from_bytes(bytes.clone()).expect_err("a part");
    assert!(error.to_string().contains("part 1 of a model split into 3"), "{error}");
    let renamed = folder.path().join("model.gguf");
    fs::write(&renamed, &bytes).expect("written");
    refused(&renamed, ErrorKind::Split, &["-00001-of-00003.gguf", "rename"]);

    let last = fs::read(&paths[2]).expect("read");
    fs::remove_file(&paths[2]).expect("removed");
    refused(&paths[0], ErrorKind::Split, &["m-00003-of-00003.gguf", "part 3 of 3", "missing"]);
    // Without the padding behind the last tensor and one byte of it.
    fs::write(&paths[2], &last[..last.len() - 33]).expect("written");
    refused(&paths[0], ErrorKind::Truncated, &["m-00003-of-00003.gguf", "1 bytes are missing"]);
    fs::write(&paths[2], b"nothing").expect("written");
    refused(&paths[0], ErrorKind::NotGguf, &["m-00003-of-00003.gguf"]);
}

#[test]
fn parts_of_different_models() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = split(folder.path());
    let second = fs::read(&paths[1]).expect("read");
    fs::copy(&paths[2], &paths[1]).expect("copied");
    refused(&paths[0], ErrorKind::Split, &["m-00002-of-00003.gguf", "\"split.no\" 2", "\"split.no\" 1"]);
    let part =
        |number: u16| Writer::new().metadata("split.no", number).metadata("split.count", 3u16).alignment(64);
    // The same tensor in two parts.
    let twice =
        part(1).tensor("vector", TensorType::I8, &[1], vec![0]).tensor("cube", TensorType::I8, &[1], vec![0]);
    fs::write(&paths[1], twice.to_bytes().expect("valid")).expect("written");
    refused(&paths[0], ErrorKind::Tensor, &["tensor \"cube\" is there twice (in parts 2 and 3)"]);
    fs::write(&paths[1], part(1).to_bytes().expect("valid")).expect("written");
    refused(&paths[0], ErrorKind::Split, &["\"split.tensors.count\" is 5", "3 files have 3 tensors"]);
    let keyless = Writer::new().tensor("x", TensorType::I8, &[1], vec![0]);
    fs::write(&paths[1], keyless.to_bytes().expect("valid")).expect("written");
    refused(&paths[0], ErrorKind::Split, &["m-00002-of-00003.gguf", "\"split.no\" absent"]);
    fs::write(&paths[1], second).expect("written");
    open(&paths[0]).expect("whole again");
}

#[test]
fn keys_of_a_split_model_that_make_no_sense() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m-00001-of-00002.gguf");
    let first = |writer: Writer| fs::write(&path, writer.to_bytes().expect("valid")).expect("written");
    first(Writer::new().metadata("split.count", 2u16));
    refused(&path, ErrorKind::Split, &["\"split.no\" is missing"]);
    first(Writer::new().metadata("split.count", "2"));
    refused(&path, ErrorKind::Split, &["\"split.count\"", "string"]);
    first(Writer::new().metadata("split.count", u64::MAX).metadata("split.no", 0u16));
    refused(&path, ErrorKind::Split, &["\"split.count\" is 18446744073709551615"]);
    first(Writer::new().metadata("split.count", 2u16).metadata("split.no", -1i32));
    refused(&path, ErrorKind::Split, &["\"split.no\"", "-1"]);
    first(Writer::new().metadata("split.count", 2u16).metadata("split.no", u64::MAX));
    refused(&path, ErrorKind::Split, &["open its first part"]);
}

#[test]
#[cfg(feature = "mmap")]
fn pages_given_back_take_no_memory_and_come_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.gguf");
    let data: Vec<u8> = (0..4u32 << 20).map(|i| ((i * 31) >> 8) as u8).collect();
    let model = Writer::new().tensor("large", TensorType::F32, &[1 << 20], data.clone());
    fs::write(&path, model.to_bytes().expect("valid")).expect("written");
    let gguf = Gguf::open(&path).expect("it opens");
    let read = || gguf.tensor("large").expect("it is there").bytes().to_vec();
    assert_eq!(read(), data);
    #[cfg(target_os = "linux")]
    assert!(resident_kb(&path) >= 4096);
    gguf.give_back_pages();
    #[cfg(target_os = "linux")]
    assert_eq!(resident_kb(&path), 0);
    assert_eq!(read(), data);
    // Of a file in memory nothing can be.
    let owned = Gguf::open_unmapped(&path).expect("it opens");
    owned.give_back_pages();
    assert_eq!(owned.tensor("large").expect("it is there").bytes(), data);
}

/// Memory that the pages of a file take in this process.
#[cfg(target_os = "linux")]
fn resident_kb(path: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").expect("Linux has it");
    let path = path.to_str().expect("UTF-8");
    let mut lines = maps.lines().skip_while(|line| !line.ends_with(path));
    let resident = lines.find_map(|line| line.strip_prefix("Rss:")).expect("it is mapped");
    resident.trim().trim_end_matches(" kB").parse().expect("a number")
}
