//! Hits of many queries, a few of them at a time.

use std::collections::VecDeque;

use connote::threads::Team;
use index::{Collection, Hit, Plan};

use crate::failure::Failure;

/// Hits of queries that are searched for together. Every thread keeps as many, so more queries at a time, of which each wants
/// many hits, would take any memory; fewer read the vectors more often.
const HITS: usize = 1 << 20;

/// The answers to queries, in their order.
pub(super) struct Found<'a> {
    collection: &'a Collection,
    team: &'a Team,
    plan: &'a Plan,
    waiting: &'a [Vec<f32>],
    ready: VecDeque<Vec<Hit>>,
}

impl<'a> Found<'a> {
    pub(super) fn of(
        collection: &'a Collection,
        team: &'a Team,
        plan: &'a Plan,
        queries: &'a [Vec<f32>],
    ) -> Self {
        Self { collection, team, plan, waiting: queries, ready: VecDeque::new() }
    }

    /// The hits of the next query.
    ///
    /// # Errors
    /// What [`Collection::search`] says.
    pub(super) fn next(&mut self) -> Result<Vec<Hit>, Failure> {
        if self.ready.is_empty() {
            let hits = self.plan.top.max(self.plan.rescore).min(self.collection.rows()).max(1);
            let (now, later) = self.waiting.split_at((HITS / hits).max(1).min(self.waiting.len()));
            self.waiting = later;
            self.ready = self.collection.search(self.team, now, self.plan)?.into();
        }
        Ok(self.ready.pop_front().unwrap_or_default())
    }
}
