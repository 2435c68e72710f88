//! Topologies from trees written as the kernel writes them, and this machine's own.

use std::fs;
use std::path::Path;

use connote_threads::{CpuSet, Topology};
use tempfile::TempDir;

/// A copy of /proc and /sys with these files.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    fn file(self, path: impl AsRef<Path>, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn affinity(self, list: &str) -> Self {
        let text =
            format!("Name:\tconnote\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\nMems_allowed_list:\t0\n");
        self.file("proc/self/status", &text)
    }

    /// CPUs `0..cpus`, each in the core with the siblings that `core` lists, with its node.
    fn machine(mut self, cpus: usize, core: impl Fn(usize) -> String, nodes: &[&str]) -> Self {
        self = self.file("sys/devices/system/cpu/online", &format!("0-{}\n", cpus - 1));
        for cpu in 0..cpus {
            let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            self = self.file(path, &format!("{}\n", core(cpu)));
        }
        for (node, list) in nodes.iter().enumerate() {
            self = self.file(format!("sys/devices/system/node/node{node}/cpulist"), &format!("{list}\n"));
        }
        self.file("sys/devices/system/node/has_cpu", "0\n")
    }

    fn version_1(self, group: &str, mounted: &str) -> Self {
        self.file("proc/self/cgroup", &format!("5:cpuset:{group}\n4:cpu,cpuacct:{group}\n1:name=systemd:/\n0::/\n"))
            .file(
                "proc/self/mountinfo",
                &format!(
                    "25 1 0:5 / /proc rw - proc proc rw\n\
                     32 31 0:29 {mounted} /sys/fs/cgroup/cpu\\040and\\040acct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                     33 31 0:31 {mounted} /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
                ),
            )
    }

    fn version_2(self, group: &str, mounted: &str) -> Self {
        self.file("proc/self/cgroup", &format!("0::{group}\n")).file(
            "proc/self/mountinfo",
            &format!(
                "30 23 0:26 {mounted} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
            ),
        )
    }

    fn topology(&self) -> Topology {
        Topology::from_root(self.0.path())
    }
}

fn alone(cpu: usize) -> String {
    cpu.to_string()
}

fn set(list: &str) -> CpuSet {
    CpuSet::parse(list).unwrap()
}

#[test]
fn two_sockets_with_smt() {
    // A dual Xeon: siblings are 64 apart, nodes interleaved.
    let siblings = |cpu: usize| format!("{},{}", cpu % 64, cpu % 64 + 64);
    let (even, odd): (Vec<_>, Vec<_>) = (0..128)
        .map(|cpu| cpu.to_string())
        .partition(|cpu| cpu.parse::<usize>().is_ok_and(|cpu| cpu % 2 == 0));
    let nodes = [even.join(","), odd.join(",")];
    let machine = |list| Tree::new().affinity(list).machine(128, siblings, &[&nodes[0], &nodes[1]]);

    let whole = machine("0-127").topology();
    assert_eq!((whole.cpus().len(), whole.cores(), whole.workers()), (128, 64, 64));
    assert_eq!(
        whole.nodes().iter().map(|node| (node.id, node.cpus.len(), node.cores)).collect::<Vec<_>>(),
        [(0, 64, 32), (1, 64, 32)]
    );
    assert_eq!(whole.core_cpus(), CpuSet::first(64));
    assert!(whole.cpus().iter().all(|cpu| cpu.core == cpu.id % 64 && cpu.node == cpu.id % 2));

    // Three cores of the second node, two of them with both siblings.
    let part = machine("1,3,65,67,69").topology();
    assert_eq!((part.cpus().len(), part.cores(), part.nodes().len()), (5, 3, 1));
    assert_eq!((part.nodes()[0].id, part.nodes()[0].cores), (1, 3));
    assert_eq!(part.core_cpus(), set("1,3,69"));
    assert_eq!(
        part.to_string(),
        "3 cores, 5 logical CPUs (1,3,65,67,69)\n1 NUMA node\nno cgroup quota\n3 workers"
    );
}

