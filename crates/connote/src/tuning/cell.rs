//! What was observed of one kind of work, and which shape to give it next.
//!
//! A run is judged by its ratio: the seconds it took over those that the cost model predicts. So runs of works that
//! differ a little compare. A shape's estimate for the work at hand is its prediction times its usual ratio.

use super::Shape;
use super::candidates::{are_as_busy, are_neighbours, is_rung};
use super::runs::Runs;

/// How far behind the best estimate a shape may be to be tried again, after one and two runs: they scatter by 5 to 10%.
const WITHIN: [f64; 2] = [1.15, 1.1];

/// How far behind the best estimate a split of the CPUs next to a good one may be, to be tried once: what a prediction is
/// most often wrong about is how waiting for threads weighs against working side by side.
const RUNG: f64 = 3.0;

/// Shapes tried at first.
const FIRST: usize = 4;

/// Shapes remembered: the first ones, neighbours of the best one, and other splits of as many CPUs.
const MOST: usize = 16;

/// A settled choice tries a rival again after at least so many calls; and so rarely that all rivals together cost at
/// most one call in so many.
const PAUSE: f64 = 24.0;
const COST: f64 = 100.0;

/// Calls between two looks for a rival whose turn it is.
const LOOKS: u64 = 8;

/// Runs of a shape that may be under way unobserved: what runs beside others is never observed.
const UNDER_WAY: u64 = 2;

/// After so many calls, what was under way is given up.
const LOST: u64 = 64;

#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    runs: Vec<Runs>,
    calls: u64,
    /// The call at which the trying ended; `None` while it lasts.
    settled: Option<u64>,
    /// The call at which the trying began.
    began: u64,
    best: Option<Shape>,
    /// The least ratio of any shape at its best: what a shape without runs may have that a slower machine spares.
    calm: Option<f64>,
}

/// What a cell says, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pick {
    pub(crate) shape: Shape,
    /// Seconds that it is expected to take.
    pub(crate) seconds: f64,
    pub(crate) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Why {
    /// Nothing was observed yet: by prediction.
    Predicted,
    /// To learn how fast it is.
    Tried,
    /// The fastest of so many shapes, by so many runs of it.
    Best { of: usize, runs: usize },
}

impl Cell {
    /// A cell that starts from what a like one observed: believed until there is something of its own.
    pub(crate) fn like(other: &Self) -> Self {
        let mut cell = other.clone();
        cell.calls = 0;
        cell.best = None;
        cell.runs.iter_mut().for_each(|runs| runs.last = 0);
        cell.learn_again(&[]);
        cell
    }

    /// The shape for the next call, of `shapes`. `predict` gives the seconds of each of some shapes; those within `doubt`
    /// times the best may be better than it.
    pub(crate) fn choose(
        &mut self,
        shapes: &[Shape],
        doubt: f64,
        predict: impl Fn(&[Shape]) -> Vec<f64>,
    ) -> Pick {
        self.calls += 1;
        let pick = if self.settled.is_none() {
            self.learn(shapes, doubt, &predict(shapes))
        } else {
            self.use_best(shapes, doubt, predict)
        };
        let call = self.calls;
        if let Some(runs) = self.runs_of(pick.shape) {
            runs.under_way += 1;
            runs.last = call;
        }
        pick
    }

    /// A run took `ratio` times the predicted seconds.
    pub(crate) fn observe(&mut self, shape: Shape, ratio: f64) {
        let (best, grown) = (self.best, self.calls - self.began > LOST);
        let Some(runs) = self.runs_of(shape) else { return };
        let faster = runs.push(ratio, best != Some(shape));
        let changed = if best == Some(shape) { runs.has_changed() } else { faster };
        if let Some(best) = best.filter(|_| changed && grown) {
            self.learn_again(&[shape, best]);
        }
    }

