//! `connote bench cancellation`: what carrying a token costs, how soon a cancelled call returns, and how soon its work
//! has stopped.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use connote::{CancellationToken, Embedder, ErrorKind, Request};
use serde::Serialize;

use super::args::CancellationArgs;
use super::cpu_time::OtherThreads;
use super::progress::Steps;
use super::race::{Race, calls_a_turn};
use super::statistics::{Median, Percentiles, median};
use super::subject::Subject;
use super::texts;
use crate::failure::{Failure, Outcome};

/// The long texts of the shared benchmark client: 54 tokens, 96 of them.
const TOKENS: usize = 54;
const TEXTS: usize = 96;
const QUICK_TEXTS: usize = 24;
/// Pairs a round: a cost of under 1% needs many.
const PAIRS: usize = 4;
/// Cancelled calls a round.
const CANCELLED: usize = 5;
/// CPU time is looked at this often while work stops ...
const LOOK: Duration = Duration::from_millis(1);
/// ... until nothing happened for so long.
const QUIET: Duration = Duration::from_millis(60);
/// Longer than any call: then something else runs in this process.
const PATIENCE: Duration = Duration::from_secs(60);
/// CPU time that threads which wake and look for work take: not worth calling work.
const NEXT_TO_NOTHING: Duration = Duration::from_micros(300);

/// What `connote bench cancellation` found; its document with `--json`, beside the setting.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What carrying a token that nobody cancels costs.
    pub(crate) costs: Vec<Cost>,
    pub(crate) cancelled: Cancelled,
}

/// Calls with a token beside calls without.
#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) texts: usize,
    /// In all, special tokens included.
    pub(crate) tokens: usize,
    pub(crate) seconds_without: f64,
    /// Time with a token over time without, less 1, in percent, pair by pair.
    pub(crate) percent: Median,
}

/// Calls that were cancelled at moments spread over the time they would have taken.
#[derive(Debug, Serialize)]
pub(crate) struct Cancelled {
    pub(crate) texts: usize,
    pub(crate) tokens: usize,
    /// Milliseconds that such a call takes if nobody cancels it.
    pub(crate) whole_call_ms: f64,
    /// Calls that ended with the error `cancelled`.
    pub(crate) ended_cancelled: usize,
    /// Calls that had their answer first.
    pub(crate) ended_complete: usize,
    /// Milliseconds from cancelling to the call's return; `None` where every call had returned before.
    pub(crate) return_ms: Option<Percentiles>,
    /// Milliseconds from cancelling until CPU time no longer rises; `None` where the system does not tell.
    pub(crate) stop_ms: Option<Percentiles>,
    /// CPU milliseconds taken after cancelling.
    pub(crate) cpu_after_ms: Option<Percentiles>,
    /// Every call, in the order of cancelling.
    pub(crate) calls: Vec<Call>,
}

/// One cancelled call.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Call {
    /// Milliseconds from the call's start to cancelling.
    pub(crate) cancelled_after_ms: f64,
    /// Milliseconds from cancelling to its return; `None` where it had returned before.
    pub(crate) return_ms: Option<f64>,
    /// Milliseconds from cancelling until CPU time no longer rises.
    pub(crate) stop_ms: Option<f64>,
    /// CPU milliseconds taken after cancelling.
    pub(crate) cpu_after_ms: Option<f64>,
    /// Whether it ended with the error `cancelled`.
    pub(crate) cancelled: bool,
}

pub(crate) fn run(args: &CancellationArgs) -> Result<Outcome, Failure> {
    let subject = Subject::open(&args.pool, args.tuning.tuning())?;
    let model = subject.embedder.model();
    let length = TOKENS.min(model.max_tokens());
    let texts = subject.unless_quick(TEXTS, QUICK_TEXTS);
    let many = texts::of_length(model, texts, length)?;
    let one = texts::of_length(model, 1, length)?;
    let (single_pairs, batch_pairs) = (subject.rounds * PAIRS, subject.rounds);
    let cancelled = subject.rounds * subject.unless_quick(CANCELLED, 2);
    let steps = Steps::new(2 * (single_pairs + batch_pairs) + cancelled);
    let mut costs = Vec::new();
    for (texts, pairs) in [(&one, single_pairs), (&many, batch_pairs)] {
        let request = || Request::new(&texts.texts);
        // Twice: the first call packs what later ones share.
        subject.time_of(1, request)?;
        let calls = calls_a_turn(subject.time_of(1, request)?, subject.turn());
        let token = CancellationToken::new();
        let race = Race::of_all(2, pairs, |contender| {
            let with = contender == 1;
            let count = texts.texts.len();
            steps.next(format!("{count} texts, {} a token", if with { "with" } else { "without" }));
            subject.time_of(calls, || if with { request().cancellation(&token) } else { request() })
        })?;
        let Some(ratio) = race.speed_over(0, 1) else { continue };
        costs.push(Cost {
            texts: texts.texts.len(),
            tokens: texts.tokens,
            seconds_without: race.figure(0).median,
            percent: ratio.map(|ratio| (ratio - 1.0) * 100.0),
        });
    }
    let request = || Request::new(&many.texts);
    let whole =
        median([subject.time_of(1, request)?, subject.time_of(1, request)?, subject.time_of(1, request)?]);
    let mut calls = Vec::with_capacity(cancelled);
    for index in 0..cancelled {
        steps.next(format!("{texts} texts, cancelled: {index}"));
        // The golden ratio spreads any number of moments evenly, in an order that is none.
        let moment = 0.02 + 0.9 * (index as f64 * 0.618_034).fract();
        calls.push(cancel(&subject.embedder, request(), Duration::from_secs_f64(whole * moment))?);
    }
    drop(steps);
    let of = |value: &dyn Fn(&Call) -> Option<f64>| Percentiles::of(calls.iter().filter_map(value).collect());
    let ended_cancelled = calls.iter().filter(|call| call.cancelled).count();
    let cancelled = Cancelled {
        texts,
        tokens: many.tokens,
        whole_call_ms: whole * 1e3,
        ended_cancelled,
        ended_complete: calls.len() - ended_cancelled,
        return_ms: of(&|call| call.return_ms),
        stop_ms: of(&|call| call.stop_ms),
        cpu_after_ms: of(&|call| call.cpu_after_ms),
        calls,
    };
    subject.hand_over("cancellation", Report { costs, cancelled })
}

