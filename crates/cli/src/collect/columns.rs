//! Columns of files of vectors become columns of a collection.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema};
use index::{ColumnKind, Values};

use crate::failure::Failure;

/// Names and kinds of what is kept; the first is the id.
pub(crate) struct Columns {
    columns: Vec<(String, ColumnKind)>,
}

/// Values of all columns for some rows.
pub(crate) struct Kept {
    columns: Vec<KeptColumn>,
}

enum KeptColumn {
    Integers(Vec<Option<i64>>),
    Floats(Vec<Option<f64>>),
    Booleans(Vec<Option<bool>>),
    Texts(Vec<Option<String>>),
}

impl Columns {
    /// Those of a file that are to be kept.
    pub(crate) fn of(schema: &Schema, keep: Option<&[String]>, file: &Path) -> Result<Self, Failure> {
        let mut columns = Vec::new();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let wanted: Vec<&str> = match keep {
            None => names.clone(),
            Some(keep) => {
                let others =
                    keep.iter().map(|name| name.as_str()).filter(|name| !name.is_empty() && *name != "id");
                ["id"].into_iter().chain(others).collect()
            }
        };
        for name in wanted {
            let Ok(field) = schema.field_with_name(name) else {
                return Err(Failure::usage(format!(
                    "{}: has no column `{name}` to keep, only {}",
                    file.display(),
                    names.join(", ")
                )));
            };
            columns.push((name.to_owned(), kind(field.data_type(), name, file)?));
        }
        Ok(Self { columns })
    }

    /// Those of several files; integers in one and floats in another are floats, and of any other two kinds texts.
    pub(crate) fn with(mut self, other: Self, file: &Path) -> Result<Self, Failure> {
        let names = |columns: &Self| -> Vec<String> {
            columns.columns.iter().map(|(name, _)| name.clone()).collect()
        };
        let (before, here) = (names(&self), names(&other));
        if before != here {
            return Err(Failure::usage(format!(
                "{}: has the columns {}, and the files before it {}; choose those they share with --keep",
                file.display(),
                here.join(", "),
                before.join(", ")
            )));
        }
        for ((_, kind), (_, other)) in self.columns.iter_mut().zip(other.columns) {
            *kind = match (*kind, other) {
                (kind, other) if kind == other => kind,
                (ColumnKind::Integer | ColumnKind::Float, ColumnKind::Integer | ColumnKind::Float) => {
                    ColumnKind::Float
                }
                _ => ColumnKind::Text,
            };
        }
        Ok(self)
    }

    pub(crate) fn scheme(&self) -> Vec<(String, ColumnKind)> {
        self.columns.clone()
    }

    /// The values of the rows that are present.
    pub(crate) fn values(&self, batch: &RecordBatch, present: &[bool], file: &Path) -> Result<Kept, Failure> {
        let failed = |name: &str, error: &dyn std::fmt::Display| {
            Failure::nothing(format!("{}: the column `{name}`: {error}", file.display()))
        };
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, kind) in &self.columns {
            let (at, field) = batch
                .schema_ref()
                .column_with_name(name)
                .ok_or_else(|| failed(name, &"is not in all of the file"))?;
            let column = batch.column(at);
            let to = |column: &ArrayRef, to: DataType| -> Result<ArrayRef, Failure> {
                cast(column, &to).map_err(|error| failed(name, &error))
            };
            let rows = (0..column.len()).zip(present).filter(|(_, present)| **present).map(|(row, _)| row);
            columns.push(match kind {
                ColumnKind::Integer => {
                    let column = to(column, DataType::Int64)?;
                    let integers = column.as_primitive::<Int64Type>();
                    KeptColumn::Integers(
                        rows.map(|row| integers.is_valid(row).then(|| integers.value(row))).collect(),
                    )
                }
                ColumnKind::Float => {
                    // The shortest digits that mean a narrow float: 0.1 stays 0.1, and is found by it.
                    let digits = match column.data_type() {
                        DataType::Float16 | DataType::Float32 => to(column, DataType::Utf8)?,
                        _ => column.clone(),
                    };
                    if let Some(integer) = inexact(column, rows.clone()) {
                        return Err(Failure::usage(format!(
                            "{}: the column `{name}` has integers here and floats in another file, and a float would lose the \
                             last digits of {integer}; leave it out with --keep, or write it as text",
                            file.display()
                        )));
                    }
                    let column = to(&digits, DataType::Float64)?;
                    let floats = column.as_primitive::<Float64Type>();
                    KeptColumn::Floats(
                        rows.map(|row| floats.is_valid(row).then(|| floats.value(row))).collect(),
                    )
                }
                ColumnKind::Boolean => {
                    let booleans = column.as_boolean();
                    KeptColumn::Booleans(
                        rows.map(|row| booleans.is_valid(row).then(|| booleans.value(row))).collect(),
                    )
                }
                ColumnKind::Text => {
                    let texts = bulk::to_text(column, field).map_err(|error| failed(name, &error))?;
                    let text = |row| texts.is_valid(row).then(|| texts.value(row).to_owned());
                    KeptColumn::Texts(rows.map(text).collect())
                }
            });
        }
        Ok(Kept { columns })
    }
}

