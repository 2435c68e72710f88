//! Pinning the current thread.
#![cfg_attr(target_os = "linux", allow(unsafe_code))] // std does not offer sched_setaffinity

use std::io;

use crate::CpuSet;

/// Lets the current thread, and threads that it starts later, run only on `cpus`.
///
/// # Errors
/// No CPU of `cpus` is one that this process may use, or the system cannot pin threads (others than Linux).
pub fn pin_current_thread(cpus: &CpuSet) -> io::Result<()> {
    set_affinity(cpus).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot pin a thread to CPUs {cpus:?}: {error}; switch pinning off"),
        )
    })
}

#[cfg(target_os = "linux")]
fn set_affinity(cpus: &CpuSet) -> io::Result<()> {
    let bits = libc::c_ulong::BITS as usize;
    let mut mask: Vec<libc::c_ulong> = vec![0; cpus.iter().last().map_or(1, |last| last / bits + 1)];
    for cpu in cpus.iter() {
        mask[cpu / bits] |= 1 << (cpu % bits);
    }
    // SAFETY: the pointer and the size in bytes are those of `mask`, which the call only reads; the kernel's
    // mask is an array of unsigned long of any length, of which libc's cpu_set_t is the usual one. Process id 0
    // is the calling thread.
    let failed = unsafe { libc::sched_setaffinity(0, size_of_val(mask.as_slice()), mask.as_ptr().cast()) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn set_affinity(_: &CpuSet) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use super::*;

    fn allowed() -> CpuSet {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        CpuSet::parse(list).unwrap()
    }

    #[test]
    fn a_thread_runs_where_it_is_pinned() {
        let all = allowed();
        std::thread::spawn(move || {
            for cpu in all.iter() {
                let one: CpuSet = [cpu].into_iter().collect();
                pin_current_thread(&one).unwrap();
                assert_eq!(allowed(), one);
            }
            pin_current_thread(&all).unwrap();
            assert_eq!(allowed(), all);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn no_such_cpu_is_an_error_that_says_so() {
        for set in [CpuSet::default(), [crate::MAX_CPUS - 1].into_iter().collect()] {
            let error = std::thread::spawn(move || pin_current_thread(&set)).join().unwrap().unwrap_err();
            assert!(error.to_string().contains("cannot pin a thread to CPUs"), "{error}");
        }
    }
}