    /// While shapes are tried: of those that may still be the best the one with the fewest runs.
    fn learn(&mut self, shapes: &[Shape], doubt: f64, predicted: &[f64]) -> Pick {
        let estimates = self.estimates(shapes, predicted);
        let observed = |cell: &Self, at: usize| cell.find(shapes[at]).is_some_and(|runs| runs.observed > 0);
        let least = |some: &mut dyn Iterator<Item = usize>| {
            some.min_by(|&a, &b| estimates[a].total_cmp(&estimates[b]))
        };
        let all = || 0..shapes.len();
        let seen = least(&mut all().filter(|&at| observed(self, at)));
        let Some(best) = seen.or_else(|| least(&mut all())) else {
            return Pick { shape: Shape::new(1, 1), seconds: 0.0, why: Why::Predicted };
        };
        // What is believed from elsewhere may be better still.
        let bound = least(&mut all()).map_or(estimates[best], |at| estimates[at]).max(0.8 * estimates[best]);
        let most = shapes.iter().copied().max_by_key(|shape| shape.cpus()).unwrap_or(Shape::new(1, 1));
        // Not of the best alone: of several that are close, chance tells which that is.
        let good: Vec<usize> =
            all().filter(|&at| observed(self, at) && estimates[at] <= estimates[best] * WITHIN[1]).collect();
        let started = self.runs.iter().filter(|runs| runs.observed > 0 || runs.under_way > 0).count();
        let mut waiting = false;
        let mut next: Option<(bool, usize, f64, usize)> = None;
        for at in all() {
            let (tries, under_way) = self.tries(shapes[at]);
            let rung = tries == 0 && good.iter().any(|&good| is_rung(shapes[at], shapes[good], most));
            let within = match tries {
                0 if rung => doubt.max(RUNG),
                0 => doubt,
                tries => *WITHIN.get(tries - 1).unwrap_or(&0.0),
            };
            if estimates[at] > bound * within {
                continue;
            }
            let fresh = tries == 0 && under_way == 0;
            let grows = fresh && (started >= FIRST || (rung && estimates[at] > bound * doubt));
            if grows && (started >= MOST || !(rung || are_neighbours(shapes[at], shapes[best]))) {
                continue;
            }
            if under_way >= UNDER_WAY {
                waiting = true;
                continue;
            }
            let turn = (grows, tries + under_way as usize, estimates[at], at);
            if next.is_none_or(|next| {
                (turn.0, turn.1).cmp(&(next.0, next.1)).then(turn.2.total_cmp(&next.2)).is_lt()
            }) {
                next = Some(turn);
            }
        }
        if let Some((.., at)) = next {
            self.start(shapes[at]);
            return Pick { shape: shapes[at], seconds: estimates[at], why: Why::Tried };
        }
        if !waiting {
            self.settle();
        }
        let why = if seen.is_some() { self.why(shapes[best]) } else { Why::Predicted };
        self.best = Some(shapes[best]);
        Pick { shape: shapes[best], seconds: estimates[best], why }
    }

    /// The best shape; now and then a rival, in case the machine or the estimate was wrong.
    fn use_best(&mut self, shapes: &[Shape], doubt: f64, predict: impl Fn(&[Shape]) -> Vec<f64>) -> Pick {
        let looks = self.calls.is_multiple_of(LOOKS);
        let known: Vec<Shape> = shapes
            .iter()
            .copied()
            .filter(|&shape| looks || self.find(shape).is_some_and(|runs| runs.len() > 0))
            .collect();
        let estimates = self.estimates(&known, &predict(&known));
        let observed = |at: &usize| self.find(known[*at]).is_some_and(|runs| runs.len() > 0);
        let best = (0..known.len()).filter(observed).min_by(|&a, &b| estimates[a].total_cmp(&estimates[b]));
        let Some(best) = best else {
            // Other shapes are allowed now than were tried.
            self.settled = None;
            return self.learn(shapes, doubt, &predict(shapes));
        };
        if let Some(rival) = looks.then(|| self.due(&known, &estimates, best)).flatten() {
            self.start(known[rival]);
            return Pick { shape: known[rival], seconds: estimates[rival], why: Why::Tried };
        }
        self.best = Some(known[best]);
        Pick { shape: known[best], seconds: estimates[best], why: self.why(known[best]) }
    }

