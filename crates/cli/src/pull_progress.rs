//! What `connote pull` tells on stderr while a model comes.

use hub::Event;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::progress::{INTERVAL, JSON_INTERVAL, Pace, ProgressForm};
use crate::say::say;

/// Tells it in one of the forms.
pub(crate) struct PullProgress {
    form: ProgressForm,
    bar: Option<ProgressBar>,
    /// Of the file that comes.
    bytes: u64,
    pace: Pace,
}

impl PullProgress {
    pub(crate) fn new(form: ProgressForm) -> Self {
        Self { form: form.chosen(), bar: None, bytes: 0, pace: Pace::new() }
    }

    pub(crate) fn tell(&mut self, event: Event<'_>) {
        match self.form {
            // Who asked to compare is to know, however little else they want to hear.
            ProgressForm::None if matches!(event, Event::NotCompared { .. }) => self.words(event),
            ProgressForm::None => {}
            ProgressForm::Json => self.object(event),
            _ => self.words(event),
        }
    }

    /// Nothing more comes.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn words(&mut self, event: Event<'_>) {
        match event {
            Event::Here { file, bytes } => {
                self.line(&format!("{file}: is here already, {}", HumanBytes(bytes)))
            }
            Event::NotCompared { file } => self.line(&format!(
                "{file}: its content could not be compared: the hub gives no checksum for it, only its size"
            )),
            Event::Begun { file, bytes, had } => {
                self.bytes = bytes;
                let had = if had > 0 {
                    format!(", {} of it are here from before", HumanBytes(had))
                } else {
                    String::new()
                };
                self.line(&format!("{file}: {}{had}", HumanBytes(bytes)));
                if self.form == ProgressForm::Bar {
                    let bar = self.bar.take().unwrap_or_else(|| ProgressBar::new(bytes));
                    let style = ProgressStyle::with_template(
                        "{bar:30} {percent:>3}%  {binary_bytes_per_sec}, {eta} left",
                    );
                    bar.set_length(bytes);
                    self.bar = Some(style.map_or(bar.clone(), |style| bar.with_style(style)));
                }
            }
            Event::Came { file, bytes } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(bytes);
                } else if self.pace.due(INTERVAL) {
                    self.line(&format!("{file}: {} of {}", HumanBytes(bytes), HumanBytes(self.bytes)));
                }
            }
            Event::Waiting { file } => {
                self.line(&format!("{file}: another process fetches it; waiting for that"))
            }
            Event::Again { why, wait } => {
                self.line(&format!("{why}; trying again in {:.1} s", wait.as_secs_f64()));
            }
            Event::Done { file, checked: true, .. } => {
                self.line(&format!("{file}: complete, its checksum is right"))
            }
            Event::Done { file, checked: false, .. } => {
                self.line(&format!("{file}: complete; the hub gives no checksum for it, only its size"))
            }
            _ => {}
        }
    }

    /// Above the bar, if there is one.
    fn line(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("connote: {words}")),
            None => say(format_args!("connote: {words}")),
        }
    }

    fn object(&mut self, event: Event<'_>) {
        let object: Value = match event {
            Event::Chosen { files, bytes, commit } => {
                json!({"event": "chosen", "files": files, "bytes": bytes, "commit": commit})
            }
            Event::Here { file, bytes } => json!({"event": "here", "file": file, "bytes": bytes}),
            Event::NotCompared { file } => json!({"event": "not_compared", "file": file}),
            Event::Begun { file, bytes, had } => {
                self.bytes = bytes;
                json!({"event": "begun", "file": file, "bytes": bytes, "had": had})
            }
            Event::Came { bytes, .. } if bytes < self.bytes && !self.pace.due(JSON_INTERVAL) => return,
            Event::Came { file, bytes } => {
                json!({"event": "came", "file": file, "bytes": bytes, "of": self.bytes})
            }
            Event::Waiting { file } => json!({"event": "waiting", "file": file}),
            Event::Again { why, wait } => {
                json!({"event": "again", "why": why, "wait_seconds": wait.as_secs_f64()})
            }
            Event::Done { file, checked, sha256 } => {
                json!({"event": "done", "file": file, "checked": checked, "sha256": sha256})
            }
            _ => return,
        };
        say(format_args!("{object}"));
    }
}
