//! From rows to their vectors: what is equal is computed once, and a share of the CPUs is kept.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use connote::jsonl::RowError;
use connote::{Embedder, Embedding, Input, Options, Pending, PreparedCall, Priority, Request};

use super::background::{CpuShare, Stretch};
use crate::Error;
use crate::rows::Row;

/// Bytes of texts and vectors that are kept to be given out again, in each of two generations.
const KNOWN_BYTES: usize = 8 << 20;
/// Rows between two pauses.
const STRETCH_ROWS: usize = 32;

/// A result for each of some rows.
pub type Results = Vec<Result<Embedding, RowError>>;

/// Answers rows, one chunk after another.
pub struct Answering<'a> {
    embedder: &'a Embedder,
    options: Options,
    title: Option<String>,
    share: Option<CpuShare>,
    known: Known,
    /// The kind of the last row, and whether it is of another space than rows without a task of their own.
    last_kind: Option<(Input, bool)>,
}

/// Rows that are being computed.
pub(super) struct Begun {
    asked: Asked,
    pending: Pending,
}

/// What is known of rows, and which of them the network was asked for.
struct Asked {
    results: Vec<Option<Result<Embedding, RowError>>>,
    inputs: Vec<(usize, Input)>,
}

impl<'a> Answering<'a> {
    /// With these options; `title` is for rows that have none of their own, `share` what CPUs it may take.
    pub fn new(
        embedder: &'a Embedder,
        options: Options,
        title: Option<&str>,
        share: Option<CpuShare>,
    ) -> Self {
        // As many threads as it has may be no more than its share: then there is nothing to pause for.
        let share = share.filter(|share| !share.is_met_by(embedder.threads()));
        Self {
            embedder,
            options,
            title: title.map(str::to_owned),
            share,
            known: Known::default(),
            last_kind: None,
        }
    }

    /// A result for every row, in their order; those that could not be read keep their error.
    ///
    /// # Errors
    /// If the options make no sense for the model, whatever the texts.
    pub fn answer(&mut self, rows: &[Row]) -> Result<Results, Error> {
        if let Some(share) = self.share {
            let mut results = Vec::with_capacity(rows.len());
            for rows in rows.chunks(STRETCH_ROWS) {
                let stretch = Stretch::begin(share, self.embedder.threads());
                results.extend(self.answer_at_once(rows)?);
                stretch.pause();
            }
            return Ok(results);
        }
        self.answer_at_once(rows)
    }

    fn answer_at_once(&mut self, rows: &[Row]) -> Result<Results, Error> {
        let (asked, call) = self.ask(rows, None)?;
        Ok(self.fill(asked, rows, call.compute()))
    }

    /// Begins with rows while others are computed, unless there is to be a pause after each; then all is done.
    pub(super) fn begin(&mut self, rows: &[Row]) -> Result<Result<Box<Begun>, Results>, Error> {
        if self.share.is_some() {
            return self.answer(rows).map(Err);
        }
        let (asked, call) = self.ask(rows, Some(Priority::Batch))?;
        Ok(Ok(Box::new(Begun { asked, pending: call.submit() })))
    }

    /// Waits for rows that were begun.
    pub(super) fn finish(&mut self, begun: Begun, rows: &[Row]) -> Results {
        let computed = wait(begun.pending);
        self.fill(begun.asked, rows, computed)
    }

    /// How many rows have a task of their own, and so vectors of another space than the rest. One whose fingerprint cannot be
    /// had counts, too.
    pub(super) fn count_other_spaces(&mut self, rows: &[Row]) -> u64 {
        let rows = rows.iter().filter_map(|row| row.input_with(self.title.as_deref()).ok());
        let mut count = 0;
        for input in rows {
            let kind = input.without_words();
            let is_other = match &self.last_kind {
                Some((last, is_other)) if *last == kind => *is_other,
                _ => {
                    let space = |input: &Input| self.embedder.fingerprint_of(input, &self.options);
                    let rest = Input::new("");
                    let is_other = kind != rest
                        && !matches!((space(&kind), space(&rest)), (Ok(own), Ok(all)) if own == all);
                    self.last_kind = Some((kind, is_other));
                    is_other
                }
            };
            count += u64::from(is_other);
        }
        count
    }

