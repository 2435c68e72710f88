//! The choice itself: tuning, cost model and what was observed, behind one lock that is held briefly.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::adaptive::Learned;
use super::candidates::candidates;
use super::cell::Why;
use super::{CostModel, Parallelism, Policy, Preset, Shape, Tuning, Work, table};
use crate::plan::MOST_TOKENS;
use crate::schedule::Priority;

/// Tokens of a micro-batch under [`Preset::Latency`]: enough to hide the fetching of weights behind computing, and a
/// quarter of the wait until it ends.
const LATENCY_TOKENS: usize = 128;

/// Tokens of a query, as calls that meet mostly are.
const QUERY: usize = 16;

/// How many times as long as at best a token of calls that meet may take, so that none of them waits for more others than that.
const JOINED: f64 = 1.15;

/// What was chosen for a call, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Workers and threads.
    pub shape: Shape,
    /// One line for people.
    pub reason: String,
}

/// Chooses shapes, one an embedder.
#[derive(Debug)]
pub(crate) struct Chooser {
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    cpus: usize,
    /// Threads that a worker has at most: those of a node, where there are several.
    most_threads: usize,
    tuning: Tuning,
    cost: CostModel,
    shapes: Vec<Shape>,
    learned: Learned,
    /// See [`Chooser::most_joined`].
    joined: usize,
}

impl Chooser {
    pub(crate) fn new(cpus: usize, tuning: Tuning, cost: CostModel) -> Self {
        let mut state = State {
            cpus: cpus.max(1),
            most_threads: usize::MAX,
            tuning,
            cost,
            shapes: Vec::new(),
            learned: Learned::default(),
            joined: MOST_TOKENS,
        };
        state.begin();
        Self { state: Mutex::new(state) }
    }

    /// With at most so many threads for each worker, as on a machine whose workers stay on their node.
    pub(crate) fn most_threads(self, most: usize) -> Self {
        let mut state = self.state();
        state.most_threads = most.max(1);
        state.begin();
        drop(state);
        self
    }

    /// The shape for a call of this work.
    pub(crate) fn choose(&self, work: &Work) -> Choice {
        let mut state = self.state();
        match state.tuning.policy {
            Policy::Fixed(shape) => fixed(shape, state.most_threads, work),
            Policy::Table => state.by_table(work),
            Policy::CostModel => state.by_cost(work),
            Policy::Adaptive => state.by_observation(work),
        }
    }

    /// What [`choose`](Self::choose) would say now, without counting it as a call.
    pub(crate) fn peek(&self, work: &Work) -> Choice {
        let state = self.state().clone();
        Self { state: Mutex::new(state) }.choose(work)
    }

    /// What a call of this work took in this shape, alone on the machine.
    pub(crate) fn observe(&self, work: &Work, shape: Shape, seconds: f64) {
        let state = &mut *self.state();
        // Fixed shapes may be anything.
        if state.shapes.contains(&shape) {
            state.learned.observe(work, shape, seconds, &state.cost);
        }
    }

    pub(crate) fn tuning(&self) -> Tuning {
        self.state().tuning
    }

