//! The head of a file: magic, version, counts, keys, tensor table.

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::foreign;
use crate::metadata::{ALIGNMENT, Keys};
use crate::tensor_table::TensorTable;
use crate::value::Value;

/// Where a file does not say how its tensor data is aligned.
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;

/// A key takes at least this: the length of its name, a type, a value of a byte.
const LEAST_KEY_BYTES: u64 = 8 + 4 + 1;

/// A tensor takes at least this: the length of its name, no dimensions, a type, an offset.
const LEAST_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// What the head of a file says.
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) alignment: u64,
    pub(crate) keys: Keys,
}

/// Reads the head of part number `shard`, a file of `file_bytes` of which `head` is at least the head, and
/// appends its tensors to the table.
pub(crate) fn read(
    head: &[u8],
    file_bytes: u64,
    shard: u16,
    table: &mut TensorTable,
) -> Result<Header, Error> {
    foreign::refuse(&head[..head.len().min(foreign::ENOUGH)])?;
    let mut cursor = Cursor::at(head, foreign::MAGIC.len());
    let version = cursor.u32(&"the version")?;
    check_version(version)?;
    let tensor_count = cursor.u64(&"the number of tensors")?;
    let key_count = cursor.u64(&"the number of keys")?;
    check_count(&cursor, "keys", key_count, LEAST_KEY_BYTES)?;
    check_count(&cursor, "tensors", tensor_count, LEAST_TENSOR_BYTES)?;
    let mut keys = Keys::default();
    for _ in 0..key_count {
        keys.read(&mut cursor)?;
    }
    keys.index()?;
    let alignment = alignment(keys.value(ALIGNMENT, head))?;
    table.read(&mut cursor, tensor_count, alignment, shard)?;
    table.place(cursor.position(), file_bytes, alignment, shard)?;
    Ok(Header { version, alignment, keys })
}

fn check_version(version: u32) -> Result<(), Error> {
    let why = match version {
        2 | 3 => return Ok(()),
        0 => "version 0 does not exist; the file is damaged".to_owned(),
        1 => "version 1 (August 2023) is not read any more; get a newer file, or convert the model again"
            .to_owned(),
        // llama.cpp tells byte orders apart by this and nothing else.
        swapped if swapped & 0xffff == 0 => format!(
            "the file is big-endian (version {}); convert it with gguf-py's gguf_convert_endian.py, or get the \
             little-endian file",
            swapped.swap_bytes()
        ),
        newer => format!("version {newer} is newer than this program, which reads 2 and 3; update connote"),
    };
    Err(Error::new(ErrorKind::UnsupportedVersion, format!("GGUF {why}")))
}

/// Nothing is allocated by a count alone, but a wrong one should be named as such.
fn check_count(cursor: &Cursor<'_>, what: &str, count: u64, least_bytes: u64) -> Result<(), Error> {
    if count <= cursor.left() / least_bytes {
        return Ok(());
    }
    let (signed, left) = (count.cast_signed(), cursor.left());
    let message = format!(
        "the file declares {signed} {what}, but has only {left} bytes behind its first 24; it is damaged or its \
         download incomplete: get it again"
    );
    Err(Error::new(ErrorKind::Truncated, message))
}

/// The alignment that the file states, or the default. Not tolerant of other integer types: nobody else
/// is, and the place of every tensor hangs on it.
fn alignment(stated: Option<Value<'_>>) -> Result<u64, Error> {
    match stated {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(bytes)) if bytes.is_power_of_two() => Ok(bytes.into()),
        Some(Value::U32(bytes)) => Err(Error::new(
            ErrorKind::Key,
            format!("key \"{ALIGNMENT}\" is {bytes}, but must be a power of two; the file is damaged"),
        )),
        Some(other) => Err(Error::new(
            ErrorKind::Key,
            format!("key \"{ALIGNMENT}\" is of type {}, but must be u32", other.value_type()),
        )),
    }
}
