//! An allocator that counts: how much memory a piece of work asks for.
#![allow(unsafe_code)] // a named room: allocators are unsafe by nature; this one only counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Adds up all that is ever asked for: more than what is in use at any time. A test makes it its `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// The bytes that this thread asks for while it does some work, and what comes of that.
pub fn during<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ASKED.with(Cell::get);
    let done = work();
    (ASKED.with(Cell::get) - before, done)
}

fn count(bytes: usize) {
    ASKED.with(|asked| asked.set(asked.get().saturating_add(bytes as u64)));
}

// SAFETY: all work is the system allocator's. Counting allocates nothing: the cell is constant and needs no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the promises of `alloc`, which are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` or `realloc` here, so from the system.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above; the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
