//! From rows to their vectors: what is equal is computed once, and a share of the CPUs is kept.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use connote::jsonl::RowError;
use connote::{Embedder, Embedding, Input, Options, Pending, PreparedCall, Priority, Request};
use sha2::{Digest, Sha256};

use super::background::{CpuShare, Stretch};
use crate::Error;
use crate::rows::Row;

/// Bytes of vectors that are kept to be given out again, in each of two generations.
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
}

/// Rows that are being computed.
pub(super) struct Begun {
    asked: Asked,
    pending: Pending,
}

/// What is known of rows, and which of them the network was asked for.
struct Asked {
    results: Vec<Option<Result<Embedding, RowError>>>,
    /// The row of each text that was asked for.
    places: Vec<(usize, Text)>,
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
        Self { embedder, options, title: title.map(str::to_owned), share, known: Known::default() }
    }

    /// A result for every row, in their order; those that could not be read keep their error. The texts are taken out of
    /// the rows ([`Row::take_input`]).
    ///
    /// # Errors
    /// If the options make no sense for the model, whatever the texts.
    pub fn answer(&mut self, rows: &mut [Row]) -> Result<Results, Error> {
        if let Some(share) = self.share {
            let mut results = Vec::with_capacity(rows.len());
            for rows in rows.chunks_mut(STRETCH_ROWS) {
                let stretch = Stretch::begin(share, self.embedder.threads());
                results.extend(self.answer_at_once(rows)?);
                stretch.pause();
            }
            return Ok(results);
        }
        self.answer_at_once(rows)
    }

    fn answer_at_once(&mut self, rows: &mut [Row]) -> Result<Results, Error> {
        let (asked, call) = self.ask(rows, None)?;
        Ok(self.fill(asked, rows, call.compute()))
    }

    /// Begins with rows while others are computed, unless there is to be a pause after each; then all is done.
    pub(super) fn begin(&mut self, rows: &mut [Row]) -> Result<Result<Box<Begun>, Results>, Error> {
        if self.share.is_some() {
            return self.answer(rows).map(Err);
        }
        let (asked, call) = self.ask(rows, Some(Priority::Batch))?;
        Ok(Ok(Box::new(Begun { asked, pending: call.submit() })))
    }

    /// Waits for rows that were begun.
    pub(super) fn finish(&mut self, begun: Begun, rows: &[Row]) -> Results {
        let computed = begun.pending.wait();
        self.fill(begun.asked, rows, computed)
    }

    fn ask(&mut self, rows: &mut [Row], priority: Option<Priority>) -> Result<(Asked, PreparedCall), Error> {
        let mut asked = Asked { results: Vec::with_capacity(rows.len()), places: Vec::new() };
        let mut inputs = Vec::new();
        for (index, row) in rows.iter_mut().enumerate() {
            let result = match row.take_input(self.title.as_deref()) {
                Err(error) => Some(Err(error)),
                Ok(input) => {
                    let text = Text::of(&input);
                    let known = self.known.get(&text).cloned();
                    if known.is_none() {
                        asked.places.push((index, text));
                        inputs.push(input);
                    }
                    known.map(Ok)
                }
            };
            asked.results.push(result);
        }
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
        let Asked { mut results, places } = asked;
        for ((index, text), result) in places.into_iter().zip(computed) {
            if let Ok(embedding) = &result {
                self.known.add(text, embedding);
            }
            results[index] = Some(result.map_err(|error| rows[index].refused(&error)));
        }
        let lost = || RowError { kind: "internal", message: "the row was not computed".to_owned() };
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
    }
}

/// A text and what belongs to it, by its SHA-256: what is known again needs no copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Text([u8; 32]);

impl Text {
    fn of(input: &Input) -> Self {
        #[derive(Default)]
        struct Hashing(Sha256);
        impl Hasher for Hashing {
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }
            /// Nobody asks for it.
            fn finish(&self) -> u64 {
                0
            }
        }
        let mut hashing = Hashing::default();
        input.hash(&mut hashing);
        Self(hashing.0.finalize().into())
    }
}

/// Vectors of texts that came before, bounded: what was not asked for in two generations is forgotten. Within a call the
/// engine sees for itself what is equal; this is for what comes again later.
#[derive(Default)]
struct Known {
    young: HashMap<Text, Embedding>,
    old: HashMap<Text, Embedding>,
    young_bytes: usize,
}

impl Known {
    fn get(&mut self, text: &Text) -> Option<&Embedding> {
        if let Some(embedding) = self.old.remove(text) {
            self.add(*text, &embedding);
        }
        self.young.get(text)
    }

    fn add(&mut self, text: Text, embedding: &Embedding) {
        let bytes = embedding.vector.len() * 4 + 200;
        if bytes > KNOWN_BYTES / 8 {
            return;
        }
        if self.young_bytes + bytes > KNOWN_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(text, embedding.clone()).is_none() {
            self.young_bytes += bytes;
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
        known.add(Text::of(&favourite), &embedding(1.0));
        for round in 0..20_000 {
            known.add(Text::of(&Input::new(format!("only once {round}"))), &embedding(2.0));
            if round % 1000 == 0 {
                assert_eq!(known.get(&Text::of(&favourite)), Some(&embedding(1.0)), "{round}");
            }
        }
        assert!((known.young.len() + known.old.len()) * 4000 <= 2 * KNOWN_BYTES);
        assert_eq!(known.get(&Text::of(&Input::new("only once 0"))), None);
        assert_eq!(known.get(&Text::of(&favourite.title("another input"))), None);
    }
}
