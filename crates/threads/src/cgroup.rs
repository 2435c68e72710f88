//! What control groups leave a process: a quota of CPU time, a set of CPUs and memory, of version 1 and 2.
//!
//! A process is in a group at some depth, and every group above it limits it too. Inside a container the path
//! that `/proc/self/cgroup` gives may be the host's, while what is mounted begins at the container's own group;
//! `/proc/self/mountinfo` tells where.

use std::path::{Component, Path, PathBuf};

use crate::CpuSet;
use crate::sysfs::read;

/// What all groups together allow.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// CPUs' worth of time, as 3.5; the smallest of all groups.
    pub(crate) quota: Option<f64>,
    /// CPUs the process may run on.
    pub(crate) cpus: Option<CpuSet>,
}

/// The limits of this process, files being looked up under `root`. What is missing or unreadable limits nothing.
pub(crate) fn limits(root: &Path) -> Limits {
    let mut limits = Limits::default();
    for_each_group(root, &["cpu", "cpuset"], |version_2, folders| {
        for folder in folders {
            limits.quota = smaller(limits.quota, quota(folder, version_2));
        }
        // The effective set of the group itself already is within those above.
        if let Some(folder) = folders.first() {
            limits.cpus = limits.cpus.take().or_else(|| cpu_set(folder, version_2));
        }
    });
    limits
}

/// Version 1 has a number near 2^63 for no limit of memory, version 2 a word.
const NO_LIMIT: u64 = 1 << 60;

/// Bytes of memory that the groups of this process allow it; `None` for no limit.
pub fn memory_limit() -> Option<u64> {
    memory_limit_from(Path::new("/"))
}

/// As [`memory_limit`], files being looked up under `root`.
fn memory_limit_from(root: &Path) -> Option<u64> {
    let mut least = NO_LIMIT;
    for_each_group(root, &["memory"], |version_2, folders| {
        let file = if version_2 { "memory.max" } else { "memory.limit_in_bytes" };
        let allowed = folders.iter().filter_map(|folder| read(&folder.join(file))?.trim().parse().ok());
        least = allowed.fold(least, u64::min);
    });
    (least < NO_LIMIT).then_some(least)
}

/// Bytes of memory that the groups of this process still leave it: what each allows without what is used in it, by others, too.
/// Pages of files that were not used lately do not count as used: the system takes them back first. `None` for no limit.
pub fn memory_left() -> Option<u64> {
    memory_left_from(Path::new("/"))
}

/// As [`memory_left`], files being looked up under `root`.
fn memory_left_from(root: &Path) -> Option<u64> {
    let mut least = None;
    for_each_group(root, &["memory"], |version_2, folders| {
        let (allowed, used, files) = match version_2 {
            true => ("memory.max", "memory.current", "inactive_file "),
            false => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
        };
        for folder in folders {
            let number = |file| read(&folder.join(file))?.trim().parse::<u64>().ok();
            let Some(allowed) = number(allowed).filter(|allowed| *allowed < NO_LIMIT) else { continue };
            let statistics = read(&folder.join("memory.stat")).unwrap_or_default();
            let taken_back =
                statistics.lines().find_map(|line| line.strip_prefix(files)?.trim().parse().ok());
            let used = number(used).unwrap_or(0).saturating_sub(taken_back.unwrap_or(0));
            let left = allowed.saturating_sub(used);
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
    });
    least
}

/// Each group of this process with one of these controllers: whether it is of version 2, its folder and those above it,
/// innermost first.
fn for_each_group(root: &Path, controllers: &[&str], mut found: impl FnMut(bool, &[PathBuf])) {
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = read(&root.join("proc/self/mountinfo")).unwrap_or_default();
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    for group in groups.lines().filter_map(Group::parse) {
        if let Some(mount) = mounts.iter().find(|mount| mount.holds(&group, controllers)) {
            found(group.version_2(), &folders(root, mount, &group).collect::<Vec<_>>());
        }
    }
}

/// A line of /proc/self/cgroup: `4:cpu,cpuacct:/docker/1f2e`, or `0::/user.slice` for version 2.
struct Group<'a> {
    controllers: &'a str,
    path: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(3, ':').skip(1);
        Some(Self { controllers: fields.next()?, path: fields.next()? })
    }

    fn version_2(&self) -> bool {
        self.controllers.is_empty()
    }
}

