//! The name of a vector space: a short hash over everything that decides which space a vector lies in.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use encoder::Pooling;
use gguf::{Metadata, Tensor, Value};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind};
use crate::model::Model;
use crate::request::{Input, Options};

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// Names a vector space: 16 hexadecimal digits over weights, tokenizer, pooling, heads, prompt, dimensions
/// and normalisation. The same model in another quantisation has another fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

pub(crate) fn of(
    model: &Model,
    pooling: Pooling,
    weights: Digest,
    tokenizer: Digest,
    input: &Input,
    options: &Options,
) -> Result<Fingerprint, Error> {
    // The title is the text's own: a document's prompt counts without it.
    let task = if input.title.is_some() { Some(input.effective_task(options)) } else { input.task.clone() };
    let prompt = model.prompt_for(&Input { text: String::new(), title: None, task }, options)?;
    let dimensions = model.check_dimensions(options.dimensions)?;
    let mut hash = Sha256::new();
    // A version, so that a change of this list changes every name.
    field(&mut hash, b"connote vector space 1");
    field(&mut hash, &weights);
    field(&mut hash, &tokenizer);
    field(&mut hash, pooling.name().as_bytes());
    field(&mut hash, if model.has_dense_heads() { b"heads" } else { b"no heads" });
    field(&mut hash, prompt.as_bytes());
    field(&mut hash, &(dimensions as u64).to_le_bytes());
    field(&mut hash, if options.normalize { b"unit" } else { b"raw" });
    Ok(Fingerprint(hex(&hash.finalize()[..8])))
}

/// Over every key below `tokenizer.`, in the file's order.
pub(crate) fn tokenizer(metadata: &Metadata) -> Digest {
    let mut hash = Sha256::new();
    for (key, value) in metadata.iter().filter(|(key, _)| key.starts_with("tokenizer.")) {
        field(&mut hash, key.as_bytes());
        value_into(&mut hash, value);
    }
    hash.finalize().into()
}

/// Over every tensor, by name: type, shape and bytes.
///
/// From a file by plain reads, so that hashing does not fill this process's memory with mapped pages; the
/// result is cached by path, size and time of modification.
pub(crate) fn weights(model: &Model) -> Result<Digest, Error> {
    let Some(path) = model.path() else {
        return over_tensors(model, |tensor, hash| {
            hash.update(tensor.bytes());
            Ok(())
        });
    };
    let cached = cache_entry(model, path);
    if let Some(digest) = cached.as_deref().and_then(read_digest) {
        return Ok(digest);
    }
    let mut files = Vec::new();
    for shard in model.gguf().shards() {
        let path = shard.path().unwrap_or(path);
        files.push(File::open(path).map_err(|error| unreadable(path, &error))?);
    }
    let mut buffer = vec![0; 1 << 20];
    let digest = over_tensors(model, |tensor, hash| {
        let range = tensor.file_range();
        let file = &mut files[tensor.shard()];
        file.seek(SeekFrom::Start(range.start)).map_err(|error| unreadable(path, &error))?;
        let mut left = range.end - range.start;
        while left > 0 {
            let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..part]).map_err(|error| unreadable(path, &error))?;
            hash.update(&buffer[..part]);
            left -= part as u64;
        }
        Ok(())
    })?;
    if let Some(entry) = cached {
        // The cache only saves time: where it cannot be written, the hash is computed again.
        let _ = write_aside(&entry, &hex(&digest));
    }
    Ok(digest)
}

fn over_tensors(
    model: &Model,
    mut bytes_into: impl FnMut(Tensor<'_>, &mut Sha256) -> Result<(), Error>,
) -> Result<Digest, Error> {
    let mut tensors: Vec<(&str, Digest)> = Vec::new();
    for tensor in model.gguf().tensors() {
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

/// Bytes with their length, so that two fields never read as one.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn value_into(hash: &mut Sha256, value: Value<'_>) {
    match value {
        Value::String(bytes) => field(hash, bytes),
        Value::Array(array) => {
            hash.update((array.len() as u64).to_le_bytes());
            array.iter().for_each(|element| value_into(hash, element));
        }
        number => field(hash, number.to_string().as_bytes()),
    }
}

/// Where the hash of a file is kept: named by what identifies the file now.
fn cache_entry(model: &Model, path: &Path) -> Option<PathBuf> {
    let folder = cache_folder()?.join("weights");
    let mut hash = Sha256::new();
    for shard in model.gguf().shards() {
        let path = shard.path().unwrap_or(path).canonicalize().ok()?;
        let about = path.metadata().ok()?;
        let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        field(&mut hash, path.as_os_str().as_encoded_bytes());
        field(&mut hash, &about.len().to_le_bytes());
        field(&mut hash, &modified.as_nanos().to_le_bytes());
    }
    Some(folder.join(hex(&hash.finalize()[..16])))
}

/// `$CONNOTE_CACHE_DIR`, else `connote` in the user's cache folder.
fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CONNOTE_CACHE_DIR")
        .or_else(|| Some(set("XDG_CACHE_HOME").or_else(|| set("LOCALAPPDATA"))?.join("connote")))
        .or_else(|| Some(set("HOME")?.join(".cache/connote")))
}

fn read_digest(path: &Path) -> Option<Digest> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// Writes a file under another name first, so that a reader never sees half of it.
fn write_aside(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&aside, text)?;
    std::fs::rename(&aside, path)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::ModelFile,
        format!("{}: cannot be read for its fingerprint: {error}", path.display()),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
