//! Rows of JSONL and CSV files of vectors, of no type yet.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::known::{Known, KnownFile};
use super::{check_names, wrong};
use crate::error::Error;
use crate::sink::{OWN_COLUMNS, OutputFormat, SCALE};

/// A row as it is written.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The line it stands on, counted from 1.
    pub(super) line: u64,
    pub(super) id: Option<Value>,
    pub(super) carried: Vec<(String, Value)>,
    /// JSON.
    pub(super) embedding: Option<String>,
    /// JSON.
    pub(super) scale: Option<String>,
}

/// A value that is not null.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A number, true or false, an array or an object.
    Json(String),
}

/// A file of them.
pub(super) struct Records {
    path: PathBuf,
    rows: Rows,
}

enum Rows {
    Jsonl { lines: BufReader<KnownFile>, line: u64 },
    Csv { rows: Box<csv::Reader<KnownFile>>, names: Vec<String> },
}

impl Records {
    /// `known` is compared at its end.
    pub(super) fn open(path: &Path, format: OutputFormat, known: Option<&Known>) -> Result<Self, Error> {
        let file = KnownFile::open(path, known)?;
        let rows = if format == OutputFormat::Csv {
            let mut rows = csv::Reader::from_reader(file);
            let header = rows.headers().map_err(|error| wrong(path, error))?;
            let names: Vec<String> =
                header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
            if !names.iter().any(|name| name == "embedding") {
                return Err(wrong(path, "it has no column `embedding` in its first line"));
            }
            check_names(path, &names)?;
            Rows::Csv { rows: Box::new(rows), names }
        } else {
            Rows::Jsonl { lines: BufReader::with_capacity(1 << 16, file), line: 0 }
        };
        Ok(Self { path: path.to_owned(), rows })
    }

    /// The next row; none after the last.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Error> {
        let record = match &mut self.rows {
            Rows::Jsonl { lines, line } => next_object(&self.path, lines, line)?,
            Rows::Csv { rows, names } => next_cells(&self.path, rows, names)?,
        };
        if record.is_none() {
            let file = match &mut self.rows {
                Rows::Jsonl { lines, .. } => lines.get_mut(),
                Rows::Csv { rows, .. } => rows.get_mut(),
            };
            file.check(&self.path)?;
        }
        Ok(record)
    }
}

fn next_object(
    path: &Path,
    lines: &mut BufReader<KnownFile>,
    line: &mut u64,
) -> Result<Option<Record>, Error> {
    let mut text = Vec::new();
    loop {
        text.clear();
        if lines.read_until(b'\n', &mut text).map_err(|error| Error::reading(path, &error))? == 0 {
            return Ok(None);
        }
        *line += 1;
        if !text.trim_ascii().is_empty() {
            break;
        }
    }
    let wrong = |what: &dyn fmt::Display| wrong(path, format_args!("line {line}: {what}"));
    let Fields(fields) = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(wrong(&format_args!("two fields are called `{}`", twice[0])));
    }
    let mut record = Record { line: *line, ..Record::default() };
    for (name, value) in fields {
        let json = value.get();
        let value = match json.as_bytes().first() {
            Some(b'n') => continue,
            Some(b'"') => Value::Text(serde_json::from_str(json).map_err(|error| wrong(&error))?),
            _ => Value::Json(json.to_owned()),
        };
        record.put(name, value);
    }
    Ok(Some(record))
}

fn next_cells(
    path: &Path,
    rows: &mut csv::Reader<KnownFile>,
    names: &[String],
) -> Result<Option<Record>, Error> {
    let mut cells = csv::StringRecord::new();
    // What the crate says names the line.
    if !rows.read_record(&mut cells).map_err(|error| wrong(path, error))? {
        return Ok(None);
    }
    let line = cells.position().map_or(0, csv::Position::line);
    let mut record = Record { line, ..Record::default() };
    for (name, cell) in names.iter().zip(&cells).filter(|(_, cell)| !cell.is_empty()) {
        record.put(name.clone(), Value::Text(cell.to_owned()));
    }
    Ok(Some(record))
}

impl Record {
    fn put(&mut self, name: String, value: Value) {
        match name.as_str() {
            "id" => self.id = Some(value),
            "embedding" => self.embedding = Some(value.into_text()),
            SCALE => self.scale = Some(value.into_text()),
            own if OWN_COLUMNS.contains(&own) => {}
            _ => self.carried.push((name, value)),
        }
    }
}

impl Value {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }
}

/// The fields of an object in their order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object with an `embedding`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
