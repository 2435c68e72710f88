//! The team under stress: more threads than CPUs, panics, nesting, many callers, a small budget.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use connote_threads::{
    Budget, CpuSet, MAX_THREADS, Pinning, Team, TeamOptions, Topology, pin_current_thread,
};

/// A team whose members all have a CPU, however few this machine has.
fn team(threads: usize) -> Team {
    limited(threads, threads)
}

fn limited(threads: usize, cpus: usize) -> Team {
    Team::with(TeamOptions { threads, budget: Some(Arc::new(Budget::new(cpus))), ..TeamOptions::default() })
        .expect("a team")
}

/// Runs a call and checks that every part was run once.
fn check(team: &Team, parts: usize) {
    let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
    team.run(parts, &|part| {
        counts[part].fetch_add(1, Relaxed);
    });
    assert!(counts.iter().all(|count| count.load(Relaxed) == 1), "{counts:?}");
}

#[test]
fn every_part_once() {
    for threads in 1..=8 {
        let team = team(threads);
        assert_eq!(team.threads(), threads);
        for parts in (0..40).chain([1000, 100_000]) {
            check(&team, parts);
        }
    }
}

#[test]
fn a_million_calls() {
    for threads in [2, 3, 8] {
        let team = team(threads);
        let calls = 1_000_000 / threads;
        let _pass = (threads == 2).then(|| team.pass());
        for call in 0..calls {
            // Local to one call, and plain memory: a member that came late would write into a dead frame.
            let mut cells = [0usize; 4];
            let slots = cells.each_mut().map(Mutex::new);
            team.run(4, &|part| **slots[part].try_lock().expect("one thread a part") += call + part);
            assert_eq!(cells, [call, call + 1, call + 2, call + 3]);
        }
    }
}

#[test]
fn members_take_part() {
    // A part waits for all others, so the call ends only if every thread of the team has come.
    for threads in [2, 4, 8] {
        let team = team(threads);
        for _ in 0..200 {
            let all = Barrier::new(threads);
            let seen = Mutex::new(HashSet::new());
            team.run(threads, &|_| {
                seen.lock().unwrap().insert(thread::current().id());
                all.wait();
            });
            assert_eq!(seen.into_inner().unwrap().len(), threads);
        }
    }
}

#[test]
fn sleepers_are_woken() {
    let team = team(4);
    for _ in 0..20 {
        // Longer than members stay awake.
        thread::sleep(std::time::Duration::from_millis(3));
        let all = Barrier::new(4);
        team.run(4, &|_| {
            all.wait();
        });
    }
}

#[test]
fn a_panic_is_carried_to_the_caller_after_the_others_have_finished() {
    for threads in [1, 2, 5] {
        let team = team(threads);
        for round in 0..2000 {
            let done = AtomicUsize::new(0);
            // Without the panic hook's message two thousand times over.
            let carried = catch_unwind(AssertUnwindSafe(|| {
                team.run(9, &|part| {
                    done.fetch_add(1, Relaxed);
                    if part == round % 9 {
                        resume_unwind(Box::new(round));
                    }
                });
            }));
            assert_eq!(carried.unwrap_err().downcast_ref::<usize>(), Some(&round));
            assert_eq!(done.into_inner(), 9);
            check(&team, 9);
        }
    }
}

#[test]
fn many_panics_give_one_even_if_payloads_panic_when_dropped() {
    struct Bomb(usize);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                resume_unwind(Box::new("dropped"));
            }
        }
    }
    for threads in [1, 4] {
        let team = team(threads);
        for _ in 0..100 {
            let carried =
                catch_unwind(AssertUnwindSafe(|| team.run(16, &|_| resume_unwind(Box::new(Bomb(1))))));
            let mut first = carried.unwrap_err().downcast::<Bomb>().expect("the first payload");
            first.0 = 0;
            check(&team, 16);
        }
    }
}

