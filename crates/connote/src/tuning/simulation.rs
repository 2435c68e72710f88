//! How near the automatic choices come to the best fixed one, on simulated machines of 4 to 192 cores, for every cell
//! of the benchmarks' matrix and for calls of mixed lengths.

use std::cell::RefCell;
use std::collections::HashMap;

use testkit::random::Random;

use super::candidates::candidates;
use super::simulated::{Machine, Network, Noise};
use super::{Chooser, CostModel, Parallelism, Policy, Shape, Tuning, Work};

/// Texts of one call.
struct Call {
    name: String,
    lengths: Vec<usize>,
    work: Work,
}

fn calls() -> Vec<Call> {
    let of = |name: String, lengths: Vec<usize>| Call { name, work: Work::of(&lengths), lengths };
    let mut calls = vec![of("1 of 16".to_owned(), vec![16]), of("1 of 256".to_owned(), vec![256])];
    for texts in [8, 16, 32, 64, 128] {
        for tokens in [4, 64, 256] {
            calls.push(of(format!("{texts} of {tokens}"), vec![tokens; texts]));
        }
    }
    let mut random = Random::seeded(7);
    for texts in [24, 96] {
        // Many short ones and a few long ones, as texts are.
        let lengths = (0..texts).map(|_| 4 + (random.below(1000) * random.below(1000)) / 2500).collect();
        calls.push(of(format!("{texts} mixed"), lengths));
    }
    calls
}

/// A machine that runs one kind of call with one network: true times, each computed once.
struct Runner<'a> {
    machine: Machine,
    net: Network,
    call: &'a Call,
    known: RefCell<HashMap<Shape, f64>>,
}

impl<'a> Runner<'a> {
    fn new(machine: Machine, net: Network, call: &'a Call) -> Self {
        Self { machine, net, call, known: RefCell::default() }
    }

    fn seconds(&self, shape: Shape) -> f64 {
        *self
            .known
            .borrow_mut()
            .entry(shape)
            .or_insert_with(|| self.machine.call(&self.net, &self.call.lengths, shape))
    }

    /// The best fixed choice.
    fn best(&self) -> (Shape, f64) {
        let shapes = candidates(self.machine.cpus, Parallelism::Auto).into_iter();
        let timed = shapes
            .filter(|shape| shape.workers <= self.call.work.texts)
            .map(|shape| (shape, self.seconds(shape)));
        timed.min_by(|a, b| a.1.total_cmp(&b.1)).expect("a shape")
    }

    /// Makes calls until `seconds` have passed, and at least `calls`. Returns the mean true time of one.
    fn run(&self, chooser: &Chooser, noise: &mut Noise, seconds: f64, calls: usize) -> f64 {
        let (mut passed, mut made) = (0.0, 0);
        while passed < seconds || made < calls {
            let shape = chooser.choose(&self.call.work).shape;
            let time = self.seconds(shape);
            chooser.observe(&self.call.work, shape, noise.on(time));
            passed += time;
            made += 1;
        }
        passed / made as f64
    }
}

/// How far behind the best the worst cell is, the cells summed up in a line, and all lines of those behind by more
/// than 5%.
#[derive(Default)]
struct Report {
    worst: f64,
    sum: f64,
    cells: usize,
    behind: Vec<String>,
}

impl Report {
    fn add(&mut self, runner: &Runner<'_>, choice: String, seconds: f64) {
        let (shape, best) = runner.best();
        let behind = seconds / best - 1.0;
        self.worst = self.worst.max(behind);
        self.sum += behind;
        self.cells += 1;
        if behind > 0.05 {
            let Runner { machine, net, call, .. } = runner;
            self.behind.push(format!(
                "{}, {}, {}: {choice} is {:.1}% behind {shape}",
                machine.name,
                net.name,
                call.name,
                behind * 100.0
            ));
        }
    }

    fn within(&self, bound: f64) {
        println!(
            "{} cells: {:.2}% behind on average, {:.1}% at worst, {} by more than 5%\n{}",
            self.cells,
            100.0 * self.sum / self.cells as f64,
            100.0 * self.worst,
            self.behind.len(),
            self.behind.join("\n")
        );
        assert!(self.worst <= bound, "{:.1}% behind:\n{}", 100.0 * self.worst, self.behind.len());
    }
}

