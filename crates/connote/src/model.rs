//! An opened model file: what it is, before any weight is packed.

use std::path::{Path, PathBuf};

use encoder::{Config, Pooling};
use gguf::Gguf;
use tokenizer::Tokenizer;

use crate::error::{Error, ErrorKind};
use crate::known::KnownModel;

/// An opened model: its description and tokenizer. Opening is quick; weights are packed when an
/// [`crate::Embedder`] is made of it.
#[derive(Clone)]
pub struct Model {
    inner: std::sync::Arc<Inner>,
}

struct Inner {
    gguf: Gguf,
    path: Option<PathBuf>,
    name: String,
    config: Config,
    tokenizer: Tokenizer,
    known: Option<&'static KnownModel>,
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
        Self::from_gguf(Gguf::open(path)?, Some(path))
    }

    /// Opens a GGUF file held in memory, at any alignment.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: impl Into<gguf::Bytes>) -> Result<Self, Error> {
        Self::from_gguf(Gguf::from_bytes(bytes)?, None)
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

    /// Takes an opened file; `path` is where its bytes can be read again.
    ///
    /// # Errors
    /// If it holds a model that connote cannot run.
    pub fn from_gguf(gguf: Gguf, path: Option<&Path>) -> Result<Self, Error> {
        let config = encoder::describe(&gguf)?;
        let tokenizer = Tokenizer::from_metadata(gguf.metadata())?;
        let name = gguf.metadata().str("general.name")?.unwrap_or("unnamed").to_owned();
        let known = KnownModel::find(&name, &config);
        let last_head =
            config.dense_heads.names.last().and_then(|head| gguf.tensor(&format!("{head}.weight")));
        let has_dense_heads = last_head.is_some();
        let dimensions =
            last_head.and_then(|head| head.dims().get(1).copied()).map_or(config.dim, |d| d as usize);
        let path = path.map(Path::to_owned);
        let inner = Inner { gguf, path, name, config, tokenizer, known, dimensions, has_dense_heads };
        Ok(Self { inner: std::sync::Arc::new(inner) })
    }

    /// The file's `general.name`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where it was opened from; `None` for bytes in memory.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
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

    /// Values of a whole vector.
    pub fn dimensions(&self) -> usize {
        self.inner.dimensions
    }

    /// Tokens the network can read at most.
    pub fn context_length(&self) -> usize {
        self.inner.config.context_length
    }

    /// Tokens a text may have: the authors' limit, else the context length. Special tokens count.
    pub fn max_tokens(&self) -> usize {
        self.known().map_or(self.context_length(), |known| known.max_tokens.min(self.context_length()))
    }

    /// How the model pools: as the file or its architecture says, else as its authors do. `None`: nobody
    /// says, and it must be set.
    pub fn pooling(&self) -> Option<Pooling> {
        self.inner.config.pooling.or(self.known().map(|known| known.pooling))
    }

    /// Whether the file has the dense heads that its architecture can have.
    pub fn has_dense_heads(&self) -> bool {
        self.inner.has_dense_heads
    }

    /// What a user should hear of this file before trusting its vectors.
    pub fn warnings(&self) -> Vec<String> {
        let heads = &self.inner.config.dense_heads;
        let mut warnings = Vec::new();
        if heads.expected && !self.has_dense_heads() {
            warnings.push(format!(
                "the file lacks the model's dense heads ({}): its vectors differ from the authors' model and must not be mixed with them. \
                 Convert the model again with its dense modules, or go on if all vectors you compare come from such a file.",
                heads.names.join(", ")
            ));
        }
        warnings
    }

    /// The number of values a vector is cut to under these options.
    ///
    /// # Errors
    /// If the model's vectors cannot be cut to that size.
    pub fn check_dimensions(&self, dimensions: Option<usize>) -> Result<usize, Error> {
        let whole = self.dimensions();
        let Some(wanted) = dimensions else { return Ok(whole) };
        let trained = self.known().map_or(&[][..], |known| known.matryoshka);
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
