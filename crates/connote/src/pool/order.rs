//! Who goes next: a pure function.

use std::time::Duration;

use crate::schedule::Priority;

/// How long batch work may be passed over for interactive work before it goes first for once; unless other batch work
/// runs, so that many calls which have waited together do not go one after the other before who is in a hurry.
pub(crate) const AGES_AFTER: Duration = Duration::from_secs(1);

/// What work without a deadline is taken to have, counted from when some of it last began. So calls of one priority
/// take turns, and none is passed over for ever by others that are in a hurry.
const PATIENCE: Duration = Duration::from_secs(10);

/// Work that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) priority: Priority,
    /// From now; `None` for no deadline. Zero where it has passed.
    pub(crate) deadline: Option<Duration>,
    /// Since some of it began, or since it came.
    pub(crate) waited: Duration,
}

/// The one that goes next: its place among `waiting`. Of equals the first. `batch_runs`: whether batch work has its share of
/// the workers already.
pub(crate) fn next(waiting: impl Iterator<Item = Waiting>, batch_runs: bool) -> Option<usize> {
    waiting.enumerate().min_by_key(|(_, one)| rank(one, batch_runs)).map(|(place, _)| place)
}

/// Smaller goes first.
fn rank(one: &Waiting, batch_runs: bool) -> (bool, Duration, std::cmp::Reverse<Duration>) {
    let yields = one.priority == Priority::Batch && (batch_runs || one.waited < AGES_AFTER);
    let patience = PATIENCE.saturating_sub(one.waited);
    let hurry = one.deadline.map_or(patience, |deadline| deadline.min(patience));
    (yields, hurry, std::cmp::Reverse(one.waited))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(priority: Priority, deadline: Option<u64>, waited: u64) -> Waiting {
        let ms = Duration::from_millis;
        Waiting { priority, deadline: deadline.map(ms), waited: ms(waited) }
    }

    #[test]
    fn interactive_before_batch_unless_that_has_aged() {
        use Priority::{Batch, Interactive};
        let place = |waiting: &[Waiting]| next(waiting.iter().copied(), false);
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[one(Batch, None, 900), one(Interactive, None, 0)]), Some(1));
        assert_eq!(place(&[one(Interactive, None, 0), one(Batch, None, 1001)]), Some(1));
        let aged = [one(Batch, None, 1001), one(Batch, None, 5001), one(Interactive, None, 0)];
        assert_eq!(place(&aged), Some(1));
        assert_eq!(next(aged.into_iter(), true), Some(2), "others of its kind run");
        assert_eq!(next(aged[..2].iter().copied(), true), Some(1), "nobody is in a hurry");
        assert_eq!(place(&[one(Batch, None, 5), one(Batch, None, 6)]), Some(1), "in turn");
        assert_eq!(place(&[one(Batch, None, 6), one(Batch, None, 6)]), Some(0));
        assert_eq!(
            place(&[one(Interactive, None, 9), one(Interactive, Some(500), 0)]),
            Some(1),
            "in a hurry"
        );
        assert_eq!(place(&[one(Interactive, Some(70), 0), one(Interactive, Some(50), 0)]), Some(1));
        assert_eq!(
            place(&[one(Interactive, None, 9_990), one(Interactive, Some(50), 0)]),
            Some(0),
            "out of patience"
        );
    }

    proptest! {
        /// One worker; calls that come while it works, many of them in a hurry; some that have always more to do. Each
        /// of those gets a turn, and another.
        #[test]
        fn nobody_starves(
            newcomers in prop::collection::vec(
                prop::option::weighted(0.9, (any::<bool>(), prop::option::of(1u64..300))), 2000),
            old in prop::collection::vec(any::<bool>(), 1..8),
        ) {
            let priority = |interactive| if interactive { Priority::Interactive } else { Priority::Batch };
            // Since when it waits, priority, deadline, and whether it is one of the old.
            let mut waiting: Vec<(u64, Priority, Option<u64>, bool)> =
                old.iter().map(|&interactive| (0, priority(interactive), None, true)).collect();
            let (mut longest, mut now) = (0, 0);
            for newcomer in newcomers {
                // Each piece of work takes 50 ms.
                now += 50;
                if let Some((interactive, deadline)) = newcomer {
                    waiting.push((now, priority(interactive), deadline.map(|deadline| now + deadline), false));
                }
                waiting.retain(|(.., deadline, _)| deadline.is_none_or(|deadline| deadline > now));
                let seen = waiting.iter().map(|&(since, priority, deadline, _)| {
                    one(priority, deadline.map(|deadline| deadline - now), now - since)
                });
                let Some(place) = next(seen, false) else { continue };
                longest = longest.max(now - waiting[place].0);
                if waiting[place].3 {
                    waiting[place].0 = now;
                } else {
                    waiting.remove(place);
                }
            }
            for (since, ..) in waiting {
                longest = longest.max(now - since);
            }
            prop_assert!(longest < 12_000, "{} ms without a turn", longest);
        }
    }
}
