//! From a model to the bytes of a file: rows are read, turned into blocks by all cores, and written, some megabytes at
//! a time.

use std::io::{self, BufWriter, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gguf::{TensorType, Writer};
use kernels::encode::{encoder, overflows};
use threads::{Team, Topology};

use crate::error::Error;
use crate::file_type::FileType;
use crate::model::{Model, Tensor};

/// Values that one part of the work takes.
const PART: usize = 1 << 18;

/// How far the writing is, in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Of the whole model.
    pub done: u64,
    /// All there are.
    pub values: u64,
    /// The tensor at hand.
    pub tensor: &'a str,
}

impl Model {
    /// Writes the model as a GGUF file of `file_type`. `carry_on` is told how far it is after every few million values,
    /// and ends the writing by `false`. Memory: some values a core, whatever the size of the model.
    ///
    /// # Errors
    /// If a tensor holds what is not a number or too large for its type, if `out` fails, or if it was stopped. `out` then
    /// holds a part of a file: write to a temporary one.
    pub fn write(
        &self,
        file_type: FileType,
        out: &mut impl Write,
        mut carry_on: impl FnMut(Progress<'_>) -> bool,
    ) -> Result<(), Error> {
        let types: Vec<TensorType> = self.types(file_type)?.iter().map(|typed| typed.ty).collect();
        let mut writer = Writer::new().metadata("general.architecture", self.architecture.as_str());
        for (key, value) in &self.keys {
            writer = writer.metadata(key, value.clone());
        }
        writer = writer.metadata("general.file_type", file_type.id());
        writer = writer.metadata("general.quantization_version", 2u32);
        for (tensor, ty) in self.tensors.iter().zip(&types) {
            writer = writer.announce(&tensor.name, *ty, &tensor.dims);
        }
        let team = Team::new(Topology::detect().workers());
        let (_, values) = self.size();
        let mut done = 0;
        let mut out = BufWriter::with_capacity(1 << 20, out);
        let mut carried = |tensor: &Tensor, count: u64| {
            done += count;
            carry_on(Progress { done, values, tensor: &tensor.name })
        };
        writer.write_streamed(&mut out, |index, out: &mut dyn Write| {
            write_tensor(&self.tensors[index], types[index], &team, out, &mut carried)
        })?;
        out.flush().map_err(failed)
    }
}

fn write_tensor(
    tensor: &Tensor,
    ty: TensorType,
    team: &Team,
    out: &mut dyn Write,
    carry_on: &mut dyn FnMut(&Tensor, u64) -> bool,
) -> Result<(), Error> {
    let (width, rows) = tensor.shape();
    // Nothing to write, and no row of it.
    if width == 0 || rows == 0 {
        return Ok(());
    }
    let encode = encoder(ty);
    let row_bytes = ty.row_bytes(width as u64).expect("the type fits the shape") as usize;
    let rows_a_part = (PART / width.max(1)).max(1);
    // Several parts a thread, so that one that is slow does not hold up the others.
    let rows_a_piece = rows_a_part * 4 * team.threads();
    let mut bytes = Vec::new();
    let mut start = 0;
    while start < rows {
        let piece = start..rows.min(start + rows_a_piece);
        match (tensor.as_stored(ty), encode) {
            // What is stored as it is wanted is copied, if it holds numbers.
            (Some(stored), encode) => {
                let stored = &stored[piece.start * row_bytes..piece.end * row_bytes];
                if encode.is_some() {
                    in_parts(team, piece.clone(), rows_a_part, |rows| {
                        let mut values = vec![0.0; rows.len() * width];
                        tensor.read(rows, &mut values);
                        check(tensor, ty, &values)
                    })?;
                }
                out.write_all(stored).map_err(failed)?;
            }
            (None, Some(encode)) => {
                bytes.resize(piece.len() * row_bytes, 0);
                let slots: Vec<Mutex<&mut [u8]>> =
                    bytes.chunks_mut(rows_a_part * row_bytes).map(Mutex::new).collect();
                in_parts(team, piece.clone(), rows_a_part, |rows| {
                    let mut values = vec![0.0; rows.len() * width];
                    let slot = (rows.start - piece.start) / rows_a_part;
                    tensor.read(rows, &mut values);
                    check(tensor, ty, &values)?;
                    encode(&values, &mut slots[slot].lock().expect("no part panics"));
                    Ok(())
                })?;
                drop(slots);
                out.write_all(&bytes).map_err(failed)?;
            }
            (None, None) => {
                let name = &tensor.name;
                return Err(Error::unsupported(format!(
                    "tensor {name} would be {ty}, which connote does not write"
                )));
            }
        }
        if !carry_on(tensor, (piece.len() * width) as u64) {
            return Err(Error::stopped());
        }
        start = piece.end;
    }
    Ok(())
}

/// Calls `work` with parts of `rows` on all threads, and gives the error of the first part that had one.
fn in_parts(
    team: &Team,
    rows: std::ops::Range<usize>,
    rows_a_part: usize,
    work: impl Fn(std::ops::Range<usize>) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let hopeless = AtomicBool::new(false);
    team.run(rows.len().div_ceil(rows_a_part), &|part| {
        if hopeless.load(Ordering::Relaxed) {
            return;
        }
        let start = rows.start + part * rows_a_part;
        if let Err(error) = work(start..rows.end.min(start + rows_a_part)) {
            hopeless.store(true, Ordering::Relaxed);
            let mut failed = failed.lock().expect("no part panics");
            if failed.as_ref().is_none_or(|(first, _)| part < *first) {
                *failed = Some((part, error));
            }
        }
    });
    match failed.into_inner().expect("no part panics") {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Nothing but numbers that the type can hold.
fn check(tensor: &Tensor, ty: TensorType, values: &[f32]) -> Result<(), Error> {
    // As bits, since NaN is then larger than every number.
    let largest = values.iter().fold(0, |largest, value| largest.max(value.to_bits() & 0x7fff_ffff));
    let (largest, name) = (f32::from_bits(largest), &tensor.name);
    if !largest.is_finite() {
        return Err(Error::mismatch(format!(
            "tensor {name} holds values that are no numbers; the weights are damaged"
        )));
    }
    if overflows(ty, largest) {
        return Err(Error::unsupported(format!(
            "tensor {name} holds {largest:e}, too large for {ty}; choose BF16 or F32"
        )));
    }
    Ok(())
}

fn failed(error: io::Error) -> Error {
    Error::writing(&error)
}
