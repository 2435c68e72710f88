//! What a server logs, on stderr.

use std::io::IsTerminal;
use std::io::stderr;
use std::panic;
use std::thread;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{LogArgs, LogFormat};

/// Logs from now on, for the rest of the process.
pub(crate) fn start(args: &LogArgs) {
    // It was read once already.
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("warn"));
    // Where nobody listens any more, that is no reason to fail.
    let logs = tracing_subscriber::fmt().with_writer(stderr).log_internal_errors(false);
    let logs = logs.with_ansi(stderr().is_terminal()).with_env_filter(filter);
    // An error is that there is a log already.
    let _ = match args.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => {
            logs.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    hide_what_panics_say();
}

/// What a panic says may quote the text that was at hand, so only where it was is logged; the client is told the rest.
fn hide_what_panics_say() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // No request is computed there.
        if thread::current().name() == Some("main") {
            return usual(info);
        }
        let location = info.location().map(ToString::to_string);
        tracing::error!(
            target: "connote::panic",
            location,
            thread = thread::current().name(),
            "a fault of connote (please report it)"
        );
    }));
}

/// A filter as `--log` takes it: a level, or targets with levels.
pub(crate) fn filter(text: &str) -> Result<String, String> {
    let text = text.trim();
    // The filter itself takes a word for a target.
    let is_word = !text.contains(['=', '[', ',']);
    if is_word && text.parse::<LevelFilter>().is_err() {
        return Err(
            "there is off, error, warn, info, debug and trace, and filters as in connote::request=info,warn"
                .into(),
        );
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
