//! How a command ends.

use std::fmt;
use std::io;
use std::process::ExitCode;

use connote::ErrorKind;

use crate::say::say;

/// How a command that ran to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was done.
    Complete,
    /// Some rows failed; each says why in its place.
    SomeRowsFailed,
    /// All rows failed: there is an output, and nothing in it is of use.
    AllRowsFailed,
}

impl Outcome {
    /// Of a command over so many rows.
    pub(crate) fn of_rows(rows: u64, failed: u64) -> Self {
        match failed {
            0 => Self::Complete,
            _ if failed == rows => Self::AllRowsFailed,
            _ => Self::SomeRowsFailed,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete => ExitCode::SUCCESS,
            Outcome::SomeRowsFailed => ExitCode::from(3),
            Outcome::AllRowsFailed => ExitCode::from(1),
        }
    }
}

/// Why a command did not run to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing could be done: no model, no input, no place to write.
    Nothing(String),
    /// The command was asked for what makes no sense.
    Usage(String),
    /// Whoever read the output went away (`| head`): not an error.
    ReaderGone,
}

impl Failure {
    pub(crate) fn nothing(message: impl fmt::Display) -> Self {
        Self::Nothing(message.to_string())
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// From writing to standard output or to a file.
    pub(crate) fn writing(what: impl fmt::Display, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Nothing(format!("{what}: cannot be written: {error}")),
        }
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::Nothing(message) => {
                say(format_args!("connote: {}", one_line(message)));
                ExitCode::from(1)
            }
            Failure::Usage(message) => {
                say(format_args!("connote: {}", one_line(message)));
                ExitCode::from(2)
            }
            Failure::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

/// A message in one line, whatever stands in the names and values that it repeats: who reads lines gets a complaint a line.
pub(crate) fn one_line(message: &str) -> String {
    message
        .split(|letter: char| letter.is_control())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

impl From<connote::Error> for Failure {
    fn from(error: connote::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidRequest | ErrorKind::PoolingUnknown => Self::usage(error),
            _ => Self::nothing(error),
        }
    }
}

impl From<bulk::Error> for Failure {
    fn from(error: bulk::Error) -> Self {
        match error.kind() {
            bulk::ErrorKind::Usage | bulk::ErrorKind::Mismatch => Self::usage(error),
            _ => Self::nothing(error),
        }
    }
}

impl From<index::Error> for Failure {
    fn from(error: index::Error) -> Self {
        match error.kind() {
            index::ErrorKind::Usage => Self::usage(error),
            _ => Self::nothing(error),
        }
    }
}

impl From<server::Error> for Failure {
    fn from(error: server::Error) -> Self {
        match error {
            server::Error::VectorsPerToken => Self::usage(error),
            _ => Self::nothing(error),
        }
    }
}
