//! Texts and vectors as lines of JSON, which the command and the server share.
//!
//! A line in: `{"text": str, "task"?: str, "title"?: str, "id"?: any}`. A line out:
//! `{"id": .., "tokens": n, "truncated": bool, "embedding": [..]}`, or
//! `{"id": .., "error": {"kind": .., "message": ..}}` in its place.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::embedding::Embedding;
use crate::error::Error;
use crate::request::Input;

/// A line that was read: its name, and its text or what is wrong with it.
#[derive(Debug)]
pub struct Row {
    /// As it was written, to the last digit; without one, the line's index.
    pub id: Box<RawValue>,
    /// The text, with a task and a title of its own where it has them.
    pub input: Result<Input, RowError>,
}

/// What is wrong with a line, for programs and for people; in JSON `{"kind": .., "message": ..}`.
#[derive(Debug, Clone, Serialize)]
pub struct RowError {
    /// A stable name: one of [`ErrorKind::name`](crate::ErrorKind::name), `invalid_json` or `invalid_utf8`.
    pub kind: &'static str,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl RowError {
    /// Something wrong with a line, which is counted from 1.
    pub fn at_line(line: usize, kind: &'static str, message: impl fmt::Display) -> Self {
        Self { kind, message: format!("line {line}: {message}") }
    }

    /// What the library says against the text of a line, which is counted from 1.
    pub fn refused(line: usize, error: &Error) -> Self {
        Self::at_line(line, error.kind().name(), error.message())
    }
}

/// The fields as they are written, so that one that is wrong does not cost the others, and the id comes out
/// as it went in: numbers of any size, keys in any order. Other fields may be there and are left alone.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    task: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// The id of a line that has none of its own.
pub fn numbered(index: usize) -> Box<RawValue> {
    RawValue::from_string(index.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Bytes of a line, which is counted from 1, as text without the line's end.
///
/// # Errors
/// If they are not UTF-8.
pub fn utf8(mut line: Vec<u8>, number: usize) -> Result<String, (RowError, Vec<u8>)> {
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    // Some editors begin a file with a byte order mark.
    if number == 1 && line.starts_with(b"\xef\xbb\xbf") {
        line.drain(..3);
    }
    String::from_utf8(line).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let message = format!("not UTF-8 at byte {place}; save the input as UTF-8");
        (RowError::at_line(number, "invalid_utf8", message), error.into_bytes())
    })
}

/// Reads the line at `index` (from 0). Blank lines between objects are no rows; they count as lines.
pub fn read(line: Vec<u8>, index: usize) -> Option<Row> {
    match utf8(line, index + 1) {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(read_text(&text, index)),
        Err((error, bytes)) => {
            Some(Row { id: id_of_damaged(&String::from_utf8_lossy(&bytes), index), input: Err(error) })
        }
    }
}

/// Writes a result as a line, with its end. Where a text has a vector a token, `embedding` is a list of them.
///
/// # Errors
/// If the writer fails.
pub fn write(
    writer: &mut impl std::io::Write,
    id: &RawValue,
    result: Result<&Embedding, &RowError>,
    per_token: bool,
) -> std::io::Result<()> {
    match result {
        Ok(embedding) => {
            let Embedding { tokens, truncated, .. } = *embedding;
            let embedding = match per_token {
                true => Vectors::PerToken(embedding.rows().collect()),
                false => Vectors::One(&embedding.vector),
            };
            serde_json::to_writer(&mut *writer, &Embedded { id, tokens, truncated, embedding })?;
        }
        Err(error) => serde_json::to_writer(&mut *writer, &Failed { id, error })?,
    }
    writer.write_all(b"\n")
}

#[derive(Serialize)]
struct Embedded<'a> {
    id: &'a RawValue,
    tokens: usize,
    truncated: bool,
    embedding: Vectors<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vectors<'a> {
    One(&'a [f32]),
    PerToken(Vec<&'a [f32]>),
}

#[derive(Serialize)]
struct Failed<'a> {
    id: &'a RawValue,
    error: &'a RowError,
}

fn read_text(line: &str, index: usize) -> Row {
    let number = index + 1;
    let row = |id, input| Row { id, input };
    // serde would take an array as the fields in their order.
    if !line.trim_start().starts_with('{') {
        let message = "not a JSON object; write {\"text\": ...}";
        return row(numbered(index), Err(RowError::at_line(number, "invalid_json", message)));
    }
    match serde_json::from_str::<Fields<'_>>(line) {
        Ok(fields) => row(id(&fields, index), input(&fields, line, number)),
        Err(error) => row(numbered(index), Err(invalid_json(number, &error, 0))),
    }
}

/// The id of a line with bytes that are not UTF-8, which were replaced, unless they are in the id.
fn id_of_damaged(line: &str, index: usize) -> Box<RawValue> {
    let id = serde_json::from_str::<Fields<'_>>(line).ok().map(|fields| id(&fields, index));
    id.filter(|id| !id.get().contains(char::REPLACEMENT_CHARACTER)).unwrap_or_else(|| numbered(index))
}

fn id(fields: &Fields<'_>, index: usize) -> Box<RawValue> {
    match fields.id {
        None => numbered(index),
        // White space between tokens; some readers take it for the end of the line.
        Some(id) if id.get().contains('\r') => {
            RawValue::from_string(id.get().replace('\r', " ")).unwrap_or_else(|_| numbered(index))
        }
        Some(id) => id.to_owned(),
    }
}

