//! The CPUs that this process may use, as the system tells.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::cgroup;
use crate::limits::{self, Limit};
use crate::sysfs::{self, read};
use crate::{CpuSet, MAX_CPUS};

/// The machine as this process may use it: CPUs outside its affinity mask or cpuset do not appear.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    cpus: Vec<Cpu>,
    cores: usize,
    nodes: Vec<Node>,
    quota: Option<f64>,
    limits: Vec<Limit>,
}

/// A logical CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The system's id.
    pub id: usize,
    /// The physical core, `0..`[`Topology::cores`]; SMT siblings share one.
    pub core: usize,
    /// Index of its node in [`Topology::nodes`].
    pub node: usize,
    /// The group of CPUs of its node that share an L3 cache, numbered from 0 through all nodes. An AMD processor
    /// has several a node; where sub-NUMA clusters share one, each has a group. CPUs without, or with one that
    /// the system does not show, are a group a node.
    pub l3: usize,
    /// Whether its core is one of the slower kind of a hybrid machine (an E-core). False where all are alike.
    pub efficient: bool,
}

/// A NUMA node with at least one CPU that this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The system's id.
    pub id: usize,
    /// Its CPUs that this process may use.
    pub cpus: CpuSet,
    /// Physical cores among them.
    pub cores: usize,
}

impl Topology {
    /// What the system says now, and what the environment limits. Elsewhere than on Linux:
    /// [`std::thread::available_parallelism`] cores on one node.
    pub fn detect() -> Self {
        let known = std::thread::available_parallelism().map_or(1, usize::from);
        let topology = if cfg!(target_os = "linux") {
            Self::read(Path::new("/"), known)
        } else {
            Self::flat(known, None)
        };
        topology.limited_by(|name| std::env::var(name).ok())
    }

    /// As [`Topology::detect`], but from a copy of `/proc` and `/sys` under `root`, and without the environment.
    /// Files read: `proc/self/{status,cgroup,mountinfo}`, `sys/devices/system/cpu/online`,
    /// `sys/devices/system/cpu/cpu*/{topology/{core_cpus_list,thread_siblings_list},cache/index3/shared_cpu_list,
    /// cpu_capacity}`, `sys/devices/cpu_core/cpus`, `sys/devices/system/node/node*/cpulist` and the cgroup file
    /// systems where mountinfo has them.
    /// What is missing limits nothing; without any list of CPUs there is one.
    pub fn from_root(root: &Path) -> Self {
        Self::read(root, 1)
    }

    /// Adds the limits that the environment, asked variable by variable, sets: CONNOTE_THREADS,
    /// OMP_NUM_THREADS (its first number), RAYON_NUM_THREADS.
    pub fn limited_by(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        self.limits = limits::limits(variable);
        self
    }

    /// `unknown` is the number of CPUs where neither an affinity mask nor a list of CPUs can be read.
    fn read(root: &Path, unknown: usize) -> Self {
        let groups = cgroup::limits(root);
        let system = root.join("sys/devices/system");
        let online = read(&system.join("cpu/online")).and_then(|list| CpuSet::parse(&list));
        // A mask may hold CPUs that are not there (the kernel's default is all it could have).
        let masks = [sysfs::affinity(root), online, groups.cpus];
        let allowed = masks.into_iter().flatten().reduce(|all, mask| {
            let both = all.intersection(&mask);
            // Lists that contradict each other were written for different name spaces: believe the first.
            if both.is_empty() { all } else { both }
        });
        let Some(allowed) = allowed.filter(|cpus| !cpus.is_empty()) else {
            return Self::flat(unknown, groups.quota);
        };

        let node_of = sysfs::nodes(&system, &allowed);
        let core_of = number(&allowed, |id| sysfs::siblings(&system, id));
        let efficient = sysfs::efficient(root, &allowed);
        let mut ids: Vec<usize> = allowed.iter().map(|id| node_of.get(&id).copied().unwrap_or(0)).collect();
        ids.sort_unstable();
        ids.dedup();
        let node = |cpu: usize| {
            let id = node_of.get(&cpu).copied().unwrap_or(0);
            ids.binary_search(&id).unwrap_or(0)
        };
        let l3_of = number(&allowed, |id| {
            let all = sysfs::l3(&system, id).unwrap_or_else(|| allowed.clone());
            all.iter().filter(|&other| allowed.contains(other) && node(other) == node(id)).collect()
        });
        let cpu = |id| Cpu {
            id,
            core: core_of[&id],
            node: node(id),
            l3: l3_of[&id],
            efficient: efficient.contains(id),
        };
        let cpus: Vec<Cpu> = allowed.iter().map(cpu).collect();
        let cores = cpus.iter().map(|cpu| cpu.core + 1).max().unwrap_or(1);
        Self { nodes: gather(&ids, &cpus), cpus, cores, quota: groups.quota, limits: Vec::new() }
    }

