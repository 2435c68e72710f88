//! The header: everything before the data, checked.

use std::ops::Range;

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::metadata::Entry;
use crate::tensor_type::TensorType;
use crate::value::{Value, ValueType};

/// One tensor of the table.
#[derive(Debug, Clone)]
pub(crate) struct TensorInfo {
    /// Its name, in the file; UTF-8.
    pub(crate) name: Range<usize>,
    pub(crate) ty: TensorType,
    pub(crate) dims: [u64; 4],
    pub(crate) dim_count: usize,
    /// Its bytes, in the file.
    pub(crate) data: Range<usize>,
}

/// A file's header.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) alignment: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tensors: Vec<TensorInfo>,
}

const DEFAULT_ALIGNMENT: u64 = 32;
/// Longest key and longest tensor name, in bytes, as the format's own reader has them.
const LONGEST_KEY: usize = u16::MAX as usize;
const LONGEST_NAME: usize = 63;

impl Header {
    /// Reads and checks the header of a file of `length` bytes, of which `bytes` are there (all of them, or
    /// at least the header).
    ///
    /// Keys and tensors are walked twice: first to check them, then, their number being known to be true, to
    /// remember them. So a count that lies allocates nothing.
    pub(crate) fn read(bytes: &[u8], length: usize) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes, 0);
        let version = magic_and_version(&mut cursor)?;
        let tensor_count = count(&mut cursor, "the number of tensors")?;
        let key_count = count(&mut cursor, "the number of keys")?;

        let keys_at = cursor.clone();
        (0..key_count).try_for_each(|_| read_entry(&mut cursor).map(drop))?;
        let mut entries = Vec::with_capacity(key_count);
        let mut again = keys_at;
        for _ in 0..key_count {
            entries.push(read_entry(&mut again)?);
        }
        let alignment = alignment(bytes, &entries)?;

        let tensors_at = cursor.clone();
        (0..tensor_count).try_for_each(|_| read_tensor(&mut cursor).map(drop))?;
        let data_at = match tensor_count {
            0 => cursor.at() as u64,
            _ => align(cursor.at() as u64, alignment).ok_or_else(|| Error::malformed("the data begins past any file's end"))?,
        };
        let mut tensors = Vec::with_capacity(tensor_count);
        let mut again = tensors_at;
        for _ in 0..tensor_count {
            tensors.push(place(bytes, read_tensor(&mut again)?, data_at, alignment, length as u64)?);
        }
        check_overlap(bytes, &tensors)?;
        Ok(Self { version, alignment, entries, tensors })
    }
}

pub(crate) fn align(at: u64, alignment: u64) -> Option<u64> {
    at.checked_next_multiple_of(alignment)
}

fn magic_and_version(cursor: &mut Cursor<'_>) -> Result<u32, Error> {
    let start = &cursor.rest()[..cursor.remaining().min(64)];
    if !start.starts_with(b"GGUF") {
        return Err(Error::new(ErrorKind::NotGguf, not_gguf(start)));
    }
    cursor.take(4, "the magic number")?;
    let version = cursor.u32("the version")?;
    let message = match version {
        2 | 3 => return Ok(version),
        1 => "the file is GGUF version 1, which nothing writes any more; convert the model again".to_owned(),
        v if v & 0xffff == 0 => "the file is big-endian; convert it with gguf_convert_endian.py".to_owned(),
        v => format!("the file is GGUF version {v}; versions 2 and 3 can be read"),
    };
    Err(Error::new(ErrorKind::Version, message))
}

/// What a file that is no GGUF file seems to be.
fn not_gguf(start: &[u8]) -> String {
    let is = |prefix: &[u8]| start.starts_with(prefix);
    let guess = if start.is_empty() {
        "the file is empty; was it downloaded to its end?"
    } else if is(b"version https://git-lfs") {
        "the file is a git-lfs pointer, not the model; fetch the file itself with `git lfs pull`"
    } else if is(b"<") || is(b"\n<") {
        "the file is a web page, not a model; was the link to the file itself?"
    } else if is(b"PK\x03\x04") {
        "the file is a zip archive (or a PyTorch checkpoint), not GGUF"
    } else if start.len() > 8 && start[8] == b'{' {
        "the file is a safetensors file, not GGUF; convert it with convert_hf_to_gguf.py"
    } else if is(b"ggml") || is(b"lmgg") || is(b"fmgg") || is(b"tjgg") {
        "the file is of the GGML format from before GGUF; convert the model again"
    } else {
        "the file is not GGUF: it does not begin with those letters"
    };
    guess.to_owned()
}

fn count(cursor: &mut Cursor<'_>, what: &str) -> Result<usize, Error> {
    let at = cursor.at();
    let count = cursor.u64(what)?;
    // The smallest key takes 14 bytes and the smallest tensor 25.
    if count > cursor.remaining() as u64 / 13 {
        let message = format!(
            "{what} at byte {at} is {count}, more than the {} bytes that follow can hold; the file is cut short or damaged",
            cursor.remaining()
        );
        return Err(Error::new(ErrorKind::Truncated, message));
    }
    Ok(count as usize)
}

fn read_entry(cursor: &mut Cursor<'_>) -> Result<Entry, Error> {
    let at = cursor.at();
    let key = cursor.string("a key")?;
    let text = std::str::from_utf8(key).map_err(|_| Error::malformed(format!("the key at byte {at} is not UTF-8")))?;
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Error::malformed(format!("the key at byte {at} has {} bytes; 1 to {LONGEST_KEY} are allowed", key.len())));
    }
    let key_at = cursor.at() - key.len();
    // The name of the key is only put together when there is something to say of it.
    let named = |error: Error| Error::new(error.kind(), format!("key `{text}`: {error}"));
    let ty = cursor.value_type("its value").map_err(named)?;
    cursor.skip_value(ty, "its value").map_err(named)?;
    Ok(Entry { key_at, key_bytes: key.len() as u32, ty })
}

