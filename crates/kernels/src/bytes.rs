//! Weights that are kept as bytes: half the memory of i16 panels, and half the time where memory is the limit.
//!
//! Files of Q8_0, Q5_0 and Q4_0 hold integers of a byte or less, with a scale for each [`RUN`] inputs. The i16 product
//! wants one scale for each [`DEPTH`] inputs; what an integer becomes under that one is
//!
//! ```text
//! round(b * 256 * ratio / 2^15), b = q << shift, ratio = round(128 / 2^shift * scale of the run / scale of the block)
//! ```
//!
//! which is one `vpmulhrsw`: a weight is kept as a byte, and a run's ratio beside its bytes. The shift makes a run's largest
//! byte at least 64, so that no ratio is above 5,790. A byte is at most 128, so rounding the ratio costs at most half an
//! integer, as does the integer's own rounding. Integers made so reach the same +-2895 as all others, and are the same
//! whether a level keeps bytes or i16, so that products have the same bits at every level.
//!
//! A panel of bytes has, for each run of inputs, the ratios of its outputs: those of output 0, 16, 1, 17 and so on, so
//! that two shuffles inside 8 bytes give each half's, twice. Then, for each four inputs, 16 outputs of two words
//! followed by the other 16: in a word's low byte an input's weight, in its high byte that of the input two places
//! on. So a shift gives the first two inputs' weights as a vector of the product has them, and a mask the others'.

pub(crate) use crate::decode::RUN;
use crate::quantize::{BlockScale, LIMIT, larger, product, scale_of};
use crate::table::{DEPTH, PANEL, Sums, TileI16};

/// Words of a run in a panel: ratios, and two weights each.
pub(crate) const RUN_WORDS: usize = PANEL + RUN * PANEL / 2;
/// Words of four inputs.
const FOUR_WORDS: usize = 2 * PANEL;
/// Of each word the byte that is an input's weight times 256.
pub(crate) const HIGH: i16 = 0xff00_u16 as i16;

/// Words of a panel of so many inputs, which are whole runs.
pub(crate) fn words(inputs: usize) -> usize {
    inputs / RUN * RUN_WORDS
}

/// One output's weights as they go into a panel of bytes.
#[derive(Debug)]
pub(crate) struct ByteRow {
    /// As the file has them.
    pub(crate) integers: Vec<i8>,
    /// Of each run.
    pub(crate) scales: Vec<f32>,
}

impl ByteRow {
    /// Room for so many inputs, which are whole runs.
    pub(crate) fn new(inputs: usize) -> Self {
        assert!(inputs.is_multiple_of(RUN), "{inputs} inputs are no whole runs");
        Self { integers: vec![0; inputs], scales: vec![0.0; inputs / RUN] }
    }

    /// Zeros.
    pub(crate) fn clear(&mut self) {
        self.integers.fill(0);
        self.scales.fill(0.0);
    }

    /// Writes them into a column of a panel of bytes. The blocks' scales come out, without their crossed products.
    pub(crate) fn set(&self, panel: &mut [i16], column: usize, scales: &mut [[BlockScale; PANEL]]) {
        let runs = self.integers.as_chunks::<RUN>().0;
        let panel_runs = panel.as_chunks_mut::<RUN_WORDS>().0;
        let blocks = runs.chunks(DEPTH / RUN).zip(self.scales.chunks(DEPTH / RUN));
        for (block, (runs, run_scales)) in blocks.enumerate() {
            let largest = runs
                .iter()
                .zip(run_scales)
                .fold(0, |so_far, (run, &scale)| larger(so_far, f32::from(largest_of(run)) * scale));
            let (factor, inverse) = scale_of(largest);
            scales[block][column] = BlockScale { scale: factor, crossed: 0 };
            let first = block * (DEPTH / RUN);
            for ((run, &scale), words) in runs.iter().zip(run_scales).zip(&mut panel_runs[first..]) {
                let (bytes, ratio) =
                    if inverse == 0.0 { ([0; RUN], 0) } else { widened(run, scale * inverse) };
                let (ratios, words) = words.split_at_mut(PANEL);
                ratios[2 * (column % (PANEL / 2)) + column / (PANEL / 2)] = ratio;
                for (four, words) in
                    bytes.as_chunks::<4>().0.iter().zip(words.as_chunks_mut::<FOUR_WORDS>().0)
                {
                    let [a, b, c, d] = *four;
                    words[2 * column] = i16::from_le_bytes([a as u8, c as u8]);
                    words[2 * column + 1] = i16::from_le_bytes([b as u8, d as u8]);
                }
            }
        }
    }
}

