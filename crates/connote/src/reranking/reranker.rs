//! The reranker: a model that scores pairs of texts, with its weights packed, shared by all threads.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use encoder::{Readout, Scoring};
use tokenizer::Kind;

use super::pair::{PairFormat, check_total};
use super::request::RankRequest;
use super::score::{Ranked, Reading, Score, labels};
use crate::embedder::{Builder, Embedder, failed, internal};
use crate::embedding::Embedding;
use crate::error::{Error, ErrorKind};
use crate::model::Model;
use crate::pending::{Pending, PreparedCall, Reply};
use crate::prepare::Prepared;
use crate::request::Truncation;
use crate::{each, schedule::Priority};

/// Scores documents for queries: a cross-encoder, which reads both at once, or a language model that is asked whether one
/// answers the other. `Send + Sync`, and in the same queue and with the same promises as an [`Embedder`]: a pair's score has
/// the same bits whatever it is computed with.
///
/// ```no_run
/// use connote::{RankRequest, Reranker};
///
/// let reranker = Reranker::open("bge-reranker-v2-m3-Q8_0.gguf")?;
/// let documents = ["Garlic is planted in autumn.", "The harbour freezes in January."];
/// for best in reranker.rank(RankRequest::new("plant garlic when?", documents).top_n(1))? {
///     println!("{} {:.3}", documents[best.index], best.score.score);
/// }
/// # Ok::<(), connote::Error>(())
/// ```
pub struct Reranker {
    /// The network, which scores here instead of pooling.
    embedder: Embedder,
    format: PairFormat,
    labels: Vec<String>,
}

impl Model {
    /// The head that scores pairs, if the file has one.
    pub fn scoring(&self) -> Option<&Scoring> {
        self.config().scoring.as_ref()
    }

    /// Whether it scores pairs and nobody says how else to use it.
    pub fn is_reranker(&self) -> bool {
        self.scoring().is_some() && self.pooling().is_err()
    }

    /// Why it cannot score.
    fn scoring_or_error(&self) -> Result<&Scoring, Error> {
        self.scoring().ok_or_else(|| {
            let message = format!(
                "the model `{}` is no reranker that connote knows: its file has no classifier head (`cls.output.weight`, \
                 `cls.weight`) of its architecture; use a model that scores pairs, such as bge-reranker-v2-m3",
                self.name()
            );
            Error::new(ErrorKind::UnsupportedModel, message)
        })
    }
}

impl Builder {
    /// Opens a reranker and packs its weights.
    ///
    /// # Errors
    /// As [`Model::open`] and [`load_reranker`](Self::load_reranker).
    pub fn open_reranker(self, path: impl AsRef<Path>) -> Result<Reranker, Error> {
        self.load_reranker(Model::open(path)?)
    }

    /// Packs the weights of an opened reranker. A [pooling](Self::pooling) that was set does not matter: the head's row is as
    /// the file says.
    ///
    /// # Errors
    /// As [`load`](Self::load), and if the file has no head that scores.
    pub fn load_reranker(self, model: Model) -> Result<Reranker, Error> {
        let pooling = model.scoring_or_error()?.pooling;
        self.pooling(pooling).load(model)?.reranker()
    }
}

impl Embedder {
    /// The same model as a reranker; the packed weights are shared.
    ///
    /// # Errors
    /// If the file has no head that scores, or a template that is none.
    pub fn reranker(&self) -> Result<Reranker, Error> {
        let model = self.model();
        let labels = labels(model.scoring_or_error()?);
        let tokenizer = model.tokenizer();
        let format = PairFormat::stated(tokenizer, model.gguf().metadata())?;
        // Tokenizers of BERT's kind count the second text as a type of its own, where there is one; others say nothing of it.
        let has_types = tokenizer.kind() == Kind::WordPiece && self.encoder().has_second_type();
        let separator = tokenizer.between().first().copied().filter(|_| has_types && format.is_joined());
        Ok(Reranker { embedder: self.with_readout(Readout::Scores { separator }), format, labels })
    }
}

