//! Which level `CONNOTE_CPU` chooses. Asked of this binary started anew: a variable cannot be set safely in
//! a process with threads.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use connote_kernels::{Kernels, Level, LevelError};

/// Printed before what the child says.
const MARK: &str = "chosen: ";

/// What the child runs; on its own it shows that the choice can be run here.
#[test]
fn the_chosen_level_is_available() {
    match Level::chosen() {
        Ok(level) => {
            assert!(Kernels::of(level).is_some(), "{level} was chosen, and this machine lacks it");
            println!("{MARK}{level}");
        }
        Err(error) => {
            assert!(std::env::var_os("CONNOTE_CPU").is_some(), "nobody asked for a level: {error}");
            println!("{MARK}error: {error}");
        }
    }
}

/// A row that is not handed out is not tested, and nothing else would tell; an emulated CPU's are known (.ci/run).
#[test]
fn a_level_has_its_own_rows_and_as_many_as_the_cpu_is_known_to_have() {
    for level in Level::available() {
        let rows = Kernels::all_of(level);
        assert!(!rows.is_empty() && rows.iter().all(|row| row.level == level), "{level}");
    }
    if let Some(wanted) = std::env::var_os("CONNOTE_TEST_NEON_ROWS") {
        assert_eq!(OsString::from(Kernels::all_of(Level::Neon).len().to_string()), wanted);
    }
}

fn chosen(variable: Option<&OsStr>) -> String {
    let binary = std::env::current_exe().expect("this test's binary");
    // Of another architecture, an emulator starts it; scripts/aarch64.sh.
    let emulator = std::env::var_os("CONNOTE_TEST_EMULATOR");
    let mut child = Command::new(emulator.as_deref().unwrap_or(binary.as_os_str()));
    child.args(emulator.is_some().then_some(&binary));
    child.args(["--exact", "the_chosen_level_is_available", "--nocapture"]).env_remove("CONNOTE_CPU");
    if let Some(value) = variable {
        child.env("CONNOTE_CPU", value);
    }
    let output = child.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let line = stdout.split(MARK).nth(1).and_then(|rest| rest.lines().next());
    line.unwrap_or_else(|| panic!("no choice in {stdout}")).to_owned()
}

#[test]
fn the_variable_chooses_any_level_the_machine_has_and_the_last_without_it() {
    for level in Level::available() {
        assert_eq!(chosen(Some(level.name().as_ref())), level.name());
        assert_eq!(chosen(Some(level.name().to_uppercase().as_ref())), level.name());
    }
    let last = Level::available().last().expect("every machine has a level").name();
    assert_eq!(chosen(None), last);
    assert_eq!(chosen(Some(OsStr::new(""))), last);
}

#[test]
fn what_names_no_level_is_refused_and_never_the_best_instead() {
    for name in ["sse9", " avx2", "0"] {
        let answer = chosen(Some(name.as_ref()));
        assert!(
            answer.starts_with("error: no CPU level") && answer.contains(&format!("`{name}`")),
            "{answer}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_unicode_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let answer = chosen(Some(&OsString::from_vec(b"avx\xff2".to_vec())));
    assert!(answer.starts_with("error: no CPU level is called `avx\u{fffd}2`"), "{answer}");
}

/// The text is read by people who set the variable and by those who used the API.
#[test]
fn the_errors_fit_whoever_asked() {
    for (error, wanted) in [
        (LevelError::Unknown("sse9".to_owned()), "no CPU level is called `sse9`; "),
        (LevelError::Lacking(Level::Avx512), "this machine lacks the CPU level `avx512`; "),
    ] {
        let text = error.to_string();
        assert!(text.starts_with(wanted), "{text}");
        for level in Level::available() {
            assert!(text.contains(level.name()), "{text}");
        }
    }
}
