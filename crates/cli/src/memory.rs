//! Memory of this process, where the system says it.

use std::fs;

/// Resident bytes now.
pub(crate) fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most resident bytes there have been.
pub(crate) fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// A line of `/proc/self/status`, which counts in KiB.
fn status(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