fn input(fields: &Fields<'_>, line: &str, number: usize) -> Result<Input, RowError> {
    let wrong = |message: String| RowError::at_line(number, "invalid_request", message);
    let string = |name: &str, value: Option<&RawValue>| match value {
        None => Ok(None),
        Some(value) if !value.get().starts_with('"') => Err(wrong(format!("`{name}` is not a string"))),
        Some(value) => serde_json::from_str::<String>(value.get()).map(Some).map_err(|error| {
            let before = value.get().as_ptr().addr() - line.as_ptr().addr();
            match is_of_a_half(&error.to_string()) {
                true => {
                    let message = format!("`{name}` (column {}): {HALF}", before + error.column());
                    RowError::at_line(number, "invalid_json", message)
                }
                false => invalid_json(number, &error, before),
            }
        }),
    };
    let text = string("text", fields.text)?.ok_or_else(|| wrong("there is no `text`".to_owned()))?;
    let mut input = Input::new(text);
    if let Some(title) = string("title", fields.title)? {
        input = input.title(title);
    }
    let task = string("task", fields.task)?;
    input.task_named(task.as_deref().unwrap_or_default()).map_err(wrong)
}

/// What serde_json says of a value that has `before` bytes of its line before it.
fn invalid_json(number: usize, error: &serde_json::Error, before: usize) -> RowError {
    // It counts lines within the text it is given, which is always one.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = error.to_string();
    let message = said.strip_suffix(&place).unwrap_or(&said);
    RowError::at_line(number, "invalid_json", format!("{message} at column {}", before + error.column()))
}

/// What is said of a string with half of a surrogate pair: what is left of a character that a program of UTF-16 cut in two. It
/// stands for no character, so there is no text that has it, and `serde_json` takes none.
pub const HALF: &str = "it has a lone surrogate, which is half of a character that was cut in two (JavaScript's slice and \
                        substring count halves); cut texts between characters, or replace halves by U+FFFD";

/// Whether `serde_json` says this of a string that would be one but for a half; where its words change, its own are told.
pub fn is_of_a_half(message: &str) -> bool {
    ["lone leading surrogate in hex escape", "unexpected end of hex escape"]
        .iter()
        .any(|words| message.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_out_as_it_went_in() {
        for id in ["12345678901234567890123", "-0", "1.10", "1e400", r#"{"b":1, "a":[ 2]}"#, r#""\u00e9""#] {
            assert_eq!(read_text(&format!("{{\"id\": {id} , \"text\": \"x\"}}"), 3).id.get(), id);
        }
        assert_eq!(read_text("{\"id\": [1,\r2], \"text\": \"x\"}", 3).id.get(), "[1, 2]");
        assert_eq!(read_text("{\"id\": null, \"text\": \"x\"}", 3).id.get(), "3");
        assert_eq!(id_of_damaged("{\"id\": 1.0, \"text\": \"\u{fffd}\"}", 3).get(), "1.0");
        assert_eq!(id_of_damaged("{\"id\": \"\u{fffd}\"}", 3).get(), "3");
    }

    #[test]
    fn an_error_tells_the_column_of_the_line() {
        let line = "{\"id\": 7, \"text\": \"a \\ud800 b\"}";
        let row = read_text(line, 0);
        assert_eq!(row.id.get(), "7");
        let message = row.input.expect_err("a lone surrogate").message;
        let column = message.strip_prefix("line 1: `text` (column ").and_then(|rest| rest.split_once("): "));
        let (column, said) = column.expect("a column");
        assert_eq!(said, HALF);
        let column: usize = column.parse().expect("a number");
        assert!(line[..column].ends_with("\\ud800") || line[..column].contains("\\ud800"), "{message}");
        assert!(column <= line.len() - 3, "{message}");
        // What else is wrong with it is told in serde_json's words.
        let message = read_text("{\"text\": \"\\x\"}", 0).input.expect_err("no escape").message;
        assert!(message.starts_with("line 1: ") && message.contains(" at column "), "{message}");
    }

    #[test]
    fn a_line_ends_in_any_way_and_blank_ones_are_no_rows() {
        let text = |bytes: &[u8], index| match read(bytes.to_vec(), index).expect("a row").input {
            Ok(input) => input.text().to_owned(),
            Err(error) => error.kind.to_owned(),
        };
        for end in ["", "\n", "\r\n", "\r"] {
            assert_eq!(text(format!("{{\"text\": \"x\"}}{end}").as_bytes(), 3), "x");
            assert!(read(format!(" {end}").into_bytes(), 3).is_none());
        }
        assert_eq!(text(b"\xef\xbb\xbf{\"text\": \"x\"}", 0), "x");
        assert_eq!(text(b"\xef\xbb\xbf{\"text\": \"x\"}", 1), "invalid_json");
        assert_eq!(text(b"{\"text\": \"\xff\"}", 1), "invalid_utf8");
    }

    #[test]
    fn results_are_lines_of_a_fixed_form() {
        let embedding =
            Embedding { vector: vec![0.1, -2.0, 3.0e-9, 4.0], dimensions: 2, tokens: 2, truncated: true };
        let line = |result, per_token| {
            let mut line = Vec::new();
            write(&mut line, &numbered(7), result, per_token).expect("written");
            String::from_utf8(line).expect("text")
        };
        let head = r#"{"id":7,"tokens":2,"truncated":true,"embedding":"#;
        assert_eq!(line(Ok(&embedding), false), format!("{head}[0.1,-2.0,3e-9,4.0]}}\n"));
        assert_eq!(line(Ok(&embedding), true), format!("{head}[[0.1,-2.0],[3e-9,4.0]]}}\n"));
        let error = RowError::at_line(8, "too_long", "so \"it\" is");
        let wanted = r#"{"id":7,"error":{"kind":"too_long","message":"line 8: so \"it\" is"}}"#;
        assert_eq!(line(Err(&error), false), format!("{wanted}\n"));
    }
}
