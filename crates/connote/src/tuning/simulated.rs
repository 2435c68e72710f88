//! Machines that do not exist, with a clock of their own: their times are true by definition.
//!
//! Nothing here is as the cost model has it. A pass is a sum over layers and products, cut into whole parts and whole
//! tiles of rows; micro-batches run in simulated time, each as fast as those that run beside it at that moment allow.

use testkit::random::Random;

use super::calibrate::{Probe, measure};
use super::{CostModel, Shape};
use crate::plan::plan;

#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    pub(super) name: &'static str,
    pub(super) cpus: usize,
    /// Multiply-adds a second of a core that works alone.
    pub(super) rate: f64,
    /// The part of it that is lost when all cores work.
    pub(super) clock_drop: f64,
    /// Bytes a second that a core, and all cores, can fetch.
    pub(super) core_stream: f64,
    pub(super) all_stream: f64,
    /// Bytes of weights that stay in the caches.
    pub(super) cache: f64,
    /// Seconds of a fork and join, for each doubling of the threads.
    pub(super) fork: f64,
    /// Threads of one pass on two nodes wait so many times as long for each other, and fetch slower.
    pub(super) nodes: usize,
    /// CPUs' worth of time that it gets.
    pub(super) quota: f64,
    /// Cores that another process keeps busy.
    pub(super) stolen: f64,
}

impl Machine {
    const PLAIN: Self = Self {
        name: "plain",
        cpus: 1,
        rate: 90e9,
        clock_drop: 0.1,
        core_stream: 12e9,
        all_stream: 12e9,
        cache: 8e6,
        fork: 1.5e-6,
        nodes: 1,
        quota: f64::INFINITY,
        stolen: 0.0,
    };

    /// From a laptop to two sockets of 96 cores.
    pub(super) fn all() -> Vec<Self> {
        let of = |name, cpus, all_stream| Self { name, cpus, all_stream, ..Self::PLAIN };
        vec![
            of("4 cores", 4, 30e9),
            Self { clock_drop: 0.3, ..of("4 cores, bandwidth-bound", 4, 13e9) },
            Self { fork: 12e-6, ..of("8 cores, slow barriers", 8, 60e9) },
            Self { quota: 3.5, ..of("4 cores, quota 3.5", 4, 30e9) },
            Self { rate: 250e9, cache: 40e6, ..of("8 fast cores", 8, 50e9) },
            Self { rate: 1.2e12, clock_drop: 0.2, ..of("8 cores with matrix units", 8, 40e9) },
            of("12 cores", 12, 60e9),
            Self { cache: 64e6, ..of("16 cores, bandwidth-bound", 16, 32e9) },
            Self { clock_drop: 0.35, ..of("32 cores", 32, 150e9) },
            Self { nodes: 2, cache: 64e6, fork: 2e-6, ..of("64 cores on two nodes", 64, 300e9) },
            Self { nodes: 2, cache: 400e6, fork: 3e-6, ..of("192 cores on two nodes", 192, 700e9) },
        ]
    }

    /// Seconds of a pass of texts with these lengths, summed and squared, while as many passes run as `running`.
    fn pass(&self, net: &Network, tokens: f64, squares: f64, threads: usize, running: usize) -> f64 {
        let (t, cpus) = (threads as f64, self.cpus as f64);
        let busy = (running * threads) as f64;
        let mut rate = self.rate * (1.0 - self.clock_drop * (busy / cpus).min(1.0).powi(2));
        let given = self.quota.min(cpus - self.stolen);
        if busy > given {
            // Whoever is put off is waited for, by more the more there are.
            rate *= given / busy * 0.93f64.powf(t.log2());
        }
        let crosses = self.nodes > 1 && threads > self.cpus / self.nodes;
        let mut stream = (self.core_stream * t).min(self.all_stream / running as f64);
        if crosses {
            stream *= 0.6;
        }
        let fork = if threads > 1 { self.fork * t.log2() * if crosses { 4.0 } else { 1.0 } } else { 0.0 };
        let all_bytes = net.macs * net.bytes;
        let fetched = (1.0 - self.cache / all_bytes).max(0.05);
        let layer: f64 = [0.27, 0.1, 0.42, 0.21]
            .into_iter()
            .map(|share| {
                let weights = net.macs * share / net.layers;
                let panels = (weights / net.dim / 32.0).ceil();
                let parts = panels * (tokens / 96.0).ceil();
                let widest = (parts / t).ceil() / parts;
                let compute = weights * (tokens / 6.0).ceil() * 6.0 * widest / rate;
                let fetch = weights * net.bytes * fetched / stream;
                compute.hypot(fetch) + fork
            })
            .sum();
        let attention = 2.0 * squares * net.dim / (0.35 * rate) / t.min(tokens / 4.0).max(1.0) + fork;
        let rows = tokens * net.dim * 30.0 / (0.1 * rate) / t.powf(0.8) + 2.0 * fork;
        net.layers * (layer + attention + rows) + 20e-6
    }

