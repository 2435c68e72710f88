//! Nanoseconds a value that each body takes, at every CPU level, on one core:
//! `cargo run --release -p connote-kernels --example body_speed`
//!
//! One row of 768 values again and again, so that everything is in the first cache. The best of 200 rounds: other
//! work on the machine only makes rounds slower.

use std::hint::black_box;
use std::time::{Duration, Instant};

use connote_kernels::{DEPTH, Kernels, Level};

/// Values in a row.
const ROW: usize = 768;
/// Rows in a round.
const ROWS: usize = 64;

fn nanoseconds_a_value(mut row: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        for _ in 0..ROWS {
            row();
        }
        start.elapsed()
    };
    let best = (0..200).map(round).min().unwrap_or(Duration::MAX);
    best.as_secs_f64() * 1e9 / (ROW * ROWS) as f64
}

fn measure(kernels: &Kernels) -> Vec<(&'static str, f64)> {
    let x: Vec<f32> = (0..ROW).map(|i| ((i * 37 + 11) % 97) as f32 / 12.0 - 4.0).collect();
    let (weight, bias) = (vec![1.01f32; ROW], vec![0.1f32; ROW]);
    let mut y = x.clone();
    let (mut q, mut scales) = (vec![0i16; ROW], vec![0.0f32; ROW / DEPTH]);
    let (cos, sin) = (vec![0.8f32; ROW / 2], vec![0.6f32; ROW / 2]);
    let mut out = Vec::new();
    // What works in place starts from the same values every time; the copy is measured by itself.
    macro_rules! time {
        ($name:literal, $call:expr) => {
            out.push((
                $name,
                nanoseconds_a_value(|| {
                    y.copy_from_slice(black_box(&x));
                    $call;
                    black_box(&mut y);
                }),
            ));
        };
    }
    time!("(copy)", {});
    time!("add", (kernels.add)(&mut y, black_box(&bias)));
    time!("scale", (kernels.scale)(&mut y, 0.3));
    time!("rope", (kernels.rope)(&mut y, black_box(&cos), black_box(&sin)));
    time!("rms_norm", (kernels.rms_norm)(&mut y, black_box(&weight), 1e-6));
    time!("layer_norm", (kernels.layer_norm)(&mut y, black_box(&weight), black_box(&bias), 1e-6));
    time!("rms_norm_to", (kernels.rms_norm_to)(black_box(&x), black_box(&weight), 1e-6, &mut y));
    time!("layer_norm_to", {
        (kernels.layer_norm_to)(black_box(&x), black_box(&weight), black_box(&bias), 1e-6, &mut y);
    });
    time!("softmax", (kernels.softmax)(&mut y));
    time!("softmax of 256", y.chunks_mut(256).for_each(kernels.softmax));
    // Rows of 22 and 26 values: most sentences.
    time!(
        "softmax of 24",
        y.chunks_mut(48).for_each(|row| {
            let (first, second) = row.split_at_mut(22);
            (kernels.softmax)(first);
            (kernels.softmax)(second);
        })
    );
    time!("gelu_erf", (kernels.gelu_erf)(&mut y));
    time!("silu", (kernels.silu)(&mut y));
    time!("gated_gelu_erf", (kernels.gated_gelu_erf)(black_box(&x), &mut y));
    time!("gated_silu", (kernels.gated_silu)(black_box(&x), &mut y));
    time!("gated_gelu_tanh", (kernels.gated_gelu_tanh)(black_box(&x), &mut y));
    time!("quantize", {
        (kernels.quantize)(black_box(&x), &mut q, &mut scales);
        black_box((&mut q, &mut scales));
    });
    out
}

fn main() {
    let levels: Vec<Level> = Level::available().collect();
    let measured: Vec<_> = levels
        .iter()
        .map(|&level| measure(Kernels::of(level).expect("an available level has a row")))
        .collect();
    print!("{:18}", "ns/value");
    levels.iter().for_each(|level| print!("{level:>10}"));
    println!();
    for (i, (name, _)) in measured[0].iter().enumerate() {
        print!("{name:18}");
        measured.iter().for_each(|level| print!("{:10.3}", level[i].1));
        println!();
    }
}
