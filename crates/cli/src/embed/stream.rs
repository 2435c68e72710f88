//! Texts as they come, vectors as they are there.

use std::io::{self, Write};
use std::path::PathBuf;

use bulk::{
    Answered, Answering, Beside, Chunk, FileSum, LineEncoder, OutputFormat as BulkFormat, PartWriter,
    Results, Row, Spaces, Summing,
};
use connote::{Embedder, Embedding};

use super::late::{self, LateChunks};
use super::listing::Listing;
use super::spool::Spool;
use super::{Place, Task, tell_failed, tell_other_spaces};
use crate::args::{OutputArgs, OutputFormat};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, excerpt};
use crate::progress::{Progress, ProgressForm};
use crate::rows::Rows;
use crate::say::say;

/// Where answered rows are written to.
enum Writing {
    /// For people, with the beginnings of the texts that are being computed.
    Text(Output, Vec<String>),
    /// A line a row, handed over as soon as it is there, and the sum of all of them.
    Lines(Output, Box<LineEncoder>, Summing<io::Sink>),
    /// A format that is whole only at its end.
    Whole(Spool, Box<PartWriter>),
}

pub(super) fn run(mut task: Task<'_>, place: &Place, format: Option<BulkFormat>) -> Result<Outcome, Failure> {
    let args = task.args;
    let mut listing = Listing::begin(&task, place, format)?;
    let mut writing = Writing::open(&task, place, format)?;
    if let (Place::File(path), Rows::Source(_), false, false) =
        (place, &task.rows, task.rows.are_files(), args.quiet)
    {
        say(format_args!(
            "Texts from a pipe cannot be read again: if this run is interrupted, {} has to be begun anew.",
            path.display()
        ));
    }
    let form = if args.quiet { ProgressForm::None } else { args.progress };
    let mut progress = Progress::new(form, task.loading, writing.is_terminal());
    // Now, while the model's file is surely there: hashing it later could meet another. Who neither reads nor writes a
    // fingerprint does not pay for it.
    let told = !args.quiet || listing.is_some() || writing.names_a_space();
    let mut spaces = if told { Some(Spaces::new(&task.embedder, &task.options)?) } else { None };
    let mut answering = Answering::new(&task.embedder, task.options.clone(), task.title, task.share);
    let late = args.late_chunks.map(|split| {
        let (embedder, options, title) = (&task.embedder, &task.options, task.title);
        LateChunks { embedder, options, title, split }
    });
    let (mut rows, mut failed, mut other_spaces, mut explain, mut read) = (0, 0, 0, args.explain, 0);
    while let Some(mut chunk) = task.rows.next_chunk()? {
        progress.begin();
        let results = match &late {
            Some(late) => {
                let (chunks, results) = late.answer(&chunk)?;
                chunk = chunks;
                writing.keep_texts(&chunk.rows);
                results
            }
            None => {
                writing.keep_texts(&chunk.rows);
                answering.answer(&mut chunk.rows)?
            }
        };
        if std::mem::take(&mut explain) {
            explain_rows(&task.embedder, &results);
        }
        other_spaces += spaces.as_mut().map_or(0, |spaces| spaces.add(&chunk.rows, &results));
        writing.write(&chunk, &results)?;
        if let Some(listing) = &mut listing {
            listing.add(&chunk.rows, &results)?;
        }
        rows += results.len() as u64;
        let (failed_now, tokens) = sums(&results);
        failed += failed_now as u64;
        let position = task.rows.progress();
        let passed = position.read - std::mem::replace(&mut read, position.read);
        progress.advance(results.len(), failed_now, tokens, passed, position);
    }
    let beside = writing.finish(listing, other_spaces)?;
    if let Some(spaces) = spaces.filter(|_| !args.quiet) {
        progress.finish(failed, &spaces.told());
        tell_other_spaces(other_spaces);
    }
    match &beside.errors {
        _ if args.quiet => {}
        Some(errors) => tell_failed(failed, &errors.display(), &beside),
        None if failed > 0 && format == Some(BulkFormat::Npy) => {
            say(format_args!("connote: {failed} rows failed and are not in the npy output"));
        }
        None => {}
    }
    Ok(Outcome::of_rows(rows, failed))
}

/// Says how rows are computed, and why.
pub(super) fn explain_rows(embedder: &Embedder, results: &Results) {
    let lengths = results.iter().filter_map(|result| Some(result.as_ref().ok()?.tokens));
    say(format_args!("{}", embedder.explain(&lengths.collect::<Vec<_>>())));
}

/// Rows that failed, and tokens of the others.
pub(super) fn sums(results: &Results) -> (usize, usize) {
    results.iter().fold((0, 0), |(failed, tokens), result| match result {
        Ok(embedding) => (failed, tokens + embedding.tokens),
        Err(_) => (failed + 1, tokens),
    })
}

