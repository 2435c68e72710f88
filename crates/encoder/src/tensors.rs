//! Tensors out of a file: by name, with their shape checked, remembering which were read.

use std::cell::RefCell;

use gguf::{Gguf, Tensor};
use kernels::decode::decoder;
use kernels::{Layout, Order, Part, Weights};

use crate::compute::Compute;
use crate::error::Error;

/// Reads tensors and keeps account of what was read.
pub(crate) struct Tensors<'a> {
    gguf: &'a Gguf,
    read: RefCell<Vec<bool>>,
}

impl<'a> Tensors<'a> {
    pub(crate) fn new(gguf: &'a Gguf) -> Self {
        Self { gguf, read: RefCell::new(vec![false; gguf.tensors().len()]) }
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

    /// Weight matrices with the same inputs, packed as one with their biases. Each part is `(stem, outputs)`;
    /// a part without a bias has none, or zeros beside others' biases.
    pub(crate) fn panels(
        &self,
        on: Compute<'_>,
        order: Order,
        inputs: usize,
        parts: &[(String, usize)],
    ) -> Result<Weights, Error> {
        let mut matrices = Vec::with_capacity(parts.len());
        let mut biases = Vec::with_capacity(parts.len());
        let mut types = Vec::with_capacity(parts.len());
        for (stem, outputs) in parts {
            let tensor = self.required(&format!("{stem}.weight"))?;
            types.push(tensor.ty());
            matrices.push(Matrix::new(tensor, inputs, Some(*outputs))?);
            biases.push(self.vector_if_any(&format!("{stem}.bias"), *outputs)?);
        }
        let decoders: Vec<_> =
            matrices.iter().map(|matrix| |row: usize, out: &mut [f32]| matrix.decode_row(row, out)).collect();
        let parts: Vec<Part<'_>> = parts
            .iter()
            .zip(&decoders)
            .zip(&biases)
            .map(|(((_, outputs), decode), bias)| Part { outputs: *outputs, decode, bias })
            .collect();
        let layout = Layout::of(on.kernels, types);
        let taken =
            on.shelf.and_then(|shelf| Weights::take(shelf, on.kernels, layout, order, inputs, &parts));
        Ok(taken.unwrap_or_else(|| Weights::pack(on.kernels, on.team, layout, order, inputs, &parts)))
    }
}

/// A tensor as rows that are decoded one by one.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    bytes: &'a [u8],
    row_bytes: usize,
    rows: usize,
    decode: kernels::decode::Decode,
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
        Ok(Self { bytes, row_bytes: bytes.len() / rows, rows, decode })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn decode_row(&self, row: usize, out: &mut [f32]) {
        (self.decode)(&self.bytes[row * self.row_bytes..][..self.row_bytes], out);
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
