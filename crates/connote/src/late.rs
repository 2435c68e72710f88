//! Late chunking (<https://arxiv.org/abs/2409.04701>): a long text is read once, and the rows of each of its chunks are
//! pooled by themselves, so that a chunk's vector knows the text around it.

use std::ops::Range;

use encoder::Pooling;

use crate::each;
use crate::embedder::{Embedder, failed, internal};
use crate::embedding::{Embedding, finish};
use crate::error::{Error, ErrorKind};
use crate::prepare::Tracing;
use crate::request::{Input, Options, Request, Truncation};
use crate::split::{Split, trimmed};

/// Tokens whose rows are held at once, about.
const TOKENS_AT_ONCE: usize = 16_384;

/// Tokens that a window has in common with the one before it, at most; the authors' number.
const OVERLAP: usize = 256;

/// The chunks of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunks {
    /// As every text is cut.
    Split(Split),
    /// A list for each text: bytes between characters, in any order; they may overlap, and need not cover the text.
    Given(Vec<Vec<Range<usize>>>),
}

impl From<Split> for Chunks {
    fn from(split: Split) -> Self {
        Chunks::Split(split)
    }
}

impl From<Vec<Vec<Range<usize>>>> for Chunks {
    fn from(given: Vec<Vec<Range<usize>>>) -> Self {
        Chunks::Given(given)
    }
}

/// A chunk of a text, and its vector.
#[derive(Debug, Clone)]
pub struct LateChunk {
    /// Its bytes in the text.
    pub bytes: Range<usize>,
    /// The vector, with the number of the chunk's tokens. Fails for a chunk without any
    /// ([`ErrorKind::NoTokens`]): an empty one, or one whose characters the tokenizer drops.
    pub embedding: Result<Embedding, Error>,
}

impl Embedder {
    /// The vectors of the chunks of each text, which is read once (late chunking): the mean of the chunk's rows. They
    /// lie in the space of whole texts and queries. A result for every text, in their order.
    ///
    /// A token belongs to each chunk with which it shares bytes, white space at its front aside; special tokens and
    /// the prompt belong to none. A text that is longer than the limit is read in windows, each with prompt and special
    /// tokens, that overlap by up to 256 tokens: those have the rows of the window before. Nothing is cut, so that a
    /// request with [`Truncation::Start`] is refused; [`Truncation::Error`] refuses what would need windows.
    ///
    /// ```
    /// # #[cfg(feature = "builtin")] {
    /// use connote::{Embedder, Split};
    ///
    /// let embedder = Embedder::builtin()?;
    /// let text = "Berlin is the capital of Germany. The city has 3.8 million inhabitants.";
    /// let texts = embedder.embed_late_chunks([text], Split::Sentences)?;
    /// let chunks = texts[0].as_ref().expect("a text that fits");
    /// assert_eq!(&text[chunks[1].bytes.clone()], "The city has 3.8 million inhabitants.");
    /// # }
    /// # Ok::<(), connote::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the model does not pool by the mean (rows apart from the one it pools were not trained to mean anything;
    /// [`Builder::pooling`](crate::Builder::pooling) insists), or the options make no sense for it. A text fails
    /// whose chunks do not lie in it or end within a character, and one that is given as token ids.
    pub fn embed_late_chunks(
        &self,
        request: impl Into<Request>,
        chunks: impl Into<Chunks>,
    ) -> Result<Vec<Result<Vec<LateChunk>, Error>>, Error> {
        let Request { inputs, options, schedule } = request.into();
        self.check_late_chunks(&options)?;
        let dimensions = self.model().check_dimensions(options.dimensions)?;
        let chunks = match chunks.into() {
            Chunks::Given(given) if given.len() != inputs.len() => {
                return Err(invalid(format!(
                    "there are {} texts and {} lists of chunks; give a list for each text",
                    inputs.len(),
                    given.len()
                )));
            }
            chunks => chunks,
        };
        let width = self.dimensions();
        let numbered: Vec<(usize, &Input)> = inputs.iter().enumerate().collect();
        let plan = |&(index, input): &(usize, &Input)| {
            schedule.ended().map_or(Ok(()), |ended| Err(failed(ended)))?;
            let own = match &chunks {
                Chunks::Split(split) => self.model().split(input, *split, &options)?,
                Chunks::Given(given) => given[index].clone(),
            };
            Text::plan(self, input, own, &options, width)
        };
        let planned = each::map(&numbered, self.team(), plan).into_iter();
        let mut texts: Vec<Result<Text, Error>> =
            planned.map(|one| one.unwrap_or_else(|panic| Err(internal(&panic)))).collect();

        let mut windows: Vec<(usize, Window)> = Vec::new();
        for (index, text) in texts.iter_mut().enumerate() {
            let own = text.as_mut().map_or_else(|_| Vec::new(), |text| std::mem::take(&mut text.windows));
            windows.extend(own.into_iter().map(|window| (index, window)));
        }
        let mut windows = windows.into_iter().peekable();
        while windows.peek().is_some() {
            let mut tokens = 0;
            let group: Vec<_> = std::iter::from_fn(|| {
                let next =
                    windows.next_if(|(_, window)| tokens == 0 || tokens + window.ids.len() <= TOKENS_AT_ONCE);
                tokens += next.as_ref().map_or(0, |(_, window)| window.ids.len());
                next
            })
            .collect();
            let sequences = group.iter().map(|(_, window)| window.ids.clone()).collect();
            let answers = self.token_rows(sequences, &schedule);
            for ((index, window), answer) in group.into_iter().zip(answers) {
                let Ok(text) = &mut texts[index] else { continue };
                match answer {
                    Ok(rows) => text.add(&window, &rows),
                    Err(failure) => texts[index] = Err(failed(failure)),
                }
            }
        }
        Ok(texts.into_iter().map(|text| Ok(text?.finish(dimensions, &options))).collect())
    }