/// A line of /proc/self/mountinfo about control groups:
/// `31 23 0:28 /docker/1f2e /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`.
struct Mount {
    /// The group that the mount point shows.
    root: String,
    point: String,
    version_2: bool,
    /// The controllers of a version 1 mount, among other options.
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let mut kind = kind.split(' ');
        let version_2 = match kind.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        Some(Self {
            root: unescape(place.next()?),
            point: unescape(place.next()?),
            version_2,
            options: kind.nth(1).unwrap_or_default().to_owned(),
        })
    }

    fn holds(&self, group: &Group<'_>, wanted: &[&str]) -> bool {
        let mine = |controller| self.options.split(',').any(|option| option == controller);
        match (self.version_2, group.version_2()) {
            (true, true) => true,
            (false, false) => group.controllers.split(',').any(|name| wanted.contains(&name) && mine(name)),
            _ => false,
        }
    }
}

/// The kernel writes space, tab, newline and backslash in paths as three octal digits.
fn unescape(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (code, plain)| path.replace(code, plain))
}

/// The group's folder and those above it up to the mount point, innermost first, all under `root`.
fn folders(root: &Path, mount: &Mount, group: &Group<'_>) -> impl Iterator<Item = PathBuf> {
    // A group outside what is mounted (a container that sees the host's paths, or `/..` from another
    // namespace): the mount point is the nearest that can be read.
    let inside = Path::new(group.path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let names: Vec<_> = inside.components().collect();
    let plain = names.iter().all(|name| matches!(name, Component::Normal(_)));
    let names: PathBuf = if plain { names.into_iter().collect() } else { PathBuf::new() };
    let point = root.join(mount.point.trim_start_matches('/'));
    let depth = names.components().count();
    (0..=depth).map(move |up| names.ancestors().nth(up).map_or(point.clone(), |name| point.join(name)))
}

/// CPUs' worth of time that one group allows.
fn quota(folder: &Path, version_2: bool) -> Option<f64> {
    let (quota, period) = if version_2 {
        // "350000 100000", or "max 100000" for no limit; the second number may be left out.
        let text = read(&folder.join("cpu.max"))?;
        let mut fields = text.split_whitespace();
        (number(fields.next()?)?, fields.next().map_or(Some(100_000.0), number)?)
    } else {
        // A quota of -1 is none.
        let number = |file| number(read(&folder.join(file))?.trim());
        (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    };
    let cpus = quota / period;
    (quota > 0.0 && period > 0.0 && cpus.is_finite()).then_some(cpus)
}

fn number(text: &str) -> Option<f64> {
    text.parse::<i64>().ok().map(|number| number as f64)
}

fn smaller(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn cpu_set(folder: &Path, version_2: bool) -> Option<CpuSet> {
    let files: &[&str] =
        if version_2 { &["cpuset.cpus.effective"] } else { &["cpuset.effective_cpus", "cpuset.cpus"] };
    files.iter().filter_map(|file| CpuSet::parse(&read(&folder.join(file))?)).find(|cpus| !cpus.is_empty())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs;

    use super::{memory_left_from, memory_limit_from};

    #[test]
    fn memory_is_the_least_of_all_groups() {
        let limit = |files: &[(&str, &str)]| {
            let root = tempfile::tempdir().expect("a folder");
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                fs::write(path, text).expect("written");
            }
            memory_limit_from(root.path())
        };
        let second =
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
        let group = ("proc/self/cgroup", "0::/a/b\n");
        let own = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(limit(&[second, group, own]), None);
        assert_eq!(limit(&[second, group, own, ("sys/fs/cgroup/a/memory.max", "4096\n")]), Some(4096));
        let first =
            ("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        let group = ("proc/self/cgroup", "4:cpu:/\n9:memory:/jobs\n");
        let whole = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(&[first, group, whole]), None);
        let own = ("sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "1048576\n");
        assert_eq!(limit(&[first, group, whole, own]), Some(1 << 20));
        assert_eq!(limit(&[]), None);
    }
    #[test]
    fn memory_left_is_without_what_the_group_uses() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
        write("proc/self/cgroup", "0::/a/b\n");
        write("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(memory_left_from(root.path()), None);
        write("sys/fs/cgroup/a/memory.max", "10000\n");
        assert_eq!(memory_left_from(root.path()), Some(10_000));
        write("sys/fs/cgroup/a/memory.current", "7000\n");
        write("sys/fs/cgroup/a/memory.stat", "file 2500\nactive_file 500\ninactive_file 2000\n");
        assert_eq!(memory_left_from(root.path()), Some(5000));
        // The group itself may leave less than the one above.
        write("sys/fs/cgroup/a/b/memory.max", "3000\n");
        write("sys/fs/cgroup/a/b/memory.current", "4000\n");
        assert_eq!(memory_left_from(root.path()), Some(0));
    }
}
