//! Which rows are in which part, who computes it, and what its files are called.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Rows a part, unless it is said otherwise: with 384 values a row, some 12 MB as f32.
pub const DEFAULT_PART_ROWS: NonZeroU64 = NonZeroU64::new(8192).expect("some");
/// Parts are whole chunks.
pub const PART_ROWS_STEP: u64 = 1024;

/// One of several shares of the work: `3/64` is the third of 64. Parts are dealt out in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// From 1.
    number: u64,
    of: NonZeroU64,
}

impl Shard {
    /// Whether the part of this number, from 0, is its own.
    pub fn has(self, part: u64) -> bool {
        part % self.of == self.number - 1
    }

    /// Which it is, from 1.
    pub fn number(self) -> u64 {
        self.number
    }

    /// How many shares there are.
    pub fn of(self) -> u64 {
        self.of.get()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no share; write K/N with K from 1 to N, as in 3/64");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        let of: NonZeroU64 = of.trim().parse().map_err(|_| wrong())?;
        if (1..=of.get()).contains(&number) { Ok(Self { number, of }) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Parts that `rows` rows fill, the last one perhaps not whole.
pub(super) fn count(rows: u64, part_rows: NonZeroU64) -> u64 {
    rows.div_ceil(part_rows.get())
}

/// The rows of a part, of an input with `rows` rows.
pub(super) fn rows_of(part: u64, part_rows: NonZeroU64, rows: u64) -> Range<u64> {
    // A manifest may say any number.
    let first = part.saturating_mul(part_rows.get()).min(rows);
    first..first.saturating_add(part_rows.get()).min(rows)
}

/// The file of a part.
pub(super) fn file_name(part: u64, extension: &str) -> String {
    format!("part-{part:06}.{extension}")
}

/// The file that lists the rows of a part that failed.
pub(super) fn errors_name(part: u64) -> String {
    format!("part-{part:06}.errors.jsonl")
}

/// Whether a file of this name is one that a run makes of a part.
pub(super) fn is_of_a_part(name: &str) -> bool {
    let Some((number, extension)) = name.strip_prefix("part-").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit()) && !extension.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_rows_once() {
        for rows in [0, 1, 1023, 1024, 1025, 10_000] {
            let (mut next, part_rows) = (0, NonZeroU64::new(1024).expect("some"));
            for part in 0..count(rows, part_rows) {
                let range = rows_of(part, part_rows, rows);
                assert!(range.start == next && !range.is_empty(), "{rows}: {range:?}");
                next = range.end;
            }
            assert_eq!(next, rows);
        }
    }

    #[test]
    fn every_part_is_in_one_share() {
        let shares: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|text| text.parse().expect("a share")).into();
        for part in 0..20 {
            assert_eq!(shares.iter().filter(|share| share.has(part)).count(), 1);
        }
        for wrong in ["", "1", "0/3", "4/3", "1/0", "-1/3", "a/b", "1/3/3"] {
            assert!(wrong.parse::<Shard>().expect_err("wrong").contains("3/64"), "{wrong}");
        }
    }

    #[test]
    fn names_of_parts_are_told_from_others() {
        for name in [file_name(0, "parquet"), errors_name(1_234_567), file_name(3, "npy") + ".tmp"] {
            assert!(is_of_a_part(&name), "{name}");
        }
        for name in ["part-1.txt", "part-abcdef.txt", "part-000001", "party-000001.x", "manifest.json"] {
            assert!(!is_of_a_part(name), "{name}");
        }
    }
}
