//! The embedder: a model with its weights packed, shared by all threads.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use encoder::{Batch, Encoder, Pooling, Workspace};
use kernels::{Kernels, Level};
use threads::{Budget, Team};

use crate::embedding::{Embedding, finish};
use crate::error::{Error, ErrorKind};
use crate::fingerprint::{self, Fingerprint};
use crate::gate::Gate;
use crate::joint::Joint;
use crate::model::Model;
use crate::plan::{MOST_TOKENS, plan};
use crate::request::{Input, Options, Request};
use crate::tuning::Tuning;
use crate::weight_hash;
use crate::workers;

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
    encoder: Encoder,
    pooling: Pooling,
    /// All threads: they share the texts of a call, or the products of one text.
    team: Team,
    /// The calling thread alone, for a micro-batch beside which others run.
    alone: Team,
    joint: Joint<Vec<u32>, Result<Vec<f32>, String>>,
    /// Calls too large to join others.
    gate: Gate,
    workspaces: Mutex<Vec<Workspace>>,
    tuning: Mutex<Tuning>,
    cache: Option<PathBuf>,
    weights: OnceLock<fingerprint::Digest>,
    tokenizer: OnceLock<fingerprint::Digest>,
}

/// More than any machine has: a number past it is a mistake that must not start so many threads.
const MOST_THREADS: usize = 1024;

