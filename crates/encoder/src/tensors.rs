//! Tensors out of a file: by name, with their shape checked, remembering which were read.

use std::cell::RefCell;
use std::ops::Range;

use gguf::{Gguf, Tensor};
use kernels::decode::{Affine, DecodeIntegers, Float16, Grain, decoder, integer_decoder};
use kernels::{Layout, Order, Part, Stored, Weights};

use crate::compute::Compute;
use crate::error::Error;
use crate::rope::Pairs;

/// Reads tensors and keeps account of what was read.
pub(crate) struct Tensors<'a> {
    gguf: &'a Gguf,
    read: RefCell<Vec<bool>>,
    /// Whether the network has experts. A router that stands near an edge takes another expert for any rounding, so its integers are
    /// those of the decoded weights, rounded once, and not made of the file's bytes, which rounds twice.
    has_experts: bool,
}

impl<'a> Tensors<'a> {
    pub(crate) fn new(gguf: &'a Gguf, has_experts: bool) -> Self {
        Self { gguf, read: RefCell::new(vec![false; gguf.tensors().len()]), has_experts }
    }

    /// A tensor that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<Tensor<'a>, Error> {
        self.optional(name).ok_or_else(|| Error::tensor(name, "is missing; the file is not complete"))
    }

    /// A tensor that may be there.
    pub(crate) fn optional(&self, name: &str) -> Option<Tensor<'a>> {
        let tensor = self.gguf.tensor(name)?;
        self.read.borrow_mut()[tensor.index()] = true;
        Some(tensor)
    }

    /// Rows of a matrix; `None` if it is not there, or none.
    pub(crate) fn rows(&self, name: &str) -> Option<usize> {
        match *self.gguf.tensor(name)?.dims() {
            [_, rows] => usize::try_from(rows).ok(),
            _ => None,
        }
    }

    /// Counts a tensor as read, if it is there: it is known and not needed.
    pub(crate) fn ignore(&self, name: &str) {
        let _ = self.optional(name);
    }

    /// Names of the tensors that nobody asked for.
    pub(crate) fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        self.gguf
            .tensors()
            .filter(|tensor| !read[tensor.index()])
            .map(|tensor| tensor.name().to_owned())
            .collect()
    }

    /// A vector of `length` values.
    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        values(self.required(name)?, &[length])
    }

    /// A vector of `length` values, or an empty one if the file has none.
    pub(crate) fn vector_if_any(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        self.optional(name).map_or(Ok(Vec::new()), |tensor| values(tensor, &[length]))
    }

    /// A table of `rows` rows of `dim` values (`rows` unknown: `None`), decoded.
    pub(crate) fn table(&self, name: &str, dim: usize, rows: usize) -> Result<Vec<f32>, Error> {
        values(self.required(name)?, &[dim, rows])
    }

    /// Weight matrices with the same inputs, packed as one with their biases.
    pub(crate) fn panels(
        &self,
        on: Compute<'_>,
        order: Order,
        inputs: usize,
        parts: &[Outputs],
    ) -> Result<Weights, Error> {
        let mut matrices = Vec::with_capacity(parts.len());
        let mut biases = Vec::with_capacity(parts.len());
        let mut types = Vec::with_capacity(parts.len());
        for part in parts {
            let tensor = self.required(&format!("{}.weight", part.stem))?;
            types.push(tensor.ty());
            matrices.push(Matrix::new(tensor, inputs, Some(part.of))?);
            biases.push(self.bias(part)?);
        }
        let decoders: Vec<_> = matrices
            .iter()
            .zip(parts)
            .map(|(matrix, part)| {
                |output: usize, out: &mut [f32]| matrix.decode_row(part.source(output), out)
            })
            .collect();
        let integers: Vec<_> = matrices
            .iter()
            .zip(parts)
            .map(|(matrix, part)| {
                let (grain, decode) = matrix.integers.filter(|_| !self.has_experts)?;
                Some((grain, move |output: usize, integers: &mut [i8], of_runs: &mut [Affine]| {
                    decode(matrix.row(part.source(output)), integers, of_runs);
                }))
            })
            .collect();
        let bits: Vec<_> = matrices
            .iter()
            .zip(parts)
            .map(|(matrix, part)| {
                let kind = matrix.float16?;
                Some((kind, |output: usize, bits: &mut [u16]| matrix.bits_of_row(part.source(output), bits)))
            })
            .collect();
        let stored = |at: usize| match (&integers[at], &bits[at]) {
            (Some((grain, integers)), _) => Some(Stored::Integers(*grain, integers)),
            (None, Some((kind, bits))) => Some(Stored::Float16(*kind, bits)),
            (None, None) => None,
        };
        let parts: Vec<Part<'_>> = parts
            .iter()
            .zip(&decoders)
            .zip(&biases)
            .enumerate()
            .map(|(at, ((part, decode), bias))| Part {
                outputs: part.count,
                decode,
                stored: stored(at),
                bias,
            })
            .collect();
        let layout = Layout::of(on.kernels, types);
        let taken =
            on.shelf.and_then(|shelf| Weights::take(shelf, on.kernels, layout, order, inputs, &parts));
        Ok(taken.unwrap_or_else(|| Weights::pack(on.kernels, on.team, layout, order, inputs, &parts)))
    }

    /// The bias of a part, in its order; none if the file has none. A part of a joined tensor may have its bias in that
    /// tensor's or in one of its own.
    fn bias(&self, part: &Outputs) -> Result<Vec<f32>, Error> {
        if let Some(stem) = &part.own_bias {
            let bias = self.vector_if_any(&format!("{stem}.bias"), part.count)?;
            if !bias.is_empty() {
                return Ok((0..part.count).map(|output| bias[part.within(output)]).collect());
            }
        }
        let bias = self.vector_if_any(&format!("{}.bias", part.stem), part.of)?;
        let count = if bias.is_empty() { 0 } else { part.count };
        Ok((0..count).map(|output| bias[part.source(output)]).collect())
    }
}

