//! `connote embed`: texts in, vectors out, in constant memory: as a stream, or in parts that are committed one by one.

mod args;
mod background;
mod late;
mod listing;
mod parts;
mod spool;
mod stream;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bulk::{Beside, CpuShare, Destination, OutputFormat as BulkFormat, Precision, SinkOptions, Space};
use connote::{Embedder, Options, Pooling};

use crate::args::NetworkArgs;
use crate::aside::follow_links;
use crate::failure::{Failure, Outcome};
use crate::identity::{Identity, lies_in};
use crate::model;
use crate::output::spare_the_texts;
use crate::rows::Rows;
use crate::say::say;

pub(crate) use args::{EmbedArgs, VectorFormat};

/// What is to be embedded, how, and all that belongs to it.
struct Task<'a> {
    args: &'a EmbedArgs,
    rows: Rows,
    embedder: Embedder,
    options: Options,
    /// The title of rows that have none of their own.
    title: Option<&'a str>,
    share: Option<CpuShare>,
    loading: Duration,
}

/// Where the vectors go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Stdout,
    /// A pipe or a device, which is written as it is.
    Device(PathBuf),
    File(PathBuf),
    Folder(PathBuf),
}

pub(crate) fn run(args: &EmbedArgs) -> Result<Outcome, Failure> {
    // Before anything starts a thread, so that all of them have it.
    if args.background.nice {
        background::give_way()?;
    }
    let mut options = args.preparation.options().normalize(!args.no_normalize);
    if let Some(dimensions) = args.vector.dimensions {
        options = options.dimensions(dimensions);
    }
    let place = Place::of(args.result.output.as_deref());
    let format = format_of(&place, args.result.output_format)?;
    let for_vectors =
        [("--precision", args.result.precision != Precision::F32), ("--keep", !args.keep.is_empty())];
    if let (None, Some((option, _))) = (format, for_vectors.into_iter().find(|(_, given)| *given)) {
        return Err(Failure::usage(format!(
            "{option} is for files of vectors; the form for people has no place for it (choose one with --output-format)"
        )));
    }
    if args.late_chunks.is_some() {
        late::check(&place, format)?;
    }
    let rows = Rows::open(&args.text, &args.keep)?;
    let in_parts = in_parts(args, &place, format, &rows)?;
    let start = Instant::now();
    let share = args.background.cpu_percent.map(background::share);
    let network = NetworkArgs { threads: background::threads(args, share), ..args.vector.network.clone() };
    let embedder = model::load(&args.model, &network, args.vector.tuning.tuning())?;
    // What no text can satisfy is refused before anything is written.
    embedder.model().check_options(&options)?;
    if args.late_chunks.is_some() {
        embedder.check_late_chunks(&options)?;
    }
    let title = args.preparation.title();
    model::check_title(embedder.model(), title, &options, rows.have_tasks())?;
    spare_the_texts(place.path(), &rows)?;
    spare_what_is_beside(&place, &rows)?;
    let loading = start.elapsed();
    let task = Task { args, rows, embedder, options, title, share, loading };
    match (in_parts, format) {
        (true, Some(format)) => parts::run(task, &place, format),
        (_, format) => stream::run(task, &place, format),
    }
}

/// Refuses texts from where this run, or the one before it, keeps files of its own: they would be replaced or removed.
fn spare_what_is_beside(place: &Place, rows: &Rows) -> Result<(), Failure> {
    let refused = |file: &Path, why: &str| {
        let file = file.display();
        Err(Failure::usage(format!(
            "{file}: the texts are read from this file, {why}; name another --output"
        )))
    };
    let parts = match place {
        Place::Stdout | Place::Device(_) => return Ok(()),
        Place::Folder(path) => Destination::Folder(path.clone()).parts(),
        Place::File(path) => {
            let path = follow_links(path).map_err(|error| Failure::writing(path.display(), &error))?;
            let texts = rows.identities();
            for beside in Beside::paths(&path) {
                if Identity::of_path(&beside).is_some_and(|identity| texts.contains(&identity)) {
                    return refused(&beside, "which lies beside the output and would be replaced or removed");
                }
            }
            Destination::File(path).parts()
        }
    };
    match rows.files().iter().find(|file| lies_in(file, &parts)) {
        Some(file) => refused(file, "which lies among the parts of the output"),
        None => Ok(()),
    }
}

impl Place {
    fn of(output: Option<&Path>) -> Self {
        let Some(path) = output.filter(|path| path.as_os_str() != "-") else { return Self::Stdout };
        let is_named_as_folder = || path.to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]);
        let place = match std::fs::metadata(path) {
            Ok(about) if about.is_dir() => Self::Folder,
            Ok(about) if !about.is_file() => Self::Device,
            Err(_) if is_named_as_folder() => Self::Folder,
            _ => Self::File,
        };
        place(path.to_owned())
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::Device(path) | Self::File(path) | Self::Folder(path) => Some(path),
        }
    }
}

