//! Which calls that meet are computed together; and the scratch that workers keep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use encoder::Pooling;
use threads::Team;

use super::super::Call;
use super::super::queue::Wanted;
use super::{call, engine, pool, texts, with_token};
use crate::engine::Engine;
use crate::schedule::{CancellationToken, Priority, Schedule};
use crate::tuning::{Policy, Shape, Tuning};

/// Calls of 8 tokens that wait, of which each is another text, and which of them go next together.
fn goes_next(engine: &Arc<Engine>, calls: &[Arc<Call>]) -> Vec<bool> {
    let pool = pool(1);
    let mut state = pool.shared.state();
    calls.iter().for_each(|call| state.queue.push_small(call.clone()));
    let task = state.queue.pick(&pool.shared, 0, Wanted::Any).expect("the CPU is free");
    state.queue.finish(&task);
    assert_eq!(engine.busy(), 0);
    calls.iter().map(|call| task.group.has(call)).collect()
}

fn other_texts(count: u32) -> impl Iterator<Item = Vec<u32>> {
    (0..count).map(|id| (0..8).map(|bit| id >> bit & 1).collect())
}

/// Interactive calls join while that makes their tokens cheaper, those of batch priority while a micro-batch has room.
#[test]
fn calls_that_meet_join_as_far_as_the_choice_says() {
    let engine = engine(1, Tuning::new());
    let joined = |count, priority| {
        let calls: Vec<_> =
            other_texts(count).map(|ids| Arc::new(call(&engine, vec![ids], priority))).collect();
        goes_next(&engine, &calls).into_iter().filter(|&joins| joins).count()
    };
    let (most, some) =
        (engine.chooser.most_tokens() / 8, engine.chooser.most_joined(Priority::Interactive, 8) / 8);
    assert!(2 <= some && some < most);
    assert_eq!(joined(60, Priority::Interactive), some);
    assert_eq!(joined(60, Priority::Batch), 60);
    assert_eq!(joined(100, Priority::Batch), most);
    assert_eq!(joined(100, Priority::Interactive), most, "more wait than a micro-batch holds");
}

/// Calls that nobody wants any more, and those that others equal, keep nobody else from joining.
#[test]
fn what_is_not_computed_takes_no_room_among_calls_that_join() {
    let engine = engine(1, Tuning::new());
    let some = engine.chooser.most_joined(Priority::Interactive, 8) / 8;
    assert!((2..20).contains(&some));
    let one = |ids: Vec<u32>| Arc::new(call(&engine, vec![ids], Priority::Interactive));
    let gone = |ids: Vec<u32>| {
        let call = one(ids);
        call.abandon();
        call
    };
    let count = |joins: &[bool]| joins.iter().filter(|&&joins| joins).count();
    // The same text over and over, then others.
    let mut calls: Vec<_> = (0..21).map(|_| one(vec![1; 8])).collect();
    calls.extend(other_texts(30).map(one));
    let joins = goes_next(&engine, &calls);
    assert_eq!(count(&joins), 21 + some - 1);
    assert!(joins[..21 + some - 1].iter().all(|&joins| joins));
    // The first alone is longer than what joins.
    let long = vec![1; 8 * some + 8];
    let calls = [one(long.clone()), one(vec![2]), one(long.clone()), one(long)];
    assert_eq!(goes_next(&engine, &calls), [true, false, true, true]);
    // Gone before they began, before and behind others; and so many that a backlog would fill a micro-batch.
    let mut calls: Vec<_> = other_texts(1).map(one).collect();
    calls.extend(other_texts(90).skip(1).map(gone));
    calls.extend(other_texts(120).skip(90).map(one));
    let joins = goes_next(&engine, &calls);
    assert_eq!((count(&joins), joins[0]), (some, true));
    assert_eq!(joins[90..].iter().take_while(|&&joins| joins).count(), some - 1);
    let mut calls: Vec<_> = other_texts(21).map(gone).collect();
    calls.extend(other_texts(50).skip(21).map(one));
    let joins = goes_next(&engine, &calls);
    assert_eq!((count(&joins[..21]), count(&joins)), (0, some));
}

