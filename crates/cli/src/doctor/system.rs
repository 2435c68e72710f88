//! What the system says of itself and of this process's limits. What it does not tell is `None`.

use std::fs;
use std::path::{Path, PathBuf};

use connote::threads::Topology;
use serde::Serialize;

/// Memory, folders, limits.
#[derive(Debug, Serialize)]
pub(crate) struct System {
    /// Bytes.
    pub(crate) memory: Option<u64>,
    /// Bytes that could be had without swapping.
    pub(crate) memory_available: Option<u64>,
    /// Bytes that the cgroup allows.
    pub(crate) memory_limit: Option<u64>,
    /// `always`, `madvise` or `never`.
    pub(crate) large_pages: Option<String>,
    /// Where hashes and measurements are kept.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) cache_bytes: u64,
    /// Why nothing can be kept there.
    pub(crate) cache_refuses: Option<String>,
    /// Running threads, mean of the last minute.
    pub(crate) load: Option<f64>,
    pub(crate) workers: usize,
    pub(crate) quota: Option<f64>,
    /// Whether this program was built for finding its own mistakes.
    pub(crate) debug_build: bool,
    pub(crate) governor: Option<String>,
}

impl System {
    pub(crate) fn look() -> Self {
        let topology = Topology::detect();
        let cache = connote::default_cache();
        let read = |path: &str| fs::read_to_string(path).ok();
        let chosen = |text: String| {
            text.split_whitespace()
                .find_map(|word| word.strip_prefix('[')?.strip_suffix(']').map(str::to_owned))
        };
        Self {
            memory: meminfo("MemTotal:"),
            memory_available: meminfo("MemAvailable:"),
            memory_limit: memory_limit(),
            large_pages: read("/sys/kernel/mm/transparent_hugepage/enabled").and_then(chosen),
            cache_bytes: cache.as_deref().map_or(0, |folder| size_of(folder, 4)),
            cache_refuses: cache.as_deref().and_then(refuses),
            cache,
            load: read("/proc/loadavg").and_then(|text| text.split_whitespace().next()?.parse().ok()),
            workers: topology.workers(),
            quota: topology.quota(),
            debug_build: cfg!(debug_assertions),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .map(|text| text.trim().to_owned()),
        }
    }
}

/// Variables that change what connote does. Of those with secrets only that they are set.
pub(crate) fn environment() -> Vec<(String, String)> {
    const SECRET: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
    const OTHERS: [&str; 5] = [
        "EMBED_MODELS_DIR",
        "OMP_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "XDG_CACHE_HOME",
        "HUGGINGFACE_HUB_CACHE",
    ];
    let matters = |name: &str| {
        name.starts_with("CONNOTE_")
            || name.starts_with("HF_")
            || OTHERS.contains(&name)
            || SECRET.contains(&name)
    };
    let mut set: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, value)| matters(name) && !value.is_empty())
        .map(
            |(name, value)| if SECRET.contains(&&*name) { (name, "(set)".to_owned()) } else { (name, value) },
        )
        .collect();
    set.sort();
    set
}

/// A line of `/proc/meminfo`, which counts in KiB.
fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The least that this process's cgroup and those above it allow (version 2), or its own (version 1).
fn memory_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/').to_owned();
    let root = Path::new("/sys/fs/cgroup");
    let full = root.join(path);
    let folders = full.ancestors().take_while(|folder| folder.starts_with(root));
    let limit =
        |folder: &Path| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse::<u64>().ok();
    let second = folders.filter_map(limit).min();
    let first =
        || fs::read_to_string("/sys/fs/cgroup/memory/memory.limit_in_bytes").ok()?.trim().parse().ok();
    // Version 1 has a number near 2^63 for none.
    second.or_else(first).filter(|&bytes| bytes < 1 << 60)
}

/// Bytes of the files in a folder; it is followed only so deep.
fn size_of(folder: &Path, depth: usize) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => size_of(&entry.path(), depth - 1),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |about| about.len()),
            _ => 0,
        })
        .sum()
}

/// Why a file cannot be made in a folder; the folder is made if it is not there, as it would be in use.
fn refuses(folder: &Path) -> Option<String> {
    let probe = fs::create_dir_all(folder).and_then(|()| tempfile::NamedTempFile::new_in(folder));
    probe.err().map(|error| error.to_string())
}
