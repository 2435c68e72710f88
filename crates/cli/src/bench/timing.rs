//! Measuring time: warmed up, repeated for a bounded time, best and median.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Rounds shorter than this have several calls: the clock takes some 30 ns itself.
const SHORTEST: Duration = Duration::from_micros(20);

/// How long a measurement may go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// No round begins after this time ...
    pub(crate) time: Duration,
    /// ... unless there are fewer rounds than this.
    pub(crate) least: usize,
}

impl Bounds {
    pub(crate) const fn new(milliseconds: u64, least: usize) -> Self {
        Self { time: Duration::from_millis(milliseconds), least }
    }
}

/// A figure as the best round gives it, and as the median round does.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figure {
    pub(crate) best: f64,
    pub(crate) median: f64,
}

impl Figure {
    /// Of seconds, one value a round.
    pub(crate) fn of_seconds(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        // There always was a round.
        let at = |index: usize| rounds.get(index).copied().unwrap_or(f64::NAN);
        Self { best: at(0), median: at(rounds.len() / 2) }
    }

    /// What else a time stands for: nanoseconds a value, multiply-adds a second.
    pub(crate) fn map(self, of: impl Fn(f64) -> f64) -> Self {
        Self { best: of(self.best), median: of(self.median) }
    }

    /// Billions a second of something that there are `count` of.
    pub(crate) fn giga_per_second(self, count: u64) -> Self {
        self.map(|seconds| count as f64 / seconds / 1e9)
    }
}

/// Seconds that a call takes.
pub(crate) fn seconds(bounds: Bounds, mut call: impl FnMut()) -> Figure {
    let always = || -> Result<(), Infallible> {
        call();
        Ok(())
    };
    match try_seconds(bounds, always) {
        Ok(figure) => figure,
    }
}

/// As [`seconds`], of a call that can fail: its first error ends the measurement.
pub(crate) fn try_seconds<E>(bounds: Bounds, mut call: impl FnMut() -> Result<(), E>) -> Result<Figure, E> {
    let mut round = |calls: u32| {
        let begin = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        Ok(begin.elapsed())
    };
    let mut rounds = Vec::new();
    let begin = Instant::now();
    let first = round(1)?;
    if first > bounds.time {
        // Long enough to have warmed up while it ran.
        rounds.push(first.as_secs_f64());
    }
    let mut calls = 1;
    while rounds.is_empty() && round(calls)? < SHORTEST {
        calls *= 2;
    }
    while rounds.len() < bounds.least || begin.elapsed() < bounds.time {
        rounds.push(round(calls)?.as_secs_f64() / f64::from(calls));
    }
    Ok(Figure::of_seconds(rounds))
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Figure, try_seconds};

    #[test]
    fn best_and_median_of_rounds() {
        let figure = Figure::of_seconds(vec![4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!((figure.best, figure.median), (1.0, 3.0));
        let rate = figure.giga_per_second(6_000_000_000);
        assert_eq!((rate.best, rate.median), (6.0, 2.0));
    }

    #[test]
    fn the_rounds_asked_for_are_run_and_an_error_ends_them() {
        let mut calls = 0;
        let figure = try_seconds(Bounds::new(0, 5), || -> Result<(), ()> {
            calls += 1;
            Ok(())
        });
        assert!(calls >= 5 && figure.is_ok_and(|figure| figure.best <= figure.median));
        let mut calls = 0;
        let failed = try_seconds(Bounds::new(0, 5), || {
            calls += 1;
            if calls == 3 { Err("third") } else { Ok(()) }
        });
        assert_eq!((failed.err(), calls), (Some("third"), 3));
    }
}
