//! What the command line says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use bulk::Delimiter;
use clap::{Args, Parser, Subcommand, ValueEnum};
use connote::{Options, Parallelism, Policy, Pooling, Preset, SpecialTokens, Task, Truncation, Tuning};

use crate::adapt::AdaptArgs;
use crate::bench::BenchCommand;
use crate::collect::IndexCommand;
use crate::convert::{ConvertArgs, QuantizeArgs};
use crate::doctor::{DoctorArgs, ModelsArgs};
use crate::embed::EmbedArgs;
use crate::eval::EvalCommand;
use crate::logs;
use crate::merge::MergeArgs;
use crate::pull::PullArgs;
use crate::rerank::RerankArgs;
use crate::search::SearchArgs;
use crate::verify::VerifyArgs;

#[cfg(not(feature = "builtin"))]
const WITHOUT_MODEL: &str =
    "This connote was built without a model: name one with --model or $CONNOTE_MODEL.";

/// Which model it is can only be said where the build did not put in another.
#[cfg(feature = "builtin")]
const WITHOUT_MODEL: &str = {
    let another = option_env!("CONNOTE_BUILTIN_MODEL");
    if matches!(another, Some(path) if !path.is_empty()) {
        "Without --model the built-in model serves; `connote inspect` shows which it is."
    } else {
        "Without --model the built-in model serves (all-MiniLM-L6-v2, 384 dimensions, English)."
    }
};

#[cfg(feature = "builtin")]
pub(crate) const MODEL_HELP: &str = "A GGUF file, or the name of one in $EMBED_MODELS_DIR or ~/.cache/embed-models, or a name that `connote pull` knows \
    [default: $CONNOTE_MODEL, else built in]";
#[cfg(not(feature = "builtin"))]
pub(crate) const MODEL_HELP: &str = "A GGUF file, or the name of one in $EMBED_MODELS_DIR or ~/.cache/embed-models, or a name that `connote pull` knows \
    [default: $CONNOTE_MODEL]";

#[cfg(feature = "builtin")]
const SERVED_HELP: &str = "A GGUF file, or the name of one in $EMBED_MODELS_DIR or ~/.cache/embed-models, or that `connote pull` knows, as ALIAS where one is given; \
    several times for several models, of which the first is meant by requests that name none [default: $CONNOTE_MODEL, else built in]";
#[cfg(not(feature = "builtin"))]
const SERVED_HELP: &str = "A GGUF file, or the name of one in $EMBED_MODELS_DIR or ~/.cache/embed-models, or that `connote pull` knows, as ALIAS where one is given; \
    several times for several models, of which the first is meant by requests that name none [default: $CONNOTE_MODEL]";

/// Text embeddings on ordinary CPUs: a GGUF file in, vectors out.
#[derive(Debug, Parser)]
#[command(name = "connote", version, max_term_width = 100)]
#[command(
    after_help = format!("Examples:\n  connote embed \"a cat on the mat\"\n  connote embed -i texts.jsonl -o vectors.parquet\n  \
    connote similar \"how do plants eat\" \"photosynthesis turns light into sugar\" \"cats sleep a lot\"\n\n\
    {WITHOUT_MODEL}\n\
    stdout is data; progress and complaints go to stderr.\n\
    Exit codes: 0 all done, 1 nothing could be done, 2 wrong use, 3 some rows failed, 130 interrupted.\n\
    CONNOTE_CPU=scalar|avx2|avxvnni|avx512|amx|neon forces a CPU level that the machine has.")
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Fetch nothing. Only `pull` ever does; CONNOTE_OFFLINE=1 and HF_HUB_OFFLINE=1 say the same
    #[arg(long, global = true)]
    pub(crate) offline: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn texts into vectors
    Embed(Box<EmbedArgs>),
    /// Join parts that were embedded in several places into one file
    Merge(MergeArgs),
    /// Turn texts into token ids
    Tokenize(TokenizeArgs),
    /// Show what a model file holds, and what it lacks
    Inspect(InspectArgs),
    /// Make a collection of vectors to search
    #[command(subcommand)]
    Index(IndexCommand),
    /// Find the texts of a collection that are nearest to a query
    Search(Box<SearchArgs>),
    /// Rank texts by their likeness to a query
    Similar(SimilarArgs),
    /// Rank texts by how well they answer a query, with a reranker
    Rerank(RerankArgs),
    /// Serve vectors over HTTP, for the clients of OpenAI, TEI, Ollama and llama-server
    Serve(ServeArgs),
    /// Check a model: what is promised of every one, and cosines to a reference
    Verify(VerifyArgs),
    /// Measure how well a model agrees with people
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Look at this machine: what connote makes of it, and what would make it better
    Doctor(DoctorArgs),
    /// List the models that are on this machine
    Models(ModelsArgs),
    /// Measure this machine: kernels by themselves, or a model
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Measure how this machine runs a model best, and keep it for later runs
    Tune(TuneArgs),
    /// Write a model with an adapter's changes in it
    Adapt(AdaptArgs),
    /// Fetch a model from the Hugging Face hub, or a mirror of it
    Pull(PullArgs),
    /// Make a GGUF file of a folder from Hugging Face
    Convert(ConvertArgs),
    /// Make a GGUF file smaller
    Quantize(QuantizeArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  connote completions bash > connote.bash\n  connote completions fish > connote.fish"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one a command
    #[command(after_help = "Examples:\n  connote man > connote.1\n  connote man pages/")]
    Man {
        /// Write connote.1, connote-embed.1 and so on into this folder
        #[arg(value_name = "FOLDER")]
        directory: Option<PathBuf>,
    },
}

