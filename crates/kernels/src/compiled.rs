//! Generic bodies compiled for a CPU level.

/// Calls `$of::<R, W>` for the tile's rows, which `check` asserted to be among those listed, each with the
/// vectors it takes at a time.
macro_rules! by_rows {
    ($of:ident, $tile:expr, $sums:expr; $($rows:literal),*) => {
        match $tile.rows {
            $($rows => $of::<$rows>($tile, $sums),)*
            rows => unreachable!("a tile of {rows} rows passed its check"),
        }
    };
    ($of:ident $held:ident, $tile:expr, $sums:expr; $($rows:literal),*) => {
        match $tile.rows {
            $($rows => $of::<$rows, $held>($tile, $sums),)*
            rows => unreachable!("a tile of {rows} rows passed its check"),
        }
    };
    ($of:ident $held:ident, $tile:expr, $sums:expr; $($rows:literal: $vectors:literal),*) => {
        match $tile.rows {
            $($rows => $of::<$rows, $vectors, $held>($tile, $sums),)*
            rows => unreachable!("a tile of {rows} rows passed its check"),
        }
    };
    ($of:ident, $tile:expr, $sums:expr; $($rows:literal: $vectors:literal),*) => {
        match $tile.rows {
            $($rows => $of::<$rows, $vectors>($tile, $sums),)*
            rows => unreachable!("a tile of {rows} rows passed its check"),
        }
    };
}

/// A loop that runs `$step` on [`crate::peak::CHAINS`] registers at a time: `$step(chain, x, w)`.
///
/// `x` goes through an empty `asm!` before each step, so that the compiler takes it for a new one and cannot
/// move the multiplication out of the loop.
macro_rules! peak_loop {
    ($name:ident, $features:literal, vreg, $($of:tt)*) => {
        // Of a register of aarch64 the assembly must say how it is meant.
        peak_loop! { @ $name $features vreg "/* {0:v} */" $($of)* }
    };
    ($name:ident, $features:literal, $class:ident, $($of:tt)*) => {
        peak_loop! { @ $name $features $class "/* {0} */" $($of)* }
    };
    (@ $name:ident $features:literal $class:ident $nothing:literal $vector:ty, $zero:expr, $step:expr) => {
        fn $name(steps: u64) {
            #[target_feature(enable = $features)]
            fn here(steps: u64) {
                let mut chains: [$vector; $crate::peak::CHAINS] = [$zero; $crate::peak::CHAINS];
                let (mut x, w) = (std::hint::black_box($zero), std::hint::black_box($zero));
                for _ in 0..steps {
                    for chain in &mut chains {
                        // SAFETY: no instruction at all.
                        unsafe {
                            std::arch::asm!($nothing, inout($class) x, options(nomem, nostack, preserves_flags, pure))
                        };
                        *chain = $step(*chain, x, w);
                    }
                }
                std::hint::black_box(chains);
            }
            // SAFETY: `Kernels::all_of` hands out this row only where the level's features were detected.
            unsafe { here(steps) }
        }
    };
}

/// Plain functions that run generic bodies compiled with the features of a level on. The compiler
/// vectorises them; it never fuses a multiplication and an addition by itself, so their bits stay.
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_with {
    ($features:literal) => {
        fn quantize(x: &[f32], q: &mut [i16], scales: &mut [$crate::quantize::BlockScale]) {
            #[target_feature(enable = $features)]
            fn here(x: &[f32], q: &mut [i16], scales: &mut [$crate::quantize::BlockScale]) {
                $crate::quantize::quantize_body(x, q, scales, |block| $crate::table_avx2::crossed(block));
            }
            // SAFETY: `Kernels::all_of` hands out this row only where the level's features were detected.
            unsafe { here(x, q, scales) }
        }
        compiled_with! { $features:
            panel_bf16 = $crate::tile_bf16::panel_bf16_body,
                (panel: &$crate::tile_bf16::PanelBf16<'_>, sums: &mut $crate::table::Sums,
                cells: &mut $crate::rows::PanelCells<'_>, meanwhile: &mut dyn FnMut());
            to_bf16 = $crate::bf16::to_bf16_body, (x: &[f32], out: &mut [u16]);
            layer_norm = $crate::norm::layer_norm_body, (x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32);
            rms_norm = $crate::norm::rms_norm_body, (x: &mut [f32], weight: &[f32], eps: f32);
            layer_norm_to = $crate::norm::layer_norm_to_body,
                (x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]);
            rms_norm_to = $crate::norm::rms_norm_to_body,
                (x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]);
            softmax = $crate::softmax::softmax_body, (x: &mut [f32]);
            row_scales = $crate::quantize::row_scales_body, (rows: $crate::rows::Rows<'_>, out: &mut [f32]);
            quantize_columns = $crate::quantize::quantize_columns_body,
                (rows: $crate::rows::Rows<'_>, row_scales: &[f32], q: &mut [i16],
                scales: &mut [$crate::quantize::BlockScale; $crate::table::PANEL]);
            cross = $crate::bytes::cross_body,
                (panel: &[i16], scales: &mut [$crate::quantize::BlockScale; $crate::table::PANEL]);
            take_outliers = $crate::outliers::take_outliers_body,
                (weights: &mut [f32], shown: std::ops::Range<usize>, scales: &[f32],
                outliers: &mut Vec<$crate::outliers::Outlier>);
            add_outliers = $crate::outliers::add_outliers_body,
                (out: &mut [f32], values: $crate::rows::Rows<'_>, outliers: &[$crate::outliers::Outlier]);
            gelu_erf = $crate::activation::gelu_erf_body, (x: &mut [f32]);
            silu = $crate::activation::silu_body, (x: &mut [f32]);
            relu = $crate::activation::relu_body, (x: &mut [f32]);
            gated_gelu_erf = $crate::activation::gated_gelu_erf_body, (gate: &[f32], up: &mut [f32]);
            gated_silu = $crate::activation::gated_silu_body, (gate: &[f32], up: &mut [f32]);
            gated_gelu_tanh = $crate::activation::gated_gelu_tanh_body, (gate: &[f32], up: &mut [f32]);
            rope = $crate::rope::rope_body, (head: &mut [f32], cos: &[f32], sin: &[f32]);
            add = $crate::table_scalar::add_body, (x: &mut [f32], y: &[f32]);
            add_to_rows = $crate::table_scalar::add_to_rows_body, (rows: &mut $crate::table::Sums, bias: &[f32]);
            scale = $crate::table_scalar::scale_body, (x: &mut [f32], factor: f32);
            dot_f32 = $crate::scan::dot_f32_body, (query: &[f32], rows: &[f32], out: &mut [f32]);
            dot_f16 = $crate::scan::dot_f16_body, (query: &[f32], rows: &[u16], out: &mut [f32]);
            dot_i8 = $crate::scan::dot_i8_body, (query: &[i8], rows: &[i8], out: &mut [i32]);
            differing_bits = $crate::scan::differing_bits_body, (query: &[u8], rows: &[u8], out: &mut [u32]);
            read_words = $crate::scan::read_words_body, (words: &[u64], sums: &mut [u64; 8]);
        }
    };
    ($features:literal: $($name:ident = $body:path, ($($arg:ident: $type:ty),*);)*) => {$(
        fn $name($($arg: $type),*) {
            #[target_feature(enable = $features)]
            fn here($($arg: $type),*) {
                $body($($arg),*);
            }
            // SAFETY: `Kernels::all_of` hands out this row only where the level's features were detected.
            unsafe { here($($arg),*) }
        }
    )*};
}
