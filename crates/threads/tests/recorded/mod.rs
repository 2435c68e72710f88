//! Machines recorded in `tests/topologies`: read, and written as the kernel shows them.
//!
//! A line says, after its first word: `machine` what it is; `origin` whether it is recorded, and where, or
//! constructed; `siblings A B` that the i-th CPU of list A shares its core with the i-th of B; `node ID CPUS`;
//! `l3 CPUS` an L3 cache; `pcores CPUS` Intel's list of fast cores; `capacity NUMBER CPUS`; `cpuset CPUS` and
//! `quota QUOTA PERIOD` of a control group.

use std::collections::BTreeMap;
use std::fs;

use connote_threads::{CpuSet, Topology};
use tempfile::TempDir;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/topologies");

pub(crate) struct Machine {
    tree: TempDir,
}

impl Machine {
    /// Of all there are.
    pub(crate) fn names() -> Vec<String> {
        let names = fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().path());
        let mut names: Vec<String> =
            names.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn read(name: &str) -> Self {
        // Thousands of small files: in memory where the system has such a folder.
        let tree = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary folder");
        let machine = Self { tree };
        let text = fs::read_to_string(format!("{FOLDER}/{name}.txt")).expect(name);
        let mut all: Vec<CpuSet> = Vec::new();
        let mut siblings = BTreeMap::new();
        let mut origin = "";
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
            match word {
                "machine" => assert!(!rest.is_empty()),
                "origin" => origin = rest,
                "siblings" => {
                    let (one, other) = (set(first), set(second));
                    assert_eq!(one.len(), other.len(), "{name}: {line}");
                    for (a, b) in one.iter().zip(other.iter()) {
                        siblings.insert(a, [a, b]);
                        siblings.insert(b, [a, b]);
                    }
                    all.extend([one, other]);
                }
                "node" => {
                    machine.write(&format!("sys/devices/system/node/node{first}/cpulist"), second);
                    all.push(set(second));
                }
                "l3" => set(first).iter().for_each(|cpu| {
                    let file = format!("sys/devices/system/cpu/cpu{cpu}/cache/index3/shared_cpu_list");
                    machine.write(&file, &set(first).to_string());
                }),
                "pcores" => machine.write("sys/devices/cpu_core/cpus", first),
                "capacity" => set(second).iter().for_each(|cpu| {
                    machine.write(&format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity"), first);
                }),
                "cpuset" => machine.write("sys/fs/cgroup/cpuset.cpus.effective", first),
                "quota" => machine.write("sys/fs/cgroup/cpu.max", rest),
                _ => panic!("{name}: {line:?} is not understood"),
            }
        }
        let honest = origin.starts_with("recorded: https://") || origin.starts_with("constructed: ");
        assert!(honest, "{name}: no origin");
        let all: CpuSet = all.iter().flat_map(CpuSet::iter).collect();
        for cpu in all.iter() {
            let core: CpuSet = siblings.get(&cpu).map_or([cpu, cpu], |pair| *pair).into_iter().collect();
            let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list");
            machine.write(&file, &core.to_string());
        }
        machine.write("sys/devices/system/cpu/online", &all.to_string());
        machine.write("proc/self/cgroup", "0::/");
        machine.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        machine.allow(&all);
        machine
    }

    /// Sets the affinity mask.
    pub(crate) fn allow(&self, cpus: &CpuSet) {
        self.write("proc/self/status", &format!("Name:\tconnote\nCpus_allowed_list:\t{cpus}"));
    }

    pub(crate) fn topology(&self) -> Topology {
        Topology::from_root(self.tree.path())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
}

pub(crate) fn set(list: &str) -> CpuSet {
    CpuSet::parse(list).unwrap_or_else(|| panic!("{list:?} is no list of CPUs"))
}
