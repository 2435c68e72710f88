//! `connote merge`: parts that were embedded in several places, joined into one file.

use std::path::{Path, PathBuf};

use bulk::OutputFormat;
use clap::Args;

use crate::aside::Aside;
use crate::failure::{Failure, Outcome};
use crate::identity::lies_in;
use crate::say::say;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  connote embed -i texts.jsonl -o shard1/ --output-format parquet --shard 1/2
  connote embed -i texts.jsonl -o shard2/ --output-format parquet --shard 2/2
  connote merge -o vectors.parquet shard1/ shard2/

The shares may be computed at the same time, on different machines. The result is, byte for byte, what one run would have \
written. The folders stay.

Exit codes: 0 all rows, 3 some rows failed, 1 every row failed or there is no output, 2 wrong use (a share is missing or does not belong).")]
pub(crate) struct MergeArgs {
    /// Folders of parts, of one input, model and set of options
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// The file to write; its format is that of the parts
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// No summary on stderr
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: &MergeArgs) -> Result<Outcome, Failure> {
    if args.output.is_dir() {
        return Err(Failure::nothing(format!("{}: is a folder; name a file", args.output.display())));
    }
    refuse_output(&args.output, &args.folders)?;
    let merge = bulk::Merge::open(&args.folders)?;
    let ending = args.output.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if let Some(other) = OutputFormat::of_ending(ending).filter(|format| *format != merge.format()) {
        let (output, parts) = (args.output.display(), merge.format().name());
        return Err(Failure::usage(format!(
            "{output}: would be taken for {}, and the parts are {parts}; end it in .{parts}",
            other.name()
        )));
    }
    let (aside, file) = Aside::create(&args.output)?;
    let failed = |error: bulk::Error| Failure::nothing(format!("{}: {error}", args.output.display()));
    let (_file, sum) = merge.write(file).map_err(failed)?;
    aside.sync()?;
    let target = aside.target().to_owned();
    let beside = merge.write_beside(&target, sum.as_ref(), || aside.complete())?;
    if !args.quiet {
        say(format_args!("connote: {} rows of {} parts", merge.rows(), merge.parts()));
        if let Some(errors) = &beside.errors {
            say(format_args!(
                "connote: {} rows failed; {} says which and why",
                merge.failed(),
                errors.display()
            ));
        }
    }
    Ok(Outcome::of_rows(merge.rows(), merge.failed()))
}

/// The whole is a file, and none of the parts.
fn refuse_output(output: &Path, folders: &[PathBuf]) -> Result<(), Failure> {
    let name = output.display();
    let is_no_file = output.metadata().is_ok_and(|about| !about.is_file());
    if output == Path::new("-") || is_no_file {
        return Err(Failure::usage(format!("{name}: the whole is written to a file; name one")));
    }
    match folders.iter().find(|parts| lies_in(output, parts)) {
        None => Ok(()),
        Some(parts) => Err(Failure::usage(format!(
            "{name}: lies in {}, among the parts that are joined, which stay as they are; name a file elsewhere",
            parts.display()
        ))),
    }
}
