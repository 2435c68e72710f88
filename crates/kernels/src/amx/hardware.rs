//! The tile unit of the machine: each method one instruction.
//!
//! The registers live on between blocks of assembly. That is sound because the compiler never uses them (no
//! function here is compiled with AMX on) and keeps blocks that are not `pure` in their order.
#![allow(unsafe_code)] // a named room: inline assembly

use std::arch::asm;
use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
use std::cell::Cell;

use super::unit::{Config, TileUnit};

thread_local! {
    /// Rows this thread's unit is configured for. The kernel keeps each thread's tiles apart.
    static CONFIGURED: Cell<[u8; 2]> = const { Cell::new([0; 2]) };
}

/// This thread's tile unit.
pub(super) struct Hardware;

impl TileUnit for Hardware {
    #[inline(always)]
    fn configured(&self) -> [usize; 2] {
        CONFIGURED.get().map(usize::from)
    }

    // Rare: out of the way of the loop.
    #[cold]
    unsafe fn configure(&mut self, rows: [usize; 2]) {
        let config = Config::of(rows);
        // SAFETY: the caller says that there is a unit; `config` is 64 bytes that it accepts.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly, preserves_flags))
        }
        CONFIGURED.set(rows.map(|rows| rows as u8));
    }

    #[inline(always)]
    unsafe fn load_pairs<const TILE: usize>(&mut self, values: &[u16], stride: usize) {
        // SAFETY: the caller says that the register's rows lie in the slice. A stride that wraps is not
        // used: it belongs to a single row.
        unsafe {
            asm!(
                "tileloadd tmm{tile}, [{from} + 1*{stride}]",
                tile = const TILE,
                from = in(reg) values.as_ptr(),
                stride = in(reg) stride.wrapping_mul(size_of::<u16>()),
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn load_sums<const TILE: usize>(&mut self, from: *const f32, stride: usize) {
        // SAFETY: the caller says that the rows are there, and ours to read.
        unsafe {
            asm!(
                "tileloadd tmm{tile}, [{from} + 1*{stride}]",
                tile = const TILE,
                from = in(reg) from,
                stride = in(reg) stride.wrapping_mul(size_of::<f32>()),
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn store_sums<const TILE: usize>(&mut self, to: *mut f32, stride: usize) {
        // SAFETY: the caller says that the rows are there, and ours to write.
        unsafe {
            asm!(
                "tilestored [{to} + 1*{stride}], tmm{tile}",
                tile = const TILE,
                to = in(reg) to,
                stride = in(reg) stride.wrapping_mul(size_of::<f32>()),
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn zero<const TILE: usize>(&mut self) {
        // SAFETY: the caller says that the register is configured; nothing else is touched.
        unsafe { asm!("tilezero tmm{tile}", tile = const TILE, options(nostack, nomem, preserves_flags)) }
    }

    #[inline(always)]
    fn ask_for(&self, line: &[u16]) {
        // Into the second cache: the first is full of what is multiplied now.
        // SAFETY: a prefetch reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        // SAFETY: the caller says that the registers are configured; nothing else is touched.
        unsafe {
            asm!(
                "tdpbf16ps tmm{c}, tmm{a}, tmm{b}",
                c = const C,
                a = const A,
                b = const B,
                options(nostack, nomem, preserves_flags),
            );
        }
    }

    unsafe fn release(&mut self) {
        // SAFETY: the caller says that there is a unit.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
        CONFIGURED.set([0; 2]);
    }
}
