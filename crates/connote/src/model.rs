//! An opened model file: what it is, before any weight is packed.

use std::path::Path;

use encoder::{Config, Mask, Pooling, StatedPooling};
use gguf::Gguf;
use tokenizer::Tokenizer;

use crate::adapter;
use crate::embedding::Cut;
use crate::error::{Error, ErrorKind};
use crate::known::KnownModel;
use crate::prompts::{PromptTemplate, Stated};
use crate::task::Task;
use crate::weight_hash::Identity;

/// How a pooling is set, wherever this is read.
const POOLINGS: &str =
    "`--pooling mean`, `cls`, `last` or `none` (in Rust `Builder::pooling`, in Python `pooling=\"mean\"`)";

/// An opened model: its description and tokenizer. Opening is quick; weights are packed when an
/// [`crate::Embedder`] is made of it.
#[derive(Clone)]
pub struct Model {
    inner: std::sync::Arc<Inner>,
}

struct Inner {
    gguf: Gguf,
    /// The files, as they were when they were opened; empty for bytes in memory.
    files: Vec<Identity>,
    name: String,
    config: Config,
    tokenizer: Tokenizer,
    known: Option<&'static KnownModel>,
    /// The file's, and those of the table that it says nothing of.
    prompts: Vec<(Task, PromptTemplate)>,
    stated_prompts: Vec<(String, String)>,
    /// The file's own limit, special tokens included.
    stated_max_tokens: Option<usize>,
    default_prompt: String,
    stated_normalizes: Option<bool>,
    dimensions: usize,
    has_dense_heads: bool,
}