/// Which model.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    #[arg(short, long, value_name = "PATH|NAME", help = MODEL_HELP)]
    pub(crate) model: Option<PathBuf>,
}

/// Which texts.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// The texts; without any, --input or standard input is read
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// A file of texts, or a pattern such as 'notes/*.csv'; several times for several; `-` is standard input
    #[arg(short, long, value_name = "FILE|-", conflicts_with = "texts")]
    pub(crate) input: Vec<PathBuf>,
    /// How the input is written [default: by the file's ending, else lines]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) input_format: Option<InputFormat>,
    /// What stands between the values of CSV, one character such as ';' [default: a comma]
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<Delimiter>,
    /// The column (of JSON: the field) with the texts [default: `text`, else the only one of strings]
    #[arg(long, value_name = "NAME")]
    pub(crate) text_column: Option<String>,
    /// Texts made of several columns: a text with {NAME} where a column's value goes, as in '{title}\n{body}'
    #[arg(long, value_name = "TEXT", conflicts_with = "text_column")]
    pub(crate) template: Option<String>,
    /// The column with the ids of the rows [default: `id`, where there is one, else their numbers]
    #[arg(long, value_name = "NAME")]
    pub(crate) id_column: Option<String>,
    /// Leave ids unread, the column or field `id` too: rows have their numbers
    #[arg(long, conflicts_with = "id_column")]
    pub(crate) no_ids: bool,
}

/// Which texts, with what may belong to each.
#[derive(Debug, Clone, Args)]
pub(crate) struct TextArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The column with the titles of the texts, for the document prompt
    #[arg(long, value_name = "NAME")]
    pub(crate) title_column: Option<String>,
    /// Leave titles unread, the field `title` of JSON too, which makes its text a document
    #[arg(long, conflicts_with = "title_column")]
    pub(crate) no_titles: bool,
    /// The column with the task of each text
    #[arg(long, value_name = "NAME")]
    pub(crate) task_column: Option<String>,
    /// Leave tasks of rows unread, the field `task` of JSON too
    #[arg(long, conflicts_with = "task_column")]
    pub(crate) no_tasks: bool,
}

/// How texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// A text a line
    Lines,
    /// A JSON object a line: {"text": .., "task"?: .., "title"?: .., "id"?: ..}
    Jsonl,
    /// Comma-separated values with the columns' names in the first line
    Csv,
    /// The same, separated by tabs
    Tsv,
    /// Parquet
    Parquet,
    /// Arrow IPC (Feather), the file or the stream form
    Arrow,
}

/// Where results go.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Where the results go; `-` is standard output. A file appears when it is complete
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) output: Option<PathBuf>,
    /// How results are written [default: by the file's ending, else jsonl; text at a terminal]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output_format: Option<OutputFormat>,
}