/// The largest integer of a run, without its sign.
fn largest_of(run: &[i8; RUN]) -> u8 {
    run.iter().map(|q| q.unsigned_abs()).max().unwrap_or(0)
}

/// The run's integers, times a power of two that makes the largest at least 64, and the ratio that goes with them:
/// `scale`, in integers of the block, is 2895 for the largest of all, so the ratio is at most 128 * 2895 / 64.
fn widened(run: &[i8; RUN], scale: f32) -> ([i8; RUN], i16) {
    let largest = largest_of(run);
    if largest == 0 {
        return ([0; RUN], 0);
    }
    let shift = largest.leading_zeros().saturating_sub(1);
    let ratio = 128.0 * scale / f32::from(1u8 << shift);
    (run.map(|q| q << shift), ratio.round_ties_even() as i16)
}

/// A weight as an integer of the product: `vpmulhrsw` of its byte times 256 and its run's ratio.
#[inline(always)]
fn integer(high: i16, ratio: i16) -> i16 {
    ((((i32::from(high) * i32::from(ratio)) >> 14) + 1) >> 1) as i16
}

/// Whole runs of a panel of bytes, each with the room for its integers.
pub(crate) fn runs_of<'a>(
    panel: &'a [i16],
    out: &'a mut [i16],
) -> impl Iterator<Item = (&'a [i16; RUN_WORDS], &'a mut [i16; RUN * PANEL])> {
    let runs = panel.as_chunks::<RUN_WORDS>().0;
    assert!(panel.len() == runs.len() * RUN_WORDS, "unpack: {} words are no whole runs", panel.len());
    assert_eq!(out.len(), runs.len() * RUN * PANEL, "unpack: room");
    runs.iter().zip(out.as_chunks_mut().0)
}

/// Runs of a panel of bytes as i16 panels have them; see [`crate::Kernels::unpack`].
#[inline(always)]
pub(crate) fn unpack_body(panel: &[i16], out: &mut [i16]) {
    for (words, out) in runs_of(panel, out) {
        let (ratios, words) = words.split_at(PANEL);
        // Each twice: an output's two values lie side by side.
        let mut of_halves = [[0i16; PANEL]; 2];
        for (half, of_half) in of_halves.iter_mut().enumerate() {
            for (at, ratio) in of_half.iter_mut().enumerate() {
                *ratio = ratios[at / 2 * 2 + half];
            }
        }
        let fours = words.as_chunks::<FOUR_WORDS>().0.iter().zip(out.as_chunks_mut::<{ 4 * PANEL }>().0);
        for (words, out) in fours {
            let (first, other) = out.split_at_mut(FOUR_WORDS);
            for (half, ratios) in of_halves.iter().enumerate() {
                let at = half * PANEL..(half + 1) * PANEL;
                let both = words[at.clone()].iter().zip(ratios);
                for ((&word, &ratio), (first, other)) in
                    both.zip(first[at.clone()].iter_mut().zip(&mut other[at]))
                {
                    *first = integer(word << 8, ratio);
                    *other = integer(word & HIGH, ratio);
                }
            }
        }
    }
}

