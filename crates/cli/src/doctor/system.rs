//! What the system says of itself and of this process's limits. What it does not tell is `None`.

use std::fs;
use std::path::{Path, PathBuf};

use connote::threads::{Topology, memory_left, memory_limit};
use serde::Serialize;

use super::load;
use crate::bench::Machine;
use crate::output::shown_path;
use crate::{memory, model};

/// Memory, folders, limits.
#[derive(Debug, Serialize)]
pub(crate) struct System {
    /// Bytes.
    pub(crate) memory: Option<u64>,
    /// Bytes that could be had without swapping.
    pub(crate) memory_available: Option<u64>,
    /// Bytes that the cgroup allows.
    pub(crate) memory_limit: Option<u64>,
    /// Bytes that the cgroup leaves, what is used in it being taken away.
    pub(crate) memory_left: Option<u64>,
    /// Bytes of swap that are free.
    pub(crate) swap_free: Option<u64>,
    /// Bytes of addresses that this process may have (`ulimit -v`), if that is limited.
    pub(crate) address_limit: Option<u64>,
    /// Bytes of addresses that it has.
    pub(crate) addresses: Option<u64>,
    /// Why no models are found in their folder.
    pub(crate) no_models_folder: Option<String>,
    /// `always`, `madvise` or `never`.
    pub(crate) large_pages: Option<String>,
    /// Where hashes and measurements are kept.
    #[serde(serialize_with = "shown_path")]
    pub(crate) cache: Option<PathBuf>,
    pub(crate) cache_bytes: u64,
    /// Why nothing can be kept there.
    pub(crate) cache_refuses: Option<String>,
    /// CPUs, of those that may be used, that others keep busy.
    pub(crate) busy: Option<f64>,
    /// CPUs that may be used.
    pub(crate) cpus: usize,
    pub(crate) quota: Option<f64>,
    /// Whether this program was built for finding its own mistakes.
    pub(crate) debug_build: bool,
    pub(crate) governor: Option<String>,
}

impl System {
    /// What there is to know beside `machine`.
    pub(crate) fn look(machine: &Machine) -> Self {
        let cache = connote::default_cache();
        let cpus: Vec<usize> = Topology::detect().cpus().iter().map(|cpu| cpu.id).collect();
        let read = |path: &str| fs::read_to_string(path).ok();
        let chosen = |text: String| {
            text.split_whitespace()
                .find_map(|word| word.strip_prefix('[')?.strip_suffix(']').map(str::to_owned))
        };
        Self {
            memory: memory::total(),
            memory_available: memory::available(),
            memory_limit: memory_limit(),
            memory_left: memory_left(),
            swap_free: memory::swap_free(),
            address_limit: memory::address_limit(),
            addresses: memory::addresses(),
            no_models_folder: model::no_models_folder(),
            large_pages: read("/sys/kernel/mm/transparent_hugepage/enabled").and_then(chosen),
            cache_bytes: cache.as_deref().map_or(0, |folder| size_of(folder, 4)),
            cache_refuses: cache.as_deref().and_then(refuses),
            cache,
            busy: load::busy(&cpus),
            cpus: cpus.len(),
            quota: machine.topology.cgroup_quota,
            debug_build: cfg!(debug_assertions),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .map(|text| text.trim().to_owned()),
        }
    }

    /// Bytes of memory that are free for this process.
    pub(crate) fn memory_free(&self) -> Option<u64> {
        [self.memory_available, self.memory_left].into_iter().flatten().min()
    }

    /// Bytes of addresses that it may still take.
    pub(crate) fn addresses_left(&self) -> Option<u64> {
        Some(self.address_limit?.saturating_sub(self.addresses.unwrap_or(0)))
    }
}

/// Variables that change what connote does, without what is secret in them.
pub(crate) fn environment() -> Vec<(String, String)> {
    const OTHERS: [&str; 9] = [
        "EMBED_MODELS_DIR",
        "OMP_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "XDG_CACHE_HOME",
        "HUGGINGFACE_HUB_CACHE",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ];
    let matters = |name: &str| {
        name.starts_with("CONNOTE_")
            || name.starts_with("HF_")
            || OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other))
    };
    let mut set: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, value)| matters(name) && !value.is_empty())
        .map(|(name, value)| {
            let shown = without_secrets(&name, value);
            (name, shown)
        })
        .collect();
    set.sort();
    set
}

/// A report is pasted into public places.
fn without_secrets(name: &str, value: String) -> String {
    let secret =
        ["TOKEN", "KEY", "SECRET", "PASSWORD"].iter().any(|word| name.to_ascii_uppercase().contains(word));
    // A file's name may be told.
    if secret && !name.ends_with("_PATH") && !name.ends_with("_FILE") {
        return "(set)".to_owned();
    }
    match value.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => format!("{scheme}://…@{host}"),
        None => value,
    }
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

/// Why a file cannot be made in a folder, or in the one that it would be made in.
fn refuses(folder: &Path) -> Option<String> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    tempfile::NamedTempFile::new_in(there).err().map(|error| error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::{System, without_secrets};

    /// A machine that nothing is wrong with.
    pub(crate) fn healthy() -> System {
        System {
            memory: Some(8 << 30),
            memory_available: Some(6 << 30),
            memory_limit: None,
            memory_left: None,
            swap_free: Some(0),
            address_limit: None,
            addresses: Some(20 << 20),
            no_models_folder: None,
            large_pages: Some("madvise".to_owned()),
            cache: Some("/tmp".into()),
            cache_bytes: 0,
            cache_refuses: None,
            busy: Some(0.1),
            cpus: 2,
            quota: None,
            debug_build: false,
            governor: None,
        }
    }

    #[test]
    fn secrets_are_not_told() {
        for (name, value, shown) in [
            ("HF_TOKEN", "hf_abc", "(set)"),
            ("CONNOTE_API_KEY", "k", "(set)"),
            ("HF_TOKEN_PATH", "/home/me/token", "/home/me/token"),
            ("HF_ENDPOINT", "https://me:secret@mirror.example/hub", "https://…@mirror.example/hub"),
            ("HF_HOME", "/data/hf", "/data/hf"),
        ] {
            assert_eq!(without_secrets(name, value.to_owned()), shown);
        }
    }
}