#[test]
fn four_nodes_in_one_socket_and_a_node_of_memory_alone() {
    let tree = Tree::new().affinity("0-15").machine(16, alone, &["0-3", "4-7", "8-11", "12-15", ""]);
    let topology = tree.topology();
    assert_eq!(topology.nodes().iter().map(|node| node.cores).collect::<Vec<_>>(), [4, 4, 4, 4]);
    assert!(
        topology.to_string().contains("4 NUMA nodes\n  node 0: 4 cores (0-3)\n  node 1: 4 cores (4-7)\n")
    );
}

#[test]
fn hybrid_cores_with_and_without_siblings() {
    // 2 performance cores of 2 threads, 4 efficient ones.
    let siblings =
        |cpu: usize| if cpu < 4 { format!("{}-{}", cpu / 2 * 2, cpu / 2 * 2 + 1) } else { cpu.to_string() };
    let topology = Tree::new().affinity("0-7").machine(8, siblings, &["0-7"]).topology();
    assert_eq!((topology.cpus().len(), topology.cores()), (8, 6));
    assert_eq!(topology.core_cpus(), set("0,2,4-7"));
    assert_eq!(topology.workers(), 6, "slower cores count");
}

#[test]
fn caches_and_kinds_of_cores_that_are_nonsense_are_left_out() {
    let cpu = |cpu: usize, file: &str| format!("sys/devices/system/cpu/cpu{cpu}/{file}");
    let tree = Tree::new()
        .affinity("0-3")
        .machine(4, alone, &["0-1", "2-3"])
        .file(cpu(0, "cache/index3/shared_cpu_list"), "banana\n")
        // Without itself, and across nodes.
        .file(cpu(1, "cache/index3/shared_cpu_list"), "0\n")
        .file(cpu(2, "cache/index3/shared_cpu_list"), "0-3\n")
        .file(cpu(3, "cache/index3/shared_cpu_list"), "3\n")
        .file(cpu(0, "cpu_capacity"), "1024\n")
        .file(cpu(1, "cpu_capacity"), "-5\n")
        .file(cpu(2, "cpu_capacity"), "767\n")
        .file(cpu(3, "cpu_capacity"), "768\n");
    let cpus = |tree: &Tree| -> Vec<(usize, bool)> {
        tree.topology().cpus().iter().map(|cpu| (cpu.l3, cpu.efficient)).collect()
    };
    assert_eq!(cpus(&tree), [(0, false), (0, false), (1, true), (1, false)]);
    // Intel's list comes first, but for one that shares nothing with the mask.
    let tree = tree.file("sys/devices/cpu_core/cpus", "7-9\n");
    assert_eq!(cpus(&tree)[2], (1, true));
    let tree = tree.file("sys/devices/cpu_core/cpus", "2\n");
    assert_eq!(cpus(&tree).iter().map(|cpu| cpu.1).collect::<Vec<_>>(), [true, true, false, true]);
    // 1 and 2 are of one core and of two nodes at once.
    let tree = tree.file(cpu(1, "topology/core_cpus_list"), "1-2\n");
    let placement = connote_threads::Placement::of(&tree.topology(), 4, 1);
    let places: Vec<_> =
        placement.workers().iter().map(|place| (place.node, place.cpus.to_string())).collect();
    let places: Vec<_> = places.iter().map(|(node, cpus)| (*node, cpus.as_str())).collect();
    assert_eq!(places, [(0, "0"), (1, "2"), (0, "1"), (1, "3")]);
}

#[test]
fn the_new_name_of_siblings_comes_first() {
    let tree = Tree::new().affinity("0-1").machine(2, alone, &["0-1"]);
    let tree = tree.file("sys/devices/system/cpu/cpu0/topology/core_cpus_list", "0-1\n");
    let tree = tree.file("sys/devices/system/cpu/cpu1/topology/core_cpus_list", "0-1\n");
    assert_eq!(tree.topology().cores(), 1);
}

