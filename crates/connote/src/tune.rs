//! Measures this machine and model, so that the choice starts from facts.

use std::time::{Duration, Instant};

use crate::embedder::Embedder;
use crate::error::{Error, ErrorKind};
use crate::schedule::{Priority, Schedule};
use crate::tuning::{CostModel, Parallelism, Shape, Work, cache, calibrate, candidates};

/// The share of the time that goes to single passes, which the cost model is made of; the rest goes to whole calls, for
/// people to see.
const PASSES: f64 = 0.5;

/// Works whose calls are timed: texts, and tokens of each.
const WORKS: [(usize, usize); 6] = [(1, 16), (1, 256), (8, 16), (8, 64), (32, 16), (32, 64)];

/// More time than anyone has, which clocks can still hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What [`Embedder::tune`] measured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tuned {
    /// Each kind of work in each shape there was time for.
    pub calls: Vec<TunedCall>,
    /// Whether the cost model could be kept, for later runs of this model on this machine.
    pub saved: bool,
}

/// Calls of one kind of work in one shape.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TunedCall {
    /// Texts of the call.
    pub texts: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Workers and threads.
    pub shape: Shape,
    /// Seconds that the fastest such call took.
    pub seconds: f64,
    /// The shape of the fewest CPUs that is within 5% of this work's fastest.
    pub knee: bool,
}

impl Embedder {
    /// Measures this model on this machine for at most `time`: single passes, of which it makes the cost model that it goes
    /// by from now on and keeps in the user's cache folder for later runs; and whole calls, to show where more CPUs stop
    /// helping. `progress` hears the share that
    /// is done, 0 to 1. Nothing else should run meanwhile.
    ///
    /// # Errors
    /// If the network panics on ordinary tokens.
    pub fn tune(&self, time: Duration, progress: &mut dyn FnMut(f64)) -> Result<Tuned, Error> {
        let (begin, time) = (Instant::now(), time.min(LONGEST));
        let engine = &self.engine;
        let (encoder, cpus) = (engine.encoder(), engine.cpus);
        let cost = calibrate(encoder, engine.readout, cpus, time.mul_f64(PASSES), &mut |share| {
            progress(share * PASSES)
        });
        engine.chooser.set_cost(cost.clone());
        let calls = self.time_calls(&cost, begin + time, progress);
        progress(1.0);
        Ok(Tuned { calls: calls?, saved: cache::store(self.cache.as_deref(), &self.tuning_key, &cost) })
    }

    fn time_calls(
        &self,
        cost: &CostModel,
        end: Instant,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<TunedCall>, Error> {
        let longest = self.model().max_tokens();
        let mut calls: Vec<TunedCall> = Vec::new();
        for (texts, tokens) in WORKS {
            let most = self.pool.most_threads_a_worker();
            let fits = |shape: &Shape| shape.workers <= texts && shape.threads <= most;
            for shape in shapes(self.engine.cpus).into_iter().filter(fits) {
                let tokens = tokens.min(longest);
                calls.push(TunedCall { texts, tokens, shape, seconds: f64::INFINITY, knee: false });
            }
        }
        let (begin, all) = (Instant::now(), calls.len());
        // Rounds, so that what disturbs the machine for a while does not hit one shape alone.
        'rounds: for round in 0.. {
            for (at, call) in calls.iter_mut().enumerate() {
                let now = Instant::now();
                // None is begun that would not end in time, by what it took before or else by prediction.
                let expected = if call.seconds.is_finite() {
                    call.seconds
                } else {
                    let work =
                        Work::of(&vec![call.tokens; call.texts]).within(self.engine.chooser.most_tokens());
                    cost.seconds(&work, call.shape)
                };
                if now + Duration::from_secs_f64(expected) > end {
                    break 'rounds;
                }
                let work = (round * all + at) as u32;
                call.seconds = call.seconds.min(self.time_call(call, work)?);
                let span = end.saturating_duration_since(begin).as_secs_f64().max(1e-3);
                progress(PASSES + (1.0 - PASSES) * (begin.elapsed().as_secs_f64() / span).min(1.0));
            }
        }
        calls.retain(|call| call.seconds.is_finite());
        mark_knees(&mut calls);
        Ok(calls)
    }

