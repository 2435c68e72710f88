//! What the machine could reach: multiplications on registers alone.

use crate::layout::Layout;

/// A loop that multiplies and adds on registers, without memory: the ceiling for a product in `layout`.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// The instruction, for reports.
    pub name: &'static str,
    /// The layout whose products it bounds.
    pub layout: Layout,
    /// Runs about this many steps.
    pub run: fn(u64),
    /// Multiply-adds a step.
    pub macs: u64,
}

/// Independent chains of a peak loop: enough to hide the latency of any multiplication at any width.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) const CHAINS: usize = 12;
