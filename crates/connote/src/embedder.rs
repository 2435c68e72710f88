//! The embedder: a model with its weights packed, shared by all threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use encoder::{Encoder, Pooling, Readout};
use kernels::{Kernels, Level};
use threads::{Pinning, Team, TeamOptions, Topology};

use crate::embedding::Embedding;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::explain::Explanation;
use crate::fingerprint::{self, Fingerprint, hex};
use crate::model::Model;
use crate::pending::{PreparedCall, Reply};
use crate::pool::{Answer, Call, Place, Pool, Statistics};
use crate::request::{Input, Options, Request};
use crate::schedule::{Failure, Schedule};
use crate::tuning::{Chooser, CostModel, Policy, Tuning, cache, calibrate};
use crate::{each, weight_hash};

/// Turns texts into vectors. `Send + Sync`: share one, by reference or in an `Arc`, between any number of
/// threads. Calls of few tokens that come while another is computed are computed together.
///
/// ```
/// # #[cfg(feature = "builtin")] {
/// let embedder = connote::Embedder::builtin()?;
/// let embeddings = embedder.embed(["a cat on the mat", "a feline on a rug"])?;
/// assert_eq!(embeddings[0].vector.len(), 384);
/// # }
/// # Ok::<(), connote::Error>(())
/// ```
pub struct Embedder {
    model: Model,
    pooling: Pooling,
    is_reranker: bool,
    pub(crate) engine: Arc<Engine>,
    pub(crate) pool: Arc<Pool>,
    /// Threads that prepare the texts of a call, which is short work.
    team: Arc<Team>,
    pub(crate) cache: Option<PathBuf>,
    /// Under which what is measured of this machine and model is kept.
    pub(crate) tuning_key: cache::Key,
    /// The same network, keeping the rows of all tokens; made when it is first asked for.
    per_token: Arc<OnceLock<Arc<Engine>>>,
    weights: Arc<OnceLock<fingerprint::Digest>>,
    tokenizer: Arc<OnceLock<fingerprint::Digest>>,
}

/// More than any machine has: a number past it is a mistake that must not start so many threads.
const MOST_THREADS: usize = 1024;

/// How long [`Policy::CostModel`] measures when a model is opened on a machine for the first time.
const CALIBRATION: Duration = Duration::from_secs(3);

/// How an [`Embedder`] is made; see [`Embedder::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    threads: usize,
    pooling: Option<Pooling>,
    rerankers: bool,
    level: Option<Level>,
    cache: Option<PathBuf>,
    tuning: Tuning,
    weights_per_node: bool,
    shared_weights: bool,
}

