//! A line of JSONL as a row: `{"text": .., "task"?: .., "title"?: .., "id"?: ..}`.

use connote::Input;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::args::TaskChoice;
use crate::input::{Row, RowError};

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

/// The id of a row that has none of its own.
pub(crate) fn numbered(index: usize) -> Box<RawValue> {
    RawValue::from_string(index.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Reads the line at `index` (from 0).
pub(crate) fn read(line: &str, index: usize) -> Row {
    let number = index + 1;
    let row = |id, input| Row { id, line: Some(number), input };
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
pub(crate) fn id_of_damaged(line: &str, index: usize) -> Box<RawValue> {
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
            invalid_json(number, &error, before)
        }),
    };
    let text = string("text", fields.text)?.ok_or_else(|| wrong("there is no `text`".to_owned()))?;
    let mut input = Input::new(text);
    if let Some(title) = string("title", fields.title)? {
        input = input.title(title);
    }
    match string("task", fields.task)?.as_deref() {
        None | Some("") => {}
        Some(task) => match task.parse::<TaskChoice>().map_err(wrong)? {
            TaskChoice(None) => input = input.without_task(),
            TaskChoice(Some(task)) => input = input.task(task),
        },
    }
    Ok(input)
}

/// What serde_json says of a value that has `before` bytes of its line before it.
fn invalid_json(number: usize, error: &serde_json::Error, before: usize) -> RowError {
    // It counts lines within the text it is given, which is always one.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = error.to_string();
    let message = said.strip_suffix(&place).unwrap_or(&said);
    RowError::at_line(number, "invalid_json", format!("{message} at column {}", before + error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_out_as_it_went_in() {
        for id in ["12345678901234567890123", "-0", "1.10", "1e400", r#"{"b":1, "a":[ 2]}"#, r#""\u00e9""#] {
            assert_eq!(read(&format!("{{\"id\": {id} , \"text\": \"x\"}}"), 3).id.get(), id);
        }
        assert_eq!(read("{\"id\": [1,\r2], \"text\": \"x\"}", 3).id.get(), "[1, 2]");
        assert_eq!(read("{\"id\": null, \"text\": \"x\"}", 3).id.get(), "3");
        assert_eq!(id_of_damaged("{\"id\": 1.0, \"text\": \"\u{fffd}\"}", 3).get(), "1.0");
        assert_eq!(id_of_damaged("{\"id\": \"\u{fffd}\"}", 3).get(), "3");
    }

    #[test]
    fn an_error_tells_the_column_of_the_line() {
        let line = "{\"id\": 7, \"text\": \"a \\ud800 b\"}";
        let row = read(line, 0);
        assert_eq!(row.id.get(), "7");
        let message = row.input.expect_err("a lone surrogate").message;
        let column: usize = message.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a column");
        assert!(line[..column].ends_with("\\ud800") || line[..column].contains("\\ud800"), "{message}");
        assert!(column <= line.len() - 3 && message.starts_with("line 1: "), "{message}");
    }
}
