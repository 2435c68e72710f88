//! Files that are wrong in one way each: refused, with an error that says where.

mod raw;

use connote_gguf::{Error, ErrorKind, Gguf, TensorType, Writer};
use raw::{Raw, array, string};

const U8: u32 = 0;
const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const F32: u32 = 0;

/// The error of a file that must be refused; it must say all of `says`.
#[track_caller]
fn refused(file: &Raw, kind: ErrorKind, says: &[&str]) {
    check(Gguf::from_bytes(file.bytes()).expect_err("the file is malformed"), kind, says);
}

#[track_caller]
fn check(error: Error, kind: ErrorKind, says: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in says {
        assert!(error.to_string().contains(part), "{error:?} should say {part:?}");
    }
}

#[test]
fn what_the_cases_are_made_of_is_valid() {
    raw::touch(&Raw::new().open().expect("empty"));
    let file = Raw::new().key(b"k", U8, &[1]).tensor(b"t", &[8], F32, 0).data(32);
    raw::touch(&file.open().expect("a key and a tensor"));
}

#[test]
fn magic_and_version() {
    refused(&Raw { magic: *b"FUGG", ..Raw::new() }, ErrorKind::NotGguf, &["46 55 47 47"]);
    for (version, says) in [
        (0, "version 0 does not exist"),
        (1, "version 1"),
        (4, "version 4 is newer"),
        (u32::MAX, "is newer"),
        (2 << 24, "big-endian (version 2)"),
        (3 << 24, "big-endian (version 3)"),
    ] {
        refused(&Raw { version, ..Raw::new() }, ErrorKind::UnsupportedVersion, &[says]);
    }
}

#[test]
fn counts() {
    let base = Raw::new().key(b"k", U8, &[1]).tensor(b"t", &[8], F32, 0).data(32);
    for count in [u64::MAX, 1 << 63, 1 << 62, 1 << 32, 1000] {
        let signed = (count as i64).to_string();
        refused(&Raw { key_count: count, ..base.clone() }, ErrorKind::Truncated, &[&signed, "keys"]);
        refused(&Raw { tensor_count: count, ..base.clone() }, ErrorKind::Truncated, &[&signed, "tensors"]);
    }
    // One more than there are: the next thing is no key, or no tensor.
    assert!(Raw { key_count: 2, ..base.clone() }.open().is_err());
    assert!(Raw { tensor_count: 2, ..base.clone() }.open().is_err());
}

#[test]
fn key_names() {
    let with = |name: &[u8]| Raw::new().key(name, U8, &[1]);
    refused(&with(b""), ErrorKind::Key, &["key 0 at byte 24 has no name"]);
    refused(&with(b"a\xff"), ErrorKind::Key, &["key 0 at byte 24 is not UTF-8"]);
    refused(&with(&[b'a'; 65536]), ErrorKind::Key, &["65536 bytes long"]);
    with(&[b'a'; 65535]).open().expect("the longest name");
    refused(
        &with(b"x").key(b"same", U8, &[1]).key(b"same", U8, &[1]),
        ErrorKind::Key,
        &["key \"same\" is there twice"],
    );
    for length in [u64::MAX, 1 << 62, 1 << 30, 100] {
        let mut file = with(b"name");
        file.keys[..8].copy_from_slice(&length.to_le_bytes());
        refused(&file, ErrorKind::Truncated, &["name of key 0", &length.to_string(), "from byte 32"]);
    }
}

#[test]
fn values() {
    for id in [13, 14, 255, u32::MAX] {
        refused(
            &Raw::new().key(b"k", id, &[1; 16]),
            ErrorKind::Key,
            &["key \"k\"", &format!("type {id} at byte 33")],
        );
        let of = array(id, 1, &[1; 8]);
        refused(
            &Raw::new().key(b"k", ARRAY, &of),
            ErrorKind::Key,
            &["key \"k\"", &format!("type {id} at byte 37")],
        );
    }
    let nested = array(ARRAY, 1, &array(U8, 1, &[1]));
    refused(&Raw::new().key(b"k", ARRAY, &nested), ErrorKind::Key, &["key \"k\"", "array of arrays"]);
    for length in [u64::MAX, 1 << 62, 1 << 30, 5] {
        let mut text = string(b"four");
        text[..8].copy_from_slice(&length.to_le_bytes());
        refused(
            &Raw::new().key(b"k", STRING, &text),
            ErrorKind::Truncated,
            &["key \"k\"", &length.to_string()],
        );
        let texts = array(STRING, 1, &text);
        refused(
            &Raw::new().key(b"k", ARRAY, &texts),
            ErrorKind::Truncated,
            &["key \"k\"", &length.to_string()],
        );
    }
    for id in 0..13 {
        for count in [u64::MAX, 1 << 61, 1 << 30, 1000] {
            let short = array(id, count, &[0; 16]);
            let kind = if id == ARRAY { ErrorKind::Key } else { ErrorKind::Truncated };
            refused(&Raw::new().key(b"k", ARRAY, &short), kind, &["key \"k\""]);
        }
    }
}

