//! What the command line says to `connote bench`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use connote::kernels::Level;

use super::search::SearchBenchArgs;
use crate::args::{ModelArgs, NetworkArgs, TuningArgs};

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Figures are the best and the median of many rounds: other work on the machine makes rounds slower, \
    never faster. Fractions of a peak are of the best.\n\nExamples:\n  connote bench model --quick\n  \
    connote bench search --rows 20000 --dimensions 384 --quick"
)]
pub(crate) enum BenchCommand {
    /// Each kernel at each CPU level, beside the peak of the machine's registers
    Kernels(KernelsArgs),
    /// Tokens a second of a model, where its time goes, and its memory
    Model(ModelBenchArgs),
    /// Throughput by workers, texts a call and tokens a text, and where more workers stop helping
    Workers(MatrixBenchArgs),
    /// Throughput beside the latency of a text, for growing calls and workers
    Tradeoff(MatrixBenchArgs),
    /// The automatic choice of workers and threads against every fixed one and the other policies
    Strategies(MatrixBenchArgs),
    /// Speed-up and efficiency of all cores over one
    SerialVsParallel(MatrixBenchArgs),
    /// What a cancellation token costs, and how soon a cancelled call returns and its work stops
    Cancellation(CancellationArgs),
    /// How long a short query waits beside a bulk job, and what that costs the job
    Priority(PriorityArgs),
    /// Exact and coarse search of a collection, beside what memory gives, and what coarse scans miss
    Search(SearchBenchArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Matrix products read distinct copies of their weights that exceed the caches, as a forward pass \
    does. The peak is that of loops over registers alone, measured in the same run, times the threads; attention and \
    row functions run on one thread.\n\nExample:\n  connote bench kernels --quick --json > kernels.json"
)]
pub(crate) struct KernelsArgs {
    /// Only this CPU level; may be given more than once [default: all that this machine has]
    #[arg(long = "level", value_name = "LEVEL")]
    pub(crate) levels: Vec<Level>,
    /// Threads for the matrix products; 0 is as many as this process may use
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: usize,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Where the time goes is measured on one thread, over the 96 long texts. CONNOTE_CPU chooses the CPU \
    level.\n\nExamples:\n  connote bench model --quick\n  connote bench model --model embeddinggemma-300m-Q8_0.gguf"
)]
pub(crate) struct ModelBenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) tuning: TuningArgs,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// How long, and for whom.
#[derive(Debug, Args)]
pub(crate) struct FormArgs {
    /// As one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// A quick look: fewer cells, fewer rounds, rougher figures
    #[arg(long)]
    pub(crate) quick: bool,
}

/// What the benchmarks of the worker pool share.
#[derive(Debug, Args)]
pub(crate) struct PoolArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Rounds that figures are the medians of, all contenders in turn in each [default: 9; with --quick 3;
    /// of `priority` 1]
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<NonZeroUsize>,
    /// Draw the figures into this file as well; it appears when it is complete
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) chart: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  connote bench cancellation --quick")]
pub(crate) struct CancellationArgs {
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
    #[command(flatten)]
    pub(crate) tuning: TuningArgs,
}

/// The benchmarks that run over the matrix.
#[derive(Debug, Args)]
#[command(
    after_help = "The whole matrix is 1, N/2, N and 2N workers (N: --threads, or what this process may use), 8 to 128 texts a call, \
    and 4, 64 and 256 tokens a text, no two texts of a call the same. With a large model it takes an hour: narrow it with --batches and \
    --lengths. `tradeoff` and `serial-vs-parallel` use 64 tokens unless told.\n\nExamples:\n  connote bench strategies --quick\n  \
    connote bench workers -m embeddinggemma-300m-Q8_0 --batches 8,32 --lengths 32 --chart workers.svg"
)]
pub(crate) struct MatrixBenchArgs {
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
    #[command(flatten)]
    pub(crate) matrix: MatrixArgs,
}

/// Which part of the matrix.
#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    /// Texts a call [default: 8,16,32,64,128; with --quick 4,16; `tradeoff` adds 1]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(crate) batches: Vec<NonZeroUsize>,
    /// Tokens a text, special tokens included [default: 4,64,256; with --quick 4,32]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(crate) lengths: Vec<NonZeroUsize>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A job of texts of 24 tokens runs alone, then with a query of 8 tokens an interval beside it; before that as many \
    queries run alone.\n\nExamples:\n  connote bench priority --quick\n  connote bench priority --model embeddinggemma-300m-Q8_0.gguf --chart priority.svg"
)]
pub(crate) struct PriorityArgs {
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
    #[command(flatten)]
    pub(crate) tuning: TuningArgs,
    /// Texts of the bulk job [default: 10000; with --quick 300]
    #[arg(long, value_name = "N")]
    pub(crate) texts: Option<NonZeroUsize>,
    /// Milliseconds from one query to the next [default: 1000; with --quick 40]
    #[arg(long, value_name = "MS")]
    pub(crate) interval_ms: Option<NonZeroU64>,
}
