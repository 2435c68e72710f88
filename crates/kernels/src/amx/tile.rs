//! What a tile of the bf16 product reads.

/// Outputs a panel holds: two tile registers side by side.
pub(crate) const OUTPUTS: usize = 32;
/// Inputs a step takes: a register's row of 64 bytes. Rows and panels are padded with zeros to a multiple.
pub(crate) const INPUTS: usize = 32;
/// Rows a register holds.
pub(super) const ROWS: usize = 16;
/// Values of a panel that a step takes.
pub(super) const STEP: usize = INPUTS * OUTPUTS;

/// What a tile of the bf16 product reads: rows of activations, and one panel over a block of the depth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TileBf16<'a> {
    /// Bits of bf16, row after row, `stride` apart.
    pub(crate) x: &'a [u16],
    /// See `x`.
    pub(crate) stride: usize,
    /// 1 to 32.
    pub(crate) rows: usize,
    /// Bits of bf16: for every pair of inputs, [`OUTPUTS`] outputs of two values.
    pub(crate) panel: &'a [u16],
    /// Inputs to sum, a multiple of [`INPUTS`].
    pub(crate) inputs: usize,
}

impl<'a> TileBf16<'a> {
    /// Asserts that everything lies inside its slice, and in `sums` rows of sums.
    pub(super) fn check(&self, sums: usize) {
        assert!((1..=2 * ROWS).contains(&self.rows), "a tile of {} rows", self.rows);
        assert!(self.rows <= sums, "a tile of {} rows into {sums}", self.rows);
        assert!(self.inputs.is_multiple_of(INPUTS), "inputs come by {INPUTS}");
        // What overflows fits nowhere: the unit reads unchecked, so no sum here may wrap.
        let end = (self.rows - 1).checked_mul(self.stride).and_then(|last| last.checked_add(self.inputs));
        assert!(end.is_some_and(|end| end <= self.x.len()), "a tile past its activations");
        let panel = self.inputs.checked_mul(OUTPUTS);
        assert!(panel.is_some_and(|panel| panel <= self.panel.len()), "a tile past its weights");
    }

    /// The panel's part of every step.
    #[inline(always)]
    pub(super) fn steps(&self) -> impl Iterator<Item = &'a [u16]> + use<'a> {
        self.panel[..self.inputs * OUTPUTS].chunks_exact(STEP)
    }
}
