//! Weights of attention that stand out of their block.
//!
//! A row of softmax is often one or a few large weights and many small ones, which together say as much; and a token on
//! which much attention rests often has small values. Integers under one scale would lose the small ones. So values are
//! divided by the largest of their token, weights are multiplied with it and are then what they really add, and those that
//! stand out are taken out of the row and multiplied as f32 (as LLM.int8() does with columns; Dettmers et al., 2022).

use std::ops::Range;

use crate::lanes::{LANES, each_with, join};
use crate::panels::Panels;
use crate::rows::{Rows, RowsMut};
use crate::table::{DEPTH, Kernels};

/// What was taken out of some rows of weights. Keeps its memory.
#[derive(Debug, Default)]
pub struct Outliers {
    all: Vec<Outlier>,
    /// Where each row's end.
    ends: Vec<usize>,
}

/// A weight that was taken out of its row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outlier {
    /// Which value it is the weight of.
    input: usize,
    weight: f32,
}

impl Outliers {
    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.all.clear();
        self.ends.clear();
    }

    /// Makes the next row of softmax what a product with `values` from input `first` on reads, and takes out what stands
    /// out. Only weights in `shown` may be other than 0. Nothing is to be done for values that are no integers.
    ///
    /// # Panics
    /// If there are more weights than values.
    pub fn take(
        &mut self,
        kernels: &Kernels,
        weights: &mut [f32],
        shown: Range<usize>,
        values: Panels<'_>,
        first: usize,
    ) {
        let scales = values.input_scales();
        if !scales.is_empty() {
            (kernels.take_outliers)(weights, shown, &scales[first..first + weights.len()], &mut self.all);
        }
        self.ends.push(self.all.len());
    }

    /// Adds what the rows' outliers give to the rows of their product: `values` has a row for every weight.
    ///
    /// # Panics
    /// If shapes differ.
    pub fn add_to(&self, kernels: &Kernels, values: Rows<'_>, out: &mut RowsMut<'_>) {
        assert_eq!(self.ends.len(), out.count(), "outliers: rows in and out differ");
        let mut start = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            (kernels.add_outliers)(out.row(row), values, &self.all[start..end]);
            start = end;
        }
    }
}

/// A weight stands out if it is this many times the mean of its block, ...
const TIMES_MEAN: f32 = 32.0;
/// ... or this much of all of it. So at most eight of 256 do, and what stays keeps enough of its bits (docs/KERNELS.md).
const SHARE: f32 = 0.2;
/// Columns that are added up at a time: a few vectors at every level.
const COLUMNS: usize = 4 * LANES;

/// Multiplies one row of weights, none of them negative, with `scales`, takes the outliers of each [`DEPTH`] weights out,
/// and appends them as they were, in their order. Only weights in `shown` are looked at; the others are 0. A NaN stays
/// where it is.
#[inline(always)]
pub(crate) fn take_outliers_body(
    weights: &mut [f32],
    shown: Range<usize>,
    scales: &[f32],
    outliers: &mut Vec<Outlier>,
) {
    assert_eq!(weights.len(), scales.len(), "outliers: a scale for every weight");
    let mut start = shown.start;
    while start < shown.end {
        let end = (start - start % DEPTH + DEPTH).min(shown.end);
        let (block, scales) = (&mut weights[start..end], &scales[start..end]);
        each_with(block, scales, |weight, scale| weight * scale);
        let mut lanes = [0.0f32; LANES];
        for weights in block.chunks(LANES) {
            for (lane, &weight) in lanes.iter_mut().zip(weights) {
                *lane += weight;
            }
        }
        let limit = join(lanes, |a, b| a + b) * (TIMES_MEAN / block.len() as f32).min(SHARE);
        for (chunk, weights) in block.chunks_mut(LANES).enumerate() {
            // Most chunks have none.
            let mut any = false;
            for &weight in weights.iter() {
                any |= weight > limit;
            }
            if !any {
                continue;
            }
            for (lane, weight) in weights.iter_mut().enumerate() {
                if *weight > limit {
                    let at = chunk * LANES + lane;
                    outliers.push(Outlier { input: start + at, weight: *weight / scales[at] });
                    *weight = 0.0;
                }
            }
        }
        start = end;
    }
}

/// `out += weight * values[input]` for every outlier, in order, fused: the same bits at every level.
#[inline(always)]
pub(crate) fn add_outliers_body(out: &mut [f32], values: Rows<'_>, outliers: &[Outlier]) {
    assert_eq!(out.len(), values.width(), "outliers: as wide as their values");
    if outliers.is_empty() {
        return;
    }
    let (chunks, rest) = out.as_chunks_mut::<COLUMNS>();
    let whole = chunks.len() * COLUMNS;
    for (chunk, out) in chunks.iter_mut().enumerate() {
        let mut sums = *out;
        for outlier in outliers {
            let row = values.row(outlier.input)[chunk * COLUMNS..].first_chunk::<COLUMNS>();
            for (sum, value) in sums.iter_mut().zip(row.into_iter().flatten()) {
                *sum = value.mul_add(outlier.weight, *sum);
            }
        }
        *out = sums;
    }
    for &Outlier { input, weight } in outliers {
        each_with(rest, &values.row(input)[whole..], |sum, value| value.mul_add(weight, sum));
    }
}
