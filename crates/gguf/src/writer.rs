//! Writing files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Quoted};
use crate::foreign::MAGIC;
use crate::header::{self, DEFAULT_ALIGNMENT};
use crate::metadata::ALIGNMENT;
use crate::owned_value::OwnedValue;
use crate::split;
use crate::tensor_table::{TensorTable, data_bytes};
use crate::tensor_type::TensorType;
use crate::value::ValueType;

/// The version that is written: the newest.
const VERSION: u32 = 3;

/// A file to be written: keys and tensors in the order in which they are given.
///
/// Whatever the reader would refuse is refused when it is written. The result has no gaps, as llama.cpp
/// wants it.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    keys: Vec<(String, OwnedValue)>,
    tensors: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    name: String,
    ty: TensorType,
    dims: Vec<u64>,
    /// `None`: it comes when it is written.
    data: Option<Vec<u8>>,
}

impl Source {
    /// How many bytes its type and shape take, if they go together.
    fn bytes(&self) -> Result<u64, Error> {
        data_bytes(self.ty, &self.dims).map_err(|why| self.refuse(&why))
    }

    fn refuse(&self, why: &str) -> Error {
        Error::new(ErrorKind::Tensor, format!("tensor {} {why}", Quoted(self.name.as_bytes())))
    }
}

impl Writer {
    /// A file without keys and tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Places tensors at multiples of `bytes`, a power of two, instead of 32: the key `general.alignment`.
    #[must_use]
    pub fn alignment(self, bytes: u32) -> Self {
        self.metadata(ALIGNMENT, bytes)
    }

