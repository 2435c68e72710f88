//! Files that are not GGUF: what they seem to be, and what to do.

use crate::error::{Error, ErrorKind};

/// The first 4 bytes of every GGUF file.
pub(crate) const MAGIC: &[u8; 4] = b"GGUF";

/// How many of the first bytes are enough to recognise a file.
pub(crate) const ENOUGH: usize = 64;

/// Refuses what does not begin as a GGUF file.
pub(crate) fn refuse(start: &[u8]) -> Result<(), Error> {
    if start.starts_with(MAGIC) {
        return Ok(());
    }
    let message = format!("not a GGUF file: {}", seems(start));
    Err(Error::new(ErrorKind::NotGguf, message))
}

fn seems(start: &[u8]) -> String {
    let text = start.trim_ascii_start();
    let page = |tag: &[u8]| text.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag));
    let known: &[(bool, &str)] = &[
        (start.is_empty(), "it is empty; download it again"),
        (MAGIC.starts_with(start), "it ends within its first 4 bytes; download it again"),
        (
            start.starts_with(b"version https://git-lfs"),
            "it is a Git LFS pointer, not the model itself; run `git lfs pull`, or download the file itself",
        ),
        (
            page(b"<!doctype") || page(b"<html") || page(b"<?xml"),
            "it is a web page, perhaps of a login or an error; download the file from its `resolve` link",
        ),
        (
            start.get(8) == Some(&b'{') && start.get(5..8) == Some(&[0; 3]),
            "it seems to be safetensors; convert it with llama.cpp's convert_hf_to_gguf.py",
        ),
        (
            start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02"),
            "it seems to be a PyTorch or zip file; convert it with llama.cpp's convert_hf_to_gguf.py",
        ),
        (start.starts_with(b"\x1f\x8b"), "it is gzip-compressed; unpack it with gunzip"),
        (start.starts_with(b"\x28\xb5\x2f\xfd"), "it is zstd-compressed; unpack it with unzstd"),
        (
            [b"lmgg", b"fmgg", b"tjgg", b"algg"].iter().any(|old| start.starts_with(*old)),
            "it is a GGML file from before 2023-08; get the model as GGUF",
        ),
        (start.starts_with(b"{"), "it seems to be JSON; give the path of the .gguf file"),
        (
            start.iter().all(|&byte| byte == 0),
            "it begins with zeros only, as an unfinished download does; download it again",
        ),
    ];
    let found = known.iter().find(|(is, _)| *is).map(|(_, what)| (*what).to_owned());
    found.unwrap_or_else(|| {
        let begin: Vec<String> = start.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("it begins with the bytes {} instead of 47 47 55 46 (\"GGUF\")", begin.join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_mistakes_are_recognised() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b"GGU", "first 4 bytes"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"\n <HTML>", "web page"),
            (b"\x10\x27\0\0\0\0\0\0{\"__metadata__\":{}", "safetensors"),
            (b"PK\x03\x04rest", "zip"),
            (b"\x80\x02}q\0", "PyTorch"),
            (b"\x1f\x8b\x08", "gunzip"),
            (b"\x28\xb5\x2f\xfd\0", "unzstd"),
            (b"tjgg\x03\0\0\0", "GGML"),
            (b"{\"a\":1}", "JSON"),
            (&[0; 64], "zeros"),
            (b"FUGG\0", "46 55 47 47"),
            (b"\xff", "ff"),
        ];
        for (bytes, wanted) in cases {
            let error = refuse(bytes).expect_err("not GGUF");
            assert_eq!(error.kind(), ErrorKind::NotGguf);
            assert!(error.to_string().contains(wanted), "{error} should say {wanted}");
        }
        refuse(b"GGUF").expect("the magic");
    }
}
