//! What the command line says to `connote bench`.

use clap::{Args, Subcommand};
use connote::kernels::Level;

use crate::args::{ModelArgs, NetworkArgs};

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Figures are the best and the median of many rounds: other work on the machine makes rounds slower, \
    never faster. Fractions of a peak are of the best."
)]
pub(crate) enum BenchCommand {
    /// Each kernel at each CPU level, beside the peak of the machine's registers
    Kernels(KernelsArgs),
    /// Tokens a second of a model, where its time goes, and its memory
    Model(ModelBenchArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Matrix products read distinct copies of their weights that exceed the caches, as a forward pass \
    does. The peak is that of loops over registers alone, measured in the same run, times the threads; attention and \
    row functions run on one thread.\n\nExample:\n  connote bench kernels --level avx2 --json > kernels.json"
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
    level.\n\nExample:\n  connote bench model --model embeddinggemma-300m-Q8_0.gguf"
)]
pub(crate) struct ModelBenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
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
