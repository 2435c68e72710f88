//! Quantised types: integers of a byte, and for each run of them a scale and perhaps an offset.

use gguf::TensorType;

use super::blocks::blocks_of;

/// Values under one scale and offset, at least.
pub const RUN: usize = 16;

/// What becomes of a run's integers: `value = scale * integer + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Multiplied with.
    pub scale: f32,
    /// Added then.
    pub offset: f32,
}

impl Affine {
    /// A scale alone. What is added is -0, which leaves every value as it is, 0 and -0 too.
    pub const fn scale(scale: f32) -> Self {
        Self { scale, offset: -0.0 }
    }

    /// The value that an integer stands for.
    #[inline(always)]
    pub fn of(self, integer: i8) -> f32 {
        self.scale * f32::from(integer) + self.offset
    }
}

/// How far a type's scales reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grain {
    /// 32 values share a scale, and nothing is added.
    Coarse,
    /// [`RUN`] values share a scale and an offset.
    Fine,
}

impl Grain {
    /// Values that share what they are multiplied with.
    pub const fn run(self) -> usize {
        match self {
            Grain::Coarse => 2 * RUN,
            Grain::Fine => RUN,
        }
    }
}

/// Decodes whole blocks into integers and what each [`RUN`] of them are multiplied with, whose values are what
/// [`Decode`](super::Decode) gives, bit by bit.
///
/// # Panics
/// If `bytes` are no whole blocks, or there is not exactly room for their values.
pub type DecodeIntegers = fn(bytes: &[u8], integers: &mut [i8], of_runs: &mut [Affine]);

/// A table's row for a quantised type: both functions, of the one that decodes a block.
macro_rules! quantised {
    ($ty:ident $grain:ident $decode:path) => {
        (
            TensorType::$ty,
            Decoders {
                values: |bytes, out| integers::values_of(TensorType::$ty, bytes, out, $decode),
                integers: Some((Grain::$grain, |bytes, integers, of_runs| {
                    integers::integers_of(TensorType::$ty, bytes, integers, of_runs, $decode);
                })),
            },
        )
    };
}
pub(super) use quantised;

/// See [`DecodeIntegers`]: `decode` does a block.
#[inline(always)]
pub(super) fn integers_of<const BYTES: usize, const VALUES: usize, const RUNS: usize>(
    ty: TensorType,
    bytes: &[u8],
    integers: &mut [i8],
    of_runs: &mut [Affine],
    decode: impl Fn(&[u8; BYTES], &mut [i8; VALUES], &mut [Affine; RUNS]),
) {
    const { assert!(VALUES == RUNS * RUN) };
    let blocks = blocks_of::<BYTES, VALUES>(ty, bytes, integers.len());
    assert_eq!(of_runs.len(), blocks.len() * RUNS, "{ty}: a scale for every run");
    let room = integers.as_chunks_mut().0.iter_mut().zip(of_runs.as_chunks_mut().0);
    for (block, (integers, of_runs)) in blocks.iter().zip(room) {
        decode(block, integers, of_runs);
    }
}

/// See [`Decode`](super::Decode): `decode` does a block.
#[inline(always)]
pub(super) fn values_of<const BYTES: usize, const VALUES: usize, const RUNS: usize>(
    ty: TensorType,
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [i8; VALUES], &mut [Affine; RUNS]),
) {
    let (mut integers, mut of_runs) = ([0; VALUES], [Affine::scale(0.0); RUNS]);
    super::blocks::each_block(ty, bytes, out, |block, out: &mut [f32; VALUES]| {
        decode(block, &mut integers, &mut of_runs);
        let runs = integers.as_chunks::<RUN>().0.iter().zip(&of_runs);
        for (out, (integers, of)) in out.as_chunks_mut::<RUN>().0.iter_mut().zip(runs) {
            *out = integers.map(|integer| of.of(integer));
        }
    });
}