#[test]
fn masks_name_cpus_that_are_not_there() {
    // A virtual machine: the mask is all that the kernel could have.
    let topology = Tree::new().affinity("0-127").machine(2, alone, &["0-1"]).topology();
    assert_eq!((topology.cpus().len(), topology.workers()), (2, 2));
}

#[test]
fn quotas_of_version_1_at_every_level() {
    let tree =
        |group, mounted| Tree::new().affinity("0-7").machine(8, alone, &["0-7"]).version_1(group, mounted);
    let cpu = "sys/fs/cgroup/cpu and acct";
    let quota = |tree: Tree, folder: &str, quota: &str| {
        tree.file(format!("{cpu}{folder}/cpu.cfs_quota_us"), quota)
            .file(format!("{cpu}{folder}/cpu.cfs_period_us"), "100000\n")
    };
    // The host's view: the smallest of the group and those above it.
    let host =
        quota(quota(quota(tree("/a/b", "/"), "", "-1\n"), "/a", "250000\n"), "/a/b", "600000\n").topology();
    assert_eq!((host.quota(), host.workers()), (Some(2.5), 2));
    assert!(host.to_string().contains("\ncgroup quota 2.5 CPUs\n2 workers"), "{host}");
    // A container that sees the host's path, but only its own group mounted.
    for (group, mounted) in [("/docker/1f", "/docker/1f"), ("/docker/1f", "/elsewhere"), ("/../../x", "/")] {
        let inside = quota(tree(group, mounted), "", "50000\n").topology();
        assert_eq!((inside.quota(), inside.workers()), (Some(0.5), 1), "{group} {mounted}");
    }
    assert_eq!(quota(tree("/", "/"), "", "-1\n").topology().quota(), None);
}

#[test]
fn quotas_of_version_2_at_every_level() {
    let tree =
        |group, mounted| Tree::new().affinity("0-7").machine(8, alone, &["0-7"]).version_2(group, mounted);
    let tree_with =
        |text: &str| tree("/kube/pod", "/").file("sys/fs/cgroup/kube/pod/cpu.max", text).topology();
    assert_eq!(tree_with("350000 100000\n").quota(), Some(3.5));
    // Whole CPUs of it, and one at least; not more than the cores.
    for (quota, workers) in
        [(350, 3), (399, 3), (400, 4), (199, 1), (150, 1), (100, 1), (99, 1), (1, 1), (790, 7), (6400, 8)]
    {
        let topology = tree_with(&format!("{quota}000 100000\n"));
        assert_eq!(topology.workers(), workers, "a quota of {quota} hundredths");
    }
    // Exact in any period that the kernel allows.
    assert_eq!(tree_with("99999 33333\n").workers(), 3);
    assert_eq!(tree_with("4900000 700000\n").workers(), 7);
    assert_eq!(tree_with("max 100000\n").quota(), None);
    assert_eq!(tree_with("200000\n").quota(), Some(2.0));
    for nonsense in ["", "0 100000", "-5 100000", "100000 0", "1e400 1", "a b", "99999999999999999999 1"] {
        assert_eq!(tree_with(nonsense).quota(), None, "{nonsense:?}");
    }
    let above = tree("/kube/pod", "/")
        .file("sys/fs/cgroup/kube/cpu.max", "150000 100000\n")
        .file("sys/fs/cgroup/kube/pod/cpu.max", "max 100000\n");
    assert_eq!(above.topology().quota(), Some(1.5));
    let inside = tree("/", "/kube/pod").file("sys/fs/cgroup/cpu.max", "700000 100000\n");
    assert_eq!((inside.topology().quota(), inside.topology().workers()), (Some(7.0), 7));
}