impl Model {
    /// Opens a GGUF file (the first one, if it is split).
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or holds a model that connote cannot run.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let before = Identity::of(path);
        let gguf = Gguf::open(path)?;
        // A file replaced between the two looks is not known by its path.
        let files: Option<Vec<Identity>> = gguf.shards().map(|shard| Identity::of(shard.path()?)).collect();
        let files = files.filter(|files| files.first() == before.as_ref()).unwrap_or_default();
        Self::new(gguf, files)
    }

    /// Opens a GGUF file held in memory, at any alignment.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: impl Into<gguf::Bytes>) -> Result<Self, Error> {
        Self::new(Gguf::from_bytes(bytes)?, Vec::new())
    }

    /// The model built into this program.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(feature = "builtin")]
    pub fn builtin() -> Result<Self, Error> {
        static MODEL: &[u8] = include_bytes!(env!("CONNOTE_BUILTIN_PATH"));
        Self::from_bytes(MODEL)
    }

    /// This model with what an adapter adds to its matrices (LoRA: a GGUF file of `general.type` `adapter`), as
    /// jina-embeddings-v3 has one for each task. The sums are made here, once: the result is as fast as this model, has
    /// its own [`crate::Fingerprint`], and holds all its weights in memory ([`adapted_file`](Self::adapted_file) gives
    /// them as a file to open instead). The words that the adapter was trained with go before every text that is given
    /// neither a task nor a prompt.
    ///
    /// # Errors
    /// If the file cannot be read or is no adapter for this model, or this model has an adapter already.
    pub fn with_adapter(&self, path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_bytes(self.adapted_file(path)?)
    }

    /// The file of [`with_adapter`](Self::with_adapter): a GGUF file of the whole model. Matrices that changed are F16
    /// in it, or F32 where they were F32 or BF16.
    ///
    /// # Errors
    /// As [`with_adapter`](Self::with_adapter).
    pub fn adapted_file(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        let named = |error: Error| error.in_file(path);
        adapter::merged(self.gguf(), &Gguf::open(path)?).map_err(named)
    }

    fn new(gguf: Gguf, files: Vec<Identity>) -> Result<Self, Error> {
        if adapter::is_one(&gguf)? {
            return Err(Error::new(
                ErrorKind::UnsupportedModel,
                "the file is an adapter, which only changes another model; name that model, and give it this file as its adapter",
            ));
        }
        let config = encoder::describe(&gguf)?;
        let tokenizer = Tokenizer::from_metadata(gguf.metadata())?;
        let name = gguf.metadata().str("general.name")?.unwrap_or("unnamed").to_owned();
        let known = KnownModel::find(&name, &config);
        let stated = Stated::read(gguf.metadata())?;
        let (prompts, stated_max_tokens) = (stated.over(known), stated.max_tokens);
        let (stated_normalizes, stated_prompts) = (stated.normalizes, stated.named);
        let default_prompt = match adapter::prompt(&gguf) {
            "" => stated.default_prompt,
            words => words.to_owned(),
        };
        let last_head =
            config.dense_heads.names.last().and_then(|head| gguf.tensor(&format!("{head}.weight")));
        let has_dense_heads = last_head.is_some();
        let dimensions =
            last_head.and_then(|head| head.dims().get(1).copied()).map_or(config.dim, |d| d as usize);
        let inner = Inner {
            gguf,
            files,
            name,
            config,
            tokenizer,
            known,
            prompts,
            stated_prompts,
            stated_max_tokens,
            default_prompt,
            stated_normalizes,
            dimensions,
            has_dense_heads,
        };
        Ok(Self { inner: std::sync::Arc::new(inner) })
    }

    /// The file's `general.name`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where it was opened from; `None` for bytes in memory.
    pub fn path(&self) -> Option<&Path> {
        self.inner.gguf.shards().next().and_then(|shard| shard.path())
    }

    /// The files it was opened from, as they were then; none for bytes in memory.
    pub(crate) fn files(&self) -> &[Identity] {
        &self.inner.files
    }

    /// The first of its files that was written to since it was opened, instead of replaced by another: files are mapped, so its
    /// vectors may be wrong now, and a file that is cut short ends the process. Looks at the file system; Unix only.
    pub fn changed_in_place(&self) -> Option<&Path> {
        self.files().iter().find(|file| file.was_changed()).map(Identity::path)
    }

    /// The file: every key and tensor.
    pub fn gguf(&self) -> &Gguf {
        &self.inner.gguf
    }

    /// The network's description.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// What the model's authors say of it, if it is one that connote knows.
    pub fn known(&self) -> Option<&'static KnownModel> {
        self.inner.known
    }

    /// What the adapter that this model was made with is for; empty if the adapter does not say, `None` if there is none.
    pub fn adapter(&self) -> Option<&str> {
        adapter::task(self.gguf())
    }

    /// The words that go before every text that is given neither a task nor a prompt: an adapter's, else those that the
    /// file names as sentence-transformers' default, else none.
    pub fn default_prompt(&self) -> &str {
        &self.inner.default_prompt
    }

    /// Whether the authors' own stack (sentence-transformers) gives vectors unit length: as the file says, else the table of
    /// known models, where it was looked up; `None` where neither says. connote's vectors have it unless [`crate::Options::normalize`] says otherwise.
    pub fn normalizes(&self) -> Option<bool> {
        self.inner.stated_normalizes.or(self.known().and_then(|known| known.normalizes))
    }

    /// Prompts by task: what the file says, else what the model's authors say. An empty prompt: the task is meant, and
    /// needs no words.
    pub fn prompts(&self) -> &[(Task, PromptTemplate)] {
        &self.inner.prompts
    }

    /// The file's own prompts by the names that its authors gave them at sentence-transformers, tasks or not, as they stand there.
    pub fn stated_prompts(&self) -> &[(String, String)] {
        &self.inner.stated_prompts
    }

    /// The prompt of a task, if there is one.
    pub fn prompt(&self, task: &Task) -> Option<&PromptTemplate> {
        self.prompts().iter().find(|(known, _)| known == task).map(|(_, template)| template)
    }

    /// The prompt of a task in the user's words, `{task}` standing for them.
    pub fn custom_prompt(&self) -> Option<&str> {
        self.known().and_then(|known| known.custom_prompt.as_deref())
    }

    /// Values of a whole vector.
    pub fn dimensions(&self) -> usize {
        self.inner.dimensions
    }

    /// Tokens the network can read at most.
    pub fn context_length(&self) -> usize {
        self.inner.config.context_length
    }

    /// Tokens a text may have: the file's own limit, else the authors', else the context length. Special tokens count.
    pub fn max_tokens(&self) -> usize {
        let limit = self.inner.stated_max_tokens.or(self.known().map(|known| known.max_tokens));
        limit.map_or(self.context_length(), |limit| limit.min(self.context_length()))
    }

    /// How the model pools, as the file says, else as all models of its architecture do, else as its authors
    /// do.
    ///
    /// # Errors
    /// If nobody says, or the file says what connote cannot do: then it must be set.
    pub fn pooling(&self) -> Result<Pooling, Error> {
        let config = &self.inner.config;
        let assumed = config.default_pooling.or(self.known().and_then(|known| known.pooling));
        let what = match (&config.pooling, assumed) {
            (StatedPooling::As(pooling), _) => return Ok(*pooling),
            (StatedPooling::Unstated, Some(pooling)) => return Ok(pooling),
            (StatedPooling::Unusable(what), _) => what.clone(),
            (StatedPooling::Rank, _) => {
                let message = format!(
                    "`{}` is a reranker: it scores pairs of texts (`connote rerank`, POST /rerank, in the library `Reranker`) and \
                     gives no vectors. To embed with its rows all the same, set how they are pooled: {POOLINGS}",
                    self.name()
                );
                return Err(Error::new(ErrorKind::PoolingUnknown, message));
            }
            (StatedPooling::Unstated, None) => {
                "the file does not say how to pool, and models of its architecture differ".to_owned()
            }
        };
        let message = format!("`{}`: {what}. Set it as the model's authors do: {POOLINGS}", self.name());
        Err(Error::new(ErrorKind::PoolingUnknown, message))
    }

    /// Whether the file has the dense heads that its architecture can have.
    pub fn has_dense_heads(&self) -> bool {
        self.inner.has_dense_heads
    }

    /// What a user should hear of this file before trusting its vectors.
    pub fn warnings(&self) -> Vec<String> {
        let config = &self.inner.config;
        let heads = &config.dense_heads;
        let mut warnings = Vec::new();
        if heads.expected && !self.has_dense_heads() {
            warnings.push(format!(
                "the file lacks the model's dense heads ({}): its vectors differ from the authors' model and must \
                 not be mixed with them. Convert the model again with its dense modules, or go on if all vectors \
                 you compare come from such a file.",
                heads.names.join(", ")
            ));
        }
        if let Some(lost) = config.lost {
            warnings.push(format!(
                "the authors' model has {lost}, which files of its architecture do not hold: where that is not zero, \
                 vectors differ from theirs."
            ));
        }
        if let (StatedPooling::Unstated, Ok(pooling)) = (&config.pooling, self.pooling()) {
            warnings.push(format!(
                "the file does not say how to pool; `{pooling}` is taken, as the model's authors do (to set another: {POOLINGS})"
            ));
        }
        let looks_back =
            config.layers.iter().any(|layer| matches!(layer.mask, Mask::Causal | Mask::CausalWindow { .. }));
        if self.known().is_some_and(|known| known.bidirectional) && looks_back {
            let key = format!("{}.attention.causal", config.architecture);
            let says = if self.gguf().metadata().get(&key).is_some() {
                "says"
            } else {
                "does not say otherwise, and"
            };
            warnings.push(format!(
                "the file {says} that a token sees what is before it alone ({key}), and in the authors' model it sees the \
                 whole text: vectors differ from theirs. Put \"is_causal\": false into its config.json and convert it again."
            ));
        }
        if let Some((before, after)) = self.known().and_then(|known| known.special_tokens.as_ref()) {
            let pieces =
                |ids: &[u32]| ids.iter().filter_map(|&id| self.tokenizer().piece(id)).collect::<String>();
            let adds = (pieces(self.tokenizer().prefix()), pieces(self.tokenizer().suffix()));
            if (&adds.0, &adds.1) != (before, after) {
                warnings.push(format!(
                    "the file's tokenizer puts `{}` before and `{}` after a text, and the model's authors `{before}` \
                     and `{after}`: vectors differ from theirs. Get a file that was converted rightly.",
                    adds.0, adds.1
                ));
            }
        }
        warnings
    }

    /// How vectors are cut to this many values.
    ///
    /// # Errors
    /// If they cannot be.
    pub(crate) fn cut(&self, dimensions: Option<usize>) -> Result<Cut, Error> {
        let dimensions = self.check_dimensions(dimensions)?;
        let is_cut = dimensions < self.dimensions();
        let layer_norm = is_cut && self.known().is_some_and(|known| known.layer_norm_before_cut);
        Ok(Cut { dimensions, layer_norm })
    }

    /// The number of values a vector is cut to under these options.
    ///
    /// # Errors
    /// If the model's vectors cannot be cut to that size.
    pub fn check_dimensions(&self, dimensions: Option<usize>) -> Result<usize, Error> {
        let whole = self.dimensions();
        let Some(wanted) = dimensions else { return Ok(whole) };
        let trained = self.known().map_or(&[][..], |known| &known.matryoshka);
        if wanted == whole || ((1..=whole).contains(&wanted) && !trained.is_empty()) {
            return Ok(wanted);
        }
        let allowed = match trained {
            [] => format!(
                "its vectors have {whole} and were not trained to be cut, so the only size is {whole}"
            ),
            sizes => {
                let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                format!("any size from 1 to {whole} is allowed, and it was trained for {}", sizes.join(", "))
            }
        };
        let message =
            format!("{wanted} dimensions cannot be had from the model `{}`: {allowed}", self.name());
        Err(Error::new(ErrorKind::InvalidRequest, message))
    }
}
