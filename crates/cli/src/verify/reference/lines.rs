//! JSONL: of other programs, and as connote writes it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use bulk::{Precision, Vectors};
use serde::Deserialize;
use serde_json::Value;

use super::{Reference, Wanted, check, input};
use crate::failure::Failure;

/// What to write instead.
pub(super) const FORM: &str = "a line is {\"text\": .., \"embedding\": [..]}";

/// A line; other fields may be there, and null is as good as not there.
#[derive(Debug, Deserialize)]
struct Line {
    text: Option<String>,
    prompt: Option<String>,
    task: Option<String>,
    title: Option<String>,
    ids: Option<Vec<u32>>,
    embedding: Option<Vec<f32>>,
    /// Of integers.
    scale: Option<f32>,
    error: Option<Value>,
}

pub(super) fn read(path: &Path) -> Result<Reference, Failure> {
    let file = path.display().to_string();
    let unreadable = |error: std::io::Error| Failure::nothing(format!("{file}: cannot be read: {error}"));
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let description = bulk::read_description(path).map_err(Failure::usage)?;
    let mut precision = description.as_ref().map(|described| described.precision);
    let (mut wanted, mut left_out, mut bytes) = (Vec::new(), 0, Vec::new());
    for place in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        let wrong =
            |why: &dyn std::fmt::Display| Failure::usage(format!("{file}, line {place}: {why}; {FORM}"));
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(&"is not UTF-8"))?;
        // Windows' editors begin a file with a byte order mark.
        let text = if place == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        if text.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        if line.error.is_some() && line.embedding.is_none() {
            left_out += 1;
            continue;
        }
        let text = line.text.ok_or_else(|| wrong(&"there is no `text`, so nothing can be compared"))?;
        let embedding = line.embedding.ok_or_else(|| wrong(&"there is no `embedding`"))?;
        // Integers with a scale are int8, also where no description lies beside them.
        let kind = *precision.get_or_insert(match line.scale {
            Some(_) => Precision::Int8,
            None => Precision::F32,
        });
        let dimensions = description.as_ref().map(|described| described.space.dimensions);
        let embedding = values(embedding, kind, line.scale, dimensions).map_err(|why| wrong(&why))?;
        check(&embedding).map_err(|why| wrong(&why))?;
        let input = input(
            &text,
            line.prompt.as_deref(),
            line.task.as_deref(),
            line.title.as_deref(),
            description.as_ref().map(|described| &described.space),
        );
        let input = input.map_err(|why| wrong(&why))?;
        wanted.push(Wanted { place, input, ids: line.ids, embedding });
    }
    let (precision, space) = (precision.unwrap_or_default(), description.map(|described| described.space));
    Ok(Reference { file, unit: "line", space, precision, wanted, left_out })
}

/// What the numbers of a line stand for.
fn values(
    numbers: Vec<f32>,
    precision: Precision,
    scale: Option<f32>,
    dimensions: Option<usize>,
) -> Result<Vec<f32>, String> {
    let integers = |least: f32, most: f32| {
        let out = numbers.iter().find(|value| value.fract() != 0.0 || !(least..=most).contains(*value));
        out.map_or(Ok(()), |other| Err(format!("{other} is no value of {precision}")))
    };
    match precision {
        Precision::F32 | Precision::F16 => Ok(numbers),
        Precision::Int8 => {
            integers(-127.0, 127.0)?;
            let scale = scale.ok_or("integers without a `scale`")?;
            Ok(numbers.iter().map(|value| value * scale).collect())
        }
        Precision::Binary => {
            integers(0.0, 255.0)?;
            let dimensions = dimensions.unwrap_or(numbers.len() * 8);
            if precision.width(dimensions) != numbers.len() {
                return Err(format!("{} bytes of signs for {dimensions} values", numbers.len()));
            }
            Ok(Vectors::Bits(numbers.iter().map(|value| *value as u8).collect()).to_f32(dimensions))
        }
    }
}
