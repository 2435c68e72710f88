//! `connote bench priority`: how long a short query waits while a bulk job runs, and what the queries cost the job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use connote::{Embedder, Priority, Request};
use serde::Serialize;

use super::args::PriorityArgs;
use super::progress::Steps;
use super::statistics::{Median, Percentiles, median};
use super::subject::{Subject, token_lengths};
use super::texts::{self, Texts};
use crate::failure::{Failure, Outcome};

/// Tokens of a text of the bulk job, and of a query.
const BULK_TOKENS: usize = 24;
const QUERY_TOKENS: usize = 8;
/// Queries that no two measurements share, so that none is answered from another's.
const QUERIES: usize = 4096;
const TEXTS: usize = 10_000;
const QUICK_TEXTS: usize = 300;
const INTERVAL: Duration = Duration::from_secs(1);
const QUICK_INTERVAL: Duration = Duration::from_millis(40);
/// How often whoever waits for the next query looks whether the job has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What `connote bench priority` found; its document with `--json`, beside the setting.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) bulk: Bulk,
    /// Tokens of a query.
    pub(crate) query_tokens: usize,
    /// Milliseconds between the starts of two queries.
    pub(crate) interval_ms: f64,
    /// Milliseconds that a query takes while nothing else runs.
    pub(crate) idle_ms: Percentiles,
    /// Milliseconds that a query takes while the bulk job runs; `None` where the job ended before the first.
    pub(crate) busy_ms: Option<Percentiles>,
    /// What a query may wait for at worst: idle p99 and two layers of bulk work.
    pub(crate) idle_p99_and_two_layers_ms: f64,
    /// Every query: seconds since the first of its kind, and its milliseconds.
    pub(crate) idle: Vec<(f64, f64)>,
    /// As `idle`, beside the bulk job; seconds since the job began.
    pub(crate) busy: Vec<(f64, f64)>,
}

/// The bulk job.
#[derive(Debug, Serialize)]
pub(crate) struct Bulk {
    pub(crate) texts: usize,
    /// In all, special tokens included.
    pub(crate) tokens: usize,
    pub(crate) micro_batches: usize,
    /// Milliseconds that a layer of one of its micro-batches takes, if each thread has one of its own.
    pub(crate) layer_ms: f64,
    /// Median over the rounds, alone and beside the queries.
    pub(crate) texts_a_second_alone: f64,
    pub(crate) texts_a_second_with_queries: f64,
    /// Throughput that the queries cost it, in percent, round by round.
    pub(crate) loss_percent: Median,
}

/// A run of the job, and the queries beside it.
struct Beside {
    seconds: f64,
    /// Start since the job's, and duration, in seconds.
    queries: Vec<(f64, f64)>,
}

