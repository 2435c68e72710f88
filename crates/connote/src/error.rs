//! The library's error: what kind, where, and what to do.

use std::fmt;
use std::sync::Arc;

/// What kind of thing went wrong; scripts and protocols go by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The model file could not be opened or is not a valid GGUF file.
    ModelFile,
    /// The file is valid, but connote cannot run its model.
    UnsupportedModel,
    /// The file does not say how to pool; set it.
    PoolingUnknown,
    /// A setting makes no sense for this model: dimensions, task, title, token limit.
    InvalidRequest,
    /// A text is longer than allowed and the truncation policy is `error`.
    TooLong,
    /// All pairs of a request together have more tokens than it may have.
    RequestTooLarge,
    /// A text gives no tokens at all.
    NoTokens,
    /// The model gave a vector that is not finite or is zero; it was withheld.
    BadVector,
    /// The call's [token](crate::CancellationToken) was cancelled before this text was computed.
    Cancelled,
    /// The call's deadline passed before this text was computed.
    DeadlineExceeded,
    /// The engine failed on this text, which is a fault of connote. Other texts are not affected.
    Internal,
}

impl ErrorKind {
    /// A stable name, as machine-readable output has it.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::ModelFile => "model_file",
            ErrorKind::UnsupportedModel => "unsupported_model",
            ErrorKind::PoolingUnknown => "pooling_unknown",
            ErrorKind::InvalidRequest => "invalid_request",
            ErrorKind::TooLong => "too_long",
            ErrorKind::RequestTooLarge => "request_too_large",
            ErrorKind::NoTokens => "no_tokens",
            ErrorKind::BadVector => "bad_vector",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::DeadlineExceeded => "deadline_exceeded",
            ErrorKind::Internal => "internal",
        }
    }
}

/// An error of the library. Where the system did not let a file be read, its [`source`](std::error::Error::source) is the
/// [`std::io::Error`], with kind and number.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    index: Option<usize>,
    of_title: bool,
    /// What a file's reader said; shared, for an error of the system's cannot be copied.
    file: Option<Arc<gguf::Error>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), index: None, of_title: false, file: None }
    }

    pub(crate) fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    pub(crate) fn because_of_the_title(mut self) -> Self {
        self.of_title = true;
        self
    }

    pub(crate) fn in_file(mut self, path: &std::path::Path) -> Self {
        self.message = format!("{}: {}", path.display(), self.message);
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Which input of the request it concerns, counted from 0; `None` if it concerns all.
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// Whether the text would be taken if it had no title.
    pub fn is_of_title(&self) -> bool {
        self.of_title
    }

    /// The message without the input's index.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "input {index}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Its own words are in the message already.
        self.file.as_ref()?.source()
    }
}

impl From<gguf::Error> for Error {
    fn from(error: gguf::Error) -> Self {
        let message = error.to_string();
        Self { file: Some(Arc::new(error)), ..Self::new(ErrorKind::ModelFile, message) }
    }
}

impl From<encoder::Error> for Error {
    fn from(error: encoder::Error) -> Self {
        let kind = match error.kind() {
            encoder::ErrorKind::UnknownArchitecture => ErrorKind::UnsupportedModel,
            encoder::ErrorKind::Tensor => ErrorKind::UnsupportedModel,
            _ => ErrorKind::ModelFile,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<tokenizer::Error> for Error {
    fn from(error: tokenizer::Error) -> Self {
        Self::new(ErrorKind::UnsupportedModel, error.to_string())
    }
}

impl From<kernels::LevelError> for Error {
    fn from(error: kernels::LevelError) -> Self {
        Self::new(ErrorKind::InvalidRequest, error.to_string())
    }
}
