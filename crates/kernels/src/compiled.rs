//! Generic bodies compiled for a CPU level.

/// Calls `$of::<R>` for the tile's rows, 1 to 6, which `check` asserted.
macro_rules! by_rows {
    ($of:ident, $tile:expr, $out:expr) => {
        match $tile.rows {
            1 => $of::<1>($tile, $out),
            2 => $of::<2>($tile, $out),
            3 => $of::<3>($tile, $out),
            4 => $of::<4>($tile, $out),
            5 => $of::<5>($tile, $out),
            _ => $of::<6>($tile, $out),
        }
    };
}

/// Plain functions that run generic bodies compiled with the features of a level on. The compiler
/// vectorises them; it never fuses a multiplication and an addition by itself, so their bits stay.
macro_rules! compiled_with {
    ($features:literal) => {
        compiled_with! { $features:
            quantize = $crate::quantize::quantize_body, (x: &[f32], q: &mut [i16], scales: &mut [f32]);
            layer_norm = $crate::norm::layer_norm_body, (x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32);
            rms_norm = $crate::norm::rms_norm_body, (x: &mut [f32], weight: &[f32], eps: f32);
            layer_norm_to = $crate::norm::layer_norm_to_body,
                (x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]);
            rms_norm_to = $crate::norm::rms_norm_to_body,
                (x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]);
            softmax = $crate::softmax::softmax_body, (x: &mut [f32]);
            gelu_erf = $crate::activation::gelu_erf_body, (x: &mut [f32]);
            silu = $crate::activation::silu_body, (x: &mut [f32]);
            gated_gelu_erf = $crate::activation::gated_gelu_erf_body, (gate: &[f32], up: &mut [f32]);
            gated_silu = $crate::activation::gated_silu_body, (gate: &[f32], up: &mut [f32]);
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