/// A task, or `none` in any case.
#[derive(Debug, Clone)]
pub(crate) struct TaskChoice(pub(crate) Option<Task>);

impl FromStr for TaskChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name.trim().eq_ignore_ascii_case("none") {
            Ok(Self(None))
        } else {
            name.parse().map(|task| Self(Some(task)))
        }
    }
}

/// What happens to a text before the network reads it.
#[derive(Debug, Clone, Args)]
pub(crate) struct PreparationArgs {
    /// What the vectors are for: chooses the model's prompt. none (no prompt, even where the model
    /// has one by default), query, document,
    /// question-answering, fact-checking, classification, clustering, similarity, code-retrieval or
    /// custom:DESCRIPTION
    #[arg(short, long, value_name = "TASK")]
    pub(crate) task: Option<TaskChoice>,
    /// A prompt of your own, put before every text as it is
    #[arg(long, value_name = "TEXT", conflicts_with = "task")]
    pub(crate) prompt: Option<String>,
    /// The title of the texts, for the document prompt; without a task it makes them documents
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What to do with texts that are too long: error, end (cut the end) or start
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub(crate) truncate: Truncation,
    /// The longest text in tokens, special tokens and prompt included [default: the model's]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// Take the names of special tokens in the input as plain text, not as those tokens
    #[arg(long)]
    pub(crate) plain_text: bool,
}

impl PreparationArgs {
    /// The same with another task.
    pub(crate) fn with_task(&self, task: &TaskChoice) -> Self {
        Self { task: Some(task.clone()), ..self.clone() }
    }

    /// The title of rows that have none of their own. One without words is none.
    pub(crate) fn title(&self) -> Option<&str> {
        self.title.as_deref().filter(|title| !title.trim().is_empty())
    }

    /// The task of texts that have none of their own.
    pub(crate) fn effective_task(&self) -> Option<Task> {
        match &self.task {
            Some(TaskChoice(task)) => task.clone(),
            // A title alone makes the whole run one of documents, and its fingerprint says so.
            None => (self.title().is_some() && self.prompt.is_none()).then_some(Task::Document),
        }
    }

    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new().truncation(self.truncate);
        match (self.effective_task(), &self.task) {
            (Some(task), _) => options = options.task(task),
            (None, Some(_)) => options = options.without_default_prompt(),
            (None, None) => {}
        }
        if let Some(prompt) = &self.prompt {
            options = options.prompt(prompt);
        }
        if let Some(max_tokens) = self.max_tokens {
            options = options.max_tokens(max_tokens);
        }
        if self.plain_text {
            options = options.special_tokens(SpecialTokens::PlainText);
        }
        options
    }
}

/// How the network runs and what becomes of its vectors.
#[derive(Debug, Args)]
pub(crate) struct VectorArgs {
    /// Cut vectors to N values and normalise them again (Matryoshka models)
    #[arg(short, long, value_name = "N")]
    pub(crate) dimensions: Option<usize>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) tuning: TuningArgs,
}

/// How the network runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct NetworkArgs {
    /// How token rows become a vector: mean, cls, last or none (a vector a token) [default: the model's]
    #[arg(long, value_name = "POOLING")]
    pub(crate) pooling: Option<Pooling>,
    /// CPUs to keep busy; 0 is as many as this process may use
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// On a machine with several NUMA nodes: a copy of the weights on each, read by its own workers, instead of one for all
    #[arg(long)]
    pub(crate) weights_per_node: bool,
}

/// How workers and threads are chosen.
#[derive(Debug, Args)]
pub(crate) struct TuningArgs {
    /// Who chooses how many texts run side by side and how many threads work on each: adaptive, cost-model, table, or
    /// WORKERSxTHREADS as in 4x2
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub(crate) policy: Policy,
    /// The ways to choose among: auto, texts (side by side, a thread each) or matmul (one after another, all threads inside)
    #[arg(long, value_name = "WAY", default_value_t)]
    pub(crate) parallelism: Parallelism,
    /// What the choice is for: balanced, latency (small micro-batches, which give way sooner) or throughput (calls that meet
    /// run side by side)
    #[arg(long, value_name = "PRESET", default_value_t)]
    pub(crate) preset: Preset,
}

