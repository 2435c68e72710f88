//! Generic bodies compiled for a CPU level.

/// Plain functions that run generic bodies compiled with the features of a level on. The compiler
/// vectorises them; it never fuses a multiplication and an addition by itself, so their bits stay.
macro_rules! compiled_with {
    ($features:literal) => {
        compiled_with! { $features:
            quantize = $crate::quantize::quantize_body, (x: &[f32], q: &mut [i16], scales: &mut [f32]);
            layer_norm = $crate::norm::layer_norm_body, (x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32);
            rms_norm = $crate::norm::rms_norm_body, (x: &mut [f32], weight: &[f32], eps: f32);
            softmax = $crate::softmax::softmax_body, (x: &mut [f32]);
            gelu_erf = $crate::activation::gelu_erf_body, (x: &mut [f32]);
            gated_gelu_tanh = $crate::activation::gated_gelu_tanh_body, (gate: &[f32], up: &mut [f32]);
            rope = $crate::rope::rope_body, (head: &mut [f32], cos: &[f32], sin: &[f32]);
            add = $crate::table_scalar::add_body, (x: &mut [f32], y: &[f32]);
            scale = $crate::table_scalar::scale_body, (x: &mut [f32], factor: f32);
        }
    };
    ($features:literal: $($name:ident = $body:path, ($($arg:ident: $type:ty),*);)*) => {$(
        fn $name($($arg: $type),*) {
            #[target_feature(enable = $features)]
            fn here($($arg: $type),*) {
                $body($($arg),*);
            }
            // SAFETY: `Kernels::of` hands out this row only where the level's features were detected.
            unsafe { here($($arg),*) }
        }
    )*};
}
