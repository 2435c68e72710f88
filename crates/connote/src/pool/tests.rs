//! The pool with tiny models: every call gets its answers, whatever happens to others.

mod joining;
mod listening;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use encoder::{Encoder, Pooling};
use gguf::Gguf;
use kernels::{Kernels, Level};
use testkit::{random::Random, tiny};
use threads::{Budget, CpuSet, Team, Topology};

use super::queue::{Queue, Wanted};
use super::{Answer, Call, Place, Pool, places};
use crate::engine::Engine;
use crate::schedule::{CancellationToken, Failure, Priority, Schedule};
use crate::tuning::{Chooser, CostModel, Policy, Preset, Shape, Tuning};

fn network(bytes: Vec<u8>) -> Encoder {
    let gguf = Gguf::from_bytes(bytes).expect("a tiny model opens");
    let kernels = Kernels::of(Level::chosen().expect("a level")).expect("a level that is there");
    Encoder::load(&gguf, kernels, &Team::new(1)).expect("it loads")
}

fn engine(cpus: usize, tuning: Tuning) -> Arc<Engine> {
    let chooser = Chooser::new(cpus, tuning, CostModel::unmeasured(cpus, 1_000_000, 6));
    Arc::new(Engine::new(vec![network(tiny::bert(1))], Pooling::Mean, chooser, cpus, 1))
}

/// A pool with one place of so many CPUs.
fn pool(cpus: usize) -> Pool {
    Pool::new(Arc::new(Budget::new(cpus)), vec![Place { cpus: None, size: None }])
}

/// Not in the vocabulary: the network panics on it.
const POISON: u32 = 1 << 30;

fn ids(random: &mut Random, most: usize) -> Vec<u32> {
    let count = 1 + random.below(most);
    (0..count).map(|_| random.below(20) as u32).collect()
}

fn texts(seed: u64, count: usize, most: usize) -> Vec<Vec<u32>> {
    let mut random = Random::seeded(seed);
    (0..count).map(|_| ids(&mut random, most)).collect()
}

fn alone(engine: &Engine, sequence: &[u32]) -> Vec<f32> {
    engine.run(0, &Team::new(1), [sequence], &mut || true).expect("nobody ends it").remove(0)
}

fn check(engine: &Engine, sequences: &[Vec<u32>], answers: Vec<Answer>) {
    assert_eq!(answers.len(), sequences.len());
    for (sequence, answer) in sequences.iter().zip(answers) {
        assert_eq!(answer, Ok(alone(engine, sequence)), "the same bits as alone, in its own place");
    }
}

fn call(engine: &Arc<Engine>, sequences: Vec<Vec<u32>>, priority: Priority) -> Call {
    Call::new(engine.clone(), sequences, Schedule { priority: Some(priority), ..Schedule::default() })
}

fn with_token(token: &CancellationToken) -> Schedule {
    let priority = Some(Priority::Interactive);
    Schedule { priority, cancellation: Some(token.clone()), ..Schedule::default() }
}

#[test]
fn every_policy_worker_and_thread_count_gives_the_same_bits() {
    let sequences = texts(1, 300, 40);
    let mut tunings: Vec<Tuning> = [Policy::Table, Policy::CostModel, Policy::Adaptive]
        .into_iter()
        .map(|policy| Tuning::new().policy(policy))
        .collect();
    for (workers, threads) in [(1, 1), (1, 2), (2, 1), (3, 2), (8, 1), (1, 7)] {
        tunings.push(Tuning::new().policy(Policy::Fixed(Shape::new(workers, threads))));
    }
    tunings.extend([Preset::Latency, Preset::Throughput].map(|preset| Tuning::new().preset(preset)));
    for cpus in [1, 2, 5] {
        let pool = pool(cpus);
        for &tuning in &tunings {
            let engine = engine(cpus, tuning);
            for count in [1, 3, 300] {
                let some = sequences[..count].to_vec();
                check(&engine, &some, pool.run(call(&engine, some.clone(), Priority::Batch)));
            }
            assert_eq!(engine.busy(), 0);
        }
    }
}