/// See [`crate::Kernels::tile_bytes`]: the weights are unpacked first, and then a tile of pairs.
pub(crate) fn unpacked_tile(
    tile: &TileI16<'_>,
    sums: &mut Sums,
    room: &mut [i16],
    unpack: fn(&[i16], &mut [i16]),
    tile_i16: fn(&TileI16<'_>, &mut Sums),
) {
    assert!(tile.are_bytes && tile.inputs.is_multiple_of(RUN), "weights that are bytes");
    unpack(&tile.panel[..words(tile.inputs)], room);
    tile_i16(&TileI16 { panel: room, are_bytes: false, ..*tile }, sums);
}

/// Sets [`BlockScale::crossed`] of each output of a block's panel; see [`crate::Kernels::cross`].
#[inline(always)]
pub(crate) fn cross_body(panel: &[i16], scales: &mut [BlockScale; PANEL]) {
    let mut crossed = [0i32; PANEL];
    for four in panel.as_chunks::<{ 4 * PANEL }>().0 {
        let (first, other) = four.split_at(FOUR_WORDS);
        for (column, crossed) in crossed.iter_mut().enumerate() {
            for at in [2 * column, 2 * column + 1] {
                *crossed -= product(first[at], other[at]);
            }
        }
    }
    for (scale, crossed) in scales.iter_mut().zip(crossed) {
        scale.crossed = crossed;
    }
}

/// The largest ratio there can be fits its word.
const _: () = assert!(128.0 * LIMIT / 64.0 < i16::MAX as f32);

#[cfg(test)]
mod tests {
    use testkit::random::Random;

    use super::*;
    use crate::level::Level;
    use crate::quantize::crossed_body;
    use crate::table::Kernels;

    fn rows_of_the_table() -> impl Iterator<Item = &'static Kernels> {
        Level::available().flat_map(Kernels::all_of).copied()
    }

    /// Rows of integers and scales as files have them, and as they should not have them.
    fn rows(inputs: usize, random: &mut Random) -> Vec<ByteRow> {
        let mut all = Vec::new();
        for (largest, scale) in
            [(127.9, 1e-2), (8.0, 1.0), (1.9, 1e3), (127.9, 1e-33), (127.9, 1e35), (0.0, 1.0), (64.0, 1e-20)]
        {
            let mut row = ByteRow::new(inputs);
            for (q, value) in row.integers.iter_mut().zip(random.values(inputs, largest)) {
                *q = value as i8;
            }
            row.scales.copy_from_slice(&random.values(inputs / RUN, scale));
            all.push(row);
        }
        // One large integer in each run, wherever it stands.
        for largest in [100, -100, -128] {
            for place in 0..RUN {
                let mut row = ByteRow::new(inputs);
                row.integers.fill(3);
                row.integers.chunks_mut(RUN).for_each(|run| run[place] = largest);
                row.scales.fill(0.25);
                all.push(row);
            }
        }
        // The lowest integer, zeros under a scale, a run that is small beside the others, no scale at all.
        let mut row = ByteRow::new(inputs);
        row.integers.fill(-128);
        row.integers[RUN..2 * RUN].fill(0);
        row.scales.fill(0.5);
        row.scales[1] = 1e30;
        row.scales[2] = 1e-9;
        row.scales[3] = 0.0;
        all.push(row);
        all
    }

    /// A panel of the first rows.
    fn packed(rows: &[ByteRow], inputs: usize) -> (Vec<i16>, Vec<[BlockScale; PANEL]>) {
        let mut panel = vec![-1; words(inputs)];
        let mut scales = vec![[BlockScale::default(); PANEL]; inputs.div_ceil(DEPTH)];
        for column in 0..PANEL {
            rows[column % rows.len()].set(&mut panel, column, &mut scales);
        }
        (panel, scales)
    }

    /// The pair form's place of an output's weight.
    fn at(input: usize, column: usize) -> usize {
        (input / 2 * PANEL + column) * 2 + input % 2
    }

    #[test]
    fn integers_of_the_product_are_near_what_the_file_says() {
        let inputs = 2 * DEPTH + 3 * RUN;
        let all = rows(inputs, &mut Random::seeded(71));
        all.chunks(PANEL).for_each(|rows| check_integers(rows, inputs));
    }

    fn check_integers(rows: &[ByteRow], inputs: usize) {
        let (panel, scales) = packed(rows, inputs);
        let mut pairs = vec![0; inputs * PANEL];
        unpack_body(&panel, &mut pairs);
        for column in 0..PANEL {
            let row = &rows[column % rows.len()];
            for input in 0..inputs {
                let weight = f64::from(row.integers[input]) * f64::from(row.scales[input / RUN]);
                let scale = f64::from(scales[input / DEPTH][column].scale);
                let integer = f64::from(pairs[at(input, column)]);
                assert!(integer.abs() <= f64::from(LIMIT), "{column}, {input}: {integer}");
                // Half an integer for its own rounding, and half for its ratio's.
                let bound = 1.0001 * scale + 1e-30;
                assert!(
                    (integer * scale - weight).abs() <= bound,
                    "{column}, {input}: {integer} x {scale} for {weight}"
                );
            }
            for (block, scales) in scales.iter().enumerate() {
                let of_block = block * DEPTH..((block + 1) * DEPTH).min(inputs);
                let largest = of_block
                    .map(|input| (f32::from(row.integers[input]) * row.scales[input / RUN]).abs())
                    .fold(0.0, f32::max);
                assert_eq!(scales[column].scale, if largest < 1e-30 { 0.0 } else { largest / LIMIT });
            }
        }
    }

    #[test]
    fn scales_that_are_no_numbers_show_in_their_block_alone() {
        for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            // Also where every integer is 0: the decoded weights are NaN.
            for integer in [3, 0] {
                let mut row = ByteRow::new(2 * DEPTH);
                row.integers.fill(5);
                row.scales.fill(1.0);
                row.integers[RUN..2 * RUN].fill(integer);
                row.scales[1] = scale;
                let (panel, scales) = packed(&[row], 2 * DEPTH);
                assert!(
                    scales[0].iter().all(|of| !of.scale.is_finite()),
                    "{scale} x {integer}: {:?}",
                    scales[0][0]
                );
                assert!(scales[1].iter().all(|of| of.scale == 5.0 / LIMIT));
                let mut pairs = vec![1; 2 * DEPTH * PANEL];
                unpack_body(&panel, &mut pairs);
                assert!(pairs[..DEPTH * PANEL].iter().all(|&integer| integer == 0), "the scale says it all");
                assert!(pairs[DEPTH * PANEL..].iter().all(|&integer| integer == LIMIT as i16));
            }
        }
    }

    #[test]
    fn every_level_unpacks_to_the_same_integers() {
        let mut random = Random::seeded(72);
        for inputs in [RUN, 3 * RUN, DEPTH] {
            let mut rows = rows(DEPTH, &mut random);
            rows.truncate(7);
            let (panel, _) = packed(&rows, DEPTH);
            let panel = &panel[..words(inputs)];
            let mut wanted = vec![0; inputs * PANEL];
            unpack_body(panel, &mut wanted);
            for kernels in rows_of_the_table() {
                let mut got = vec![-1; inputs * PANEL];
                (kernels.unpack)(panel, &mut got);
                assert!(got == wanted, "{} of {inputs}", kernels.level);
                let mut scales = [BlockScale { scale: 0.25, crossed: 1 }; PANEL];
                (kernels.cross)(&got, &mut scales);
                for (column, of) in scales.iter().enumerate() {
                    let own: Vec<i16> = (0..inputs).map(|input| got[at(input, column)]).collect();
                    assert_eq!(
                        *of,
                        BlockScale { scale: 0.25, crossed: crossed_body(&own) },
                        "{}",
                        kernels.level
                    );
                }
            }
        }
    }

    /// Words that no packing gives: any bits are multiplied as the scalar level does.
    #[test]
    fn any_words_unpack_alike() {
        let mut random = Random::seeded(73);
        let panel: Vec<i16> =
            random.values(4 * RUN_WORDS, 32768.0).into_iter().map(|value| value as i16).collect();
        let mut wanted = vec![0; 4 * RUN * PANEL];
        unpack_body(&panel, &mut wanted);
        for kernels in rows_of_the_table() {
            let mut got = vec![-1; 4 * RUN * PANEL];
            (kernels.unpack)(&panel, &mut got);
            assert!(got == wanted, "{}", kernels.level);
            for (words, room) in
                [(RUN_WORDS - 1, RUN * PANEL), (RUN_WORDS, RUN * PANEL - 1), (RUN_WORDS, 2 * RUN * PANEL)]
            {
                let refused =
                    std::panic::catch_unwind(|| (kernels.unpack)(&panel[..words], &mut vec![0; room]));
                assert!(refused.is_err(), "{}: {words} words into {room}", kernels.level);
            }
        }
    }
}
