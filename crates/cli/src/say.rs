//! What people are told, on stderr.

use std::fmt;
use std::io::{self, Write};

/// Says a line on stderr. Where nobody can hear it (closed, full, the reader gone) the work goes on: the
/// exit code still tells how it ended.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    // In one write, so that lines of several processes do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