/// Cancels a call `after` this long, and watches it end.
fn cancel(embedder: &Embedder, request: Request, after: Duration) -> Result<Call, Failure> {
    let token = CancellationToken::new();
    let request = request.cancellation(&token);
    let others = OtherThreads::than_this();
    let taken = || others.as_ref().and_then(OtherThreads::taken);
    thread::scope(|scope| {
        let (began, beginning) = mpsc::channel();
        let (ended, ending) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        scope.spawn(move || {
            let _ = began.send(Instant::now());
            let result = embedder.embed(request).map(drop);
            let _ = ended.send((Instant::now(), result));
            // The account of a thread that ended is closed: it stays until nobody reads it any more.
            let _ = may_leave.recv();
        });
        let gone = |_| Failure::nothing("the call that was to be cancelled failed; please report it");
        let begin = beginning.recv().map_err(gone)?;
        thread::sleep(after.saturating_sub(begin.elapsed()));
        let before = taken();
        let cancelled = Instant::now();
        token.cancel();
        let mut looks = Vec::new();
        let mut end = None;
        let mut busy = cancelled;
        while cancelled.elapsed() < PATIENCE && (end.is_none() || busy.elapsed() < QUIET) {
            match ending.recv_timeout(LOOK) {
                Ok(ended) => end = Some(ended),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                // It has said all it had to say.
                Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
            }
            let Some(taken) = taken() else {
                if end.is_some() {
                    break;
                }
                continue;
            };
            let now = Instant::now();
            if looks.last().is_none_or(|&(_, last)| taken > last + NEXT_TO_NOTHING / 10) {
                busy = now;
            }
            looks.push((now, taken));
        }
        drop(leave);
        let Some((end, result)) = end else {
            return Err(Failure::nothing(
                "a cancelled call did not return within a minute; please report it",
            ));
        };
        let cancelled_error = match result {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::Cancelled => true,
            Err(error) => return Err(error.into()),
        };
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let last = looks.last().map(|&(_, taken)| taken);
        let stop = last.and_then(|last| stopped(&looks, last));
        // Where the answer came first there was nothing to cancel.
        let in_time = end >= cancelled;
        let stop = stop.filter(|_| in_time);
        Ok(Call {
            cancelled_after_ms: milliseconds(cancelled - begin),
            return_ms: in_time.then(|| milliseconds(end - cancelled)),
            stop_ms: stop.map(|stop| milliseconds(stop - cancelled)),
            cpu_after_ms: last.zip(before).map(|(last, before)| milliseconds(last.saturating_sub(before))),
            cancelled: cancelled_error,
        })
    })
}

/// The first look at which all work but next to nothing was done.
fn stopped(looks: &[(Instant, Duration)], last: Duration) -> Option<Instant> {
    looks.iter().find(|&&(_, taken)| taken + NEXT_TO_NOTHING >= last).map(|&(when, _)| when)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_stopped_when_cpu_time_rises_no_more() {
        let begin = Instant::now();
        let look = |at: u64, taken: u64| (begin + Duration::from_millis(at), Duration::from_millis(taken));
        let looks = [look(1, 10), look(2, 12), look(3, 14), look(4, 14), look(5, 14)];
        assert_eq!(stopped(&looks, Duration::from_millis(14)), Some(looks[2].0));
        assert_eq!(stopped(&looks[3..], Duration::from_millis(14)), Some(looks[3].0));
        assert_eq!(stopped(&[], Duration::ZERO), None);
    }
}
