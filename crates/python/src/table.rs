//! Results, a text at a time, as they become rows of one block.

use arrow_buffer::{BooleanBuffer, NullBuffer};
use connote::{Embedding, Error, ErrorKind};
use pyo3::prelude::*;

use crate::failure::Failure;
use crate::how::Given;
use crate::output::{Output, Rows};
use crate::vectors::Vectors;

/// What becomes of texts that are not one vector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) output: Output,
    /// The first text that fails ends all, instead of having no vector.
    pub(crate) strict: bool,
    /// A text has a row a token.
    pub(crate) per_token: bool,
}

impl Rules {
    /// # Errors
    /// `TypeError`, which names the argument; if no output is called so.
    pub(crate) fn of(output: &Given<'_>, strict: &Given<'_>, per_token: bool) -> PyResult<Self> {
        Ok(Self {
            output: output.named(Output::Float32, "output", Output::named)?,
            strict: strict.or(true, "strict")?,
            per_token,
        })
    }
}

/// Vectors, side by side.
pub(crate) struct Table<'a> {
    rules: Rules,
    /// Values a row.
    width: usize,
    rows: Rows<'a>,
    row_count: usize,
    valid: Vec<bool>,
    tokens: Vec<usize>,
    truncated: Vec<bool>,
    counts: Vec<usize>,
    failures: Vec<Failure>,
}

impl<'a> Table<'a> {
    /// For so many texts, with rows of `width` values.
    pub(crate) fn new(rules: Rules, texts: usize, width: usize, rows: Rows<'a>) -> Self {
        Self {
            rules,
            width,
            rows,
            row_count: 0,
            valid: Vec::with_capacity(texts),
            tokens: Vec::with_capacity(texts),
            truncated: Vec::with_capacity(texts),
            counts: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// The next text's.
    ///
    /// # Errors
    /// If it failed and that ends all.
    pub(crate) fn push(&mut self, result: Result<Embedding, Error>) -> PyResult<()> {
        match result {
            Ok(embedding) => {
                embedding.rows().for_each(|row| self.rows.push(row));
                self.text(embedding.rows().len(), true, embedding.tokens, embedding.truncated);
            }
            // Of the call, not of the text.
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::DeadlineExceeded) => {
                return Err(Failure::from(error).into());
            }
            Err(error) => {
                let failure = Failure::from(error).at(self.valid.len());
                if self.rules.strict {
                    return Err(failure.into());
                }
                self.failures.push(failure);
                self.push_null();
            }
        }
        Ok(())
    }

    /// The next row has no text: it is null, or this is why.
    pub(crate) fn push_absent(&mut self, why: Option<Box<str>>) {
        self.failures.extend(why.map(|why| Failure::invalid(why).at(self.valid.len())));
        self.push_null();
    }

    /// Texts so far.
    pub(crate) fn len(&self) -> usize {
        self.valid.len()
    }

    /// The next text has no vector.
    fn push_null(&mut self) {
        let rows = usize::from(!self.rules.per_token);
        self.rows.push_none(rows * self.width);
        self.text(rows, false, 0, false);
    }

    fn text(&mut self, rows: usize, valid: bool, tokens: usize, truncated: bool) {
        self.row_count += rows;
        self.valid.push(valid);
        self.tokens.push(tokens);
        self.truncated.push(truncated);
        if self.rules.per_token {
            self.counts.push(rows);
        }
    }

    /// Whether each text so far was cut to fit.
    pub(crate) fn truncated(&self) -> &[bool] {
        &self.truncated
    }

    /// Whether memory that was lent is written to its end.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.is_full()
    }

    /// Texts that failed.
    pub(crate) fn failures(&self) -> &[Failure] {
        &self.failures
    }

    pub(crate) fn finish(self) -> Vectors {
        let all = self.rules.per_token || self.valid.iter().all(|&valid| valid);
        Vectors {
            values: self.rows.into_buffer(),
            output: self.rules.output,
            rows: self.row_count,
            width: self.width,
            nulls: (!all).then(|| NullBuffer::new(BooleanBuffer::from(self.valid))),
            tokens: self.tokens,
            truncated: self.truncated,
            counts: self.rules.per_token.then_some(self.counts),
            failures: self.failures,
        }
    }
}
