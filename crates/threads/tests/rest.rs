//! A team at rest, and beside a process that keeps every core busy. Alone in its binary, because other tests'
//! teams would be counted too.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use connote_threads::{Budget, Team, TeamOptions};

fn team(threads: usize) -> Team {
    let budget = Some(Arc::new(Budget::new(threads)));
    Team::with(TeamOptions { threads, budget, ..TeamOptions::default() }).unwrap()
}

/// Nanoseconds that each thread of this process has run, by its id, with its name; by the scheduler's own account.
fn threads() -> BTreeMap<String, (String, u64)> {
    let thread = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let account = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let ran = account.split_whitespace().next()?.parse().ok()?;
        Some((task.file_name().to_string_lossy().into_owned(), (name, ran)))
    };
    std::fs::read_dir("/proc/self/task").unwrap().flatten().filter_map(thread).collect()
}

/// The same of members.
fn members() -> BTreeMap<String, u64> {
    let member =
        |(id, (name, ran)): (String, (String, u64))| name.starts_with("connote-").then_some((id, ran));
    threads().into_iter().filter_map(member).collect()
}

/// The same of all threads together.
fn process() -> Duration {
    Duration::from_nanos(threads().values().map(|(_, ran)| ran).sum())
}

/// Waits until both members have not run for a fifth of a second: not a nanosecond, since only callers wake sleepers.
fn comes_to_rest() -> bool {
    (0..50).any(|_| {
        let before = members();
        thread::sleep(Duration::from_millis(200));
        before.len() == 2 && members() == before
    })
}

fn calls(team: &Team, calls: usize) {
    let sum = AtomicUsize::new(0);
    for _ in 0..calls {
        team.run(8, &|part| {
            sum.fetch_add(part, Relaxed);
        });
    }
    assert_eq!(sum.into_inner(), calls * 28);
}

/// Ends with its owner, also when the test fails.
struct Busy(Vec<Child>);

impl Busy {
    fn on_every_core() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shell = || Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Self((0..cores).map(|_| shell().expect("sh")).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().and_then(|()| child.wait().map(drop)).expect("a process of ours");
        }
    }
}

#[test]
fn no_cpu_at_rest_and_no_harm_from_busy_neighbours() {
    let team = team(3);
    {
        let _pass = team.pass();
        calls(&team, 1000);
        assert!(comes_to_rest(), "members keep running in an idle pass");
    }
    calls(&team, 1000);
    assert!(comes_to_rest(), "members keep running at rest");

    // Ten seconds after work: under 0.1% of a CPU for the whole process, which is this thread and the test runner's.
    let (before, ran) = (members(), process());
    thread::sleep(Duration::from_secs(10));
    let used = process().saturating_sub(ran);
    assert_eq!(members(), before, "a member woke with nobody calling");
    assert!(used < Duration::from_millis(10), "{used:?} of CPU time in 10 s at rest");

    let busy = Busy::on_every_core();
    calls(&team, 20_000);
    {
        let _pass = team.pass();
        calls(&team, 20_000);
    }
    drop(busy);
    drop(team);
    assert_eq!(members().len(), 0, "members outlived their team");
}