/// The format of files; `None` is text for people.
fn format_of(place: &Place, asked: Option<VectorFormat>) -> Result<Option<BulkFormat>, Failure> {
    if let Some(asked) = asked {
        return Ok(asked.of_files());
    }
    let path = match place {
        // What a terminal shows is for people.
        Place::Stdout if std::io::IsTerminal::is_terminal(&std::io::stdout()) => return Ok(None),
        Place::Stdout | Place::Folder(_) => return Ok(Some(BulkFormat::Jsonl)),
        Place::Device(path) | Place::File(path) => path,
    };
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or("") {
        "" => Ok(Some(BulkFormat::Jsonl)),
        // What people read has few of the values and nothing of what they are: no place to keep vectors in.
        "txt" if matches!(place, Place::File(_)) => Err(Failure::usage(format!(
            "{}: a file of vectors ends in .jsonl, .csv, .npy, .parquet or .arrow; --output-format text writes a short form for people, with the first values of each vector",
            path.display()
        ))),
        ending => match BulkFormat::of_ending(ending) {
            Some(format) => Ok(Some(format)),
            None if matches!(place, Place::Device(_)) => Ok(Some(BulkFormat::Jsonl)),
            None => Err(Failure::usage(format!(
                "{}: files ending in `{ending}` cannot be written; end it in .jsonl, .csv, .npy, .parquet or .arrow (or say the format with --output-format)",
                path.display()
            ))),
        },
    }
}

impl VectorFormat {
    fn of_files(self) -> Option<BulkFormat> {
        match self {
            Self::Jsonl => Some(BulkFormat::Jsonl),
            Self::Csv => Some(BulkFormat::Csv),
            Self::Npy => Some(BulkFormat::Npy),
            Self::Parquet => Some(BulkFormat::Parquet),
            Self::Arrow => Some(BulkFormat::Arrow),
            Self::Text => None,
        }
    }
}

/// Whether the work is committed in parts: where there is a place for them, and texts that can be read again.
fn in_parts(
    args: &EmbedArgs,
    place: &Place,
    format: Option<BulkFormat>,
    rows: &Rows,
) -> Result<bool, Failure> {
    let result = &args.result;
    if let (Place::Folder(path), true) = (place, format.is_none() || matches!(rows, Rows::Texts(_))) {
        return Err(Failure::nothing(format!("{}: is a folder; name a file", path.display())));
    }
    if result.shard.is_some() && !(matches!(place, Place::Folder(_)) && rows.are_files()) {
        return Err(Failure::usage(
            "--shard computes a share of the parts of files into a folder; name them with --input FILE --output FOLDER/",
        ));
    }
    let in_parts = match place {
        Place::Folder(_) => true,
        Place::File(_) => rows.are_files() && format.is_some() && args.late_chunks.is_none(),
        Place::Stdout | Place::Device(_) => false,
    };
    let for_parts = [("--part-rows", result.part_rows.is_some()), ("--restart", result.restart)];
    match for_parts.into_iter().find(|(_, given)| *given) {
        Some((option, _)) if !in_parts => Err(Failure::usage(format!(
            "{option} is for work in parts, which is from files to a file or a folder; name both with --input and --output"
        ))),
        _ => Ok(in_parts),
    }
}

/// Says how many rows failed, and which file says why.
fn tell_failed(failed: u64, listed: &dyn std::fmt::Display, beside: &Beside) {
    say(format_args!("connote: {failed} rows failed; {listed} says which and why"));
    if let Some(numbers) = &beside.row_numbers {
        say(format_args!(
            "connote: they are not in the output; {} has the numbers of the rows that are",
            numbers.display()
        ));
    }
}

/// Says of how many rows the output does not name the space.
fn tell_other_spaces(rows: u64) {
    if rows > 0 {
        say(format_args!(
            "connote: {rows} rows have a task of their own: their vectors are of another space than the fingerprint that the output names"
        ));
    }
}

impl Task<'_> {
    /// How vectors are written, checked.
    fn sink(&self, format: BulkFormat) -> Result<SinkOptions, Failure> {
        let (embedder, args) = (&self.embedder, self.args);
        let task = args.preparation.effective_task();
        let options = SinkOptions {
            format,
            precision: args.result.precision,
            schema: match args.late_chunks {
                Some(_) => late::schema(&self.rows.schema())?,
                None => self.rows.schema(),
            },
            space: Space {
                model: embedder.model().name().to_owned(),
                fingerprint: embedder.fingerprint(&self.options)?.to_string(),
                dimensions: args.vector.dimensions.unwrap_or(embedder.dimensions()),
                normalized: !args.no_normalize,
                task: task.map(|task| task.to_string()),
                prompt: args.preparation.prompt.clone(),
            },
            created_by: format!("connote {}", env!("CARGO_PKG_VERSION")),
            per_token: embedder.pooling() == Pooling::None,
        };
        options.check()?;
        Ok(options)
    }
}
