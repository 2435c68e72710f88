//! Teams of every size that is asked for, lent to one worker at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use threads::{Budget, CpuSet, Pinning, Team, TeamOptions};

/// Teams that nobody uses, by node and number of threads. They sleep; a team is made when none is free, so there are
/// never more of a size than have been in use at once.
#[derive(Default)]
pub(crate) struct Crews {
    free: Mutex<HashMap<(usize, usize), Vec<Team>>>,
}

/// A team on loan.
pub(crate) struct Crew<'a> {
    crews: &'a Crews,
    node: usize,
    team: Option<Team>,
}

impl Crews {
    /// The largest team of a node that nobody uses and that has fewer threads.
    fn smaller(&self, node: usize, threads: usize) -> Option<Team> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |key: &&(usize, usize)| key.0 == node && key.1 < threads && !free[*key].is_empty();
        let key = *free.keys().filter(fits).max_by_key(|key| key.1)?;
        free.get_mut(&key).and_then(Vec::pop)
    }

    /// A team of `threads` threads, its caller among them, whose members run on `cpus` (anywhere, if `None`) and count in
    /// `budget`.
    pub(crate) fn lend(
        &self,
        node: usize,
        cpus: Option<&CpuSet>,
        threads: usize,
        budget: &Arc<Budget>,
    ) -> Crew<'_> {
        let key = (node, threads);
        let kept = self.free.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&key).and_then(Vec::pop);
        let pinning = || cpus.map_or(Pinning::Off, |cpus| Pinning::Within(cpus.clone()));
        let make =
            |threads, pinning| Team::with(TeamOptions { threads, budget: Some(budget.clone()), pinning });
        let team = kept.unwrap_or_else(|| {
            // Unpinned rather than not at all, and with fewer threads rather than with none.
            let team = make(threads, pinning()).or_else(|_| make(threads, Pinning::Off)).ok();
            team.or_else(|| self.smaller(node, threads)).unwrap_or_else(|| Team::new(1))
        });
        Crew { crews: self, node, team: Some(team) }
    }
}

impl std::ops::Deref for Crew<'_> {
    type Target = Team;

    fn deref(&self) -> &Team {
        match &self.team {
            Some(team) => team,
            None => unreachable!("the team is given back when the loan is dropped"),
        }
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        if let Some(team) = self.team.take() {
            let mut free = self.crews.free.lock().unwrap_or_else(PoisonError::into_inner);
            // Under the size it has, which is not the one asked for where the system refused threads.
            free.entry((self.node, team.threads())).or_default().push(team);
        }
    }
}
