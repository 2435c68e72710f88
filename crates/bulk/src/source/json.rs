//! A JSON object a line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use connote::jsonl::{self, RowError};
use serde_json::value::RawValue;

use super::files::Input;
use super::lines::RawLines;
use super::roles::{self, wrong};
use super::{CHUNK_BYTES, Count, InputFormat, Reader, SourceOptions, TextFrom, place};
use crate::rows::{Chunk, Place, Row};
use crate::sink::OWN_COLUMNS;
use crate::{Error, ErrorKind};

/// Fields of an object, as they are written.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// What the fields have that are carried along, over all rows of all inputs.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    id: Kind,
    keep: Vec<(String, Kind)>,
}

/// What all values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    /// Null, or not there.
    #[default]
    Nothing,
    Integer,
    Number,
    Boolean,
    String,
    /// Of several kinds, or lists and objects: it stays JSON.
    Json,
}

impl Kind {
    fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') | None => Self::Nothing,
            Some(b'[' | b'{') => Self::Json,
            // Not -0, which is no integer to the last digit.
            Some(_) if value.get().parse::<i64>().is_ok_and(|number| number.to_string() == value.get()) => {
                Self::Integer
            }
            // Not what no f64 holds: 1e400.
            Some(_)
                if value.get().contains(['.', 'e', 'E']) && value.get().parse().is_ok_and(f64::is_finite) =>
            {
                Self::Number
            }
            Some(_) => Self::Json,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, kind) | (kind, Self::Nothing) => kind,
            (Self::Integer | Self::Number, Self::Integer | Self::Number) if self != other => Self::Number,
            (kind, other) if kind == other => kind,
            _ => Self::Json,
        }
    }

    fn field(self, name: &str) -> Field {
        let kind = match self {
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::String | Self::Nothing => DataType::Utf8,
            Self::Json => {
                let extension = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())];
                let extension: std::collections::HashMap<String, String> = extension.into();
                return Field::new(name, DataType::Utf8, true).with_metadata(extension);
            }
        };
        Field::new(name, kind, true)
    }

    /// Values of this kind as they were written.
    fn array(self, values: Vec<Option<Box<RawValue>>>) -> ArrayRef {
        let values =
            values.iter().map(|value| value.as_ref().map(|value| value.get()).filter(|text| *text != "null"));
        match self {
            Self::Integer => Arc::new(values.map(|text| text?.parse().ok()).collect::<Int64Array>()),
            Self::Number => Arc::new(values.map(|text| text?.parse().ok()).collect::<Float64Array>()),
            Self::Boolean => Arc::new(values.map(|text| text?.parse().ok()).collect::<BooleanArray>()),
            Self::String | Self::Nothing => Arc::new(
                values.map(|text| serde_json::from_str::<String>(text?).ok()).collect::<StringArray>(),
            ),
            Self::Json => Arc::new(values.collect::<StringArray>()),
        }
    }
}

impl Fields {
    /// Reads files of JSON once, for the kinds of their values; what comes through a pipe stays JSON.
    pub(super) fn look(inputs: &[Input], options: &SourceOptions) -> Result<Self, Error> {
        let all = options.keep.iter().any(|name| name == "*");
        let named = options.keep.iter().filter(|name| *name != "*");
        let mut keep: Vec<(String, Kind)> = Vec::new();
        for name in named {
            if !keep.iter().any(|(there, _)| there == name) {
                keep.push((name.clone(), Kind::Nothing));
            }
        }
        let mut this = Self { id: Kind::Integer, keep };
        for input in inputs.iter().filter(|input| input.format == InputFormat::Jsonl) {
            if input.file().is_none() {
                if all {
                    let message = "the fields of JSON from a pipe are not known before; name those to keep";
                    return Err(Error::new(ErrorKind::Usage, message));
                }
                this.id = Kind::Json;
                this.keep.iter_mut().for_each(|(_, kind)| *kind = Kind::Json);
                continue;
            }
            this.look_at(input, options, all)?;
        }
        Ok(this)
    }

