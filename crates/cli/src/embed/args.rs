//! What `connote embed` can be told.

use std::num::NonZeroU64;
use std::path::PathBuf;

use bulk::{Precision, Shard};
use clap::{Args, ValueEnum};
use connote::Split;

use crate::args::{ModelArgs, PreparationArgs, TextArgs, VectorArgs};
use crate::progress::ProgressForm;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  connote embed \"a cat on the mat\"
  connote embed < lines.txt > vectors.jsonl
  connote embed -i texts.jsonl -o vectors.jsonl -m embeddinggemma-300m-Q8_0.gguf -t document
  connote embed -i notes.csv --template '{title}: {body}' --id-column key --keep title -o n.parquet
  connote embed -i 'logs/*.parquet' --text-column message -o vectors.npy --precision f16
  connote embed -i texts.jsonl -o shard1/ --output-format parquet --shard 1/2
  connote embed -i texts.jsonl -o vectors.arrow --nice --cpu-percent 50 --progress lines
  connote embed -i texts.jsonl -o chunks.jsonl --late-chunks=paragraphs --max-tokens 512

From files to a file the work is committed in parts, in FILE.parts beside the output: when it was interrupted, by whatever, \
the same command goes on behind the last part. The output appears when it is complete. A FOLDER/ keeps the parts as the \
result. Rows that fail are listed in FILE.errors.jsonl and cost nothing else. All of it: docs/BULK.md. A vector a token \
(--pooling none) or a chunk of each text (--late-chunks): docs/TOKENS.md.

Exit codes: 0 all rows, 3 some rows failed, 1 every row failed or there is no output, 2 wrong use, 130 interrupted.")]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) text: TextArgs,
    /// Columns of the input that come along into the output, separated by commas; `*` is all others
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) result: ResultArgs,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    #[command(flatten)]
    pub(crate) vector: VectorArgs,
    /// Read each text once and give a vector for each of its chunks (late chunking): sentences (if SPLIT is left out),
    /// paragraphs, or tokens:N. Rows get the columns `chunk`, `start` and `end`. A text longer than the limit is read in
    /// windows that overlap; the output is not done in parts
    #[arg(long, value_name = "SPLIT", num_args = 0..=1, require_equals = true, default_missing_value = "sentences")]
    #[arg(conflicts_with_all = ["part_rows", "restart", "shard", "cpu_percent", "explain"])]
    pub(crate) late_chunks: Option<Split>,
    /// Leave vectors as the network gives them, instead of unit length
    #[arg(long)]
    pub(crate) no_normalize: bool,
    #[command(flatten)]
    pub(crate) background: BackgroundArgs,
    /// How progress is shown on stderr: auto (a bar at a terminal, else lines), bar, lines, json (an object a line) or none
    #[arg(long, value_name = "FORM", default_value = "auto", hide_possible_values = true)]
    pub(crate) progress: ProgressForm,
    /// No progress and no summary on stderr
    #[arg(short, long, conflicts_with = "progress")]
    pub(crate) quiet: bool,
    /// Say on stderr what machine was seen, and how the first texts are computed and why
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Where vectors go, in which form.
#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    /// Where the vectors go: a file, a folder for parts (`FOLDER/`), or `-` for standard output. A file appears when it is
    /// complete
    #[arg(short, long, value_name = "FILE|FOLDER/|-")]
    pub(crate) output: Option<PathBuf>,
    /// How they are written [default: by the file's ending, else jsonl; text at a terminal]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output_format: Option<VectorFormat>,
    /// What the values are written as: f32, f16, int8 (with a scale) or binary (a bit a value)
    #[arg(long, value_name = "PRECISION", default_value_t)]
    pub(crate) precision: Precision,
    /// Rows a part, a multiple of 1024
    #[arg(long, value_name = "N", value_parser = part_rows)]
    pub(crate) part_rows: Option<NonZeroU64>,
    /// Drop what an earlier run has done, and begin anew
    #[arg(long)]
    pub(crate) restart: bool,
    /// Compute only the K-th of N shares of the parts, into a folder; `connote merge` joins them
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<Shard>,
}

fn part_rows(text: &str) -> Result<NonZeroU64, String> {
    match text.parse::<NonZeroU64>() {
        Ok(rows) if rows.get().is_multiple_of(bulk::PART_ROWS_STEP) => Ok(rows),
        _ => Err(format!("a part has a multiple of {} rows", bulk::PART_ROWS_STEP)),
    }
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VectorFormat {
    /// A JSON object a line
    Jsonl,
    /// Comma-separated values, vectors as JSON arrays
    Csv,
    /// numpy's array, rows x dimensions
    Npy,
    /// Parquet, vectors as fixed-size lists
    Parquet,
    /// Arrow IPC, vectors as fixed-size lists
    Arrow,
    /// Short and for people
    Text,
}

/// How much of the machine is left to others.
#[derive(Debug, Args)]
pub(crate) struct BackgroundArgs {
    /// Give way to everything else that wants the CPUs (the lowest priority)
    #[arg(long)]
    pub(crate) nice: bool,
    /// Take no more than N percent of the CPUs: fewer threads first, then pauses
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) cpu_percent: Option<u8>,
}
