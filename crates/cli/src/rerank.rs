//! `connote rerank`: texts ranked by how well they answer a query, as a reranker reads both together.

use clap::Args;
use connote::jsonl::RowError;
use connote::{Embedder, RankRequest, Reranker, Score, Truncation};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::{ModelArgs, OutputArgs, OutputFormat, SourceArgs, TextArgs};
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::output::{Output, excerpt};
use crate::rows::Rows;
use crate::say::say;

#[derive(Debug, Args)]
#[command(
    after_help = "The model is a reranker: it reads query and text together and gives a score, from 0 to 1, and no vectors. It takes as long for each \
    text as embedding it; rank the best hundred that a search found.\n\nExamples:\n  \
    connote rerank -m bge-reranker.gguf -q \"when is garlic planted\" \"In autumn.\" \"Cats sleep.\"\n  \
    connote rerank -m bge-reranker.gguf -q \"garlic when\" --input notes.jsonl --top-n 3 -o best.jsonl\n  \
    cut -f2 notes.tsv | connote rerank -m bge-reranker.gguf -q \"garlic when\" --raw"
)]
pub(crate) struct RerankArgs {
    /// What the texts are to answer
    #[arg(short, long, value_name = "TEXT")]
    query: String,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Show only the N best
    #[arg(long, visible_alias = "top", value_name = "N")]
    top_n: Option<usize>,
    /// Scores as the model's head gives them (logits), instead of from 0 to 1
    #[arg(long)]
    raw: bool,
    /// The label whose score ranks, of models that give several, such as `entailment`
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// What to do with texts that are too long: error, end (cut the end) or start. The query is never cut
    #[arg(long, value_name = "POLICY", default_value_t)]
    truncate: Truncation,
    /// The longest pair in tokens, query and special tokens included [default: the model's]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// CPUs to keep busy; 0 is as many as this process may use
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    output: OutputArgs,
}

/// A line of output, the best first.
#[derive(Serialize)]
struct Ranked {
    id: Box<RawValue>,
    score: f32,
    truncated: bool,
    text: String,
    #[serde(skip)]
    of: Score,
}

pub(crate) fn run(args: &RerankArgs) -> Result<Outcome, Failure> {
    if args.top_n == Some(0) {
        return Err(Failure::usage("--top-n 0 would show nothing; leave it out to see all texts"));
    }
    if args.query.trim().is_empty() {
        return Err(Failure::usage("--query is empty; say what the texts are to answer"));
    }
    // They have neither titles nor tasks of their own: fields that are called so are something else.
    let are_rows = args.source.texts.is_empty();
    let texts = TextArgs {
        source: args.source.clone(),
        title_column: None,
        no_titles: are_rows,
        task_column: None,
        no_tasks: are_rows,
    };
    let mut rows = Rows::open(&texts, &[])?;
    let reranker = load(args)?;
    // Whatever the texts, before any is read.
    let nothing: [String; 0] = [];
    let _ = reranker.prepare(request(args, nothing))?;
    let mut output = Output::open(&args.output, &rows)?;
    let mut ranked: Vec<Ranked> = Vec::new();
    let (mut read, mut failed) = (0, 0);
    while let Some(chunk) = rows.next_chunk()? {
        read += chunk.rows.len() as u64;
        let given = chunk.rows.iter().filter_map(|row| row.input.as_ref().ok());
        let texts: Vec<String> = given.map(|input| input.text().to_owned()).collect();
        let mut scores = reranker.score_each(request(args, texts))?.into_iter();
        for row in chunk.rows {
            let scored = row.input.and_then(|input| match scores.next() {
                Some(Ok(score)) => Ok((input, score)),
                Some(Err(error)) => {
                    Err(RowError { kind: error.kind().name(), message: error.message().to_owned() })
                }
                None => unreachable!("every text has a score or an error"),
            });
            match scored {
                Ok((input, score)) => ranked.push(Ranked::new(args, row.id, input.text(), score)),
                Err(error) => {
                    failed += 1;
                    output.failed(&row.id, &error)?;
                }
            }
        }
        if args.top_n.is_some_and(|top_n| ranked.len() >= top_n.saturating_mul(2)) {
            keep_best(&mut ranked, args.top_n);
        }
    }
    keep_best(&mut ranked, args.top_n);
    if read == 0 {
        say(format_args!("connote: there are no texts to rank"));
    }
    for one in &ranked {
        match output.format() {
            OutputFormat::Jsonl => output.json(one)?,
            OutputFormat::Text => {
                let cut = if one.truncated { " (cut)" } else { "" };
                output.line(&format!("{:.4}  {}  {}{cut}", one.score, one.id, excerpt(&one.text, 90)))?
            }
        }
    }
    output.finish()?;
    Ok(Outcome::of_rows(read, failed))
}

/// The best first, of equal ones the earlier, and no more than can be shown.
fn keep_best(ranked: &mut Vec<Ranked>, top_n: Option<usize>) {
    ranked.sort_by(|one, other| one.of.better_first(&other.of));
    ranked.truncate(top_n.unwrap_or(usize::MAX));
}

impl Ranked {
    fn new(args: &RerankArgs, id: Box<RawValue>, text: &str, of: Score) -> Self {
        let score = if args.raw { of.raw } else { of.score };
        Self { id, score, truncated: of.truncated, text: text.to_owned(), of }
    }
}

fn request(args: &RerankArgs, texts: impl IntoIterator<Item = String>) -> RankRequest {
    let mut request = RankRequest::new(&args.query, texts).truncation(args.truncate);
    if let Some(label) = &args.label {
        request = request.label(label);
    }
    if let Some(max_tokens) = args.max_tokens {
        request = request.max_tokens(max_tokens);
    }
    request
}

/// Opens the reranker; says on stderr what its user should know.
fn load(args: &RerankArgs) -> Result<Reranker, Failure> {
    let model = model::open(&args.model)?;
    let reranker = Embedder::builder().threads(args.threads).load_reranker(model)?;
    for warning in reranker.warnings() {
        say(format_args!("connote: warning: {warning}"));
    }
    Ok(reranker)
}