pub(crate) fn run(args: &PriorityArgs) -> Result<Outcome, Failure> {
    let mut subject = Subject::open(&args.pool, args.tuning.tuning())?;
    // A round is a long job: one, unless more are asked for.
    subject.rounds = args.pool.rounds.map_or(1, |rounds| rounds.get());
    let model = subject.embedder.model();
    let count = args.texts.map_or(subject.unless_quick(TEXTS, QUICK_TEXTS), |texts| texts.get());
    let interval = args.interval_ms.map_or(subject.unless_quick(INTERVAL, QUICK_INTERVAL), |milliseconds| {
        Duration::from_millis(milliseconds.get())
    });
    let bulk = texts::of_length(model, count, BULK_TOKENS.min(model.max_tokens()))?;
    let queries = texts::of_length(model, QUERIES, QUERY_TOKENS.min(model.max_tokens()))?;
    let mut asked = queries.texts.iter().cycle();
    let mut query = || asked.next().cloned().unwrap_or_default();
    let embedder = &subject.embedder;

    let steps = Steps::new(2 * subject.rounds + 2);
    steps.next("warming up".to_owned());
    for _ in 0..3 {
        embedder.embed(Request::new([query()]).priority(Priority::Interactive))?;
    }
    embedder.embed(Request::new(bulk.texts.iter().take(64)).priority(Priority::Batch))?;

    let (mut alone, mut with, mut busy, mut losses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut idle = Vec::new();
    for round in 0..subject.rounds {
        steps.next(format!("{count} texts alone"));
        let begin = Instant::now();
        embedder.embed(Request::new(&bulk.texts).priority(Priority::Batch))?;
        let seconds = begin.elapsed().as_secs_f64();
        if round == 0 {
            // As many queries as the job will have beside it, at the same interval.
            let fitting = (seconds * subject.rounds as f64 / interval.as_secs_f64()).ceil().max(3.0) as usize;
            steps.next(format!("{fitting} queries alone"));
            idle = alone_queries(embedder, fitting, interval, &mut query)?;
        }
        steps.next(format!("{count} texts, and queries beside them"));
        let beside = beside(embedder, &bulk, interval, &mut query)?;
        losses.push((1.0 - seconds / beside.seconds) * 100.0);
        alone.push(count as f64 / seconds);
        with.push(count as f64 / beside.seconds);
        busy.extend(beside.queries);
    }
    drop(steps);

    let lengths = token_lengths(embedder, &bulk.texts)?;
    let micro_batches = embedder.micro_batches(&lengths).len();
    let layers = model.config().layers.len();
    let texts_a_second_alone = median(alone);
    let thread_seconds = count as f64 / texts_a_second_alone * subject.threads() as f64;
    let layer_ms = thread_seconds * 1e3 / (micro_batches * layers).max(1) as f64;
    let percentiles =
        |queries: &[(f64, f64)]| Percentiles::of(queries.iter().map(|(_, seconds)| seconds * 1e3).collect());
    let none = || Failure::nothing("no query was measured; please report it");
    let idle_ms = percentiles(&idle).ok_or_else(none)?;
    let busy_ms = percentiles(&busy);
    let bulk = Bulk {
        texts: count,
        tokens: bulk.tokens,
        micro_batches,
        layer_ms,
        texts_a_second_alone,
        texts_a_second_with_queries: median(with),
        loss_percent: Median::of(losses).ok_or_else(none)?,
    };
    let query_tokens = queries.tokens / QUERIES;
    let milliseconds = |queries: Vec<(f64, f64)>| {
        queries.into_iter().map(|(begin, seconds)| (begin, seconds * 1e3)).collect()
    };
    subject.hand_over(
        "priority",
        Report {
            bulk,
            query_tokens,
            interval_ms: interval.as_secs_f64() * 1e3,
            idle_ms,
            busy_ms,
            idle_p99_and_two_layers_ms: idle_ms.p99 + 2.0 * layer_ms,
            idle: milliseconds(idle),
            busy: milliseconds(busy),
        },
    )
}

/// Queries while nothing else runs.
fn alone_queries(
    embedder: &Embedder,
    count: usize,
    interval: Duration,
    query: &mut impl FnMut() -> String,
) -> Result<Vec<(f64, f64)>, Failure> {
    let begin = Instant::now();
    let mut queries = Vec::with_capacity(count);
    for index in 0..count {
        let due = interval.saturating_mul(u32::try_from(index + 1).unwrap_or(u32::MAX));
        thread::sleep(due.saturating_sub(begin.elapsed()));
        queries.push(ask(embedder, begin, query())?);
    }
    Ok(queries)
}

/// One query: its start since `begin`, and how long it took, in seconds.
fn ask(embedder: &Embedder, begin: Instant, query: String) -> Result<(f64, f64), Failure> {
    let start = Instant::now();
    embedder.embed(Request::new([query]).priority(Priority::Interactive))?;
    Ok(((start - begin).as_secs_f64(), start.elapsed().as_secs_f64()))
}

/// The job in a thread of its own, and a query an interval beside it until it ends.
fn beside(
    embedder: &Embedder,
    bulk: &Texts,
    interval: Duration,
    query: &mut impl FnMut() -> String,
) -> Result<Beside, Failure> {
    let ended = AtomicBool::new(false);
    let begin = Instant::now();
    thread::scope(|scope| {
        let job = scope.spawn(|| {
            let result = embedder.embed(Request::new(&bulk.texts).priority(Priority::Batch));
            let seconds = begin.elapsed().as_secs_f64();
            ended.store(true, Ordering::Release);
            result.map(|_| seconds)
        });
        let mut queries = Vec::new();
        // The middle of an interval: the job has begun, and a short one still meets a query.
        let mut due = interval / 2;
        while !ended.load(Ordering::Acquire) && !job.is_finished() {
            let wait = due.saturating_sub(begin.elapsed());
            if wait > Duration::ZERO {
                thread::sleep(wait.min(LOOK));
                continue;
            }
            queries.push(ask(embedder, begin, query())?);
            due += interval;
        }
        let seconds = job.join().map_err(|_| Failure::nothing("the bulk job failed; please report it"))??;
        // What was asked as it ended was answered by an idle machine.
        queries.retain(|(start, _)| *start < seconds);
        Ok(Beside { seconds, queries })
    })
}
