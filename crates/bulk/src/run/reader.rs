//! From the source to chunks of parts. Where a chunk ends depends on nothing but the rows, counted from the part's first:
//! so a part has the same bytes whenever and wherever it is computed.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;

use super::folder::Missing;
use crate::rows::{Chunk, Row};
use crate::source::{Progress, Source};
use crate::{Error, ErrorKind};

/// Rows that are computed in one call, at most.
const CHUNK_ROWS: usize = 1024;
/// A chunk ends with the row that reaches so many bytes of text: long texts must not make it large.
const CHUNK_BYTES: usize = 1 << 17;
/// Rows that the source is asked for at once.
const READ_ROWS: usize = 256;

/// What is read, in the order of the input.
pub(super) enum Reading {
    /// Rows of the part that is being read, and how far that brought the source.
    Chunk(Chunk, Advance),
    /// The part is whole.
    PartEnd(u64),
    /// The input has ended, after so many rows.
    End(u64),
}

/// How far the source is.
#[derive(Clone, Copy)]
pub(super) struct Advance {
    /// What it read since the chunk before, skipped rows not counted.
    pub(super) passed: u64,
    pub(super) position: Progress,
}

/// Reads the parts that are missing. Ends early when `hand_over` says that nobody takes more.
pub(super) fn read(
    source: &mut Source,
    missing: &Missing,
    part_rows: u64,
    mut hand_over: impl FnMut(Reading) -> bool,
) -> Result<(), Error> {
    let mut part = 0;
    loop {
        if missing.none_from(part) {
            return Ok(());
        }
        let first = part * part_rows;
        if !missing.has(part) {
            let skipped = source.skip(part_rows)?;
            if skipped < part_rows {
                hand_over(Reading::End(first + skipped));
                return Ok(());
            }
            part += 1;
            continue;
        }
        let mut cutter = Cutter::new(source.schema());
        let (mut rows, mut ended) = (0, false);
        let mut last = source.progress().read;
        while rows < part_rows && !ended {
            let wanted = usize::try_from(part_rows - rows).unwrap_or(READ_ROWS).min(READ_ROWS);
            match source.next_chunk(wanted)? {
                None => ended = true,
                Some(chunk) => {
                    rows += chunk.rows.len() as u64;
                    cutter.add(chunk);
                }
            }
            while let Some(chunk) = cutter.next(ended || rows == part_rows)? {
                let position = source.progress();
                let passed = position.read.saturating_sub(std::mem::replace(&mut last, position.read));
                if !hand_over(Reading::Chunk(chunk, Advance { passed, position })) {
                    return Ok(());
                }
            }
        }
        if rows > 0 && !hand_over(Reading::PartEnd(part)) {
            return Ok(());
        }
        if ended {
            hand_over(Reading::End(first + rows));
            return Ok(());
        }
        part += 1;
    }
}

/// Cuts rows anew.
struct Cutter {
    schema: SchemaRef,
    rows: Vec<Row>,
    carried: Vec<RecordBatch>,
    /// Rows from the first that are known to go together, and their bytes.
    counted: usize,
    bytes: usize,
}

impl Cutter {
    fn new(schema: SchemaRef) -> Self {
        Self { schema, rows: Vec::new(), carried: Vec::new(), counted: 0, bytes: 0 }
    }

    fn add(&mut self, chunk: Chunk) {
        if !chunk.rows.is_empty() {
            self.rows.extend(chunk.rows);
            self.carried.push(chunk.carried);
        }
    }

    /// The next whole chunk; at the end of the part also what is left.
    fn next(&mut self, at_end: bool) -> Result<Option<Chunk>, Error> {
        while self.counted < self.rows.len() && self.counted < CHUNK_ROWS && self.bytes < CHUNK_BYTES {
            self.bytes += self.rows[self.counted].input.as_ref().map_or(0, |input| input.text().len());
            self.counted += 1;
        }
        let whole = self.counted == CHUNK_ROWS || self.bytes >= CHUNK_BYTES;
        if self.counted == 0 || !(whole || at_end) {
            return Ok(None);
        }
        let count = self.counted;
        (self.counted, self.bytes) = (0, 0);
        let left = self.rows.split_off(count);
        let rows = std::mem::replace(&mut self.rows, left);
        Ok(Some(Chunk { rows, carried: self.take_carried(count)? }))
    }

    /// The first `count` rows of what is carried along.
    fn take_carried(&mut self, count: usize) -> Result<RecordBatch, Error> {
        let (mut taken, mut pieces) = (0, Vec::new());
        while taken < count && !self.carried.is_empty() {
            let first = &mut self.carried[0];
            let wanted = (count - taken).min(first.num_rows());
            pieces.push(first.slice(0, wanted));
            taken += wanted;
            if wanted == first.num_rows() {
                self.carried.remove(0);
            } else {
                *first = first.slice(wanted, first.num_rows() - wanted);
            }
        }
        concat_batches(&self.schema, &pieces)
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("rows do not fit together: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_schema::{DataType, Field, Schema};
    use connote::{Input, jsonl};
    use testkit::random::Random;

    use super::*;
    use crate::rows::Place;

    fn chunk(schema: &SchemaRef, rows: std::ops::Range<u64>) -> Chunk {
        // Every hundredth text is long enough for a chunk of its own, and some rows have none.
        let text = |row: u64| "x".repeat(if row % 100 == 99 { CHUNK_BYTES } else { (row % 7) as usize });
        let row = |number| Row {
            number,
            id: jsonl::numbered(number as usize),
            place: Place { file: "f".into(), line: number + 1 },
            input: Ok(Input::new(text(number))),
        };
        let ids = Int64Array::from_iter_values(rows.clone().map(|row| row as i64));
        let carried = RecordBatch::try_new(schema.clone(), vec![Arc::new(ids)]).expect("a batch");
        Chunk { rows: rows.map(row).collect(), carried }
    }

    /// Row counts of the chunks, whose columns must go with their rows.
    fn cut(rows: u64, mut piece: impl FnMut() -> u64) -> Vec<usize> {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let mut cutter = Cutter::new(schema.clone());
        let (mut given, mut taken, mut sizes) = (0, 0, Vec::new());
        while given < rows {
            let next = (given + piece()).min(rows);
            cutter.add(chunk(&schema, given..next));
            given = next;
            while let Some(chunk) = cutter.next(given == rows).expect("they fit") {
                let ids = chunk.carried.column(0).as_primitive::<Int64Type>();
                assert_eq!(ids.len(), chunk.rows.len());
                for (row, id) in chunk.rows.iter().zip(ids.values()) {
                    assert_eq!((row.number, *id), (taken, taken as i64));
                    taken += 1;
                }
                sizes.push(chunk.rows.len());
            }
        }
        assert_eq!(taken, rows);
        sizes
    }

    #[test]
    fn where_chunks_end_depends_on_the_rows_alone() {
        let mut random = Random::seeded(3);
        for rows in [1, 90, 99, 100, 101, 2500] {
            let wanted = cut(rows, || rows);
            assert!(wanted.iter().all(|&count| count <= CHUNK_ROWS));
            for largest in [1, 40, 300] {
                assert_eq!(cut(rows, || 1 + random.below(largest) as u64), wanted, "{rows} rows");
            }
        }
        assert_eq!(cut(250, || 7), [100, 100, 50], "long texts end a chunk");
    }
}