fn alignment(bytes: &[u8], entries: &[Entry]) -> Result<u64, Error> {
    let key = "general.alignment";
    let is_it = |entry: &&Entry| &bytes[entry.key_at..][..entry.key_bytes as usize] == key.as_bytes();
    let Some(entry) = entries.iter().find(is_it) else { return Ok(DEFAULT_ALIGNMENT) };
    let at = entry.key_at + key.len() + 4;
    match (entry.ty, Value::read(&mut Cursor::new(bytes, at), entry.ty)) {
        (ValueType::U32, Some(Value::U32(alignment))) if alignment.is_power_of_two() => Ok(alignment.into()),
        (_, value) => {
            let found = value.map_or_else(|| "unreadable".to_owned(), |value| format!("{value} ({})", value.value_type()));
            Err(Error::malformed(format!("key `{key}` is {found}; it must be a power of two of type u32")))
        }
    }
}

/// A tensor as the table has it, its place not checked yet.
struct Listed {
    name: Range<usize>,
    ty: TensorType,
    dims: [u64; 4],
    dim_count: usize,
    offset: u64,
    bytes: u64,
}

fn read_tensor(cursor: &mut Cursor<'_>) -> Result<Listed, Error> {
    let at = cursor.at();
    let name = cursor.string("a tensor's name")?;
    let text = std::str::from_utf8(name).map_err(|_| Error::malformed(format!("the tensor name at byte {at} is not UTF-8")))?;
    if name.len() > LONGEST_NAME {
        return Err(Error::malformed(format!("the tensor name at byte {at} has {} bytes; {LONGEST_NAME} are allowed", name.len())));
    }
    let range = cursor.at() - name.len()..cursor.at();
    let wrong = |what: String| Error::malformed(format!("tensor `{text}`: {what}"));
    let named = |error: Error| Error::new(error.kind(), format!("tensor `{text}`: {error}"));
    let dim_count = cursor.u32("the number of dimensions").map_err(named)?;
    if dim_count > 4 {
        return Err(wrong(format!("{dim_count} dimensions; at most 4 are allowed")));
    }
    let mut dims = [1u64; 4];
    for dim in &mut dims[..dim_count as usize] {
        *dim = cursor.u64("a dimension").map_err(named)?;
        if *dim > i64::MAX as u64 {
            return Err(wrong(format!("a dimension is {}", *dim as i64)));
        }
    }
    let id = cursor.u32("the type").map_err(named)?;
    let offset = cursor.u64("the offset").map_err(named)?;
    let ty = TensorType::from_id(id).ok_or_else(|| {
        let removed = TensorType::removed(id).map(|what| format!("is of type {what}"));
        wrong(removed.unwrap_or_else(|| format!("is of type {id}, which connote does not know")))
    })?;
    let rows = dims[1..].iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
    let row = ty.row_bytes(dims[0]).ok_or_else(|| {
        wrong(format!("rows of {} values are no whole blocks of {} ({ty})", dims[0], ty.block_elements()))
    })?;
    let elements = rows.and_then(|rows| rows.checked_mul(dims[0])).filter(|&elements| elements <= i64::MAX as u64);
    let bytes = rows.and_then(|rows| rows.checked_mul(row)).filter(|_| elements.is_some());
    let bytes = bytes.ok_or_else(|| wrong(format!("{:?} is too large for any file", &dims[..dim_count as usize])))?;
    Ok(Listed { name: range, ty, dims, dim_count: dim_count as usize, offset, bytes })
}

/// Checks that a tensor's bytes are in the file. Order and gaps are the writer's business: llama.cpp wants
/// none, other writers leave some.
fn place(bytes: &[u8], listed: Listed, data_at: u64, alignment: u64, length: u64) -> Result<TensorInfo, Error> {
    let Listed { name, ty, dims, dim_count, offset, bytes: size } = listed;
    let text = || String::from_utf8_lossy(&bytes[name.clone()]).into_owned();
    if !offset.is_multiple_of(alignment) {
        return Err(Error::malformed(format!("tensor `{}`: offset {offset} is no multiple of the alignment {alignment}", text())));
    }
    let start = data_at.checked_add(offset);
    let end = start.and_then(|start| start.checked_add(size));
    match (start, end) {
        (Some(start), Some(end)) if end <= length => {
            Ok(TensorInfo { name, ty, dims, dim_count, data: start as usize..end as usize })
        }
        (_, end) => {
            let missing = end.map_or_else(|| "any number of".to_owned(), |end| (end - length).to_string());
            let message = format!(
                "tensor `{}`: its data ends {missing} bytes past the end of the file ({length} bytes); was it downloaded to its end?",
                text()
            );
            Err(Error::new(ErrorKind::Truncated, message))
        }
    }
}

fn check_overlap(bytes: &[u8], tensors: &[TensorInfo]) -> Result<(), Error> {
    let text = |index: u32| String::from_utf8_lossy(&bytes[tensors[index as usize].name.clone()]).into_owned();
    let mut order: Vec<u32> = (0..tensors.len() as u32).filter(|&i| !tensors[i as usize].data.is_empty()).collect();
    order.sort_unstable_by_key(|&index| tensors[index as usize].data.start);
    for pair in order.windows(2) {
        let [a, b] = [pair[0], pair[1]];
        if tensors[b as usize].data.start < tensors[a as usize].data.end {
            return Err(Error::malformed(format!("tensors `{}` and `{}` lie on the same bytes", text(a), text(b))));
        }
    }
    Ok(())
}
