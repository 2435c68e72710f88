//! Which vector spaces the rows of a run are of.

use std::collections::HashSet;

use connote::{Embedder, Fingerprint, Input, Options};

use crate::rows::Row;
use crate::run::Results;

/// Spaces that are told by name.
const NAMED: usize = 8;
/// Spaces that are told apart at all, so that memory stays flat whatever the rows say.
const COUNTED: usize = 10_000;

/// The vector spaces of a run: one, unless rows have tasks of their own.
pub struct Spaces<'a> {
    embedder: &'a Embedder,
    options: &'a Options,
    /// Of rows without a task of their own.
    default: Fingerprint,
    /// The kind of the last row, and whether it is of another space than the default. Most rows are of one kind.
    last: Option<(Input, bool)>,
    seen: HashSet<Fingerprint>,
    /// The first of them, with the task beside each.
    named: Vec<(Fingerprint, String)>,
}

impl<'a> Spaces<'a> {
    /// Hashes the model, once.
    ///
    /// # Errors
    /// If the model's file cannot be read.
    pub fn new(embedder: &'a Embedder, options: &'a Options) -> Result<Self, connote::Error> {
        let default = embedder.fingerprint(options)?;
        Ok(Self { embedder, options, default, last: None, seen: HashSet::new(), named: Vec::new() })
    }

    /// Rows whose texts were taken out have these results. Gives how many of the vectors are of another space than rows
    /// without a task of their own are; one whose space cannot be told is among them.
    pub fn add(&mut self, rows: &[Row], results: &Results) -> u64 {
        let with_vectors = rows.iter().zip(results).filter(|(_, result)| result.is_ok());
        let kinds = with_vectors.filter_map(|(row, _)| row.input.as_ref().ok());
        kinds.map(|kind| u64::from(self.is_other(kind))).sum()
    }

    fn is_other(&mut self, kind: &Input) -> bool {
        if let Some((last, is_other)) = &self.last
            && last == kind
        {
            return *is_other;
        }
        let is_other = match self.embedder.fingerprint_of(kind, self.options) {
            Ok(fingerprint) => {
                let is_other = fingerprint != self.default;
                self.see(fingerprint, kind);
                is_other
            }
            Err(_) => true,
        };
        self.last = Some((kind.clone(), is_other));
        is_other
    }

    fn see(&mut self, fingerprint: Fingerprint, kind: &Input) {
        if self.seen.len() == COUNTED || !self.seen.insert(fingerprint.clone()) || self.named.len() == NAMED {
            return;
        }
        let task = kind.effective_task(self.options);
        let task = task.map_or_else(|| "none".to_owned(), |task| task.to_string());
        self.named.push((fingerprint, task));
    }

    /// Their fingerprints, with the task beside each where there are several.
    pub fn told(&self) -> String {
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
