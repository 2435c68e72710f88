//! Placement on machines that others have recorded (`topologies/`): none of ours has more than one node.

mod recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use connote_threads::{CpuSet, MAX_THREADS, Pinning, Place, Placement, Topology, pin_current_thread};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use recorded::{Machine, set};

/// Reads each once: a machine is a thousand small files.
fn machine(name: &str) -> Topology {
    static READ: Mutex<BTreeMap<String, Topology>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.entry(name.to_owned()).or_insert_with(|| Machine::read(name).topology()).clone()
}

#[test]
fn machines_are_seen_as_recorded() {
    // Logical CPUs, cores, nodes with CPUs, L3 groups, efficient CPUs, workers.
    let seen: BTreeMap<String, _> = Machine::names()
        .into_iter()
        .map(|name| {
            let topology = machine(&name);
            let groups: BTreeSet<usize> = topology.cpus().iter().map(|cpu| cpu.l3).collect();
            let efficient: CpuSet =
                topology.cpus().iter().filter(|cpu| cpu.efficient).map(|cpu| cpu.id).collect();
            let nodes: Vec<String> = topology.nodes().iter().map(|node| node.id.to_string()).collect();
            let counts = [topology.cpus().len(), topology.cores(), groups.len(), topology.workers()];
            (name, (counts, nodes.join(" "), efficient.to_string()))
        })
        .collect();
    let expected = [
        ("container-half-socket", [48, 24, 6, 12], "0 1", ""),
        ("core-ultra-185h", [22, 16, 2, 16], "0", "12-21"),
        ("dgx-gb10", [20, 20, 2, 20], "0", "0-4,10-14"),
        ("epyc-16c-2s-nps1", [64, 32, 8, 32], "0 1", ""),
        ("epyc-64c-2s-nps4", [256, 128, 8, 128], "0 1 2 3 4 5 6 7", ""),
        ("epyc-7451-2s", [96, 48, 16, 48], "0 1 2 3 4 5 6 7", ""),
        ("interleaved-36c-2s", [72, 36, 2, 36], "0 1", ""),
        ("opteron-4s-sparse", [48, 48, 8, 48], "0 1 2 33 34 45 72 73", ""),
        ("power-lpar", [8, 8, 1, 8], "2", ""),
        ("xeon-8480-2s-snc4", [224, 112, 8, 112], "0 1 2 3 4 5 6 7", ""),
        ("xeon-e5-2698b-v3-2s", [64, 32, 2, 32], "0 1", ""),
        ("xeon-e7-4870-4s", [40, 40, 4, 40], "0 1 2 3", ""),
        ("xeon-max-hbm-flat", [160, 80, 2, 80], "0 1", ""),
        ("xeon-x7550-4s", [64, 32, 4, 32], "0", ""),
    ];
    let expected = expected.map(|(name, counts, nodes, efficient)| {
        (name.to_owned(), (counts, nodes.to_owned(), efficient.to_owned()))
    });
    assert_eq!(seen, BTreeMap::from(expected));
}

