//! Late chunking (<https://arxiv.org/abs/2409.04701>): a long text is read once, and the rows of each of its chunks are
//! pooled by themselves, so that a chunk's vector knows the text around it.

use std::ops::Range;

use encoder::Pooling;

use crate::each;
use crate::embedder::{Embedder, failed, internal};
use crate::embedding::{Embedding, finish};
use crate::error::{Error, ErrorKind};
use crate::prepare::Wanted;
use crate::request::{Input, Options, Request, Truncation};
use crate::split::{Split, trimmed};

#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Tokens whose rows are held at once, about.
    tokens_at_once: usize,
    /// Tokens that a window has in common with the one before it, at most.
    overlap: usize,
}

/// The overlap is the authors'.
const LIMITS: Limits = Limits { tokens_at_once: 16_384, overlap: 256 };

/// Tokens of a round for each thread: some micro-batches, so that all have something to do until its end.
const TOKENS_A_THREAD: usize = 2_048;

/// Bytes of rows that more threads may make a round hold.
const ROUND_BYTES: usize = 256 << 20;

/// The chunks of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunks {
    /// As every text is cut. Chunks without tokens (of characters alone that the tokenizer drops) are left out.
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
#[non_exhaustive]
pub struct LateChunk {
    /// Its bytes in the text.
    pub bytes: Range<usize>,
    /// The vector, with the number of the chunk's tokens. Fails for a given chunk without any
    /// ([`ErrorKind::NoTokens`]): an empty one, or one whose characters the tokenizer drops.
    pub embedding: Result<Embedding, Error>,
}

impl Embedder {
    /// The vectors of the chunks of each text, which is read once (late chunking): the mean of the chunk's rows. They
    /// lie in the space of whole texts and queries. A result for every text, in their order.
    ///
    /// A token belongs to each chunk with which it shares bytes, white space at its ends aside; special tokens and
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
        let room = ROUND_BYTES / (4 * self.dimensions().max(1));
        let tokens_at_once = LIMITS.tokens_at_once.max(room.min(self.team().threads() * TOKENS_A_THREAD));
        self.late_chunks(request.into(), chunks.into(), Limits { tokens_at_once, ..LIMITS })
    }

    fn late_chunks(
        &self,
        request: Request,
        chunks: Chunks,
        limits: Limits,
    ) -> Result<Vec<Result<Vec<LateChunk>, Error>>, Error> {
        let Request { inputs, options, schedule } = request;
        self.check_late_chunks(&options)?;
        let cut = self.model().cut(options.dimensions)?;
        let chunks = match chunks {
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
            let ended = || schedule.ended().map_or(Ok(()), |ended| Err(failed(ended)));
            ended()?;
            let own = match &chunks {
                Chunks::Split(split) => self.model().split(input, *split, &options)?,
                Chunks::Given(given) => given[index].clone(),
            };
            // A long text takes its time to be cut.
            ended()?;
            let mut text = Text::plan(self, input, own, &options, limits.overlap)?;
            if matches!(chunks, Chunks::Split(_)) {
                text.leave_out_empty();
            }
            Ok(text)
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
            let mut group: Vec<_> = std::iter::from_fn(|| {
                let next = windows
                    .next_if(|(_, window)| tokens == 0 || tokens + window.ids.len() <= limits.tokens_at_once);
                tokens += next.as_ref().map_or(0, |(_, window)| window.ids.len());
                next
            })
            .collect();
            let sequences = group.iter_mut().map(|(_, window)| std::mem::take(&mut window.ids)).collect();
            let answers = self.token_rows(sequences, &schedule);
            for ((index, window), answer) in group.into_iter().zip(answers) {
                let Ok(text) = &mut texts[index] else { continue };
                match answer {
                    Ok(rows) => text.add(&window, &rows, width, |mean, tokens| {
                        let vector = finish(mean, width, cut, &options)?;
                        Ok(Embedding { vector, dimensions: cut.dimensions, tokens, truncated: false })
                    }),
                    Err(failure) => texts[index] = Err(failed(failure)),
                }
            }
        }
        Ok(texts.into_iter().map(|text| Ok(text?.finish())).collect())
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
    chunks: Vec<Pooled>,
    /// Tokens and the chunks they belong to, ascending.
    members: Vec<(usize, usize)>,
    /// How many of `members` were summed up.
    summed: usize,
}