/// Some of the outputs of a weight tensor, in the order in which they are needed.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    stem: String,
    count: usize,
    /// All outputs of the tensor.
    of: usize,
    /// The first of these among all.
    first: usize,
    /// They lie in runs of so many, `stride` apart.
    run: usize,
    stride: usize,
    /// Heads of so many outputs, of which so many turn in pairs.
    turned: Option<(Pairs, usize, usize)>,
    own_bias: Option<String>,
}

impl Outputs {
    /// All outputs of a tensor, whose name without `.weight` is `stem`.
    pub(crate) fn all(stem: String, count: usize) -> Self {
        Self::some(stem, 0..count, count)
    }

    /// Those in a range, of `of`.
    pub(crate) fn some(stem: String, range: Range<usize>, of: usize) -> Self {
        let count = range.len();
        Self { stem, count, of, first: range.start, run: count, stride: count, turned: None, own_bias: None }
    }

    /// They lie `run` by `run`, others between, so that one run begins `stride` after the one before.
    pub(crate) fn in_runs(self, run: usize, stride: usize) -> Self {
        Self { run, stride, ..self }
    }

    /// Heads of `head_dim` outputs, the first `dims` of which turn in `pairs`: halves come out.
    pub(crate) fn turned(self, pairs: Pairs, head_dim: usize, dims: usize) -> Self {
        Self { turned: Some((pairs, head_dim, dims)), ..self }
    }

    /// The bias may be a tensor of its own.
    pub(crate) fn with_own_bias(self, stem: String) -> Self {
        Self { own_bias: Some(stem), ..self }
    }

    /// Where an output lies among these, as the file has them.
    fn within(&self, output: usize) -> usize {
        self.turned.map_or(output, |(pairs, head_dim, dims)| {
            output - output % head_dim + pairs.source(output % head_dim, dims)
        })
    }

    /// Where an output lies among all of the tensor.
    fn source(&self, output: usize) -> usize {
        let within = self.within(output);
        self.first + within / self.run * self.stride + within % self.run
    }
}

/// A tensor as rows that are decoded one by one.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    bytes: &'a [u8],
    row_bytes: usize,
    rows: usize,
    decode: kernels::decode::Decode,
    /// For types that are integers with scales.
    integers: Option<(Grain, DecodeIntegers)>,
    /// For types that are floats of 16 bits.
    float16: Option<Float16>,
}

impl<'a> Matrix<'a> {
    /// A matrix of rows of `dim` values; of exactly `rows` rows, if given.
    pub(crate) fn new(tensor: Tensor<'a>, dim: usize, rows: Option<usize>) -> Result<Self, Error> {
        let decode = decoder(tensor.ty()).ok_or_else(|| {
            let known: Vec<&str> = kernels::decode::DECODABLE.iter().map(|ty| ty.name()).collect();
            let what = format!(
                "is of type {}, which connote cannot compute with; it can with {}",
                tensor.ty(),
                known.join(", ")
            );
            Error::tensor(tensor.name(), what)
        })?;
        let found = match *tensor.dims() {
            [width, rows] => Some((width, rows)),
            [width] => Some((width, 1)),
            // Matrices one after the other, as experts are.
            [width, rows, count] => rows.checked_mul(count).map(|rows| (width, rows)),
            _ => None,
        };
        let fits =
            found.is_some_and(|(w, r)| w == dim as u64 && rows.is_none_or(|rows| r == rows as u64) && r > 0);
        if !fits {
            let wanted = rows.map_or(format!("[{dim}, any]"), |rows| format!("[{dim}, {rows}]"));
            return Err(Error::tensor(
                tensor.name(),
                format!("has the shape {:?}; {wanted} is needed", tensor.dims()),
            ));
        }
        let rows = found.map_or(0, |(_, rows)| rows as usize);
        let bytes = tensor.bytes();
        Ok(Self {
            bytes,
            row_bytes: bytes.len() / rows,
            rows,
            decode,
            integers: integer_decoder(tensor.ty()),
            float16: Float16::of(tensor.ty()),
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn decode_row(&self, row: usize, out: &mut [f32]) {
        (self.decode)(self.row(row), out);
    }

    /// The bits of a row of floats of 16 bits.
    fn bits_of_row(&self, row: usize, bits: &mut [u16]) {
        for (bits, &bytes) in bits.iter_mut().zip(self.row(row).as_chunks().0) {
            *bits = u16::from_le_bytes(bytes);
        }
    }

    fn row(&self, row: usize) -> &'a [u8] {
        &self.bytes[row * self.row_bytes..][..self.row_bytes]
    }
}

fn values(tensor: Tensor<'_>, shape: &[usize]) -> Result<Vec<f32>, Error> {
    let dim = shape[0];
    let matrix = Matrix::new(tensor, dim, Some(shape.get(1).copied().unwrap_or(1)))?;
    let mut values = vec![0.0; dim * matrix.rows()];
    for (row, out) in values.chunks_exact_mut(dim).enumerate() {
        matrix.decode_row(row, out);
    }
    Ok(values)
}
