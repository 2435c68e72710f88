//! The pool: calls of all threads meet here, and workers take micro-batches from them.
//!
//! A worker is a thread that computes a micro-batch, alone or with a team. The caller of a call is one where it can be,
//! so that a single text costs no change of threads; the pool's own threads do the rest, and sleep when there is none.
//! Never more CPUs are kept busy than the budget of the process has, unless a shape asks for more by number.

mod call;
mod crews;
mod group;
mod listener;
mod order;
mod queue;
mod run;
mod small;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Instant;

use threads::{Budget, CpuSet, Placement, Topology, pin_current_thread, step_aside};

use self::crews::Crews;
use self::group::Group;
use self::queue::{Queue, Task, Wanted};
use crate::schedule::Priority;

pub(crate) use self::call::{Answer, Call};
pub(crate) use self::listener::Listener;
pub(crate) use self::run::message;
pub use self::statistics::Statistics;

/// Tokens up to which the caller of a call that can end early computes it, and multiply-adds that half a layer of them may
/// have: that takes some 20 ms at most, and then it looks whether the call has ended.
const CALLER_TOKENS: usize = 128;
const CALLER_MACS: u64 = 512 << 20;

/// Workers over all calls of a process.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// After a fork(2) the child has the pool, but not its threads.
    process: u32,
}

/// CPUs of a NUMA node, or of the whole machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// Where its workers run; `None` for wherever the system puts them.
    pub(crate) cpus: Option<CpuSet>,
    /// CPUs it keeps busy; `None` for as many as the budget has.
    pub(crate) size: Option<usize>,
}

pub(crate) struct Shared {
    pub(crate) budget: Arc<Budget>,
    pub(crate) crews: Crews,
    pub(crate) places: Vec<Place>,
    state: Mutex<State>,
    /// To join them at the end.
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// Where the last thread ran that woke another: whoever wakes there goes elsewhere.
    waker_cpu: AtomicUsize,
    /// What was computed so far.
    pub(crate) counts: statistics::Counts,
    /// Whether interactive work could begin, for workers on batch work to look at without the lock.
    has_overtakers: AtomicBool,
}

struct State {
    queue: Queue,
    /// Threads that sleep, by place.
    idle: Vec<Vec<Thread>>,
    /// Threads there are, by place.
    threads: Vec<usize>,
    stop: bool,
}

impl Pool {
    /// The pool of this process. A forked child that makes an embedder gets one of its own.
    pub(crate) fn process() -> Arc<Self> {
        static PROCESS: Mutex<Option<Arc<Pool>>> = Mutex::new(None);
        let mut pool = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        match &*pool {
            Some(pool) if pool.process == std::process::id() => pool.clone(),
            before => {
                let budget = match before {
                    None => Budget::process(),
                    // Of the parent's, seats may be taken that nobody will give back.
                    Some(_) => Arc::new(Budget::new(Budget::process().cpus())),
                };
                pool.insert(Arc::new(Self::new(budget, places(&Topology::detect())))).clone()
            }
        }
    }