/// A chunk, of whose vector there is only what is needed by now: texts have many.
struct Pooled {
    bytes: Range<usize>,
    tokens: usize,
    /// Tokens that are still to be added.
    missing: usize,
    /// Empty before the first token and after the last. Sums of thousands of rows in f32 would lose bits that the rows
    /// still have.
    sum: Vec<f64>,
    embedding: Option<Result<Embedding, Error>>,
}

impl Text {
    fn plan(
        embedder: &Embedder,
        input: &Input,
        chunks: Vec<Range<usize>>,
        options: &Options,
        overlap: usize,
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
        let sequence = model.sequence(input, options, Wanted::Sources)?;
        let room = model.room(options)?;
        let first = sequence.sources.iter().take_while(|source| source.bytes().is_none()).count();
        // White space at a token's ends belongs to no chunk in particular, unless it is all it has.
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
        let overlap = overlap.min((room - kept) / 4);
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
        let mut chunks: Vec<Pooled> = chunks
            .into_iter()
            .map(|bytes| Pooled { bytes, tokens: 0, missing: 0, sum: Vec::new(), embedding: None })
            .collect();
        for &(_, chunk) in &members {
            chunks[chunk].tokens += 1;
            chunks[chunk].missing += 1;
        }
        Ok(Text { windows, chunks, members, summed: 0 })
    }

    /// Leaves out the chunks without tokens.
    fn leave_out_empty(&mut self) {
        let counted = self.chunks.iter().scan(0, |kept, chunk| {
            let number = *kept;
            *kept += usize::from(chunk.tokens > 0);
            Some(number)
        });
        let numbers: Vec<usize> = counted.collect();
        self.members.iter_mut().for_each(|(_, chunk)| *chunk = numbers[*chunk]);
        self.chunks.retain(|chunk| chunk.tokens > 0);
    }

    /// Adds the rows of a window, which come in the order of the text. `finish` makes a vector of the mean of so many.
    fn add(
        &mut self,
        window: &Window,
        rows: &[f32],
        width: usize,
        finish: impl Fn(&[f32], usize) -> Result<Embedding, Error>,
    ) {
        while let Some(&(token, chunk)) = self.members.get(self.summed)
            && token < window.tokens.end
        {
            let row = window.skip + token - window.tokens.start;
            let chunk = &mut self.chunks[chunk];
            chunk.sum.resize(width, 0.0);
            for (sum, &value) in chunk.sum.iter_mut().zip(&rows[row * width..(row + 1) * width]) {
                *sum += f64::from(value);
            }
            self.summed += 1;
            chunk.missing -= 1;
            if chunk.missing == 0 {
                let sum = std::mem::take(&mut chunk.sum);
                let mean: Vec<f32> = sum.iter().map(|sum| (sum / chunk.tokens as f64) as f32).collect();
                chunk.embedding = Some(finish(&mean, chunk.tokens));
            }
        }
    }