    fn ask(&mut self, rows: &[Row], priority: Option<Priority>) -> Result<(Asked, PreparedCall), Error> {
        let mut asked = Asked { results: Vec::with_capacity(rows.len()), inputs: Vec::new() };
        for (index, row) in rows.iter().enumerate() {
            let result = match row.input_with(self.title.as_deref()) {
                Err(error) => Some(Err(error)),
                Ok(input) => match self.known.get(&input) {
                    Some(embedding) => Some(Ok(embedding.clone())),
                    None => {
                        asked.inputs.push((index, input));
                        None
                    }
                },
            };
            asked.results.push(result);
        }
        let inputs: Vec<Input> = asked.inputs.iter().map(|(_, input)| input.clone()).collect();
        let mut request = Request::new(inputs).with(self.options.clone());
        if let Some(priority) = priority {
            request = request.priority(priority);
        }
        Ok((asked, self.embedder.prepare(request)?))
    }

    fn fill(
        &mut self,
        asked: Asked,
        rows: &[Row],
        computed: Vec<Result<Embedding, connote::Error>>,
    ) -> Results {
        let Asked { mut results, inputs } = asked;
        for ((index, input), result) in inputs.into_iter().zip(computed) {
            if let Ok(embedding) = &result {
                self.known.add(input, embedding);
            }
            results[index] = Some(result.map_err(|error| rows[index].refused(&error)));
        }
        let lost = || RowError { kind: "internal", message: "the row was not computed".to_owned() };
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
    }
}

/// Vectors of texts that came before, bounded: what was not asked for in two generations is forgotten. Within a call the
/// engine sees for itself what is equal; this is for what comes again later.
#[derive(Default)]
struct Known {
    young: HashMap<Input, Embedding>,
    old: HashMap<Input, Embedding>,
    young_bytes: usize,
}

impl Known {
    fn get(&mut self, input: &Input) -> Option<&Embedding> {
        if let Some((input, embedding)) = self.old.remove_entry(input) {
            self.add(input, &embedding);
        }
        self.young.get(input)
    }

    fn add(&mut self, input: Input, embedding: &Embedding) {
        let bytes = input.text().len() + embedding.vector.len() * 4 + 200;
        if bytes > KNOWN_BYTES / 8 {
            return;
        }
        if self.young_bytes + bytes > KNOWN_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(input, embedding.clone()).is_none() {
            self.young_bytes += bytes;
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The results of a call, when they are there.
fn wait(pending: Pending) -> Vec<Result<Embedding, connote::Error>> {
    let mut pending = pin!(pending);
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match pending.as_mut().poll(&mut context) {
            Poll::Ready(results) => return results,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(value: f32) -> Embedding {
        Embedding { vector: vec![value; 1000], dimensions: 1000, tokens: 1, truncated: false }
    }

    #[test]
    fn what_was_asked_for_stays_and_memory_is_bounded() {
        let mut known = Known::default();
        let favourite = Input::new("again and again");
        known.add(favourite.clone(), &embedding(1.0));
        for round in 0..20_000 {
            known.add(Input::new(format!("only once {round}")), &embedding(2.0));
            if round % 1000 == 0 {
                assert_eq!(known.get(&favourite), Some(&embedding(1.0)), "{round}");
            }
        }
        assert!((known.young.len() + known.old.len()) * 4000 <= 2 * KNOWN_BYTES);
        assert_eq!(known.get(&Input::new("only once 0")), None);
        assert_ne!(known.get(&favourite.title("another input")), Some(&embedding(1.0)));
    }
}