/// What `--explain` prints, on machines with several nodes.
#[test]
fn shapes_on_machines_with_several_nodes() {
    let check = |name: &str, workers: usize, threads: usize, lines: &[&str]| {
        let placement = Placement::of(&machine(name), workers, threads);
        assert!(!placement.is_trivial());
        let lines: Vec<String> =
            lines.iter().enumerate().map(|(index, line)| format!("worker {index}: {line}")).collect();
        assert_eq!(placement.to_string(), lines.join("\n"), "{name}, {workers} x {threads}");
    };
    // Two sockets: one worker a socket, the next begins with the rest of the first, the fifth with the siblings.
    let name = "xeon-e5-2698b-v3-2s";
    check(name, 1, 4, &["node 0, CPUs 0-3"]);
    check(name, 2, 16, &["node 0, CPUs 0-15", "node 1, CPUs 16-31"]);
    check(
        name,
        5,
        8,
        &[
            "node 0, CPUs 0-7",
            "node 1, CPUs 16-23",
            "node 0, CPUs 8-15",
            "node 1, CPUs 24-31",
            "node 0, CPUs 32-39",
        ],
    );
    // More threads than a socket has cores: both, and cores before siblings.
    check(name, 1, 20, &["nodes 0+1, CPUs 0-19"]);
    check(name, 1, 34, &["nodes 0+1, CPUs 0-33"]);
    check(name, 1, 1000, &["nodes 0+1, CPUs 0-63"]);

    // L3 caches of four cores: two workers of two in each come last, and one of three leaves the fourth core.
    let name = "epyc-16c-2s-nps1";
    check(
        name,
        6,
        3,
        &[
            "node 0, CPUs 0-2",
            "node 1, CPUs 16-18",
            "node 0, CPUs 4-6",
            "node 1, CPUs 20-22",
            "node 0, CPUs 8-10",
            "node 1, CPUs 24-26",
        ],
    );
    // Four a node fit into a cache each; the fifth has the cores that are left, of four caches.
    let placement = Placement::of(&machine(name), 10, 3);
    assert_eq!(placement.worker(6).cpus, set("12-14"));
    assert_eq!(placement.worker(8).cpus, set("3,7,11"));
    assert_eq!(placement.worker(9).cpus, set("19,23,27"));
    check(name, 2, 5, &["node 0, CPUs 0-4", "node 1, CPUs 16-20"]);

    // Eight nodes in two sockets.
    let name = "epyc-64c-2s-nps4";
    check(name, 3, 16, &["node 0, CPUs 0-15", "node 1, CPUs 16-31", "node 2, CPUs 32-47"]);
    check(name, 2, 64, &["nodes 0+1+2+3, CPUs 0-63", "nodes 4+5+6+7, CPUs 64-127"]);
    check(name, 2, 17, &["nodes 0+1, CPUs 0-16", "nodes 2+3, CPUs 32-48"]);
    check("epyc-7451-2s", 2, 3, &["node 0, CPUs 0-2", "node 1, CPUs 6-8"]);
    let placement = Placement::of(&machine("epyc-7451-2s"), 16, 3);
    assert_eq!((placement.worker(8).node, &placement.worker(8).cpus), (0, &set("3-5")));
    assert_eq!((placement.worker(15).node, &placement.worker(15).cpus), (7, &set("45-47")));
    check("xeon-8480-2s-snc4", 2, 14, &["node 0, CPUs 0-13", "node 1, CPUs 14-27"]);
    check("xeon-8480-2s-snc4", 2, 56, &["nodes 0+1+2+3, CPUs 0-55", "nodes 4+5+6+7, CPUs 56-111"]);

    // Numbers that go round the nodes, and nodes whose numbers have gaps.
    check("xeon-e7-4870-4s", 2, 3, &["node 0, CPUs 0,4,8", "node 1, CPUs 1,5,9"]);
    check(
        "xeon-e7-4870-4s",
        2,
        11,
        &["nodes 0+1, CPUs 0-1,4,8,12,16,20,24,28,32,36", "nodes 2+3, CPUs 2-3,6,10,14,18,22,26,30,34,38"],
    );
    check("interleaved-36c-2s", 2, 4, &["node 0, CPUs 0,2,4,6", "node 1, CPUs 1,3,5,7"]);
    let placement = Placement::of(&machine("interleaved-36c-2s"), 3, 18);
    assert_eq!(placement.worker(1).cpus, set("1-35:1/2"));
    assert_eq!(placement.worker(2).cpus, set("36-71:1/2"), "the siblings of the first worker");
    check("opteron-4s-sparse", 2, 7, &["nodes 0+1, CPUs 0-6", "nodes 2+33, CPUs 12-18"]);
    check("opteron-4s-sparse", 1, 6, &["node 0, CPUs 0-5"]);

    // Nodes without CPUs are none to place on.
    check("xeon-max-hbm-flat", 2, 40, &["node 0, CPUs 0-39", "node 1, CPUs 40-79"]);

    // Eight cores of one node and sixteen of the other: a worker to two, and one that only the larger holds.
    let name = "container-half-socket";
    check(name, 3, 4, &["node 1, CPUs 16-19", "node 1, CPUs 20-23", "node 0, CPUs 0-3"]);
    check(name, 3, 8, &["node 1, CPUs 16-23", "node 1, CPUs 24-31", "node 0, CPUs 0-7"]);
    check(name, 1, 12, &["node 1, CPUs 16-27"]);
    check(name, 1, 24, &["nodes 0+1, CPUs 0-7,16-31"]);
}

