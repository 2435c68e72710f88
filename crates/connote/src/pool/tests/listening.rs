//! Callers that listen to something else, and who wakes whom.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::{Call, Listener};
use super::{check, engine, pool, texts, with_token};
use crate::schedule::{CancellationToken, Failure, Schedule};
use crate::tuning::{Policy, Shape, Tuning};

#[test]
fn a_caller_listens_whether_it_computes_or_waits() {
    let (engine, pool) = (engine(2, Tuning::new()), pool(2));
    let me = thread::current().id();
    // One that its caller computes, and one that it waits for.
    for sequences in [texts(5, 1, 40), texts(5, 3000, 40)] {
        let token = CancellationToken::new();
        let call = || Arc::new(Call::new(engine.clone(), sequences.clone(), with_token(&token)));
        let mut heard = 0;
        let mut count = || {
            assert_eq!(thread::current().id(), me);
            heard += 1;
        };
        let before = pool.statistics().callers;
        let answers = pool.run_listening(&call(), &mut Listener::new(Duration::ZERO, &mut count));
        check(&engine, &sequences, answers);
        assert!(heard > 0, "{} texts", sequences.len());
        let computed = pool.statistics().callers > before;
        assert_eq!(computed, sequences.len() == 1, "by its caller: {} texts", sequences.len());
        // Not sooner than asked.
        let mut never = || panic!("an hour has not gone");
        let answers = pool.run_listening(&call(), &mut Listener::new(Duration::from_secs(3600), &mut never));
        check(&engine, &sequences, answers);
        // What it hears may end the call.
        let mut end = || token.cancel();
        let answers = pool.run_listening(&call(), &mut Listener::new(Duration::ZERO, &mut end));
        assert!(answers.contains(&Err(Failure::Cancelled)), "{} texts", sequences.len());
    }
}

#[test]
fn what_is_heard_may_embed_and_wait_for_who_embeds() {
    // One CPU, which the call that listens has.
    let (engine, pool) = (engine(1, Tuning::new()), pool(1));
    let sequences = texts(6, 1, 40);
    let token = CancellationToken::new();
    let call = || Arc::new(Call::new(engine.clone(), sequences.clone(), with_token(&token)));
    let mut times = 0;
    let mut nested = || {
        times += 1;
        if times == 1 {
            check(&engine, &sequences, pool.run(call()));
            thread::scope(|scope| {
                scope.spawn(|| check(&engine, &sequences, pool.run(call())));
            });
        }
    };
    let answers = pool.run_listening(&call(), &mut Listener::new(Duration::ZERO, &mut nested));
    check(&engine, &sequences, answers);
    assert!(times > 0);
    assert_eq!(engine.busy(), 0);
}

#[test]
fn a_listener_that_panics_ends_its_call_and_nothing_else() {
    let (engine, pool) = (engine(1, Tuning::new()), pool(1));
    // One that its caller computes, and one that it waits for.
    for sequences in [texts(5, 1, 40), texts(5, 3000, 40)] {
        let schedule = with_token(&CancellationToken::new());
        let call = Arc::new(Call::new(engine.clone(), sequences, schedule));
        let mut bad = || panic!("of the listener");
        let run = || pool.run_listening(&call, &mut Listener::new(Duration::ZERO, &mut bad));
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("the caller's own panic");
        assert_eq!(panic.downcast_ref(), Some(&"of the listener"));
        assert!(call.is_over() || call.is_answered());
        let others = texts(6, 50, 40);
        check(&engine, &others, pool.run(Call::new(engine.clone(), others.clone(), Schedule::default())));
        while pool.shared.state().queue.waiting_tokens() > 0 {
            thread::yield_now();
        }
    }
    while engine.busy() > 0 {
        thread::yield_now();
    }
}

#[test]
fn what_no_clock_can_hold_is_never() {
    let (engine, pool) = (engine(1, Tuning::new()), pool(1));
    let sequences = texts(5, 1, 40);
    let call = Arc::new(Call::new(engine.clone(), sequences.clone(), Schedule::default()));
    let mut never = || panic!("never");
    check(&engine, &sequences, pool.run_listening(&call, &mut Listener::new(Duration::MAX, &mut never)));
}

#[test]
fn the_first_thread_of_a_call_that_nobody_helps_calls_the_others() {
    let fixed = Tuning::new().policy(Policy::Fixed(Shape::new(2, 1)));
    let (engine, pool) = (engine(2, fixed), pool(2));
    let sequences = texts(7, 3000, 40);
    let waits = Arc::new(Call::new(engine.clone(), sequences.clone(), with_token(&CancellationToken::new())));
    pool.submit(&waits);
    check(&engine, &sequences, waits.wait(&mut Listener::none()));
    assert_eq!(pool.statistics().workers.len(), 2);
}