fn each(mut visit: impl FnMut(u64, &Runner<'_>)) {
    let calls = calls();
    let mut seed = 0;
    for machine in Machine::all() {
        for net in Network::ALL {
            for call in &calls {
                seed += 1;
                visit(seed, &Runner::new(machine, net, call));
            }
        }
    }
}

fn unmeasured(runner: &Runner<'_>) -> CostModel {
    CostModel::unmeasured(runner.machine.cpus, runner.net.macs as u64, runner.net.layers as usize)
}

fn calibrated(seed: u64, runner: &Runner<'_>) -> CostModel {
    runner.machine.calibrated(&runner.net, &mut Noise::new(seed, 0.03))
}

fn once(policy: Policy, cost: CostModel, runner: &Runner<'_>, report: &mut Report) {
    let chooser = Chooser::new(runner.machine.cpus, Tuning::new().policy(policy), cost);
    let shape = chooser.choose(&runner.call.work).shape;
    report.add(runner, shape.to_string(), runner.seconds(shape));
}

/// The mean of 200 calls, what is tried among them included, after the first second; after 16 calls where those take
/// longer.
fn settled(seed: u64, noise: f64, cost: CostModel, runner: &Runner<'_>, report: &mut Report) {
    let chooser = Chooser::new(runner.machine.cpus, Tuning::new(), cost);
    let mut noise = Noise::new(seed, noise);
    runner.run(&chooser, &mut noise, 1.0, 16);
    let mean = runner.run(&chooser, &mut noise, 0.0, 200);
    report.add(runner, chooser.choose(&runner.call.work).reason, mean);
}

#[test]
fn the_measured_cost_model_is_near_the_best() {
    let mut report = Report::default();
    each(|seed, runner| once(Policy::CostModel, calibrated(seed, runner), runner, &mut report));
    report.within(0.05);
}

#[test]
fn the_unmeasured_cost_model_is_better_than_the_table() {
    let (mut usual, mut table) = (Report::default(), Report::default());
    each(|_, runner| {
        once(Policy::CostModel, unmeasured(runner), runner, &mut usual);
        once(Policy::Table, unmeasured(runner), runner, &mut table);
    });
    println!("usual: {:.1}% worst {:.1}%", 100.0 * usual.sum / usual.cells as f64, 100.0 * usual.worst);
    println!("table: {:.1}% worst {:.1}%", 100.0 * table.sum / table.cells as f64, 100.0 * table.worst);
    assert!(usual.sum < table.sum / 4.0 && usual.worst < table.worst / 4.0);
}

#[test]
fn adaptive_is_within_five_percent_after_its_first_second() {
    let mut report = Report::default();
    each(|seed, runner| settled(seed, 0.03, calibrated(seed, runner), runner, &mut report));
    report.within(0.05);
}

#[test]
fn adaptive_is_so_too_with_nothing_measured() {
    let mut report = Report::default();
    each(|seed, runner| settled(seed, 0.03, unmeasured(runner), runner, &mut report));
    report.within(0.05);
}

#[test]
fn adaptive_is_so_too_on_a_noisy_machine() {
    let mut report = Report::default();
    each(|seed, runner| settled(seed, 0.1, calibrated(seed, runner), runner, &mut report));
    report.within(0.05);
}

/// As after a move to another machine, or with constants that do not hold here: barriers and fetching were taken to cost
/// next to nothing, or barriers five times as much and no weight to stay in a cache.
#[test]
fn adaptive_mends_a_model_that_is_wrong() {
    let mut report = Report::default();
    each(|seed, runner| {
        let free = Machine { fork: 0.0, cache: f64::INFINITY, ..runner.machine };
        let dear = Machine { fork: 5.0 * runner.machine.fork, cache: 0.0, ..runner.machine };
        for believed in [free, dear] {
            let cost = believed.calibrated(&runner.net, &mut Noise::new(seed, 0.03));
            settled(seed, 0.03, cost, runner, &mut report);
        }
    });
    report.within(0.05);
}

#[test]
fn adaptive_follows_a_machine_that_changes() {
    let mut report = Report::default();
    each(|seed, runner| {
        let chooser = Chooser::new(runner.machine.cpus, Tuning::new(), calibrated(seed, runner));
        let mut noise = Noise::new(seed, 0.05);
        runner.run(&chooser, &mut noise, 1.0, 64);
        // Other processes come, keep one core busy, then half of them, and go. Two seconds each, or 200 calls.
        let stolen = |cores| Machine { stolen: cores, ..runner.machine };
        for machine in [stolen(1.0), stolen(runner.machine.cpus as f64 / 2.0), runner.machine] {
            let changed = Runner::new(machine, runner.net, runner.call);
            changed.run(&chooser, &mut noise, 2.0, 200);
            let mean = changed.run(&chooser, &mut noise, 0.0, 200);
            report.add(&changed, chooser.choose(&changed.call.work).reason, mean);
        }
    });
    report.within(0.05);
}

/// Calls of every kind in turn, no two of the same lengths.
#[test]
fn adaptive_is_near_the_best_in_mixed_traffic() {
    let mut report = Report::default();
    for (seed, machine) in Machine::all().into_iter().enumerate() {
        for net in Network::ALL {
            let mut noise = Noise::new(seed as u64, 0.05);
            let chooser = Chooser::new(machine.cpus, Tuning::new(), machine.calibrated(&net, &mut noise));
            let mut random = Random::seeded(seed as u64);
            let (mut spent, mut least) = (0.0, 0.0);
            for call in 0..1200 {
                let texts = [1, 1, 1, 8, 20, 50][random.below(6)] + random.below(4);
                let longest = [8, 40, 200][random.below(3)];
                let lengths: Vec<usize> = (0..texts).map(|_| 3 + random.below(longest)).collect();
                let call_of = Call { name: "traffic".to_owned(), work: Work::of(&lengths), lengths };
                let runner = Runner::new(machine, net, &call_of);
                let shape = chooser.choose(&call_of.work).shape;
                chooser.observe(&call_of.work, shape, noise.on(runner.seconds(shape)));
                if call >= 900 {
                    spent += runner.seconds(shape);
                    least += runner.best().1;
                }
            }
            let behind = spent / least - 1.0;
            println!("{}, {}: {:.1}% behind", machine.name, net.name, 100.0 * behind);
            report.worst = report.worst.max(behind);
            report.sum += behind;
            report.cells += 1;
        }
    }
    report.within(0.05);
}