    /// Whether the chunks of texts can have vectors under these options, whatever the texts.
    ///
    /// # Errors
    /// If they can not: as [`embed_late_chunks`](Self::embed_late_chunks).
    pub fn check_late_chunks(&self, options: &Options) -> Result<(), Error> {
        if self.pooling() != Pooling::Mean {
            return Err(invalid(format!(
                "late chunking takes means of token rows, and the pooling is `{}`: rows that a model does not pool were not trained to mean anything; choose pooling `mean` to have it nevertheless",
                self.pooling()
            )));
        }
        if options.truncation == Truncation::Start {
            return Err(invalid(
                "late chunking reads all of a text, so that nothing is cut at its start; leave the truncation out"
                    .to_owned(),
            ));
        }
        self.model().check_options(options)
    }
}

/// What the network reads at once of a text.
struct Window {
    ids: Vec<u32>,
    /// The first row that counts.
    skip: usize,
    /// The tokens of the text that its rows are of, of those that come from the text.
    tokens: Range<usize>,
}

/// A text whose chunks are being summed up.
struct Text {
    windows: Vec<Window>,
    chunks: Vec<Range<usize>>,
    /// Tokens and the chunks they belong to, ascending.
    members: Vec<(usize, usize)>,
    /// How many of `members` were summed up.
    summed: usize,
    /// Values of a row.
    width: usize,
    /// A row a chunk. Sums of thousands of rows in f32 would lose bits that the rows still have.
    sums: Vec<f64>,
    /// Rows in each sum.
    counts: Vec<usize>,
}

impl Text {
    fn plan(
        embedder: &Embedder,
        input: &Input,
        chunks: Vec<Range<usize>>,
        options: &Options,
        width: usize,
    ) -> Result<Text, Error> {
        if input.ids.is_some() {
            return Err(invalid("late chunking needs the text itself, not token ids".to_owned()));
        }
        let text = input.text();
        if let Some((number, chunk)) =
            chunks.iter().enumerate().find(|(_, chunk)| text.get((*chunk).clone()).is_none())
        {
            return Err(invalid(format!(
                "chunk {number}, bytes {} to {}, does not lie in the text of {} bytes, or ends within a character",
                chunk.start,
                chunk.end,
                text.len()
            )));
        }
        let model = embedder.model();
        let sequence = model.sequence(input, options, Tracing::On)?;
        let room = model.room(options)?;
        let first = sequence.sources.iter().take_while(|source| source.bytes().is_none()).count();
        // What blanks a token begins with belongs to no chunk in particular, unless it is all it has.
        let bytes: Vec<Range<usize>> = sequence.sources[first..]
            .iter()
            .map(|source| {
                let bytes = source.bytes().unwrap_or_default();
                trimmed(text, bytes.clone()).unwrap_or(bytes)
            })
            .collect();
        let members = members(&bytes, &chunks);
        let fits = sequence.body.len() <= room;
        if !fits && options.truncation == Truncation::Error {
            let specials = sequence.before.len() + sequence.after.len();
            let message = format!(
                "the text has {} tokens and the limit is {}; shorten it, or let it be read in windows (truncation `end`)",
                sequence.body.len() + specials,
                room + specials
            );
            return Err(Error::new(ErrorKind::TooLong, message));
        }
        let kept = match fits {
            true => first,
            false => model.kept_prompt(&sequence.prompt, &sequence.body, first, room, options)?,
        };
        let mut windows = Vec::new();
        let mut push = |front: &[u32], part: Range<usize>, known: usize| {
            let ids = [sequence.before, front, &sequence.body[part.clone()], sequence.after].concat();
            let skip = sequence.before.len() + front.len() + known;
            windows.push(Window { ids, skip, tokens: part.start + known - first..part.end - first });
        };
        let mut read = sequence.body.len().min(room);
        push(&[], 0..read, first);
        let overlap = OVERLAP.min((room - kept) / 4);
        while read < sequence.body.len() {
            let start = read - overlap;
            let end = sequence.body.len().min(start + room - kept);
            push(&sequence.body[..kept], start..end, overlap);
            read = end;
        }
        // What no chunk has a part in need not be read.
        windows.retain(|window| {
            let from = members.partition_point(|&(token, _)| token < window.tokens.start);
            members.get(from).is_some_and(|&(token, _)| token < window.tokens.end)
        });
        let (sums, counts) = (vec![0.0; chunks.len() * width], vec![0; chunks.len()]);
        Ok(Text { windows, chunks, members, summed: 0, width, sums, counts })
    }

