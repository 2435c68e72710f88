//! Memory of this process and of the machine, where the system says it.

use std::fs;

/// Resident bytes of this process now.
pub(crate) fn resident() -> Option<u64> {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// The most resident bytes that it has had.
pub(crate) fn peak() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// Bytes of the machine.
pub(crate) fn total() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemTotal:")
}

/// Bytes that could be had without swapping.
pub(crate) fn available() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemAvailable:")
}

/// A line of a file that counts in KiB, in bytes.
fn kibibytes(file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
