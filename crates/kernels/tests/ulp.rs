//! Errors of the bodies in ulp, against f64: the bounds that their documentation states.
//!
//! An ulp is the unit in the last place of the exact result in f32, for rows that of the row's largest.

use connote_kernels::{Kernels, Level, RopeTable, frequencies};
use testkit::oracle;
use testkit::random::Random;

fn levels() -> Vec<&'static Kernels> {
    Level::available().flat_map(Kernels::all_of).copied().collect()
}

fn f64s(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// The unit in the last place of a value as f32; that of the smallest normal number below it.
fn ulp(exact: f64) -> f64 {
    let exponent = (exact.abs() as f32).max(f32::MIN_POSITIVE).to_bits() & 0x7f80_0000;
    f64::from(f32::from_bits(exponent)) / f64::from(1 << 23)
}

/// Magnitudes from `first` to `last`: every `step`-th f32 there is.
fn sweep(first: f32, last: f32, step: usize) -> impl Iterator<Item = f32> {
    (first.to_bits()..=last.to_bits()).step_by(step).map(f32::from_bits)
}

/// What may be wrong with a result: ulp, in a range of inputs.
struct Bound {
    from: f32,
    to: f32,
    ulp: fn(f64) -> f64,
}

/// Runs an activation at every level over four million values of either sign and holds it against its bounds.
/// Where none is given, `absolute` is one.
fn check(
    name: &str,
    run: impl Fn(&Kernels, &mut [f32]),
    exact: fn(f64) -> f64,
    bounds: &[Bound],
    absolute: f64,
) {
    let magnitudes = sweep(1e-30, 100.0, 2039).chain(sweep(1.0 / 64.0, 16.0, 63)).chain([0.0, 1e-38, 3e38]);
    let x: Vec<f32> = magnitudes.flat_map(|x| [x, -x]).collect();
    let results: Vec<Vec<f32>> = levels()
        .into_iter()
        .map(|kernels| {
            let mut got = x.clone();
            run(kernels, &mut got);
            got
        })
        .collect();
    let mut worst = vec![(0.0f64, 0.0f32); bounds.len()];
    let mut worst_absolute = 0.0f64;
    for (i, &x) in x.iter().enumerate() {
        let exact = exact(f64::from(x));
        for (got, kernels) in results.iter().zip(levels()) {
            let error = (f64::from(got[i]) - exact).abs();
            let what = || format!("{} {name}({x:e}) = {:e}, not {exact:e}", kernels.level, got[i]);
            match bounds.iter().position(|bound| (bound.from..bound.to).contains(&x)) {
                Some(at) => {
                    let ulps = error / ulp(exact);
                    if ulps > worst[at].0 {
                        worst[at] = (ulps, x);
                    }
                    assert!(ulps <= (bounds[at].ulp)(f64::from(x)), "{}: {ulps:.2} ulp", what());
                }
                None => {
                    worst_absolute = worst_absolute.max(error);
                    assert!(error <= absolute, "{}: {error:e}", what());
                }
            }
        }
    }
    for (bound, (ulps, x)) in bounds.iter().zip(worst) {
        println!("{name} from {} to {}: {ulps:.2} ulp at {x}", bound.from, bound.to);
    }
    println!("{name} elsewhere: {worst_absolute:e}");
}

#[test]
fn gelu_erf_is_within_its_bounds() {
    let bounds = [
        Bound { from: -1.0, to: f32::INFINITY, ulp: |_| 6.0 },
        Bound { from: -3.0, to: -1.0, ulp: |_| 24.0 },
        Bound { from: -4.0, to: -3.0, ulp: |_| 80.0 },
        Bound { from: -5.0, to: -4.0, ulp: |_| 3000.0 },
    ];
    check("gelu_erf", |kernels, x| (kernels.gelu_erf)(x), oracle::gelu_erf, &bounds, 1e-9);
    let gated = |kernels: &Kernels, x: &mut [f32]| {
        let gate = x.to_vec();
        x.fill(1.0);
        (kernels.gated_gelu_erf)(&gate, x);
    };
    check("gated_gelu_erf", gated, oracle::gelu_erf, &bounds, 1e-9);
}

#[test]
fn gelu_tanh_is_within_its_bounds() {
    let bounds = [
        Bound { from: -1.0, to: f32::INFINITY, ulp: |_| 5.0 },
        // The exponent is rounded to f32.
        Bound { from: -10.0, to: -1.0, ulp: |x| 5.0 + 3.0 * (1.5958 * (x + 0.044715 * x * x * x)).abs() },
    ];
    let run = |kernels: &Kernels, x: &mut [f32]| {
        let gate = x.to_vec();
        x.fill(1.0);
        (kernels.gated_gelu_tanh)(&gate, x);
    };
    check("gelu_tanh", run, oracle::gelu_tanh, &bounds, 2e-37);
}

#[test]
fn silu_is_within_its_bounds() {
    let bounds = [Bound { from: -88.3, to: f32::INFINITY, ulp: |_| 3.0 }];
    check("silu", |kernels, x| (kernels.silu)(x), oracle::silu, &bounds, 4e-37);
    let gated = |kernels: &Kernels, x: &mut [f32]| {
        let gate = x.to_vec();
        x.fill(1.0);
        (kernels.gated_silu)(&gate, x);
    };
    check("gated_silu", gated, oracle::silu, &bounds, 4e-37);
}

/// The largest error of a row in ulp of its largest result.
fn row_error(got: &[f32], exact: &[f64]) -> f64 {
    let largest = exact.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let errors = got.iter().zip(exact).map(|(&got, exact)| (f64::from(got) - exact).abs());
    errors.fold(0.0, f64::max) / ulp(largest)
}

#[test]
fn norms_are_within_their_bounds() {
    let mut random = Random::seeded(41);
    let mut worst = [0.0f64; 2];
    for n in [7, 384, 768, 1000, 4096] {
        for (scale, shift) in [(1.0, 0.0), (1e-3, 0.0), (1e4, 0.0), (1.0, 1.0), (1.0, -10.0)] {
            let x: Vec<f32> = random.values(n, scale).into_iter().map(|v| v + shift).collect();
            let (weight, bias) = (random.values(n, 2.0), random.values(n, 0.5));
            let [x64, weight64, bias64] = [&x, &weight, &bias].map(|row| f64s(row));
            let layer = oracle::layer_norm(&x64, &weight64, &bias64, 1e-12);
            let rms = oracle::rms_norm(&x64, &weight64, 1e-6);
            for kernels in levels() {
                let mut got = x.clone();
                (kernels.layer_norm)(&mut got, &weight, &bias, 1e-12);
                // The mean is rounded at its own size.
                let errors = [row_error(&got, &layer) / f64::from(shift.abs()).max(1.0), {
                    got.copy_from_slice(&x);
                    (kernels.rms_norm)(&mut got, &weight, 1e-6);
                    row_error(&got, &rms)
                }];
                for (worst, error) in worst.iter_mut().zip(errors) {
                    *worst = worst.max(error);
                }
                let what = format!("{} {n} values, scale {scale}, shift {shift}", kernels.level);
                assert!(errors[0] <= 4.0, "{what}: layer norm {:.2} ulp", errors[0]);
                assert!(errors[1] <= 3.0, "{what}: RMS norm {:.2} ulp", errors[1]);
            }
        }
    }
    println!("layer norm {:.2} ulp, RMS norm {:.2} ulp", worst[0], worst[1]);
}

#[test]
fn softmax_is_within_its_bounds() {
    let mut random = Random::seeded(42);
    let (mut worst, mut worst_sum) = (0.0f64, 0.0f64);
    for n in [1, 2, 15, 16, 17, 100, 511, 1000, 8192] {
        for scale in [0.1, 1.0, 10.0, 45.0] {
            let x = random.values(n, scale);
            let exact = oracle::softmax(&f64s(&x));
            let largest = f64::from(x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            for kernels in levels() {
                let mut got = x.clone();
                (kernels.softmax)(&mut got);
                for ((&got, &exact), &x) in got.iter().zip(&exact).zip(&x) {
                    let error = (f64::from(got) - exact).abs();
                    let what = || format!("{} {n} at {scale}: {got:e}, not {exact:e}", kernels.level);
                    if exact < 1e-37 {
                        assert!(error < 1e-37, "{}", what());
                        continue;
                    }
                    // The distance from the largest is rounded to f32.
                    let error = error / ulp(exact) - (largest - f64::from(x));
                    worst = worst.max(error);
                    assert!(error <= 8.0, "{}: {error:.2} ulp beyond the distance", what());
                }
                let sum: f64 = got.iter().copied().map(f64::from).sum();
                worst_sum = worst_sum.max((sum - 1.0).abs());
                assert!((sum - 1.0).abs() <= 5e-7, "{} {n} at {scale}: the sum is {sum}", kernels.level);
            }
        }
    }
    println!("softmax {worst:.2} ulp beyond the distance, sum {worst_sum:e}");
}

#[test]
fn rope_is_within_its_bounds() {
    let mut random = Random::seeded(43);
    let mut worst = 0.0f64;
    for (dims, base, scale) in [(64, 10_000.0, 1.0), (256, 1e6, 1.0), (256, 1e6, 0.125)] {
        let table =
            RopeTable::new(&frequencies(dims, base).map(|f| scale * f).collect::<Vec<_>>(), 1.0, 8193);
        for position in (0..8192).step_by(61).chain([8191, 8192]) {
            let head = random.values(dims, 3.0);
            let mut exact = f64s(&head);
            oracle::rope(&mut exact, dims, position, base, scale);
            for kernels in levels() {
                let mut got = head.clone();
                let (cos, sin) = table.at(position);
                (kernels.rope)(&mut got, cos, sin);
                for i in 0..dims {
                    let pair = exact[i].hypot(exact[(i + dims / 2) % dims]);
                    let error = (f64::from(got[i]) - exact[i]).abs() / ulp(pair);
                    worst = worst.max(error);
                    assert!(error <= 2.0, "{} {dims} at {position}: {error:.2} ulp", kernels.level);
                }
            }
        }
    }
    println!("RoPE {worst:.2} ulp of the pair");
}
