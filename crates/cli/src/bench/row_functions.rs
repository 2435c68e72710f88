//! What works row by row, in the first cache.

use std::hint::black_box;

use connote::kernels::{BlockScale, DEPTH, Kernels};
use serde::Serialize;

use super::timing::{Bounds, Figure, seconds};

/// Values of a row: EmbeddingGemma's.
pub(crate) const ROW: usize = 768;
/// How many functions [`measure`] measures.
pub(crate) const COUNT: usize = 18;

/// Speed of one function, on one thread.
#[derive(Debug, Serialize)]
pub(crate) struct RowFunction {
    pub(crate) name: &'static str,
    pub(crate) nanoseconds_a_value: Figure,
}

/// All functions. `before` hears the name of the next one.
pub(crate) fn measure(kernels: &Kernels, bounds: Bounds, before: impl Fn(&str)) -> Vec<RowFunction> {
    let x: Vec<f32> = (0..ROW).map(|i| ((i * 37 + 11) % 97) as f32 / 12.0 - 4.0).collect();
    let (weight, bias) = (vec![1.01f32; ROW], vec![0.1f32; ROW]);
    let mut y = x.clone();
    let (mut q, mut scales, mut halves) =
        (vec![0i16; ROW], vec![BlockScale::default(); ROW / DEPTH], vec![0u16; ROW]);
    let (cos, sin) = (vec![0.8f32; ROW / 2], vec![0.6f32; ROW / 2]);
    let mut functions = Vec::with_capacity(COUNT);
    // What works in place starts from the same values every time; the copy is measured by itself.
    macro_rules! time {
        ($name:literal, $call:expr) => {
            before($name);
            let time = seconds(bounds, || {
                y.copy_from_slice(black_box(&x));
                $call;
                black_box(&mut y);
            });
            let nanoseconds_a_value = time.map(|seconds| seconds * 1e9 / ROW as f64);
            functions.push(RowFunction { name: $name, nanoseconds_a_value });
        };
    }
    time!("copy", {});
    time!("add", (kernels.add)(&mut y, black_box(&bias)));
    time!("scale", (kernels.scale)(&mut y, 0.3));
    time!("rope", (kernels.rope)(&mut y, black_box(&cos), black_box(&sin)));
    time!("rms_norm", (kernels.rms_norm)(&mut y, black_box(&weight), 1e-6));
    time!("layer_norm", (kernels.layer_norm)(&mut y, black_box(&weight), black_box(&bias), 1e-6));
    time!("rms_norm_to", (kernels.rms_norm_to)(black_box(&x), black_box(&weight), 1e-6, &mut y));
    time!("layer_norm_to", {
        (kernels.layer_norm_to)(black_box(&x), black_box(&weight), black_box(&bias), 1e-6, &mut y);
    });
    time!("softmax, 768 a row", (kernels.softmax)(&mut y));
    time!("softmax, 256 a row", y.chunks_mut(256).for_each(kernels.softmax));
    // Most sentences.
    time!("softmax, 24 a row", y.chunks_mut(24).for_each(kernels.softmax));
    time!("gelu_erf", (kernels.gelu_erf)(&mut y));
    time!("silu", (kernels.silu)(&mut y));
    time!("gated_gelu_erf", (kernels.gated_gelu_erf)(black_box(&x), &mut y));
    time!("gated_gelu_tanh", (kernels.gated_gelu_tanh)(black_box(&x), &mut y));
    time!("gated_silu", (kernels.gated_silu)(black_box(&x), &mut y));
    time!("quantize", {
        (kernels.quantize)(black_box(&x), &mut q, &mut scales);
        black_box((&mut q, &mut scales));
    });
    time!("to_bf16", {
        (kernels.to_bf16)(black_box(&x), &mut halves);
        black_box(&mut halves);
    });
    functions
}
