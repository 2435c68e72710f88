//! What waits and what runs: the pool's book-keeping. No threads, no locks.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::call::Call;
use super::group::Group;
use super::order::{self, Waiting};
use super::small::SmallCalls;
use crate::engine::Engine;
use crate::schedule::Priority;
use crate::tuning::{Parallelism, Policy, Preset, Shape};

/// A pause up to which the time of work still says something of its shape.
const UNNOTICED: Duration = Duration::from_millis(1);

/// Calls and groups of calls, and the CPUs that are busy with them.
pub(crate) struct Queue {
    groups: Vec<Entry>,
    /// Calls of one micro-batch, which join when one of them begins.
    small: SmallCalls,
    /// Tokens of texts in micro-batches that have not begun. Counted and not summed: every request of a server asks.
    waiting_tokens: usize,
    /// CPUs at work, by place.
    busy: Vec<usize>,
    dropped: Dropped,
}

/// What nobody wants any more, to be dropped without the pool's lock: it may be the last that holds a model.
#[derive(Default)]
pub(crate) struct Dropped {
    groups: Vec<Entry>,
    calls: Vec<Arc<Call>>,
}

impl Dropped {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.calls.is_empty()
    }
}

/// A group at work, or waiting for it.
pub(crate) struct Entry {
    group: Arc<Group>,
    /// Those that have not begun.
    batches: VecDeque<Vec<usize>>,
    running: usize,
    /// When some of it last began, or when it came.
    since: Instant,
    /// When the first of it began.
    begun: Option<Instant>,
    /// Nothing else ran beside it, and it had the threads that it asked for: its time says something of its shape.
    undisturbed: bool,
}

/// What is left of groups that have ended, to be looked at without the pool's lock, too.
#[derive(Default)]
pub(crate) struct Ended {
    /// A group that has ended now, and the seconds that it took if these say something of its shape.
    observed: Option<(Entry, Option<f64>)>,
    _dropped: Dropped,
}

impl Ended {
    /// Tells the choice.
    pub(crate) fn learn(self) {
        if let Some((entry, Some(seconds))) = &self.observed {
            let group = &entry.group;
            let chooser = &group.engine().chooser;
            // A fault in it must not cost a thread, or a call that has its answers.
            let observe = AssertUnwindSafe(|| chooser.observe(&group.work, group.shape, *seconds));
            let _ = catch_unwind(observe);
        }
    }
}

/// A micro-batch that a worker has taken.
pub(crate) struct Task {
    pub(crate) group: Arc<Group>,
    pub(crate) batch: Vec<usize>,
    pub(crate) place: usize,
    /// Threads on it.
    pub(crate) threads: usize,
    /// It runs on the threads of work that it has overtaken.
    pub(crate) overtakes: bool,
}

/// What a worker would take.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// Whatever goes next.
    Any,
    /// What belongs to this call.
    Of(&'a Arc<Call>),
    /// Interactive work, on this many threads that are there already.
    Overtaking(usize),
}

/// Where something that waits is kept.
#[derive(Clone, Copy)]
enum Source {
    Group(usize),
    Small(usize),
}

