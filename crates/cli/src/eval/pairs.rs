//! Files of pairs with scores.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::atomic::Ordering;

use bulk::Quotes;
use clap::ValueEnum;
use csv::{ReaderBuilder, StringRecord};

use crate::failure::Failure;
use crate::say::say;

/// A pair that was read.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Where it begins, counted from 1.
    pub(crate) line: u64,
    pub(crate) score: f64,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// A file of pairs.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub(crate) file: String,
    pub(crate) pairs: Vec<Pair>,
    /// What is wrong with rows that are no pairs.
    pub(crate) unreadable: Vec<String>,
}

/// What columns are called, where there is a header.
pub(crate) struct Columns<'a> {
    pub(crate) score: &'a str,
    pub(crate) first: &'a str,
    pub(crate) second: &'a str,
}

impl Columns<'_> {
    /// Where they stand, if all are numbers, counted from 1.
    fn numbers(&self) -> Option<[usize; 3]> {
        let place = |name: &str| name.parse::<usize>().ok()?.checked_sub(1);
        Some([place(self.score)?, place(self.first)?, place(self.second)?])
    }

    /// Where score, first and second sentence stand.
    fn places(&self, header: &StringRecord) -> Result<[usize; 3], String> {
        let place = |name: &str| {
            let is_it = |column: &str| column.trim().eq_ignore_ascii_case(name);
            if header.iter().filter(|column| is_it(column)).count() > 1 {
                return Err(format!(
                    "two columns are called `{name}`; give one of them another name, or say all three by number"
                ));
            }
            header.iter().position(is_it).ok_or_else(|| {
                let there: Vec<&str> = header.iter().collect();
                format!(
                    "there is no column `{name}`; the first row has {}: name them, or all three by number, with \
                     --score-column, --first-column and --second-column",
                    there.join(", ")
                )
            })
        };
        Ok([place(self.score)?, place(self.first)?, place(self.second)?])
    }
}

/// How columns are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PairFormat {
    /// By commas, with quotes.
    Csv,
    /// By tabs, without quotes.
    Tsv,
}

impl Pairs {
    /// Reads a file, or standard input where the path is `-`.
    pub(crate) fn read(
        path: &Path,
        format: Option<PairFormat>,
        columns: &Columns<'_>,
    ) -> Result<Self, Failure> {
        if path.as_os_str() != "-" {
            let file = path.display().to_string();
            let named_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
            let is_csv = format.map_or(named_csv, |format| format == PairFormat::Csv);
            let content = File::open(path)
                .map_err(|error| Failure::nothing(format!("{file}: cannot be read: {error}")))?;
            return Self::read_from(content, file, is_csv, columns);
        }
        let stdin = io::stdin().lock();
        if stdin.is_terminal() {
            say(format_args!("Reading pairs from the terminal, one a line; Ctrl-D ends them."));
        }
        let is_csv = format == Some(PairFormat::Csv);
        Self::read_from(stdin, "standard input".to_owned(), is_csv, columns)
    }

    fn read_from(
        content: impl Read,
        file: String,
        is_csv: bool,
        columns: &Columns<'_>,
    ) -> Result<Self, Failure> {
        let delimiter = if is_csv { b',' } else { b'\t' };
        let (content, in_quotes) = Quotes::follow(content, delimiter);
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .quoting(is_csv)
            .delimiter(delimiter)
            .from_reader(content);
        let numbers = columns.numbers();
        let (mut pairs, mut unreadable, mut places) = (Vec::new(), Vec::new(), numbers);
        for (index, record) in reader.records().enumerate() {
            let record = match record {
                Ok(record) => record,
                Err(error) if matches!(error.kind(), csv::ErrorKind::Io(_)) => {
                    return Err(Failure::nothing(format!("{file}: cannot be read: {error}")));
                }
                Err(error) => {
                    unreadable.push(format!("{file}: {error}"));
                    continue;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            if is_csv && in_quotes.load(Ordering::Relaxed) {
                unreadable.push(format!(
                    "{file}, line {line}: a quote is opened here, or behind it, and never closed: no row from here on was read"
                ));
                continue;
            }
            // Under a header, numbers still say where.
            if index == 0 && numbers.is_some_and(|[score, ..]| number(&record, score).is_none()) {
                continue;
            }
            let [score, first, second] = match places {
                Some(places) => places,
                None if index == 0 && number(&record, 0).is_none() => {
                    let named =
                        columns.places(&record).map_err(|why| Failure::usage(format!("{file}: {why}")))?;
                    places = Some(named);
                    continue;
                }
                None => *places.insert([0, 1, 2]),
            };
            match (number(&record, score), record.get(first), record.get(second)) {
                (Some(score), Some(first), Some(second)) => {
                    pairs.push(Pair { line, score, first: first.to_owned(), second: second.to_owned() });
                }
                (None, _, _) => unreadable.push(format!(
                    "{file}, line {line}: the score is no number: {:?}",
                    record.get(score).unwrap_or_default()
                )),
                _ => unreadable.push(format!("{file}, line {line}: there are not two sentences")),
            }
        }
        if pairs.is_empty() {
            return Err(Failure::nothing(format!(
                "{file}: has no pairs; a row is score, sentence, sentence, separated by {}",
                if is_csv { "commas" } else { "tabs" }
            )));
        }
        Ok(Self { file, pairs, unreadable })
    }
}

fn number(record: &StringRecord, column: usize) -> Option<f64> {
    record.get(column)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}
