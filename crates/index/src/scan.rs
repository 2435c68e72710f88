//! Scores of rows, a block at a time.

use std::ops::Range;

use half::f16;
use kernels::Kernels;

use crate::encoding;
use crate::precision::Precision;

/// Vectors in the file, row after row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a> {
    F32(&'a [f32]),
    F16(&'a [u16]),
    Int8 { values: &'a [i8], scales: &'a [f32] },
    Binary(&'a [u8]),
}

/// A query in the form that rows of a precision are compared with.
pub(crate) enum Query {
    Float(Vec<f32>),
    Int8 { values: Vec<i8>, scale: f32 },
    Binary { bits: Vec<u8>, dimensions: usize },
}

impl Query {
    pub(crate) fn new(query: &[f32], precision: Precision) -> Self {
        match precision {
            Precision::F32 | Precision::F16 => Self::Float(query.to_vec()),
            Precision::Int8 => {
                let mut values = Vec::with_capacity(query.len());
                let scale = encoding::to_int8(query, &mut values);
                Self::Int8 { values, scale }
            }
            Precision::Binary => {
                let mut bits = Vec::new();
                encoding::pack_bits(query.iter().map(|value| *value > 0.0), &mut bits);
                Self::Binary { bits, dimensions: query.len() }
            }
        }
    }
}

/// Room for what kernels give before it is a score.
#[derive(Default)]
pub(crate) struct Scratch {
    sums: Vec<i32>,
    counts: Vec<u32>,
}

impl Rows<'_> {
    /// `out[i]` = the score of row `rows.start + i`. The query is of the rows' precision.
    pub(crate) fn scores(
        &self,
        kernels: &Kernels,
        query: &Query,
        rows: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        match (self, query) {
            (Self::F32(values), Query::Float(query)) => {
                (kernels.dot_f32)(query, part(values, &rows, query.len()), out);
            }
            (Self::F16(values), Query::Float(query)) => {
                (kernels.dot_f16)(query, part(values, &rows, query.len()), out);
            }
            (Self::Int8 { values, scales }, Query::Int8 { values: query, scale }) => {
                scratch.sums.resize(rows.len(), 0);
                (kernels.dot_i8)(query, part(values, &rows, query.len()), &mut scratch.sums);
                for ((out, sum), row_scale) in out.iter_mut().zip(&scratch.sums).zip(&scales[rows]) {
                    *out = *sum as f32 * row_scale * scale;
                }
            }
            (Self::Binary(bytes), Query::Binary { bits, dimensions }) => {
                scratch.counts.resize(rows.len(), 0);
                (kernels.differing_bits)(bits, part(bytes, &rows, bits.len()), &mut scratch.counts);
                // The cosine of the vectors of signs. Damaged bits past the end count too, and do no harm.
                let dimensions = *dimensions as f32;
                for (out, count) in out.iter_mut().zip(&scratch.counts) {
                    *out = (dimensions - 2.0 * *count as f32) / dimensions;
                }
            }
            _ => unreachable!("a query of another precision than the rows"),
        }
    }

    /// A row of f32 or f16; of others nothing.
    pub(crate) fn as_f32(&self, row: usize, dimensions: usize) -> Vec<f32> {
        let rows = row..row + 1;
        match self {
            Self::F32(values) => part(values, &rows, dimensions).to_vec(),
            Self::F16(values) => {
                part(values, &rows, dimensions).iter().map(|bits| f16::from_bits(*bits).to_f32()).collect()
            }
            Self::Int8 { .. } | Self::Binary(_) => Vec::new(),
        }
    }
}

fn part<'a, T>(values: &'a [T], rows: &Range<usize>, width: usize) -> &'a [T] {
    &values[rows.start * width..rows.end * width]
}
