//! Memory in large pages, for packed weights.
//!
//! A product streams a model's weights, and in pages of 4 KiB much of that time goes into finding pages: the
//! system is asked for pages of 2 MiB. Those pay only if matrices lie side by side in memory that is much larger
//! than they are, so weights are pieces of common blocks. Where the system has no large pages, nothing changes.
#![allow(unsafe_code)] // a named room: disjoint pieces of one block

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use memmap2::MmapMut;

/// A large page on x86-64, and on ARM with pages of 4 KiB.
const PAGE: usize = 2 << 20;
/// Bytes a block takes of the address space. What is never written to takes no memory.
const BLOCK: usize = 64 << 20;
/// Pieces begin cache lines.
const LINE: usize = 64;

/// Memory of which pieces are cut, one after the other.
struct Block {
    /// Never looked at but through the pieces; returned to the system when the last one is gone.
    _memory: MmapMut,
    first: *mut u8,
    len: usize,
}

// SAFETY: the pointer is only handed out as pieces, which are disjoint.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// A block of zeros with room for `bytes`, or `None` if the system does not give it.
    fn with_room(bytes: usize) -> Option<Self> {
        let len = bytes.max(BLOCK).checked_next_multiple_of(PAGE)?;
        let mut memory = MmapMut::map_anon(len.checked_add(PAGE)?).ok()?;
        // Advice: where it is not taken, pages stay small.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        let padding = memory.as_ptr().align_offset(PAGE);
        let first = memory.as_mut_ptr().wrapping_add(padding);
        (padding < PAGE).then_some(Self { _memory: memory, first, len })
    }
}

/// The block that the next piece is cut from, and how much of it is given away. Blocks live as long as a piece of
/// them does.
static OPEN: Mutex<(Weak<Block>, usize)> = Mutex::new((Weak::new(), 0));

/// Types of which any bits are a value, zeros among them.
///
/// # Safety
/// Only for such types.
pub unsafe trait Plain: Copy {}
// SAFETY: any bits are a float.
unsafe impl Plain for f32 {}
// SAFETY: any bits are an integer.
unsafe impl Plain for i16 {}
// SAFETY: any bits are an integer.
unsafe impl Plain for u16 {}

/// Values of which the first begins a cache line, zeros at first.
pub(crate) struct Piece<T> {
    block: Arc<Block>,
    /// Bytes before it.
    start: usize,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Plain> Piece<T> {
    /// A piece of the open block, or of a new one. `None` if the system has no more memory of this kind.
    pub(crate) fn of(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<T>())?.checked_next_multiple_of(LINE)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (block, start) = match open.0.upgrade().filter(|block| block.len - open.1 >= bytes) {
            Some(block) => (block, open.1),
            None => {
                let block = Arc::new(Block::with_room(bytes)?);
                (block, 0)
            }
        };
        *open = (Arc::downgrade(&block), start + bytes);
        Some(Self { block, start, len, values: PhantomData })
    }

    fn first(&self) -> *mut T {
        self.block.first.wrapping_add(self.start).cast()
    }
}

impl<T: Plain> std::ops::Deref for Piece<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the piece lies inside the block, which lives as long as we do, and no other has any of it; it
        // begins a cache line, and its bits are values.
        unsafe { std::slice::from_raw_parts(self.first(), self.len) }
    }
}

impl<T: Plain> std::ops::DerefMut for Piece<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and we are borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.first(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Piece};

    /// Sizes around lines and blocks: zeros at first, and nobody writes into another's values.
    #[test]
    fn pieces_are_zeros_on_lines_and_apart() {
        let mut pieces: Vec<Piece<u16>> = Vec::new();
        for (index, len) in
            [1, 0, 31, 32, 33, BLOCK / 4, BLOCK / 2 - 5, BLOCK / 2, BLOCK, 7].into_iter().enumerate()
        {
            let mut piece = Piece::<u16>::of(len).expect("memory");
            assert_eq!(piece.len(), len);
            assert_eq!(piece.as_ptr().addr() % 64, 0);
            assert!(piece.iter().all(|&value| value == 0), "piece {index}");
            piece.fill(index as u16 + 1);
            pieces.push(piece);
        }
        for (index, piece) in pieces.iter().enumerate() {
            assert!(piece.iter().all(|&value| value == index as u16 + 1), "piece {index}");
        }
    }

    #[test]
    fn no_memory_is_none() {
        assert!(Piece::<f32>::of(usize::MAX / 2).is_none());
        assert!(Piece::<f32>::of(usize::MAX / 8).is_none());
    }

    #[test]
    fn threads_get_pieces_of_their_own() {
        let cut = |value: i16| {
            let mut pieces: Vec<Piece<i16>> = (0..50).filter_map(|_| Piece::of(1000)).collect();
            pieces.iter_mut().for_each(|piece| piece.fill(value));
            std::thread::yield_now();
            pieces.len() == 50 && pieces.iter().all(|piece| piece.iter().all(|&it| it == value))
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=4).map(|value| scope.spawn(move || cut(value))).collect();
            assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
        });
    }
}
