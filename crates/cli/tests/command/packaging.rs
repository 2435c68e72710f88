//! What `packaging/` starts is what there is: its commands are those of this binary.
#![cfg(target_os = "linux")]

use std::path::Path;

use super::serve::Serving;
use super::{connote, run};

fn packaging(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(file);
    std::fs::read_to_string(path).expect("it is there")
}

/// The arguments after `serve`, but for the port, which is any free one here.
fn arguments<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut arguments: Vec<&str> = words.skip_while(|word| *word != "serve").skip(1).collect();
    let port = arguments.iter().position(|word| *word == "--port").expect("a port");
    arguments.drain(port..port + 2);
    arguments
}

#[test]
fn the_unit_and_the_image_start_a_server_that_ends_in_order() {
    let (unit, image) = (packaging("connote.service"), packaging("Dockerfile"));
    let started = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let command = image.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    let command: Vec<String> = serde_json::from_str(command).expect("a list of words");
    for arguments in [arguments(started.split_whitespace()), arguments(command.iter().map(String::as_str))] {
        let serving = Serving::start(&arguments);
        serving.signal("TERM");
        let (code, said, _) = serving.end();
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
}

#[test]
fn every_flag_and_variable_that_packaging_names_is_there() {
    let (help, _) = run(connote().args(["serve", "--help"]), 0);
    let help = String::from_utf8(help).expect("UTF-8");
    let files = packaging("connote.service") + &packaging("Dockerfile");
    let mut named = 0;
    for line in files.lines() {
        // Of docker's and systemd's own words only what follows is connote's.
        let Some((_, ours)) = line.split_once("serve ") else { continue };
        for flag in ours.split([' ', '"', ',']).filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("{flag} ")), "{flag} is no flag of `connote serve`");
            named += 1;
        }
    }
    assert!(named > 6, "{named}");
    // The doctor names the variables that are set and that connote reads.
    let set =
        files.lines().filter_map(|line| line.strip_prefix("Environment=").or(line.strip_prefix("ENV ")));
    for (variable, _) in set.flat_map(str::split_whitespace).filter_map(|one| one.split_once('=')) {
        let place = "/nowhere/of/packaging";
        let report = connote().arg("doctor").env(variable, place).output().expect("it runs");
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        assert!(report.contains(variable) && report.contains(place), "{variable}: {report}");
        named += 1;
    }
    assert!(named > 9, "{named}");
}