    /// What was observed stays, if it means the same under both.
    pub(crate) fn set_tuning(&self, tuning: Tuning) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.tuning, tuning);
        if (before.parallelism, before.preset) != (tuning.parallelism, tuning.preset) {
            state.begin();
        }
    }

    #[cfg(test)]
    pub(crate) fn cost(&self) -> CostModel {
        self.state().cost.clone()
    }

    pub(crate) fn set_cost(&self, cost: CostModel) {
        let mut state = self.state();
        state.cost = cost;
        state.begin();
    }

    /// Tokens that a micro-batch has at most. A longer text is one by itself.
    pub(crate) fn most_tokens(&self) -> usize {
        match self.state().tuning.preset {
            Preset::Latency => LATENCY_TOKENS,
            Preset::Balanced | Preset::Throughput => MOST_TOKENS,
        }
    }

    /// Tokens of small calls that are computed together because they meet, of `waiting` in all: if interactive as many as hide the
    /// fetching of weights and the waiting of threads for each other. More of them would be done hardly sooner together than one
    /// after the other, and the first of them later. Where more waits than a micro-batch holds, only how much is done counts; where a
    /// policy does not predict (the table, a fixed shape), a micro-batch is filled, too.
    pub(crate) fn most_joined(&self, priority: Priority, waiting: usize) -> usize {
        let most = self.most_tokens();
        let state = self.state();
        let predicted = matches!(state.tuning.policy, Policy::CostModel | Policy::Adaptive);
        match priority {
            Priority::Interactive if predicted && waiting <= most => state.joined.min(most),
            _ => most,
        }
    }

    /// No change under the lock can be left half-made by a panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Starts anew, with nothing observed.
    fn begin(&mut self) {
        self.shapes = candidates(self.cpus, self.ways());
        self.shapes.retain(|shape| shape.threads <= self.most_threads);
        self.learned = Learned::default();
        self.joined = self.most_joined();
    }

    /// The fewest tokens of queries at which a token takes hardly longer than among many.
    fn most_joined(&self) -> usize {
        let most = if self.tuning.preset == Preset::Latency { LATENCY_TOKENS } else { MOST_TOKENS };
        let texts = std::iter::successors(Some(1), |texts| Some(2 * texts));
        let works = texts.map(|texts| Work::of(&vec![QUERY; texts])).take_while(|work| work.tokens <= most);
        let each = works.map(|work| {
            let seconds = self.cost.seconds_of_each(&work, &self.usable(&work));
            (work.tokens, seconds.into_iter().fold(f64::INFINITY, f64::min) / work.tokens as f64)
        });
        let each: Vec<(usize, f64)> = each.filter(|one| one.1.is_finite()).collect();
        let best = each.iter().map(|one| one.1).fold(f64::INFINITY, f64::min);
        each.iter().find(|one| one.1 <= best * JOINED).map_or(most, |one| one.0)
    }

    /// The ways to choose among. For throughput calls run side by side, and a thread inside a product would be missing
    /// elsewhere.
    fn ways(&self) -> Parallelism {
        match (self.tuning.parallelism, self.tuning.preset) {
            (Parallelism::Auto, Preset::Throughput) => Parallelism::Texts,
            (parallelism, _) => parallelism,
        }
    }

    fn by_table(&self, work: &Work) -> Choice {
        let Work { texts, .. } = *work;
        let (workers, threads) = match self.ways() {
            Parallelism::Auto => {
                let workers = table::workers(texts, self.cpus);
                (workers, self.cpus / workers)
            }
            Parallelism::Texts => (table::workers(texts, self.cpus), 1),
            Parallelism::Matmul => (1, self.cpus),
        };
        let shape = Shape::new(workers, threads.min(self.most_threads));
        Choice {
            shape,
            reason: format!("{shape} by the table, for {} on {} CPUs", count(texts, "text"), self.cpus),
        }
    }

    fn by_cost(&self, work: &Work) -> Choice {
        let shapes = self.usable(work);
        let seconds = self.cost.seconds_of_each(work, &shapes);
        let best = shapes.iter().zip(seconds).min_by(|a, b| a.1.total_cmp(&b.1));
        let (shape, seconds) = best.map_or((Shape::new(1, 1), 0.0), |(&shape, seconds)| (shape, seconds));
        let reason = format!("{shape} for {}: {} {}", describe(work), time(seconds), self.source());
        Choice { shape, reason }
    }

    fn by_observation(&mut self, work: &Work) -> Choice {
        let shapes = self.usable(work);
        if let [shape] = shapes[..] {
            return Choice {
                shape,
                reason: format!("{shape} for {}: nothing to choose among", describe(work)),
            };
        }
        let pick = self.learned.choose(work, &shapes, &self.cost);
        let why = match pick.why {
            Why::Predicted => self.source().to_owned(),
            Why::Tried => "expected; a trial, to learn".to_owned(),
            Why::Best { of, runs } => {
                format!("by {}, the fastest of {}", count(runs, "run"), count(of, "shape"))
            }
        };
        let reason = format!("{} for {}: {} {why}", pick.shape, describe(work), time(pick.seconds));
        Choice { shape: pick.shape, reason }
    }

    /// Shapes whose workers all have something to do: never more workers than texts.
    fn usable(&self, work: &Work) -> Vec<Shape> {
        self.shapes.iter().copied().filter(|shape| shape.workers <= work.texts.max(1)).collect()
    }

    fn source(&self) -> &'static str {
        if self.cost.is_measured() {
            "predicted from what was measured here"
        } else {
            "predicted, nothing measured yet"
        }
    }
}

fn fixed(shape: Shape, most_threads: usize, work: &Work) -> Choice {
    // A shape can be written without `Shape::new`.
    let shape = Shape::new(shape.workers.min(work.texts), shape.threads.min(most_threads));
    Choice { shape, reason: format!("{shape} as set, for {}", count(work.texts, "text")) }
}

fn describe(work: &Work) -> String {
    format!("{} of {}", count(work.texts, "text"), count(work.tokens, "token"))
}

