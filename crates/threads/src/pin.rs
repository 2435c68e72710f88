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

/// The CPU that the current thread runs on, where the system says.
#[cfg(target_os = "linux")]
pub fn current_cpu() -> Option<usize> {
    // SAFETY: it takes nothing and gives a number, negative where it is not known.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// The CPU that the current thread runs on, where the system says.
#[cfg(not(target_os = "linux"))]
pub fn current_cpu() -> Option<usize> {
    None
}

/// Moves the current thread off `cpu`, if that is where it runs and it may run elsewhere; it may come back later.
/// Whether it moved.
///
/// The system likes to wake a thread on its waker's CPU. Where both then compute, they take turns on one CPU
/// beside an idle one until it balances them, which can take longer than the work.
pub fn step_aside(cpu: usize) -> bool {
    if current_cpu() != Some(cpu) {
        return false;
    }
    let Some(all) = affinity() else { return false };
    let others: CpuSet = all.iter().filter(|&other| other != cpu).collect();
    if others.is_empty() || set_affinity(&others).is_err() {
        return false;
    }
    // What was allowed before is allowed again; if not, the thread stays where it may run.
    let _ = set_affinity(&all);
    true
}

#[cfg(target_os = "linux")]
fn affinity() -> Option<CpuSet> {
    let bits = libc::c_ulong::BITS as usize;
    let mut mask: Vec<libc::c_ulong> = vec![0; crate::MAX_CPUS / bits];
    // SAFETY: the pointer and the size in bytes are those of `mask`, which the call writes at most. Process id 0 is
    // the calling thread.
    let failed =
        unsafe { libc::sched_getaffinity(0, size_of_val(mask.as_slice()), mask.as_mut_ptr().cast()) };
    // Word by word: nearly all of them are empty, and this is on the way of a call that waits.
    let of_word = |(place, &word): (usize, &libc::c_ulong)| {
        let next = |rest: &libc::c_ulong| Some(rest & (rest - 1)).filter(|&rest| rest != 0);
        let rests = std::iter::successors(Some(word).filter(|&word| word != 0), next);
        rests.map(move |rest| place * bits + rest.trailing_zeros() as usize)
    };
    (failed >= 0).then(|| mask.iter().enumerate().flat_map(of_word).collect())
}

#[cfg(not(target_os = "linux"))]
fn affinity() -> Option<CpuSet> {
    None
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
    fn who_steps_aside_is_elsewhere_and_may_come_back() {
        let all = allowed();
        std::thread::spawn(move || {
            let here = current_cpu().unwrap();
            // It may have been moved in between: then there is nothing to do.
            if step_aside(here) {
                assert!(all.len() > 1);
            }
            assert_eq!(allowed(), all);
            assert!(!step_aside(crate::MAX_CPUS), "it does not run there");
            // With nowhere else to go it stays.
            let one: CpuSet = all.iter().take(1).collect();
            pin_current_thread(&one).unwrap();
            assert!(!step_aside(current_cpu().unwrap()));
            assert_eq!(allowed(), one);
            // Where there are two CPUs and it surely runs on one of them, it goes to the other.
            if let Some(two) = all.iter().nth(1) {
                let both: CpuSet = all.iter().take(2).collect();
                let moved = (0..1000).any(|_| {
                    pin_current_thread(&one).unwrap();
                    pin_current_thread(&both).unwrap();
                    step_aside(one.iter().next().unwrap()) && current_cpu() == Some(two)
                });
                assert!(moved);
            }
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
