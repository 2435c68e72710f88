//! Progress of long work, on stderr.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use bulk::Progress as Position;
use clap::ValueEnum;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::memory;
use crate::say::say;

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between plain lines where there is no terminal.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// Time between objects for programs.
pub(crate) const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressForm {
    /// A bar at a terminal, else lines
    Auto,
    /// A bar
    Bar,
    /// A line now and then
    Lines,
    /// A JSON object a line, every second
    Json,
    /// None
    None,
}

impl ProgressForm {
    /// What is shown where nothing was said.
    pub(crate) fn chosen(self) -> Self {
        match self {
            Self::Auto if io::stderr().is_terminal() => Self::Bar,
            Self::Auto => Self::Lines,
            form => form,
        }
    }
}

/// When something was told last.
pub(crate) struct Pace(Instant);

impl Pace {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Whether it is time again; if so, it counts as told.
    pub(crate) fn due(&mut self, interval: Duration) -> bool {
        let due = self.0.elapsed() >= interval;
        if due {
            self.0 = Instant::now();
        }
        due
    }
}

/// An object of `--progress json`.
#[derive(Serialize)]
struct Told<'a> {
    /// Rows that are computed, those of earlier runs among them.
    rows: u64,
    /// Of them, those that failed in this run.
    failed: u64,
    /// Rows that are safe; `null` where none are before the end.
    committed: Option<u64>,
    /// Tokens of this run.
    tokens: u64,
    tokens_per_second: f64,
    seconds: f64,
    eta_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
}

/// How far work is.
pub(crate) struct Progress {
    form: ProgressForm,
    loading: Duration,
    /// When the first rows were there to work on.
    started: Option<Instant>,
    pace: Pace,
    bar: Option<ProgressBar>,
    /// Rows that were there before.
    found: u64,
    rows: u64,
    failed: u64,
    tokens: u64,
    committed: Option<u64>,
    /// What the source had passed before the first rows of this run, and what it has read for it since.
    position: Position,
    worked: u64,
    /// The share of what is left that this run computes.
    share: f64,
}

impl Progress {
    /// After `loading` the model. Where results go to a terminal they are the progress, and a bar among them
    /// would spoil both.
    pub(crate) fn new(form: ProgressForm, loading: Duration, among_data: bool) -> Self {
        let form = match form {
            ProgressForm::Auto if among_data => ProgressForm::None,
            form => form.chosen(),
        };
        Self {
            form,
            loading,
            started: None,
            pace: Pace::new(),
            bar: None,
            found: 0,
            rows: 0,
            failed: 0,
            tokens: 0,
            committed: None,
            position: Position { read: 0, total: None },
            worked: 0,
            share: 1.0,
        }
    }

    /// Of the rows that are left only this share is for this run.
    pub(crate) fn share_of(mut self, shares: u64) -> Self {
        self.share = 1.0 / shares as f64;
        self
    }

