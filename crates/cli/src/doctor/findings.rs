//! What is wrong, or could be better, and what to do about it.

use connote::kernels::Level;
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
    let busy = system.busy.unwrap_or_default();
    advice(busy > 0.25 * system.cpus as f64, &|| {
        format!(
            "other programs keep {busy:.1} of the {} CPUs busy: figures are lower than the machine's, and so is speed",
            system.cpus
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
    // Who names none may well do without.
    if let Some(why) = &system.no_models_folder
        && std::env::var_os("EMBED_MODELS_DIR").is_some_and(|folder| !folder.is_empty())
    {
        advice(true, &|| format!("no models are found in EMBED_MODELS_DIR: {why}"));
    }
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
            "this CPU has no AVX2 with FMA and F16C, so only the portable kernels run, which are an order of magnitude slower",
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

#[cfg(test)]
mod tests {
    use super::{of, of_level};
    use crate::doctor::system::System;
    use crate::doctor::system::tests::healthy;
    use connote::kernels::Level;

    #[test]
    fn a_healthy_machine_has_no_findings() {
        assert_eq!(of(&healthy()), []);
        assert!(of_level(Some(Level::Avx2), Some(Level::Avx2)).iter().all(|finding| !finding.problem));
    }

    #[test]
    fn each_trouble_has_its_line() {
        type Trouble = (&'static str, fn(&mut System));
        let troubles: [Trouble; 7] = [
            ("--release", |it| it.debug_build = true),
            ("0.50 of a CPU", |it| it.quota = Some(0.5)),
            ("1.2 of the 2 CPUs", |it| it.busy = Some(1.2)),
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
    }
}