#[test]
fn nested_calls_run_inside() {
    let (team, other) = (team(4), team(3));
    for _ in 0..500 {
        let sum = AtomicUsize::new(0);
        team.run(6, &|outer| {
            let here = thread::current().id();
            team.run(5, &|inner| {
                assert_eq!(thread::current().id(), here, "the team is at the outer call");
                // A second team nested in the first, which nests again in its turn: no deadlock.
                other.run(3, &|more| {
                    team.run(2, &|last| {
                        sum.fetch_add(outer + inner + more + last, Relaxed);
                    });
                });
            });
        });
        let expected: usize = (0..6 * 5 * 3 * 2).map(|i| i % 6 + i / 6 % 5 + i / 30 % 3 + i / 90).sum();
        assert_eq!(sum.into_inner(), expected);
    }
}

#[test]
fn concurrent_callers_all_finish() {
    let team = limited(3, 2);
    let panics = AtomicUsize::new(0);
    thread::scope(|scope| {
        for caller in 0..8 {
            let (team, panics) = (&team, &panics);
            scope.spawn(move || {
                for round in 0..5000 {
                    let _pass = (round % 7 == caller % 7).then(|| team.pass());
                    if round % 50 == caller {
                        let carried = catch_unwind(AssertUnwindSafe(|| {
                            team.run(4, &|part| {
                                if part == 2 {
                                    resume_unwind(Box::new(caller));
                                }
                            });
                        }));
                        assert_eq!(
                            carried.unwrap_err().downcast_ref(),
                            Some(&caller),
                            "another caller's panic"
                        );
                        panics.fetch_add(1, Relaxed);
                    }
                    check(team, round % 12);
                }
            });
        }
    });
    assert_eq!(panics.into_inner(), 8 * 100);
    assert_eq!(awake(&team), 0, "a seat was lost");
}

/// Seats that idle members may still hold, counted by giving them time to sleep.
fn awake(team: &Team) -> usize {
    for _ in 0..10_000 {
        if team.budget().free() == team.budget().cpus() {
            return 0;
        }
        thread::sleep(std::time::Duration::from_millis(1));
    }
    team.budget().cpus() - team.budget().free()
}

/// The most threads seen inside parts at one time.
fn most_at_once(team: &Team, calls: usize) -> usize {
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for _ in 0..calls {
        team.run(16, &|_| {
            most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            // Long enough to meet; yielding would wait for whatever else runs on the machine.
            (0..100).for_each(|_| std::hint::spin_loop());
            now.fetch_sub(1, Relaxed);
        });
    }
    most.into_inner()
}

#[test]
fn never_more_threads_than_cpus() {
    let team = limited(8, 2);
    assert!(most_at_once(&team, 3000) <= 2);
    {
        let _pass = team.pass();
        assert!(most_at_once(&team, 3000) <= 2);
    }
    // A worker elsewhere in the process has the second CPU: the caller is alone.
    assert_eq!(awake(&team), 0);
    let (enter, leave) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _seat = team.budget().occupy();
            enter.wait();
            leave.wait();
        });
        enter.wait();
        assert_eq!(most_at_once(&team, 3000), 1);
        leave.wait();
    });
}

/// A team whose parts call another team whose parts call a third: they share the CPUs of one budget.
#[test]
fn nested_teams_share_one_budget() {
    let budget = Arc::new(Budget::new(3));
    let with = |threads| {
        let options = TeamOptions { threads, budget: Some(budget.clone()), ..TeamOptions::default() };
        Team::with(options).expect("a team")
    };
    let (outer, middle, inner) = (with(2), with(4), with(8));
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for _ in 0..200 {
        outer.run(4, &|_| {
            middle.run(4, &|_| {
                inner.run(8, &|_| {
                    most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                    (0..100).for_each(|_| std::hint::spin_loop());
                    now.fetch_sub(1, Relaxed);
                });
            });
        });
    }
    assert!((1..=3).contains(&most.into_inner()));
    assert_eq!(awake(&inner), 0, "a seat was lost");
}