#[test]
fn cpusets_narrow_the_mask() {
    let machine = || Tree::new().affinity("0-7").machine(8, alone, &["0-7"]);
    let second = machine().version_2("/a", "/").file("sys/fs/cgroup/a/cpuset.cpus.effective", "2-4\n");
    assert_eq!(second.topology().core_cpus(), set("2-4"));
    let first = machine().version_1("/a", "/").file("sys/fs/cgroup/cpuset/a/cpuset.cpus", "1,6\n");
    assert_eq!(first.topology().core_cpus(), set("1,6"));
    // Empty means "as above"; one that shares nothing with the mask is from another name space.
    for text in ["\n", "64-71\n", "nonsense"] {
        let other = machine().version_2("/a", "/").file("sys/fs/cgroup/a/cpuset.cpus.effective", text);
        assert_eq!(other.topology().cores(), 8, "{text:?}");
    }
}

#[test]
fn the_environment_limits() {
    let tree = Tree::new().affinity("0-7").machine(8, alone, &["0-7"]);
    let with = |pairs: &'static [(&str, &str)]| {
        tree.topology()
            .limited_by(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
    };
    assert_eq!(with(&[]).workers(), 8);
    assert_eq!(with(&[("CONNOTE_THREADS", "3")]).workers(), 3);
    assert_eq!(with(&[("CONNOTE_THREADS", "100")]).workers(), 8, "a limit, not a demand");
    assert_eq!(with(&[("OMP_NUM_THREADS", "4"), ("RAYON_NUM_THREADS", "2")]).workers(), 2);
    let wrong = with(&[("CONNOTE_THREADS", "all"), ("OMP_NUM_THREADS", "5")]);
    assert_eq!((wrong.workers(), wrong.limits().len()), (5, 2));
    assert!(wrong.to_string().ends_with(
        "\nCONNOTE_THREADS=\"all\" is not a number of threads and is ignored\nOMP_NUM_THREADS allows 5\n5 workers"
    ));
}

#[test]
fn what_is_missing_limits_nothing() {
    let empty = Tree::new().topology();
    assert_eq!((empty.cpus().len(), empty.cores(), empty.nodes().len(), empty.quota()), (1, 1, 1, None));
    // Only /proc, as in some sandboxes: every CPU is a core of its own.
    let proc = Tree::new().affinity("0-3").topology();
    assert_eq!((proc.cores(), proc.nodes().len(), proc.nodes()[0].cores), (4, 1, 4));
    // Only /sys, as on a kernel without the line.
    let sys = Tree::new().machine(4, alone, &[]).topology();
    assert_eq!(sys.workers(), 4);
}

#[test]
fn nonsense_is_no_panic() {
    let tree = Tree::new()
        .affinity("0-4294967295")
        .machine(2, |_| "banana".into(), &["0-1,", "1-0"])
        .file("sys/devices/system/node/nodeX/cpulist", "0")
        .file("sys/devices/system/node/node99999999999999999999/cpulist", "0")
        .file("proc/self/cgroup", "\n:::\n4\n0::\n7:cpu:\u{0}\n")
        .file(
            "proc/self/mountinfo",
            "1 - cgroup\n - \n1 2 3 / /x rw - cgroup2\n1 2 3 / /x rw - cgroup c rw,cpu\n",
        );
    assert_eq!(tree.topology().cores(), 2);
    fs::write(tree.0.path().join("proc/self/status"), [0xff, 0xfe, 0]).unwrap();
    assert_eq!(tree.topology().cores(), 2);
}

#[test]
fn this_machine() {
    let topology = Topology::detect();
    assert!(topology.workers() >= 1 && topology.cores() <= topology.cpus().len());
    assert_eq!(topology.nodes().iter().map(|node| node.cpus.len()).sum::<usize>(), topology.cpus().len());
    assert_eq!(topology.core_cpus().len(), topology.cores());
    // std knows the mask and the quota too, but not siblings.
    let std = std::thread::available_parallelism().unwrap().get();
    assert!(topology.workers() <= std, "{topology}\nstd: {std}");
}
