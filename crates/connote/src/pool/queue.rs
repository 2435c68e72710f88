//! What waits and what runs: the pool's book-keeping. No threads, no locks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::call::Call;
use super::group::Group;
use super::order::{self, Waiting};
use crate::schedule::Priority;
use crate::tuning::Preset;

/// Calls and groups of calls, and the CPUs that are busy with them.
pub(crate) struct Queue {
    groups: Vec<Entry>,
    /// Calls of one micro-batch, which join when one of them begins.
    small: Vec<(Arc<Call>, Instant)>,
    /// CPUs at work, by place.
    busy: Vec<usize>,
}

struct Entry {
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
        Self { groups: Vec::new(), small: Vec::new(), busy: vec![0; places] }
    }

    pub(crate) fn push_small(&mut self, call: Arc<Call>) {
        self.small.push((call, Instant::now()));
    }

    pub(crate) fn push_group(&mut self, group: Group, batches: VecDeque<Vec<usize>>) {
        self.groups.push(Entry {
            group: Arc::new(group),
            batches,
            running: 0,
            since: Instant::now(),
            begun: None,
            undisturbed: true,
        });
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.groups.iter().all(|entry| entry.batches.is_empty())
    }

    /// The most workers that anything here asks for.
    pub(crate) fn most_workers(&self) -> usize {
        self.groups.iter().map(|entry| entry.group.shape.workers).max().unwrap_or(1)
    }

    /// Pieces of interactive work that wait and could run beside what of them runs.
    pub(crate) fn overtakers(&self) -> usize {
        let groups = self.groups.iter().filter(|entry| entry.group.priority() == Priority::Interactive);
        let small = self.small.iter().filter(|(call, _)| call.priority == Priority::Interactive);
        groups.map(Entry::ready).sum::<usize>() + small.count()
    }

    /// Workers that would find something to do at a place, if they came now.
    pub(crate) fn could_begin(&self, shared: &Shared, place: usize) -> usize {
        let groups = self.groups.iter().filter(|entry| entry.ready() > 0).map(|entry| {
            let (threads, cpus) = (entry.group.shape.threads, entry.group.shape.cpus());
            let free = self.free(shared, place, entry.group.engine(), cpus);
            entry.ready().min(free.div_ceil(threads))
        });
        let small = self.small.iter().map(|(call, _)| self.free(shared, place, &call.engine, 1).min(1));
        groups.chain(small).sum::<usize>().min(self.cpus_of(shared, place, 1))
    }

    /// What goes next at a place, if a CPU is free for it: taken out, and counted as running.
    pub(crate) fn pick(&mut self, shared: &Shared, place: usize, wanted: Wanted<'_>) -> Option<Task> {
        loop {
            let now = Instant::now();
            let sources = self.candidates(shared, place, wanted);
            let at = order::next(sources.iter().map(|&source| self.waiting(source, now)))?;
            let index = match sources[at] {
                Source::Group(index) => index,
                Source::Small(index) => match self.join(index) {
                    Some(index) => index,
                    None => continue,
                },
            };
            if let Some(task) = self.begin(shared, index, place, wanted, now) {
                return Some(task);
            }
        }
    }

    /// A task has ended.
    pub(crate) fn finish(&mut self, task: &Task) {
        if !task.overtakes {
            self.busy[task.place] -= task.threads;
            task.group.engine().release(task.threads);
        }
        let Some(index) = self.groups.iter().position(|entry| Arc::ptr_eq(&entry.group, &task.group)) else {
            return;
        };
        let entry = &mut self.groups[index];
        entry.running -= 1;
        if entry.running > 0 || !entry.batches.is_empty() {
            return;
        }
        let entry = self.groups.remove(index);
        if let Some(begun) = entry.begun.filter(|_| entry.undisturbed) {
            let group = &entry.group;
            group.engine().chooser.observe(&group.work, group.shape, begun.elapsed().as_secs_f64());
        }
    }

    fn candidates(&self, shared: &Shared, place: usize, wanted: Wanted<'_>) -> Vec<Source> {
        let free = |engine, cpus| match wanted {
            Wanted::Overtaking(_) => true,
            _ => self.free(shared, place, engine, cpus) > 0,
        };
        let groups = self.groups.iter().enumerate().filter(|(_, entry)| {
            let group = &entry.group;
            let suits = match wanted {
                Wanted::Any => true,
                Wanted::Of(call) => group.has(call),
                Wanted::Overtaking(_) => group.priority() == Priority::Interactive,
            };
            suits && entry.ready() > 0 && free(group.engine(), group.shape.cpus())
        });
        let small = self.small.iter().enumerate().filter(|(_, (call, _))| {
            let suits = match wanted {
                Wanted::Any => true,
                Wanted::Of(own) => Arc::ptr_eq(own, call),
                Wanted::Overtaking(_) => call.priority == Priority::Interactive,
            };
            suits && free(&call.engine, 1)
        });
        let groups = groups.map(|(index, _)| Source::Group(index));
        groups.chain(small.map(|(index, _)| Source::Small(index))).collect()
    }

    fn waiting(&self, source: Source, now: Instant) -> Waiting {
        let (priority, deadline, since) = match source {
            Source::Group(index) => {
                let entry = &self.groups[index];
                (entry.group.priority(), entry.group.deadline(), entry.since)
            }
            Source::Small(index) => {
                let (call, since) = &self.small[index];
                (call.priority, call.deadline, *since)
            }
        };
        Waiting {
            priority,
            deadline: deadline.map(|deadline| deadline.saturating_duration_since(now)),
            waited: now.saturating_duration_since(since),
        }
    }

    /// Makes a group of a small call and of those like it that wait; its index, unless nobody wants it any more.
    fn join(&mut self, index: usize) -> Option<usize> {
        let (first, since) = self.small.remove(index);
        let engine = first.engine.clone();
        let alike = |call: &Call| {
            Arc::ptr_eq(&call.engine, &engine) && (call.priority, call.shape) == (first.priority, first.shape)
        };
        let most = match engine.chooser.tuning().preset {
            Preset::Balanced | Preset::Latency => engine.chooser.most_tokens(),
            Preset::Throughput => {
                // An even share for every CPU: side by side, each on a thread of its own.
                let waiting =
                    self.small.iter().filter(|(call, _)| alike(call)).map(|(call, _)| call.tokens());
                (first.tokens() + waiting.sum::<usize>())
                    .div_ceil(engine.cpus)
                    .min(engine.chooser.most_tokens())
            }
        };
        let mut tokens = first.tokens();
        let mut calls = vec![first.clone()];
        self.small.retain(|(call, _)| {
            let joins = alike(call) && tokens + call.tokens() <= most;
            if joins {
                tokens += call.tokens();
                calls.push(call.clone());
            }
            !joins
        });
        let (group, batches) = Group::new(calls)?;
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
                    self.groups.remove(index);
                }
                return None;
            };
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
            _ => group.shape.threads.min(self.free(shared, place, group.engine(), group.shape.cpus())),
        };
        let others = (0..self.groups.len()).filter(|&other| other != index && self.groups[other].running > 0);
        let others: Vec<usize> = others.collect();
        for &other in &others {
            self.groups[other].undisturbed = false;
        }
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

    /// CPUs that a shape of `cpus` of an engine may still take at a place. A shape that was asked for by number may take
    /// more than there are.
    fn free(&self, shared: &Shared, place: usize, engine: &crate::engine::Engine, cpus: usize) -> usize {
        let here = self.cpus_of(shared, place, cpus).saturating_sub(self.busy[place]);
        let everywhere = shared.budget.cpus().max(cpus).saturating_sub(self.busy.iter().sum());
        let own = engine.cpus.max(cpus).saturating_sub(engine.busy());
        here.min(everywhere).min(own)
    }

    fn cpus_of(&self, shared: &Shared, place: usize, cpus: usize) -> usize {
        shared.size(place).max(cpus.div_ceil(self.busy.len()))
    }
}

impl Entry {
    /// Micro-batches that could begin beside those that run.
    fn ready(&self) -> usize {
        self.batches.len().min(self.group.shape.workers.saturating_sub(self.running))
    }
}
