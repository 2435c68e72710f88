//! The choice by the number of texts alone.

/// Workers for so many texts on so many cores: 1 to 4 texts one; 5 to 16 a quarter of the cores; 17 to 32 half of
/// them; more texts all of them. At least one, never more than texts.
pub(crate) fn workers(texts: usize, cores: usize) -> usize {
    let most = match texts {
        0..=4 => 1,
        5..=16 => cores / 4,
        17..=32 => cores / 2,
        _ => cores,
    };
    most.min(texts).max(1)
}

#[cfg(test)]
mod tests {
    use super::workers;

    #[test]
    fn table_for_many_batch_sizes_and_core_counts() {
        let texts = [0, 1, 2, 4, 5, 8, 16, 17, 24, 32, 33, 64, 128, 10_000];
        // A row a number of cores: workers for each of the numbers of texts.
        #[rustfmt::skip]
        let rows: [(usize, [usize; 14]); 14] = [
            (0,   [1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1,   1,   1]),
            (1,   [1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1,   1,   1]),
            (2,   [1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  2,  2,   2,   2]),
            (3,   [1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  3,  3,   3,   3]),
            (4,   [1, 1, 1, 1, 1, 1,  1,  2,  2,  2,  4,  4,   4,   4]),
            (6,   [1, 1, 1, 1, 1, 1,  1,  3,  3,  3,  6,  6,   6,   6]),
            (8,   [1, 1, 1, 1, 2, 2,  2,  4,  4,  4,  8,  8,   8,   8]),
            (12,  [1, 1, 1, 1, 3, 3,  3,  6,  6,  6, 12, 12,  12,  12]),
            (16,  [1, 1, 1, 1, 4, 4,  4,  8,  8,  8, 16, 16,  16,  16]),
            (32,  [1, 1, 1, 1, 5, 8,  8, 16, 16, 16, 32, 32,  32,  32]),
            (48,  [1, 1, 1, 1, 5, 8, 12, 17, 24, 24, 33, 48,  48,  48]),
            (64,  [1, 1, 1, 1, 5, 8, 16, 17, 24, 32, 33, 64,  64,  64]),
            (96,  [1, 1, 1, 1, 5, 8, 16, 17, 24, 32, 33, 64,  96,  96]),
            (192, [1, 1, 1, 1, 5, 8, 16, 17, 24, 32, 33, 64, 128, 192]),
        ];
        for (cores, row) in rows {
            for (texts, expected) in texts.into_iter().zip(row) {
                assert_eq!(workers(texts, cores), expected, "{texts} texts on {cores} cores");
            }
        }
    }
}
