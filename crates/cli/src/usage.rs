//! A command line that makes no sense, in one line.

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::failure::{Failure, one_line};

/// Says what the parser has to say, and gives the exit code. Help and versions that were asked for go to stdout as they are, and
/// so does, to stderr, the help of a command that was called without anything.
pub(crate) fn told(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A reader who went away has seen enough.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
        _ => {
            let arguments = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            Failure::usage(in_one_line(&error.render().to_string(), arguments)).report()
        }
    }
}

/// What is wrong, what is possible, and where to read on.
fn in_one_line(rendered: &str, arguments: impl Iterator<Item = String>) -> String {
    let mut told = String::new();
    // The parser adds a paragraph with all options, and one that names no command.
    let is_said = |paragraph: &&str| {
        !["Usage: ", "For more information"].iter().any(|other| paragraph.trim().starts_with(other))
    };
    let lines = rendered.split("\n\n").filter(is_said).flat_map(str::lines);
    for line in lines.filter(|line| !line.trim().is_empty()) {
        // What the parser adds stands further in: arguments below a colon, possible values in brackets, tips. Else a value goes on.
        let (is_added, line) = (line.starts_with("  "), line.trim());
        told += match told.chars().last() {
            None => "",
            Some(':') => " ",
            Some(_) if !is_added || line.starts_with('[') => " ",
            Some(_) if line.starts_with("tip: ") => "; ",
            Some(_) => ", ",
        };
        told += line.trim_start_matches("error: ").trim_start_matches("tip: ");
    }
    one_line(&format!("{told}; `{} --help` says more", command_of(arguments)))
}

/// The command that was meant, as far as it is one.
fn command_of(arguments: impl Iterator<Item = String>) -> String {
    let (mut command, mut name) = (Cli::command(), "connote".to_owned());
    for word in arguments.filter(|word| !word.starts_with('-')) {
        let Some(below) = command.find_subcommand(&word).cloned() else { break };
        name += &format!(" {word}");
        command = below;
    }
    name
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::in_one_line;
    use crate::args::Cli;

    fn told(arguments: &[&str]) -> String {
        let error =
            Cli::try_parse_from([&["connote"][..], arguments].concat()).expect_err("it makes no sense");
        in_one_line(&error.render().to_string(), arguments.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn nothing_that_the_parser_says_is_lost() {
        for (arguments, line) in [
            (
                &["doctor", "--no-spead"][..],
                "unexpected argument '--no-spead' found; a similar argument exists: '--no-speed'; `connote doctor --help` says more",
            ),
            (
                &["embed", "x", "--input-format", "xml"],
                "invalid value 'xml' for '--input-format <FORMAT>' [possible values: lines, jsonl, csv, tsv, parquet, arrow]; \
                 `connote embed --help` says more",
            ),
            (
                &["merge"],
                "the following required arguments were not provided: --output <FILE>, <FOLDER>...; `connote merge --help` says more",
            ),
            (
                &["embed", "--quiet", "--progress", "json"],
                "the argument '--quiet' cannot be used with '--progress <FORM>'; `connote embed --help` says more",
            ),
            (
                &["embed", "x", "--threads", "two\nor three"],
                "invalid value 'two or three' for '--threads <N>': invalid digit found in string; `connote embed --help` says more",
            ),
            (
                &["embd"],
                "unrecognized subcommand 'embd'; a similar subcommand exists: 'embed'; `connote --help` says more",
            ),
        ] {
            assert_eq!(told(arguments), line);
        }
    }
}