#[test]
fn equal_texts_are_computed_once_and_answered_each() {
    let engine = engine(2, Tuning::new());
    let one = Arc::new(call(&engine, vec![vec![7, 8], vec![9], vec![7, 8]], Priority::Batch));
    let two = Arc::new(call(&engine, vec![vec![9], vec![7, 8, 9]], Priority::Batch));
    let (group, batches) = super::Group::new(vec![one, two], None).expect("wanted");
    let jobs: usize = batches.iter().map(Vec::len).sum();
    assert_eq!(jobs, 3);
    let mut distinct: Vec<&[u32]> = (0..3).map(|job| group.ids(job)).collect();
    distinct.sort();
    assert_eq!(distinct, [&[7, 8][..], &[7, 8, 9], &[9]]);
    // And over the pool: many times the same.
    let sequences: Vec<Vec<u32>> = (0..2000).map(|at| vec![at % 3, 4]).collect();
    check(&engine, &sequences, pool(2).run(call(&engine, sequences.clone(), Priority::Batch)));
}

/// As `Shape::new` makes none.
#[test]
fn a_shape_of_nothing_is_one_worker() {
    let (engine, sequences) = (engine(2, Tuning::new()), texts(1, 20, 40));
    let shape = Some(Shape { workers: 0, threads: 0 });
    let call = Call::new(engine.clone(), sequences.clone(), Schedule { shape, ..Schedule::default() });
    check(&engine, &sequences, pool(2).run(call));
}

#[test]
fn no_texts_are_no_answers() {
    let engine = engine(2, Tuning::new());
    assert_eq!(pool(2).run(call(&engine, Vec::new(), Priority::Interactive)), Vec::new());
}

#[test]
fn a_panic_costs_its_own_text() {
    let (engine, pool) = (engine(2, Tuning::new()), pool(2));
    let mut sequences = texts(2, 200, 30);
    sequences[77] = vec![3, POISON];
    let answers = pool.run(call(&engine, sequences.clone(), Priority::Batch));
    for (at, (sequence, answer)) in sequences.iter().zip(answers).enumerate() {
        match at {
            77 => assert!(matches!(answer, Err(Failure::Panicked(message)) if message.contains("not below"))),
            _ => assert_eq!(answer, Ok(alone(&engine, sequence))),
        }
    }
}

#[test]
fn an_ended_call_says_why_and_its_work_stops() {
    let (engine, pool) = (engine(2, Tuning::new()), pool(2));
    let sequences = texts(3, 5000, 40);
    let token = CancellationToken::new();
    let with = |token: Option<&CancellationToken>, deadline| {
        let priority = Some(Priority::Batch);
        let schedule = Schedule { priority, deadline, cancellation: token.cloned(), ..Schedule::default() };
        Call::new(engine.clone(), sequences.clone(), schedule)
    };
    // Before it begins.
    token.cancel();
    for answer in pool.run(with(Some(&token), None)) {
        assert_eq!(answer, Err(Failure::Cancelled));
    }
    for answer in pool.run(with(None, Some(Instant::now()))) {
        assert_eq!(answer, Err(Failure::Late));
    }
    // On its way, as soon as it has begun: what is there is given, what is not says why.
    let token = CancellationToken::new();
    let (elsewhere, watched) = (token.clone(), engine.clone());
    let canceller = thread::spawn(move || {
        let begin = Instant::now();
        while watched.busy() == 0 && begin.elapsed() < Duration::from_secs(30) {
            thread::yield_now();
        }
        elsewhere.cancel();
    });
    let answers = pool.run(with(Some(&token), None));
    canceller.join().expect("no panic");
    assert!(answers.contains(&Err(Failure::Cancelled)));
    for (sequence, answer) in sequences.iter().zip(answers) {
        assert!(answer == Err(Failure::Cancelled) || answer == Ok(alone(&engine, sequence)));
    }
    // Its workers stop soon, and the pool is as before.
    while engine.busy() > 0 {
        thread::yield_now();
    }
    let some = sequences[..9].to_vec();
    check(&engine, &some, pool.run(call(&engine, some.clone(), Priority::Interactive)));
}

#[test]
fn others_of_a_joined_call_do_not_suffer_when_one_is_cancelled() {
    let engine = engine(1, Tuning::new());
    let token = CancellationToken::new();
    let gone = Call::new(engine.clone(), vec![vec![5], vec![6]], with_token(&token));
    let (gone, stays) =
        (Arc::new(gone), Arc::new(call(&engine, vec![vec![6], vec![7]], Priority::Interactive)));
    let (group, batches) = super::Group::new(vec![gone.clone(), stays.clone()], None).expect("wanted");
    token.cancel();
    let wanted: Vec<&[u32]> = (0..3).filter(|&job| group.is_wanted(job)).map(|job| group.ids(job)).collect();
    assert_eq!(wanted, [&[6], &[7]], "nobody else wants 5");
    assert_eq!(batches.len(), 1);
    assert!(super::Group::new(vec![gone], None).is_none(), "a group of nothing wanted");
}

