//! Weights of attention that stand out of their block.
//!
//! A row of softmax is often one or a few large weights and many small ones, which together say as much; and a token on
//! which much attention rests often has small values. Integers under one scale would lose the small ones. So values are
//! divided by a power of two near the largest of their token, weights are multiplied with it and are then what they really
//! add, and those that stand out are taken out of the row and multiplied as f32 (as LLM.int8() does with columns; Dettmers et al., 2022).

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
    /// If there are more weights than values, if `shown` is past the weights, or if `first` begins no block.
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
            assert!(first.is_multiple_of(DEPTH), "outliers: input {first} starts no block");
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
        if self.all.is_empty() {
            return;
        }
        let mut start = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            (kernels.add_outliers)(out.row(row), values, &self.all[start..end]);
            start = end;
        }
    }
}

/// A weight stands out if it is this many times the mean of its block, ...
const TIMES_MEAN: f32 = 32.0;
/// ... or this much of all of it. So at most seven of 256 do, and what stays keeps enough of its bits (docs/KERNELS.md).
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
        let block = &mut weights[start..end];
        let limit = TIMES_MEAN.min(SHARE * block.len() as f32) / block.len() as f32;
        let limit = multiply(block, &scales[start..end]) * limit;
        let (chunks, rest) = block.as_chunks_mut::<LANES>();
        for (chunk, weights) in chunks.iter_mut().enumerate() {
            let mut any = false;
            for &weight in weights.iter() {
                any |= weight > limit;
            }
            // Most have none.
            if any {
                take(weights, limit, start + chunk * LANES, scales, outliers);
            }
        }
        take(rest, limit, end - rest.len(), scales, outliers);
        start = end;
    }
}

/// Multiplies weights with their scales, and gives the sum in the order of [`sum_of`](crate::lanes::sum_of). In one pass: by
/// `each_with` and `sum_of` a row of 412 took 550 ns instead of 130 at AVX-512.
#[inline(always)]
fn multiply(weights: &mut [f32], scales: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = weights.as_chunks_mut::<LANES>();
    let (scale_chunks, scale_rest) = scales.as_chunks::<LANES>();
    for (weights, scales) in chunks.iter_mut().zip(scale_chunks) {
        for lane in 0..LANES {
            weights[lane] *= scales[lane];
            lanes[lane] += weights[lane];
        }
    }
    for (lane, (weight, scale)) in lanes.iter_mut().zip(rest.iter_mut().zip(scale_rest)) {
        *weight *= scale;
        *lane += *weight;
    }
    join(lanes, |a, b| a + b)
}

/// Takes those past the limit out of a few weights, the first of which is that of `input`.
#[inline(always)]
fn take(weights: &mut [f32], limit: f32, input: usize, scales: &[f32], outliers: &mut Vec<Outlier>) {
    for (at, weight) in weights.iter_mut().enumerate() {
        if *weight > limit {
            let input = input + at;
            outliers.push(Outlier { input, weight: *weight / scales[input] });
            *weight = 0.0;
        }
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
            let Some(row) = values.row(outlier.input)[chunk * COLUMNS..].first_chunk::<COLUMNS>() else {
                unreachable!("rows are as wide")
            };
            for column in 0..COLUMNS {
                sums[column] = row[column].mul_add(outlier.weight, sums[column]);
            }
        }
        *out = sums;
    }
    for &Outlier { input, weight } in outliers {
        each_with(rest, &values.row(input)[whole..], |sum, value| value.mul_add(weight, sum));
    }
}

#[cfg(test)]
mod tests {
    use super::{Outlier, take_outliers_body};
    use crate::table::DEPTH;

    fn taken(
        weights: &[f32],
        shown: std::ops::Range<usize>,
        scales: &[f32],
    ) -> (Vec<f32>, Vec<(usize, f32)>) {
        let (mut left, mut outliers) = (weights.to_vec(), Vec::new());
        take_outliers_body(&mut left, shown, scales, &mut outliers);
        (left, outliers.iter().map(|&Outlier { input, weight }| (input, weight)).collect())
    }

    /// 32 times the mean where that is less than a fifth of the sum: in blocks of more than 160.
    #[test]
    fn what_is_many_times_the_mean_of_a_block_stands_out() {
        let (ones, mut weights) = ([1.0; 2 * DEPTH], [1.0; 2 * DEPTH]);
        // Of the first block's mean of 1.3 it is 31 and 33 times.
        weights[7] = 40.0;
        weights[200] = 43.0;
        // Alone in its own, where the mean is 1.14.
        weights[300] = 37.0;
        let (left, outliers) = taken(&weights, 0..2 * DEPTH, &ones);
        assert_eq!(outliers, [(200, 43.0), (300, 37.0)]);
        let mut wanted = weights;
        (wanted[200], wanted[300]) = (0.0, 0.0);
        assert_eq!(left, wanted);
    }

    #[test]
    fn a_fifth_of_a_short_block_stands_out() {
        let weights = [0.21, 0.19, 0.2, 0.3, 0.05, 0.05];
        let (left, outliers) = taken(&weights, 0..6, &[1.0; 6]);
        assert_eq!(outliers, [(0, 0.21), (3, 0.3)]);
        assert_eq!(left, [0.0, 0.19, 0.2, 0.0, 0.05, 0.05]);
    }

    /// Blocks lie where they do for every row, and their means are of what is shown.
    #[test]
    fn blocks_are_cut_where_the_rows_are_and_by_what_is_shown() {
        let mut weights = [0.0; 3 * DEPTH];
        weights[250..262].fill(0.01);
        weights[300..700].fill(0.01);
        // A fifth of six, and much less than that of all.
        (weights[255], weights[256]) = (0.02, 0.02);
        let scales = [1.0; 3 * DEPTH];
        let inputs = |shown| taken(&weights, shown, &scales).1.into_iter().map(|(input, _)| input).collect();
        let (few, all): (Vec<usize>, Vec<usize>) = (inputs(250..262), inputs(250..700));
        assert_eq!(few, [255, 256]);
        assert_eq!(all, [255]);
    }

    /// Large values of a token make its weight stand out, and small ones keep it in.
    #[test]
    fn weights_are_judged_by_what_they_add() {
        let mut scales = [1.0; 100];
        let mut weights = [0.005; 100];
        weights[0] = 0.9;
        scales[0] = 1.0 / 64.0;
        scales[50] = 64.0;
        let (left, outliers) = taken(&weights, 0..100, &scales);
        assert_eq!(outliers, [(50, 0.005)]);
        assert_eq!((left[0], left[1], left[50]), (0.9 / 64.0, 0.005, 0.0));
    }

    #[test]
    fn what_is_nothing_or_no_number_is_left() {
        let (left, outliers) = taken(&[0.0; 20], 0..20, &[1.0; 20]);
        assert_eq!((left, outliers.len()), (vec![0.0; 20], 0));
        assert_eq!(taken(&[0.5, 0.5], 0..2, &[0.0, 0.0]), (vec![0.0; 2], Vec::new()));
        assert_eq!(taken(&[0.5, 0.5], 1..1, &[1.0, 1.0]), (vec![0.5; 2], Vec::new()));
        let (left, outliers) = taken(&[f32::NAN, 0.9, 0.1], 0..3, &[1.0; 3]);
        assert!(left[0].is_nan() && left[1..] == [0.9, 0.1] && outliers.is_empty());
    }
}
