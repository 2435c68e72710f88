//! Mutable chunks, one a part of a call.
//!
//! [`Team::run`] calls every part once, so part `i` may have the `i`-th chunk of a slice to itself. The borrow
//! checker cannot see that through a shared closure; this file is where it is argued once.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use crate::Team;

/// What can be cut into pieces that do not overlap, one a part: a slice in [`Chunks`], or several alike in a
/// tuple.
///
/// # Safety
/// `piece(i)` and `piece(j)` must not overlap for `i != j`, and must be good on any thread.
pub unsafe trait Pieces: Sync {
    /// One piece.
    type Piece;

    /// How many there are.
    fn count(&self) -> usize;

    /// The piece at `index`.
    ///
    /// # Safety
    /// `index < count()`, and no piece of that index is alive.
    unsafe fn piece(&self, index: usize) -> Self::Piece;
}

/// A slice cut into runs: of one length but for the last ([`Chunks::new`]), or ending where a list says
/// ([`Chunks::ending_at`]).
pub struct Chunks<'a, T> {
    first: *mut T,
    length: usize,
    cut: Cut<'a>,
    slice: PhantomData<&'a mut [T]>,
}

enum Cut<'a> {
    Every(usize),
    At(&'a [usize]),
}

// SAFETY: a `Chunks` only gives out disjoint parts of the slice that it has borrowed for itself.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// Runs of `size` values.
    ///
    /// # Panics
    /// If `size` is 0.
    pub fn new(slice: &'a mut [T], size: usize) -> Self {
        assert!(size > 0, "chunks of no values");
        Self::of(slice, Cut::Every(size))
    }

    /// Run `i` goes from where the one before ends to `ends[i]`; what follows the last end is nobody's.
    ///
    /// # Panics
    /// If an end is before the one before it, or past the slice.
    pub fn ending_at(slice: &'a mut [T], ends: &'a [usize]) -> Self {
        assert!(
            ends.is_sorted() && ends.last().is_none_or(|&end| end <= slice.len()),
            "chunks past the slice"
        );
        Self::of(slice, Cut::At(ends))
    }

    fn of(slice: &'a mut [T], cut: Cut<'a>) -> Self {
        Self { first: slice.as_mut_ptr(), length: slice.len(), cut, slice: PhantomData }
    }
}

// SAFETY: runs begin where the one before ends, and `T: Send` lets any thread have one.
unsafe impl<'a, T: Send> Pieces for Chunks<'a, T> {
    type Piece = &'a mut [T];

    fn count(&self) -> usize {
        match self.cut {
            Cut::Every(size) => self.length.div_ceil(size),
            Cut::At(ends) => ends.len(),
        }
    }

    unsafe fn piece(&self, index: usize) -> &'a mut [T] {
        let (start, end) = match self.cut {
            Cut::Every(size) => (index * size, (index * size).saturating_add(size).min(self.length)),
            Cut::At(ends) => (index.checked_sub(1).map_or(0, |before| ends[before]), ends[index]),
        };
        // SAFETY: the constructors saw to it that the run lies in the slice, which is borrowed for `'a`; the
        // caller holds no other piece of this index, and other indexes' pieces lie elsewhere.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(start), end - start) }
    }
}

macro_rules! tuple_of_pieces {
    ($($name:ident: $type:ident),*) => {
        // SAFETY: each member's pieces are disjoint.
        unsafe impl<$($type: Pieces),*> Pieces for ($($type,)*) {
            type Piece = ($($type::Piece,)*);

            fn count(&self) -> usize {
                let ($($name,)*) = self;
                let counts = [$($name.count()),*];
                assert!(counts.iter().all(|&count| count == counts[0]), "slices cut into {counts:?} pieces");
                counts[0]
            }

            unsafe fn piece(&self, index: usize) -> Self::Piece {
                let ($($name,)*) = self;
                // SAFETY: `count` saw that all members have as many pieces; the rest is the caller's promise.
                unsafe { ($($name.piece(index),)*) }
            }
        }
    };
}

tuple_of_pieces!(a: A, b: B);
tuple_of_pieces!(a: A, b: B, c: C);
tuple_of_pieces!(a: A, b: B, c: C, d: D);

impl Team {
    /// Calls `work(i, piece i)` once for every piece, on the caller and on members, as [`Team::run`] does.
    ///
    /// ```
    /// use connote_threads::{Chunks, Team};
    ///
    /// let mut values = [0; 10];
    /// Team::new(2).for_each(Chunks::new(&mut values, 4), |i, chunk| chunk.fill(i));
    /// assert_eq!(values, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    /// ```
    ///
    /// # Panics
    /// If the members of a tuple have different numbers of pieces; and as [`Team::run`] does.
    pub fn for_each<P: Pieces>(&self, pieces: P, work: impl Fn(usize, P::Piece) + Sync) {
        self.run(pieces.count(), &|index| {
            // SAFETY: `run` calls each index below `count` once, so this is the only piece of its index.
            let piece = unsafe { pieces.piece(index) };
            work(index, piece);
        });
    }

    /// How many rows a part should have so that `rows` rows keep the team busy: a few parts a thread, none of very few
    /// rows, and all rows in one part where there is but one thread.
    pub fn rows_a_part(&self, rows: usize) -> usize {
        const PARTS_A_THREAD: usize = 4;
        // A row takes a few hundred ns; claiming a part can take as long where threads share no cache.
        const LEAST: usize = 8;
        match self.threads() {
            1 => rows.max(1),
            threads => rows.div_ceil(threads * PARTS_A_THREAD).max(LEAST),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::Chunks;
    use crate::Team;

    #[test]
    fn every_value_is_in_one_piece() {
        for threads in [1, 3] {
            let team = Team::new(threads);
            for (length, size) in [(0, 3), (1, 3), (3, 3), (100, 7), (5, usize::MAX)] {
                let mut values = vec![0; length];
                team.for_each(Chunks::new(&mut values, size), |i, chunk| {
                    chunk.iter_mut().for_each(|value| *value += i + 1);
                });
                assert!(values.iter().enumerate().all(|(at, &value)| value == at / size + 1), "{values:?}");
            }
        }
    }

    #[test]
    fn tuples_are_cut_alike_and_ends_may_be_anywhere() {
        let team = Team::new(2);
        let (mut a, mut b) = ([0; 9], [0; 6]);
        let ends = [0, 4, 5];
        team.for_each((Chunks::ending_at(&mut a, &ends), Chunks::new(&mut b, 2)), |i, (a, b)| {
            a.fill(i + 1);
            b.fill(a.len());
        });
        assert_eq!(a, [2, 2, 2, 2, 3, 0, 0, 0, 0]);
        assert_eq!(b, [0, 0, 4, 4, 1, 1]);
    }

    #[test]
    fn what_would_overlap_or_reach_past_is_refused() {
        let mut a = [0; 4];
        assert!(catch_unwind(AssertUnwindSafe(|| Chunks::ending_at(&mut a, &[3, 2]).length)).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| Chunks::ending_at(&mut a, &[5]).length)).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| Chunks::new(&mut a, 0).length)).is_err());
        let mut b = [0; 9];
        let uneven = (Chunks::new(&mut a, 2), Chunks::new(&mut b, 2));
        assert!(catch_unwind(AssertUnwindSafe(|| Team::new(2).for_each(uneven, |_, _| {}))).is_err());
    }
}
