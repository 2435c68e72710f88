//! An embedder at rest. Alone in its binary, because other tests' threads would be counted too.
#![cfg(target_os = "linux")]

use std::thread;
use std::time::Duration;

use connote::{Embedder, Policy, Priority, Request, Shape, Tuning};
use testkit::models;

/// Nanoseconds that all threads of this process have run, by the scheduler's own account.
fn ran() -> u64 {
    let account = |task: std::fs::DirEntry| {
        let account = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        account.split_whitespace().next()?.parse::<u64>().ok()
    };
    std::fs::read_dir("/proc/self/task").expect("this process").flatten().filter_map(account).sum()
}

#[test]
fn ten_seconds_at_rest_after_work_take_no_cpu() {
    let embedder = Embedder::open(models::builtin()).expect("the committed model opens");
    let texts: Vec<String> = (0..64).map(|text| format!("{text} cats on {text} mats")).collect();
    // Everything that has threads has worked: workers, teams inside products, and a pool in between.
    for shape in [Shape::new(2, 1), Shape::new(1, 2), Shape::new(4, 1)] {
        embedder.set_tuning(Tuning::new().policy(Policy::Fixed(shape)));
        embedder.embed(&texts).expect("vectors");
        embedder.embed(Request::new(&texts).priority(Priority::Interactive)).expect("vectors");
        embedder.embed_one("a cat").expect("a vector");
    }
    // What spins before it sleeps, and the reading of accounts itself, is over by then.
    thread::sleep(Duration::from_millis(300));
    let before = ran();
    thread::sleep(Duration::from_secs(10));
    let used = Duration::from_nanos(ran() - before);
    assert!(used < Duration::from_millis(10), "{used:?} in ten seconds of rest: more than 0.1% of a CPU");
}
