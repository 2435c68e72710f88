//! Which CPUs the threads of which worker use.
//!
//! A pure function of the machine and a shape, workers x threads. Memory of another node is slower, so a worker
//! stays within a node where it fits; workers go to nodes in proportion to their cores; the threads of a worker
//! share an L3 cache where that takes no core from anybody; cores come before their SMT siblings, fast ones before
//! the efficient ones.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::{Cpu, CpuSet, MAX_THREADS, Pinning, Topology};

/// Where workers go on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    places: Vec<Place>,
    /// The system's ids of the nodes.
    nodes: Vec<usize>,
}

/// Where the threads of one worker go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of its node in [`Topology::nodes`]; of the first, if it spans several.
    pub node: usize,
    /// Its nodes: one, unless it has more threads than any node has cores.
    pub nodes: Range<usize>,
    /// A CPU a thread, or all of its nodes' if it has more threads than those. Cores first: siblings are among them
    /// only where threads outnumber the cores.
    pub cpus: CpuSet,
    /// All CPUs of its nodes: what its threads may use and still find their memory near. It holds `cpus`.
    pub reach: CpuSet,
}

impl Placement {
    /// Places `workers` workers of `threads` threads each on the machine; 0 is taken as 1, and of more than
    /// [`MAX_THREADS`] workers that many are placed. The same arguments give the same placement.
    ///
    /// - A worker that fits into a node (a core a thread) is placed within one; a larger one spans as few nodes as
    ///   hold its threads, of neighbouring numbers, as the nodes of a socket have them.
    /// - Each worker goes where it makes the load (threads a core) least. So uneven nodes, as an affinity mask
    ///   leaves them, get workers in proportion to their cores, and like nodes get the same number or one more.
    /// - Within its nodes it takes the cores with the fewest threads; among choices of equal load those that share
    ///   an L3 cache, and the least loaded L3 cache.
    /// - With all cores taken, further workers begin again from the least loaded, on the siblings first.
    pub fn of(topology: &Topology, workers: usize, threads: usize) -> Self {
        let mut machine = Machine::of(topology);
        let places = (0..workers.clamp(1, MAX_THREADS)).map(|_| machine.place(threads.max(1))).collect();
        Self { places, nodes: topology.nodes().iter().map(|node| node.id).collect() }
    }

    /// Whether there is nothing to place: the machine has one node. Then threads are better left to the system,
    /// because those that two processes have pinned may share a core while others are idle. The places are there all
    /// the same, for whoever wants to pin to cores.
    pub fn is_trivial(&self) -> bool {
        self.nodes.len() == 1
    }

    /// A place a worker. At least one.
    pub fn workers(&self) -> &[Place] {
        &self.places
    }

    /// The place of worker `index`; from the first again beyond the last.
    pub fn worker(&self, index: usize) -> &Place {
        &self.places[index % self.places.len()]
    }

    /// How the team of worker `index` is to be pinned: anywhere within its nodes, or not at all where there is
    /// nothing to place. The caller of the team is a thread of its own: pin it to the `reach` of the same place.
    pub fn pinning(&self, index: usize) -> Pinning {
        if self.is_trivial() { Pinning::Off } else { Pinning::Within(self.worker(index).reach.clone()) }
    }
}

/// A line a worker, as `worker 0: node 1, CPUs 8-15`; on one node a single line.
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_trivial() {
            return write!(f, "one NUMA node: workers are not pinned");
        }
        for (index, place) in self.places.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            let ids: Vec<String> = place.nodes.clone().map(|node| self.nodes[node].to_string()).collect();
            let nodes = if ids.len() == 1 { "node" } else { "nodes" };
            write!(f, "{line}worker {index}: {nodes} {}, CPUs {}", ids.join("+"), place.cpus)?;
        }
        Ok(())
    }
}

/// The machine with the threads placed so far.
struct Machine {
    cores: Vec<Core>,
    nodes: Vec<CpuSet>,
    /// Indices into `cores` a node and an L3 group.
    node_cores: Vec<Vec<usize>>,
    l3_cores: Vec<Vec<usize>>,
}

struct Core {
    /// Its CPUs, with the threads on each.
    cpus: Vec<(usize, usize)>,
    node: usize,
    l3: usize,
    efficient: bool,
}

impl Core {
    fn load(&self) -> usize {
        self.cpus.iter().map(|&(_, threads)| threads).sum()
    }
}

/// Cores for the threads of a worker, and what taking them costs: threads that are there, then efficient ones.
struct Choice {
    cores: Vec<usize>,
    cost: (usize, usize),
}

