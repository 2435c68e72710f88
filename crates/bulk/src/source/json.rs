//! A JSON object a line.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use connote::jsonl::{self, RowError};
use serde_json::value::RawValue;

use super::files::Input;
use super::json_values::{Kind, Object};
use super::lines::{LINES_OF_CR, RawLines, ends_in_cr_alone};
use super::roles::{self, wrong};
use super::{CHUNK_BYTES, Count, InputFormat, Reader, SourceOptions, TextFrom, ValueFrom, place};
use crate::numbers::Number;
use crate::rows::{Chunk, Place, Row};
use crate::{Error, ErrorKind};

/// What the fields have that are carried along, over all rows of all inputs.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    id: Kind,
    keep: Vec<(String, Kind)>,
    /// Those that were named and that no row of a file has.
    missing: Vec<String>,
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
        let missing = named_fields(options).map(str::to_owned).collect();
        let mut this = Self { id: Kind::Number(Number::Integer), keep, missing };
        let mut any_rows = false;
        for input in inputs.iter().filter(|input| input.format == InputFormat::Jsonl) {
            if input.file().is_none() {
                if all {
                    let message = "the fields of JSON from a pipe are not known before; name those to keep";
                    return Err(Error::new(ErrorKind::Usage, message));
                }
                if options.id != ValueFrom::Nowhere {
                    this.id = Kind::Json;
                }
                this.keep.iter_mut().for_each(|(_, kind)| *kind = Kind::Json);
                continue;
            }
            any_rows |= this.look_at(input, options, all)?;
        }
        let are_files = inputs.iter().all(|input| input.file().is_some());
        if are_files && any_rows {
            refuse_missing(&this.missing)?;
        }
        Ok(this)
    }

    /// Whether there was an object at all.
    fn look_at(&mut self, input: &Input, options: &SourceOptions, all: bool) -> Result<bool, Error> {
        let id_name = id_field(options);
        let used = |name: &str| {
            let text = match &options.text {
                TextFrom::Default => name == "text",
                TextFrom::Column(column) => name == column,
                TextFrom::Template(_) => false,
            };
            text || [id_name, title_field(options), task_field(options)].contains(&Some(name))
        };
        let mut lines = RawLines::open(input)?;
        let (mut is_first, mut any_rows) = (true, false);
        while let Some(line) = lines.next()? {
            let line = decoded(&line, std::mem::take(&mut is_first));
            let Ok(object) = serde_json::from_str::<Object<'_>>(&line) else { continue };
            any_rows = true;
            self.missing.retain(|name| !object.has(name));
            for (name, value) in object.fields() {
                // A field that is there twice costs its row, and says nothing of the others.
                let found = value.map_or(Kind::Nothing, Kind::of);
                if Some(name) == id_name {
                    self.id = self.id.and(found);
                }
                match self.keep.iter_mut().find(|(there, _)| *there == name) {
                    Some((_, kind)) => *kind = kind.and(found),
                    None if all && !used(name) => self.keep.push((name.to_owned(), found)),
                    None => {}
                }
            }
        }
        Ok(any_rows)
    }
}

/// The fields that the options name and on which vectors or ids depend; but for that of the texts, since a row without it fails.
/// Those to keep are nulls where they are not, as anyone can see, and may be in tomorrow's file.
fn named_fields(options: &SourceOptions) -> impl Iterator<Item = &str> {
    let of_texts = match &options.text {
        TextFrom::Template(template) => template.columns(),
        TextFrom::Default | TextFrom::Column(_) => Vec::new(),
    };
    let others = [&options.id, &options.title, &options.task].into_iter().filter_map(ValueFrom::column);
    of_texts.into_iter().chain(others)
}

/// A field that no row has is a slip of the hand: without it texts would be empty or ids numbers, in silence.
pub(super) fn refuse_missing(fields: &[String]) -> Result<(), Error> {
    let Some(name) = fields.first() else { return Ok(()) };
    let message =
        format!("no row of JSON has a field `{name}`, which was asked for; name another, or leave it out");
    Err(Error::new(ErrorKind::Usage, message))
}

fn id_field(options: &SourceOptions) -> Option<&str> {
    options.id.or_custom("id")
}

/// The field of titles: `title`, unless another is asked for, none is, or the texts are made of it.
fn title_field(options: &SourceOptions) -> Option<&str> {
    beside_the_text(options, &options.title, "title")
}

/// The field of tasks, likewise.
fn task_field(options: &SourceOptions) -> Option<&str> {
    beside_the_text(options, &options.task, "task")
}