impl Builder {
    /// How many threads work on a call, at most 1024. 0, the default: the cores this process may use, by its
    /// affinity mask and cgroup quota, SMT siblings counted once, and no more than `CONNOTE_THREADS`,
    /// `OMP_NUM_THREADS` or `RAYON_NUM_THREADS` say.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Pooling, instead of what the file says.
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }

    /// Opens files of rerankers, too, for which neither they nor the caller say a pooling, and which otherwise give no vectors: to
    /// score pairs by [`Embedder::reranker`]. [`Embedder::is_reranker`] tells them apart.
    pub fn rerankers(mut self, too: bool) -> Self {
        self.rerankers = too;
        self
    }

    /// The CPU level, instead of what `CONNOTE_CPU` names or the fastest the machine has.
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// How workers and threads are chosen. Default: by itself, from the work, the machine and what is observed.
    /// [`Policy::CostModel`] measures for three seconds where neither it nor [`Embedder::tune`] has before.
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// On a machine of several NUMA nodes: a copy of the weights on each, read by its own workers, instead of one that all
    /// nodes share. Costs its memory once a node. Nothing changes where there is one node.
    pub fn weights_per_node(mut self, each: bool) -> Self {
        self.weights_per_node = each;
        self
    }

    /// Packed weights in a file under the [cache folder](Self::cache_dir), which all processes of the machine map, so that a further
    /// process takes little more memory than its own scratch. For machines that run several processes with one model. Costs the
    /// file (as much as [`Embedder::packed_bytes`]) and what a file's small pages cost; the first process that opens a model
    /// writes it. Where there is no such folder, or weights go [to each node](Self::weights_per_node) of several, nothing is shared.
    pub fn shared_weights(mut self, shared: bool) -> Self {
        self.shared_weights = shared;
        self
    }

    /// A folder to keep hashes of model files in, for fingerprints, and what was measured for tuning. Default: `$CONNOTE_CACHE_DIR`, else
    /// `connote` in the user's cache folder.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Opens a model file and packs its weights.
    ///
    /// # Errors
    /// As [`Model::open`] and [`load`](Self::load).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Embedder, Error> {
        self.load(Model::open(path)?)
    }

    /// Packs the weights of an opened model.
    ///
    /// # Errors
    /// If nobody says how the model pools, a tensor is missing or cannot be computed with, or the CPU level
    /// is not to be had.
    pub fn load(self, model: Model) -> Result<Embedder, Error> {
        let row = model.scoring().map(|scoring| scoring.pooling);
        let row = row.filter(|_| self.rerankers && self.pooling.is_none() && model.is_reranker());
        let pooling = self.pooling.or(row).map_or_else(|| model.pooling(), Ok)?;
        let level = self.level.map_or_else(Level::chosen, Ok)?;
        let kernels = Kernels::of(level).ok_or(kernels::LevelError::Lacking(level))?;
        // Automatic is what the machine gives, also after another embedder was told to use more.
        let topology = Topology::detect();
        let threads = if self.threads == 0 { topology.workers() } else { self.threads.min(MOST_THREADS) };
        // A forked child's has a budget of its own.
        let pool = Pool::process();
        // Asked for by number: maybe more than the machine seems to have.
        pool.budget().raise_to(threads);
        let team = Team::on(pool.budget().clone(), threads);
        let nodes = if self.weights_per_node { pool.places() } else { &pool.places()[..1] };
        let cache = self.cache.or_else(weight_hash::default_cache);
        let shelf = cache.as_deref().filter(|_| self.shared_weights && nodes.len() == 1);
        let encoders = match shelf {
            Some(cache) => vec![load_shared(&model, kernels, &team, cache)?],
            None => load_on(nodes, model.gguf(), kernels, &team)?,
        };
        let encoder = &encoders[0];
        let (words, rows) = (model.tokenizer().vocab_size(), encoder.vocabulary());
        if words > rows {
            let message = format!(
                "the tokenizer has {words} tokens and the embedding table {rows} rows; the file is damaged"
            );
            return Err(Error::new(ErrorKind::ModelFile, message));
        }
        let key = cache::Key::new(encoder, level, &topology, self.threads);
        let cost = match cache::load(cache.as_deref(), &key) {
            Some(cost) => cost,
            None if self.tuning.policy == Policy::CostModel => {
                // It has nothing else to go by, and is kept for the next time.
                let cost = calibrate(encoder, pooling.into(), threads, CALIBRATION, &mut |_| {});
                cache::store(cache.as_deref(), &key, &cost);
                cost
            }
            None => CostModel::unmeasured(threads, encoder.macs_a_token(), encoder.config().layers.len()),
        };
        let chooser = Chooser::new(threads, self.tuning, cost).most_threads(pool.most_threads_a_worker());
        Ok(Embedder {
            model,
            pooling,
            is_reranker: row.is_some(),
            engine: Arc::new(Engine::new(encoders, pooling, chooser, threads, pool.places().len())),
            pool,
            team: Arc::new(team),
            cache,
            tuning_key: key,
            per_token: Arc::default(),
            weights: Arc::default(),
            tokenizer: Arc::default(),
        })
    }
}

/// Weights in a file of the cache, named by what they were packed of and for.
fn load_shared(
    model: &Model,
    kernels: &'static Kernels,
    team: &Team,
    cache: &Path,
) -> Result<Encoder, encoder::Error> {
    let weights = weight_hash::weights(model.gguf(), model.files(), Some(cache));
    let key = weight_hash::packed(&weights, kernels.level);
    let path = cache.join("packed-5").join(hex(&key[..16]));
    Encoder::load_shared(model.gguf(), kernels, team, &path, &key)
}

/// A copy of the weights for each place; memory is placed where the thread runs that writes it first.
fn load_on(
    places: &[Place],
    gguf: &gguf::Gguf,
    kernels: &'static Kernels,
    team: &Team,
) -> Result<Vec<Encoder>, encoder::Error> {
    let load = |place: &Place| {
        let Some(cpus) = place.cpus.as_ref().filter(|_| places.len() > 1) else {
            return Encoder::load(gguf, kernels, team);
        };
        let here = TeamOptions { threads: cpus.len(), budget: None, pinning: Pinning::Within(cpus.clone()) };
        let load = || {
            // Where the system does not pin, the copy lies anywhere, and is right.
            let _ = threads::pin_current_thread(cpus);
            let team = Team::with(here).unwrap_or_else(|_| Team::new(1));
            Encoder::load(gguf, kernels, &team)
        };
        std::thread::scope(|scope| {
            // A thread of its own, so that this one's affinity stays; where there is none to have, the copy lies anywhere.
            match std::thread::Builder::new().spawn_scoped(scope, load) {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => Encoder::load(gguf, kernels, team),
            }
        })
    };
    places.iter().map(load).collect()
}

