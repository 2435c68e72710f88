//! Whether this process may use the tile unit: the CPU has it, the kernel saves it and allows it.
#![allow(unsafe_code)] // a named room: XGETBV and a system call

use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

use crate::level::Level;

/// Whether AMX can be used here, beside all that the level below needs. Asked once a process; no tile
/// instruction is executed for it.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        Level::Avx512.is_available() && has_tiles(cpuid) && saves_tiles(extended_state()) && ask_linux()
    })
}

/// Whether the CPU has the unit, whoever may use it.
pub(crate) fn is_built_in() -> bool {
    has_tiles(cpuid)
}

/// EAX, EBX, ECX, EDX of a leaf.
fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let it = __cpuid_count(leaf, subleaf);
    [it.eax, it.ebx, it.ecx, it.edx]
}

/// The CPU multiplies bf16 tiles, and its palette 1 has eight of 16 rows of 64 bytes (Intel SDM volume 2A,
/// CPUID). The operating system has enabled XGETBV.
fn has_tiles(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> bool {
    const PALETTE: u32 = 0x1d;
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    const OSXSAVE: u32 = 1 << 27;
    let [last_leaf, ..] = cpuid(0, 0);
    if last_leaf < PALETTE {
        return false;
    }
    let [_, _, ecx, _] = cpuid(1, 0);
    let [_, _, _, edx] = cpuid(7, 0);
    let [palettes, ..] = cpuid(PALETTE, 0);
    let [bytes, names, rows, _] = cpuid(PALETTE, 1);
    ecx & OSXSAVE != 0
        && edx & AMX_BF16 != 0
        && edx & AMX_TILE != 0
        && palettes >= 1
        && bytes == 1024 << 16 | 8192 // of a register, of all
        && names == 8 << 16 | 64 // registers, bytes a row
        && rows & 0xffff == 16
}

/// XCR0 after `has_tiles` could have seen OSXSAVE; 0 without it.
fn extended_state() -> u64 {
    #[target_feature(enable = "xsave")]
    fn xcr0() -> u64 {
        // SAFETY: register 0 is there wherever XGETBV is.
        unsafe { _xgetbv(0) }
    }
    if !is_x86_feature_detected!("xsave") {
        return 0;
    }
    // SAFETY: detected just now, which includes OSXSAVE.
    unsafe { xcr0() }
}

/// The operating system saves the configuration and the tiles of a thread.
fn saves_tiles(xcr0: u64) -> bool {
    const TILES: u64 = 1 << 17 | 1 << 18;
    xcr0 & TILES == TILES
}

/// Asks Linux for the tiles, for all threads of this process. Elsewhere nobody can be asked by a system
/// call that is known here.
fn ask_linux() -> bool {
    #[cfg(target_os = "linux")]
    {
        // Linux, Documentation/arch/x86/xstate.rst.
        const ARCH_PRCTL: usize = 158;
        const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
        const XFEATURE_XTILEDATA: usize = 18;
        let result: isize;
        // SAFETY: this call reads and writes no memory of ours, and changes only what the process may use.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Granite Rapids says, as far as it is asked.
    fn granite_rapids(leaf: u32, subleaf: u32) -> [u32; 4] {
        match (leaf, subleaf) {
            (0, _) => [0x20, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
            (1, _) => [0xa06d1, 0, 1 << 27, 0],
            (7, 0) => [2, 0, 0, 1 << 22 | 1 << 24 | 1 << 25],
            (0x1d, 0) => [1, 0, 0, 0],
            (0x1d, 1) => [0x0400_2000, 0x0008_0040, 0x10, 0],
            _ => [0; 4],
        }
    }

    #[test]
    fn tiles_are_found_and_any_lack_is_seen() {
        assert!(has_tiles(granite_rapids));
        let lacks: [(u32, u32, usize, u32); 9] = [
            (0, 0, 0, 0x20 ^ 0x1c), // the last leaf is 0x1c
            (1, 0, 2, 1 << 27),
            (7, 0, 3, 1 << 22),
            (7, 0, 3, 1 << 24),
            (0x1d, 0, 0, 1),
            (0x1d, 1, 0, 0x2000),
            (0x1d, 1, 1, 0x40),
            (0x1d, 1, 1, 0x0008_0000),
            (0x1d, 1, 2, 0x10),
        ];
        for (leaf, subleaf, register, bits) in lacks {
            let lacking = |asked: u32, sub: u32| {
                let mut it = granite_rapids(asked, sub);
                if (asked, sub) == (leaf, subleaf) {
                    it[register] ^= bits;
                }
                it
            };
            assert!(!has_tiles(lacking), "leaf {leaf:#x}.{subleaf} without {bits:#x}");
        }
    }

    #[test]
    fn both_parts_of_the_state_must_be_saved() {
        assert!(saves_tiles(0x602e7));
        for xcr0 in [0, 0x2e7, 0x202e7, 0x402e7] {
            assert!(!saves_tiles(xcr0), "{xcr0:#x}");
        }
    }

    /// Whatever the machine: the parts can be asked, twice, and the whole agrees with them.
    #[test]
    fn asking_is_harmless() {
        let cpu = has_tiles(cpuid) && saves_tiles(extended_state());
        assert!(cpu || !is_available());
        if !cpu {
            assert!(!ask_linux(), "Linux allowed tiles that the CPU lacks");
        }
        assert_eq!(is_available(), is_available());
    }
}
