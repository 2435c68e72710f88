//! Weights that are kept as bytes: little more than half the memory of i16 panels, and half the time where memory is the
//! limit.
//!
//! Quantised files hold integers of a byte or less, with a scale for each run of them, and perhaps an offset
//! ([`Grain`]). The i16 product wants one scale for each [`DEPTH`] inputs; what an integer becomes under that one is
//!
//! ```text
//! round(b * 256 * ratio / 2^15) + offset
//! b = (q - centre) << shift
//! ratio = round(128 / 2^shift * scale of the run / scale of the block)
//! offset = round((scale of the run * centre + offset of the run) / scale of the block)
//! ```
//!
//! which is one `vpmulhrsw`, and of fine grain a `vpaddw`: a weight is kept as a byte, and a run's ratios and offsets beside
//! its bytes. The shift makes a run's largest byte at least 32, so that a ratio fits 16 bits, and no larger than that needs:
//! rounding the ratio costs `b / 256` of an integer, at most half, as do the integer's own rounding and the offset's. The centre is 0 where
//! there is no offset, else the middle of the run's integers, since a run far from zero would have large offsets. Integers
//! made so stay within +-2895, and are the same whether a level keeps bytes or i16, so that products have the
//! same bits at every level.
//!
//! A panel of bytes has, for each run of inputs, the ratios of its outputs: those of output 0, 16, 1, 17 and so on, so
//! that two shuffles inside 8 bytes give each half's, twice; of fine grain the offsets follow in the same order. Then, for
//! each four inputs, 16 outputs of two words
//! followed by the other 16: in a word's low byte an input's weight, in its high byte that of the input two places
//! on. So a shift gives the first two inputs' weights as a vector of the product has them, and a mask the others'.

use crate::decode::{Affine, Grain, RUN};
use crate::quantize::{BlockScale, LIMIT, larger, nearest, product, scale_within};
use crate::table::{DEPTH, PANEL, Sums, TileI16};

/// Words of four inputs.
const FOUR_WORDS: usize = 2 * PANEL;
/// Of each word the byte that is an input's weight times 256.
pub(crate) const HIGH: i16 = 0xff00_u16 as i16;

impl Grain {
    /// Words before a run's weights: ratios, and offsets.
    pub(crate) const fn head(self) -> usize {
        match self {
            Grain::Coarse => PANEL,
            Grain::Fine => 2 * PANEL,
        }
    }

    /// Words of a run in a panel: what is before its weights, and two weights each.
    pub(crate) const fn run_words(self) -> usize {
        self.head() + self.run() * PANEL / 2
    }

    /// Words of a panel of so many inputs, which are whole runs.
    pub(crate) const fn words(self, inputs: usize) -> usize {
        inputs / self.run() * self.run_words()
    }

    /// What a block's largest weight becomes: rounded three times, it may end one and a half above.
    fn largest_integer(self) -> f32 {
        match self {
            Grain::Coarse => LIMIT,
            Grain::Fine => LIMIT - 2.0,
        }
    }
}

/// One output's weights as they go into a panel of bytes.
#[derive(Debug)]
pub(crate) struct ByteRow {
    /// As the file has them.
    pub(crate) integers: Vec<i8>,
    /// What each [`RUN`] of them are multiplied with.
    pub(crate) of_runs: Vec<Affine>,
}

impl ByteRow {
    /// Room for so many inputs, which are whole runs.
    pub(crate) fn new(inputs: usize) -> Self {
        assert!(inputs.is_multiple_of(RUN), "{inputs} inputs are no whole runs");
        Self { integers: vec![0; inputs], of_runs: vec![Affine::scale(0.0); inputs / RUN] }
    }

    /// Zeros.
    pub(crate) fn clear(&mut self) {
        self.integers.fill(0);
        self.of_runs.fill(Affine::scale(0.0));
    }

    /// Writes them into a column of a panel of bytes. The blocks' scales come out, without their crossed products.
    pub(crate) fn set(
        &self,
        grain: Grain,
        panel: &mut [i16],
        column: usize,
        scales: &mut [[BlockScale; PANEL]],
    ) {
        match grain {
            Grain::Coarse => self.set_runs::<{ Grain::Coarse.run() }>(grain, panel, column, scales),
            Grain::Fine => self.set_runs::<{ Grain::Fine.run() }>(grain, panel, column, scales),
        }
    }

