//! A text a line.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use connote::jsonl;

use super::files::{Counted, Input};
use super::roles::wrong;
use super::{CHUNK_BYTES, Count, Reader, SourceOptions, TextFrom, place, unreadable};
use crate::rows::{Chunk, Place, Row};
use crate::{Error, ErrorKind};

/// What is wrong with a row of [`ends_in_cr_alone`].
pub(super) const LINES_OF_CR: &str =
    "the lines end in CR alone, and would all be one; let them end in LF: tr '\\r' '\\n' < FILE > NEW";

/// Whether the first line is a whole input whose lines end as those of old Mac programs do.
pub(super) fn ends_in_cr_alone(first: &[u8]) -> bool {
    let within = first.strip_suffix(b"\r").unwrap_or(first);
    first.last() != Some(&b'\n') && within.contains(&b'\r')
}

/// Lines of an input, whatever stands in them.
pub(super) struct RawLines {
    input: Input,
    reader: BufReader<Counted>,
    taken: Arc<AtomicU64>,
}

impl RawLines {
    pub(super) fn open(input: &Input) -> Result<Self, Error> {
        let from = input.open()?;
        let taken = from.count();
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, from);
        if input.file().is_some() {
            // What begins wrongly is told before anything else is read; a pipe may have nothing yet.
            reader.fill_buf().map_err(|error| unreadable(input, &error))?;
        }
        Ok(Self { input: input.clone(), reader, taken })
    }

    /// The next line with its end; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line)),
            Err(error) => Err(unreadable(&self.input, &error)),
        }
    }

    /// Whether the next line may have to be waited for.
    pub(super) fn would_wait(&self) -> bool {
        self.input.file().is_none() && !self.reader.buffer().contains(&b'\n')
    }

    /// Bytes of the lines that were given out.
    pub(super) fn read(&self) -> u64 {
        self.taken.load(Ordering::Relaxed) - self.reader.buffer().len() as u64
    }
}

pub(super) struct LineReader {
    lines: RawLines,
    name: Arc<str>,
    /// Lines of this input so far.
    line: u64,
}

impl LineReader {
    pub(super) fn open(input: &Input, options: &SourceOptions) -> Result<Self, Error> {
        let columns = [&options.id, &options.title, &options.task].iter().any(|from| from.column().is_some());
        if columns || !options.keep.is_empty() || !matches!(options.text, TextFrom::Default) {
            let name = &input.name;
            let message = format!(
                "{name}: lines of text have no columns to choose from; say with --input-format what it is, if it is something else"
            );
            return Err(Error::new(ErrorKind::Usage, message));
        }
        Ok(Self { lines: RawLines::open(input)?, name: place(input), line: 0 })
    }
}

impl Reader for LineReader {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]))
    }

    fn next_chunk(&mut self, max_rows: usize, count: &mut Count) -> Result<Option<Chunk>, Error> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < max_rows && bytes < CHUNK_BYTES {
            if !rows.is_empty() && self.lines.would_wait() {
                break;
            }
            let Some(line) = self.lines.next()? else { break };
            bytes += line.len();
            self.line += 1;
            let are_many = self.line == 1 && ends_in_cr_alone(&line);
            let text = jsonl::utf8(line, usize::try_from(self.line).unwrap_or(usize::MAX));
            let input = match text {
                Ok(_) if are_many => Err(wrong(self.line, LINES_OF_CR)),
                Ok(text) => Ok(connote::Input::new(text)),
                Err((error, _)) => Err(error),
            };
            rows.push(Row {
                number: count.rows,
                id: jsonl::numbered(usize::try_from(count.names).unwrap_or(usize::MAX)),
                place: Place { file: self.name.clone(), line: self.line },
                input,
            });
            count.rows += 1;
            count.names += 1;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let first = count.names - rows.len() as u64;
        let ids = Int64Array::from_iter_values((first..count.names).map(|name| name as i64));
        let carried = RecordBatch::try_new(self.schema(), vec![Arc::new(ids)])
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", self.name)))?;
        Ok(Some(Chunk { rows, carried }))
    }

    fn skip(&mut self, rows: u64, count: &mut Count) -> Result<u64, Error> {
        let mut skipped = 0;
        while skipped < rows && self.lines.next()?.is_some() {
            skipped += 1;
        }
        self.line += skipped;
        count.rows += skipped;
        count.names += skipped;
        Ok(skipped)
    }

    fn read(&self) -> u64 {
        self.lines.read()
    }
}