impl TuningArgs {
    pub(crate) fn tuning(&self) -> Tuning {
        Tuning::new().policy(self.policy).parallelism(self.parallelism).preset(self.preset)
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A JSON object a line
    Jsonl,
    /// Short and for people
    Text,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  connote tokenize \"a cat on the mat\"
  connote tokenize --pieces --counts < lines.txt
  connote tokenize --pieces --offsets --counts \"Naïve café\"
  connote tokenize --full -i texts.jsonl -o ids.jsonl -m embeddinggemma-300m-Q8_0.gguf

Special tokens and the prompt of --task or --prompt are among the ids, as they are in what `connote embed` reads.
What the offsets of tokens are: docs/TOKENS.md.

Exit codes: 0 all rows, 3 some rows failed, 1 no row or no model, 2 wrong use.")]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    pub(crate) text: TextArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// All tokens of a text, however many: nothing is cut
    #[arg(long, conflicts_with_all = ["truncate", "max_tokens"])]
    pub(crate) full: bool,
    /// Add the tokens' texts
    #[arg(long)]
    pub(crate) pieces: bool,
    /// Add the bytes of the text that each token comes from, as [start, end]; null for those around the text and those of
    /// the prompt
    #[arg(long)]
    pub(crate) offsets: bool,
    /// Add the number of tokens, and whether the text was cut
    #[arg(long)]
    pub(crate) counts: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  connote inspect
  connote inspect embeddinggemma-300m-Q8_0.gguf --tensors
  connote inspect embeddinggemma-300m-Q8_0.gguf --json > model.json

Exit codes: 0 it was read (what the file lacks is a warning), 1 it is no GGUF file, 2 wrong use.")]
pub(crate) struct InspectArgs {
    #[arg(value_name = "PATH|NAME", help = MODEL_HELP, conflicts_with = "model")]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// As JSON, with every key and tensor
    #[arg(long)]
    pub(crate) json: bool,
    /// List every metadata key
    #[arg(long)]
    pub(crate) metadata: bool,
    /// List every tensor
    #[arg(long)]
    pub(crate) tensors: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  connote similar \"how do plants eat\" \"photosynthesis turns light into sugar\" \"cats sleep a lot\"\n  \
    connote similar --top 3 -i notes.csv --template '{title}: {body}' \"how do plants eat\""
)]
pub(crate) struct SimilarArgs {
    /// The text that the others are compared with
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) text: TextArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// The task of the texts, where it is not the query's: `--task query --text-task document`
    #[arg(long, value_name = "TASK")]
    pub(crate) text_task: Option<TaskChoice>,
    #[command(flatten)]
    pub(crate) vector: VectorArgs,
    /// Show only the N best
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "It speaks the protocols of OpenAI (/v1/embeddings, /v1/models), Text Embeddings Inference (/embed, /embed_all, /tokenize, \
    /decode, /info), Ollama (/api/embed, /api/embeddings, /api/tags, /api/show, /api/ps, /api/version) and llama-server (/embedding, /embeddings, \
    /tokenize, /detokenize, /props); GET / is a page for browsers; GET /health says whether it runs, /health/ready whether to send it requests, /metrics what it did. Ctrl-C or SIGTERM ends the \
    server when the requests at hand are answered; a second one ends it at once. Lines of JSON \
    (Content-Type: application/x-ndjson) are streams of any length. GET /openapi.json describes all routes.\n\nExamples:\n  connote serve --model embeddinggemma-300m-Q8_0.gguf --port 8080\n  \
    connote serve --model notes=embeddinggemma-300m-Q8_0.gguf --model small=all-MiniLM-L6-v2-Q8_0.gguf\n  \
    connote serve --batch-folder batches --port 8080\n  \
    curl http://127.0.0.1:8080/v1/embeddings -d '{\"input\": [\"a cat on the mat\", \"a feline on a rug\"]}'"
)]
pub(crate) struct ServeArgs {
    #[arg(short, long = "model", value_name = "[ALIAS=]PATH|NAME", help = SERVED_HELP)]
    pub(crate) models: Vec<OsString>,
    /// The address to listen at, or a name of this machine; 0.0.0.0 is all its addresses
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The port to listen at; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Listen at a Unix socket instead; it is made, and removed when the server begins to stop
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub(crate) unix_socket: Option<PathBuf>,
    /// A file of keys, one a line (` #` begins a comment): requests must have one of them, as `Authorization: Bearer KEY` or
    /// `X-Api-Key: KEY`. SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// An origin whose pages may ask, such as https://example.org; may be given several times, `*` is all
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) cors: Vec<String>,
    /// The largest body of a request, in MiB; a larger one is refused (413)
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) max_body_mb: u32,
    /// MiB of vectors in one answer, at 4 bytes a value; a request for more is refused (413)
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) max_answer_mb: u32,
    /// Tokens of one request; one with more is refused (413)
    #[arg(long, value_name = "N", default_value_t = 1 << 22, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_request_tokens: u32,
    /// MiB of bodies and answers that may be at hand at once; a request that would be past it is told when to come back (429)
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) max_held_mb: u32,
    /// Seconds that a request may take; then it is refused (504) and its work stops
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) request_timeout: u32,
    /// Seconds that a client may take to send the head of a request, or keep still with its body or with an answer; then its
    /// connection ends
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) client_timeout: u32,
    /// Tokens of each priority that may wait; a request that would be past it is told when to come back (429)
    #[arg(long, value_name = "N", default_value_t = 1 << 18, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_queue_tokens: u32,
    /// Whose shape POST /embeddings answers in, which two protocols have; `content` always has llama-server's
    #[arg(long, value_name = "PROTOCOL", default_value = "openai")]
    pub(crate) dialect: DialectChoice,
    /// What token ids on OpenAI's routes are: refused, or of the model's own vocabulary
    #[arg(long, value_name = "MEANING", default_value = "reject")]
    pub(crate) token_ids: TokenIdsChoice,
    /// Take files and batches as OpenAI's clients send them (/v1/files, /v1/batches), and keep them in this folder, which is made
    /// where there is none; what is unfinished goes on when a server has the folder again
    #[arg(long, value_name = "DIR")]
    pub(crate) batch_folder: Option<PathBuf>,
    /// The largest file of a batch, in MiB; a larger one is refused (413)
    #[arg(long, value_name = "N", default_value_t = 200, requires = "batch_folder", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub(crate) max_batch_file_mb: u32,
    /// What the files of that folder may have together, in MiB, those of results with them; an upload beyond it is refused (413), a
    /// batch whose results go beyond it fails, and keeps those it has
    #[arg(long, value_name = "N", default_value_t = 20_480, requires = "batch_folder", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub(crate) max_batch_folder_mb: u32,
    /// Say on stderr what machine was seen, and how calls of a few sizes are computed and why
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) tuning: TuningArgs,
}