impl Reranker {
    /// Opens a model file with default settings ([`Builder::open_reranker`] has others).
    ///
    /// # Errors
    /// As [`Builder::open_reranker`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Embedder::builder().open_reranker(path)
    }

    /// Takes a GGUF file held in memory, at any alignment, with default settings.
    ///
    /// # Errors
    /// As [`Builder::open_reranker`].
    pub fn from_bytes(bytes: impl Into<gguf::Bytes>) -> Result<Self, Error> {
        Embedder::builder().load_reranker(Model::from_bytes(bytes)?)
    }

    /// The documents, the best first; of equal ones the earlier.
    ///
    /// # Errors
    /// If the request makes no sense for this model, or for the first document that fails, with its index.
    /// [`score_each`](Self::score_each) keeps the others.
    pub fn rank(&self, request: RankRequest) -> Result<Vec<Ranked>, Error> {
        let call = self.prepare(request)?;
        // Nothing is computed for a call that cannot succeed.
        if let Some((index, error)) = call.errors().next() {
            return Err(error.clone().at(index));
        }
        let top_n = call.top_n;
        let scores = call.compute().into_iter().enumerate();
        let scores: Result<Vec<Score>, Error> =
            scores.map(|(index, one)| one.map_err(|error| error.at(index))).collect();
        Ok(Ranked::best_first(scores?, top_n))
    }

    /// A score for every document, in their order: one that fails does not touch the others.
    ///
    /// # Errors
    /// Only if the request makes no sense for this model, whatever the documents.
    pub fn score_each(&self, request: RankRequest) -> Result<Vec<Result<Score, Error>>, Error> {
        Ok(self.prepare(request)?.compute())
    }

    /// The pairs as token ids, ready to be computed: for who wants to know their number first, or to wait without a thread.
    ///
    /// # Errors
    /// Only if the request makes no sense for this model, whatever the documents: a label that it does not have or that must
    /// be named, a limit past its context, a query that leaves no room, more tokens than [`RankRequest::most_tokens`].
    pub fn prepare(&self, request: RankRequest) -> Result<PreparedRanking, Error> {
        let RankRequest { query, documents, top_n, label, truncation, max_tokens, most_tokens, schedule } =
            request;
        let model = self.model();
        let reading = Reading::choose(&self.labels, label.as_deref())?;
        let (limit, context) = (max_tokens.unwrap_or(model.max_tokens()), model.context_length());
        if limit > context {
            let message = format!("a limit of {limit} tokens is more than the model's context of {context}");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let query = self.format.query(model.tokenizer(), &query);
        let most = most_tokens.unwrap_or(usize::MAX);
        query.check(limit, documents.len(), most)?;
        let prepare = |document: &String| {
            schedule.ended().map_or(Ok(()), |ended| Err(failed(ended)))?;
            query.with(document, limit, truncation)
        };
        let prepared = each::map(&documents, self.embedder.team(), prepare).into_iter();
        let prepared = prepared.map(|one| one.unwrap_or_else(|panic| Err(internal(&panic))));
        let (engine, pool) = (self.embedder.engine.clone(), self.embedder.pool.clone());
        let call = PreparedCall::new(prepared, engine, pool, Reply::Scores, schedule);
        check_total(call.tokens(), most)?;
        Ok(PreparedRanking { call, reading, top_n })
    }

    /// What the network reads of a pair, whose document is cut where it is too long.
    ///
    /// # Errors
    /// If the query leaves no room for a document.
    pub fn prepare_pair(&self, query: &str, document: &str) -> Result<Prepared, Error> {
        self.prepare_pair_within(query, document, self.model().max_tokens(), Truncation::End)
    }

    /// The same at another limit and with another way to cut.
    ///
    /// # Errors
    /// As [`prepare_pair`](Self::prepare_pair), and if the pair is too long under [`Truncation::Error`].
    pub fn prepare_pair_within(
        &self,
        query: &str,
        document: &str,
        limit: usize,
        truncation: Truncation,
    ) -> Result<Prepared, Error> {
        let query = self.format.query(self.model().tokenizer(), query);
        query.check(limit, 1, usize::MAX)?;
        query.with(document, limit, truncation)
    }

    /// The names of the outputs of the model's head: one for most rerankers.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The model: its description and tokenizer.
    pub fn model(&self) -> &Model {
        self.embedder.model()
    }

    /// The network and its threads, for those who measure or tune them. What it embeds with is the head's row.
    pub fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// What a user should hear before trusting the scores.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let Some(scoring) = self.model().scoring() else { return warnings };
        if let Some(lost) = scoring.lost {
            warnings.push(format!(
                "the file lacks {lost}, which the authors' models of its architecture have: scores differ from theirs, and so may \
                 the order. Convert the model again (`connote convert` keeps what models of the `bert` architecture have)."
            ));
        }
        if !scoring.pooling_stated {
            warnings.push(format!(
                "the file does not say which row is scored (`classifier.pooling_type`); `{}` is taken",
                scoring.pooling
            ));
        }
        if self.format.is_joined() && self.model().tokenizer().between().is_empty() {
            warnings.push(
                "the file has no template for pairs and no token that goes between two texts: query and document run together, \
                 which the authors' model may not have been trained for"
                    .to_owned(),
            );
        }
        warnings.extend(self.embedder.unread_warning());
        warnings
    }
}

/// Pairs that are token ids already; see [`Reranker::prepare`].
#[must_use = "nothing is computed before `compute` or `submit`"]
pub struct PreparedRanking {
    call: PreparedCall,
    reading: Reading,
    top_n: Option<usize>,
}

impl PreparedRanking {
    /// Tokens that the network will read, of all pairs.
    pub fn tokens(&self) -> usize {
        self.call.tokens()
    }

    /// Who goes first: as the request says, else by its size.
    pub fn priority(&self) -> Priority {
        self.call.priority()
    }

    /// Documents that can have no score, by their index, and why.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.call.errors()
    }

    /// A score for every document, in their order, when all are computed; this thread helps.
    pub fn compute(self) -> Vec<Result<Score, Error>> {
        scores(self.reading, self.call.compute())
    }

    /// Begins, and returns at once: for async programs, under whatever runtime.
    pub fn submit(self) -> PendingScores {
        PendingScores { pending: self.call.submit(), reading: self.reading }
    }
}

/// The scores of a call that is computed meanwhile, a result a document, in their order. As [`Pending`] is of vectors: dropping
/// it ends the call.
#[must_use = "dropping it ends the call"]
pub struct PendingScores {
    pending: Pending,
    reading: Reading,
}

impl PendingScores {
    /// How long the call waited until the first of its pairs began; `None` before that.
    pub fn waited(&self) -> Option<Duration> {
        self.pending.waited()
    }
}

impl Future for PendingScores {
    type Output = Vec<Result<Score, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reading = self.reading;
        Pin::new(&mut self.pending).poll(context).map(|outputs| scores(reading, outputs))
    }
}

fn scores(reading: Reading, outputs: Vec<Result<Embedding, Error>>) -> Vec<Result<Score, Error>> {
    let score = |one: Result<Embedding, Error>| {
        let Embedding { vector, tokens, truncated, .. } = one?;
        reading.score(vector, tokens, truncated)
    };
    outputs.into_iter().map(score).collect()
}