    fn look_at(&mut self, input: &Input, options: &SourceOptions, all: bool) -> Result<(), Error> {
        let id_name = options.id.as_deref().unwrap_or("id");
        let used = |name: &str| {
            let text = match &options.text {
                TextFrom::Default => name == "text",
                TextFrom::Column(column) => name == column,
                TextFrom::Template(_) => false,
            };
            text || name == id_name
                || [title_field(options), task_field(options)].contains(&Some(name))
                // The output has columns of these names itself.
                || OWN_COLUMNS.contains(&name)
        };
        let mut lines = RawLines::open(input)?;
        let mut is_first = true;
        while let Some(line) = lines.next()? {
            let line = decoded(&line, std::mem::take(&mut is_first));
            let Ok(object) = serde_json::from_str::<Object<'_>>(&line) else { continue };
            for (name, value) in object {
                if name == id_name {
                    self.id = self.id.and(Kind::of(value));
                }
                match self.keep.iter_mut().find(|(there, _)| *there == name) {
                    Some((_, kind)) => *kind = kind.and(Kind::of(value)),
                    None if all && !used(&name) => self.keep.push((name, Kind::of(value))),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

/// The field of titles: `title`, unless another is asked for or the texts are made of it.
fn title_field(options: &SourceOptions) -> Option<&str> {
    options.title.as_deref().or(Some("title").filter(|name| !options.text.names(name)))
}

/// The field of tasks, likewise.
fn task_field(options: &SourceOptions) -> Option<&str> {
    options.task.as_deref().or(Some("task").filter(|name| !options.text.names(name)))
}

/// A line as text, whatever its bytes; editors begin files with a byte order mark.
fn decoded(line: &[u8], is_first: bool) -> Cow<'_, str> {
    let mark: &[u8] = if is_first { b"\xef\xbb\xbf" } else { b"" };
    String::from_utf8_lossy(line.strip_prefix(mark).unwrap_or(line))
}

pub(super) struct JsonReader {
    lines: RawLines,
    name: Arc<str>,
    options: SourceOptions,
    fields: Fields,
    schema: SchemaRef,
    /// Lines of this input so far.
    line: u64,
}

/// A row, and the fields that come along.
struct Read {
    id: Box<RawValue>,
    input: Result<connote::Input, RowError>,
    kept: Vec<Option<Box<RawValue>>>,
}

impl JsonReader {
    pub(super) fn open(input: &Input, options: &SourceOptions, fields: &Fields) -> Result<Self, Error> {
        let id = if fields.id == Kind::Integer { DataType::Int64 } else { DataType::Utf8 };
        let mut columns = vec![Field::new("id", id, true)];
        columns.extend(fields.keep.iter().map(|(name, kind)| kind.field(name)));
        Ok(Self {
            lines: RawLines::open(input)?,
            name: place(input),
            options: options.clone(),
            fields: fields.clone(),
            schema: Arc::new(Schema::new(columns)),
            line: 0,
        })
    }

    /// One line; blank ones between objects are no rows, but count as lines.
    fn row(&self, line: Vec<u8>, default: Box<RawValue>) -> Option<Read> {
        let SourceOptions { text, id, title, task, .. } = &self.options;
        let plain = matches!(text, TextFrom::Default) && [id, title, task].into_iter().all(Option::is_none);
        let number = usize::try_from(self.line).unwrap_or(usize::MAX);
        let whole = decoded(&line, self.line == 1).into_owned();
        let read = jsonl::read(line, number - 1)?;
        let object = serde_json::from_str::<Object<'_>>(&whole);
        let kept = |object: &Object<'_>| {
            let keep = self.fields.keep.iter();
            keep.map(|(name, _)| object.get(name).map(|&value| value.to_owned())).collect()
        };
        let nothing = vec![None; self.fields.keep.len()];
        let Ok(object) = object else {
            // Whatever was asked for, it says what is wrong with the line.
            let input = read.input.and_then(|_| Err(wrong(self.line, "not a JSON object")));
            return Some(Read { id: default, input, kept: nothing });
        };
        let kept = kept(&object);
        // Bytes that are no text were replaced above.
        let is_damaged = matches!(&read.input, Err(error) if error.kind == "invalid_utf8");
        let id = self.id(&object, is_damaged).unwrap_or(default);
        let input = if plain || is_damaged { read.input } else { self.input(&object) };
        Some(Read { id, input, kept })
    }

    /// As it was written. Null is none.
    fn id(&self, object: &Object<'_>, is_damaged: bool) -> Option<Box<RawValue>> {
        let id = *object.get(self.options.id.as_deref().unwrap_or("id"))?;
        match id.get() {
            "null" => None,
            written if is_damaged && written.contains(char::REPLACEMENT_CHARACTER) => None,
            // White space between tokens; some readers take it for the end of the line.
            written if written.contains('\r') => RawValue::from_string(written.replace('\r', " ")).ok(),
            _ => Some(id.to_owned()),
        }
    }

    /// The text of the columns that were named.
    fn input(&self, object: &Object<'_>) -> Result<connote::Input, RowError> {
        let string = |name: &str| match object.get(name) {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) if !value.get().starts_with('"') => {
                Err(wrong(self.line, format_args!("`{name}` is not a string")))
            }
            Some(value) => serde_json::from_str(value.get())
                .map(Some)
                .map_err(|error| wrong(self.line, format_args!("`{name}`: {error}"))),
        };
        let text = match &self.options.text {
            TextFrom::Template(template) => template.fill(|name| match object.get(name) {
                Some(value) if value.get().starts_with('"') => string(name),
                Some(value) if value.get() != "null" => Ok(Some(value.get().to_owned())),
                _ => Ok(None),
            })?,
            TextFrom::Column(name) => {
                string(name)?.ok_or_else(|| wrong(self.line, format_args!("there is no `{name}`")))?
            }
            TextFrom::Default => string("text")?.ok_or_else(|| wrong(self.line, "there is no `text`"))?,
        };
        let optional = |name: Option<&str>| name.map_or(Ok(None), string);
        let (title, task) = (optional(title_field(&self.options))?, optional(task_field(&self.options))?);
        roles::input(self.line, text, title, task)
    }

    fn next_row(&mut self, count: &mut Count) -> Result<Option<Option<(Read, usize)>>, Error> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        let bytes = line.len();
        self.line += 1;
        let default = jsonl::numbered(usize::try_from(count.names).unwrap_or(usize::MAX));
        count.names += 1;
        Ok(Some(self.row(line, default).map(|read| (read, bytes))))
    }
}

impl Reader for JsonReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next_chunk(&mut self, max_rows: usize, count: &mut Count) -> Result<Option<Chunk>, Error> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut kept: Vec<Vec<Option<Box<RawValue>>>> = vec![Vec::new(); self.fields.keep.len()];
        while rows.len() < max_rows && bytes < CHUNK_BYTES {
            if !rows.is_empty() && self.lines.would_wait() {
                break;
            }
            let Some(row) = self.next_row(count)? else { break };
            let Some((read, length)) = row else { continue };
            bytes += length;
            kept.iter_mut().zip(read.kept).for_each(|(column, value)| column.push(value));
            let place = Place { file: self.name.clone(), line: self.line };
            rows.push(Row { number: count.rows, id: read.id, place, input: read.input });
            count.rows += 1;
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let ids: ArrayRef =
            match self.fields.id {
                Kind::Integer => {
                    Arc::new(rows.iter().map(|row| row.id.get().parse::<i64>().ok()).collect::<Int64Array>())
                }
                // A string as it is, all else as it was written.
                _ => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| {
                    serde_json::from_str(row.id.get()).unwrap_or_else(|_| row.id.get().to_owned())
                }))),
            };
        let columns = self.fields.keep.iter().zip(kept).map(|((_, kind), values)| kind.array(values));
        let carried = RecordBatch::try_new(self.schema(), std::iter::once(ids).chain(columns).collect())
            .map_err(|error| Error::new(ErrorKind::Input, format_args!("{}: {error}", self.name)))?;
        Ok(Some(Chunk { rows, carried }))
    }

    fn skip(&mut self, rows: u64, count: &mut Count) -> Result<u64, Error> {
        let mut skipped = 0;
        while skipped < rows {
            let Some(row) = self.next_row(count)? else { break };
            skipped += u64::from(row.is_some());
        }
        count.rows += skipped;
        Ok(skipped)
    }

    fn read(&self) -> u64 {
        self.lines.read()
    }
}