    /// Adds the rows of a window, which come in the order of the text.
    fn add(&mut self, window: &Window, rows: &[f32]) {
        let width = self.width;
        while let Some(&(token, chunk)) = self.members.get(self.summed)
            && token < window.tokens.end
        {
            let row = window.skip + token - window.tokens.start;
            let sums = &mut self.sums[chunk * width..(chunk + 1) * width];
            for (sum, &value) in sums.iter_mut().zip(&rows[row * width..(row + 1) * width]) {
                *sum += f64::from(value);
            }
            self.counts[chunk] += 1;
            self.summed += 1;
        }
    }

    fn finish(self, dimensions: usize, options: &Options) -> Vec<LateChunk> {
        let Text { chunks, width, sums, counts, .. } = self;
        let sums = sums.chunks_exact(width);
        let embedding = |sums: &[f64], tokens: usize| {
            if tokens == 0 {
                let message = "the chunk has no tokens, so it has no vector; leave it out";
                return Err(Error::new(ErrorKind::NoTokens, message));
            }
            let mean: Vec<f32> = sums.iter().map(|sum| (sum / tokens as f64) as f32).collect();
            let vector = finish(&mean, width, dimensions, options)?;
            Ok(Embedding { vector, dimensions, tokens, truncated: false })
        };
        chunks
            .into_iter()
            .zip(sums.zip(counts))
            .map(|(bytes, (sums, tokens))| LateChunk { bytes, embedding: embedding(sums, tokens) })
            .collect()
    }
}

/// Which tokens share bytes with which chunks, ascending.
fn members(tokens: &[Range<usize>], chunks: &[Range<usize>]) -> Vec<(usize, usize)> {
    // Tokens come in order, but for a few that normalisation moves: the farthest end so far, and the nearest start to come.
    let farthest = tokens.iter().scan(0, |end, token| {
        *end = token.end.max(*end);
        Some(*end)
    });
    let ends: Vec<usize> = farthest.collect();
    let mut starts: Vec<usize> = tokens.iter().map(|token| token.start).collect();
    for at in (1..starts.len()).rev() {
        starts[at - 1] = starts[at - 1].min(starts[at]);
    }
    let mut members = Vec::new();
    for (number, chunk) in chunks.iter().enumerate().filter(|(_, chunk)| !chunk.is_empty()) {
        let from = ends.partition_point(|&end| end <= chunk.start);
        let to = starts.partition_point(|&start| start < chunk.end);
        let shares = |&token: &usize| tokens[token].start < chunk.end && tokens[token].end > chunk.start;
        members.extend((from..to).filter(shares).map(|token| (token, number)));
    }
    members.sort_unstable();
    members
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::members;

    #[test]
    fn tokens_belong_where_they_share_bytes() {
        // One that is not of the text among them.
        let tokens = [0..3, 3..6, 0..0, 7..9];
        assert_eq!(members(&tokens, &[0..3, 3..9]), [(0, 0), (1, 1), (3, 1)]);
        // Cut within a token: it belongs to both.
        assert_eq!(members(&tokens, &[0..4, 4..9]), [(0, 0), (1, 0), (1, 1), (3, 1)]);
        // Empty, in no order, one in another, between tokens, and beyond.
        assert_eq!(members(&tokens, &[4..4, 7..8, 0..9, 6..7, 9..12]), [(0, 2), (1, 2), (3, 1), (3, 2)]);
        assert!(members(&[], std::slice::from_ref(&(0..9))).is_empty());
        // Moved by normalisation.
        let moved = [0..2, 4..6, 2..4, 6..8];
        assert_eq!(members(&moved, &[0..3, 4..5, 6..8]), [(0, 0), (1, 1), (2, 0), (3, 2)]);
    }
}