impl Machine {
    fn of(topology: &Topology) -> Self {
        // By node, too: lists that make siblings of CPUs on two nodes are mistaken.
        let mut cores: BTreeMap<(usize, usize), Core> = BTreeMap::new();
        for &Cpu { id, core, node, l3, efficient } in topology.cpus() {
            let new = || Core { cpus: Vec::new(), node, l3, efficient };
            cores.entry((core, node)).or_insert_with(new).cpus.push((id, 0));
        }
        let cores: Vec<Core> = cores.into_values().collect();
        let grouped = |groups: usize, group: &dyn Fn(&Core) -> usize| {
            let mine = |index| (0..cores.len()).filter(|&core| group(&cores[core]) == index).collect();
            (0..groups).map(mine).collect::<Vec<Vec<usize>>>()
        };
        let caches = cores.iter().map(|core| core.l3 + 1).max().unwrap_or(0);
        Self {
            nodes: topology.nodes().iter().map(|node| node.cpus.clone()).collect(),
            node_cores: grouped(topology.nodes().len(), &|core| core.node),
            l3_cores: grouped(caches, &|core| core.l3),
            cores,
        }
    }

    /// Finds a place for the threads of one worker and puts them there.
    fn place(&mut self, threads: usize) -> Place {
        let nodes = self.choose_nodes(threads);
        let within: Vec<usize> = nodes.clone().flat_map(|node| self.node_cores[node].clone()).collect();
        let reach: CpuSet = nodes.clone().flat_map(|node| self.nodes[node].iter()).collect();
        let cores = if nodes.len() == 1 && threads <= within.len() {
            self.choose_cores(nodes.start, &within, threads)
        } else {
            self.least_loaded(&within, threads.min(within.len())).cores
        };
        // Several threads a core only where no core is without; then one a CPU, as long as there are CPUs.
        let mut cpus = CpuSet::default();
        let mut missing = threads;
        let mut candidates = cores;
        while missing > 0 && !candidates.is_empty() {
            missing -= candidates.len();
            candidates.iter().for_each(|&core| self.put(core, &mut cpus));
            let more = |&core: &usize| self.cores[core].cpus.iter().any(|&(cpu, _)| !cpus.contains(cpu));
            let rest: Vec<usize> = within.iter().copied().filter(more).collect();
            candidates = self.least_loaded(&rest, missing.min(rest.len())).cores;
        }
        Place { node: nodes.start, nodes, cpus, reach }
    }

    /// One more thread on the CPU of the core with the fewest, of those that the worker does not have yet.
    fn put(&mut self, core: usize, cpus: &mut CpuSet) {
        let free = self.cores[core].cpus.iter_mut().filter(|(cpu, _)| !cpus.contains(*cpu));
        if let Some((cpu, threads)) = free.min_by_key(|(_, threads)| *threads) {
            *threads += 1;
            cpus.insert(*cpu);
        }
    }

    /// As few neighbouring nodes as have a core a thread (or all), those with the least load afterwards.
    fn choose_nodes(&self, threads: usize) -> Range<usize> {
        let all = self.nodes.len();
        let cores =
            |nodes: &Range<usize>| nodes.clone().map(|node| self.node_cores[node].len()).sum::<usize>();
        let fitting = |span: usize| {
            let windows = (0..=all - span).map(move |first| first..first + span);
            windows.filter(|nodes| cores(nodes) >= threads).collect::<Vec<_>>()
        };
        let windows = (1..=all).map(fitting).find(|windows| !windows.is_empty()).unwrap_or_default();
        let least = windows.into_iter().min_by(|a, b| {
            let after = |nodes: &Range<usize>| {
                let load = nodes.clone().flat_map(|node| &self.node_cores[node]);
                load.map(|&core| self.cores[core].load()).sum::<usize>() + threads
            };
            // Threads a core, as fractions; of equal ones the larger, then the first.
            let (a_cores, b_cores) = (cores(a), cores(b));
            (after(a) * b_cores).cmp(&(after(b) * a_cores)).then(b_cores.cmp(&a_cores))
        });
        least.unwrap_or(0..all)
    }

    /// A core a thread within one node: of one L3 cache, if no others have less load.
    fn choose_cores(&self, node: usize, within: &[usize], threads: usize) -> Vec<usize> {
        let anywhere = self.least_loaded(within, threads);
        let load = |cores: &[usize]| cores.iter().map(|&core| self.cores[core].load()).sum::<usize>();
        let together = self
            .l3_cores
            .iter()
            .filter(|cores| cores.len() >= threads && cores.iter().all(|&core| self.cores[core].node == node))
            .map(|cores| (self.least_loaded(cores, threads), load(cores) + threads, cores.len()))
            .filter(|(choice, ..)| choice.cost <= anywhere.cost)
            .min_by(|(_, a, a_cores), (_, b, b_cores)| (a * b_cores).cmp(&(b * a_cores)));
        together.map_or(anywhere, |(choice, ..)| choice).cores
    }

    /// That many of the cores: those with the fewest threads, then the fast ones, then by cache and number.
    fn least_loaded(&self, cores: &[usize], count: usize) -> Choice {
        let mut cores = cores.to_vec();
        cores.sort_by_key(|&core| {
            let Core { node, l3, efficient, .. } = self.cores[core];
            (self.cores[core].load(), efficient, node, l3, core)
        });
        cores.truncate(count);
        let load = cores.iter().map(|&core| self.cores[core].load()).sum();
        let efficient = cores.iter().filter(|&&core| self.cores[core].efficient).count();
        Choice { cores, cost: (load, efficient) }
    }
}
