//! Products of one vector with many: the scan of a search.
//!
//! Every function takes rows that lie one after another and gives a value for each. They read each byte once, so
//! that memory is the limit, not arithmetic. Bits are the same at every level.

/// Chains of a dot product: two registers of AVX-512, four of AVX2.
const CHAINS: usize = 32;

/// `out[r] = sum of query[i] * rows[r][i]`, in f32: [`CHAINS`] chains, joined in a fixed tree.
#[inline(always)]
pub(crate) fn dot_f32_body(query: &[f32], rows: &[f32], out: &mut [f32]) {
    dot(query, rows, out, |value| value);
}

/// As [`dot_f32_body`], of rows of half precision, which must be finite.
#[inline(always)]
pub(crate) fn dot_f16_body(query: &[f32], rows: &[u16], out: &mut [f32]) {
    dot(query, rows, out, widen);
}

/// What is left of a row after whole vectors goes through one that is filled up: as single values it would keep the
/// chains out of the registers.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // three arrays at one index: iterators over them take half as long again
fn dot<T: Copy + Default>(query: &[f32], rows: &[T], out: &mut [f32], value: impl Fn(T) -> f32) {
    check(query.len(), rows.len(), out.len());
    for (out, row) in out.iter_mut().zip(rows.chunks_exact(query.len().max(1))) {
        let (row, rest) = row.as_chunks::<CHAINS>();
        let (query, query_rest) = query.as_chunks::<CHAINS>();
        let mut chains = [0.0f32; CHAINS];
        for (q, r) in query.iter().zip(row) {
            for i in 0..CHAINS {
                chains[i] += q[i] * value(r[i]);
            }
        }
        if !rest.is_empty() {
            let (mut q, mut r) = ([0.0f32; CHAINS], [T::default(); CHAINS]);
            q[..rest.len()].copy_from_slice(query_rest);
            r[..rest.len()].copy_from_slice(rest);
            for i in 0..CHAINS {
                chains[i] += q[i] * value(r[i]);
            }
        }
        *out = join(chains);
    }
}

/// `out[r] = sum of query[i] * rows[r][i]`, exactly, of at most 65,536 values.
#[inline(always)]
pub(crate) fn dot_i8_body(query: &[i8], rows: &[i8], out: &mut [i32]) {
    check(query.len(), rows.len(), out.len());
    // 2^16 products of at most 2^14 are below 2^31.
    assert!(query.len() <= 1 << 16, "an i8 product of {} values may overflow", query.len());
    for (out, row) in out.iter_mut().zip(rows.chunks_exact(query.len().max(1))) {
        let mut sum = 0i32;
        for (&q, &r) in query.iter().zip(row) {
            sum = sum.wrapping_add(i32::from(q) * i32::from(r));
        }
        *out = sum;
    }
}

/// `out[r]` = bits in which the row differs from the query.
#[inline(always)]
pub(crate) fn differing_bits_body(query: &[u8], rows: &[u8], out: &mut [u32]) {
    check(query.len(), rows.len(), out.len());
    for (out, row) in out.iter_mut().zip(rows.chunks_exact(query.len().max(1))) {
        let (row, rest) = row.as_chunks::<8>();
        let (query, query_rest) = query.as_chunks::<8>();
        let mut count = 0u64;
        for (&q, &r) in query.iter().zip(row) {
            count += u64::from((u64::from_le_bytes(q) ^ u64::from_le_bytes(r)).count_ones());
        }
        for (q, r) in query_rest.iter().zip(rest) {
            count += u64::from((q ^ r).count_ones());
        }
        *out = count as u32;
    }
}

/// `sums[i % 8] += words[i]`, wrapping; words after the last whole eight are left out.
#[inline(always)]
pub(crate) fn read_words_body(words: &[u64], sums: &mut [u64; 8]) {
    const TOGETHER: usize = 32;
    let mut chains = [0u64; TOGETHER];
    let (blocks, rest) = words.as_chunks::<TOGETHER>();
    for block in blocks {
        for (chain, word) in chains.iter_mut().zip(block) {
            *chain = chain.wrapping_add(*word);
        }
    }
    for (index, chain) in chains.iter().enumerate() {
        sums[index % 8] = sums[index % 8].wrapping_add(*chain);
    }
    for eight in rest.as_chunks::<8>().0 {
        for (sum, word) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(*word);
        }
    }
}

#[inline(always)]
fn check(width: usize, values: usize, rows: usize) {
    assert!(width > 0, "a product of no values");
    assert_eq!(width.checked_mul(rows), Some(values), "scan: rows and results differ in number");
}

#[inline(always)]
fn join(mut chains: [f32; CHAINS]) -> f32 {
    let mut half = CHAINS / 2;
    while half > 0 {
        for i in 0..half {
            chains[i] += chains[i + half];
        }
        half /= 2;
    }
    chains[0]
}

