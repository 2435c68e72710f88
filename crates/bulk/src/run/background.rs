//! Work that leaves the machine to others: the lowest priority, and a share of the CPUs.

use std::io;
use std::time::{Duration, Instant};

/// Puts this process behind all others, for what it starts from now on: the threads that are there already keep their
/// priority, but the one that calls.
///
/// # Errors
/// If the system refuses, or has no such thing.
#[cfg(unix)]
pub fn lowest_priority() -> io::Result<()> {
    // The nicest there is. Nobody is refused that.
    Ok(rustix::process::setpriority_process(None, 19)?)
}

/// Puts this process behind all others.
///
/// # Errors
/// Always: it is not known how.
#[cfg(not(unix))]
pub fn lowest_priority() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A share of the machine's CPUs, in CPUs: 0.5 is half of one. Fewer threads come first, then pauses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuShare {
    cpus: f64,
}

impl CpuShare {
    /// `percent` of the CPUs that a process may use.
    pub fn new(percent: u8, cpus: usize) -> Self {
        Self { cpus: f64::from(percent.min(100)) / 100.0 * cpus as f64 }
    }

    /// Threads that it needs: as many as are kept busy, and one that pauses where that is no whole number.
    pub fn threads(self) -> usize {
        (self.cpus - 1e-9).ceil().max(1.0) as usize
    }

    /// Whether `threads` can be busy all the time.
    pub fn is_met_by(self, threads: usize) -> bool {
        threads as f64 <= self.cpus + 1e-9
    }

    /// How long to pause after `work` of CPU time that took `wall` of the clock.
    pub fn pause_after(self, work: Duration, wall: Duration) -> Duration {
        let wanted = work.as_secs_f64() / self.cpus.max(1e-3);
        Duration::try_from_secs_f64(wanted - wall.as_secs_f64()).unwrap_or(Duration::ZERO)
    }
}

/// A piece of work that is paused after.
pub(super) struct Stretch {
    share: CpuShare,
    wall: Instant,
    cpu: Duration,
    threads: usize,
}

impl Stretch {
    /// Begins now.
    pub(super) fn begin(share: CpuShare, threads: usize) -> Self {
        Self { share, wall: Instant::now(), cpu: cpu_time().unwrap_or_default(), threads }
    }

    /// It has ended: sleeps until it took no more than its share.
    pub(super) fn pause(self) {
        let wall = self.wall.elapsed();
        // Where the system does not tell, all threads are taken to have worked all the time.
        let work = cpu_time().map_or(wall * self.threads as u32, |now| now.saturating_sub(self.cpu));
        std::thread::sleep(self.share.pause_after(work, wall));
    }
}

/// CPU time that this process has taken.
#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_threads_first_then_pauses() {
        let seconds = Duration::from_secs;
        for (percent, cpus, threads, met) in
            [(50, 2, 1, true), (25, 2, 1, false), (75, 2, 2, false), (100, 8, 8, true), (1, 4, 1, false)]
        {
            let share = CpuShare::new(percent, cpus);
            assert_eq!(
                (share.threads(), share.is_met_by(share.threads())),
                (threads, met),
                "{percent} of {cpus}"
            );
        }
        // Two CPUs for three seconds of the clock are six of work, which a share of one and a half has in four.
        let share = CpuShare::new(75, 2);
        assert_eq!(share.pause_after(seconds(6), seconds(3)), seconds(1));
        assert_eq!(share.pause_after(seconds(1), seconds(3)), Duration::ZERO);
    }

    #[cfg(unix)]
    #[test]
    fn work_takes_cpu_time() {
        let before = cpu_time().expect("told");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(20) {}
        assert!(cpu_time().expect("told") > before);
    }
}
