//! Contenders that take turns, so that what else goes on at the machine hits all of them alike.

use std::time::Duration;

use super::statistics::{Median, median};
use super::timing::Figure;

/// Rounds before the slow may be left out.
const PATIENCE: usize = 3;
/// A median this much longer than the best one's is slow.
const SLOW: f64 = 1.2;

/// Seconds that each contender took in each round; `None` where it had been left out.
pub(crate) struct Race(Vec<Vec<Option<f64>>>);

impl Race {
    /// Runs `rounds` rounds of `one`, which gives the seconds of one turn of a contender. Who begins changes from round
    /// to round. A contender that `may_leave` runs no further once three rounds show it more than a fifth slower than
    /// the best of its kind.
    pub(crate) fn run<E>(
        contenders: usize,
        rounds: usize,
        may_leave: impl Fn(usize) -> bool,
        mut one: impl FnMut(usize) -> Result<f64, E>,
    ) -> Result<Self, E> {
        let mut race = Self(vec![Vec::with_capacity(rounds); contenders]);
        let mut left = vec![false; contenders];
        for round in 0..rounds {
            for turn in 0..contenders {
                let contender = (turn + round) % contenders;
                let seconds = if left[contender] { None } else { Some(one(contender)?) };
                race.0[contender].push(seconds);
            }
            if round + 1 == PATIENCE {
                let medians: Vec<f64> =
                    (0..contenders).map(|contender| median(race.seconds(contender))).collect();
                let kind = (0..contenders).filter(|&contender| may_leave(contender));
                let best = kind.map(|contender| medians[contender]).fold(f64::INFINITY, f64::min);
                for contender in 0..contenders {
                    left[contender] = may_leave(contender) && medians[contender] > SLOW * best;
                }
            }
        }
        Ok(race)
    }

    /// As [`run`](Self::run), where nobody leaves.
    pub(crate) fn of_all<E>(
        contenders: usize,
        rounds: usize,
        one: impl FnMut(usize) -> Result<f64, E>,
    ) -> Result<Self, E> {
        Self::run(contenders, rounds, |_| false, one)
    }

    /// Seconds of the rounds that a contender ran.
    pub(crate) fn seconds(&self, contender: usize) -> Vec<f64> {
        self.0[contender].iter().flatten().copied().collect()
    }

    pub(crate) fn figure(&self, contender: usize) -> Figure {
        Figure::of_seconds(self.seconds(contender))
    }

    /// How many times as fast as `other` a contender is: the median over the rounds that both ran.
    pub(crate) fn speed_over(&self, contender: usize, other: usize) -> Option<Median> {
        let pairs = self.0[contender].iter().zip(&self.0[other]);
        Median::of(pairs.filter_map(|(own, others)| Some((*others)? / (*own)?)).collect())
    }
}

/// Calls that make a turn long enough for the clock and for the scheduler's noise, given the seconds of one.
pub(crate) fn calls_a_turn(one: f64, least: Duration) -> usize {
    (least.as_secs_f64() / one.max(1e-9)).ceil().clamp(1.0, 10_000.0) as usize
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn turns_rotate_and_the_slow_leave() {
        let times = [1.0, 2.0, 1.1, 5.0];
        let mut order = Vec::new();
        let race = Race::run(
            4,
            5,
            |contender| contender != 3,
            |contender| {
                order.push(contender);
                Ok::<_, Infallible>(times[contender])
            },
        );
        let Ok(race) = race;
        assert_eq!(order[..8], [0, 1, 2, 3, 1, 2, 3, 0]);
        let rounds: Vec<usize> = (0..4).map(|contender| race.seconds(contender).len()).collect();
        assert_eq!(rounds, [5, 3, 5, 5], "1 is slow, 3 is slower still but stays");
        let ratio = race.speed_over(0, 1).expect("pairs");
        assert_eq!((ratio.median, ratio.pairs), (2.0, 3));
        assert_eq!(race.speed_over(3, 0).map(|ratio| ratio.median), Some(0.2));
        assert_eq!(race.figure(2).median, 1.1);
    }

    #[test]
    fn an_error_ends_it() {
        let race = Race::of_all(2, 9, |contender| if contender == 1 { Err("one") } else { Ok(1.0) });
        assert_eq!(race.err(), Some("one"));
        assert_eq!(calls_a_turn(0.25, Duration::from_secs(1)), 4);
        assert_eq!(calls_a_turn(3.0, Duration::from_secs(1)), 1);
    }
}