    /// A pool of its own. At least one place.
    pub(crate) fn new(budget: Arc<Budget>, places: Vec<Place>) -> Self {
        let state = State {
            queue: Queue::new(places.len()),
            idle: vec![Vec::new(); places.len()],
            threads: vec![0; places.len()],
            stop: false,
        };
        let shared = Shared {
            budget,
            crews: Crews::default(),
            places,
            state: Mutex::new(state),
            handles: Mutex::default(),
            waker_cpu: AtomicUsize::new(usize::MAX),
            counts: statistics::Counts::default(),
            has_overtakers: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), process: std::process::id() }
    }

    /// Whose CPUs its workers use.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.shared.budget
    }

    /// Where workers run.
    pub(crate) fn places(&self) -> &[Place] {
        &self.shared.places
    }

    /// Threads that a worker can have: those of the largest place, where there are several.
    pub(crate) fn most_threads_a_worker(&self) -> usize {
        match self.places() {
            [_] => usize::MAX,
            places => places.iter().filter_map(|place| place.size).max().unwrap_or(1),
        }
    }

    /// Takes a call, and returns before its answers are there: who waits for them polls it. Only where the system starts no
    /// thread they are there already.
    pub(crate) fn submit(&self, call: &Arc<Call>) {
        if call.sequences.is_empty() {
            return;
        }
        if self.process != std::process::id() {
            return run::alone(call);
        }
        let Some(mut state) = self.enqueue(call) else { return };
        let helped = self.shared.call_up(&mut state, false);
        drop(state);
        if !helped {
            self.wait_without_threads(call);
        }
    }

    /// What it has computed, and what waits.
    pub(crate) fn statistics(&self) -> Statistics {
        let waiting_tokens = self.shared.state().queue.waiting_tokens();
        self.shared.counts.statistics(waiting_tokens)
    }

    /// Puts a call among those that wait; `None` if it is over.
    fn enqueue(&self, call: &Arc<Call>) -> Option<MutexGuard<'_, State>> {
        let small = call.tokens <= call.engine.chooser.most_tokens();
        // Outside the lock: a large call takes a while to plan.
        let group = if small { None } else { Some(Group::new(vec![call.clone()], None)?) };
        let mut state = self.shared.state();
        match group {
            Some((group, batches)) => state.queue.push_group(group, batches),
            None => state.queue.push_small(call.clone()),
        }
        Some(state)
    }

    /// The answers of a call, in the order of its sequences. Returns early where the call ends early.
    pub(crate) fn run(&self, call: impl Into<Arc<Call>>) -> Vec<Answer> {
        self.run_listening(&call.into(), &mut Listener::none())
    }

    /// As [`run`](Self::run), while this thread listens to something else too. Where that panics the call ends, and the panic goes
    /// on here.
    pub(crate) fn run_listening(&self, call: &Arc<Call>, listener: &mut Listener<'_>) -> Vec<Answer> {
        let answers = self.answers(call, listener);
        listener.go_on_panicking();
        answers
    }

    fn answers(&self, call: &Arc<Call>, listener: &mut Listener<'_>) -> Vec<Answer> {
        if call.sequences.is_empty() {
            return Vec::new();
        }
        if self.process != std::process::id() {
            run::alone(call);
            return call.wait(listener);
        }
        // It may be over before it began.
        let Some(mut state) = self.enqueue(call) else { return call.wait(listener) };
        // It must not be at other calls' work, or in the middle of its own, when its call ends.
        let quick = call.priority == Priority::Interactive
            && call.tokens <= CALLER_TOKENS
            && call.tokens as u64 * call.engine.macs_of_half_a_layer() <= CALLER_MACS;
        if self.shared.places.len() == 1 && (quick || !call.schedule.can_end_early()) {
            // Until its answers are there, or others go first.
            while !call.is_answered() && !call.is_over() {
                let Some(task) = state.queue.pick(&self.shared, 0, Wanted::Of(call)) else { break };
                self.shared.call_up(&mut state, true);
                drop(state);
                state = self.shared.perform(task, listener);
                if listener.has_panicked() {
                    call.abandon();
                }
            }
        }
        let helped = self.shared.call_up(&mut state, false);
        drop(state);
        if !helped {
            self.wait_without_threads(call);
        }
        call.wait(listener)
    }

    /// Where the system starts no thread, a caller does what there is to do until its call is answered.
    fn wait_without_threads(&self, call: &Arc<Call>) {
        let mut state = self.shared.state();
        // Until it does, or nothing waits.
        while !call.is_answered() && !call.is_over() && !self.shared.call_up(&mut state, false) {
            match state.queue.pick(&self.shared, 0, Wanted::Any) {
                Some(task) => {
                    drop(state);
                    state = self.shared.perform(task, &mut Listener::none());
                }
                None => {
                    drop(state);
                    thread::sleep(std::time::Duration::from_millis(1));
                    state = self.shared.state();
                }
            }
        }
        self.shared.call_up(&mut state, false);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let threads =
            std::mem::take(&mut *self.shared.handles.lock().unwrap_or_else(PoisonError::into_inner));
        if self.process != std::process::id() {
            // A forked child: there is nobody to join.
            threads.into_iter().for_each(std::mem::forget);
            return;
        }
        let mut state = self.shared.state();
        state.stop = true;
        state.idle.iter_mut().flat_map(std::mem::take).for_each(|thread| thread.unpark());
        drop(state);
        for thread in threads {
            // A worker catches what its work throws; it has nothing to say here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// CPUs that a place keeps busy.
    pub(crate) fn size(&self, place: usize) -> usize {
        self.places[place].size.unwrap_or_else(|| self.budget.cpus())
    }

    /// Wakes or starts threads for what could begin now. Whether there are any threads that will come. `computes`: whether
    /// the thread that calls them goes on computing, so that they had better run elsewhere. One that does not calls one
    /// thread, which calls the others, for the same reason: of two that are woken at once, the system puts one behind the
    /// other at times and finds out milliseconds later.
    fn call_up(self: &Arc<Self>, state: &mut State, computes: bool) -> bool {
        self.note(state);
        for place in 0..self.places.len() {
            let wanted = state.queue.could_begin(self, place);
            let called = if computes { wanted } else { wanted.min(1) };
            for _ in 0..called {
                match state.idle[place].pop() {
                    Some(thread) => {
                        let here = threads::current_cpu().filter(|_| computes);
                        self.waker_cpu.store(here.unwrap_or(usize::MAX), Ordering::Relaxed);
                        thread.unpark();
                    }
                    None if state.threads[place] < self.most_threads(place, &state.queue) => {
                        if !self.start(state, place) {
                            break;
                        }
                    }
                    None => break,
                }
            }
        }
        // What waits while callers compute needs somebody to come for it when they are done.
        let alone = state.threads.iter().all(|&threads| threads == 0);
        !alone || state.queue.is_empty() || self.start(state, 0)
    }

    fn start(self: &Arc<Self>, state: &mut State, place: usize) -> bool {
        let shared = self.clone();
        let name = format!("connote-w{}", state.threads.iter().sum::<usize>() + 1);
        match thread::Builder::new().name(name).spawn(move || shared.serve(place)) {
            Ok(thread) => {
                state.threads[place] += 1;
                self.handles.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
                true
            }
            Err(_) => false,
        }
    }

    fn most_threads(&self, place: usize, queue: &Queue) -> usize {
        self.size(place).max(queue.most_workers().div_ceil(self.places.len())).min(threads::MAX_THREADS)
    }

    /// Interactive work that could begin overtakes: what workers on batch work ask for between half layers.
    pub(crate) fn has_overtakers(&self) -> bool {
        self.has_overtakers.load(Ordering::Relaxed)
    }

    /// Runs interactive work that waits, on the thread and the team of batch work that pauses meanwhile; at most for the
    /// time given, and as long as there is any.
    pub(crate) fn overtake(self: &Arc<Self>, place: usize, team: &threads::Team, until: Instant) {
        while Instant::now() < until {
            let mut state = self.state();
            let task = state.queue.pick(self, place, Wanted::Overtaking(team.threads()));
            self.call_up(&mut state, true);
            drop(state);
            let Some(task) = task else { return };
            run::run(self, &task, team);
            let mut state = self.state();
            let ended = state.queue.finish(&task);
            self.call_up(&mut state, true);
            drop(state);
            ended.learn();
        }
    }

    /// A task from beginning to end, on this thread, which listens between half layers; the lock again, after it.
    fn perform(self: &Arc<Self>, task: Task, listener: &mut Listener<'_>) -> MutexGuard<'_, State> {
        {
            let _busy = self.counts.busy();
            let _seat = self.budget.occupy();
            let cpus = self.places[task.place].cpus.as_ref();
            let crew = self.crews.lend(task.place, cpus, task.threads, &self.budget);
            run::run_asking(self, &task, &crew, &mut |_| {
                if listener.is_due() {
                    self.listen(&task, listener);
                }
            });
        }
        let ended = self.state().queue.finish(&task);
        // Without the lock: it takes a while, and what is dropped may be the last that holds a model.
        ended.learn();
        drop(task);
        self.state()
    }

    /// Listens in the middle of a task. What is heard may make a call of its own, or wait for one of another thread: meanwhile
    /// the task's CPUs are free.
    fn listen(self: &Arc<Self>, task: &Task, listener: &mut Listener<'_>) {
        let mut state = self.state();
        state.queue.pause(task);
        self.call_up(&mut state, true);
        drop(state);
        let begin = Instant::now();
        listener.look();
        let spent = begin.elapsed();
        self.state().queue.resume(task, spent);
    }

    /// A thread's life.
    fn serve(self: &Arc<Self>, place: usize) {
        if let Some(cpus) = &self.places[place].cpus {
            // Where the system does not pin, it runs where it may.
            let _ = pin_current_thread(cpus);
        }
        self.counts.new_worker();
        let mut state = self.state();
        while !state.stop {
            match state.queue.pick(self, place, Wanted::Any) {
                Some(task) => {
                    // There may be more than one can do.
                    self.call_up(&mut state, true);
                    drop(state);
                    state = self.perform(task, &mut Listener::none());
                }
                None => {
                    let dropped = state.queue.take_dropped();
                    if !dropped.is_empty() {
                        drop(state);
                        drop(dropped);
                        state = self.state();
                        continue;
                    }
                    // What came free here may be for another place.
                    self.call_up(&mut state, false);
                    let me = thread::current();
                    state.idle[place].push(me.clone());
                    // Whoever wakes it takes it from the list.
                    while !state.stop && state.idle[place].iter().any(|idle| idle.id() == me.id()) {
                        drop(state);
                        thread::park();
                        state = self.state();
                    }
                    // The system likes to wake a thread on its waker's CPU, where that goes on computing.
                    drop(state);
                    step_aside(self.waker_cpu.load(Ordering::Relaxed));
                    state = self.state();
                }
            }
        }
    }

    /// Tells workers on batch work what waits.
    fn note(&self, state: &State) {
        self.has_overtakers.store(state.queue.has_overtakers(), Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where workers run on a machine: a place a NUMA node, each with the workers that belong there; one place without pinning
/// where there is but one node, or where CONNOTE_NUMA is `off`.
pub(crate) fn places(topology: &Topology) -> Vec<Place> {
    let off = std::env::var("CONNOTE_NUMA").is_ok_and(|value| value.eq_ignore_ascii_case("off"));
    let placement = Placement::of(topology, topology.workers(), 1);
    if off || placement.is_trivial() {
        return vec![Place { cpus: None, size: None }];
    }
    let mut nodes: BTreeMap<usize, Place> = BTreeMap::new();
    for worker in placement.workers() {
        let place =
            nodes.entry(worker.node).or_insert(Place { cpus: Some(worker.reach.clone()), size: Some(0) });
        place.size = place.size.map(|size| size + 1);
    }
    nodes.into_values().collect()
}