#[test]
fn alignment() {
    let with = |value_type, value: &[u8]| Raw::new().key(b"general.alignment", value_type, value);
    for bytes in [0u32, 3, 48, u32::MAX] {
        refused(
            &with(U32, &bytes.to_le_bytes()),
            ErrorKind::Key,
            &["general.alignment", &bytes.to_string(), "power of two"],
        );
    }
    refused(&with(10, &64u64.to_le_bytes()), ErrorKind::Key, &["general.alignment", "type u64", "u32"]);
    refused(&with(STRING, &string(b"64")), ErrorKind::Key, &["general.alignment", "type string"]);
    // Data placed for 32 where the file says 64.
    let inconsistent = with(U32, &64u32.to_le_bytes()).tensor(b"a", &[8], F32, 0).tensor(b"b", &[8], F32, 32);
    refused(&inconsistent.data(128), ErrorKind::Tensor, &["tensor \"b\"", "no multiple of 64"]);
    // The start of the data, rounded up, is far behind the end.
    let far = with(U32, &(1u32 << 31).to_le_bytes()).tensor(b"a", &[8], F32, 0).data(32);
    refused(&far, ErrorKind::Truncated, &["bytes are missing", "\"a\""]);
}

#[test]
fn tensor_names() {
    let with = |name: &[u8]| Raw::new().tensor(name, &[8], F32, 0).data(64);
    refused(&with(b""), ErrorKind::Tensor, &["name of tensor 0 at byte 24 is empty"]);
    refused(&with(&[b'n'; 64]), ErrorKind::Tensor, &["64 bytes long"]);
    refused(&with(b"\xc3"), ErrorKind::Tensor, &["tensor 0", "not UTF-8"]);
    with(&[b'n'; 63]).open().expect("the longest name");
    refused(&with(b"n").tensor(b"n", &[8], F32, 32), ErrorKind::Tensor, &["tensor \"n\" is there twice"]);
}