impl Queue {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            groups: Vec::new(),
            small: SmallCalls::default(),
            waiting_tokens: 0,
            busy: vec![0; places],
            dropped: Dropped::default(),
        }
    }

    pub(crate) fn push_small(&mut self, call: Arc<Call>) {
        self.small.push(call);
    }

    pub(crate) fn push_group(&mut self, group: Group, batches: VecDeque<Vec<usize>>) {
        self.waiting_tokens += group.work.tokens;
        self.groups.push(Entry {
            group: Arc::new(group),
            batches,
            running: 0,
            since: Instant::now(),
            begun: None,
            undisturbed: true,
        });
    }

    /// Tokens of texts that wait: in micro-batches that have not begun.
    pub(crate) fn waiting_tokens(&self) -> usize {
        self.waiting_tokens + self.small.tokens()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.groups.iter().all(|entry| entry.batches.is_empty())
    }

    /// The most workers that anything here asks for.
    pub(crate) fn most_workers(&self) -> usize {
        self.groups.iter().map(|entry| entry.group.shape.workers).max().unwrap_or(1)
    }

    /// Whether interactive work waits that could run beside what of it runs.
    pub(crate) fn has_overtakers(&self) -> bool {
        let of_group = |entry: &Entry| entry.group.priority() == Priority::Interactive && entry.ready() > 0;
        self.small.has_interactive() || self.groups.iter().any(of_group)
    }

    /// Workers that would find something to do at a place, if they came now.
    pub(crate) fn could_begin(&self, shared: &Shared, place: usize) -> usize {
        let room = self.room(shared, place);
        let groups = self.groups.iter().map(|entry| {
            let free = room.of(entry.group.engine());
            entry.ready().min(free.div_ceil(entry.group.shape.threads))
        });
        let small = self.small.iter().map(|call| room.of(&call.engine).min(1));
        // No further than that: of small calls there may be very many.
        let mut could = 0;
        let _ = groups.chain(small).try_for_each(|more| {
            could += more;
            (could < room.free).then_some(())
        });
        could.min(room.free)
    }

    /// What goes next at a place, if a CPU is free for it: taken out, and counted as running.
    pub(crate) fn pick(&mut self, shared: &Shared, place: usize, wanted: Wanted<'_>) -> Option<Task> {
        loop {
            let now = Instant::now();
            let sources = self.candidates(shared, place, wanted);
            let at = order::next(
                sources.iter().map(|&source| self.waiting(source, now)),
                self.batch_runs(shared),
            )?;
            let index = match sources[at] {
                Source::Group(index) => {
                    if let Wanted::Of(call) = wanted
                        && !self.groups[index].group.has(call)
                    {
                        // Others go first: that is for the pool's threads.
                        return None;
                    }
                    index
                }
                Source::Small(index) => {
                    if let Wanted::Of(call) = wanted
                        && !self.is_for(call, index)
                    {
                        return None;
                    }
                    match self.join(index) {
                        Some(index) => index,
                        None => continue,
                    }
                }
            };
            if let Some(task) = self.begin(shared, index, place, wanted, now) {
                return Some(task);
            }
        }
    }

    /// What is to be dropped without the pool's lock.
    pub(crate) fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// A task leaves its CPUs to others.
    pub(crate) fn pause(&mut self, task: &Task) {
        if !task.overtakes {
            self.busy[task.place] -= task.threads;
            task.group.engine().release(task.threads);
        }
    }

    /// It goes on, after so long, whoever is on its CPUs by now.
    pub(crate) fn resume(&mut self, task: &Task, paused: Duration) {
        if !task.overtakes {
            self.busy[task.place] += task.threads;
            task.group.engine().occupy(task.threads);
        }
        let own = self.groups.iter_mut().find(|entry| Arc::ptr_eq(&entry.group, &task.group));
        if let Some(entry) = own.filter(|_| paused > UNNOTICED) {
            entry.undisturbed = false;
        }
    }

    /// A task has ended.
    pub(crate) fn finish(&mut self, task: &Task) -> Ended {
        self.pause(task);
        let mut ended = Ended { observed: None, _dropped: self.take_dropped() };
        let Some(index) = self.groups.iter().position(|entry| Arc::ptr_eq(&entry.group, &task.group)) else {
            return ended;
        };
        let entry = &mut self.groups[index];
        entry.running -= 1;
        if entry.running == 0 && entry.batches.is_empty() {
            let entry = self.groups.remove(index);
            let begun = entry.begun.filter(|_| entry.undisturbed && entry.group.teaches);
            let seconds = begun.map(|begun| begun.elapsed().as_secs_f64());
            ended.observed = Some((entry, seconds));
        }
        ended
    }

    /// Whether a small call is this one, and its caller may compute it: what can end early must not be in the middle of
    /// others' texts when it ends.
    fn is_for(&self, call: &Arc<Call>, index: usize) -> bool {
        let own = Arc::ptr_eq(call, &self.small.get(index).0);
        own && !(call.schedule.can_end_early() && self.small.iter().any(|other| !Arc::ptr_eq(call, other)))
    }

    /// All that wait and could begin here, in whatever order.
    fn candidates(&self, shared: &Shared, place: usize, wanted: Wanted<'_>) -> Vec<Source> {
        let room = match wanted {
            Wanted::Overtaking(_) => None,
            _ => Some(self.room(shared, place)),
        };
        if room.as_ref().is_some_and(|room| room.free == 0) {
            return Vec::new();
        }
        let suits = |priority, engine: &Arc<Engine>| match &room {
            None => priority == Priority::Interactive,
            Some(room) => room.of(engine) > 0,
        };
        let groups = self.groups.iter().enumerate();
        let groups = groups
            .filter(|(_, entry)| entry.ready() > 0 && suits(entry.group.priority(), entry.group.engine()));
        let small = self.small.iter().enumerate().filter(|(_, call)| suits(call.priority, &call.engine));
        let groups = groups.map(|(index, _)| Source::Group(index));
        groups.chain(small.map(|(index, _)| Source::Small(index))).collect()
    }

    /// Whether batch work keeps a quarter of the CPUs, one at least.
    fn batch_runs(&self, shared: &Shared) -> bool {
        let batch = self.groups.iter().filter(|entry| entry.group.priority() == Priority::Batch);
        let cpus: usize = batch.map(|entry| entry.running * entry.group.shape.threads).sum();
        cpus >= (shared.budget.cpus() / 4).max(1)
    }

    fn waiting(&self, source: Source, now: Instant) -> Waiting {
        let (priority, deadline, since) = match source {
            Source::Group(index) => {
                let entry = &self.groups[index];
                (entry.group.priority(), entry.group.deadline(), entry.since)
            }
            Source::Small(index) => {
                let (call, since) = self.small.get(index);
                (call.priority, call.schedule.deadline, *since)
            }
        };
        Waiting {
            priority,
            deadline: deadline.map(|deadline| deadline.saturating_duration_since(now)),
            waited: now.saturating_duration_since(since),
        }
    }

    /// Makes a group of a small call and of those like it that wait; its index, unless nobody wants the call any more: then others
    /// are to be looked at anew, without it and all like it.
    fn join(&mut self, index: usize) -> Option<usize> {
        if self.small.get(index).0.is_over() {
            self.dropped.calls.extend(self.small.take(Call::is_over));
            return None;
        }
        let (first, since) = self.small.remove(index);
        let engine = first.engine.clone();
        let alike = |call: &Call| {
            Arc::ptr_eq(&call.engine, &engine)
                && (call.priority, call.schedule.shape) == (first.priority, first.schedule.shape)
        };
        let others = || self.small.iter().map(|call| &**call).filter(|call| alike(call));
        let most = engine.chooser.most_tokens();
        let most = match engine.chooser.tuning().preset {
            // An even share for every CPU.
            Preset::Throughput => {
                let all = tokens_of(&first, others(), most.saturating_mul(engine.cpus));
                all.div_ceil(engine.cpus).min(most)
            }
            Preset::Balanced | Preset::Latency if first.schedule.shape.is_some() => most,
            Preset::Balanced | Preset::Latency => {
                engine.chooser.most_joined(first.priority, tokens_of(&first, others(), most))
            }
        };
        let mut joins = joining(&first, others(), most).into_iter();
        let joined = self.small.take(|call| alike(call) && joins.next() == Some(true));
        let calls = std::iter::once(first.clone()).chain(joined);
        let (over, calls): (Vec<_>, Vec<_>) = calls.partition(|call| call.is_over());
        self.dropped.calls.extend(over);
        // For throughput calls that meet run side by side, each on a thread of its own.
        let meets = calls.len() > 1 || !self.small.is_empty() || self.busy.iter().any(|&busy| busy > 0);
        let tuning = engine.chooser.tuning();
        let said = matches!(tuning.policy, Policy::Fixed(_)) || tuning.parallelism == Parallelism::Matmul;
        let alone = tuning.preset == Preset::Throughput && meets && !said;
        let (group, batches) = Group::new(calls, alone.then_some(Shape::new(1, 1)))?;
        self.push_group(group, batches);
        let index = self.groups.len() - 1;
        self.groups[index].since = since;
        Some(index)
    }

    /// Takes the next micro-batch of a group; `None` if nobody wants what is left of it.
    fn begin(
        &mut self,
        shared: &Shared,
        index: usize,
        place: usize,
        wanted: Wanted<'_>,
        now: Instant,
    ) -> Option<Task> {
        let entry = &mut self.groups[index];
        let group = entry.group.clone();
        let batch = loop {
            let Some(mut batch) = entry.batches.pop_front() else {
                if entry.running == 0 {
                    let entry = self.groups.remove(index);
                    self.dropped.groups.push(entry);
                }
                return None;
            };
            self.waiting_tokens -= batch.iter().map(|&job| group.ids(job).len()).sum::<usize>();
            let planned = batch.len();
            batch.retain(|&job| group.is_wanted(job));
            entry.undisturbed &= batch.len() == planned;
            if !batch.is_empty() {
                break batch;
            }
        };
        let overtakes = matches!(wanted, Wanted::Overtaking(_));
        let threads = match wanted {
            Wanted::Overtaking(threads) => threads,
            _ => match self.room(shared, place).of(group.engine()) {
                free if free >= group.shape.threads => group.shape.threads,
                // Teams are kept by their size: not one of every size.
                free => 1 << free.max(1).ilog2(),
            },
        };
        let others = (0..self.groups.len()).filter(|&other| other != index && self.groups[other].running > 0);
        let others: Vec<usize> = others.collect();
        for &other in &others {
            self.groups[other].undisturbed = false;
        }
        batch.iter().for_each(|&job| group.begin(job));
        let entry = &mut self.groups[index];
        entry.undisturbed &= others.is_empty() && !overtakes && threads == group.shape.threads;
        entry.running += 1;
        entry.since = now;
        entry.begun.get_or_insert(now);
        if !overtakes {
            self.busy[place] += threads;
            group.engine().occupy(threads);
        }
        Some(Task { group, batch, place, threads, overtakes })
    }

    /// CPUs that are free at a place: for all alike, so that a call with a wide shape does not keep one with a narrow
    /// shape from its turn.
    fn room(&self, shared: &Shared, place: usize) -> Room {
        let mut wide: Vec<(*const Engine, usize)> = Vec::new();
        for entry in self.groups.iter().filter(|entry| entry.group.by_number) {
            let (engine, cpus) = (Arc::as_ptr(entry.group.engine()), entry.group.shape.cpus());
            match wide.iter_mut().find(|(own, _)| *own == engine) {
                Some((_, most)) => *most = cpus.max(*most),
                None => wide.push((engine, cpus)),
            }
        }
        let widest = wide.iter().map(|&(_, cpus)| cpus).max().unwrap_or(0);
        let places = self.busy.len();
        let here = shared.size(place).max(widest.div_ceil(places)).saturating_sub(self.busy[place]);
        let everywhere = shared.budget.cpus().max(widest).saturating_sub(self.busy.iter().sum());
        Room { free: here.min(everywhere), wide }
    }
}

