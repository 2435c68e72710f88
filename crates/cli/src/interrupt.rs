//! Signals that end a run: what is to be done and said before it ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

/// What a signal sets off; a run has one thing at a time that must be put in order.
pub(crate) type Ending = Box<dyn FnOnce() + Send>;

static ENDING: Mutex<Option<Ending>> = Mutex::new(None);

/// From now on a signal that ends the run does this first. `prepare` gives it; meanwhile no signal comes between.
pub(crate) fn on_signal<T>(prepare: impl FnOnce() -> Result<(T, Ending), Failure>) -> Result<T, Failure> {
    let mut place = place();
    #[cfg(unix)]
    unix::watch();
    let (value, ending) = prepare()?;
    *place = Some(ending);
    Ok(value)
}

/// Does something that no signal may come between; if it succeeds, there is nothing left to put in order.
pub(crate) fn settled<E>(last: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    let mut place = place();
    last()?;
    *place = None;
    Ok(())
}

/// A file that may not grow on (`ulimit -f`) is from now on an error of writing it, which names it and leaves nothing behind,
/// and not the end of the run without a word.
pub(crate) fn outlive_file_limits() {
    #[cfg(unix)]
    {
        let unread = std::sync::Arc::default();
        // Where it cannot be caught it ends the run as before.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, unread);
    }
}

fn place() -> MutexGuard<'static, Option<Ending>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only Unix has signals; elsewhere an interrupted run leaves its unfinished file.
#[cfg(unix)]
mod unix {
    use std::fs;
    use std::sync::Once;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    /// As the shell has it for Ctrl-C.
    const INTERRUPTED: i32 = 130;

    /// Signals come to a thread of their own. Where they cannot be watched they end the run all the same.
    pub(super) fn watch() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let ignored = ignored();
            let wanted =
                [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
            let Ok(mut signals) = Signals::new(wanted) else { return };
            let wait = move || {
                for _ in signals.forever() {
                    // Kept locked to the end, so that nothing is completed meanwhile.
                    let mut place = super::place();
                    // Without anything to put in order the run is complete and about to end.
                    if let Some(ending) = place.take() {
                        ending();
                        std::process::exit(INTERRUPTED);
                    }
                }
            };
            let _ = thread::Builder::new().name("signals".to_owned()).spawn(wait);
        });
    }

    /// The signals that this run was told to ignore (`nohup`, `&` in a script), as a mask: they stay so.
    fn ignored() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        // Other systems do not tell; there only SIGHUP is commonly ignored.
        let untold = 1 << (SIGHUP - 1);
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(untold)
    }
}
