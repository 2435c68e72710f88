//! Where and when figures were measured: without this they mean nothing.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use connote::kernels::Level;
use connote::threads::{Topology, cpu_info};
use serde::Serialize;

use super::table::facts;

/// The machine, this program, and the hour.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// The CPU's own name; `unknown` where the system does not tell.
    cpu: String,
    /// As Rust names them: `x86_64-linux`.
    system: String,
    pub(crate) topology: CoresSeen,
    /// CPU levels this machine has, plainest first.
    levels: Vec<&'static str>,
    /// Average number of running threads over the last minute, before anything was measured.
    pub(crate) load: Option<f64>,
    connote: &'static str,
    /// Where whoever built this program said it, in CONNOTE_COMMIT.
    commit: Option<&'static str>,
    /// UTC, RFC 3339.
    date: String,
}

/// [`Topology`], as far as it explains speed.
#[derive(Debug, Serialize)]
pub(crate) struct CoresSeen {
    cores: usize,
    logical_cpus: usize,
    numa_nodes: usize,
    pub(crate) cgroup_quota: Option<f64>,
    pub(crate) workers: usize,
    /// The same and more, in words.
    description: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let topology = Topology::detect();
        Self {
            cpu: cpu_info("model name").unwrap_or_else(|| "unknown".to_owned()),
            system: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            topology: CoresSeen {
                cores: topology.cores(),
                logical_cpus: topology.cpus().len(),
                numa_nodes: topology.nodes().len(),
                cgroup_quota: topology.quota(),
                workers: topology.workers(),
                description: topology.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; "),
            },
            levels: Level::available().map(Level::name).collect(),
            load: load(),
            connote: env!("CARGO_PKG_VERSION"),
            commit: option_env!("CONNOTE_COMMIT").filter(|commit| !commit.is_empty()),
            date: date(SystemTime::now()),
        }
    }

    /// The CPU's name and how many of its cores there are.
    pub(crate) fn name(&self) -> String {
        let cores = self.topology.cores;
        format!("{}, {cores} core{}", self.cpu, if cores == 1 { "" } else { "s" })
    }

    /// This program's version and commit, and the day.
    pub(crate) fn origin(&self) -> String {
        let commit = self.commit.map(|commit| format!(" {commit}")).unwrap_or_default();
        let day = self.date.split('T').next().unwrap_or_default();
        format!("connote {}{commit} · {day}", self.connote)
    }

    /// For people, with what else there is to know before the figures.
    pub(crate) fn report(&self, more: &[(&str, String)]) -> String {
        let commit = self.commit.map(|commit| format!(", commit {commit}")).unwrap_or_default();
        let mut rows = vec![
            ("CPU", format!("{} ({})", self.cpu, self.system)),
            ("Cores", self.topology.description.clone()),
            ("Levels", self.levels.join(", ")),
        ];
        if let Some(load) = self.load {
            rows.push(("Load", format!("{load:.2} before this (average of a minute)")));
        }
        rows.push(("connote", format!("{}{commit}", self.connote)));
        rows.push(("Date", self.date.clone()));
        rows.extend(more.iter().map(|(label, text)| (*label, text.clone())));
        facts(&rows)
    }
}

fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// A time in RFC 3339, whole seconds, UTC. Days to dates as Howard Hinnant's `civil_from_days` has it
/// (<https://howardhinnant.github.io/date_algorithms.html>), for the years after 1970.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that a leap day is a year's last.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::date;

    #[test]
    fn dates_of_known_seconds() {
        // As `date -u -d @SECONDS +%FT%TZ` prints them.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_798_675_199, "2026-12-30T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