    fn time_call(&self, call: &TunedCall, seed: u32) -> Result<f64, Error> {
        let words = self.engine.encoder().vocabulary() as u32;
        // No two alike, or they would be computed once.
        let text = |text: u32| {
            (0..call.tokens as u32).map(move |at| (seed * 7919 + text * 131 + at * 17 + 5) % words)
        };
        let sequences = (0..call.texts as u32).map(|at| text(at).collect()).collect();
        let schedule = Schedule {
            priority: Some(Priority::Interactive),
            shape: Some(call.shape),
            ..Schedule::default()
        };
        let begin = Instant::now();
        let answers = self.compute(sequences, &schedule);
        let seconds = begin.elapsed().as_secs_f64();
        match answers.into_iter().find_map(Result::err) {
            None => Ok(seconds),
            Some(failure) => {
                Err(Error::new(ErrorKind::Internal, format!("a pass of the network failed: {failure:?}")))
            }
        }
    }
}

/// Shapes to time: those that use all CPUs, each number of workers alone, and each number of threads alone.
fn shapes(cpus: usize) -> Vec<Shape> {
    let all = candidates(cpus, Parallelism::Auto).into_iter();
    let full =
        |shape: &Shape| shape.workers == 1 || shape.threads == 1 || cpus / shape.workers == shape.threads;
    all.filter(full).collect()
}

/// Marks, for each work, the shape of the fewest CPUs that is within 5% of its fastest.
fn mark_knees(calls: &mut [TunedCall]) {
    let work = |call: &TunedCall| (call.texts, call.tokens);
    for at in 0..calls.len() {
        let same = || calls.iter().filter(|call| work(call) == work(&calls[at]));
        let best = same().map(|call| call.seconds).fold(f64::INFINITY, f64::min);
        let near = same().filter(|call| call.seconds <= best * 1.05);
        let knee = near.min_by_key(|call| (call.shape.cpus(), call.shape.workers)).map(|call| call.shape);
        calls[at].knee = knee == Some(calls[at].shape);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::tiny;

    #[test]
    fn knees_are_the_fewest_cpus_near_the_best() {
        let call = |texts, shape: (usize, usize), seconds| TunedCall {
            texts,
            tokens: 9,
            shape: Shape::new(shape.0, shape.1),
            seconds,
            knee: false,
        };
        let mut calls = [
            call(1, (1, 1), 1.04),
            call(1, (1, 2), 1.0),
            call(8, (1, 1), 2.0),
            call(8, (2, 1), 1.0),
            call(8, (1, 2), 1.01),
            call(8, (4, 1), 0.99),
        ];
        mark_knees(&mut calls);
        assert_eq!(calls.map(|call| call.knee), [true, false, false, false, true, false]);
    }

    #[test]
    fn what_is_tuned_is_kept_and_found_by_the_next_to_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || {
            let model = crate::Model::from_bytes(tiny::bert(1)).expect("a model");
            Embedder::builder().threads(2).cache_dir(folder.path()).load(model).expect("it loads")
        };
        let embedder = open();
        assert!(!embedder.engine.chooser.cost().is_measured());
        let mut heard = Vec::new();
        let tuned = embedder
            .tune(Duration::from_millis(300), &mut |share| heard.push(share))
            .expect("it is measured");
        assert!(tuned.saved && heard.is_sorted() && heard.last() == Some(&1.0), "{heard:?}");
        assert!(tuned.calls.iter().all(|call| call.seconds > 0.0 && call.shape.workers <= call.texts));
        let works: std::collections::BTreeSet<_> =
            tuned.calls.iter().map(|call| (call.texts, call.tokens)).collect();
        for work in works {
            let knees = tuned.calls.iter().filter(|call| (call.texts, call.tokens) == work && call.knee);
            assert_eq!(knees.count(), 1, "{work:?}");
        }
        assert!(embedder.engine.chooser.cost().is_measured());
        assert!(open().engine.chooser.cost().is_measured(), "kept");
    }

    #[test]
    fn the_cost_model_measures_when_it_is_asked_for_and_not_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |policy| {
            let model = crate::Model::from_bytes(tiny::bert(1)).expect("a model");
            let builder = Embedder::builder().threads(2).cache_dir(folder.path());
            builder.tuning(crate::Tuning::new().policy(policy)).load(model).expect("it loads")
        };
        let measured = |embedder: Embedder| embedder.engine.chooser.cost().is_measured();
        assert!(!measured(open(crate::Policy::Adaptive)), "opening does not measure");
        assert!(measured(open(crate::Policy::CostModel)));
        assert!(measured(open(crate::Policy::Adaptive)), "what was kept is there for all");
    }
}