    /// A rival whose turn it is: the more it is behind, the longer its turn takes to come. The one that would be first if
    /// each shape were as fast as it ever was has its turn sooner: when a busy machine is free again, it tells.
    fn due(&self, known: &[Shape], estimates: &[f64], best: usize) -> Option<usize> {
        let rivals = self.runs.len().max(1) as f64;
        let may_be = |at: &usize| {
            let (shape, best_shape) = (known[*at], known[best]);
            // On a busy machine, how far 8x1 is from 1x6 is not seen from what lies between them.
            let pure = shape.workers == 1 || shape.threads == 1;
            let near = are_neighbours(shape, best_shape)
                || shape.cpus() == best_shape.cpus()
                || (pure && are_as_busy(shape, best_shape));
            *at != best && (near || self.find(shape).is_some())
        };
        // Of one that never ran nobody knows: its cost may be as mispredicted as that of the one most like it.
        let expected = |at: usize| match self.find(known[at]) {
            Some(_) => estimates[at],
            None => self.doubted(known[at], estimates[at]),
        };
        let once = |at: usize| {
            let runs = self.find(known[at]);
            let calm = runs.and_then(|runs| Some(runs.calm? / runs.ratio()?));
            expected(at) * calm.unwrap_or(1.0).min(1.0)
        };
        let favourite = (0..known.len()).filter(may_be).min_by(|&a, &b| once(a).total_cmp(&once(b)));
        (0..known.len()).filter(may_be).find(|&at| {
            let runs = self.find(known[at]);
            let since = self.calls - runs.map_or(self.settled.unwrap_or(0), |runs| runs.last);
            let behind = (expected(at) / estimates[best] - 1.0).max(if runs.is_none() { 0.1 } else { 0.0 });
            let rarely = if favourite == Some(at) { 1.0 } else { 2.0 * rivals };
            since as f64 >= PAUSE + COST * behind * rarely
        })
    }

    /// Predictions, each times the shape's own ratio. Shapes without runs get the benefit of the doubt: the least ratio
    /// seen, and if they take fewer CPUs than the best, the least ever seen, as what made that one slow may spare them.
    fn estimates(&self, shapes: &[Shape], predicted: &[f64]) -> Vec<f64> {
        let [least, calm] = self.supposed();
        let best = self.best.map_or(0, Shape::cpus);
        let each = shapes.iter().zip(predicted).map(|(&shape, seconds)| {
            let own = self.find(shape).and_then(Runs::ratio);
            seconds * own.unwrap_or(if shape.cpus() < best { calm } else { least })
        });
        each.collect()
    }

    /// The least ratio seen of late, and ever.
    fn supposed(&self) -> [f64; 2] {
        let least = self.runs.iter().filter_map(Runs::ratio).min_by(f64::total_cmp).unwrap_or(1.0);
        [least, self.calm.map_or(least, |calm| calm.min(least))]
    }

    /// An estimate without the benefit of the doubt: by the ratio of the shape that is most like this one, of those that
    /// use no more CPUs; what slows others may be that they use too many.
    fn doubted(&self, shape: Shape, estimate: f64) -> f64 {
        let far = |a: usize, b: usize| (a as f64 / b as f64).ln().abs();
        let distance =
            |runs: &Runs| far(runs.shape.workers, shape.workers) + far(runs.shape.threads, shape.threads);
        let ran = self.runs.iter().filter(|runs| runs.len() > 0 && runs.shape.cpus() <= shape.cpus());
        let like = ran.min_by(|a, b| distance(a).total_cmp(&distance(b))).and_then(Runs::ratio);
        let [least, _] = self.supposed();
        estimate * like.map_or(1.0, |like| (like / least).max(1.0))
    }

    /// Ends the trying.
    fn settle(&mut self) {
        self.settled = Some(self.calls);
        self.runs.iter_mut().for_each(Runs::settle);
        self.calm = self.runs.iter().filter_map(|runs| runs.calm).min_by(f64::total_cmp);
    }