impl Embedder {
    /// Opens a model file with default settings.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().open(path)
    }

    /// Takes a GGUF file held in memory, at any alignment, with default settings.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn from_bytes(bytes: impl Into<gguf::Bytes>) -> Result<Self, Error> {
        Self::builder().load(Model::from_bytes(bytes)?)
    }

    /// The model built into this program, with default settings.
    ///
    /// # Errors
    /// As [`Builder::open`].
    #[cfg(feature = "builtin")]
    pub fn builtin() -> Result<Self, Error> {
        Self::builder().load(Model::builtin()?)
    }

    /// Settings other than the default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The vectors of all texts, in their order. No texts: no vectors.
    ///
    /// # Errors
    /// If the options make no sense for this model, or for the first text that fails, with its index.
    /// [`embed_each`](Self::embed_each) keeps the others.
    pub fn embed(&self, request: impl Into<Request>) -> Result<Vec<Embedding>, Error> {
        let call = self.prepare(request)?;
        // Nothing is computed for a call that cannot succeed.
        if let Some((index, error)) = call.errors().next() {
            return Err(error.clone().at(index));
        }
        call.compute()
            .into_iter()
            .enumerate()
            .map(|(index, one)| one.map_err(|error| error.at(index)))
            .collect()
    }

    /// The vector of one text.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_one(&self, text: impl Into<Input>) -> Result<Embedding, Error> {
        let result = self.embed_each(Request::new([text]))?.pop();
        result.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "one text gave no result")))
    }

    /// A result for every text, in their order: one that fails does not touch the others.
    ///
    /// # Errors
    /// Only if the options make no sense for this model, whatever the texts.
    pub fn embed_each(&self, request: impl Into<Request>) -> Result<Vec<Result<Embedding, Error>>, Error> {
        Ok(self.prepare(request)?.compute())
    }

    /// The texts as token ids, ready to be computed: for who wants to know their number first, or to wait without a thread.
    ///
    /// # Errors
    /// Only if the options make no sense for this model, whatever the texts.
    pub fn prepare(&self, request: impl Into<Request>) -> Result<PreparedCall, Error> {
        let Request { inputs, options, schedule } = request.into();
        self.model.check_options(&options)?;
        let cut = self.model.cut(options.dimensions)?;
        let prepare = |input: &Input| {
            schedule.ended().map_or(Ok(()), |ended| Err(failed(ended)))?;
            self.model.prepare(input, &options)
        };
        let prepared = each::map(&inputs, &self.team, prepare).into_iter();
        let prepared = prepared.map(|one| one.unwrap_or_else(|panic| Err(internal(&panic))));
        let reply = Reply::Vectors { options, cut };
        Ok(PreparedCall::new(prepared, self.engine.clone(), self.pool.clone(), reply, schedule))
    }

    /// The pooled rows of token sequences, in their order; for one that failed, why.
    pub(crate) fn compute(&self, sequences: Vec<Vec<u32>>, schedule: &Schedule) -> Vec<Answer> {
        self.pool.run(Call::new(self.engine.clone(), sequences, schedule.clone()))
    }

    /// The rows of all tokens of sequences, in their order; for one that failed, why.
    pub(crate) fn token_rows(&self, sequences: Vec<Vec<u32>>, schedule: &Schedule) -> Vec<Answer> {
        let engine = self.per_token.get_or_init(|| Arc::new(self.engine.with_readout(Pooling::None.into())));
        self.pool.run(Call::new(engine.clone(), sequences, schedule.clone()))
    }

    /// Threads for short work.
    pub(crate) fn team(&self) -> &Team {
        &self.team
    }

    /// The same model with another pooling; the packed weights are shared. Pooling `none` gives a vector a token;
    /// [`Model::prepare_tokens`] says of which.
    pub fn with_pooling(&self, pooling: Pooling) -> Self {
        Self { pooling, is_reranker: false, ..self.with_readout(pooling.into()) }
    }

    /// Whether it is there to score pairs, and nobody says how to make vectors: see [`Builder::rerankers`].
    pub fn is_reranker(&self) -> bool {
        self.is_reranker
    }

    /// The same network with something else made of its rows.
    pub(crate) fn with_readout(&self, readout: Readout) -> Self {
        Self {
            model: self.model.clone(),
            pooling: self.pooling,
            is_reranker: self.is_reranker,
            engine: Arc::new(self.engine.with_readout(readout)),
            pool: self.pool.clone(),
            team: self.team.clone(),
            cache: self.cache.clone(),
            tuning_key: self.tuning_key.clone(),
            per_token: self.per_token.clone(),
            weights: self.weights.clone(),
            tokenizer: self.tokenizer.clone(),
        }
    }

    /// Takes the memory now that workers will need for the longest texts and the largest micro-batches (some 30 MB each for
    /// EmbeddingGemma, at most nine of them), which they otherwise take as they first meet them. For a process that lives long
    /// and should be seen at its size from the start; costs the time of a layer or two. Not on a machine with several NUMA nodes.
    pub fn reserve(&self) {
        self.engine.reserve(self.model.max_tokens());
    }

    /// What the workers of this process have done so far, for whichever embedder.
    pub fn statistics(&self) -> Statistics {
        self.pool.statistics()
    }

    /// The model: its description and tokenizer.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The network, for those who measure it or run batches of ids themselves.
    pub fn encoder(&self) -> &Encoder {
        self.engine.encoder()
    }

    /// Which texts of a call are computed together: indices of texts that have these lengths in tokens, every one
    /// once, those of a micro-batch side by side.
    pub fn micro_batches(&self, lengths: &[usize]) -> Vec<Vec<usize>> {
        self.engine.plan(lengths).1
    }

    /// Values of a whole vector.
    pub fn dimensions(&self) -> usize {
        self.engine.encoder().output_dim()
    }

    /// How rows become a vector.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// How a call of texts with these lengths in tokens would be computed, and why.
    pub fn explain(&self, lengths: &[usize]) -> Explanation {
        Explanation::of(&self.engine, &self.pool, lengths)
    }

    /// How workers and threads are chosen.
    pub fn tuning(&self) -> Tuning {
        self.engine.chooser.tuning()
    }

    /// Changes how workers and threads are chosen, from the next call on. Vectors stay the same to the bit.
    pub fn set_tuning(&self, tuning: Tuning) {
        self.engine.chooser.set_tuning(tuning);
    }

    /// Threads that work on a call.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Bytes of memory that the packed weights take.
    pub fn packed_bytes(&self) -> usize {
        self.engine.encoder().packed_bytes() * self.engine.copies()
    }

    /// What a user should hear before trusting the vectors.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.model.warnings();
        warnings.extend(self.unread_warning());
        if self.model.scoring().is_some() {
            warnings.push(
                "the file holds the head of a reranker, which vectors leave out: its rows were trained to be scored \
                 (`connote rerank`), not to be compared"
                    .to_owned(),
            );
        }
        warnings
    }

    /// What tensors that nobody reads are a sign of.
    pub(crate) fn unread_warning(&self) -> Option<String> {
        let unread = self.engine.encoder().unread_tensors();
        (!unread.is_empty()).then(|| {
            let shown = unread.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if unread.len() > 5 { ", ..." } else { "" };
            format!(
                "{} tensors of the file are not used ({shown}{more}): it may hold more than an embedding model, or not the network its architecture names",
                unread.len()
            )
        })
    }

    /// The name of the vector space under these options: vectors with different fingerprints must not be
    /// compared. The first call reads the whole file, unless its hash is cached.
    ///
    /// # Errors
    /// If the options make no sense for this model.
    pub fn fingerprint(&self, options: &Options) -> Result<Fingerprint, Error> {
        self.fingerprint_of(&Input::default(), options)
    }

    /// As [`fingerprint`](Self::fingerprint), for an input that may have a task of its own. Its words do not
    /// matter, nor does its title.
    ///
    /// # Errors
    /// As [`fingerprint`](Self::fingerprint).
    pub fn fingerprint_of(&self, input: &Input, options: &Options) -> Result<Fingerprint, Error> {
        let weights = *self.weights.get_or_init(|| {
            weight_hash::weights(self.model.gguf(), self.model.files(), self.cache.as_deref())
        });
        let tokenizer = *self.tokenizer.get_or_init(|| fingerprint::tokenizer(self.model.gguf().metadata()));
        fingerprint::of(&self.model, self.pooling, weights, tokenizer, input, options)
    }
}

pub(crate) fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Cancelled => Error::new(ErrorKind::Cancelled, "the call was cancelled"),
        Failure::Late => {
            Error::new(ErrorKind::DeadlineExceeded, "the deadline passed before the text was computed")
        }
        Failure::Panicked(panic) => internal(&panic),
    }
}

pub(crate) fn internal(panic: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the engine failed on this text (please report it): {panic}"))
}