    /// There are rows to work on: from the first time on, time counts.
    pub(crate) fn begin(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    /// So many rows were there before.
    pub(crate) fn found(&mut self, rows: u64) {
        self.found = rows;
    }

    /// So many rows are safe.
    pub(crate) fn committed(&mut self, rows: u64) {
        self.committed = Some(rows);
    }

    /// Some rows are done; of the input `passed` (bytes or rows) was theirs, and it is at `position`.
    pub(crate) fn advance(
        &mut self,
        rows: usize,
        failed: usize,
        tokens: usize,
        passed: u64,
        position: Position,
    ) {
        self.rows += rows as u64;
        self.failed += failed as u64;
        self.tokens += tokens as u64;
        self.worked += passed;
        self.position = position;
        match self.form {
            ProgressForm::Json if self.pace.due(JSON_INTERVAL) => self.tell(false, None),
            ProgressForm::Bar if self.elapsed() >= PATIENCE => self.draw(),
            ProgressForm::Lines if self.elapsed() >= PATIENCE && self.pace.due(INTERVAL) => {
                say(format_args!("{} rows, {}", self.found + self.rows, self.speed()));
            }
            _ => {}
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// Tokens a second.
    fn rate(&self, elapsed: Duration) -> f64 {
        self.tokens as f64 / elapsed.as_secs_f64().max(1e-9)
    }

    /// How long it will still take, if it goes on as it did for `elapsed`.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let left = self.position.total?.checked_sub(self.position.read)? as f64 * self.share;
        (self.worked > 0).then(|| elapsed.mul_f64(left / self.worked as f64))
    }

    fn speed(&self) -> String {
        let elapsed = self.elapsed();
        let left =
            self.left(elapsed).map(|left| format!(", about {} left", duration(left))).unwrap_or_default();
        let memory = memory::resident().map(|bytes| format!(", {} of memory", HumanBytes(bytes)));
        format!("{:.0} tokens/s{left}{}", self.rate(elapsed), memory.unwrap_or_default())
    }

    fn draw(&mut self) {
        let message = format!("{} rows, {}", HumanCount(self.found + self.rows), self.speed());
        let (elapsed, position) = (self.elapsed(), self.position);
        let bar = self.bar.get_or_insert_with(|| bar(position.total, elapsed));
        bar.set_position(position.read);
        bar.set_message(message);
    }

    fn tell(&mut self, done: bool, fingerprint: Option<&str>) {
        // The clock is read once, so that the figures belong together.
        let elapsed = self.elapsed();
        let told = Told {
            rows: self.found + self.rows,
            failed: self.failed,
            committed: self.committed,
            tokens: self.tokens,
            tokens_per_second: self.rate(elapsed),
            seconds: elapsed.as_secs_f64(),
            eta_seconds: if done { Some(0.0) } else { self.left(elapsed).map(|left| left.as_secs_f64()) },
            resident_bytes: memory::resident(),
            done,
            fingerprint,
        };
        // Numbers and one string: nothing in it can fail.
        say(format_args!("{}", serde_json::to_string(&told).unwrap_or_default()));
    }

    /// Says a line without spoiling the bar.
    pub(crate) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(format_args!("connote: {line}"))),
            None => say(format_args!("connote: {line}")),
        }
    }

    /// The work has ended: what was done, in one line.
    pub(crate) fn finish(mut self, failed: u64, fingerprint: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.form == ProgressForm::Json {
            self.failed = failed;
            return self.tell(true, Some(fingerprint));
        }
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let found = if self.found > 0 { format!(" (and {} found done)", self.found) } else { String::new() };
        say(format_args!(
            "{} text{}{found}{failures}, {} tokens in {} (and {} to load the model); fingerprint {fingerprint}",
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

#[cfg(test)]
mod tests {
    use super::*;

    /// After `worked` of what was passed, at `read` of 100.
    fn at(read: u64, worked: u64) -> Progress {
        let mut progress = Progress::new(ProgressForm::None, Duration::ZERO, false);
        progress.advance(1, 0, 1, worked, Position { read, total: Some(100) });
        progress
    }

    #[test]
    fn what_is_left_takes_as_long_as_what_was_done() {
        let seconds = Duration::from_secs;
        assert_eq!(at(25, 25).left(seconds(10)), Some(seconds(30)));
        // An earlier run did the first half: it took none of this one's time.
        assert_eq!(at(60, 10).left(seconds(10)), Some(seconds(40)));
        // Of four shares one is left to do, and passing the others takes no time worth the name.
        assert_eq!(at(20, 10).share_of(4).left(seconds(10)), Some(seconds(20)));
        assert_eq!(at(100, 100).left(seconds(10)), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let second = Duration::from_secs(1);
        assert_eq!(at(0, 0).left(second), None);
        let mut from_a_pipe = at(25, 25);
        from_a_pipe.position.total = None;
        assert_eq!(from_a_pipe.left(second), None);
        // A file that grew.
        assert_eq!(at(101, 101).left(second), None);
    }

    #[test]
    fn times_have_about_three_digits() {
        let told =
            [0.0123, 0.9996, 12.34, 99.96, 5940.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(told, ["12 ms", "1.0 s", "12.3 s", "2 min", "1.6 h"]);
    }
}