#[test]
fn one_node_is_nothing_to_place() {
    for name in ["core-ultra-185h", "dgx-gb10", "power-lpar", "xeon-x7550-4s"] {
        let placement = Placement::of(&machine(name), 2, 2);
        assert!(placement.is_trivial());
        assert_eq!(placement.pinning(1), Pinning::Off);
        assert_eq!(placement.to_string(), "one NUMA node: workers are not pinned");
    }
    let several = Placement::of(&machine("xeon-max-hbm-flat"), 2, 8);
    assert_eq!(several.pinning(0), Pinning::Within(set("0-39,80-119")));
    assert_eq!(several.pinning(3), Pinning::Within(set("40-79,120-159")), "from the first again");
}

/// Places are there for whoever pins to cores all the same: fast cores first, caches together.
#[test]
fn fast_cores_come_before_efficient_ones() {
    let cpus = |name: &str, workers, threads| {
        let placement = Placement::of(&machine(name), workers, threads);
        placement.workers().iter().map(|place| place.cpus.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(cpus("core-ultra-185h", 1, 6), ["0-1,3,6,8,10"]);
    assert_eq!(cpus("core-ultra-185h", 2, 4), ["0-1,3,6", "8,10,12-13"]);
    assert_eq!(cpus("core-ultra-185h", 1, 14), ["0-1,3,6,8,10,12-19"]);
    // Low-power cores, without L3, come last, and siblings after all cores.
    assert_eq!(cpus("core-ultra-185h", 1, 16), ["0-1,3,6,8,10,12-21"]);
    assert_eq!(cpus("core-ultra-185h", 1, 17), ["0-1,3,5-6,8,10,12-21"]);
    assert_eq!(cpus("dgx-gb10", 2, 5), ["5-9", "15-19"]);
    assert_eq!(cpus("dgx-gb10", 1, 10), ["5-9,15-19"], "fast ones of two caches, not all of one");
    assert_eq!(cpus("xeon-x7550-4s", 2, 3), ["0,4,8", "1,5,9"]);
    assert_eq!(cpus("xeon-x7550-4s", 1, 9), ["0-1,4,8,12,16,20,24,28"], "all of one cache before the next");
    // A mask without fast cores: then none is efficient.
    let laptop = Machine::read("core-ultra-185h");
    laptop.allow(&set("12-21"));
    assert!(laptop.topology().cpus().iter().all(|cpu| !cpu.efficient));
    // Capacities that differ as clocks of one kind of core do.
    let arm = Machine::read("dgx-gb10");
    arm.allow(&set("5-9,15-19"));
    assert!(arm.topology().cpus().iter().all(|cpu| !cpu.efficient));
}

#[test]
fn hybrid_machines_say_so() {
    assert_eq!(
        machine("core-ultra-185h").to_string(),
        "16 cores, 22 logical CPUs (0-21)\nefficiency cores: CPUs 12-21\n2 groups of CPUs by L3 cache\n\
         1 NUMA node\nno cgroup quota\n16 workers"
    );
}

/// What must hold of any placement.
fn check(topology: &Topology, workers: usize, threads: usize) {
    let placement = Placement::of(topology, workers, threads);
    assert_eq!(placement, Placement::of(topology, workers, threads));
    let (workers, threads) = (workers.clamp(1, MAX_THREADS), threads.max(1));
    assert_eq!(placement.workers().len(), workers);
    let cpu_of = |id: usize| topology.cpus().iter().find(|cpu| cpu.id == id).expect("an allowed CPU");
    let cores_of = |cpus: &CpuSet| cpus.iter().map(|id| cpu_of(id).core).collect::<BTreeSet<usize>>();
    let nodes = topology.nodes();
    let cores = |span: &[connote_threads::Node]| span.iter().map(|node| node.cores).sum::<usize>();
    let span = (1..=nodes.len())
        .find(|&span| nodes.windows(span).any(|nodes| cores(nodes) >= threads))
        .unwrap_or(nodes.len());
    let mut load: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, place) in placement.workers().iter().enumerate() {
        let at = format!("worker {index} of {workers} x {threads}: {place:?}\n{topology}");
        let Place { node, nodes: within, cpus, reach } = place;
        // Within a node, or as few neighbours as hold it.
        assert_eq!((*node, within.len()), (within.start, span), "{at}");
        let all: CpuSet = nodes[within.clone()].iter().flat_map(|node| node.cpus.iter()).collect();
        assert_eq!(*reach, all, "{at}");
        assert!(threads > cores(nodes) || threads <= cores(&nodes[within.clone()]), "{at}");
        // A CPU a thread, cores before siblings.
        assert_eq!(cpus.len(), threads.min(reach.len()), "{at}");
        assert_eq!(cpus.intersection(reach), *cpus, "{at}");
        let (mine, reached) = (cores_of(cpus), cores_of(reach));
        assert_eq!(mine.len(), threads.min(reached.len()), "{at}");
        // No core with others while one in reach is free.
        let busy = |core: &usize| load.get(core).is_some_and(|&threads| threads > 0);
        if mine.iter().any(busy) {
            assert!(reached.iter().all(|core| busy(core) || mine.contains(core)), "{at}");
        }
        // Fast cores first; one L3 where one holds it and they are alike.
        let efficient = |cores: &BTreeSet<usize>| {
            let is = |core: &usize| topology.cpus().iter().any(|cpu| cpu.core == *core && cpu.efficient);
            cores.iter().filter(|core| is(core)).count()
        };
        if index == 0 {
            let fast = reached.len() - efficient(&reached);
            assert_eq!(efficient(&mine), mine.len().saturating_sub(fast), "{at}");
            let mut caches: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
            reach.iter().map(cpu_of).for_each(|cpu| {
                caches.entry(cpu.l3).or_default().insert(cpu.core);
            });
            let holds = |cores: &&BTreeSet<usize>| {
                cores.len() >= threads && cores.len() - efficient(cores) >= threads.min(fast)
            };
            if within.len() == 1 && caches.values().any(|cores| holds(&cores)) {
                let used: BTreeSet<usize> = cpus.iter().map(|id| cpu_of(id).l3).collect();
                assert_eq!(used.len(), 1, "{at}");
            }
        }
        for id in cpus.iter() {
            *load.entry(cpu_of(id).core).or_default() += 1;
        }
    }
    // Like nodes have the same number of workers, or one more; and nodes as many as they have of the cores.
    if span == 1 {
        let count = |node: usize| placement.workers().iter().filter(|place| place.node == node).count();
        let fitting: Vec<usize> = (0..nodes.len()).filter(|&node| nodes[node].cores >= threads).collect();
        let total: usize = fitting.iter().map(|&node| nodes[node].cores).sum();
        for &one in &fitting {
            for &other in fitting.iter().filter(|&&other| nodes[other].cores == nodes[one].cores) {
                assert!(count(one).abs_diff(count(other)) <= 1, "{workers} x {threads} on\n{topology}");
            }
            if workers % total == 0 {
                assert_eq!(count(one), workers / total * nodes[one].cores, "{workers} x {threads}");
            }
        }
    }
}

#[test]
fn rules_hold_on_every_machine() {
    for name in Machine::names() {
        let topology = machine(&name);
        for workers in [0, 1, 2, 3, 4, 5, 7, 8, 13, 33] {
            for threads in [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 17, 33, 65, 300] {
                check(&topology, workers, threads);
            }
        }
        check(&topology, topology.cores(), 1);
        check(&topology, 2 * topology.cores(), 1);
        check(&topology, topology.nodes().len(), topology.nodes()[0].cores);
        check(&topology, MAX_THREADS + 1, 3);
        check(&topology, 2, usize::MAX);
    }
}

/// Masks leave nodes uneven, cores without siblings and caches with holes.
#[test]
fn rules_hold_under_any_mask() {
    // Not by proptest!: that would write the machines' files for every case.
    let machines: Vec<(Machine, Topology)> = Machine::names()
        .iter()
        .map(|name| {
            let machine = Machine::read(name);
            let topology = machine.topology();
            (machine, topology)
        })
        .collect();
    let masks = (0..machines.len(), prop::collection::vec(any::<bool>(), 256), 0usize..6);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1000));
    let tried = runner.run(&(masks, 1usize..40, 1usize..40), |((which, kept, every), workers, threads)| {
        let (machine, all) = &machines[which];
        let ids = all.cpus().iter().map(|cpu| cpu.id);
        let mask: CpuSet = ids.filter(|&id| kept[id] || id % 7 < every).collect();
        prop_assume!(!mask.is_empty());
        machine.allow(&mask);
        let topology = machine.topology();
        prop_assert_eq!(topology.cpus().len(), mask.len());
        check(&topology, workers, threads);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

/// This machine's own placement can be asked for.
#[test]
#[cfg(target_os = "linux")]
fn a_thread_runs_at_its_place() {
    let placement = Placement::of(&Topology::detect(), 3, 1);
    for place in placement.workers() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pin_current_thread(&place.cpus).unwrap();
                let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
                let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
                assert_eq!(set(list), place.cpus);
            });
        });
    }
}