/// As many callers as CPUs, or more, each with a team of its own: no member works beside them.
#[test]
fn concurrent_callers_of_many_teams_get_no_helpers() {
    for callers in [2, 5] {
        let budget = Arc::new(Budget::new(2));
        let (seated, over) = (Barrier::new(callers), Barrier::new(callers));
        let (own, helped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| {
                    let options =
                        TeamOptions { threads: 3, budget: Some(budget.clone()), ..TeamOptions::default() };
                    let team = Team::with(options).expect("a team");
                    let caller = thread::current().id();
                    let _seat = team.budget().occupy();
                    // All have their seat, and none has called yet: there is no helper to leave.
                    seated.wait();
                    for _ in 0..300 {
                        team.run(16, &|_| {
                            let count = if thread::current().id() == caller { &own } else { &helped };
                            count.fetch_add(1, Relaxed);
                            (0..100).for_each(|_| std::hint::spin_loop());
                        });
                    }
                    over.wait();
                });
            }
        });
        assert_eq!((own.into_inner(), helped.into_inner()), (callers * 300 * 16, 0));
        assert_eq!(budget.free(), budget.cpus(), "a seat was lost");
    }
}

#[test]
fn helpers_give_way_to_workers() {
    thread_local!(static MET: Cell<bool> = const { Cell::new(false) });
    let team = limited(2, 2);
    let caller = thread::current().id();
    let (working, seated, over) = (Barrier::new(3), Barrier::new(3), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            working.wait();
            let _seat = team.budget().occupy();
            seated.wait();
            over.wait();
        });
        let helped = AtomicUsize::new(0);
        team.run(50, &|_| {
            // Both threads are in their first part when the worker takes its seat.
            if !MET.replace(true) {
                working.wait();
                seated.wait();
            }
            helped.fetch_add(usize::from(thread::current().id() != caller), Relaxed);
        });
        assert_eq!(helped.into_inner(), 1, "the helper leaves after the part at hand");
        over.wait();
    });
    assert_eq!(awake(&team), 0);
}

#[test]
fn teams_come_and_go() {
    for round in 0..300 {
        let team = team(1 + round % 8);
        if round % 3 > 0 {
            check(&team, round % 17);
        }
        if round % 3 > 1 {
            drop(team.pass());
        }
    }
}

#[test]
fn a_team_may_move_and_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Team>();
    shared::<Budget>();
    let team = Arc::new(team(2));
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let team = team.clone();
            thread::spawn(move || check(&team, 10))
        })
        .collect();
    drop(team);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(Team::new(1).threads(), 1);
    assert_eq!(Team::new(0).threads(), Budget::process().cpus());
    assert_eq!(limited(0, 3).threads(), 3);
    // As many as the system starts, but no more than the bound.
    let many = Team::new(usize::MAX);
    assert!((1..=MAX_THREADS).contains(&many.threads()));
    check(&many, 100);
}

#[test]
fn work_may_park_and_unpark_as_it_likes() {
    let team = team(3);
    for _ in 0..1000 {
        team.run(6, &|_| {
            thread::current().unpark();
            thread::park();
            thread::current().unpark();
        });
    }
    check(&team, 6);
}