impl Writing {
    fn open(task: &Task<'_>, place: &Place, format: Option<BulkFormat>) -> Result<Self, Failure> {
        let output = |format| {
            let path = place.path().map(PathBuf::from);
            Output::open(&OutputArgs { output: path, output_format: Some(format) }, &task.rows)
        };
        Ok(match format {
            None => Self::Text(output(OutputFormat::Text)?, Vec::new()),
            Some(format @ (BulkFormat::Jsonl | BulkFormat::Csv)) => {
                let encoder = LineEncoder::create(&task.sink(format)?)?;
                let mut output = output(OutputFormat::Jsonl)?;
                output.bytes(encoder.header())?;
                let mut sum = Summing::new(io::sink());
                sum.write_all(encoder.header()).map_err(Failure::nothing)?;
                Self::Lines(output, Box::new(encoder), sum)
            }
            Some(format) => {
                let options = task.sink(format)?;
                let (spool, file) = Spool::create(place)?;
                Self::Whole(spool, Box::new(PartWriter::create(file, &options)?))
            }
        })
    }

    /// Whether results go to a terminal.
    fn is_terminal(&self) -> bool {
        match self {
            Self::Text(output, _) | Self::Lines(output, ..) => output.is_terminal(),
            Self::Whole(..) => false,
        }
    }

    /// What is shown of texts, before they are taken out of their rows.
    fn keep_texts(&mut self, rows: &[Row]) {
        if let Self::Text(_, texts) = self {
            let text = |row: &Row| {
                row.input.as_ref().map_or_else(|_| String::new(), |input| excerpt(input.text(), 60))
            };
            *texts = rows.iter().map(text).collect();
        }
    }

    /// Whether the output itself names the space of its vectors.
    fn names_a_space(&self) -> bool {
        matches!(self, Self::Whole(..))
    }

    fn write(&mut self, chunk: &Chunk, results: &Results) -> Result<(), Failure> {
        match self {
            Self::Text(output, texts) => {
                for (at, ((row, text), result)) in chunk.rows.iter().zip(texts).zip(results).enumerate() {
                    match result {
                        Ok(embedding) => {
                            let name = match late::shown(&chunk.carried, at) {
                                Some(place) => format!("{} {place}", row.id),
                                None => row.id.to_string(),
                            };
                            write_for_people(output, &name, text, embedding)?;
                        }
                        Err(error) => output.failed(&row.id, error)?,
                    }
                }
                output.flush()
            }
            Self::Lines(output, encoder, sum) => {
                let mut lines = Vec::new();
                encoder.encode(&Answered { chunk, results }, &mut lines)?;
                sum.write_all(&lines).map_err(Failure::nothing)?;
                output.bytes(&lines)?;
                output.flush()
            }
            Self::Whole(_, writer) => Ok(writer.write(&Answered { chunk, results })?),
        }
    }

    /// All is written: the output gets its name, and what lies beside it its content, in the order of [`Beside::write`]. So many of its
    /// rows are of another space than it names.
    fn finish(self, listing: Option<Listing>, other_spaces: u64) -> Result<Beside, Failure> {
        match self {
            Self::Text(mut output, _) => {
                output.sync()?;
                output.finish().map(|()| Beside::default())
            }
            Self::Lines(mut output, _, sum) => {
                output.sync()?;
                named(listing, &sum.finish().1, other_spaces, || output.finish())
            }
            Self::Whole(spool, mut writer) => {
                writer.add_other_spaces(other_spaces);
                let (file, sum) = writer.finish()?;
                spool.sync()?;
                named(listing, &sum, other_spaces, || spool.finish(file))
            }
        }
    }
}

/// Without a list there is nothing beside the output.
fn named(
    listing: Option<Listing>,
    sum: &FileSum,
    other_spaces: u64,
    name: impl FnOnce() -> Result<(), Failure>,
) -> Result<Beside, Failure> {
    match listing {
        Some(listing) => listing.write(sum, other_spaces, name),
        None => name().map(|()| Beside::default()),
    }
}

/// The row's name, the text, what became of it, and the first values.
fn write_for_people(
    output: &mut Output,
    name: &str,
    text: &str,
    embedding: &Embedding,
) -> Result<(), Failure> {
    let cut = if embedding.truncated { ", cut to fit" } else { "" };
    let count = match embedding.rows().len() {
        1 => format!("{} values", embedding.dimensions),
        rows => format!("{rows} vectors of {} values", embedding.dimensions),
    };
    output.line(&format!("{}  \"{}\"  {} tokens{cut}, {count}", name, text, embedding.tokens))?;
    for vector in embedding.rows() {
        let shown: Vec<String> = vector.iter().take(6).map(|value| format!("{value:+.4}")).collect();
        let more = if vector.len() > 6 { " …" } else { "" };
        output.line(&format!("   [{}{more}]", shown.join(" ")))?;
    }
    Ok(())
}
