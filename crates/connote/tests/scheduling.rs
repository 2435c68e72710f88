//! Workers, threads, priorities and ends of calls, with real embeddings of the committed model.

use std::thread;
use std::time::{Duration, Instant};

use connote::{
    CancellationToken, Embedder, Embedding, ErrorKind, Parallelism, Policy, Preset, Priority, Request, Shape,
    Tuning,
};
use testkit::models;

fn minilm(threads: usize) -> Embedder {
    Embedder::builder().threads(threads).open(models::builtin()).expect("the committed model opens")
}

/// Texts of some 5 to 40 tokens, no two alike.
fn texts(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{at} {}", "the cat sat on a mat and slept ".repeat(at % 5 + 1))).collect()
}

fn check(embedder: &Embedder, texts: &[String], alone: &[Embedding]) {
    let lengths: Vec<usize> = alone[..texts.len()].iter().map(|one| one.tokens).collect();
    let plan = embedder.explain(&lengths);
    assert!(plan.shape.workers <= texts.len().max(1), "{plan}");
    let embeddings = embedder.embed(texts).expect("vectors");
    assert_eq!(embeddings, alone[..texts.len()], "{plan}");
}

#[test]
fn automatic_choice_end_to_end_with_real_embeddings() {
    let (embedder, texts) = (minilm(2), texts(48));
    let alone: Vec<Embedding> =
        texts.iter().map(|text| embedder.embed_one(text).expect("a vector")).collect();
    for policy in [Policy::Adaptive, Policy::CostModel, Policy::Table] {
        for preset in [Preset::Balanced, Preset::Latency, Preset::Throughput] {
            embedder.set_tuning(Tuning::new().policy(policy).preset(preset));
            for batch in [1, 4, 5, 16, 17, 48] {
                check(&embedder, &texts[..batch], &alone);
            }
        }
    }
    // Often enough that every shape is tried.
    embedder.set_tuning(Tuning::new());
    for _ in 0..12 {
        check(&embedder, &texts[..8], &alone);
    }
}

#[test]
fn an_explicit_count_overrides_the_choice_and_keeps_the_bits() {
    let (embedder, texts) = (minilm(2), texts(24));
    let alone: Vec<Embedding> =
        texts.iter().map(|text| embedder.embed_one(text).expect("a vector")).collect();
    for shape in [Shape::new(1, 1), Shape::new(1, 2), Shape::new(2, 1), Shape::new(4, 1), Shape::new(3, 3)] {
        embedder.set_tuning(Tuning::new().policy(Policy::Fixed(shape)));
        assert_eq!(embedder.explain(&[40; 24]).shape, shape);
        assert_eq!(embedder.explain(&[40; 2]).shape.workers, shape.workers.min(2), "never more than texts");
        check(&embedder, &texts, &alone);
    }
    // The old DisableMatmulParallel, and its opposite.
    embedder.set_tuning(Tuning::new().parallelism(Parallelism::Texts));
    assert_eq!(embedder.explain(&[40; 24]).shape.threads, 1);
    embedder.set_tuning(Tuning::new().parallelism(Parallelism::Matmul));
    assert_eq!(embedder.explain(&[40; 24]).shape.workers, 1);
    for threads in [1, 3] {
        let other = minilm(threads);
        assert_eq!(other.threads(), threads);
        assert!(other.explain(&[40; 24]).shape.cpus() <= threads);
        check(&other, &texts, &alone);
    }
}

#[test]
fn a_cancelled_call_has_errors_for_what_was_not_computed() {
    let (embedder, texts) = (minilm(2), texts(200));
    let token = CancellationToken::new();
    token.cancel();
    let error = embedder.embed(Request::new(&texts).cancellation(&token)).expect_err("cancelled");
    assert_eq!((error.kind(), error.index()), (ErrorKind::Cancelled, Some(0)));
    assert!(error.to_string().contains("cancelled"), "{error}");
    // One that nobody cancels changes nothing.
    let idle = CancellationToken::new();
    let request = Request::new(&texts[..9]).cancellation(&idle).timeout(Duration::MAX);
    assert_eq!(embedder.embed(request).expect("vectors"), embedder.embed(&texts[..9]).expect("vectors"));
    // From another thread, on the way.
    let token = CancellationToken::new();
    let elsewhere = token.clone();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        elsewhere.cancel();
    });
    let long: Vec<String> = (0..2000).map(|at| format!("{at} {}", "cats and mats ".repeat(60))).collect();
    let results = embedder.embed_each(Request::new(&long).cancellation(&token)).expect("results");
    canceller.join().expect("no panic");
    assert_eq!(results.len(), long.len());
    assert!(results.iter().any(|one| one.as_ref().is_err_and(|error| error.kind() == ErrorKind::Cancelled)));
    assert!(results.iter().all(|one| one.as_ref().is_ok_and(|one| one.vector.len() == 384)
        || one.as_ref().is_err_and(|error| error.kind() == ErrorKind::Cancelled)));
}

#[test]
fn a_deadline_ends_a_call() {
    let (embedder, texts) = (minilm(2), texts(3));
    let late = Request::new(&texts).deadline(Instant::now());
    let error = embedder.embed(late).expect_err("late");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    let long: Vec<String> = (0..2000).map(|at| format!("{at} {}", "cats and mats ".repeat(60))).collect();
    let results =
        embedder.embed_each(Request::new(&long).timeout(Duration::from_millis(100))).expect("results");
    let late = |one: &Result<Embedding, connote::Error>| {
        one.as_ref().is_err_and(|error| error.kind() == ErrorKind::DeadlineExceeded)
    };
    assert!(results.iter().any(late));
    assert!(results.iter().all(|one| one.is_ok() || late(one)));
    let in_time = Request::new(&texts).timeout(Duration::from_secs(600));
    assert_eq!(embedder.embed(in_time).expect("vectors"), embedder.embed(&texts).expect("vectors"));
}

#[test]
fn bulk_work_and_queries_of_many_threads_all_get_their_own_vectors() {
    let (embedder, texts) = (minilm(2), texts(150));
    let alone: Vec<Embedding> =
        texts.iter().map(|text| embedder.embed_one(text).expect("a vector")).collect();
    thread::scope(|scope| {
        for caller in 0..6usize {
            let (embedder, texts, alone) = (&embedder, &texts, &alone);
            scope.spawn(move || {
                if caller < 2 {
                    let request = Request::new(texts).priority(Priority::Batch);
                    assert_eq!(embedder.embed(request).expect("vectors"), *alone);
                    return;
                }
                for call in 0..10 {
                    let at = (caller * 31 + call * 7) % texts.len();
                    let request = Request::new([&texts[at]]).priority(Priority::Interactive);
                    assert_eq!(embedder.embed(request).expect("a vector"), alone[at..=at]);
                }
            });
        }
    });
}

#[test]
fn an_explanation_says_the_machine_the_plan_and_why() {
    let embedder = minilm(2);
    let said = embedder.explain(&[50; 64]).to_string();
    for part in [
        "machine",
        "core",
        "cgroup quota",
        "level",
        "policy adaptive",
        "64 texts, 3200 tokens",
        "plan",
        "why",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    assert!(embedder.explain(&[]).to_string().contains("0 texts"));
}