    /// As [`set`](Self::set); runs are of a length that is known here, so that what is done with each has no loop.
    fn set_runs<const LENGTH: usize>(
        &self,
        grain: Grain,
        panel: &mut [i16],
        column: usize,
        scales: &mut [[BlockScale; PANEL]],
    ) {
        let integers = self.integers.chunks(DEPTH).zip(self.of_runs.chunks(DEPTH / RUN));
        let blocks = integers.zip(panel.chunks_mut(grain.words(DEPTH)));
        for (((integers, of_runs), panel), scales) in blocks.zip(scales) {
            let runs = integers.as_chunks::<LENGTH>().0;
            if grain == Grain::Coarse {
                assert!(of_runs.as_chunks().0.iter().all(is_coarse), "scales and offsets of a finer grain");
            }
            let runs = || runs.iter().zip(of_runs.iter().step_by(LENGTH / RUN));
            let (mut largest, mut ranges) = (0, [(0, 0); DEPTH / RUN]);
            for ((run, of), range) in runs().zip(&mut ranges) {
                *range = range_of(run);
                largest = larger(larger(largest, of.of(range.0)), of.of(range.1));
            }
            let (factor, inverse) = scale_within(largest, grain.largest_integer());
            scales[column] = BlockScale { scale: factor, crossed: 0 };
            for (((run, of), range), words) in
                runs().zip(ranges).zip(panel.chunks_exact_mut(grain.run_words()))
            {
                let (of_run, bytes) = if inverse == 0.0 {
                    (OfRun::default(), [0; LENGTH])
                } else {
                    widened(run, range, *of, inverse)
                };
                let (head, words) = words.split_at_mut(grain.head());
                // One word of ratios, and one of offsets if there are any.
                let place = 2 * (column % (PANEL / 2)) + column / (PANEL / 2);
                for (head, value) in
                    head.as_chunks_mut::<PANEL>().0.iter_mut().zip([of_run.ratio, of_run.offset])
                {
                    head[place] = value;
                }
                for (four, words) in
                    bytes.as_chunks::<4>().0.iter().zip(words.as_chunks_mut::<FOUR_WORDS>().0)
                {
                    let [a, b, c, d] = four.map(|byte| byte as u8);
                    words[2 * column] = i16::from_le_bytes([a, c]);
                    words[2 * column + 1] = i16::from_le_bytes([b, d]);
                }
            }
        }
    }
}

/// Whether they are what a run of coarse grain has: the same scale, and no offset.
fn is_coarse([one, other]: &[Affine; 2]) -> bool {
    one.scale.to_bits() == other.scale.to_bits() && one.offset == 0.0 && other.offset == 0.0
}

/// The smallest and the largest integer of a run.
#[inline(always)]
fn range_of<const LENGTH: usize>(run: &[i8; LENGTH]) -> (i8, i8) {
    // In 16 bits: every x86-64 has their minimum in vectors, not that of signed bytes.
    let wide = run.map(i16::from);
    let low = wide.iter().fold(i16::MAX, |low, &q| low.min(q));
    let high = wide.iter().fold(i16::MIN, |high, &q| high.max(q));
    (low as i8, high as i8)
}

/// What makes a run's bytes integers of the product.
#[derive(Default)]
struct OfRun {
    ratio: i16,
    offset: i16,
}

/// A run's integers without their centre, times the least power of two that makes the largest at least 32, and what goes with them.
///
/// `inverse` times a weight is at most 2895, and so two weights are at most twice that from each other: a ratio is at most
/// `128 * 5790 / 32`.
#[inline(always)]
fn widened<const LENGTH: usize>(
    run: &[i8; LENGTH],
    (low, high): (i8, i8),
    of: Affine,
    inverse: f32,
) -> (OfRun, [i8; LENGTH]) {
    let (centre, offset) = if of.offset == 0.0 {
        (0, 0)
    } else {
        let centre = ((i16::from(low) + i16::from(high)) / 2) as i8;
        (centre, nearest(of.of(centre), inverse))
    };
    let largest = low.abs_diff(centre).max(high.abs_diff(centre));
    if largest == 0 {
        return (OfRun { ratio: 0, offset }, [0; LENGTH]);
    }
    let shift = largest.leading_zeros().saturating_sub(2);
    let ratio = nearest(of.scale * inverse, 128.0 / f32::from(1u8 << shift));
    (OfRun { ratio, offset }, run.map(|q| q.wrapping_sub(centre) << (shift & 7)))
}

/// A weight as an integer of the product: `vpmulhrsw` of its byte times 256 and its run's ratio, and its run's offset.
#[inline(always)]
fn integer(high: i16, ratio: i16, offset: i16) -> i16 {
    (((((i32::from(high) * i32::from(ratio)) >> 14) + 1) >> 1) as i16).wrapping_add(offset)
}