    fn finish(self) -> Vec<LateChunk> {
        let without_tokens = || {
            Err(Error::new(ErrorKind::NoTokens, "the chunk has no tokens, so it has no vector; leave it out"))
        };
        let chunks = self.chunks.into_iter();
        chunks
            .map(|Pooled { bytes, embedding, .. }| LateChunk {
                bytes,
                embedding: embedding.unwrap_or_else(without_tokens),
            })
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
    use testkit::tiny;

    use super::{Chunks, LIMITS, Limits, Text, members};
    use crate::{Embedder, Embedding, Options, Request, Split};

    const LONG: &str = "the cat sat a dog sats the cat sat a dog sats the cat sat. a dog";

    fn tiny_bert() -> Embedder {
        Embedder::from_bytes(tiny::bert(1)).expect("a tiny model opens")
    }

    /// Windows of eight tokens of the text.
    fn short() -> Options {
        Options::new().max_tokens(10)
    }

    #[test]
    fn rounds_make_no_difference_and_overlaps_do() {
        let bits = |limits: Limits| -> Vec<Vec<u32>> {
            let request = Request::new([LONG, "a cat", LONG]).with(short());
            let chunks = Chunks::Given(vec![vec![0..20, 10..LONG.len()], vec![0..5], vec![0..LONG.len()]]);
            let texts = tiny_bert().late_chunks(request, chunks, limits).expect("options");
            let chunks = texts.into_iter().flat_map(|text| text.expect("chunks"));
            chunks
                .map(|chunk| {
                    chunk.embedding.expect("a vector").vector.into_iter().map(f32::to_bits).collect()
                })
                .collect()
        };
        let wanted = bits(LIMITS);
        assert_eq!(wanted.len(), 4);
        for tokens_at_once in [1, 11, 25] {
            assert_eq!(bits(Limits { tokens_at_once, ..LIMITS }), wanted);
        }
        assert_eq!(bits(Limits { overlap: 2, ..LIMITS }), wanted);
        let apart = bits(Limits { overlap: 0, ..LIMITS });
        assert_eq!(apart[2], wanted[2]);
        assert_ne!(apart[3], wanted[3]);
    }

    #[test]
    fn windows_have_what_was_read_before_in_common() {
        let embedder = tiny_bert();
        let all = embedder.model().tokenize(&LONG.into(), &Options::new()).expect("ids");
        let body = &all[1..all.len() - 1];
        for (most, overlap) in [(0, 0), (1, 1), (2, 2), (256, 2)] {
            let text =
                Text::plan(&embedder, &LONG.into(), std::iter::once(0..LONG.len()).collect(), &short(), most)
                    .expect("fits");
            assert!(text.windows.len() > 2);
            let mut read = 0;
            for window in &text.windows {
                let known = if read == 0 { 0 } else { overlap };
                assert_eq!((window.tokens.start, window.skip), (read, 1 + known));
                assert_eq!(window.ids[1..window.ids.len() - 1], body[read - known..window.tokens.end]);
                read = window.tokens.end;
            }
            assert_eq!(read, body.len());
        }
    }

    #[test]
    fn sums_are_there_while_they_grow() {
        let embedder = tiny_bert();
        let chunks = vec![0..3, 0..LONG.len(), LONG.len() - 3..LONG.len()];
        let mut text = Text::plan(&embedder, &LONG.into(), chunks, &short(), 2).expect("fits");
        let open =
            |text: &Text| -> Vec<bool> { text.chunks.iter().map(|chunk| chunk.sum.capacity() > 0).collect() };
        let finish = |mean: &[f32], tokens: usize| {
            Ok(Embedding { vector: mean.to_vec(), dimensions: mean.len(), tokens, truncated: false })
        };
        assert_eq!(open(&text), [false; 3]);
        let windows = std::mem::take(&mut text.windows);
        let (last, others) = windows.split_last().expect("windows");
        for window in others {
            text.add(window, &vec![1.0; window.ids.len() * 3], 3, finish);
            assert_eq!(open(&text), [false, true, false]);
        }
        text.add(last, &vec![1.0; last.ids.len() * 3], 3, finish);
        assert_eq!(open(&text), [false; 3]);
        for chunk in text.finish() {
            assert_eq!(chunk.embedding.expect("a vector").vector, [1.0; 3]);
        }
    }

    #[test]
    fn splits_leave_out_what_has_no_tokens() {
        let embedder = tiny_bert();
        let text = "the cat\n\n\u{200b}\u{ad}\n\na dog\n\n\u{feff}";
        let chunks = embedder.embed_late_chunks([text], Split::Paragraphs).expect("options").remove(0);
        let chunks = chunks.expect("chunks");
        let of: Vec<&str> = chunks.iter().map(|chunk| &text[chunk.bytes.clone()]).collect();
        assert_eq!(of, ["the cat", "a dog"]);
        let alone = embedder.embed_late_chunks(["a dog"], Split::Paragraphs).expect("options").remove(0);
        let tokens = alone.expect("chunks")[0].embedding.as_ref().expect("a vector").tokens;
        assert!(
            chunks.iter().all(|chunk| chunk.embedding.as_ref().is_ok_and(|vector| vector.tokens == tokens))
        );
    }

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
