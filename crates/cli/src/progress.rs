//! Progress of long work, on stderr.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between plain lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// A bar at a terminal, else a line now and then.
pub(crate) struct Progress {
    quiet: bool,
    started: Instant,
    reported: Instant,
    bar: Option<ProgressBar>,
    rows: u64,
    tokens: u64,
    in_bytes: bool,
}

impl Progress {
    pub(crate) fn new(quiet: bool, in_bytes: bool) -> Self {
        let now = Instant::now();
        Self { quiet, started: now, reported: now, bar: None, rows: 0, tokens: 0, in_bytes }
    }

    /// Some rows are done; the input is at `position` of `total` (bytes or texts).
    pub(crate) fn advance(&mut self, rows: usize, tokens: usize, (position, total): (u64, Option<u64>)) {
        self.rows += rows as u64;
        self.tokens += tokens as u64;
        if self.quiet || self.started.elapsed() < PATIENCE {
            return;
        }
        if io::stderr().is_terminal() {
            let message = format!("{} rows, {:.0} tokens/s", HumanCount(self.rows), self.rate());
            let bar = self.bar.get_or_insert_with(|| bar(total));
            bar.set_position(position);
            bar.set_message(message);
        } else if self.reported.elapsed() >= INTERVAL {
            self.reported = Instant::now();
            let left = total.filter(|_| position > 0).map(|total| {
                let seconds = self.started.elapsed().as_secs_f64();
                format!(
                    ", about {:.0} s left",
                    seconds * (total.saturating_sub(position)) as f64 / position as f64
                )
            });
            let read =
                if self.in_bytes { format!(" ({} read)", HumanBytes(position)) } else { String::new() };
            eprintln!("{} rows{read}, {:.0} tokens/s{}", self.rows, self.rate(), left.unwrap_or_default());
        }
    }

    fn rate(&self) -> f64 {
        self.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// The work has ended: what was done, in one line.
    pub(crate) fn finish(self, failed: u64, fingerprint: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        eprintln!(
            "{} text{}{failures}, {} tokens in {:.2} s; fingerprint {fingerprint}",
            self.rows,
            if self.rows == 1 { "" } else { "s" },
            self.tokens,
            self.started.elapsed().as_secs_f64(),
        );
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3}%  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
