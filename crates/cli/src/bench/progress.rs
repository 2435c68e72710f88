//! How far a benchmark is, on stderr; nothing where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that moves between measurements: nothing is drawn while one runs.
pub(crate) struct Steps(ProgressBar);

impl Steps {
    pub(crate) fn new(count: usize) -> Self {
        let bar = ProgressBar::new(count as u64);
        Self(match ProgressStyle::with_template("{bar:20} {percent:>3}%  {wide_msg}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// What is measured now.
    pub(crate) fn next(&self, what: String) {
        self.0.set_message(what);
        self.0.inc(1);
    }
}

impl Drop for Steps {
    /// The bar leaves no trace, so that the report stands alone.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
