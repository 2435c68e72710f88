//! `connote index`: collections of vectors that `connote search` searches.

mod build;
mod columns;
mod inputs;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use index::{Collection, Precision};

use crate::failure::{Failure, Outcome};
use crate::say::say;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  connote index build -i vectors.parquet -o notes/\n  connote index check notes/"
)]
pub(crate) enum IndexCommand {
    /// Make a collection of files that `connote embed` wrote
    Build(BuildArgs),
    /// Read all of a collection and compare it with its checksums
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  connote index build -i vectors.parquet -o notes/
  connote index build -i vectors.jsonl -o notes/ --precision f32,int8,binary --keep lang
  connote index build -i vectors.npy more.npy -o plain/

It reads jsonl, csv, npy, parquet and arrow files, and folders of parts. The collection is one file in the folder, which \
appears when it is complete; until then the one that was there serves. Rows without ids are numbered through all inputs, in parts \
as in the texts that they are of. Vectors of different fingerprints are never put together; where files do not say what their \
vectors are (no FILE.meta.json), or rows have a task of their own, it takes a word: --same-space. f32 with int8 or binary makes \
coarse and fast searches exact again by rescoring. All of it: docs/SEARCH.md.

Exit codes: 0 all rows, 3 some rows have no vector, 1 no vectors or no output, 2 wrong use.")]
pub(crate) struct BuildArgs {
    /// Files of vectors, or folders of parts; their rows follow one another
    #[arg(short, long, value_name = "FILE|FOLDER", num_args = 1.., required = true)]
    input: Vec<PathBuf>,
    /// The folder of the collection; it is made
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// What the vectors are kept as: f32, f16, int8, binary, or several of these [default: as they come]
    #[arg(long, value_name = "PRECISION", value_delimiter = ',')]
    precision: Vec<Precision>,
    /// Columns that are kept beside the id, for filters and answers, separated by commas; '' is none [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    keep: Option<Vec<String>>,
    /// Take for one space what does not say that it is: several files without a fingerprint, and rows with a task of
    /// their own, which other texts of their model are compared with all the same
    #[arg(long)]
    same_space: bool,
    /// Replace a collection of another vector space
    #[arg(long)]
    replace: bool,
    /// No summary on stderr
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  connote index check notes/\n\nExit codes: 0 it is whole, 1 it is not, or there is none."
)]
pub(crate) struct CheckArgs {
    /// The folder of the collection
    #[arg(value_name = "FOLDER")]
    index: PathBuf,
}

pub(crate) fn run(command: &IndexCommand) -> Result<Outcome, Failure> {
    match command {
        IndexCommand::Build(args) => build::run(args),
        IndexCommand::Check(args) => {
            let collection = Collection::open(&args.index)?;
            collection.verify()?;
            say(format_args!("connote: {} is whole: {}", collection.path().display(), facts(&collection)));
            Ok(Outcome::Complete)
        }
    }
}

/// What there is, in a line.
fn facts(collection: &Collection) -> String {
    let precisions: Vec<&str> = collection.precisions().iter().map(|precision| precision.name()).collect();
    let space = collection.space();
    let of = match space.fingerprint.as_str() {
        "" => "an unknown model".to_owned(),
        fingerprint => format!("{} ({fingerprint})", space.model),
    };
    format!(
        "{} vectors of {} values in {}, {:.1} MB, of {of}",
        collection.rows(),
        collection.dimensions(),
        precisions.join(", "),
        collection.file_bytes() as f64 / 1e6
    )
}
