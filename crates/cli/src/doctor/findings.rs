//! What is wrong, or could be better, and what to do about it.

use connote::kernels::Level;
use indicatif::HumanBytes;
use serde::Serialize;

use super::system::System;

/// A line of advice.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Whether something does not work, rather than less well than it could.
    pub(crate) problem: bool,
    /// What is so, and what to do.
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn problem(what: impl Into<String>) -> Self {
        Self { problem: true, what: what.into() }
    }

    pub(crate) fn advice(what: impl Into<String>) -> Self {
        Self { problem: false, what: what.into() }
    }
}

/// What the system's answers say.
pub(crate) fn of(system: &System) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut advice = |applies: bool, what: &dyn Fn() -> String| {
        if applies {
            findings.push(Finding::advice(what()));
        }
    };
    advice(system.debug_build, &|| {
        "this connote was built without optimisation; build it with --release, it is some ten times faster"
            .to_owned()
    });
    advice(system.quota.is_some_and(|quota| quota < 1.0), &|| {
        format!(
            "the cgroup allows {:.2} of a CPU, so work stops many times a second; allow at least one",
            system.quota.unwrap_or_default()
        )
    });
    let load = system.load.unwrap_or_default();
    advice(load > 0.5 * system.workers as f64 + 0.5, &|| {
        format!(
            "{load:.1} threads of others run here on average: figures are lower than the machine's, and so is speed"
        )
    });
    advice(system.large_pages.as_deref() == Some("never"), &|| {
        "large pages are off; `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled` as root makes products up to a fifth faster".to_owned()
    });
    advice(system.governor.as_deref() == Some("powersave"), &|| {
        "CPUs run by the governor `powersave`; for steady speed set `performance` (cpupower frequency-set -g performance)".to_owned()
    });
    advice(system.cache.is_none(), &|| {
        "there is no folder for caches, so model files are hashed in every run; set CONNOTE_CACHE_DIR"
            .to_owned()
    });
    if let (Some(folder), Some(why)) = (&system.cache, &system.cache_refuses) {
        advice(true, &|| {
            format!(
                "nothing can be kept in {} ({why}), so model files are hashed in every run; set CONNOTE_CACHE_DIR to a folder \
                 that can be written",
                folder.display()
            )
        });
    }
    findings
}

/// What the level in use says.
pub(crate) fn of_level(level: Option<Level>, best: Option<Level>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let (Some(level), Some(best)) = (level, best)
        && level < best
    {
        findings.push(Finding::advice(format!(
            "CONNOTE_CPU holds this machine at {level}; without it {best} would be used"
        )));
    }
    if cfg!(target_arch = "x86_64") && best.is_none_or(|best| best < Level::Avx2) {
        findings.push(Finding::advice(
            "this CPU has no AVX2, so only the portable kernels run, which are an order of magnitude slower",
        ));
    }
    if let Some(lack) = Level::Amx.lacking().last()
        && lack.starts_with("Linux")
    {
        findings.push(Finding::advice(
            "the CPU has AMX, but the system does not let this process use it; a kernel of 5.16 or later, and no seccomp filter \
             against arch_prctl, would",
        ));
    }
    findings
}

/// What a model's weights need, beside what there is.
pub(crate) fn of_memory(system: &System, packed: u64) -> Vec<Finding> {
    let free = [system.memory_available, system.memory_limit].into_iter().flatten().min();
    // The file is mapped beside the packed weights, and workers have scratch.
    match free {
        Some(free) if free < 2 * packed => vec![Finding::problem(format!(
            "the model needs about {} and {} are free; free some, or take a smaller model",
            HumanBytes(2 * packed),
            HumanBytes(free)
        ))],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{of, of_level, of_memory};
    use crate::doctor::system::System;
    use connote::kernels::Level;

    fn healthy() -> System {
        System {
            memory: Some(8 << 30),
            memory_available: Some(6 << 30),
            memory_limit: None,
            large_pages: Some("madvise".to_owned()),
            cache: Some("/tmp".into()),
            cache_bytes: 0,
            cache_refuses: None,
            load: Some(0.1),
            workers: 2,
            quota: None,
            debug_build: false,
            governor: None,
        }
    }

    #[test]
    fn a_healthy_machine_has_no_findings() {
        assert_eq!(of(&healthy()), []);
        assert_eq!(of_memory(&healthy(), 200 << 20), []);
        assert!(of_level(Some(Level::Avx2), Some(Level::Avx2)).iter().all(|finding| !finding.problem));
    }

    #[test]
    fn each_trouble_has_its_line() {
        type Trouble = (&'static str, fn(&mut System));
        let troubles: [Trouble; 7] = [
            ("--release", |it| it.debug_build = true),
            ("0.50 of a CPU", |it| it.quota = Some(0.5)),
            ("threads of others", |it| it.load = Some(5.0)),
            ("large pages are off", |it| it.large_pages = Some("never".to_owned())),
            ("powersave", |it| it.governor = Some("powersave".to_owned())),
            ("no folder for caches", |it| it.cache = None),
            ("read-only", |it| it.cache_refuses = Some("read-only".to_owned())),
        ];
        for (words, trouble) in troubles {
            let mut system = healthy();
            trouble(&mut system);
            let findings = of(&system);
            assert_eq!(findings.len(), 1, "{words}");
            assert!(findings[0].what.contains(words), "{findings:?}");
        }
        let forced = of_level(Some(Level::Avx2), Some(Level::Amx));
        assert!(forced[0].what.contains("CONNOTE_CPU holds this machine at avx2"), "{forced:?}");
        let system = System { memory_limit: Some(100 << 20), ..healthy() };
        assert!(of_memory(&system, 200 << 20)[0].problem);
    }
}