/// Who runs, by priority: batch work holds the only CPU, and what comes meanwhile is interactive.
#[test]
fn interactive_work_overtakes_batch_work_that_has_begun() {
    let engine = engine(1, Tuning::new().policy(Policy::Fixed(Shape::new(1, 1))));
    let pool = Arc::new(pool(1));
    // One micro-batch: all of it has begun, or none.
    let bulk = Arc::new(call(&engine, vec![vec![3; 40]; 1], Priority::Batch));
    let shared = pool.shared.clone();
    let mut state = shared.state();
    state.queue.push_small(bulk.clone());
    let task = state.queue.pick(&shared, 0, Wanted::Any).expect("the CPU is free");
    assert!(state.queue.pick(&shared, 0, Wanted::Any).is_none());
    drop(state);
    let query = {
        let (pool, engine) = (pool.clone(), engine.clone());
        thread::spawn(move || pool.run(call(&engine, vec![vec![7]], Priority::Interactive)))
    };
    while !shared.has_overtakers() {
        thread::yield_now();
    }
    // The first look between half layers finds it.
    let mut looked = 0;
    super::run::run_asking(&shared, &task, &Team::new(1), &mut |_| {
        looked += 1;
        if looked == 2 {
            assert!(!bulk.is_answered());
            assert!(!shared.has_overtakers(), "it was answered in the middle of the batch work");
        }
    });
    assert!(looked > 2);
    shared.state().queue.finish(&task);
    check(&engine, &[vec![7]], query.join().expect("no panic"));
    assert!(bulk.is_answered());
    assert_eq!(engine.busy(), 0);
}

