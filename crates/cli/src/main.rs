//! The `connote` command.
//!
//! stdout is data, stderr is progress and complaints. Exit codes: 0 all done, 1 nothing could be done,
//! 2 wrong use, 3 some rows failed, 130 interrupted.
#![forbid(unsafe_code)]
// They panic where nobody can hear; `say` and `Output` do not.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod adapt;
mod args;
mod aside;
mod bench;
mod collect;
mod convert;
mod cut;
mod doctor;
mod embed;
mod eval;
mod failure;
mod identity;
mod inspect;
mod inspect_report;
mod interrupt;
mod logs;
mod memory;
mod merge;
mod model;
mod output;
mod pages;
mod progress;
mod pull;
mod pull_progress;
mod rerank;
mod rows;
mod say;
mod search;
mod serve;
mod similar;
mod tokenize;
mod tune;
mod usage;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::told(&error),
    };
    interrupt::outlive_file_limits();
    let outcome = match cli.command {
        Command::Embed(args) => embed::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Tokenize(args) => tokenize::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Index(command) => collect::run(&command),
        Command::Search(args) => search::run(&args),
        Command::Similar(args) => similar::run(&args),
        Command::Rerank(args) => rerank::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Eval(command) => eval::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Models(args) => doctor::list(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Tune(args) => tune::run(&args),
        Command::Adapt(args) => adapt::run(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Quantize(args) => convert::quantize(&args),
        Command::Pull(args) => pull::run(&args, cli.offline),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { directory } => pages::man(directory.as_deref()),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => failure.report(),
    }
}