    /// A machine of which only a number of CPUs is known.
    fn flat(cpus: usize, quota: Option<f64>) -> Self {
        let count = cpus.clamp(1, MAX_CPUS);
        let cpus: Vec<Cpu> =
            (0..count).map(|id| Cpu { id, core: id, node: 0, l3: 0, efficient: false }).collect();
        Self { nodes: gather(&[0], &cpus), cpus, cores: count, quota, limits: Vec::new() }
    }

    /// The logical CPUs that this process may use, by id. At least one.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// Physical cores among them: SMT siblings count once. At least 1.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// The NUMA nodes among them, by id. At least one.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One logical CPU of every core, for pinning a thread a core.
    pub fn core_cpus(&self) -> CpuSet {
        let mut seen = vec![false; self.cores];
        self.cpus
            .iter()
            .filter(|cpu| !std::mem::replace(&mut seen[cpu.core], true))
            .map(|cpu| cpu.id)
            .collect()
    }

    /// CPUs' worth of time that the cgroups allow, as 3.5; `None` for no limit.
    pub fn quota(&self) -> Option<f64> {
        self.quota
    }

    /// What the environment says about threads.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The cores, not more than the whole CPUs of the quota, whatever the environment says; at least 1.
    pub fn cores_in_quota(&self) -> usize {
        self.cores.min(self.quota.map_or(usize::MAX, |quota| quota as usize)).max(1)
    }

    /// Threads worth running: the cores, not more than the whole CPUs of the quota, not more than the environment
    /// allows; at least 1.
    ///
    /// A quota of 3.5 CPUs is 3: of four threads the kernel would stop each for an eighth of every period (100 ms as
    /// a rule), one here and one there, and those that share the parts of a text would wait for whichever is
    /// stopped. The rest of the quota is for the threads that read and answer requests.
    ///
    /// The slower cores of a hybrid machine count: threads take the next part or batch when they are done with the
    /// last, so a slow core does fewer and holds up nobody for longer than one of them.
    pub fn workers(&self) -> usize {
        let limit = self.limits.iter().filter_map(|limit| limit.threads).min().unwrap_or(usize::MAX);
        self.cores_in_quota().min(limit).max(1)
    }
}

/// Numbers the groups that `members` gives of each CPU, by the lowest CPU in them. A CPU is in one group: where
/// lists contradict each other, the first has it.
fn number(cpus: &CpuSet, members: impl Fn(usize) -> CpuSet) -> BTreeMap<usize, usize> {
    let mut group_of = BTreeMap::new();
    let mut groups = 0;
    for id in cpus.iter() {
        if group_of.contains_key(&id) {
            continue;
        }
        for member in members(id).intersection(cpus).iter() {
            group_of.entry(member).or_insert(groups);
        }
        group_of.insert(id, groups);
        groups += 1;
    }
    group_of
}

fn gather(ids: &[usize], cpus: &[Cpu]) -> Vec<Node> {
    let node = |(index, &id): (usize, &usize)| {
        let mine = || cpus.iter().filter(move |cpu| cpu.node == index);
        let mut cores: Vec<usize> = mine().map(|cpu| cpu.core).collect();
        cores.sort_unstable();
        cores.dedup();
        Node { id, cpus: mine().map(|cpu| cpu.id).collect(), cores: cores.len() }
    };
    ids.iter().enumerate().map(node).collect()
}

/// A line a fact.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count =
            |number: usize, name: &str| format!("{number} {name}{}", if number == 1 { "" } else { "s" });
        let allowed: CpuSet = self.cpus.iter().map(|cpu| cpu.id).collect();
        write!(f, "{}, {} ({allowed})", count(self.cores, "core"), count(allowed.len(), "logical CPU"))?;
        let efficient: CpuSet = self.cpus.iter().filter(|cpu| cpu.efficient).map(|cpu| cpu.id).collect();
        if !efficient.is_empty() {
            write!(f, "\nefficiency cores: CPUs {efficient}")?;
        }
        let caches = self.cpus.iter().map(|cpu| cpu.l3 + 1).max().unwrap_or(1);
        if caches > self.nodes.len() {
            write!(f, "\n{caches} groups of CPUs by L3 cache")?;
        }
        write!(f, "\n{}", count(self.nodes.len(), "NUMA node"))?;
        if self.nodes.len() > 1 {
            for node in &self.nodes {
                write!(f, "\n  node {}: {} ({})", node.id, count(node.cores, "core"), node.cpus)?;
            }
        }
        match self.quota {
            // Hundredths, as orchestrators give them, without zeros at the end.
            Some(quota) => write!(f, "\ncgroup quota {} CPUs", (quota * 100.0).round() / 100.0)?,
            None => write!(f, "\nno cgroup quota")?,
        }
        for limit in &self.limits {
            write!(f, "\n{limit}")?;
        }
        write!(f, "\n{}", count(self.workers(), "worker"))
    }
}