#[test]
fn calls_of_one_priority_take_turns() {
    let engine = engine(1, Tuning::new().policy(Policy::Fixed(Shape::new(1, 1))));
    let pool = pool(1);
    let mut state = pool.shared.state();
    let calls: Vec<Arc<Call>> =
        (1..3).map(|seed| Arc::new(call(&engine, texts(seed, 300, 40), Priority::Batch))).collect();
    for call in &calls {
        let (group, batches) = super::Group::new(vec![call.clone()], None).expect("wanted");
        assert!(batches.len() > 4);
        state.queue.push_group(group, batches);
    }
    let mut turns = Vec::new();
    for _ in 0..6 {
        let task = state.queue.pick(&pool.shared, 0, Wanted::Any).expect("there is more");
        turns.push(usize::from(task.group.has(&calls[1])));
        state.queue.finish(&task);
    }
    assert_eq!(turns, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn never_more_cpus_than_there_are_unless_asked_for_by_number() {
    let shared = &pool(3).shared;
    let begin = |shapes: &[(usize, usize)]| {
        let mut queue = Queue::new(1);
        for &(workers, threads) in shapes {
            let engine = engine(3, Tuning::new().policy(Policy::Fixed(Shape::new(workers, threads))));
            let call = Arc::new(call(&engine, texts(1, 600, 40), Priority::Batch));
            let (group, batches) = super::Group::new(vec![call], None).expect("wanted");
            queue.push_group(group, batches);
        }
        let mut tasks = Vec::new();
        while let Some(task) = queue.pick(shared, 0, Wanted::Any) {
            tasks.push(task);
        }
        let threads: Vec<usize> = tasks.iter().map(|task| task.threads).collect();
        for task in &tasks {
            queue.finish(task);
            assert!(task.group.engine().busy() <= 8);
        }
        assert!(tasks.iter().all(|task| task.group.engine().busy() == 0), "all given back");
        threads
    };
    assert_eq!(begin(&[(2, 1)]), [1, 1]);
    assert_eq!(begin(&[(1, 3)]), [3]);
    // Two calls share what there is, those that begin later have what is left.
    assert_eq!(begin(&[(2, 1), (2, 1)]), [1, 1, 1]);
    assert_eq!(begin(&[(1, 2), (1, 2)]), [2, 1]);
    // By number, alone: as many as asked for.
    assert_eq!(begin(&[(5, 1)]), [1; 5]);
    assert_eq!(begin(&[(2, 4)]), [4, 4]);
}

/// Two places, as a machine with two nodes has, each on a CPU of its own where there are two. The copies differ here, so
/// that it shows whose weights were used.
#[test]
fn workers_of_two_nodes_share_the_work_and_each_has_its_weights() {
    let cpus: Vec<usize> = Topology::detect().core_cpus().iter().take(2).collect();
    let place = |at: usize| {
        let cpu: CpuSet = cpus.iter().copied().skip(at % cpus.len()).take(1).collect();
        Place { cpus: Some(cpu), size: Some(1) }
    };
    let pool = Pool::new(Arc::new(Budget::new(2)), vec![place(0), place(1)]);
    assert_eq!(pool.most_threads_a_worker(), 1);
    let tuning = Tuning::new().policy(Policy::Fixed(Shape::new(2, 1)));
    let chooser = Chooser::new(2, tuning, CostModel::unmeasured(2, 1_000_000, 6));
    let copies = vec![network(tiny::bert(1)), network(tiny::bert(2))];
    let engine = Arc::new(Engine::new(copies, Pooling::Mean, chooser, 2, 2));
    let sequences = texts(5, 300, 40);
    let on = |node: usize| -> Vec<Vec<f32>> {
        let ids = sequences.iter().map(Vec::as_slice);
        engine.run(node, &Team::new(1), ids, &mut || true).expect("nobody ends it")
    };
    let copies = [on(0), on(1)];
    let mut used = [0; 2];
    // Which worker takes what is not ours to say; over some calls both take something.
    for _ in 0..200 {
        let answers = pool.run(call(&engine, sequences.clone(), Priority::Batch));
        for (at, answer) in answers.into_iter().enumerate() {
            let rows = answer.expect("rows");
            let node = usize::from(rows != copies[0][at]);
            assert_eq!(rows, copies[node][at]);
            used[node] += 1;
        }
        if used.iter().all(|&used| used > 0) {
            break;
        }
    }
    assert!(used.iter().all(|&used| used > 0), "{used:?}");
    assert_eq!(pool.shared.state().threads, [1, 1], "a worker a node");
}

#[test]
fn a_place_a_node_with_its_cores_and_one_without_pinning_where_there_is_one_node() {
    let machine = |nodes: &[&str]| {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: String, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("sys/devices/system/cpu/online".to_owned(), "0-7\n");
        write("proc/self/status".to_owned(), "Cpus_allowed_list:\t0-6\n");
        for (node, cpus) in nodes.iter().enumerate() {
            write(format!("sys/devices/system/node/node{node}/cpulist"), cpus);
        }
        places(&Topology::from_root(root.path()))
    };
    let of = |cpus: &str, size| Place { cpus: Some(CpuSet::parse(cpus).expect("a list")), size: Some(size) };
    assert_eq!(machine(&["0-3\n", "4-7\n"]), [of("0-3", 4), of("4-6", 3)]);
    assert_eq!(machine(&["0-7\n"]), [Place { cpus: None, size: None }]);
    assert_eq!(machine(&["0-7\n", "\n"]), [Place { cpus: None, size: None }], "a node of memory alone");
}

/// Callers that compute their own calls wait for their turn as all others do.
#[test]
fn a_caller_at_work_lets_others_have_their_turn() {
    let engine = engine(1, Tuning::new().policy(Policy::Fixed(Shape::new(1, 1))));
    let pool = pool(1);
    let (own, other) = (texts(1, 300, 40), texts(2, 300, 40));
    let calls = [own, other].map(|texts| Arc::new(call(&engine, texts, Priority::Batch)));
    let mut state = pool.shared.state();
    for call in &calls {
        let (group, batches) = super::Group::new(vec![call.clone()], None).expect("wanted");
        state.queue.push_group(group, batches);
    }
    let first = state.queue.pick(&pool.shared, 0, Wanted::Of(&calls[0])).expect("it came first");
    state.queue.finish(&first);
    assert!(state.queue.pick(&pool.shared, 0, Wanted::Of(&calls[0])).is_none(), "not twice in turn");
    let second =
        state.queue.pick(&pool.shared, 0, Wanted::Of(&calls[1])).expect("now it is the other's turn");
    // Interactive work goes before both.
    state.queue.finish(&second);
    state.queue.push_small(Arc::new(call(&engine, vec![vec![4]], Priority::Interactive)));
    assert!(state.queue.pick(&pool.shared, 0, Wanted::Of(&calls[0])).is_none());
}

/// A wide shape by number must not fill up again and again what a narrow one waits for.
#[test]
fn a_wide_shape_leaves_turns_to_narrow_ones() {
    let wide = engine(1, Tuning::new().policy(Policy::Fixed(Shape::new(4, 1))));
    let narrow = engine(1, Tuning::new());
    let pool = pool(1);
    let mut state = pool.shared.state();
    let (group, batches) =
        super::Group::new(vec![Arc::new(call(&wide, texts(1, 900, 40), Priority::Batch))], None)
            .expect("wanted");
    state.queue.push_group(group, batches);
    let mut running: Vec<_> = std::iter::from_fn(|| state.queue.pick(&pool.shared, 0, Wanted::Any)).collect();
    assert_eq!(running.len(), 4);
    state.queue.push_small(Arc::new(call(&narrow, vec![vec![3; 40]; 2], Priority::Batch)));
    // The wide one came first and has one turn more; after that it is the other's.
    let mut turns = Vec::new();
    for _ in 0..2 {
        state.queue.finish(&running.remove(0));
        let next = state.queue.pick(&pool.shared, 0, Wanted::Any).expect("a worker is free");
        turns.push(Arc::ptr_eq(next.group.engine(), &narrow));
        running.push(next);
    }
    assert_eq!(turns, [false, true]);
}

/// What can end early and meets others is left to the pool's threads.
#[test]
fn a_caller_that_may_leave_does_not_compute_others_texts() {
    let (engine, pool) = (engine(1, Tuning::new()), pool(1));
    let token = CancellationToken::new();
    let leaves = Call::new(engine.clone(), vec![vec![5]], with_token(&token));
    let (leaves, stays) = (Arc::new(leaves), Arc::new(call(&engine, vec![vec![6]], Priority::Interactive)));
    let mut state = pool.shared.state();
    state.queue.push_small(leaves.clone());
    state.queue.push_small(stays.clone());
    assert!(state.queue.pick(&pool.shared, 0, Wanted::Of(&leaves)).is_none());
    let task = state.queue.pick(&pool.shared, 0, Wanted::Any).expect("for a thread of the pool");
    assert!(task.group.has(&leaves) && task.group.has(&stays), "together");
}

/// Until the pool has threads, callers compute; what waits for them must not be forgotten.
#[test]
fn a_call_that_finds_all_cpus_taken_by_callers_has_somebody_come_for_it() {
    let engine = engine(1, Tuning::new());
    let pool = Arc::new(pool(1));
    // A caller at work, before there is any thread.
    let mut state = pool.shared.state();
    let first = Arc::new(call(&engine, vec![vec![5]], Priority::Interactive));
    state.queue.push_small(first.clone());
    let task = state.queue.pick(&pool.shared, 0, Wanted::Of(&first)).expect("the CPU is free");
    drop(state);
    let second = {
        let (pool, engine) = (pool.clone(), engine.clone());
        thread::spawn(move || pool.run(call(&engine, vec![vec![6]], Priority::Interactive)))
    };
    let begin = Instant::now();
    while pool.shared.state().threads != [1] && begin.elapsed() < Duration::from_secs(30) {
        thread::yield_now();
    }
    assert_eq!(pool.shared.state().threads, [1]);
    // The caller is done, and says so as callers do.
    super::run::run(&pool.shared, &task, &Team::new(1));
    let mut state = pool.shared.state();
    state.queue.finish(&task).learn();
    pool.shared.call_up(&mut state, false);
    drop(state);
    check(&engine, &[vec![6]], second.join().expect("no panic"));
}

#[test]
fn a_shape_that_was_set_stays_where_calls_meet_for_throughput() {
    let shape = Shape::new(1, 2);
    let fixed = Tuning::new().preset(Preset::Throughput).policy(Policy::Fixed(shape));
    for (tuning, meets) in [(fixed, shape), (Tuning::new().preset(Preset::Throughput), Shape::new(1, 1))] {
        let (engine, pool) = (engine(2, tuning), pool(2));
        let mut state = pool.shared.state();
        for id in 4..6 {
            state.queue.push_small(Arc::new(call(&engine, vec![vec![id]], Priority::Interactive)));
        }
        let task = state.queue.pick(&pool.shared, 0, Wanted::Any).expect("CPUs are free");
        assert_eq!(task.group.shape, meets);
    }
}

/// Ten thousand calls of eight threads, with cancellations, deadlines and panics: every call gets its answer or its error,
/// and memory stays flat. In a process of its own, since other tests' memory would be counted too.
#[test]
fn ten_thousand_calls_with_cancellations_and_panics() {
    const ALONE: &str = "CONNOTE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        // Hundreds of panics are meant; their backtraces would be most of the memory.
        std::panic::set_hook(Box::new(|panic| {
            if !panic.to_string().contains("not below") {
                eprintln!("{panic}");
            }
        }));
        return ten_thousand_calls();
    }
    let mut alone = std::process::Command::new(std::env::current_exe().expect("this test's program"));
    alone.args(["--exact", "pool::tests::ten_thousand_calls_with_cancellations_and_panics", "--nocapture"]);
    let output = alone.env(ALONE, "1").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn ten_thousand_calls() {
    let (engine, pool) = (engine(2, Tuning::new()), pool(2));
    let answered = AtomicUsize::new(0);
    let watched = AtomicBool::new(true);
    let mut memory = (0, 0);
    thread::scope(|scope| {
        let begin = Instant::now();
        let callers: Vec<_> = (0..8u64)
            .map(|caller| {
                let (engine, pool, answered) = (&engine, &pool, &answered);
                scope.spawn(move || {
                    let mut random = Random::seeded(caller);
                    for _ in 0..1250 {
                        one_call(engine, pool, &mut random);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let (watched, answered) = (&watched, &answered);
        let watch = scope.spawn(move || {
            let mut after_a_second = None;
            while watched.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
                let far = begin.elapsed() > Duration::from_secs(1) || answered.load(Ordering::Relaxed) > 5000;
                if after_a_second.is_none() && far {
                    after_a_second = resident();
                }
            }
            (after_a_second, resident())
        });
        callers.into_iter().for_each(|caller| caller.join().expect("a caller's own check failed"));
        watched.store(false, Ordering::Relaxed);
        if let (Some(first), Some(last)) = watch.join().expect("no panic") {
            memory = (first, last);
        }
    });
    assert_eq!(answered.into_inner(), 10_000);
    while engine.busy() > 0 {
        thread::yield_now();
    }
    assert!(pool.shared.state().queue.is_empty());
    let (first, last) = memory;
    assert!(first > 0 || !cfg!(target_os = "linux"), "memory was not looked at");
    assert!(last <= first + (5 << 20), "resident memory grew from {first} to {last}");
}

fn one_call(engine: &Arc<Engine>, pool: &Pool, random: &mut Random) {
    let count = [1, 1, 2, 5, 30, 90][random.below(6)];
    let mut sequences: Vec<Vec<u32>> = (0..count).map(|_| ids(random, 30)).collect();
    let poisoned = (random.below(20) == 0).then(|| random.below(count));
    if let Some(at) = poisoned {
        sequences[at].push(POISON);
    }
    let priority = if random.below(3) == 0 { Priority::Batch } else { Priority::Interactive };
    let token = (random.below(4) == 0).then(CancellationToken::new);
    let deadline =
        (random.below(8) == 0).then(|| Instant::now() + Duration::from_micros(random.below(3000) as u64));
    let schedule =
        Schedule { priority: Some(priority), deadline, cancellation: token.clone(), ..Schedule::default() };
    let call = Call::new(engine.clone(), sequences.clone(), schedule);
    let canceller = token.clone().filter(|_| random.below(2) == 0).map(|token| {
        let wait = Duration::from_micros(random.below(2000) as u64);
        thread::spawn(move || {
            thread::sleep(wait);
            token.cancel();
        })
    });
    let answers = pool.run(call);
    if let Some(canceller) = canceller {
        canceller.join().expect("no panic");
    }
    assert_eq!(answers.len(), count);
    for (at, (sequence, answer)) in sequences.iter().zip(answers).enumerate() {
        match answer {
            Ok(rows) => {
                assert_ne!(poisoned, Some(at));
                // Not every one, or the test would be about this.
                if random.below(16) == 0 {
                    assert_eq!(rows, alone(engine, sequence));
                }
            }
            Err(Failure::Cancelled) => assert!(token.is_some()),
            Err(Failure::Late) => assert!(deadline.is_some()),
            Err(Failure::Panicked(_)) => assert_eq!(poisoned, Some(at)),
        }
    }
}

/// Bytes in memory, where the system says.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse::<usize>().ok().map(|kilobytes| kilobytes << 10)
}