fn beside_the_text<'a>(options: &SourceOptions, from: &'a ValueFrom, custom: &'a str) -> Option<&'a str> {
    from.or_custom(custom).filter(|name| *from != ValueFrom::Custom || !options.text.names(name))
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
    /// Fields that were named and that no object so far has.
    missing: Vec<String>,
    any_objects: bool,
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
        let id = if fields.id.is_integer() { DataType::Int64 } else { DataType::Utf8 };
        let mut columns = vec![Field::new("id", id, true)];
        columns.extend(fields.keep.iter().map(|(name, kind)| kind.field(name)));
        Ok(Self {
            lines: RawLines::open(input)?,
            name: place(input),
            options: options.clone(),
            missing: fields.missing.clone(),
            any_objects: false,
            fields: fields.clone(),
            schema: Arc::new(Schema::new(columns)),
            line: 0,
        })
    }

    /// One line; blank ones between objects are no rows, but count as lines.
    fn row(&mut self, line: Vec<u8>, default: Box<RawValue>) -> Option<Read> {
        let SourceOptions { text, id, title, task, .. } = &self.options;
        let plain = matches!(text, TextFrom::Default)
            && [id, title, task].into_iter().all(|from| *from == ValueFrom::Custom);
        let number = usize::try_from(self.line).unwrap_or(usize::MAX);
        let whole = decoded(&line, self.line == 1).into_owned();
        let are_many = self.line == 1 && ends_in_cr_alone(&line);
        let read = jsonl::read(line, number - 1)?;
        let object = serde_json::from_str::<Object<'_>>(&whole);
        let kept = |object: &Object<'_>| {
            let keep = self.fields.keep.iter();
            keep.map(|(name, _)| object.get(name).map(RawValue::to_owned)).collect()
        };
        let nothing = vec![None; self.fields.keep.len()];
        let Ok(object) = object else {
            // Whatever was asked for, it says what is wrong with the line.
            let input = match are_many {
                true => Err(wrong(self.line, LINES_OF_CR)),
                false => read.input.and_then(|_| Err(wrong(self.line, "not a JSON object"))),
            };
            return Some(Read { id: default, input, kept: nothing });
        };
        let kept = kept(&object);
        self.any_objects = true;
        self.missing.retain(|name| !object.has(name));
        // Bytes that are no text were replaced above.
        let is_damaged = matches!(&read.input, Err(error) if error.kind == "invalid_utf8");
        let id = self.id(&object, is_damaged).unwrap_or(default);
        let input = match self.used().find(|name| object.has_twice(name)) {
            _ if is_damaged => read.input,
            // Either value could be meant.
            Some(name) => Err(wrong(self.line, format_args!("two fields are called `{name}`"))),
            None if plain => read.input,
            None => self.input(&object, &whole),
        };
        Some(Read { id, input, kept })
    }

    /// The names of all fields that have a use.
    fn used(&self) -> impl Iterator<Item = &str> {
        let texts = match &self.options.text {
            TextFrom::Default => vec!["text"],
            TextFrom::Column(name) => vec![name.as_str()],
            TextFrom::Template(template) => template.columns(),
        };
        let others = [id_field(&self.options), title_field(&self.options), task_field(&self.options)];
        let kept = self.fields.keep.iter().map(|(name, _)| name.as_str());
        texts.into_iter().chain(others.into_iter().flatten()).chain(kept)
    }

    /// As it was written. Null is none.
    fn id(&self, object: &Object<'_>, is_damaged: bool) -> Option<Box<RawValue>> {
        let id = object.get(id_field(&self.options)?)?;
        match id.get() {
            "null" => None,
            written if is_damaged && written.contains(char::REPLACEMENT_CHARACTER) => None,
            // White space between tokens; some readers take it for the end of the line.
            written if written.contains('\r') => RawValue::from_string(written.replace('\r', " ")).ok(),
            _ => Some(id.to_owned()),
        }
    }

    /// The text of the columns that were named, of an object that stands in the line `whole`.
    fn input(&self, object: &Object<'_>, whole: &str) -> Result<connote::Input, RowError> {
        let string = |name: &str| match object.get(name) {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) if !value.get().starts_with('"') => {
                Err(wrong(self.line, format_args!("`{name}` is not a string")))
            }
            Some(value) => {
                serde_json::from_str(value.get()).map(Some).map_err(|error| match error.to_string() {
                    said if jsonl::is_of_a_half(&said) => {
                        // As where nothing was named.
                        let column = value.get().as_ptr().addr() - whole.as_ptr().addr() + error.column();
                        let line = usize::try_from(self.line).unwrap_or(usize::MAX);
                        let message = format!("`{name}` (column {column}): {}", jsonl::HALF);
                        RowError::at_line(line, "invalid_json", message)
                    }
                    said => wrong(self.line, format_args!("`{name}`: {said}")),
                })
            }
        };
        let text = match &self.options.text {
            TextFrom::Template(template) => template.fill(
                |name| match object.get(name) {
                    Some(value) if value.get().starts_with('"') => string(name),
                    Some(value) if value.get() != "null" => Ok(Some(value.get().to_owned())),
                    _ => Ok(None),
                },
                |message| wrong(self.line, message),
            )?,
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
        let ids: ArrayRef = match self.fields.id.is_integer() {
            true => Arc::new(rows.iter().map(|row| row.id.get().parse::<i64>().ok()).collect::<Int64Array>()),
            // A string as it is, all else as it was written.
            false => {
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| {
                    serde_json::from_str(row.id.get()).unwrap_or_else(|_| row.id.get().to_owned())
                })))
            }
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

    fn missing(&self) -> Option<&[String]> {
        self.any_objects.then_some(&*self.missing)
    }
}
