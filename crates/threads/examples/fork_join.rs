//! What forking and joining costs on this machine: `cargo run --release -p connote-threads --example fork_join [THREADS]`.
//!
//! Median time of a call, in microseconds: empty, and with 5 us of work a thread; at once after the last call and
//! 2 ms after it; with and without a pass open, beside `std::thread::scope`. Then a pass of many short calls as
//! the layers of a small model make them, and the CPU time that a team at rest uses.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use connote_threads::{Budget, Team, Topology};

/// Parts a thread, so that a member that comes late finds some left.
const PARTS: usize = 8;

fn main() {
    let topology = Topology::detect();
    println!("{topology}\n");
    let threads = std::env::args().nth(1).map_or(topology.workers(), |argument| {
        argument.parse().unwrap_or_else(|_| panic!("{argument:?} is not a number of threads"))
    });
    Budget::process().set_cpus(threads.max(1));
    let team = Team::new(threads);
    let threads = team.threads();
    let work = Work::calibrated();

    println!("{threads} threads, median us a call; ideal is the work a thread\n");
    println!("{:<22}{:>12}{:>12}{:>12}{:>12}", "", "empty", "5 us each", "empty 2 ms", "5 us 2 ms");
    let row = |name: &str, call: &dyn Fn(f64)| {
        print!("{name:<22}");
        for (us, gap, calls) in [(0.0, 0, 4000), (5.0, 0, 4000), (0.0, 2, 400), (5.0, 2, 400)] {
            print!("{:>12.2}", median(calls, Duration::from_millis(gap), || call(us)));
        }
        println!();
    };
    let on_team = |us: f64| {
        let part = us / PARTS as f64;
        team.run(threads * PARTS, &|_| work.run(part));
    };
    row("one thread", &|us| work.run(us * threads as f64));
    row("team", &on_team);
    {
        let _pass = team.pass();
        row("team, pass open", &on_team);
    }
    row("std::thread::scope", &|us| {
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| work.run(us));
            }
            work.run(us);
        });
    });

    // 84 calls of 10 us a thread, 2 ms between passes.
    let layers = |open: bool| {
        median(200, Duration::from_millis(2), || {
            let _pass = open.then(|| team.pass());
            (0..84).for_each(|_| on_team(10.0));
        })
    };
    println!("\n84 calls of 10 us a thread, 2 ms before them (ideal 840, one thread {})", 840 * threads);
    println!("{:<22}{:>12.0}\n{:<22}{:>12.0}", "team", layers(false), "team, a pass each", layers(true));

    thread::sleep(Duration::from_millis(100));
    let before = cpu_time();
    thread::sleep(Duration::from_secs(3));
    match before.zip(cpu_time()) {
        Some((before, after)) => println!("\nCPU time of 3 s at rest: {} us", (after - before) / 1000),
        None => println!("\nCPU time at rest: this system does not tell"),
    }
}

/// Median time of a call in microseconds, `gap` after the one before.
fn median(calls: usize, gap: Duration, call: impl Fn()) -> f64 {
    let mut times: Vec<Duration> = (0..calls)
        .map(|_| {
            if !gap.is_zero() {
                thread::sleep(gap);
            }
            let begin = Instant::now();
            call();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[calls / 2].as_secs_f64() * 1e6
}

/// A loop of dependent multiplications: time that memory and neighbours do not change.
struct Work {
    steps_per_us: f64,
}

impl Work {
    /// The fastest of many: an interruption only makes a try longer.
    fn calibrated() -> Self {
        let steps = 20_000.0;
        let try_once = |_| {
            let begin = Instant::now();
            Self { steps_per_us: steps }.run(1.0);
            begin.elapsed()
        };
        let fastest = (0..200).map(try_once).min().unwrap_or_default();
        Self { steps_per_us: steps / (fastest.as_secs_f64() * 1e6) }
    }

    fn run(&self, us: f64) {
        let mut x = 1.0f64;
        for _ in 0..(us * self.steps_per_us) as u64 {
            x = black_box(x * 1.000_000_1);
        }
    }
}

/// CPU time of all threads of this process in nanoseconds, by the scheduler's own account.
fn cpu_time() -> Option<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let account = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        sum += account.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(sum)
}
