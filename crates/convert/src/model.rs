//! A model on its way into a file: keys, and tensors whose values are read when they are written.

use std::ops::Range;
use std::sync::Arc;

use gguf::{Bytes, OwnedValue, TensorType};
use kernels::decode::decoder;

use crate::error::Error;
use crate::file_type::FileType;
use crate::mixture;

/// A model that can be written in any [`FileType`].
#[derive(Debug)]
pub struct Model {
    pub(crate) architecture: String,
    /// All keys of the file but the type of its tensors, which is chosen when it is written.
    pub(crate) keys: Vec<(String, OwnedValue)>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) notes: Vec<String>,
    pub(crate) kv_sharing: usize,
    pub(crate) experts: usize,
}

/// One tensor of the file to be.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// The length of a row first, as in GGUF.
    pub(crate) dims: Vec<u64>,
    pub(crate) values: Values,
}

/// Where values come from.
#[derive(Debug)]
pub(crate) enum Values {
    /// Rows of a file, `rows` saying which becomes which; each value has `plus` added.
    Stored { bytes: Stored, rows: RowOrder, plus: f32 },
    /// Computed from the configuration.
    Made(Vec<f32>),
}

/// A tensor in a mapped file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) file: Source,
    pub(crate) range: Range<usize>,
    pub(crate) ty: TensorType,
}

/// The mapped file.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Bytes(Arc<Bytes>),
    Gguf(gguf::Gguf, usize),
}

impl Stored {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.file {
            Source::Bytes(bytes) => &bytes[self.range.clone()],
            Source::Gguf(gguf, index) => gguf.tensors().nth(*index).map_or(&[], |tensor| tensor.bytes()),
        }
    }
}

/// Which stored row becomes row `r`.
#[derive(Debug, Clone)]
pub(crate) enum RowOrder {
    Same,
    /// The first rows are left out.
    From(usize),
    /// Rows of each head whose halves belong together become neighbours, for RoPE over neighbouring pairs.
    NeighbouringPairs {
        head_dim: usize,
    },
    /// These rows.
    Picked(Vec<usize>),
    /// Each of a row of matrices of `inputs` rows is turned: `out[matrix][output][input] = stored[matrix][input][output]`.
    Turned {
        inputs: usize,
        outputs: usize,
    },
}

impl Tensor {
    /// Values in a row, and rows.
    pub(crate) fn shape(&self) -> (usize, usize) {
        let width = self.dims.first().copied().unwrap_or(1) as usize;
        (width, self.dims.iter().skip(1).product::<u64>() as usize)
    }

    /// Whether another tensor holds the same numbers in the same order.
    pub(crate) fn is_same(&self, other: &Tensor) -> bool {
        match (&self.values, &other.values) {
            (Values::Stored { bytes: a, .. }, Values::Stored { bytes: b, .. }) => {
                self.dims == other.dims && a.ty == b.ty && a.bytes() == b.bytes()
            }
            (Values::Made(a), Values::Made(b)) => self.dims == other.dims && a == b,
            _ => false,
        }
    }

    /// The values of rows `rows`, as f32.
    pub(crate) fn read(&self, rows: Range<usize>, out: &mut [f32]) {
        let (width, _) = self.shape();
        match &self.values {
            Values::Made(values) => out.copy_from_slice(&values[rows.start * width..rows.end * width]),
            Values::Stored { bytes, rows: order, plus } => {
                read_stored(bytes, order, width, rows, out);
                if *plus != 0.0 {
                    out.iter_mut().for_each(|value| *value += plus);
                }
            }
        }
    }

    /// The bytes of rows as they are stored, where the type is the one that is wanted and nothing is changed.
    pub(crate) fn as_stored(&self, ty: TensorType) -> Option<&[u8]> {
        match &self.values {
            Values::Stored { bytes, rows: RowOrder::Same, plus: 0.0 } if bytes.ty == ty => {
                Some(bytes.bytes())
            }
            _ => None,
        }
    }
}

fn read_stored(stored: &Stored, order: &RowOrder, width: usize, rows: Range<usize>, out: &mut [f32]) {
    let decode = decoder(stored.ty).expect("only types with a decoder are opened");
    let bytes = stored.bytes();
    let row_bytes = width / stored.ty.block_elements() * stored.ty.block_bytes();
    let row = |from: usize, out: &mut [f32]| decode(&bytes[from * row_bytes..(from + 1) * row_bytes], out);
    match order {
        RowOrder::Same => decode(&bytes[rows.start * row_bytes..rows.end * row_bytes], out),
        RowOrder::From(first) => {
            decode(&bytes[(rows.start + first) * row_bytes..(rows.end + first) * row_bytes], out);
        }
        RowOrder::NeighbouringPairs { head_dim } => {
            for (r, out) in rows.zip(out.chunks_exact_mut(width)) {
                let (head, within) = (r / head_dim, r % head_dim);
                row(head * head_dim + within % 2 * (head_dim / 2) + within / 2, out);
            }
        }
        RowOrder::Picked(picked) => {
            for (&from, out) in picked[rows].iter().zip(out.chunks_exact_mut(width)) {
                row(from, out);
            }
        }
        RowOrder::Turned { inputs, outputs } => {
            // Here a stored row is `outputs` long, and `width` is `inputs`.
            let size = stored.ty.block_bytes();
            for (r, out) in rows.zip(out.chunks_exact_mut(width)) {
                let (matrix, output) = (r / outputs, r % outputs);
                for (input, out) in out.iter_mut().enumerate() {
                    let at = ((matrix * inputs + input) * outputs + output) * size;
                    decode(&bytes[at..at + size], std::slice::from_mut(out));
                }
            }
        }
    }
}

impl Model {
    /// What a reader should know: what was left out, and what could not be said in GGUF.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// `general.architecture`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// How many tensors there are, and how many values in them.
    pub fn size(&self) -> (usize, u64) {
        (self.tensors.len(), self.tensors.iter().map(|tensor| tensor.dims.iter().product::<u64>()).sum())
    }

    /// The type of each tensor in a file of `file_type`, by llama.cpp's rules, with why it is not the type that the
    /// file is called by, where a shape forbids it.
    ///
    /// # Errors
    /// If a tensor has a type that cannot be read as numbers.
    pub fn types(&self, file_type: FileType) -> Result<Vec<Typed<'_>>, Error> {
        mixture::choose(self, file_type)
    }
}

/// The type that a tensor gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed<'a> {
    /// The tensor.
    pub name: &'a str,
    /// Its shape, the length of a row first.
    pub dims: &'a [u64],
    /// Its type.
    pub ty: TensorType,
    /// The type that its row length does not allow.
    pub instead_of: Option<TensorType>,
}
