//! `connote adapt`: a model with an adapter's changes in it, as a file of its own.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use connote::Model;

use crate::args::ModelArgs;
use crate::aside::{Aside, spare_what_is_there};
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::say::say;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  connote adapt -m jina-embeddings-v3.gguf lora-retrieval.query.gguf -o jina-query.gguf
  connote embed -m jina-query.gguf 'where do cats sleep?'

An adapter is a small GGUF file (of type LoRA) that changes a model's matrices for one task: jina-embeddings-v3 has five. \
The written file is a model as any other, as fast, for every command and for llama.cpp. Matrices that change become F16, or F32 \
where they were F32 or BF16. The words that the adapter was trained with are put before every text that has neither a task nor \
a prompt.

Exit codes: 0 written, 1 the model or the adapter cannot be read, do not belong together, or nothing can be written, 2 wrong use \
(a file of that name is there).")]
pub(crate) struct AdaptArgs {
    /// The adapter: a GGUF file
    #[arg(value_name = "ADAPTER")]
    adapter: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// No summary on stderr
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: &AdaptArgs) -> Result<Outcome, Failure> {
    if args.output.is_dir() {
        return Err(Failure::nothing(format!("{}: is a folder; name a file", args.output.display())));
    }
    spare_what_is_there(&args.output, args.force)?;
    let base = model::open(&args.model)?;
    let bytes = base.adapted_file(&args.adapter)?;
    let failed = |error| Failure::writing(args.output.display(), &error);
    let (aside, mut file) = Aside::create(&args.output)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    aside.complete()?;
    if !args.quiet {
        let adapted = Model::from_bytes(bytes)?;
        let (task, words) = (adapted.adapter().unwrap_or_default(), adapted.default_prompt());
        let before = match words {
            "" => "nothing goes before its texts".to_owned(),
            words => format!("{words:?} goes before its texts"),
        };
        say(format_args!(
            "connote: {}: {} with the adapter `{task}`; {before}",
            args.output.display(),
            base.name()
        ));
    }
    Ok(Outcome::Complete)
}
