//! A process that forks, as Python's multiprocessing does, has a team without members in the child.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // std does not offer fork

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use connote_threads::{Budget, Team, TeamOptions};

#[test]
fn a_forked_child_computes_alone_and_ends() {
    let team = Team::with(TeamOptions {
        threads: 3,
        budget: Some(Arc::new(Budget::new(3))),
        ..TeamOptions::default()
    })
    .unwrap();
    let sum = |calls: usize| {
        let sum = AtomicUsize::new(0);
        for _ in 0..calls {
            team.run(8, &|part| {
                sum.fetch_add(part, Relaxed);
            });
        }
        sum.into_inner()
    };
    assert_eq!(sum(1000), 28_000);
    // SAFETY: the child has this thread only. It uses the team and the allocator, which glibc and musl make ready
    // in the child, and leaves by `_exit`; the other threads of this binary hold no lock that it takes.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer whose signal ends the child, should it hang.
        unsafe { libc::alarm(30) };
        let right = catch_unwind(AssertUnwindSafe(|| {
            let _pass = team.pass();
            sum(1000)
        }));
        drop(team);
        // SAFETY: ends the process; nothing of it is used afterwards.
        unsafe { libc::_exit(i32::from(!matches!(right, Ok(28_000)))) };
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: `status` is a live int, and `child` is ours to wait for.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child failed or hung");
    assert_eq!(sum(1000), 28_000, "the parent's team is as before");
}
