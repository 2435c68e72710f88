//! What works row by row (norms, softmax, activations, rotation), at every level this machine has: against the f64
//! oracle, at extremes, and bit by bit against the scalar level. Errors in ulp are in `ulp.rs`.

use connote_kernels::{Kernels, Level, RopeTable, frequencies};
use testkit::oracle::{self, assert_close};
use testkit::random::Random;

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

fn f64s(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

#[test]
fn norms_agree_with_the_oracle() {
    let mut random = Random::seeded(5);
    for kernels in levels() {
        for (n, scale) in [(1, 1.0), (7, 1e-3), (16, 1.0), (384, 1e4), (769, 30.0)] {
            let x = random.values(n, scale);
            let (weight, bias) = (random.values(n, 2.0), random.values(n, 1.0));
            let mut got = x.clone();
            (kernels.layer_norm)(&mut got, &weight, &bias, 1e-12);
            if n > 1 {
                let wanted = oracle::layer_norm(&f64s(&x), &f64s(&weight), &f64s(&bias), 1e-12);
                assert_close(&format!("{} layer norm {n}", kernels.level), &got, &wanted, 5e-6);
            }
            let mut got = x.clone();
            (kernels.rms_norm)(&mut got, &weight, 1e-6);
            let wanted = oracle::rms_norm(&f64s(&x), &f64s(&weight), 1e-6);
            assert_close(&format!("{} RMS norm {n}", kernels.level), &got, &wanted, 2e-6);
        }
    }
}

#[test]
fn softmax_agrees_with_the_oracle_and_never_overflows() {
    let mut random = Random::seeded(6);
    for kernels in levels() {
        for (n, scale) in [(1, 1.0), (5, 1.0), (16, 100.0), (977, 8.0), (33, 1e30)] {
            let x = random.values(n, scale);
            let mut got = x.clone();
            (kernels.softmax)(&mut got);
            assert_close(&format!("{} softmax {n}", kernels.level), &got, &oracle::softmax(&f64s(&x)), 4e-6);
            let sum: f64 = got.iter().copied().map(f64::from).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{} softmax {n} sums to {sum}", kernels.level);
        }
        let mut equal = [-3.0e38f32; 4];
        (kernels.softmax)(&mut equal);
        assert_eq!(equal, [0.25; 4]);
        (kernels.softmax)(&mut []);
    }
}

#[test]
fn activations_agree_with_the_oracle_everywhere() {
    let mut x: Vec<f32> = (-6000..=6000).map(|i| i as f32 / 500.0).collect();
    x.extend([0.0, -0.0, 1e-30, -1e-30, 1e-8, 50.0, -50.0, 1e10, -1e10, f32::MAX, f32::MIN]);
    for kernels in levels() {
        let mut got = x.clone();
        (kernels.gelu_erf)(&mut got);
        let ones = vec![1.0; x.len()];
        let mut gated = ones;
        (kernels.gated_gelu_tanh)(&x, &mut gated);
        for ((&x, &erf), &tanh) in x.iter().zip(&got).zip(&gated) {
            let bound = 4e-7 * f64::from(x).abs().max(1e-3);
            let wanted = oracle::gelu_erf(f64::from(x));
            assert!(
                (f64::from(erf) - wanted).abs() <= bound,
                "{} gelu_erf({x}) = {erf}, not {wanted}",
                kernels.level
            );
            let wanted = oracle::gelu_tanh(f64::from(x));
            assert!(
                (f64::from(tanh) - wanted).abs() <= bound,
                "{} gelu_tanh({x}) = {tanh}, not {wanted}",
                kernels.level
            );
        }
    }
}

#[test]
fn not_a_number_stays_visible() {
    for kernels in levels() {
        let mut x = [1.0, f32::NAN, 2.0];
        (kernels.gelu_erf)(&mut x);
        assert!(x[1].is_nan() && !x[0].is_nan(), "{} gelu", kernels.level);
        let mut x = [1.0, f32::NAN, 2.0];
        (kernels.silu)(&mut x);
        assert!(x[1].is_nan() && !x[0].is_nan(), "{} silu", kernels.level);
        let mut x = [1.0, f32::NAN, -2.0];
        (kernels.relu)(&mut x);
        assert!(x[1].is_nan() && x[0] == 1.0 && x[2] == 0.0, "{} relu", kernels.level);
        for gated in [kernels.gated_gelu_erf, kernels.gated_gelu_tanh, kernels.gated_silu] {
            let mut up = [1.0; 3];
            gated(&[1.0, f32::NAN, 2.0], &mut up);
            assert!(up[1].is_nan() && !up[0].is_nan(), "{} gated", kernels.level);
        }
        let mut x = [1.0, f32::NAN, 2.0];
        (kernels.softmax)(&mut x);
        assert!(x.iter().any(|value| value.is_nan()), "{} softmax", kernels.level);
        let mut x = [1.0, f32::NAN, 2.0];
        (kernels.rms_norm)(&mut x, &[1.0; 3], 1e-6);
        assert!(x.iter().all(|value| value.is_nan()), "{} RMS norm", kernels.level);
    }
}

/// Far out every activation is its argument or zero: nothing overflows on the way.
#[test]
fn activations_of_large_values_are_themselves_or_zero() {
    let x = [0.0, -0.0, 100.0, -100.0, 1e20, -1e20, f32::MAX, f32::MIN];
    let wanted = [0.0, -0.0, 100.0, -0.0, 1e20, -0.0, f32::MAX, -0.0].map(f32::to_bits);
    for kernels in levels() {
        for in_place in [kernels.gelu_erf, kernels.silu] {
            let mut got = x;
            in_place(&mut got);
            // GELU reaches zero a little later than f32 ends.
            got[3] = if got[3].abs() < 1e-35 { -0.0 } else { got[3] };
            assert_eq!(got.map(f32::to_bits), wanted, "{}", kernels.level);
        }
        for gated in [kernels.gated_gelu_erf, kernels.gated_gelu_tanh, kernels.gated_silu] {
            let mut got = [1.0; 8];
            gated(&x, &mut got);
            got[3] = if got[3].abs() < 1e-35 { -0.0 } else { got[3] };
            assert_eq!(got.map(f32::to_bits), wanted, "{} gated", kernels.level);
        }
    }
}

#[test]
fn norms_into_another_row_have_the_bits_of_those_in_place() {
    let mut random = Random::seeded(10);
    for kernels in levels() {
        for n in [1, 15, 16, 333, 768] {
            let (x, weight, bias) = (random.values(n, 4.0), random.values(n, 1.0), random.values(n, 1.0));
            for bias in [&bias[..], &[]] {
                let (mut wanted, mut got) = (x.clone(), vec![f32::NAN; n]);
                (kernels.layer_norm)(&mut wanted, &weight, bias, 1e-5);
                (kernels.layer_norm_to)(&x, &weight, bias, 1e-5, &mut got);
                assert_eq!(got, wanted, "{} layer norm {n}", kernels.level);
            }
            let (mut wanted, mut got) = (x.clone(), vec![f32::NAN; n]);
            (kernels.rms_norm)(&mut wanted, &weight, 1e-5);
            (kernels.rms_norm_to)(&x, &weight, 1e-5, &mut got);
            assert_eq!(got, wanted, "{} RMS norm {n}", kernels.level);
        }
    }
}

#[test]
fn rope_turns_pairs_and_leaves_the_rest() {
    let mut random = Random::seeded(7);
    let table = RopeTable::new(&frequencies(8, 10_000.0).map(|f| 0.125 * f).collect::<Vec<_>>(), 1.0, 2048);
    for kernels in levels() {
        for position in [0, 1, 511, 2047] {
            let head = random.values(11, 1.0);
            let mut wanted = f64s(&head);
            oracle::rope(&mut wanted, 8, position, 10_000.0, 0.125);
            let mut got = head;
            let (cos, sin) = table.at(position);
            (kernels.rope)(&mut got, cos, sin);
            assert_close(&format!("{} rope at {position}", kernels.level), &got, &wanted, 1e-6);
        }
    }
}

#[test]
fn everything_but_the_product_has_the_same_bits_at_every_level() {
    let mut random = Random::seeded(8);
    let (x, y, weight) = (random.values(333, 4.0), random.values(333, 1.0), random.values(333, 1.0));
    // Heads of 333 of which 322 dimensions turn: neither is a whole number of vectors.
    let table = RopeTable::new(&frequencies(322, 10_000.0).collect::<Vec<_>>(), 1.0, 600);
    let run = |kernels: &Kernels| {
        let mut out = Vec::new();
        for step in 0..13 {
            let mut row = x.clone();
            match step {
                0 => (kernels.layer_norm)(&mut row, &weight, &y, 1e-5),
                1 => (kernels.rms_norm)(&mut row, &weight, 1e-5),
                2 => (kernels.softmax)(&mut row),
                3 => (kernels.gelu_erf)(&mut row),
                4 => (kernels.gated_gelu_tanh)(&y, &mut row),
                5 => {
                    let (cos, sin) = table.at(599);
                    (kernels.rope)(&mut row, cos, sin);
                }
                6 => (kernels.layer_norm_to)(&x, &weight, &y, 1e-5, &mut row),
                7 => (kernels.rms_norm_to)(&x, &weight, 1e-5, &mut row),
                8 => (kernels.silu)(&mut row),
                9 => (kernels.gated_gelu_erf)(&y, &mut row),
                10 => (kernels.gated_silu)(&y, &mut row),
                11 => (kernels.relu)(&mut row),
                _ => {
                    (kernels.add)(&mut row, &y);
                    (kernels.scale)(&mut row, 0.3);
                }
            }
            out.push(row);
        }
        out
    };
    let scalar = run(Kernels::of(Level::Scalar).expect("every machine has it"));
    for kernels in levels() {
        assert_eq!(run(kernels), scalar, "{}", kernels.level);
    }
}
