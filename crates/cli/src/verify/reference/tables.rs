//! CSV, Parquet and Arrow: as connote writes them, and of others that have the columns.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};
use bulk::{OutputFormat, Stored};

use super::{Reference, Wanted, check, input};
use crate::failure::Failure;

pub(super) fn read(path: &Path) -> Result<Reference, Failure> {
    let file = path.display().to_string();
    // One rule for what stands in a reference, whatever its format; that it is not there is no wrong use.
    let refused = |error: bulk::Error| match path.is_file() {
        true => Failure::usage(error),
        false => Failure::nothing(error),
    };
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let is_csv = OutputFormat::of_ending(ending) == Some(OutputFormat::Csv);
    let mut stored = Stored::open(path).map_err(refused)?;
    let space = stored.space().cloned();
    let (precision, dimensions) = (stored.precision(), stored.dimensions());
    let (mut wanted, mut left_out, mut place) = (Vec::new(), 0, 0);
    while let Some(chunk) = stored.next_chunk().map_err(refused)? {
        let texts =
            |name| strings(&chunk.carried, name).map_err(|why| Failure::usage(format!("{file}: {why}")));
        let [text, prompt, task, title] = [texts("text")?, texts("prompt")?, texts("task")?, texts("title")?];
        let text = text.ok_or_else(|| {
            Failure::usage(format!(
                "{file}: has no column `text`, so nothing can be compared; write it with --keep text"
            ))
        })?;
        let ids = chunk.carried.column_by_name("ids").and_then(ids);
        let vectors = chunk.vectors.to_f32(dimensions);
        for (row, vector) in vectors.chunks_exact(dimensions).enumerate() {
            place += 1;
            if !chunk.present[row] {
                left_out += 1;
                continue;
            }
            let wrong = |why: &str| Failure::usage(format!("{file}, row {place}: {why}"));
            let at = |column: &Option<ArrayRef>| -> Option<String> {
                let column = column.as_ref()?.as_string::<i32>();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let text = text.as_string::<i32>();
            let text = match text.is_valid(row) {
                true => text.value(row),
                // It has no other form of an empty text.
                false if is_csv => "",
                false => return Err(wrong("there is no `text`")),
            };
            check(vector).map_err(wrong)?;
            let input = input(
                text,
                at(&prompt).as_deref(),
                at(&task).as_deref(),
                at(&title).as_deref(),
                space.as_ref(),
            );
            wanted.push(Wanted {
                place,
                input: input.map_err(|why| wrong(&why))?,
                ids: ids.as_ref().and_then(|ids| ids.get(row).cloned().flatten()),
                embedding: vector.to_vec(),
            });
        }
    }
    Ok(Reference { file, unit: "row", space, precision, wanted, left_out })
}

/// A column of strings, if it is there.
fn strings(batch: &RecordBatch, name: &str) -> Result<Option<ArrayRef>, String> {
    let Some(column) = batch.column_by_name(name) else { return Ok(None) };
    match column.data_type() {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Dictionary(..)
        | DataType::Null => {
            cast(column, &DataType::Utf8).map(Some).map_err(|error| format!("its column `{name}`: {error}"))
        }
        other => Err(format!("its column `{name}` holds {other}, not strings")),
    }
}

/// The token ids of each row, from lists of integers or from JSON.
fn ids(column: &ArrayRef) -> Option<Vec<Option<Vec<u32>>>> {
    if let DataType::Utf8 = column.data_type() {
        let texts = column.as_string::<i32>();
        return Some(texts.iter().map(|text| serde_json::from_str(text?).ok()).collect());
    }
    let item = Arc::new(Field::new_list_field(DataType::UInt32, true));
    let lists = cast(column, &DataType::LargeList(item)).ok()?;
    let list = |list: ArrayRef| list.as_primitive::<UInt32Type>().iter().collect::<Option<Vec<u32>>>();
    Some(lists.as_list::<i64>().iter().map(|ids| ids.and_then(list)).collect())
}
