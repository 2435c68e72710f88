//! Hits as lines of JSON or as tables.

use comfy_table::ColumnConstraint;
use connote::jsonl::RowError;
use index::{Collection, Hit, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::args::OutputFormat;
use crate::failure::{Failure, Outcome};
use crate::inspect_report::plain_table;
use crate::output::{Output, excerpt};
use crate::say::say;

/// Characters of a column in a table.
const WIDTH: usize = 60;

/// Where answers go, a query each.
pub(super) struct Answers<'a> {
    collection: &'a Collection,
    output: Output,
    queries: u64,
    failed: u64,
}

/// A line of output.
#[derive(serde::Serialize)]
struct Answer<'a> {
    /// The query's id.
    query: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Only where the query's text was cut to fit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    hits: Vec<Shown<'a>>,
}

/// A line of output in the place of an answer.
#[derive(serde::Serialize)]
struct Failed<'a> {
    query: &'a RawValue,
    error: &'a RowError,
}

/// A hit: its rank, its score, then the columns of its row.
struct Shown<'a> {
    rank: usize,
    score: f32,
    columns: Vec<(&'a str, Value<'a>)>,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len() + 2))?;
        map.serialize_entry("rank", &self.rank)?;
        map.serialize_entry("score", &self.score)?;
        for (name, value) in &self.columns {
            // A column with a name of ours would hide it.
            match *name {
                "rank" | "score" => map.serialize_entry(&format!("{name}_"), value)?,
                name => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl<'a> Answers<'a> {
    /// To standard output: at a terminal tables, else lines of JSON, unless one of them is asked for.
    pub(super) fn to_stdout(collection: &'a Collection, json: bool, table: bool) -> Self {
        let format = match (json, table) {
            (true, _) => Some(OutputFormat::Jsonl),
            (_, true) => Some(OutputFormat::Text),
            _ => None,
        };
        Self { collection, output: Output::stdout(format), queries: 0, failed: 0 }
    }

    /// A query that was answered.
    pub(super) fn found(
        &mut self,
        id: &RawValue,
        text: Option<&str>,
        truncated: bool,
        hits: &[Hit],
    ) -> Result<(), Failure> {
        self.queries += 1;
        let hits = hits
            .iter()
            .enumerate()
            .map(|(place, hit)| self.shown(place + 1, hit))
            .collect::<Result<Vec<_>, Failure>>()?;
        if self.output.format() == OutputFormat::Jsonl {
            return self.output.json(&Answer { query: id, text, truncated, hits });
        }
        if self.queries > 1 {
            self.output.line("")?;
        }
        self.output.line(&excerpt(text.unwrap_or(id.get()), 90))?;
        if hits.is_empty() {
            return self.output.line("  nothing");
        }
        let columns = self.collection.columns().iter().map(|(name, _)| name.clone());
        let head: Vec<String> = ["rank".to_owned(), "score".to_owned()].into_iter().chain(columns).collect();
        let rows: Vec<Vec<String>> = hits
            .iter()
            .map(|hit| {
                let values = hit.columns.iter().map(|(_, value)| excerpt(&value.to_string(), WIDTH));
                [hit.rank.to_string(), format!("{:+.4}", hit.score)].into_iter().chain(values).collect()
            })
            .collect();
        self.output.line(&table(&head, &rows))
    }

    /// A query that could not be asked.
    pub(super) fn failed(&mut self, query: &RawValue, error: &RowError) -> Result<(), Failure> {
        self.queries += 1;
        self.failed += 1;
        if self.output.format() == OutputFormat::Jsonl {
            return self.output.json(&Failed { query, error });
        }
        if self.queries > 1 {
            self.output.line("")?;
        }
        self.output.line(&excerpt(query.get(), 90))?;
        self.output.line(&format!("  failed: {}", error.message))
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()
    }

    /// How it ended.
    pub(super) fn finish(self) -> Result<Outcome, Failure> {
        self.output.finish()?;
        if self.queries == 0 {
            say(format_args!("connote: there are no queries"));
        }
        Ok(Outcome::of_rows(self.queries, self.failed))
    }

    fn shown(&self, rank: usize, hit: &Hit) -> Result<Shown<'a>, Failure> {
        let collection = self.collection;
        let columns = collection.columns().iter().enumerate();
        let columns = columns
            .map(|(column, (name, _))| Ok((name.as_str(), collection.value(column, hit.row)?)))
            .collect::<Result<Vec<_>, index::Error>>()?;
        Ok(Shown { rank, score: hit.score, columns })
    }
}

/// Wrapped at a terminal's width, but for rank, score and id.
fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let mut table = plain_table();
    table.add_row(head);
    table.add_rows(rows);
    for column in table.column_iter_mut().take(3) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
