//! Files of vectors become a collection.

use std::path::{Path, PathBuf};

use bulk::Stored;
use index::{Builder, Collection, FILE_NAME, Precision, Scheme, Space, Vectors};

use super::columns::Columns;
use super::inputs::{Input, Numbering, inputs, tell_missing_shares};
use super::{BuildArgs, facts};
use crate::failure::{Failure, Outcome};
use crate::say::say;

pub(crate) fn run(args: &BuildArgs) -> Result<Outcome, Failure> {
    let inputs = inputs(&args.input)?;
    let Looked { space, precision, columns, other_spaces } = look(&inputs, args)?;
    if args.output.is_file() {
        return Err(Failure::usage(format!("{}: is a file; name a folder", args.output.display())));
    }
    if !args.replace {
        spare_another_space(&args.output, &space)?;
    }
    let mut precisions = if args.precision.is_empty() { vec![precision] } else { args.precision.clone() };
    precisions.sort_unstable();
    precisions.dedup();
    let scheme = Scheme { space, precisions, columns: columns.scheme() };
    let mut builder = Builder::create(&args.output, scheme)?;
    let mut absent = 0;
    let mut numbering = Numbering::default();
    for input in &inputs {
        let (first, mut passed) = (numbering.first(input), 0);
        for file in input.files() {
            let mut stored = file.open()?;
            stored.number_from(first);
            absent += add(&mut builder, &mut stored, file.path(), &columns)?;
            passed += stored.rows();
        }
        numbering.passed(input, first, passed);
    }
    let rows = builder.rows();
    if rows == 0 {
        return Err(Failure::nothing("there are no vectors in the input, so there is nothing to search"));
    }
    builder.finish()?;
    if !args.quiet {
        say(format_args!("connote: {}", facts(&Collection::open(&args.output)?)));
        if other_spaces > 0 {
            say(format_args!(
                "connote: {other_spaces} rows have a task of their own, and vectors of another space than the collection names"
            ));
        }
        if absent > 0 {
            say(format_args!("connote: {absent} rows have no vector and were left out"));
        }
        tell_missing_shares(&inputs);
    }
    Ok(if absent > 0 { Outcome::SomeRowsFailed } else { Outcome::Complete })
}

/// What the files have in common.
struct Looked {
    space: Space,
    /// Of the first.
    precision: Precision,
    columns: Columns,
    /// Rows with vectors of other spaces.
    other_spaces: u64,
}

/// Looks at all files before anything is written.
fn look(inputs: &[Input], args: &BuildArgs) -> Result<Looked, Failure> {
    // The first, and the space of the first that says one.
    let mut first: Option<(PathBuf, Space, Precision)> = None;
    let mut columns: Option<Columns> = None;
    let mut other_spaces = 0_u64;
    for file in inputs.iter().flat_map(Input::files) {
        let (stored, file) = (file.open()?, file.path());
        let unknown = || Space { dimensions: stored.dimensions(), ..Space::default() };
        let space = stored.space().cloned().unwrap_or_else(unknown);
        other_spaces = other_spaces.saturating_add(stored.other_spaces());
        if stored.other_spaces() > 0 && !args.same_space {
            return Err(Failure::usage(format!(
                "{}: {} of its rows have a task of their own, and vectors of another space than {}, which the file names; embed them \
                 apart, or say --same-space to compare them all the same",
                file.display(),
                stored.other_spaces(),
                named(&space)
            )));
        }
        let found = Columns::of(&stored.schema(), args.keep.as_deref(), file)?;
        columns = Some(match columns {
            None => found,
            Some(before) => before.with(found, file)?,
        });
        match &mut first {
            None => first = Some((file.to_owned(), space, stored.precision())),
            Some((before, common, _)) => {
                let same_width = common.dimensions == space.dimensions;
                match (is_known(common), is_known(&space)) {
                    (true, true) if same(common, &space) => {}
                    (false, _) | (_, false) if same_width && args.same_space => {
                        if is_known(&space) {
                            *common = space;
                        }
                    }
                    (false, false) if same_width => {
                        return Err(Failure::usage(format!(
                            "{} and {} do not say what their vectors are (no FILE.meta.json, and nothing in them): if one model made them \
                             of texts prepared alike, say --same-space; else index them apart",
                            before.display(),
                            file.display()
                        )));
                    }
                    (one, other) => {
                        let way_out = match one != other && same_width {
                            true => {
                                "index them apart, or say --same-space if the one that does not say it is of the same"
                            }
                            false => "index them apart",
                        };
                        return Err(Failure::usage(format!(
                            "{} is of {} and {} of {}: vectors of different spaces cannot be compared; {way_out}",
                            before.display(),
                            named(common),
                            file.display(),
                            named(&space)
                        )));
                    }
                }
            }
        }
    }
    match (first, columns) {
        (Some((_, space, precision)), Some(columns)) => {
            Ok(Looked { space, precision, columns, other_spaces })
        }
        _ => Err(Failure::usage("name at least one file of vectors with --input")),
    }
}

