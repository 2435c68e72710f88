//! A micro-batch at work: between half layers it gives way or ends, and a panic costs one sequence.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use threads::Team;

use super::Shared;
use super::call::Call;
use super::group::Group;
use super::queue::Task;
use crate::schedule::{Failure, Priority};

/// How long interactive work overtakes at a time.
const SPELL: Duration = Duration::from_millis(100);

/// How many times the time that batch work has had for itself it may be overtaken for: a quarter is its own.
const OVERTAKEN: u32 = 3;

/// Runs a task on the team, and answers its jobs; those that nobody wants any more stay unanswered.
pub(crate) fn run(shared: &Arc<Shared>, task: &Task, team: &Team) {
    run_asking(shared, task, team, &mut |_| {});
}

/// As [`run`], telling `looks` of every look between half layers.
pub(crate) fn run_asking(shared: &Arc<Shared>, task: &Task, team: &Team, looks: &mut dyn FnMut(&[usize])) {
    let group = &*task.group;
    let overtakable = group.priority() == Priority::Batch && !task.overtakes;
    let (since, mut overtaken) = (Instant::now(), Duration::ZERO);
    shared.counts.micro_batch(group, &task.batch);
    settle(group, &task.batch, task.place, team, &mut |jobs| {
        looks(jobs);
        if !jobs.iter().any(|&job| group.is_wanted(job)) {
            return false;
        }
        if overtakable && shared.has_overtakers() {
            let begin = Instant::now();
            // What is overtaken always gets on, if slowly.
            let own = begin.saturating_duration_since(since).saturating_sub(overtaken);
            if overtaken <= own * OVERTAKEN {
                shared.overtake(task.place, team, begin + SPELL);
                overtaken += begin.elapsed();
            }
        }
        true
    });
}

/// Answers a call on this thread, without the pool.
pub(crate) fn alone(call: &Arc<Call>) {
    let Some((group, batches)) = Group::new(vec![call.clone()], None) else { return };
    let team = Team::new(1);
    for batch in batches {
        settle(&group, &batch, 0, &team, &mut |jobs| jobs.iter().any(|&job| group.is_wanted(job)));
    }
}

/// Computes and answers jobs together; if that panics, in halves, so that only the job at fault is answered with the panic.
/// `go_on`, asked with the jobs at hand, ends them.
fn settle(group: &Group, jobs: &[usize], node: usize, team: &Team, go_on: &mut dyn FnMut(&[usize]) -> bool) {
    let Err(panic) = attempt(group, jobs, node, team, go_on) else { return };
    match jobs {
        &[job] => group.answer(job, Err(Failure::Panicked(panic))),
        jobs => {
            let (one, other) = jobs.split_at(jobs.len() / 2);
            settle(group, one, node, team, go_on);
            settle(group, other, node, team, go_on);
        }
    }
}

/// Computes jobs together and answers them; or the message of the panic that came of it.
fn attempt(
    group: &Group,
    jobs: &[usize],
    node: usize,
    team: &Team,
    go_on: &mut dyn FnMut(&[usize]) -> bool,
) -> Result<(), String> {
    let ids = jobs.iter().map(|&job| group.ids(job));
    // Nothing the work touches outlives a panic half-written: its scratch is dropped with it.
    let work = AssertUnwindSafe(|| group.engine().run(node, team, ids, &mut || go_on(jobs)));
    let rows = catch_unwind(work).map_err(|panic| message(&*panic))?;
    for (&job, rows) in jobs.iter().zip(rows.into_iter().flatten()) {
        group.answer(job, Ok(rows));
    }
    Ok(())
}

pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