/// Whole runs of a panel of bytes, each with the room for its integers.
pub(crate) fn runs_of<'a>(
    grain: Grain,
    panel: &'a [i16],
    out: &'a mut [i16],
) -> impl Iterator<Item = (&'a [i16], &'a mut [i16])> {
    let runs = panel.chunks_exact(grain.run_words());
    assert!(runs.remainder().is_empty(), "unpack: {} words are no whole runs", panel.len());
    assert_eq!(out.len(), runs.len() * grain.run() * PANEL, "unpack: room");
    runs.zip(out.chunks_exact_mut(grain.run() * PANEL))
}

/// Runs of a panel of bytes as i16 panels have them; see [`crate::Kernels::unpack`].
#[inline(always)]
pub(crate) fn unpack_body(grain: Grain, panel: &[i16], out: &mut [i16]) {
    for (words, out) in runs_of(grain, panel, out) {
        let (head, words) = words.split_at(grain.head());
        // Each half's ratios, and its offsets if there are any; each twice: an output's two values lie side by side.
        let mut of_halves = [[[0i16; PANEL]; 2]; 2];
        for (half, of_half) in of_halves.iter_mut().enumerate() {
            for (head, values) in head.as_chunks::<PANEL>().0.iter().zip(of_half) {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = head[at / 2 * 2 + half];
                }
            }
        }
        let fours = words.as_chunks::<FOUR_WORDS>().0.iter().zip(out.as_chunks_mut::<{ 4 * PANEL }>().0);
        for (words, out) in fours {
            let (first, other) = out.split_at_mut(FOUR_WORDS);
            for (half, [ratios, offsets]) in of_halves.iter().enumerate() {
                let at = half * PANEL..(half + 1) * PANEL;
                let all = words[at.clone()].iter().zip(ratios).zip(offsets);
                for (((&word, &ratio), &offset), (first, other)) in
                    all.zip(first[at.clone()].iter_mut().zip(&mut other[at]))
                {
                    *first = integer(word << 8, ratio, offset);
                    *other = integer(word & HIGH, ratio, offset);
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
    unpack: fn(Grain, &[i16], &mut [i16]),
    tile_i16: fn(&TileI16<'_>, &mut Sums),
) {
    let Some(grain) = tile.grain else { panic!("weights that are not bytes") };
    assert!(tile.inputs.is_multiple_of(grain.run()), "whole runs");
    unpack(grain, &tile.panel[..grain.words(tile.inputs)], room);
    tile_i16(&TileI16 { panel: room, grain: None, ..*tile }, sums);
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
const _: () = assert!(128.0 * 2.0 * LIMIT / 32.0 < i16::MAX as f32);

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

    const GRAINS: [Grain; 2] = [Grain::Coarse, Grain::Fine];

    impl ByteRow {
        /// Of runs with such scales, and offsets where the grain has them, up to so many times the scale.
        fn fill_runs(&mut self, grain: Grain, random: &mut Random, scale: f32, offset: f32) {
            for of in self.of_runs.chunks_mut(grain.run() / RUN) {
                let scale = random.values(1, scale)[0];
                let offset = if grain == Grain::Fine { random.values(1, offset)[0] * scale } else { -0.0 };
                of.fill(Affine { scale, offset });
            }
        }
    }

    /// Rows of integers and scales as files have them, and as they should not have them.
    fn rows(grain: Grain, inputs: usize, random: &mut Random) -> Vec<ByteRow> {
        let mut all = Vec::new();
        for (largest, scale, offset) in [
            (127.9, 1e-2, 100.0),
            (8.0, 1.0, 8.0),
            (1.9, 1e3, 30.0),
            (127.9, 1e-33, 3.0),
            (127.9, 1e35, 1.0),
            (0.0, 1.0, 1.0),
            (64.0, 1e-20, 0.0),
            (8.0, 1.0, 1e4),
            (8.0, 1.0, 1e7),
        ] {
            let mut row = ByteRow::new(inputs);
            for (q, value) in row.integers.iter_mut().zip(random.values(inputs, largest)) {
                *q = value as i8;
            }
            row.fill_runs(grain, random, scale, offset);
            all.push(row);
        }
        // One large integer in each run, wherever it stands.
        for largest in [100, -100, -128] {
            for place in 0..grain.run() {
                let mut row = ByteRow::new(inputs);
                row.integers.fill(3);
                row.integers.chunks_mut(grain.run()).for_each(|run| run[place] = largest);
                row.of_runs.fill(Affine::scale(0.25));
                all.push(row);
            }
        }
        // The lowest integer, zeros under a scale, a run that is small beside the others, no scale at all.
        let per_run = grain.run() / RUN;
        let mut row = ByteRow::new(inputs);
        row.integers.fill(-128);
        row.integers[grain.run()..2 * grain.run()].fill(0);
        row.of_runs.fill(Affine::scale(0.5));
        row.of_runs[per_run..2 * per_run].fill(Affine::scale(1e30));
        row.of_runs[2 * per_run..3 * per_run].fill(Affine::scale(1e-9));
        row.of_runs[3 * per_run..4 * per_run].fill(Affine::scale(0.0));
        all.push(row);
        if grain == Grain::Fine {
            // All integers there are, beside offsets that all but cancel them; an offset alone; a centre that is all there is;
            // a zero that is an offset's.
            let mut row = ByteRow::new(inputs);
            for (at, q) in row.integers.iter_mut().enumerate() {
                *q = [-128, 127][at % 2];
            }
            row.of_runs.fill(Affine { scale: 0.5, offset: 0.25 });
            row.of_runs[1] = Affine { scale: 1.0, offset: 128.0 };
            row.of_runs[2] = Affine { scale: 1.0, offset: -127.0 };
            row.of_runs[3] = Affine { scale: 0.0, offset: -60.0 };
            row.integers[4 * RUN..5 * RUN].fill(31);
            row.of_runs[4] = Affine { scale: 1.0, offset: -1.0 };
            row.of_runs[5] = Affine { scale: 1.0, offset: 0.0 };
            all.push(row);
            // All far from zero, and offsets that take them back: neither part alone would fit its word.
            for low in [120i8, -128] {
                let mut row = ByteRow::new(inputs);
                for (at, q) in row.integers.iter_mut().enumerate() {
                    *q = low + (at % 8) as i8;
                }
                let middle = f32::from(low) + 3.5;
                row.of_runs.fill(Affine { scale: 0.01, offset: -0.01 * middle });
                all.push(row);
            }
        }
        all
    }

    /// A panel of the first rows.
    fn packed(grain: Grain, rows: &[ByteRow], inputs: usize) -> (Vec<i16>, Vec<[BlockScale; PANEL]>) {
        let mut panel = vec![-1; grain.words(inputs)];
        let mut scales = vec![[BlockScale::default(); PANEL]; inputs.div_ceil(DEPTH)];
        for column in 0..PANEL {
            rows[column % rows.len()].set(grain, &mut panel, column, &mut scales);
        }
        (panel, scales)
    }

    /// The pair form's place of an output's weight.
    fn at(input: usize, column: usize) -> usize {
        (input / 2 * PANEL + column) * 2 + input % 2
    }

    #[test]
    fn integers_of_the_product_are_near_what_the_file_says() {
        for grain in GRAINS {
            let inputs = 2 * DEPTH + 3 * grain.run();
            let all = rows(grain, inputs, &mut Random::seeded(71));
            all.chunks(PANEL).for_each(|rows| check_integers(grain, rows, inputs));
        }
    }

    fn check_integers(grain: Grain, rows: &[ByteRow], inputs: usize) {
        let (panel, scales) = packed(grain, rows, inputs);
        let mut pairs = vec![0; inputs * PANEL];
        unpack_body(grain, &panel, &mut pairs);
        for column in 0..PANEL {
            let row = &rows[column % rows.len()];
            for input in 0..inputs {
                let weight = f64::from(row.of_runs[input / RUN].of(row.integers[input]));
                let scale = f64::from(scales[input / DEPTH][column].scale);
                let integer = f64::from(pairs[at(input, column)]);
                assert!(integer.abs() <= f64::from(LIMIT), "{column}, {input}: {integer}");
                // Half an integer for its own rounding, half for its ratio's, and half for its offset's.
                let halves = if grain == Grain::Fine { 1.5 } else { 1.0 };
                let bound = 1.0001 * halves * scale + 1e-30;
                assert!(
                    (integer * scale - weight).abs() <= bound,
                    "{grain:?} {column}, {input}: {integer} x {scale} for {weight}"
                );
            }
            for (block, scales) in scales.iter().enumerate() {
                let of_block = block * DEPTH..((block + 1) * DEPTH).min(inputs);
                let largest = of_block
                    .map(|input| row.of_runs[input / RUN].of(row.integers[input]).abs())
                    .fold(0.0, f32::max);
                assert_eq!(
                    scales[column].scale,
                    if largest < 1e-30 { 0.0 } else { largest / grain.largest_integer() }
                );
            }
        }
    }

    #[test]
    fn scales_that_are_no_numbers_show_in_their_block_alone() {
        // NaN has any payload: as integers some of them would not be 0.
        let bad = [f32::NAN, f32::from_bits(0x7fc0_ffff), f32::INFINITY, f32::NEG_INFINITY];
        let scales = bad.map(Affine::scale).map(|of| (Grain::Coarse, of));
        let fine_scales = bad.map(Affine::scale).map(|of| (Grain::Fine, of));
        let offsets = bad.map(|offset| (Grain::Fine, Affine { scale: 0.0, offset }));
        for (grain, of) in scales.into_iter().chain(fine_scales).chain(offsets) {
            let largest = grain.largest_integer();
            // Also where every integer is 0: the decoded weights are NaN.
            for integer in [3, 0] {
                let mut row = ByteRow::new(2 * DEPTH);
                row.integers.fill(5);
                row.of_runs.fill(Affine::scale(1.0));
                row.integers[32..64].fill(integer);
                row.of_runs[2..4].fill(of);
                let (panel, scales) = packed(grain, &[row], 2 * DEPTH);
                assert!(
                    scales[0].iter().all(|of| !of.scale.is_finite()),
                    "{of:?} x {integer}: {:?}",
                    scales[0][0]
                );
                assert!(scales[1].iter().all(|of| of.scale == 5.0 / largest));
                let mut pairs = vec![1; 2 * DEPTH * PANEL];
                unpack_body(grain, &panel, &mut pairs);
                assert!(pairs[..DEPTH * PANEL].iter().all(|&integer| integer == 0), "the scale says it all");
                assert!(pairs[DEPTH * PANEL..].iter().all(|&integer| integer == largest as i16));
            }
        }
    }

    #[test]
    fn a_cleared_row_is_zeros_whatever_it_held() {
        for grain in GRAINS {
            let mut row = ByteRow::new(DEPTH);
            row.integers.fill(9);
            let offset = if grain == Grain::Fine { 7.0 } else { -0.0 };
            row.of_runs.fill(Affine { scale: 3.0, offset });
            row.clear();
            let (panel, scales) = packed(grain, &[row], DEPTH);
            assert!(panel.iter().all(|&word| word == 0) && scales[0][0].scale == 0.0, "{grain:?}");
        }
    }

    #[test]
    #[should_panic(expected = "of a finer grain")]
    fn a_coarse_run_of_two_scales_is_refused() {
        let mut row = ByteRow::new(DEPTH);
        row.of_runs[1] = Affine::scale(1.0);
        packed(Grain::Coarse, &[row], DEPTH);
    }

    #[test]
    #[should_panic(expected = "of a finer grain")]
    fn a_coarse_run_with_an_offset_is_refused() {
        let mut row = ByteRow::new(DEPTH);
        row.of_runs[..2].fill(Affine { scale: 1.0, offset: 0.5 });
        packed(Grain::Coarse, &[row], DEPTH);
    }

    #[test]
    fn every_level_unpacks_to_the_same_integers() {
        let mut random = Random::seeded(72);
        let sizes = GRAINS
            .iter()
            .flat_map(|&grain| [1, 3, DEPTH / grain.run()].map(|runs| (grain, runs * grain.run())));
        for (grain, inputs) in sizes {
            let mut rows = rows(grain, DEPTH, &mut random);
            rows.truncate(9);
            let (panel, _) = packed(grain, &rows, DEPTH);
            let panel = &panel[..grain.words(inputs)];
            let mut wanted = vec![0; inputs * PANEL];
            unpack_body(grain, panel, &mut wanted);
            for kernels in rows_of_the_table() {
                let mut got = vec![-1; inputs * PANEL];
                (kernels.unpack)(grain, panel, &mut got);
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
        for grain in GRAINS {
            let (run_words, integers) = (grain.run_words(), grain.run() * PANEL);
            let panel: Vec<i16> =
                random.values(4 * run_words, 32768.0).into_iter().map(|value| value as i16).collect();
            let mut wanted = vec![0; 4 * integers];
            unpack_body(grain, &panel, &mut wanted);
            for kernels in rows_of_the_table() {
                let mut got = vec![-1; 4 * integers];
                (kernels.unpack)(grain, &panel, &mut got);
                assert!(got == wanted, "{} {grain:?}", kernels.level);
                for (words, room) in
                    [(run_words - 1, integers), (run_words, integers - 1), (run_words, 2 * integers)]
                {
                    let unpack = || (kernels.unpack)(grain, &panel[..words], &mut vec![0; room]);
                    let refused = std::panic::catch_unwind(unpack);
                    assert!(refused.is_err(), "{} {grain:?}: {words} words into {room}", kernels.level);
                }
            }
        }
    }
}
