//! How a product is cut: into parts for the team, runs and blocks of rows, tiles, and what each tile prefetches.

use std::ops::Range;

use crate::block_sums::BLOCK;
use crate::layout::Layout;

/// Rows of bf16 that meet all panels of a part before the next rows do: with their results they stay in the second
/// cache. The panels come from memory again, which at so many rows costs less.
const ROWS_A_RUN: usize = 256;

/// Rows in as few runs of about [`ROWS_A_RUN`] as there can be, of whole blocks; all in one where that does not pay.
pub(crate) fn runs(layout: Layout, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let count = if layout == Layout::Bf16 { rows.len().div_ceil(ROWS_A_RUN).max(1) } else { 1 };
    let size = rows.len().div_ceil(count).next_multiple_of(BLOCK).max(1);
    blocks(rows, size)
}

/// A range in runs of `size`, the last one shorter.
pub(crate) fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(size).map(move |start| start..(start + size).min(end))
}

/// Rows in as few tiles as there can be, and those as even as can be: none has one row alone where its
/// neighbour has twelve.
pub(crate) fn tiles(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(most);
    (0..count).map(move |tile| rows * tile / count..rows * (tile + 1) / count)
}

/// How a product is cut into parts.
pub(crate) struct Cut {
    panels: usize,
    panel_runs: usize,
    rows: usize,
    row_runs: usize,
}

impl Cut {
    /// One part for one thread. For more, a few parts each, by panels as far as those go, since each panel
    /// should come from memory once; by rows beyond that.
    pub(crate) fn of(threads: usize, panels: usize, rows: usize) -> Self {
        const PARTS_A_THREAD: usize = 4;
        let wanted = if threads == 1 { 1 } else { threads * PARTS_A_THREAD };
        let panel_runs = wanted.min(panels);
        let row_runs =
            if panel_runs == 0 { 1 } else { wanted.div_ceil(panel_runs).min(rows.div_ceil(BLOCK)).max(1) };
        Self { panels, panel_runs, rows, row_runs }
    }

    pub(crate) fn parts(&self) -> usize {
        self.panel_runs * self.row_runs
    }

    /// Panels and rows of a part.
    pub(crate) fn part(&self, part: usize) -> (Range<usize>, Range<usize>) {
        let cut = |of: usize, runs: usize, run: usize| of * run / runs..of * (run + 1) / runs;
        (
            cut(self.panels, self.panel_runs, part / self.row_runs),
            cut(self.rows, self.row_runs, part % self.row_runs),
        )
    }
}

