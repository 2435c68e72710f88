//! CPU time that this process's threads have taken, by the scheduler's own account.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What all threads of this process but one have taken. The one is whoever looks: looking often takes time itself.
pub(crate) struct OtherThreads {
    myself: PathBuf,
}

impl OtherThreads {
    /// All but the calling thread; `None` where the system does not tell.
    pub(crate) fn than_this() -> Option<Self> {
        // `PID/task/TID`
        let myself = fs::read_link("/proc/thread-self").ok()?;
        let this = Self { myself: myself.file_name()?.into() };
        this.taken().map(|_| this)
    }

    /// Threads that have ended are not in it.
    pub(crate) fn taken(&self) -> Option<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir("/proc/self/task").ok()? {
            let task = task.ok()?;
            if *task.file_name() == *self.myself {
                continue;
            }
            // One that ended since the folder was read has no file any more.
            let Ok(account) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let running: u64 = account.split_whitespace().next()?.parse().ok()?;
            nanoseconds += running;
        }
        Some(Duration::from_nanos(nanoseconds))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_work_of_another_thread_counts() {
        let Some(others) = OtherThreads::than_this() else { return };
        let before = others.taken().expect("told a moment ago");
        let (done, finished) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let busy = thread::spawn(move || {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(50) {}
            done.send(()).expect("somebody waits");
            // A thread that ended would be in no account.
            let _ = may_leave.recv();
        });
        finished.recv().expect("it finishes");
        assert!(others.taken().expect("told before") > before);
        drop(leave);
        busy.join().expect("it ends");
    }
}
