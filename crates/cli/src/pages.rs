//! Completion scripts and manual pages, from the command line's own description.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::{Failure, Outcome};

pub(crate) fn completions(shell: Shell) -> Result<Outcome, Failure> {
    // Into memory first: the generator panics when the reader has gone away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "connote", &mut script);
    print(&script)
}

/// The main page on standard output, or every page into a folder.
pub(crate) fn man(folder: Option<&Path>) -> Result<Outcome, Failure> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| Failure::writing("the manual page", &error))?;
        return print(&page);
    };
    let failed = |error: io::Error| {
        Failure::nothing(format!("{}: the manual pages cannot be written: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    Ok(Outcome::Complete)
}

fn print(bytes: &[u8]) -> Result<Outcome, Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| Failure::writing("standard output", &error))?;
    Ok(Outcome::Complete)
}
