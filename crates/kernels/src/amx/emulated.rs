//! A tile unit in plain Rust, to the letter of Intel's pseudo-code (SDM volume 2, LDTILECFG, TILELOADD,
//! TDPBF16PS): what the instructions refuse panics, and so does a row past its slice.
//!
//! NaNs are NaNs here; which one a machine would make of two is not said.
#![allow(unsafe_code)] // declares the unit's methods, which are safe here

use super::unit::{A0, C0, C2, Config, TileUnit};

/// A register: rows and bytes a row that it is configured for, and 16 rows of 16 double words.
#[derive(Debug, Clone, Copy, Default)]
struct Register {
    rows: usize,
    bytes: usize,
    data: [[u32; 16]; 16],
}

/// The unit, not configured.
#[derive(Debug, Default)]
pub(super) struct Emulated {
    registers: [Register; 8],
    /// How often it was configured.
    pub(super) configurations: usize,
}

impl Emulated {
    fn configured_register(&mut self, tile: usize) -> &mut Register {
        let register = &mut self.registers[tile];
        assert!(register.rows > 0 && register.bytes > 0, "#UD: tile {tile} is not configured");
        register
    }
}

impl TileUnit for Emulated {
    fn configured(&self) -> [usize; 2] {
        assert_eq!(self.registers[A0].rows, self.registers[C0].rows);
        [self.registers[C0].rows, self.registers[C2].rows]
    }

    unsafe fn configure(&mut self, rows: [usize; 2]) {
        let config = Config::of(rows);
        assert!((&raw const config).addr().is_multiple_of(64), "one cache line");
        let bytes = &config.0;
        assert_eq!(bytes[0], 1, "#GP: palette");
        assert_eq!(bytes[1], 0, "a load would start in the middle");
        let reserved = [2..16, 32..48, 56..64];
        assert!(reserved.into_iter().all(|part| bytes[part].iter().all(|&byte| byte == 0)), "#GP: reserved");
        for (tile, register) in self.registers.iter_mut().enumerate() {
            let width = usize::from(u16::from_le_bytes([bytes[16 + 2 * tile], bytes[17 + 2 * tile]]));
            let rows = usize::from(bytes[48 + tile]);
            assert!(width <= 64 && rows <= 16, "#GP: tile {tile} of {rows} rows of {width} bytes");
            assert_eq!(width == 0, rows == 0, "#GP: tile {tile} of {rows} rows of {width} bytes");
            *register = Register { rows, bytes: width, data: [[0; 16]; 16] };
        }
        self.configurations += 1;
    }

    unsafe fn load_pairs<const TILE: usize>(&mut self, values: &[u16], stride: usize) {
        let register = self.configured_register(TILE);
        register.data = [[0; 16]; 16];
        for r in 0..register.rows {
            let row = &values[r * stride..][..register.bytes / 2];
            for (word, pair) in register.data[r].iter_mut().zip(row.chunks_exact(2)) {
                *word = u32::from(pair[0]) | u32::from(pair[1]) << 16;
            }
        }
    }

    unsafe fn load_sums<const TILE: usize>(&mut self, from: *const f32, stride: usize) {
        let register = self.configured_register(TILE);
        register.data = [[0; 16]; 16];
        for (r, row) in register.data[..register.rows].iter_mut().enumerate() {
            for (column, word) in row[..register.bytes / 4].iter_mut().enumerate() {
                // SAFETY: the caller says that the rows are there, and ours to read.
                *word = unsafe { from.add(r * stride + column).read() }.to_bits();
            }
        }
    }

    unsafe fn store_sums<const TILE: usize>(&mut self, to: *mut f32, stride: usize) {
        let register = self.configured_register(TILE);
        for (r, row) in register.data[..register.rows].iter().enumerate() {
            for (column, &word) in row[..register.bytes / 4].iter().enumerate() {
                // SAFETY: the caller says that the rows are there, and ours to write.
                unsafe { to.add(r * stride + column).write(f32::from_bits(word)) }
            }
        }
    }

    unsafe fn zero<const TILE: usize>(&mut self) {
        self.configured_register(TILE).data = [[0; 16]; 16];
    }

    fn ask_for(&self, _line: &[u16]) {}

    unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        assert!(C != A && C != B && A != B, "#UD: one tile twice");
        let [mut c, a, b] = [C, A, B].map(|tile| *self.configured_register(tile));
        assert_eq!(c.rows, a.rows, "#UD: rows of tiles {C} and {A}");
        assert_eq!(c.bytes, b.bytes, "#UD: columns of tiles {C} and {B}");
        assert_eq!(a.bytes / 4, b.rows, "#UD: depth of tiles {A} and {B}");
        for m in 0..c.rows {
            let mut chains = [[0.0f32; 2]; 16];
            for k in 0..b.rows {
                for (n, chains) in chains.iter_mut().enumerate() {
                    let (x, w) = (halves(a.data[m][k]), halves(b.data[k][n]));
                    for half in 0..2 {
                        chains[half] = fused(x[half], w[half], chains[half]);
                    }
                }
            }
            for (word, [even, odd]) in c.data[m].iter_mut().zip(chains) {
                *word = add(f32::from_bits(*word), add(even, odd)).to_bits();
            }
        }
        self.registers[C] = c;
    }

    unsafe fn release(&mut self) {
        self.registers = Default::default();
    }
}

/// The two bf16 of a double word, the lower first.
fn halves(word: u32) -> [f32; 2] {
    [f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000)]
}

/// Denormals as zeros of their sign.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0f32.copysign(x) } else { x }
}

fn add(x: f32, y: f32) -> f32 {
    flushed(flushed(x) + flushed(y))
}

/// `x * y + z`, rounded once, with denormals as zeros on both sides (DAZ, FTZ).
pub(super) fn fused(x: f32, y: f32, z: f32) -> f32 {
    let [x, y, z] = [x, y, z].map(flushed);
    let result = x.mul_add(y, z);
    if result.abs() != f32::MIN_POSITIVE {
        return flushed(result);
    }
    // x86 judges what is tiny after rounding to 24 bits (SDM volume 1, 4.9.1.5): below 2^-126 - 2^-151 that
    // gives less than 2^-126, though rounding as a denormal gave 2^-126 itself. Both terms are exact in f64:
    // a product of f32s, and a z that is either near 2^-126 or cancelled by the product from below 2^-98.
    let sign = f64::from(result.signum());
    let tiny = 2.0f64.powi(-126) - 2.0f64.powi(-151);
    let above = (sign * f64::from(z) - tiny) + sign * f64::from(x) * f64::from(y);
    if above < 0.0 { 0.0f32.copysign(result) } else { result }
}
