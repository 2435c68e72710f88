//! Progress of long work, on stderr.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::say::say;

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between plain lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// A bar at a terminal, else a line now and then.
pub(crate) struct Progress {
    loading: Duration,
    /// When the first rows were there to work on.
    started: Option<Instant>,
    reported: Instant,
    bar: Option<ProgressBar>,
    rows: u64,
    tokens: u64,
    in_bytes: bool,
    among_data: bool,
}

impl Progress {
    /// After `loading` the model. Where results go to a terminal they are the progress, and a bar among them
    /// would spoil both.
    pub(crate) fn new(loading: Duration, in_bytes: bool, among_data: bool) -> Self {
        let reported = Instant::now();
        Self { loading, started: None, reported, bar: None, rows: 0, tokens: 0, in_bytes, among_data }
    }

    /// There are rows to work on: from the first time on, time counts.
    pub(crate) fn begin(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    /// Some rows are done; the input is at `position` of `total` (bytes or texts).
    pub(crate) fn advance(&mut self, rows: usize, tokens: usize, (position, total): (u64, Option<u64>)) {
        self.rows += rows as u64;
        self.tokens += tokens as u64;
        if self.among_data || self.elapsed() < PATIENCE {
            return;
        }
        let left = total.filter(|&total| (1..total).contains(&position)).map(|total| {
            let share = (total - position) as f64 / position as f64;
            format!(", about {} left", duration(self.elapsed().mul_f64(share)))
        });
        let left = left.unwrap_or_default();
        if io::stderr().is_terminal() {
            let message = format!("{} rows, {:.0} tokens/s{left}", HumanCount(self.rows), self.rate());
            let elapsed = self.elapsed();
            let bar = self.bar.get_or_insert_with(|| bar(total, elapsed));
            bar.set_position(position);
            bar.set_message(message);
        } else if self.reported.elapsed() >= INTERVAL {
            self.reported = Instant::now();
            let read =
                if self.in_bytes { format!(" ({} read)", HumanBytes(position)) } else { String::new() };
            say(format_args!("{} rows{read}, {:.0} tokens/s{left}", self.rows, self.rate()));
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    fn rate(&self) -> f64 {
        self.tokens as f64 / self.elapsed().as_secs_f64().max(1e-9)
    }

    /// The work has ended: what was done, in one line.
    pub(crate) fn finish(self, failed: u64, fingerprint: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        say(format_args!(
            "{} text{}{failures}, {} tokens in {} (and {} to load the model); fingerprint {fingerprint}",
            self.rows,
            if self.rows == 1 { "" } else { "s" },
            self.tokens,
            duration(self.elapsed()),
            duration(self.loading),
        ));
    }
}

/// A time with about three digits.
fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.9995 => format!("{:.0} ms", seconds * 1000.0),
        seconds if seconds < 99.95 => format!("{seconds:.1} s"),
        seconds if seconds < 5940.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A bar for work that has gone on for `elapsed`.
fn bar(total: Option<u64>, elapsed: Duration) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:20} {percent:>3}%  {wide_msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {elapsed}  {wide_msg}"),
    };
    let bar = bar.with_elapsed(elapsed);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