/// How an [`Embedder`] is made; see [`Embedder::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    threads: usize,
    pooling: Option<Pooling>,
    level: Option<Level>,
    cache: Option<PathBuf>,
    tuning: Tuning,
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

    /// The CPU level, instead of what `CONNOTE_CPU` names or the fastest the machine has.
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// How workers and threads are chosen. Default: by itself, from the work, the machine and what is observed.
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// A folder to keep hashes of model files in, for fingerprints. Default: `$CONNOTE_CACHE_DIR`, else
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
        let pooling = self.pooling.map_or_else(|| model.pooling(), Ok)?;
        let level = self.level.map_or_else(Level::chosen, Ok)?;
        let kernels = Kernels::of(level).ok_or(kernels::LevelError::Lacking(level))?;
        let threads = self.threads.min(MOST_THREADS);
        if threads > Budget::process().cpus() {
            // Asked for by number: more than the machine seems to have.
            Budget::process().set_cpus(threads);
        }
        let team = Team::new(threads);
        let gate = Gate::new(team.threads());
        let encoder = Encoder::load(model.gguf(), kernels, &team)?;
        let (words, rows) = (model.tokenizer().vocab_size(), encoder.vocabulary());
        if words > rows {
            let message = format!(
                "the tokenizer has {words} tokens and the embedding table {rows} rows; the file is damaged"
            );
            return Err(Error::new(ErrorKind::ModelFile, message));
        }
        Ok(Embedder {
            model,
            encoder,
            pooling,
            team,
            alone: Team::new(1),
            joint: Joint::default(),
            gate,
            workspaces: Mutex::default(),
            tuning: Mutex::new(self.tuning),
            cache: self.cache.or_else(weight_hash::default_cache),
            weights: OnceLock::new(),
            tokenizer: OnceLock::new(),
        })
    }
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
        self.embed_each(request)?
            .into_iter()
            .enumerate()
            .map(|(index, one)| one.map_err(|e| e.at(index)))
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
        let Request { inputs, options, schedule: _ } = request.into();
        self.model.check_options(&options)?;
        let dimensions = self.model.check_dimensions(options.dimensions)?;
        let prepared = workers::map(&inputs, &self.team, |input| self.model.prepare(input, &options));

        // What cannot be prepared has its error already; the others are computed.
        let mut ids = Vec::with_capacity(prepared.len());
        let mut texts: Vec<Result<(usize, bool), Error>> = Vec::with_capacity(prepared.len());
        for one in prepared {
            texts.push(one.unwrap_or_else(|panic| Err(internal(&panic))).map(|text| {
                let known = (text.ids.len(), text.truncated);
                ids.push(text.ids);
                known
            }));
        }
        let mut rows = self.compute(ids).into_iter();
        let finished = texts.into_iter().map(|text| {
            let (tokens, truncated) = text?;
            let rows = rows.next().unwrap_or_else(|| Err("the text was not computed".to_owned()));
            let rows = rows.map_err(|panic| internal(&panic))?;
            let vector = finish(&rows, self.encoder.output_dim(), dimensions, &options)?;
            Ok(Embedding { vector, dimensions, tokens, truncated })
        });
        Ok(finished.collect())
    }

    /// The pooled rows of token sequences, in their order; for one that failed, why. Small calls of several
    /// threads are computed together.
    fn compute(&self, sequences: Vec<Vec<u32>>) -> Vec<Result<Vec<f32>, String>> {
        let count = sequences.len();
        let tokens = sequences.iter().map(Vec::len).sum();
        if tokens > MOST_TOKENS {
            let _place = self.gate.enter();
            return self.compute_now(&sequences);
        }
        let joined = self.joint.run(sequences, tokens, MOST_TOKENS, |sequences| self.compute_now(sequences));
        joined.unwrap_or_else(|| vec![Err("another call's failure".to_owned()); count])
    }

    fn compute_now(&self, sequences: &[Vec<u32>]) -> Vec<Result<Vec<f32>, String>> {
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        let batches = self.micro_batches(&lengths);
        // Texts side by side where there are enough for all threads, else all threads on each text.
        let side_by_side = batches.len() >= self.team.threads();
        let (outer, inner) = if side_by_side { (&self.team, &self.alone) } else { (&self.alone, &self.team) };
        let run = |batch: &[usize]| self.run(inner, batch, sequences);
        let mut results = vec![Err("the text was not computed".to_owned()); sequences.len()];
        for (job, result) in workers::settle(&batches, outer, run, |panic| Err(panic.to_owned())) {
            results[job] = result;
        }
        // A larger call may be missing the threads that this one took.
        self.team.invite();
        results
    }

    /// One micro-batch through the network, on `team`: the rows of each of its sequences.
    fn run(&self, team: &Team, batch: &[usize], sequences: &[Vec<u32>]) -> Vec<Result<Vec<f32>, String>> {
        let mut workspace = self.take_workspace();
        let packed: Batch = batch.iter().map(|&job| sequences[job].as_slice()).collect();
        let rows = self.encoder.forward(team, &packed, self.pooling, &mut workspace);
        self.keep_workspace(workspace);
        let mut rest = rows.as_slice();
        let one = |&job: &usize| {
            let width = self.pooling.rows(sequences[job].len()) * self.encoder.output_dim();
            let (own, others) = rest.split_at(width);
            rest = others;
            Ok(own.to_vec())
        };
        batch.iter().map(one).collect()
    }

    fn take_workspace(&self) -> Workspace {
        let mut free = self.workspaces.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    /// Keeps scratch for the next call, as much as can be in use at once but for rare moments.
    fn keep_workspace(&self, workspace: Workspace) {
        let mut free = self.workspaces.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if free.len() <= self.team.threads() {
            free.push(workspace);
        }
    }

    /// The model: its description and tokenizer.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The network, for those who measure it or run batches of ids themselves.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Which texts of a call are computed together: indices of texts that have these lengths in tokens, every one
    /// once, those of a micro-batch side by side.
    pub fn micro_batches(&self, lengths: &[usize]) -> Vec<Vec<usize>> {
        plan(lengths, self.team.threads())
    }

    /// Values of a whole vector.
    pub fn dimensions(&self) -> usize {
        self.encoder.output_dim()
    }

    /// How rows become a vector.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// How workers and threads are chosen.
    pub fn tuning(&self) -> Tuning {
        *self.tuning.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes how workers and threads are chosen, from the next call on. Vectors stay the same to the bit.
    pub fn set_tuning(&self, tuning: Tuning) {
        *self.tuning.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = tuning;
    }

    /// Threads that work on a call.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Bytes of memory that the packed weights take.
    pub fn packed_bytes(&self) -> usize {
        self.encoder.packed_bytes()
    }

    /// What a user should hear before trusting the vectors.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.model.warnings();
        let unread = self.encoder.unread_tensors();
        if !unread.is_empty() {
            let shown = unread.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if unread.len() > 5 { ", ..." } else { "" };
            warnings.push(format!(
                "{} tensors of the file are not used ({shown}{more}): it may hold more than an embedding model, or not the network its architecture names",
                unread.len()
            ));
        }
        warnings
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

fn internal(panic: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the engine failed on this text (please report it): {panic}"))
}
