//! Activations as integers against plain f64: every level, odd lengths, extreme values.

use std::panic::{AssertUnwindSafe, catch_unwind};

use connote_kernels::{BlockScale, DEPTH, Kernels, Level};
use testkit::oracle;
use testkit::random::Random;

/// The largest integer: the most that 256 products of two can sum to.
const LIMIT: f64 = 2895.0;

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

/// Integers in pairs, and scales; filled with what `quantize` must overwrite.
fn quantized(kernels: &Kernels, x: &[f32]) -> (Vec<i16>, Vec<f32>) {
    let mut q = vec![77; x.len().next_multiple_of(2)];
    let mut scales = vec![BlockScale { scale: 77.0, crossed: 77 }; q.len().div_ceil(DEPTH)];
    (kernels.quantize)(x, &mut q, &mut scales);
    for (block, scale) in q.chunks(DEPTH).zip(&scales) {
        let fours = block.as_chunks::<4>().0.iter().map(|&four| four.map(i64::from));
        let crossed: i64 = fours.map(|[a, b, c, d]| -(a * c + b * d)).sum();
        assert_eq!(i64::from(scale.crossed), crossed, "{} {} values", kernels.level, x.len());
    }
    (q, scales.iter().map(|scale| scale.scale).collect())
}

fn check(kernels: &Kernels, what: &str, x: &[f32]) {
    let what = format!("{} {what}, {} values", kernels.level, x.len());
    let (q, scales) = quantized(kernels, x);
    for (block, (values, q)) in x.chunks(DEPTH).zip(q.chunks(DEPTH)).enumerate() {
        let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let (scale, steps) = oracle::in_steps(&values, LIMIT);
        let got = f64::from(scales[block]);
        assert!((got - scale).abs() <= 1.2e-7 * scale, "{what}: scale {block} is {got}, should be {scale}");
        for (i, (&q, step)) in q.iter().zip(steps).enumerate() {
            // Half a step, and the roundings of two f32 products at 2895.
            assert!(
                (f64::from(q) - step).abs() <= 0.5 + 1e-3,
                "{what}: value {i} of block {block}: {q} {step}"
            );
        }
    }
    if x.len() % 2 == 1 {
        assert_eq!(q[x.len()], 0, "{what}: the odd one");
    }
}

#[test]
fn integers_and_scales_agree_with_the_oracle() {
    let mut random = Random::seeded(31);
    for kernels in levels() {
        for count in [1, 2, 7, 16, 33, 255, 256, 257, 511, 515, 768] {
            for scale in [1.0, 1e-20, 3e38] {
                check(kernels, "random", &random.values(count, scale));
            }
            let mut outlier = random.values(count, 0.01);
            outlier[count / 2] = -250.0;
            check(kernels, "an outlier", &outlier);
        }
        // Every integer, and the halves between them.
        let ramp: Vec<f32> = (-5790..=5790).map(|i| i as f32 / 2.0).collect();
        for block in ramp.chunks(DEPTH - 1) {
            check(kernels, "a ramp", &[block, &[2895.0]].concat());
        }
        // The most that their products can sum to, on either side.
        check(kernels, "all the largest", &[1.0; DEPTH]);
        let turns: Vec<f32> = (0..DEPTH).map(|at| if at & 2 == 0 { 1.0 } else { -1.0 }).collect();
        check(kernels, "all the largest, by turns", &turns);
        check(kernels, "the largest numbers", &[f32::MAX, f32::MIN, 1.0, f32::MAX / 2.0]);
    }
}

/// An outlier costs its own 256 values their precision, and no others.
#[test]
fn every_block_has_its_own_scale() {
    let mut x = vec![1.0f32; 3 * DEPTH];
    x[0] = 2895.0;
    for kernels in levels() {
        let (q, scales) = quantized(kernels, &x);
        assert_eq!(q[..2], [2895, 1], "{}", kernels.level);
        assert!(q[DEPTH..].iter().all(|&q| q == 2895), "{}", kernels.level);
        assert_eq!(scales[0], 1.0, "{}", kernels.level);
        assert_eq!(scales[1..], [1.0 / 2895.0; 2], "{}", kernels.level);
    }
}

#[test]
fn blocks_too_small_to_scale_are_zero() {
    for kernels in levels() {
        for tiny in [0.0, -0.0, 1e-31, -1e-40, f32::from_bits(1)] {
            let (q, scales) = quantized(kernels, &[tiny; 5]);
            assert_eq!((q, scales), (vec![0; 6], vec![0.0]), "{} {tiny}", kernels.level);
        }
        // Just large enough.
        check(kernels, "small", &[2e-30, -1e-30, 0.0]);
        assert_eq!(quantized(kernels, &[2e-30, -2e-30]).0, [2895, -2895], "{}", kernels.level);
    }
}

#[test]
fn what_is_not_finite_shows_in_its_scale_and_no_other() {
    for kernels in levels() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 255, 256, 400] {
                let mut x = vec![1.0; 2 * DEPTH];
                x[at] = bad;
                let (_, scales) = quantized(kernels, &x);
                let finite: Vec<bool> = scales.iter().map(|scale| scale.is_finite()).collect();
                assert_eq!(finite, [at >= DEPTH, at < DEPTH], "{} {bad} at {at}", kernels.level);
            }
        }
    }
}

#[test]
fn every_level_gives_the_same_integers_and_scales() {
    let mut random = Random::seeded(32);
    for count in [1, 15, 257, 1152] {
        let x = random.values(count, 5.0);
        let scalar = quantized(levels()[0], &x);
        for kernels in levels() {
            assert_eq!(quantized(kernels, &x), scalar, "{} {count}", kernels.level);
        }
    }
}

#[test]
fn room_that_does_not_fit_is_refused_at_every_level() {
    for kernels in levels() {
        for (values, integers, scales) in [(4, 3, 1), (4, 6, 1), (4, 4, 0), (4, 4, 2), (257, 258, 1)] {
            let call = || {
                (kernels.quantize)(
                    &vec![1.0; values],
                    &mut vec![0; integers],
                    &mut vec![BlockScale::default(); scales],
                )
            };
            let refused = catch_unwind(AssertUnwindSafe(call)).is_err();
            assert!(refused, "{} {values} values, {integers} integers, {scales} scales", kernels.level);
        }
    }
}
