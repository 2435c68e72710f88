//! Which vector spaces a run has used.

use std::collections::HashSet;

use connote::{Embedder, Fingerprint, Input, Options};

use crate::failure::Failure;

/// Spaces that are told by name.
const NAMED: usize = 8;
/// Spaces that are told apart at all, so that memory stays flat whatever the rows say.
const COUNTED: usize = 10_000;

/// The vector spaces of a run: one, unless rows have tasks of their own.
pub(crate) struct Spaces<'a> {
    embedder: &'a Embedder,
    options: &'a Options,
    /// Of rows without a task of their own.
    default: Fingerprint,
    /// The kind of the last row. Most rows are of one kind.
    last: Option<Input>,
    seen: HashSet<Fingerprint>,
    /// The first of them, with the task beside each.
    named: Vec<(Fingerprint, String)>,
}

impl<'a> Spaces<'a> {
    /// Hashes the model, once.
    pub(crate) fn new(embedder: &'a Embedder, options: &'a Options) -> Result<Self, Failure> {
        let default = embedder.fingerprint(options)?;
        Ok(Self { embedder, options, default, last: None, seen: HashSet::new(), named: Vec::new() })
    }

    /// A row was embedded.
    pub(crate) fn add(&mut self, input: &Input) -> Result<(), Failure> {
        let kind = input.without_words();
        if self.last.as_ref() == Some(&kind) || self.seen.len() == COUNTED {
            return Ok(());
        }
        let fingerprint = self.embedder.fingerprint_of(&kind, self.options)?;
        if self.seen.insert(fingerprint.clone()) && self.named.len() < NAMED {
            let task = kind.effective_task(self.options);
            let task = task.map_or_else(|| "none".to_owned(), |task| task.to_string());
            self.named.push((fingerprint, task));
        }
        self.last = Some(kind);
        Ok(())
    }

    /// Their fingerprints, with the task beside each where there are several.
    pub(crate) fn told(&self) -> String {
        match &*self.named {
            [] => self.default.to_string(),
            [(only, _)] => only.to_string(),
            named => {
                let mut told: Vec<String> =
                    named.iter().map(|(fingerprint, task)| format!("{fingerprint} (task {task})")).collect();
                match self.seen.len() - named.len() {
                    0 => {}
                    _ if self.seen.len() == COUNTED => told.push("and very many more".to_owned()),
                    more => told.push(format!("and {more} more")),
                }
                told.join(", ")
            }
        }
    }
}