    /// Seconds of a call of texts with these lengths in this shape.
    pub(super) fn call(&self, net: &Network, lengths: &[usize], shape: Shape) -> f64 {
        let sums = |batch: Vec<usize>| {
            let each = || batch.iter().map(|&job| lengths[job] as f64);
            (each().sum::<f64>(), each().map(|length| length * length).sum::<f64>())
        };
        let mut waiting = plan(lengths, shape.workers, crate::plan::MOST_TOKENS)
            .into_iter()
            .map(sums)
            .collect::<Vec<_>>()
            .into_iter();
        // Tokens, squares, and how much of the pass is left.
        let mut running: Vec<(f64, f64, f64)> = Vec::new();
        let mut now = 3e-6 * (shape.workers as f64).log2();
        loop {
            while running.len() < shape.workers {
                let Some((tokens, squares)) = waiting.next() else { break };
                running.push((tokens, squares, 1.0));
            }
            let beside = running.len();
            let mut speeds: Vec<f64> = Vec::with_capacity(beside);
            for (at, &(tokens, squares, _)) in running.iter().enumerate() {
                let alike = at > 0 && (running[at - 1].0, running[at - 1].1) == (tokens, squares);
                speeds.push(if alike {
                    speeds[at - 1]
                } else {
                    1.0 / self.pass(net, tokens, squares, shape.threads, beside)
                });
            }
            let times = running.iter().zip(&speeds).map(|(batch, speed)| batch.2 / speed);
            let Some(step) = times.min_by(f64::total_cmp) else { return now };
            now += step;
            for (batch, speed) in running.iter_mut().zip(&speeds) {
                batch.2 -= step * speed;
            }
            running.retain(|batch| batch.2 > 1e-9);
        }
    }

    /// A cost model from measurements of this machine, each off by up to `noise`.
    pub(super) fn calibrated(&self, net: &Network, noise: &mut Noise) -> CostModel {
        let usual = CostModel::unmeasured(self.cpus, net.macs as u64, net.layers as usize);
        measure(usual, 512, &mut |Probe { workers, threads, texts, length }, _| {
            let (tokens, length) = ((texts * length) as f64, length as f64);
            Some(noise.on(self.pass(net, tokens, tokens * length, threads, workers)))
        })
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) name: &'static str,
    pub(super) layers: f64,
    /// Multiply-adds a token.
    pub(super) macs: f64,
    pub(super) dim: f64,
    /// Bytes a weight.
    pub(super) bytes: f64,
}

impl Network {
    pub(super) const ALL: [Self; 2] = [
        Self { name: "MiniLM", layers: 6.0, macs: 10.6e6, dim: 384.0, bytes: 1.1 },
        Self { name: "300M", layers: 24.0, macs: 101.5e6, dim: 768.0, bytes: 1.1 },
    ];
}

/// Every measurement is off by up to this share of it, evenly.
#[derive(Debug)]
pub(super) struct Noise {
    random: Random,
    share: f64,
}

impl Noise {
    pub(super) fn new(seed: u64, share: f64) -> Self {
        Self { random: Random::seeded(seed), share }
    }

    pub(super) fn on(&mut self, seconds: f64) -> f64 {
        seconds * (1.0 + self.share * f64::from(self.random.signed()))
    }
}