/// What one of a block's tiles prefetches: the next block; or, where tiles share what lies ahead, all but the first a share of
/// the block after the next, of which the first asks for the rest when it is the next.
pub(crate) fn ahead_of(block: &Range<usize>, tile: usize, tiles: usize, shares: bool) -> Range<usize> {
    if !shares || tile == 0 {
        return block.end..block.end + block.len();
    }
    let share = |tile: usize| block.end + block.len() + block.len() * tile / tiles;
    share(tile - 1)..share(tile)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Cut, ahead_of, runs, tiles};
    use crate::layout::Layout;
    use crate::level::Level;
    use crate::table::Kernels;

    #[test]
    fn parts_cover_every_cell_once() {
        for threads in [1, 2, 3, 16] {
            for (panels, rows) in [(1, 1), (24, 11), (24, 500), (3, 97), (72, 1), (2, 1000), (5, 0), (0, 5)] {
                let cut = Cut::of(threads, panels, rows);
                let mut seen = vec![0; panels * rows];
                for part in 0..cut.parts() {
                    let (some_panels, some_rows) = cut.part(part);
                    for panel in some_panels {
                        some_rows.clone().for_each(|row| seen[panel * rows + row] += 1);
                    }
                }
                assert!(seen.iter().all(|&times| times == 1), "{threads} threads, {panels} x {rows}");
                assert!(threads > 1 || cut.parts() <= 1);
            }
        }
    }

    #[test]
    fn tiles_of_integers_have_as_many_rows_as_pay() {
        for kernels in Level::available().flat_map(Kernels::all_of) {
            for rows in 1..=BLOCK {
                let cut: Vec<usize> =
                    tiles(rows, (kernels.i16_rows)(rows, false)).map(|tile| tile.len()).collect();
                let what = format!("{} {rows}: {cut:?}", kernels.level);
                assert_eq!(cut.iter().sum::<usize>(), rows, "{what}");
                assert!(cut.iter().all(|&tile| tile <= kernels.tile_rows), "{what}");
                assert!(cut.len() == 1 || cut.iter().all(|&tile| tile >= 3), "{what}");
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn twelve_rows_of_bytes_are_unpacked_in_registers() {
        for kernels in Kernels::all_of(Level::Avx512) {
            let cut = |rows, are_bytes| {
                tiles(rows, (kernels.i16_rows)(rows, are_bytes)).map(|tile| tile.len()).collect::<Vec<_>>()
            };
            assert_eq!((cut(12, true), cut(12, false)), (vec![6, 6], vec![12]));
            for rows in 13..=BLOCK {
                // Where tiles share what lies ahead, the first of them unpacks in registers, however many there are.
                if kernels.shares_ahead {
                    assert!(cut(rows, true).iter().all(|tile| (6..=11).contains(tile)), "{rows} rows");
                } else {
                    assert_eq!(cut(rows, true), cut(rows, false));
                }
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn many_rows_are_all_in_tiles_that_can_be_crossed() {
        for kernels in Kernels::all_of(Level::Avx2) {
            let is_crossed = kernels.peaks[1].name.contains("crossed");
            let cut = |rows| {
                tiles(rows, (kernels.i16_rows)(rows, false)).map(|tile| tile.len()).collect::<Vec<_>>()
            };
            for rows in [16, 20, 24, 28].into_iter().chain(31..=BLOCK) {
                assert_eq!(cut(rows).iter().all(|&tile| tile <= 4), is_crossed, "{rows}: {:?}", cut(rows));
            }
            // Fours and threes would be slower here.
            assert_eq!(cut(17), [5, 6, 6]);
            assert_eq!(cut(18), [6, 6, 6]);
        }
    }

    #[test]
    fn tiles_that_share_what_lies_ahead_prefetch_the_first_of_the_block_after_the_next_once() {
        let block = 100..1100;
        for tiles in 1..=9 {
            assert_eq!(ahead_of(&block, 0, tiles, true), 1100..2100);
            let shares: Vec<_> = (1..tiles).map(|tile| ahead_of(&block, tile, tiles, true)).collect();
            let mut end = 2100;
            for share in shares {
                assert_eq!(share.start, end);
                assert!(share.len().abs_diff(1000 / tiles) <= 1);
                end = share.end;
            }
            assert_eq!(end, 2100 + 1000 * (tiles - 1) / tiles);
            assert!((0..tiles).all(|tile| ahead_of(&block, tile, tiles, false) == (1100..2100)));
        }
    }

    #[test]
    fn runs_cover_every_row_once_and_begin_blocks() {
        for layout in [Layout::F32, Layout::I16, Layout::Bf16] {
            for rows in (0..1100).step_by(7) {
                let all: Vec<_> = runs(layout, 5..5 + rows).collect();
                let seen: Vec<usize> = all.iter().cloned().flatten().collect();
                assert!(seen.into_iter().eq(5..5 + rows), "{layout:?} {rows}");
                assert!(all.iter().all(|run| (run.start - 5).is_multiple_of(BLOCK)), "{layout:?} {rows}");
                assert!(layout == Layout::Bf16 || all.len() <= 1);
            }
        }
        assert_eq!(runs(Layout::Bf16, 0..480).collect::<Vec<_>>(), [0..288, 288..480]);
    }

    #[test]
    fn tiles_are_few_and_even() {
        for rows in 0..100 {
            let sizes: Vec<usize> = tiles(rows, 12).map(|tile| tile.len()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), rows);
            assert_eq!(sizes.len(), rows.div_ceil(12));
            assert!(sizes.iter().all(|&size| size <= 12 && size + 1 >= sizes[0].min(sizes[sizes.len() - 1])));
        }
    }
}
