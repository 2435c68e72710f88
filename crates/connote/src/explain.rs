//! Why a call is computed as it is, for people.

use std::fmt;

use threads::Topology;

use crate::engine::Engine;
use crate::pool::Pool;
use crate::tuning::{Shape, Tuning, count};

/// The machine as it was seen, and the plan of a call; [`Embedder::explain`](crate::Embedder::explain) makes it, and
/// `Display` tells it in a few lines.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// Cores, nodes, limits.
    pub topology: Topology,
    /// The CPU level that computes.
    pub level: &'static str,
    /// CPUs that the embedder may keep busy.
    pub cpus: usize,
    /// What was asked of the choice.
    pub tuning: Tuning,
    /// Texts of the call.
    pub texts: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// Workers and threads.
    pub shape: Shape,
    /// Why these.
    pub reason: String,
    /// Tokens of each micro-batch.
    pub micro_batches: Vec<usize>,
    /// Where workers run: a line a NUMA node; empty where there is but one, and the system places them.
    pub places: Vec<String>,
    /// Copies of the weights.
    pub copies: usize,
}

impl Explanation {
    pub(crate) fn of(engine: &Engine, pool: &Pool, lengths: &[usize]) -> Self {
        let (choice, batches) = engine.plan(lengths);
        let tokens = |batch: Vec<usize>| batch.into_iter().map(|text| lengths[text]).sum();
        let pinned = pool.places().iter().filter_map(|place| Some((place.cpus.as_ref()?, place.size?)));
        Self {
            topology: Topology::detect(),
            level: engine.encoder().kernels().level.name(),
            cpus: engine.cpus,
            tuning: engine.chooser.tuning(),
            texts: lengths.len(),
            tokens: lengths.iter().sum(),
            longest: lengths.iter().copied().max().unwrap_or(0),
            shape: choice.shape,
            reason: choice.reason,
            micro_batches: batches.into_iter().filter(|batch| !batch.is_empty()).map(tokens).collect(),
            places: pinned.map(|(cpus, size)| format!("{size} workers on CPUs {cpus}")).collect(),
            copies: engine.copies(),
        }
    }
}

/// A line a fact.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.topology.to_string().lines().enumerate() {
            writeln!(f, "{:<9}{line}", if at == 0 { "machine" } else { "" })?;
        }
        writeln!(f, "{:<9}{}, level {}", "uses", count(self.cpus, "CPU"), self.level)?;
        for (node, place) in self.places.iter().enumerate() {
            writeln!(f, "{:<9}node {node}: {place}", "")?;
        }
        if self.places.len() > 1 {
            writeln!(f, "{:<9}{} of the weights", "", count(self.copies, "copy"))?;
        }
        let Tuning { policy, parallelism, preset } = self.tuning;
        writeln!(f, "{:<9}policy {policy}, parallelism {parallelism}, preset {preset}", "choice")?;
        let (texts, tokens) = (count(self.texts, "text"), count(self.tokens, "token"));
        writeln!(f, "{:<9}{texts}, {tokens}, the longest of {}", "work", self.longest)?;
        let (workers, threads) = (count(self.shape.workers, "worker"), count(self.shape.threads, "thread"));
        let largest = self.micro_batches.iter().max().copied().unwrap_or(0);
        let batches = count(self.micro_batches.len(), "micro-batch");
        writeln!(
            f,
            "{:<9}{workers} x {threads}; {batches}, the largest of {}",
            "plan",
            count(largest, "token")
        )?;
        write!(f, "{:<9}{}", "why", self.reason)
    }
}