/// `1 text`, `2 texts`, `3 micro-batches`, `4 copies`.
pub(crate) fn count(number: usize, name: &str) -> String {
    match name.strip_suffix('y') {
        _ if number == 1 => format!("{number} {name}"),
        Some(stem) => format!("{number} {stem}ies"),
        None if name.ends_with("ch") => format!("{number} {name}es"),
        None => format!("{number} {name}s"),
    }
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.2} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tuning::cost::{Curve, TOKENS};

    const MINILM: u64 = 10_600_000;

    fn chooser(cpus: usize, tuning: Tuning) -> Chooser {
        Chooser::new(cpus, tuning, CostModel::unmeasured(cpus, MINILM, 6))
    }

    fn shape(cpus: usize, tuning: Tuning, lengths: &[usize]) -> String {
        chooser(cpus, tuning).choose(&Work::of(lengths)).shape.to_string()
    }

    #[test]
    fn explicit_count_overrides_the_choice() {
        for parallelism in [Parallelism::Auto, Parallelism::Texts, Parallelism::Matmul] {
            let tuning = |shape| Tuning::new().policy(Policy::Fixed(shape)).parallelism(parallelism);
            assert_eq!(shape(2, tuning(Shape::new(8, 4)), &[9; 100]), "8x4", "also beyond the CPUs");
            assert_eq!(shape(64, tuning(Shape::new(1, 1)), &[9; 100]), "1x1");
            assert_eq!(shape(64, tuning(Shape::new(8, 2)), &[9; 3]), "3x2", "never more workers than texts");
            assert_eq!(shape(64, tuning(Shape { workers: 0, threads: 0 }), &[9; 3]), "1x1");
        }
    }

    #[test]
    fn the_table_gives_each_worker_its_share_of_the_threads() {
        let table = Tuning::new().policy(Policy::Table);
        for (cpus, texts, expected) in [
            (8, 1, "1x8"),
            (8, 8, "2x4"),
            (8, 20, "4x2"),
            (8, 64, "8x1"),
            (12, 8, "3x4"),
            (192, 33, "33x5"),
            (1, 64, "1x1"),
        ] {
            assert_eq!(shape(cpus, table, &vec![64; texts]), expected, "{texts} texts on {cpus}");
        }
        assert_eq!(shape(8, table.parallelism(Parallelism::Texts), &[64; 8]), "2x1");
        assert_eq!(shape(8, table.parallelism(Parallelism::Matmul), &[64; 64]), "1x8");
    }

    #[test]
    fn few_tokens_want_threads_and_many_want_workers() {
        for policy in [Policy::CostModel, Policy::Adaptive] {
            let tuning = Tuning::new().policy(policy);
            assert_eq!(shape(2, tuning, &[256]), "1x2");
            assert_eq!(shape(2, tuning, &[64; 64]), "2x1");
            assert_eq!(shape(8, tuning, &[256; 128]), "8x1");
            assert_eq!(shape(8, tuning.parallelism(Parallelism::Matmul), &[256; 128]), "1x8");
            assert_eq!(shape(8, tuning.parallelism(Parallelism::Texts), &[256]), "1x1");
            assert_eq!(shape(1, tuning, &[256; 128]), "1x1");
        }
        assert_eq!(shape(8, Tuning::new().preset(Preset::Throughput), &[256]), "1x1");
    }

    #[test]
    fn reasons_are_for_people() {
        let reason = |policy| chooser(2, Tuning::new().policy(policy)).choose(&Work::of(&[7])).reason;
        assert_eq!(reason(Policy::Table), "1x2 by the table, for 1 text on 2 CPUs");
        assert_eq!(reason(Policy::Fixed(Shape::new(1, 2))), "1x2 as set, for 1 text");
        let cost = reason(Policy::CostModel);
        assert!(
            cost.contains("for 1 text of 7 tokens: ") && cost.ends_with("predicted, nothing measured yet"),
            "{cost}"
        );
        let chooser = chooser(2, Tuning::new());
        let work = Work::of(&[64; 64]);
        let mut last = String::new();
        for _ in 0..40 {
            let choice = chooser.choose(&work);
            chooser.observe(&work, choice.shape, if choice.shape.workers == 2 { 0.01 } else { 0.02 });
            last = choice.reason;
        }
        assert!(last.starts_with("2x1 for 64 texts of 4096 tokens: 10.00 ms by "), "{last}");
    }

    #[test]
    fn settings_change_what_comes_next() {
        let chooser = chooser(4, Tuning::new());
        assert_eq!(chooser.most_tokens(), MOST_TOKENS);
        chooser.set_tuning(Tuning::new().preset(Preset::Latency));
        assert_eq!((chooser.most_tokens(), chooser.tuning().preset), (LATENCY_TOKENS, Preset::Latency));
        chooser.set_cost(CostModel::unmeasured(1, 5, 1));
        assert_eq!(chooser.cost(), CostModel::unmeasured(1, 5, 1));
        let node = Chooser::new(8, Tuning::new(), CostModel::unmeasured(8, MINILM, 6)).most_threads(4);
        assert_eq!(node.choose(&Work::of(&[256])).shape, Shape::new(1, 4));
    }

    #[test]
    fn calls_that_meet_join_until_their_tokens_hide_the_weights() {
        // Times of passes on two CPUs, in ms, at the tokens of `TOKENS`; workers side by side do not disturb each other.
        let chooser = |one: Curve| {
            let alone = vec![one.map(|ms| ms / 1e3), one.map(|ms| ms / 2e3)];
            let even = vec![[1.0; TOKENS.len()]; 2];
            let usual = CostModel::unmeasured(2, MINILM, 6);
            let cost = CostModel { counts: vec![1, 2], alone, beside: even.clone(), split: even, ..usual };
            Chooser::new(2, Tuning::new(), cost)
        };
        let joined = |chooser: &Chooser| {
            [Priority::Interactive, Priority::Batch].map(|priority| chooser.most_joined(priority, 100))
        };
        // Weights stream for as long as 16 tokens take, or 128.
        let few = chooser([16.0, 16.0, 16.0, 32.0, 64.0, 128.0, 512.0]);
        assert_eq!(joined(&few), [16, MOST_TOKENS]);
        assert_eq!(few.most_joined(Priority::Interactive, MOST_TOKENS), 16);
        assert_eq!(few.most_joined(Priority::Interactive, MOST_TOKENS + 1), MOST_TOKENS, "too many wait");
        assert_eq!(joined(&chooser([16.0, 16.0, 16.0, 16.0, 16.0, 16.0, 64.0])), [128, MOST_TOKENS]);
        for policy in [Policy::Table, Policy::Fixed(Shape::new(2, 1))] {
            few.set_tuning(Tuning::new().policy(policy));
            assert_eq!(joined(&few), [MOST_TOKENS; 2], "what is predicted is not what is done");
        }
        // The more the better.
        let more = chooser([1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 11.2]);
        assert_eq!(joined(&more), [MOST_TOKENS; 2]);
        more.set_tuning(Tuning::new().preset(Preset::Latency));
        assert_eq!(joined(&more), [LATENCY_TOKENS; 2]);
        // What is measured later counts.
        more.set_cost(CostModel::unmeasured(2, 110_000_000, 24));
        assert!(more.most_joined(Priority::Interactive, 100) < LATENCY_TOKENS);
    }

    #[test]
    fn a_call_that_is_never_observed_is_answered_all_the_same() {
        let chooser = chooser(8, Tuning::new());
        let work = Work::of(&[64; 64]);
        for _ in 0..1000 {
            assert!(chooser.choose(&work).shape.cpus() <= 8);
        }
    }

    proptest! {
        #[test]
        fn no_policy_uses_more_workers_than_texts(
            lengths in prop::collection::vec(1usize..600, 0..300),
            cpus in 0usize..260,
            policy in prop::sample::select(vec![
                Policy::Table, Policy::CostModel, Policy::Adaptive, Policy::Fixed(Shape::new(9, 3)),
            ]),
            parallelism in prop::sample::select(vec![Parallelism::Auto, Parallelism::Texts, Parallelism::Matmul]),
            preset in prop::sample::select(vec![Preset::Balanced, Preset::Latency, Preset::Throughput]),
            known in 0usize..20,
        ) {
            let tuning = Tuning::new().policy(policy).parallelism(parallelism).preset(preset);
            // The model may be of a machine with more CPUs, or fewer.
            let chooser = Chooser::new(cpus, tuning, CostModel::unmeasured(known, MINILM, 6));
            let work = Work::of(&lengths);
            for call in 0..12 {
                let Choice { shape, reason } = chooser.choose(&work);
                prop_assert!(shape.workers >= 1 && shape.threads >= 1);
                prop_assert!(shape.workers <= lengths.len().max(1), "{reason}");
                if !matches!(policy, Policy::Fixed(_)) {
                    prop_assert!(shape.cpus() <= cpus.max(1), "{reason}");
                    let one = [shape.threads, shape.workers];
                    prop_assert!(parallelism != Parallelism::Texts || one[0] == 1);
                    prop_assert!(parallelism != Parallelism::Matmul || one[1] == 1);
                }
                prop_assert!(!reason.contains('\n') && !reason.is_empty());
                chooser.observe(&work, shape, 0.01 + call as f64 * 1e-3);
            }
        }
    }
}