    /// Adds a key.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<OwnedValue>) -> Self {
        self.keys.push((key.into(), value.into()));
        self
    }

    /// Adds a tensor of a shape (the length of a row first, as in the file) and its data.
    #[must_use]
    pub fn tensor(mut self, name: impl Into<String>, ty: TensorType, dims: &[u64], data: Vec<u8>) -> Self {
        self.tensors.push(Source { name: name.into(), ty, dims: dims.to_vec(), data: Some(data) });
        self
    }

    /// Adds a tensor whose data [`write_streamed`](Self::write_streamed) will ask for: for models that are larger than
    /// memory.
    #[must_use]
    pub fn announce(mut self, name: impl Into<String>, ty: TensorType, dims: &[u64]) -> Self {
        self.tensors.push(Source { name: name.into(), ty, dims: dims.to_vec(), data: None });
        self
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If the reader would refuse the file or a tensor was only announced, before anything is written; or if `out`
    /// fails.
    pub fn write_to(&self, out: &mut impl Write) -> Result<(), Error> {
        let failed = |error| Error::io(None, "the file cannot be written", error);
        let plan = plan(&self.all_keys(), &self.tensors)?;
        all_here(&self.tensors)?;
        plan.write(&self.tensors, out).map_err(failed)
    }

    /// Writes the file, asking `give` for the data of each announced tensor (by its place among all tensors), in
    /// order. It writes them piece by piece; what it returns as an error ends the writing.
    ///
    /// # Errors
    /// If the reader would refuse the file, before anything is written; if `give` fails, or gives more bytes or fewer
    /// than the tensor has; or if `out` fails.
    pub fn write_streamed<E: From<Error>>(
        &self,
        out: &mut impl Write,
        mut give: impl FnMut(usize, &mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error| Error::io(None, "the file cannot be written", error);
        let plan = plan(&self.all_keys(), &self.tensors)?;
        let mut out = Counted { out, written: 0 };
        out.write_all(&plan.head).map_err(failed)?;
        for (index, (tensor, offset)) in self.tensors.iter().zip(&plan.offsets).enumerate() {
            out.pad_to(plan.data_start + offset).map_err(failed)?;
            match &tensor.data {
                Some(data) => out.write_all(data).map_err(failed)?,
                None => {
                    let before = out.written;
                    give(index, &mut out)?;
                    let (given, wanted) = (out.written - before, tensor.bytes()?);
                    if given != wanted {
                        return Err(tensor
                            .refuse(&format!("takes {wanted} bytes, and {given} were given"))
                            .into());
                    }
                }
            }
        }
        out.pad_to(plan.data_end).map_err(failed)?;
        Ok(())
    }

    fn all_keys(&self) -> Vec<(&str, &OwnedValue)> {
        self.keys.iter().map(|(key, value)| (key.as_str(), value)).collect()
    }

    /// The file as bytes.
    ///
    /// # Errors
    /// If the reader would refuse the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the file as `parts` parts, `<prefix>-00001-of-0000N.gguf` and so on, and gives their paths. All
    /// keys go to the first part; each gets as many tensors as the others, or one less. Files of these names
    /// are overwritten.
    ///
    /// # Errors
    /// If the reader would refuse the model or `parts` is 0, before anything is written; or if a file cannot
    /// be written.
    pub fn write_split(&self, prefix: impl AsRef<Path>, parts: u16) -> Result<Vec<PathBuf>, Error> {
        if parts == 0 {
            return Err(Error::new(ErrorKind::Split, "a model cannot be split into 0 files"));
        }
        // Tensors of one name in two parts would be found by neither part's own check.
        plan(&self.all_keys(), &self.tensors)?;
        all_here(&self.tensors)?;
        let count = OwnedValue::from(parts);
        // The type that llama.cpp reads.
        let total = i32::try_from(self.tensors.len())
            .map_err(|_| Error::new(ErrorKind::Split, "a split model can have at most 2^31 - 1 tensors"))?
            .into();
        let mut paths = Vec::new();
        for part in 0..parts {
            let number = OwnedValue::from(part);
            let of_part = self.keys.iter().filter(|(key, _)| part == 0 || key == ALIGNMENT);
            let mut keys: Vec<_> = of_part.map(|(key, value)| (key.as_str(), value)).collect();
            keys.extend([(split::NUMBER, &number), (split::COUNT, &count), (split::TENSORS, &total)]);
            let bound = |part: u16| self.tensors.len() * usize::from(part) / usize::from(parts);
            let tensors = &self.tensors[bound(part)..part.checked_add(1).map_or(self.tensors.len(), bound)];
            let mut path = prefix.as_ref().as_os_str().to_owned();
            path.push(split::file_ending(part, parts));
            let path = PathBuf::from(path);
            write_file(&path, &keys, tensors).map_err(|error| error.in_file(Some(&path)))?;
            paths.push(path);
        }
        Ok(paths)
    }
}

fn all_here(tensors: &[Source]) -> Result<(), Error> {
    match tensors.iter().find(|tensor| tensor.data.is_none()) {
        Some(tensor) => Err(tensor.refuse("was announced and has no data; `write_streamed` asks for it")),
        None => Ok(()),
    }
}

fn write_file(path: &Path, keys: &[(&str, &OwnedValue)], tensors: &[Source]) -> Result<(), Error> {
    let failed = |error| Error::io(Some(path), "cannot be written", error);
    let plan = plan(keys, tensors)?;
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    plan.write(tensors, &mut out).and_then(|()| out.flush()).map_err(failed)
}

/// A file before it is written: what the reader accepts.
struct Plan {
    head: Vec<u8>,
    /// Of each tensor's data, from the start of the data section.
    offsets: Vec<u64>,
    data_start: u64,
    data_end: u64,
}

fn plan(keys: &[(&str, &OwnedValue)], tensors: &[Source]) -> Result<Plan, Error> {
    let alignment = alignment(keys);
    let (head, offsets) = head(keys, tensors, alignment)?;
    let head_end = head.len() as u64;
    let data_start = if tensors.is_empty() { head_end } else { padded(head_end, alignment)? };
    // llama.cpp wants the last tensor padded, too.
    let data_end = match (tensors.last(), offsets.last()) {
        (Some(last), Some(offset)) => padded(data_start + offset + last.bytes()?, alignment)?,
        _ => data_start,
    };
    // The reader itself says what is wrong, so that the two cannot differ.
    let mut table = TensorTable::default();
    header::read(&head, data_end, 0, &mut table)?;
    table.index()?;
    Ok(Plan { head, offsets, data_start, data_end })
}

impl Plan {
    fn write(&self, tensors: &[Source], out: &mut impl Write) -> io::Result<()> {
        let mut out = Counted { out, written: 0 };
        out.write_all(&self.head)?;
        for (tensor, offset) in tensors.iter().zip(&self.offsets) {
            out.pad_to(self.data_start + offset)?;
            out.write_all(tensor.data.as_deref().unwrap_or_default())?;
        }
        out.pad_to(self.data_end)
    }
}

/// The alignment that the keys state. A wrong one is found by the reader.
fn alignment(keys: &[(&str, &OwnedValue)]) -> u64 {
    let stated = keys.iter().find(|(key, _)| *key == ALIGNMENT).map(|(_, value)| value);
    let bytes = stated
        .filter(|value| value.value_type() == ValueType::U32)
        .and_then(|value| value.bytes().try_into().ok());
    bytes.map(u32::from_le_bytes).filter(|bytes| bytes.is_power_of_two()).map_or(DEFAULT_ALIGNMENT, u64::from)
}

/// Everything before the data, and where the data of each tensor goes.
fn head(
    keys: &[(&str, &OwnedValue)],
    tensors: &[Source],
    alignment: u64,
) -> Result<(Vec<u8>, Vec<u64>), Error> {
    let mut head = MAGIC.to_vec();
    head.extend(VERSION.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((keys.len() as u64).to_le_bytes());
    for (key, value) in keys {
        append_name(&mut head, key);
        head.extend(value.value_type().id().to_le_bytes());
        head.extend(value.bytes());
    }
    let mut offset = 0u64;
    let mut offsets = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let bytes = check_data(tensor)?;
        append_name(&mut head, &tensor.name);
        head.extend((tensor.dims.len() as u32).to_le_bytes());
        tensor.dims.iter().for_each(|dim| head.extend(dim.to_le_bytes()));
        head.extend(tensor.ty.id().to_le_bytes());
        head.extend(offset.to_le_bytes());
        offsets.push(offset);
        offset = padded(offset.saturating_add(bytes), alignment)?;
    }
    Ok((head, offsets))
}

fn append_name(head: &mut Vec<u8>, name: &str) {
    head.extend((name.len() as u64).to_le_bytes());
    head.extend(name.as_bytes());
}

/// Its bytes, once what was given is found to be as many.
fn check_data(tensor: &Source) -> Result<u64, Error> {
    let wanted = tensor.bytes()?;
    if let Some(given) = tensor.data.as_ref().map(|data| data.len() as u64).filter(|given| *given != wanted) {
        let Source { ty, dims, .. } = tensor;
        let why = format!("has {given} bytes of data, but {ty} of shape {dims:?} takes {wanted}");
        return Err(tensor.refuse(&why));
    }
    Ok(wanted)
}

fn padded(bytes: u64, alignment: u64) -> Result<u64, Error> {
    let padded = bytes.checked_next_multiple_of(alignment);
    padded.ok_or_else(|| Error::new(ErrorKind::Tensor, "the file would be larger than any disk"))
}

/// Knows how far it is.
struct Counted<'a, W> {
    out: &'a mut W,
    written: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Counted<'_, W> {
    fn pad_to(&mut self, end: u64) -> io::Result<()> {
        let padding = end - self.written;
        io::copy(&mut io::Read::take(io::repeat(0), padding), self).map(drop)
    }
}