#[test]
fn members_are_pinned_only_if_asked() {
    let cpus: CpuSet = Topology::detect().cpus().iter().map(|cpu| cpu.id).collect();
    for pinning in [Pinning::Off, Pinning::Within(cpus.clone()), Pinning::Each(cpus.clone())] {
        let budget = Some(Arc::new(Budget::new(3)));
        let options = TeamOptions { threads: 3, budget, pinning: pinning.clone() };
        let made = Team::with(options);
        if cfg!(target_os = "linux") || pinning == Pinning::Off {
            check(&made.expect("a pinned team"), 20);
        } else {
            assert_eq!(made.unwrap_err().kind(), std::io::ErrorKind::Unsupported);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn pinning_is_where_it_was_asked_for() {
    let allowed = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        CpuSet::parse(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap())
            .unwrap()
    };
    let last: CpuSet =
        Topology::detect().cpus().iter().map(|cpu| cpu.id).skip(1).chain([0]).take(1).collect();
    let options = TeamOptions {
        threads: 2,
        budget: Some(Arc::new(Budget::new(2))),
        pinning: Pinning::Each(last.clone()),
    };
    // The caller is left alone: on a thread of its own that is pinned elsewhere.
    thread::scope(|scope| {
        scope.spawn(|| {
            let mine = allowed();
            pin_current_thread(&mine).unwrap();
            let team = Team::with(options.clone()).unwrap();
            let caller = thread::current().id();
            let both = Barrier::new(2);
            team.run(2, &|_| {
                assert_eq!(
                    allowed(),
                    if thread::current().id() == caller { mine.clone() } else { last.clone() }
                );
                both.wait();
            });
        });
    });
    // Off is hands off: members may run where the thread that made the team may, so a worker that is pinned to its
    // place has its team there.
    for mine in [allowed(), last.clone()] {
        let options = TeamOptions { pinning: Pinning::Off, ..options.clone() };
        thread::scope(|scope| {
            scope.spawn(|| {
                pin_current_thread(&mine).unwrap();
                let team = Team::with(options).unwrap();
                let (both, seen) = (Barrier::new(2), Mutex::new(Vec::new()));
                team.run(2, &|_| {
                    both.wait();
                    seen.lock().unwrap().push(allowed());
                });
                assert_eq!(seen.into_inner().unwrap(), [mine.clone(), mine.clone()]);
            });
        });
    }
    let nowhere: CpuSet = [connote_threads::MAX_CPUS - 1].into_iter().collect();
    for pinning in
        [Pinning::Within(nowhere.clone()), Pinning::Each(nowhere), Pinning::Each(CpuSet::default())]
    {
        let error = Team::with(TeamOptions { pinning, ..options.clone() }).unwrap_err();
        assert!(error.to_string().contains("switch pinning off"), "{error}");
    }
}

/// A member gives way while callers overdraw the budget, and is back at the open call's parts when they are done.
#[test]
fn a_member_that_gave_way_comes_back_to_the_open_call() {
    let budget = Arc::new(Budget::new(2));
    let options = TeamOptions { threads: 2, budget: Some(budget), ..TeamOptions::default() };
    let team = Team::with(options).unwrap();
    // Another caller of the same team, in a call of its own or in a pass.
    for by_pass in [false, true] {
        let owner = thread::current().id();
        let (helped, overdrawn, back) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let wait = |until: &dyn Fn() -> bool| {
            while !until() {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            let (team, helped, overdrawn, back) = (&team, &helped, &overdrawn, &back);
            scope.spawn(move || {
                wait(&|| helped.load(Relaxed) > 0);
                let pass = by_pass.then(|| team.pass());
                team.run(4, &|_| {
                    overdrawn.store(true, Relaxed);
                    // Long enough for the member to end its part and see that it is one too many.
                    thread::sleep(Duration::from_millis(20));
                });
                drop(pass);
                back.store(true, Relaxed);
            });
            let (after, away) = (AtomicUsize::new(0), AtomicBool::new(false));
            team.run(1_000_000, &|_| {
                if after.load(Relaxed) > 0 || away.load(Relaxed) {
                    return;
                }
                if thread::current().id() == owner {
                    // The caller's parts last until the member has been there, gone, and come back.
                    if !back.load(Relaxed) {
                        thread::sleep(Duration::from_millis(1));
                    } else {
                        let deadline = Instant::now() + Duration::from_secs(20);
                        wait(&|| after.load(Relaxed) > 0 || Instant::now() > deadline);
                        away.store(after.load(Relaxed) == 0, Relaxed);
                    }
                } else {
                    helped.fetch_add(1, Relaxed);
                    if back.load(Relaxed) {
                        after.fetch_add(1, Relaxed);
                    } else {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            assert!(overdrawn.load(Relaxed));
            assert!(!away.load(Relaxed), "the member stayed away (by pass: {by_pass})");
        });
    }
}
