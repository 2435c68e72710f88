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

/// Bytes of swap that are free.
pub(crate) fn swap_free() -> Option<u64> {
    kibibytes("/proc/meminfo", "SwapFree:")
}

/// Bytes of addresses that this process may have (`ulimit -v`, RLIMIT_AS), if that is limited.
pub(crate) fn address_limit() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    address_limit_of(&limits)
}

/// Bytes of addresses that it has now; files that are mapped count, too.
pub(crate) fn addresses() -> Option<u64> {
    kibibytes("/proc/self/status", "VmSize:")
}

/// Bytes of addresses that it may still take, if that is limited.
pub(crate) fn addresses_left() -> Option<u64> {
    Some(address_limit()?.saturating_sub(addresses().unwrap_or(0)))
}

/// The soft limit; it is a word where there is none.
fn address_limit_of(limits: &str) -> Option<u64> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// A line of a file that counts in KiB, in bytes.
fn kibibytes(file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::address_limit_of;

    #[test]
    fn the_soft_limit_of_addresses_is_read() {
        let limits = |value: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max cpu time              unlimited            unlimited            seconds\n\
                 Max address space         {value}            unlimited            bytes\n"
            )
        };
        assert_eq!(address_limit_of(&limits("409600000")), Some(409_600_000));
        assert_eq!(address_limit_of(&limits("unlimited")), None);
        assert_eq!(address_limit_of(""), None);
    }
}