fn is_known(space: &Space) -> bool {
    !space.fingerprint.is_empty()
}

/// Refuses to build over a collection whose queries would no longer find anything.
fn spare_another_space(folder: &Path, space: &Space) -> Result<(), Failure> {
    if !folder.join(FILE_NAME).exists() {
        return Ok(());
    }
    // One that is damaged may be replaced by any.
    match Collection::open(folder) {
        Ok(old) if !same(old.space(), space) => Err(Failure::usage(format!(
            "{}: the collection there is of {}, and these vectors are of {}; name another folder, or say --replace",
            folder.display(),
            named(old.space()),
            named(space)
        ))),
        _ => Ok(()),
    }
}

fn same(a: &Space, b: &Space) -> bool {
    (&a.fingerprint, a.dimensions) == (&b.fingerprint, b.dimensions)
}

fn named(space: &Space) -> String {
    match space.fingerprint.as_str() {
        "" => format!("an unknown model ({} values)", space.dimensions),
        fingerprint => format!("{} ({fingerprint}, {} values)", space.model, space.dimensions),
    }
}

/// Adds the rows that have vectors; gives the number of the others.
fn add(builder: &mut Builder, stored: &mut Stored, file: &Path, columns: &Columns) -> Result<u64, Failure> {
    let (dimensions, mut absent) = (stored.dimensions(), 0);
    while let Some(chunk) = stored.next_chunk()? {
        let present = chunk.present;
        absent += present.iter().filter(|present| !**present).count() as u64;
        let values = columns.values(&chunk.carried, &present, file)?;
        let failed = |error: index::Error| match Failure::from(error) {
            Failure::Usage(message) => Failure::Usage(format!("{}: {message}", file.display())),
            failure => failure,
        };
        let push = |builder: &mut Builder, vectors| {
            values.lend(|columns| builder.push(vectors, columns)).map_err(failed)
        };
        match chunk.vectors {
            bulk::Vectors::F32(values) => {
                push(builder, Vectors::F32(&only(&present, values, dimensions)))?;
            }
            bulk::Vectors::Int8 { values, scales } => {
                let (values, scales) = (only(&present, values, dimensions), only(&present, scales, 1));
                push(builder, Vectors::Int8 { values: &values, scales: &scales })?;
            }
            bulk::Vectors::Bits(bytes) => {
                push(builder, Vectors::Bits(&only(&present, bytes, dimensions.div_ceil(8))))?;
            }
        }
    }
    Ok(absent + stored.left_out())
}

/// The rows of `width` values that are present.
fn only<T: Copy>(present: &[bool], values: Vec<T>, width: usize) -> Vec<T> {
    if present.iter().all(|present| *present) {
        return values;
    }
    let rows = values.chunks(width).zip(present).filter(|(_, present)| **present);
    rows.flat_map(|(row, _)| row.iter().copied()).collect()
}
