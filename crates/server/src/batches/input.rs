//! The lines of a batch's file, read as they are needed.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::record::Problem;

/// What some programs begin a file with; it is no part of its first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The shortest line that has an id.
const WITH_ID: usize = r#"{"custom_id":""}"#.len();

/// Ids that are remembered at once while equal ones are looked for: 17 MB. A longer file is read several times.
const IDS_AT_ONCE: u64 = 1 << 19;

/// Equal ids that are named; there may be as many as lines.
const NAMED: usize = 100;

/// Lines after which it is asked whether to go on.
const PAUSE: u64 = 1 << 12;

/// A line that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// `None`: it is longer than a line may be.
    pub(super) text: Option<Vec<u8>>,
    /// The bytes of the file up to its end.
    pub(super) end: u64,
}

/// A file, line by line.
pub(super) struct Lines {
    file: BufReader<File>,
    limit: usize,
    at: u64,
    number: u64,
}

impl Lines {
    /// From a place on at which so many lines are over. `limit` is that of a line's bytes.
    pub(super) fn open(path: &Path, limit: usize, at: u64, number: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Self { file: BufReader::with_capacity(64 << 10, file), limit, at, number })
    }

    /// The next that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut text = Vec::new();
            // Its end, too.
            let most = (self.limit as u64).saturating_add(1);
            let read = (&mut self.file).take(most).read_until(b'\n', &mut text)?;
            if read == 0 {
                return Ok(None);
            }
            self.at += read as u64;
            self.number += 1;
            // Before the mark goes: what was read is then shorter than the line may be, and no whole line yet.
            let is_long = text.len() > self.limit && text.last() != Some(&b'\n');
            if self.number == 1 && text.starts_with(BYTE_ORDER_MARK) {
                text.drain(..BYTE_ORDER_MARK.len());
            }
            if is_long {
                self.at += self.file.skip_until(b'\n')? as u64;
            } else if text.trim_ascii().is_empty() {
                continue;
            }
            let text = (!is_long).then_some(text);
            return Ok(Some(Line { number: self.number, text, end: self.at }));
        }
    }
}

/// What a whole file turned out to be.
pub(super) enum Checked {
    /// So many lines can be answered one by one.
    Fine(u64),
    /// No answer could be told from another.
    Bad(Vec<Problem>),
    /// It was told to stop.
    Stopped,
}

#[derive(Deserialize)]
struct Named {
    custom_id: String,
}

/// Reads a whole file for what concerns more than one line: that it has any, and that no two have one id. A bad line is no matter
/// of the others, so it is left to when its turn comes.
pub(super) fn check(path: &Path, limit: usize, goes_on: impl Fn() -> bool) -> io::Result<Checked> {
    let mut lines = Lines::open(path, limit, 0, 0)?;
    let (mut total, mut may_have_ids) = (0u64, 0u64);
    while let Some(line) = lines.next()? {
        total += 1;
        may_have_ids += u64::from(line.text.is_some_and(|text| text.len() >= WITH_ID));
        if total.is_multiple_of(PAUSE) && !goes_on() {
            return Ok(Checked::Stopped);
        }
    }
    if total == 0 {
        return Ok(Checked::Bad(vec![Problem::new(
            "empty_file",
            "the file has no line; write one request a line",
        )]));
    }
    let mut problems = Vec::new();
    let parts = may_have_ids.div_ceil(IDS_AT_ONCE);
    for part in 0..parts {
        let mut seen = HashSet::new();
        let mut lines = Lines::open(path, limit, 0, 0)?;
        while let Some(line) = lines.next()? {
            if line.number.is_multiple_of(PAUSE) && !goes_on() {
                return Ok(Checked::Stopped);
            }
            let Some(Ok(Named { custom_id })) = line.text.as_deref().map(serde_json::from_slice) else {
                continue;
            };
            let mark = mark(&custom_id);
            if mark as u64 % parts == part && !seen.insert(mark) && problems.len() < NAMED {
                let name: String = custom_id.chars().take(80).collect();
                problems.push(Problem {
                    param: Some("custom_id".to_owned()),
                    line: Some(line.number),
                    ..Problem::new(
                        "duplicate_custom_id",
                        format!("the `custom_id` `{name}` is that of a line before it; give each its own"),
                    )
                });
            }
        }
    }
    problems.sort_by_key(|problem| problem.line);
    Ok(if problems.is_empty() { Checked::Fine(total) } else { Checked::Bad(problems) })
}

/// An id as so many bits that no two of a file share them by chance.
fn mark(id: &str) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, id).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