#[test]
fn shapes() {
    let with = |dims: &[u64], ty| Raw::new().tensor(b"t", dims, ty, 0).data(4096);
    refused(&with(&[1; 5], F32), ErrorKind::Tensor, &["tensor \"t\"", "5 dimensions"]);
    let mut many = with(&[8], F32);
    many.tensors[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(&many, ErrorKind::Tensor, &["tensor \"t\"", "4294967295 dimensions"]);
    refused(&with(&[8, u64::MAX], F32), ErrorKind::Tensor, &["tensor \"t\"", "-1, which is negative"]);
    // The number of values, then only the number of bytes, exceeds what can be counted.
    for dims in [&[1 << 32, 1 << 31][..], &[1 << 62, 4], &[3, 1 << 62], &[1 << 20, 1 << 20, 1 << 20, 1 << 20]]
    {
        refused(&with(dims, F32), ErrorKind::Tensor, &["tensor \"t\"", "larger than any memory"]);
    }
    refused(&with(&[1 << 62], F32), ErrorKind::Tensor, &["tensor \"t\"", "larger than any memory"]);
    // A row is not a whole number of blocks, though the tensor is.
    for (dims, ty) in
        [(&[16, 2][..], TensorType::Q8_0), (&[128, 2], TensorType::Q4_K), (&[], TensorType::Q8_0)]
    {
        refused(&with(dims, ty.id()), ErrorKind::Tensor, &["tensor \"t\"", "multiple of", ty.name()]);
    }
    for dims in [&[0][..], &[8, 0], &[0, 1 << 62, 1 << 62], &[]] {
        let gguf = with(dims, F32).open().expect("none, or one value");
        assert_eq!(gguf.tensor_at(0).elements(), u64::from(dims.is_empty()));
        raw::touch(&gguf);
    }
}

#[test]
fn tensor_types() {
    let with = |id| Raw::new().tensor(b"t", &[256], id, 0).data(4096);
    for (id, name, instead) in [
        (4, "Q4_2", "convert"),
        (5, "Q4_3", "convert"),
        (31, "Q4_0_4_4", "get the Q4_0 file"),
        (32, "Q4_0_4_8", "get the Q4_0 file"),
        (33, "Q4_0_8_8", "get the Q4_0 file"),
        (36, "IQ4_NL_4_4", "get the IQ4_NL file"),
        (37, "IQ4_NL_4_8", "get the IQ4_NL file"),
        (38, "IQ4_NL_8_8", "get the IQ4_NL file"),
        (43, "id 43", "newer"),
        (u32::MAX, "id 4294967295", "damaged"),
    ] {
        refused(&with(id), ErrorKind::TensorType, &["tensor \"t\"", name, instead]);
    }
}

#[test]
fn places_of_data() {
    let two = |second: u64| Raw::new().tensor(b"a", &[16], F32, 0).tensor(b"b", &[8], F32, second).data(128);
    raw::touch(&two(64).open().expect("in order"));
    raw::touch(&two(96).open().expect("with a gap"));
    refused(&two(32), ErrorKind::Tensor, &["\"a\"", "\"b\"", "overlap"]);
    refused(&two(0), ErrorKind::Tensor, &["\"a\"", "\"b\"", "overlap"]);
    refused(&two(68), ErrorKind::Tensor, &["\"b\"", "no multiple of 32"]);
    refused(&two(128), ErrorKind::Truncated, &["32 bytes are missing", "1 tensor ", "\"b\""]);
    refused(&two(u64::MAX - 31), ErrorKind::Tensor, &["\"b\"", "beyond any file"]);
    refused(&two(1 << 63), ErrorKind::Truncated, &["bytes are missing", "\"b\""]);
    let reversed = Raw::new().tensor(b"a", &[8], F32, 64).tensor(b"b", &[16], F32, 0).data(96);
    let gguf = reversed.open().expect("in any order");
    assert_eq!(gguf.tensor("a").map(|tensor| tensor.bytes()[0]), Some(64));
    // A tensor without values takes no place, but must have one.
    raw::touch(&two(64).tensor(b"none", &[0], F32, 32).open().expect("nothing overlaps with nothing"));
    refused(&two(64).tensor(b"none", &[0], F32, 1 << 20), ErrorKind::Truncated, &["\"none\""]);
}

#[test]
fn missing_data_is_counted() {
    let mut file = Raw::new().tensor(b"a", &[16], F32, 0).tensor(b"b", &[16], F32, 64).data(128);
    file.data.truncate(10);
    refused(&file, ErrorKind::Truncated, &["118 bytes are missing", "2 tensors", "\"a\"", "get it again"]);
}

#[test]
fn hostile_names_are_shown_escaped_and_short() {
    let name = [b"\x1b[2J\n".as_slice(), &[b'x'; 5000]].concat();
    let error = Raw::new().key(&name, 99, &[]).open().expect_err("an unknown type");
    assert!(error.to_string().len() < 400 && !error.to_string().contains(['\x1b', '\n']), "{error}");
}

/// Whatever the reader refuses, the writer does.
#[test]
fn the_writer_refuses_it_too() {
    let cases = [
        (Writer::new().metadata("", 1u8), ErrorKind::Key, "no name"),
        (Writer::new().metadata("a", 1u8).metadata("a", "b"), ErrorKind::Key, "twice"),
        (Writer::new().metadata("a".repeat(65536), 1u8), ErrorKind::Key, "65536"),
        (Writer::new().alignment(24), ErrorKind::Key, "power of two"),
        (Writer::new().metadata("general.alignment", 64u64), ErrorKind::Key, "must be u32"),
        (Writer::new().tensor("", TensorType::I8, &[1], vec![0]), ErrorKind::Tensor, "empty"),
        (Writer::new().tensor("t".repeat(64), TensorType::I8, &[1], vec![0]), ErrorKind::Tensor, "64"),
        (Writer::new().tensor("t", TensorType::I8, &[1; 5], vec![0]), ErrorKind::Tensor, "5 dimensions"),
        (Writer::new().tensor("t", TensorType::F32, &[2], vec![0]), ErrorKind::Tensor, "takes 8"),
        (
            Writer::new().tensor("t", TensorType::Q8_0, &[16, 2], vec![0; 34]),
            ErrorKind::Tensor,
            "multiple of 32",
        ),
        (Writer::new().tensor("t", TensorType::F64, &[1 << 62], vec![]), ErrorKind::Tensor, "larger"),
        (
            Writer::new().tensor("t", TensorType::I8, &[1], vec![0]).tensor(
                "t",
                TensorType::I8,
                &[1],
                vec![0],
            ),
            ErrorKind::Tensor,
            "twice",
        ),
    ];
    for (writer, kind, says) in cases {
        let mut written = Vec::new();
        check(writer.write_to(&mut written).expect_err("malformed"), kind, &[says]);
        assert!(written.is_empty(), "nothing may be written of a file that is refused");
    }
}
