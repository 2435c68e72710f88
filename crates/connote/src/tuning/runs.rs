//! The runs of one shape that are remembered, and what they tell.

use std::collections::VecDeque;

use super::Shape;

/// Runs remembered of a shape, and those of them that its estimate rests on.
const RUNS: usize = 12;
const RECENT: usize = 8;

/// A change of a shape's speed by this much is the machine's, not noise.
const CHANGE: f64 = 0.25;

/// The runs of one shape.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    pub(super) shape: Shape,
    /// The latest last.
    ratios: VecDeque<f64>,
    /// Whether they are a guess only, that the first run replaces.
    guessed: bool,
    /// The least that the ratio was when a choice was settled.
    pub(super) calm: Option<f64>,
    /// Observed since the trying began.
    pub(super) observed: usize,
    pub(super) under_way: u64,
    /// The call that had it last.
    pub(super) last: u64,
}

impl Runs {
    /// None yet.
    pub(super) fn new(shape: Shape, last: u64) -> Self {
        let ratios = VecDeque::new();
        Self { shape, ratios, guessed: false, calm: None, observed: 0, under_way: 0, last }
    }

    /// One more; whether it was so fast that what is remembered of this shape is no longer true.
    pub(super) fn push(&mut self, ratio: f64, is_rival: bool) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        self.observed += 1;
        // Noise makes runs slower, seldom faster: a fast one of a rival tells that the machine is another.
        let faster = is_rival && self.ratio().is_some_and(|usual| ratio * (1.0 + CHANGE) < usual);
        if std::mem::take(&mut self.guessed) || faster {
            self.ratios.clear();
        }
        self.ratios.push_back(ratio);
        if self.ratios.len() > RUNS {
            self.ratios.pop_front();
        }
        faster
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.ratios.len()
    }

    /// The lower quartile of the recent ratios: other work on the machine makes runs slower, seldom faster, and of few runs
    /// one that was disturbed must not decide.
    pub(super) fn ratio(&self) -> Option<f64> {
        let mut recent: Vec<f64> = self.ratios.iter().rev().take(RECENT).copied().collect();
        recent.sort_unstable_by(f64::total_cmp);
        recent.get((recent.len().saturating_sub(1) + 2) / 4).copied()
    }

    /// Whether the last few runs differ from those before by more than noise.
    pub(super) fn has_changed(&self) -> bool {
        let cut = self.ratios.len().saturating_sub(RUNS - RECENT);
        let before = middle(self.ratios.iter().take(cut).copied().collect());
        let now = middle(self.ratios.iter().skip(cut).copied().collect());
        let factor = before.zip(now).map_or(1.0, |(before, now)| now / before);
        cut >= RUNS - RECENT && !(1.0 / (1.0 + CHANGE)..=1.0 + CHANGE).contains(&factor)
    }

    /// Remembers the least ratio, now that a choice is settled.
    pub(super) fn settle(&mut self) {
        let ratio = self.ratio().filter(|_| !self.guessed);
        self.calm = [self.calm, ratio].into_iter().flatten().min_by(f64::total_cmp);
    }

    /// Forgets all but the last runs: those before were of another machine.
    pub(super) fn keep_last(&mut self) {
        let old = self.ratios.len().saturating_sub(RUNS - RECENT);
        self.ratios.drain(..old);
        self.observed = self.ratios.len();
        self.under_way = 0;
    }

    /// Supposes it to be as fast as it ever was, until it runs again.
    pub(super) fn suppose(&mut self) {
        self.ratios = self.calm.or(self.ratio()).into_iter().collect();
        self.guessed = true;
        self.observed = 0;
        self.under_way = 0;
    }
}

/// The mean of the middle half: outliers do not move it.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let cut = values.len() / 4;
    let kept = &values[cut..values.len() - cut];
    (!kept.is_empty()).then(|| kept.iter().sum::<f64>() / kept.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ratios: &[f64]) -> Runs {
        let mut runs = Runs::new(Shape::new(1, 1), 0);
        for &ratio in ratios {
            runs.push(ratio, false);
        }
        runs
    }

    #[test]
    fn outliers_do_not_move_the_ratio_and_a_lasting_change_is_seen() {
        assert_eq!(of(&[]).ratio(), None);
        assert_eq!(of(&[1.0, 9.0, 1.0, 0.1, 1.0]).ratio(), Some(1.0));
        assert_eq!(of(&[1.0; 40]).len(), RUNS);
        let changed = |last: &[f64]| of(&[&[1.0; 8], last].concat()).has_changed();
        assert!(!changed(&[1.0, 5.0, 1.0, 1.0]) && !changed(&[1.2; 4]));
        assert!(changed(&[1.3; 4]) && changed(&[0.7; 4]));
    }

    #[test]
    fn a_fast_rival_is_news_and_what_is_supposed_is_replaced() {
        let mut runs = of(&[1.0; 6]);
        assert!(!runs.push(0.9, true) && !runs.push(0.5, false) && runs.push(0.5, true));
        assert_eq!((runs.len(), runs.ratio()), (1, Some(0.5)));
        runs.settle();
        for _ in 0..8 {
            runs.push(2.0, false);
        }
        runs.suppose();
        assert_eq!((runs.ratio(), runs.observed), (Some(0.5), 0));
        runs.push(3.0, true);
        assert_eq!(runs.ratio(), Some(3.0));
    }
}