    /// Tries all shapes again, each supposed to be as fast as it ever was; of those in `fresh` the last runs count.
    fn learn_again(&mut self, fresh: &[Shape]) {
        for runs in &mut self.runs {
            if fresh.contains(&runs.shape) { runs.keep_last() } else { runs.suppose() }
        }
        self.settled = None;
        self.began = self.calls;
    }

    fn why(&self, best: Shape) -> Why {
        Why::Best { of: self.runs.len(), runs: self.find(best).map_or(0, |runs| runs.len()) }
    }

    fn start(&mut self, shape: Shape) {
        if self.find(shape).is_some() {
            return;
        }
        if self.runs.len() >= MOST {
            let rivals = self.runs.iter().enumerate().filter(|(_, runs)| self.best != Some(runs.shape));
            if let Some((oldest, _)) = rivals.min_by_key(|(_, runs)| runs.last) {
                self.runs.swap_remove(oldest);
            }
        }
        self.runs.push(Runs::new(shape, self.calls));
    }

    /// Runs observed since the trying began, and those under way.
    fn tries(&self, shape: Shape) -> (usize, u64) {
        self.find(shape).map_or((0, 0), |runs| {
            let lost = self.calls - runs.last > LOST;
            (runs.observed, if lost { 0 } else { runs.under_way })
        })
    }

    fn find(&self, shape: Shape) -> Option<&Runs> {
        self.runs.iter().find(|runs| runs.shape == shape)
    }

    fn runs_of(&mut self, shape: Shape) -> Option<&mut Runs> {
        self.runs.iter_mut().find(|runs| runs.shape == shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 4] = [
        Shape { workers: 1, threads: 4 },
        Shape { workers: 2, threads: 2 },
        Shape { workers: 4, threads: 1 },
        Shape { workers: 1, threads: 1 },
    ];

    /// Calls whose shapes take these times, all predicted to take a second: how often each was chosen.
    fn run(cell: &mut Cell, times: [f64; 4], calls: usize) -> [usize; 4] {
        let mut counts = [0; 4];
        for _ in 0..calls {
            let pick = cell.choose(&SHAPES, 1.3, |some| vec![1.0; some.len()]);
            let at = SHAPES.iter().position(|&shape| shape == pick.shape).expect("one of them");
            counts[at] += 1;
            cell.observe(pick.shape, times[at]);
        }
        counts
    }

    #[test]
    fn all_are_tried_then_the_best_is_used_and_rivals_cost_less_than_two_percent() {
        let mut cell = Cell::default();
        let times = [1.2, 1.0, 1.05, 2.0];
        let tried = run(&mut cell, times, 12);
        assert!(tried.iter().all(|&count| (1..=9).contains(&count)), "{tried:?}");
        assert_eq!(tried[3], 1, "one run tells that it is far behind");
        let counts = run(&mut cell, times, 5000);
        assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
        let spent: f64 = counts.iter().zip(times).map(|(&count, time)| count as f64 * time).sum();
        assert!(spent < 5000.0 * 1.02, "{counts:?}");
    }

    #[test]
    fn a_slow_run_now_and_then_changes_nothing() {
        let mut cell = Cell::default();
        for call in 0..2000 {
            let pick = cell.choose(&SHAPES, 1.3, |some| vec![1.0; some.len()]);
            let time = if pick.shape == SHAPES[1] { 1.0 } else { 1.3 };
            assert!(call < 20 || pick.shape == SHAPES[1] || pick.why == Why::Tried, "{call}: {pick:?}");
            cell.observe(pick.shape, if call % 17 == 0 { 5.0 * time } else { time });
        }
    }

    #[test]
    fn other_shapes_may_be_allowed_from_call_to_call() {
        let mut cell = Cell::default();
        for call in 0..500 {
            let allowed = &SHAPES[call % 3..];
            let pick = cell.choose(allowed, 1.3, |some| vec![1.0; some.len()]);
            assert!(allowed.contains(&pick.shape));
            cell.observe(pick.shape, 1.0);
        }
        assert_eq!(cell.choose(&[], 1.3, |some| vec![1.0; some.len()]).shape, Shape::new(1, 1));
    }
}