/// Tokens of calls that wait, equal calls counted once; no further than until there are more than `enough`.
fn tokens_of<'a>(first: &Call, others: impl Iterator<Item = &'a Call>, enough: usize) -> usize {
    let (mut known, mut tokens) = (HashSet::from([first.key]), first.tokens);
    for call in others.filter(|call| !call.is_abandoned()) {
        if tokens > enough {
            break;
        }
        if known.insert(call.key) {
            tokens += call.tokens;
        }
    }
    tokens
}

/// Which of the others are computed together with the first: as many as fit beside it into so many tokens, in their order. What nobody
/// wants any more takes no room (it is dropped when the group is made), and neither does a call that another one equals.
fn joining<'a>(first: &Call, others: impl Iterator<Item = &'a Call>, most: usize) -> Vec<bool> {
    let (mut known, mut tokens) = (HashSet::from([first.key]), first.tokens);
    let joins = others.map(|call| {
        let fits = tokens + call.tokens <= most;
        // A clock may have to be asked: not for all that wait.
        let free = known.contains(&call.key) || fits && call.is_over();
        if fits && !free {
            tokens += call.tokens;
            known.insert(call.key);
        }
        fits || free
    });
    joins.collect()
}

/// CPUs that work may take at a place. Shapes that were asked for by number may take more than there are.
struct Room {
    free: usize,
    /// The most CPUs that an engine was asked to use by number.
    wide: Vec<(*const Engine, usize)>,
}

impl Room {
    /// Those that an engine may take of them.
    fn of(&self, engine: &Arc<Engine>) -> usize {
        let wide = self.wide.iter().find(|(own, _)| *own == Arc::as_ptr(engine)).map_or(0, |&(_, cpus)| cpus);
        self.free.min(engine.cpus.max(wide).saturating_sub(engine.busy()))
    }
}

impl Entry {
    /// Micro-batches that could begin beside those that run.
    fn ready(&self) -> usize {
        self.batches.len().min(self.group.shape.workers.saturating_sub(self.running))
    }
}
