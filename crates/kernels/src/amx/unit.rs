//! What the driver needs of a tile unit, and how it uses the eight registers.
#![allow(unsafe_code)] // a named room: what a unit's methods ask of their caller

/// Sums of rows 0..16, outputs 0..16.
pub(super) const C0: usize = 0;
/// Sums of rows 0..16, outputs 16..32.
pub(super) const C1: usize = 1;
/// Sums of rows 16..32, outputs 0..16.
pub(super) const C2: usize = 2;
/// Sums of rows 16..32, outputs 16..32.
pub(super) const C3: usize = 3;
/// Activations of rows 0..16.
pub(super) const A0: usize = 4;
/// Activations of rows 16..32.
pub(super) const A1: usize = 5;
/// Weights of outputs 0..16.
pub(super) const B0: usize = 6;
/// Weights of outputs 16..32.
pub(super) const B1: usize = 7;

/// A tile unit. Registers are named by constants, as instructions name them.
///
/// # Safety
/// `configure` needs a machine with AMX that lets this process use it. The others need a unit configured on
/// this thread, with rows in the registers they name. A register's rows then lie in the slice: its last row's
/// 64 bytes may end where the slice ends, not later.
pub(super) trait TileUnit {
    /// Rows the unit is configured for: of C0, C1 and A0, and of C2, C3 and A1. Both 0 if it is not.
    fn configured(&self) -> [usize; 2];

    /// Configures the registers, which become zero, for so many rows; B0 and B1 have 16.
    unsafe fn configure(&mut self, rows: [usize; 2]);

    /// Loads activations or weights: 32 values a row, rows `stride` values apart.
    unsafe fn load_pairs<const TILE: usize>(&mut self, values: &[u16], stride: usize);

    /// Loads 16 sums a row from `from`, rows `stride` values apart, all of which must be the caller's to read.
    unsafe fn load_sums<const TILE: usize>(&mut self, from: *const f32, stride: usize);

    /// Stores 16 sums a row to `to`, rows `stride` values apart, all of which must be the caller's to write.
    unsafe fn store_sums<const TILE: usize>(&mut self, to: *mut f32, stride: usize);

    /// Makes all values of a register zero.
    unsafe fn zero<const TILE: usize>(&mut self);

    /// Asks for a cache line that will be read later.
    fn ask_for(&self, line: &[u16]);

    /// `C += A * B` over 16 pairs of inputs: TDPBF16PS.
    unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self);

    /// Gives the unit back: no register has rows after it.
    unsafe fn release(&mut self);
}

/// What LDTILECFG reads (Intel SDM volume 2A): palette 1, bytes a row, rows.
#[repr(C, align(64))]
pub(super) struct Config(pub(super) [u8; 64]);

impl Config {
    pub(super) fn of([first, second]: [usize; 2]) -> Self {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let registers = [
            (C0, first),
            (C1, first),
            (C2, second),
            (C3, second),
            (A0, first),
            (A1, second),
            (B0, 16),
            (B1, 16),
        ];
        // A register without rows must not have columns either.
        for (register, rows) in registers.into_iter().filter(|&(_, rows)| rows > 0) {
            bytes[16 + 2 * register] = 64;
            bytes[48 + register] = rows as u8;
        }
        Self(bytes)
    }
}