/// A call whose time is over is picked first; who goes next is then chosen anew, and not who came behind it.
#[test]
fn a_call_that_is_over_leads_nobody() {
    let (engine, pool) = (engine(1, Tuning::new()), pool(1));
    let due = |ids: Vec<u32>, deadline: Option<Duration>| {
        let deadline = deadline.map(|left| Instant::now() + left);
        let schedule = Schedule { priority: Some(Priority::Interactive), deadline, ..Schedule::default() };
        Arc::new(Call::new(engine.clone(), vec![ids], schedule))
    };
    let mut texts = other_texts(60);
    let late = due(texts.next().expect("many"), Some(Duration::ZERO));
    let others: Vec<_> = texts.by_ref().take(30).map(|ids| due(ids, None)).collect();
    let urgent = due(texts.next().expect("many"), Some(Duration::from_secs(5)));
    let mut state = pool.shared.state();
    for call in [&late].into_iter().chain(&others).chain([&urgent]) {
        state.queue.push_small(call.clone());
    }
    let task = state.queue.pick(&pool.shared, 0, Wanted::Any).expect("the CPU is free");
    assert!(task.group.has(&urgent) && !task.group.has(&late));
}

/// Each of two workers may be overtaken, and then four are in the middle of something.
#[test]
fn scratch_that_was_reserved_is_kept() {
    fn nested(engine: &Engine, depth: usize) {
        let mut below = depth;
        let mut go_on = || {
            if below > 1 {
                nested(engine, depth - 1);
                below = 0;
            }
            true
        };
        engine.run(0, &Team::new(1), [[5u32, 6].as_slice()], &mut go_on).expect("nobody ends it");
    }
    let engine = engine(2, Tuning::new());
    nested(&engine, 7);
    assert_eq!(engine.kept(), 3, "one a CPU, and one for what overtakes");
    engine.reserve(32);
    assert_eq!(engine.kept(), 4);
    nested(&engine, 4);
    assert_eq!(engine.kept(), 4);
    nested(&engine, 7);
    assert_eq!(engine.kept(), 4, "no more than that");
}

/// Scratch has the size of what it was last used for, so that of a long text is not kept; and ways to read the same network out
/// have one scratch.
#[test]
fn scratch_of_what_is_longer_than_most_is_given_back_and_the_rest_shared() {
    let engine = engine(2, Tuning::new());
    let run = |engine: &Engine, count| {
        let sequences = vec![[5u32; 32]; count];
        engine
            .run(0, &Team::new(1), sequences.iter().map(|ids| &ids[..]), &mut || true)
            .expect("nobody ends it");
    };
    run(&engine, 65);
    assert_eq!(engine.kept(), 0);
    run(&engine, 64);
    assert_eq!(engine.kept(), 1);
    run(&engine.with_readout(Pooling::Cls.into()), 1);
    assert_eq!(engine.kept(), 1);
}

#[test]
fn what_waits_is_counted_as_calls_come_join_begin_and_go() {
    let (engine, pool) = (engine(1, Tuning::new().policy(Policy::Fixed(Shape::new(1, 1)))), pool(1));
    let mut state = pool.shared.state();
    let queue = &mut state.queue;
    let token = CancellationToken::new();
    let small = [vec![vec![3; 40]], vec![vec![4; 30]], vec![vec![3; 40], vec![5; 20]]];
    for sequences in small {
        queue.push_small(Arc::new(call(&engine, sequences, Priority::Interactive)));
    }
    queue.push_small(Arc::new(Call::new(engine.clone(), vec![vec![6; 7]], with_token(&token))));
    let large = Arc::new(call(&engine, texts(1, 300, 40), Priority::Batch));
    let (group, batches) = super::super::Group::new(vec![large.clone()], None).expect("wanted");
    queue.push_group(group, batches);
    assert_eq!(queue.waiting_tokens(), 40 + 30 + 60 + 7 + distinct(&large.sequences));
    assert!(queue.has_overtakers());
    token.cancel();
    let (mut begun, mut left) = (0, queue.waiting_tokens());
    while let Some(task) = queue.pick(&pool.shared, 0, Wanted::Any) {
        begun += task.batch.iter().map(|&job| task.group.ids(job).len()).sum::<usize>();
        assert!(queue.waiting_tokens() < left);
        left = queue.waiting_tokens();
        queue.finish(&task);
    }
    assert!(!queue.has_overtakers());
    // What was asked for twice was computed once, and what was cancelled never.
    assert_eq!((left, begun), (0, 40 + 30 + 20 + distinct(&large.sequences)));
}

/// Tokens of sequences, each distinct one once.
fn distinct(sequences: &[Vec<u32>]) -> usize {
    sequences.iter().collect::<std::collections::HashSet<_>>().into_iter().map(Vec::len).sum()
}