/// What is logged.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What is logged on stderr: off, error, warn, info (a line a request), debug or trace, or a filter such as
    /// `connote::request=info,warn`. Never a text or a key
    #[arg(long, value_name = "LEVEL|FILTER", env = "CONNOTE_LOG", default_value = "warn", value_parser = logs::filter)]
    pub(crate) log: String,
    /// How it is logged
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// How lines of a log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// A JSON object a line
    Json,
}

/// Whose shape an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectChoice {
    /// OpenAI's
    Openai,
    /// llama-server's
    Llama,
}

/// What token ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenIdsChoice {
    /// Refused, with the setting of the client that sends them
    Reject,
    /// Of the model's own vocabulary
    Model,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without it, the choice of workers and threads starts from what is usual and learns while it runs; with it, it starts \
    from facts. What was measured holds for this model, CPU, CPU level, limits and version of connote, and is kept in $CONNOTE_CACHE_DIR, \
    else `connote` in the user's cache folder. Nothing else should run meanwhile.\n\nExample:\n  connote tune --model embeddinggemma-300m-Q8_0.gguf"
)]
pub(crate) struct TuneArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Seconds to measure for, from 0.1 to 20
    #[arg(long, value_name = "N", default_value_t = 15.0, value_parser = tune_seconds)]
    pub(crate) seconds: f64,
    /// As one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

fn tune_seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=20.0).contains(&seconds) { Ok(seconds) } else { Err("not from 0.1 to 20".to_owned()) }
}