impl Kept {
    /// Hands them over as a builder takes them.
    pub(crate) fn lend<T>(&self, to: impl FnOnce(&[Values<'_>]) -> T) -> T {
        let texts: Vec<Vec<Option<&str>>> = self
            .columns
            .iter()
            .map(|column| match column {
                KeptColumn::Texts(texts) => texts.iter().map(Option::as_deref).collect(),
                KeptColumn::Integers(_) | KeptColumn::Floats(_) | KeptColumn::Booleans(_) => Vec::new(),
            })
            .collect();
        let values: Vec<Values<'_>> = self
            .columns
            .iter()
            .zip(&texts)
            .map(|(column, texts)| match column {
                KeptColumn::Integers(integers) => Values::Integers(integers),
                KeptColumn::Floats(floats) => Values::Floats(floats),
                KeptColumn::Booleans(booleans) => Values::Booleans(booleans),
                KeptColumn::Texts(_) => Values::Texts(texts),
            })
            .collect();
        to(&values)
    }
}

/// An integer among these rows that no float holds to the last digit.
fn inexact(column: &ArrayRef, mut rows: impl Iterator<Item = usize>) -> Option<i64> {
    let integers = column.as_primitive_opt::<Int64Type>()?;
    let row = rows.find(|&row| integers.is_valid(row) && !bulk::is_exact_as_float(integers.value(row)))?;
    Some(integers.value(row))
}

fn kind(of: &DataType, name: &str, file: &Path) -> Result<ColumnKind, Failure> {
    match of {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Ok(ColumnKind::Integer),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Ok(ColumnKind::Float),
        DataType::Boolean => Ok(ColumnKind::Boolean),
        other if bulk::has_text_form(other) => Ok(ColumnKind::Text),
        other => Err(Failure::usage(format!(
            "{}: the column `{name}` cannot be kept: {other} has no form as text; leave it out with --keep",
            file.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, TimestampMicrosecondArray};

    use super::*;

    /// UTC is the commonest zone of tables; others that have a name are refused when the file is looked at.
    #[test]
    fn times_in_utc_become_texts() {
        let table = |zone: &str| {
            let times = TimestampMicrosecondArray::from(vec![0, 1_000_000]).with_timezone(zone);
            let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
            RecordBatch::try_from_iter([("id", ids), ("at", Arc::new(times) as ArrayRef)]).expect("a table")
        };
        let (utc, file) = (table("UTC"), Path::new("v.parquet"));
        let columns = Columns::of(utc.schema_ref(), None, file).expect("both are kept");
        let kept = columns.values(&utc, &[true, true], file).expect("values");
        kept.lend(|values| match values[1] {
            Values::Texts(texts) => {
                assert_eq!(texts, [Some("1970-01-01T00:00:00Z"), Some("1970-01-01T00:00:01Z")]);
            }
            _ => panic!("times are texts"),
        });
        let berlin = table("Europe/Berlin");
        match Columns::of(berlin.schema_ref(), None, file) {
            Err(Failure::Usage(said)) => assert!(said.contains("Europe/Berlin"), "{said}"),
            _ => panic!("it is refused"),
        }
    }
}
