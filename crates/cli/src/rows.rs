//! Texts from the command line, files or standard input.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bulk::{Chunk, Place, Progress, Row, Source, SourceOptions, TextFrom, ValueFrom};
use connote::{Input, jsonl};

use crate::args::{InputFormat, TextArgs};
use crate::failure::Failure;
use crate::identity::Identity;
use crate::say::say;

/// Rows that are read together, at most: as many as are there without waiting.
const CHUNK_ROWS: usize = 512;

/// A source of rows.
pub(crate) enum Rows {
    /// Of the command line.
    Texts(Texts),
    /// Of files or standard input.
    Source(Box<Source>),
}

/// Texts of the command line.
pub(crate) struct Texts {
    left: std::vec::IntoIter<String>,
    given: u64,
    total: u64,
}

impl Rows {
    /// Opens what the arguments name. `keep` is the columns that come along.
    pub(crate) fn open(args: &TextArgs, keep: &[String]) -> Result<Self, Failure> {
        let source = &args.source;
        if !source.texts.is_empty() {
            refuse_columns(args, keep)?;
            let total = source.texts.len() as u64;
            return Ok(Self::Texts(Texts { left: source.texts.clone().into_iter(), given: 0, total }));
        }
        let mut inputs = source.input.clone();
        if inputs.is_empty() {
            inputs.push("-".into());
        }
        if inputs.iter().any(|input| input.as_os_str() == "-") && io::stdin().is_terminal() {
            say(format_args!("Reading texts from the terminal, one a line; Ctrl-D ends them."));
        }
        let text = match (&source.text_column, &source.template) {
            (Some(column), _) => TextFrom::Column(column.clone()),
            (None, Some(template)) => TextFrom::Template(template.parse().map_err(Failure::usage)?),
            (None, None) => TextFrom::Default,
        };
        let options = SourceOptions {
            inputs,
            format: source.input_format.map(Into::into),
            delimiter: source.delimiter,
            text,
            id: value_from(source.id_column.as_deref(), source.no_ids),
            title: value_from(args.title_column.as_deref(), args.no_titles),
            task: value_from(args.task_column.as_deref(), args.no_tasks),
            keep: keep.to_vec(),
        };
        Ok(Self::Source(Box::new(Source::open(&options)?)))
    }

    /// Whether rows may say their own task.
    pub(crate) fn have_tasks(&self) -> bool {
        match self {
            Self::Texts(_) => false,
            Self::Source(source) => source.has_tasks(),
        }
    }

    /// The columns that come along: `id`, then what was asked for.
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Texts(_) => Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)])),
            Self::Source(source) => source.schema(),
        }
    }

    /// Whether all is in files, which can be read again.
    pub(crate) fn are_files(&self) -> bool {
        match self {
            Self::Texts(_) => false,
            Self::Source(source) => !source.files().is_empty(),
        }
    }

    /// The files that they are read from, but for standard input.
    pub(crate) fn files(&self) -> &[PathBuf] {
        match self {
            Self::Texts(_) => &[],
            Self::Source(source) => source.files(),
        }
    }

    /// The files that they are read from.
    pub(crate) fn identities(&self) -> Vec<Identity> {
        let Self::Source(source) = self else { return Vec::new() };
        let files = source.files();
        let identities = files.iter().filter_map(|path| Identity::of_path(path));
        // Standard input may be a file, too.
        identities.chain(if files.is_empty() { Identity::of_stdin() } else { None }).collect()
    }

    /// How much was read and how much there is, in texts or in what the source counts.
    pub(crate) fn progress(&self) -> Progress {
        match self {
            Self::Texts(texts) => Progress { read: texts.given, total: Some(texts.total) },
            Self::Source(source) => source.progress(),
        }
    }

    /// The next rows; `None` when there are no more. Rows that are there are given out rather than held back to fill a
    /// chunk, so that a program can feed lines and wait for each answer.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        match self {
            Self::Source(source) => Ok(source.next_chunk(CHUNK_ROWS)?),
            Self::Texts(texts) => texts.next_chunk(),
        }
    }
}

impl Texts {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        let first = self.given;
        let file: Arc<str> = "the command line".into();
        let texts = self.left.by_ref().take(CHUNK_ROWS).zip(first..);
        let rows: Vec<Row> = texts
            .map(|(text, number)| Row {
                number,
                id: jsonl::numbered(usize::try_from(number).unwrap_or(usize::MAX)),
                place: Place { file: file.clone(), line: 0 },
                input: Ok(Input::new(text)),
            })
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        self.given += rows.len() as u64;
        let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.number as i64));
        let carried = RecordBatch::try_from_iter_with_nullable([("id", Arc::new(ids) as _, true)]);
        let carried = carried.map_err(Failure::nothing)?;
        Ok(Some(Chunk { rows, carried }))
    }
}

fn value_from(column: Option<&str>, nowhere: bool) -> ValueFrom {
    match column {
        Some(column) => ValueFrom::Column(column.to_owned()),
        None if nowhere => ValueFrom::Nowhere,
        None => ValueFrom::Custom,
    }
}

/// Texts of the command line have no columns.
fn refuse_columns(args: &TextArgs, keep: &[String]) -> Result<(), Failure> {
    let source = &args.source;
    let named = [
        ("--input-format", source.input_format.is_some()),
        ("--delimiter", source.delimiter.is_some()),
        ("--text-column", source.text_column.is_some()),
        ("--template", source.template.is_some()),
        ("--id-column", source.id_column.is_some()),
        ("--title-column", args.title_column.is_some()),
        ("--task-column", args.task_column.is_some()),
        ("--no-ids", source.no_ids),
        ("--no-titles", args.no_titles),
        ("--no-tasks", args.no_tasks),
        ("--keep", !keep.is_empty()),
    ];
    match named.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::usage(format!(
            "{option} is for --input and standard input; the texts are given on the command line"
        ))),
    }
}

impl From<InputFormat> for bulk::InputFormat {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Lines => Self::Lines,
            InputFormat::Jsonl => Self::Jsonl,
            InputFormat::Csv => Self::Csv,
            InputFormat::Tsv => Self::Tsv,
            InputFormat::Parquet => Self::Parquet,
            InputFormat::Arrow => Self::Arrow,
        }
    }
}
