//! What `/proc` and `/sys` say of CPUs, file by file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::CpuSet;

/// Reads a small text file; at most 1 MiB of it.
pub(crate) fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(1 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The first value that `/proc/cpuinfo` has under a key, as `model name`, its words single-spaced; `None` where the system
/// does not tell.
pub fn cpu_info(key: &str) -> Option<String> {
    let about = read(Path::new("/proc/cpuinfo"))?;
    let mut pairs = about.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(own, _)| own.trim() == key)?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|value| !value.is_empty())
}

/// The mask of the process: `Cpus_allowed_list` of its status.
pub(crate) fn affinity(root: &Path) -> Option<CpuSet> {
    let status = read(&root.join("proc/self/status"))?;
    CpuSet::parse(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// The logical CPUs of the core that `id` is one of, itself at least.
pub(crate) fn siblings(system: &Path, id: usize) -> CpuSet {
    let folder = system.join(format!("cpu/cpu{id}/topology"));
    // The second is the name that kernels before 5.3 know.
    ["core_cpus_list", "thread_siblings_list"]
        .into_iter()
        .find_map(|file| CpuSet::parse(&read(&folder.join(file))?))
        .filter(|cpus| cpus.contains(id))
        .unwrap_or_else(|| [id].into_iter().collect())
}

/// The node of each allowed CPU; empty where the kernel knows no nodes.
pub(crate) fn nodes(system: &Path, allowed: &CpuSet) -> BTreeMap<usize, usize> {
    let mut node_of = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(system.join("node")) else { return node_of };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_prefix("node")?.parse::<usize>().ok()) else {
            continue;
        };
        let cpus =
            read(&entry.path().join("cpulist")).and_then(|list| CpuSet::parse(&list)).unwrap_or_default();
        for cpu in cpus.intersection(allowed).iter() {
            // The order of a folder is nobody's: where two nodes claim a CPU the lower one has it.
            node_of.entry(cpu).and_modify(|node: &mut usize| *node = id.min(*node)).or_insert(id);
        }
    }
    node_of
}

/// The CPUs that share an L3 cache with `id`, itself among them; `None` where there is none or it is not told.
pub(crate) fn l3(system: &Path, id: usize) -> Option<CpuSet> {
    let list = read(&system.join(format!("cpu/cpu{id}/cache/index3/shared_cpu_list")))?;
    CpuSet::parse(&list).filter(|cpus| cpus.contains(id))
}

/// The allowed CPUs whose cores are of the slower kind, where the fast ones are among the allowed.
///
/// Intel's hybrid machines list the fast ones. Others tell a capacity, 1024 for the fastest; it also differs
/// by a few percent between cores of one kind (by the highest clock that each has reached), so slower means less
/// than three quarters.
pub(crate) fn efficient(root: &Path, allowed: &CpuSet) -> CpuSet {
    let fast = read(&root.join("sys/devices/cpu_core/cpus")).and_then(|list| CpuSet::parse(&list));
    if let Some(fast) = fast.filter(|fast| !fast.intersection(allowed).is_empty()) {
        return allowed.iter().filter(|&id| !fast.contains(id)).collect();
    }
    let capacity = |id: usize| -> Option<u32> {
        read(&root.join(format!("sys/devices/system/cpu/cpu{id}/cpu_capacity")))?.trim().parse().ok()
    };
    let known: Vec<(usize, u32)> = allowed.iter().filter_map(|id| Some((id, capacity(id)?))).collect();
    let fastest = known.iter().map(|&(_, capacity)| capacity).max().unwrap_or(0);
    known.into_iter().filter(|&(_, capacity)| capacity < fastest - fastest / 4).map(|(id, _)| id).collect()
}
