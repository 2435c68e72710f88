//! What others do on these CPUs. The system's average of a minute would count what connote itself did a moment ago, a doctor before
//! this one, too.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Long enough for some 25 ticks of the system's clock.
const WINDOW: Duration = Duration::from_millis(250);

/// How many of these CPUs others keep busy, while this process sleeps.
pub(crate) fn busy(cpus: &[usize]) -> Option<f64> {
    let before = fs::read_to_string("/proc/stat").ok()?;
    sleep(WINDOW);
    busy_between(&before, &fs::read_to_string("/proc/stat").ok()?, cpus)
}

fn busy_between(before: &str, after: &str, cpus: &[usize]) -> Option<f64> {
    let shares: Vec<f64> = cpus
        .iter()
        .filter_map(|&cpu| {
            let ((idle, all), (idle_before, all_before)) = (ticks(after, cpu)?, ticks(before, cpu)?);
            let passed = all.checked_sub(all_before).filter(|passed| *passed > 0)?;
            Some(1.0 - (idle.saturating_sub(idle_before) as f64 / passed as f64).min(1.0))
        })
        .collect();
    (!shares.is_empty()).then(|| shares.iter().sum())
}

/// Ticks that a CPU was idle, and all: `cpu0 user nice system idle iowait irq softirq steal guest guest_nice`, where guests are part
/// of user and nice.
fn ticks(stat: &str, cpu: usize) -> Option<(u64, u64)> {
    let name = format!("cpu{cpu} ");
    let fields = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let ticks: Vec<u64> = fields.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    Some((ticks.get(3)? + ticks.get(4).unwrap_or(&0), ticks.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::busy_between;

    #[test]
    fn only_what_was_done_meanwhile_on_these_cpus_counts() {
        let before = "cpu  900 0 0 900 0 0 0 0 0 0\ncpu0 500 0 0 100 0 0 0 0 0 0\ncpu1 400 0 0 800 0 0 0 0 0 0\n\
                      cpu10 0 0 0 0 0 0 0 0 0 0\n";
        let after = "cpu  945 0 0 905 0 0 0 0 0 0\ncpu0 500 0 0 120 5 0 0 0 0 0\ncpu1 410 0 5 808 2 0 0 0 0 0\n\
                     cpu10 25 0 0 0 0 0 0 0 25 0\n";
        let near = |cpus: &[usize], wanted: f64| {
            let busy = busy_between(before, after, cpus).expect("some");
            assert!((busy - wanted).abs() < 1e-9, "{busy}");
        };
        near(&[0], 0.0);
        near(&[0, 1], 0.6);
        near(&[0, 1, 10], 1.6);
        assert_eq!(busy_between(before, after, &[7]), None);
        assert_eq!(busy_between(before, before, &[0]), None);
        assert_eq!(busy_between("", "nonsense", &[0]), None);
    }
}