/// A finite half as f32, exactly: its exponent and fraction at their places in f32 are 2^112 times too small.
#[inline(always)]
fn widen(half: u16) -> f32 {
    const UP: f32 = f32::from_bits((127 + 112) << 23);
    let size = f32::from_bits(u32::from(half & 0x7fff) << 13) * UP;
    f32::from_bits(size.to_bits() | u32::from(half & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CHAINS, widen};
    use crate::{Kernels, Level};

    fn levels() -> impl Iterator<Item = &'static Kernels> {
        Level::available().filter_map(Kernels::of)
    }

    #[test]
    fn halves_are_widened_exactly() {
        // 1, -2, the largest, the smallest normal, the smallest of all, -0.
        let halves = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8000];
        let values = [1.0, -2.0, 65504.0, 2.0f32.powi(-14), 2.0f32.powi(-24), -0.0];
        for (half, value) in halves.into_iter().zip(values) {
            assert_eq!(widen(half).to_bits(), f32::to_bits(value), "{half:#x}");
        }
        // Each is larger than the one before.
        assert!((0..0x7bff).all(|half| widen(half) < widen(half + 1)));
    }

    #[test]
    fn words_add_up_at_every_level() {
        let words: Vec<u64> = (0..1003u64).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let mut wanted = [0u64; 8];
        for (index, word) in words[..1000].iter().enumerate() {
            wanted[index % 8] = wanted[index % 8].wrapping_add(*word);
        }
        for kernels in levels() {
            let mut sums = [0; 8];
            (kernels.read_words)(&words, &mut sums);
            assert_eq!(sums, wanted, "{}", kernels.level.name());
        }
    }

    #[test]
    #[should_panic(expected = "rows and results differ")]
    fn shapes_are_asserted() {
        let scalar = Kernels::of(Level::Scalar).expect("everywhere");
        (scalar.dot_f32)(&[1.0; 3], &[1.0; 7], &mut [0.0; 2]);
    }

    proptest! {
        #[test]
        fn sums_have_their_order_at_every_level(
            width in 1usize..150, rows in 0usize..5, seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let query: Vec<f32> = (0..width).map(|_| (next() as i32) as f32 / 2e9).collect();
            let matrix: Vec<f32> = (0..width * rows).map(|_| (next() as i32) as f32 / 2e9).collect();
            // Finite: an exponent of ones is never made.
            let halves: Vec<u16> = (0..width * rows).map(|_| next() as u16 & 0xbbff).collect();
            let chained = |value: &dyn Fn(usize) -> f32| {
                let mut chains = [0.0f32; CHAINS];
                (0..width).for_each(|i| chains[i % CHAINS] += query[i] * value(i));
                let mut left = chains.to_vec();
                while left.len() > 1 {
                    let half = left.len() / 2;
                    left = (0..half).map(|i| left[i] + left[i + half]).collect();
                }
                left[0].to_bits()
            };
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            let of_f32: Vec<u32> = matrix.chunks(width).map(|row| chained(&|i| row[i])).collect();
            let of_f16: Vec<u32> = halves.chunks(width).map(|row| chained(&|i| widen(row[i]))).collect();
            for kernels in levels() {
                let mut out = vec![0.0; rows];
                (kernels.dot_f32)(&query, &matrix, &mut out);
                prop_assert_eq!(bits(&out), of_f32.clone(), "{}", kernels.level);
                (kernels.dot_f16)(&query, &halves, &mut out);
                prop_assert_eq!(bits(&out), of_f16.clone(), "{}", kernels.level);
            }
        }

        #[test]
        fn integers_and_bits_are_exact_at_every_level(
            query in prop::collection::vec(any::<u8>(), 1..150), rows in 0usize..5, step in 1u32..250,
        ) {
            let width = query.len();
            let matrix: Vec<u8> =
                (0..width * rows).map(|i| (i as u32).wrapping_mul(step * 2_654_435) .to_le_bytes()[2]).collect();
            let signed = |bytes: &[u8]| bytes.iter().map(|&byte| byte as i8).collect::<Vec<i8>>();
            let products: Vec<i32> = matrix
                .chunks(width)
                .map(|row| row.iter().zip(&query).map(|(&a, &b)| i32::from(a as i8) * i32::from(b as i8)).sum())
                .collect();
            let differ: Vec<u32> = matrix
                .chunks(width)
                .map(|row| row.iter().zip(&query).map(|(a, b)| (a ^ b).count_ones()).sum())
                .collect();
            for kernels in levels() {
                let mut sums = vec![0; rows];
                (kernels.dot_i8)(&signed(&query), &signed(&matrix), &mut sums);
                prop_assert_eq!(&sums, &products, "{}", kernels.level);
                let mut counts = vec![0; rows];
                (kernels.differing_bits)(&query, &matrix, &mut counts);
                prop_assert_eq!(&counts, &differ, "{}", kernels.level);
            }
        }
    }
}
