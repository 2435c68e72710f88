//! What a caller asks for.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

pub use tokenizer::SpecialTokens;

use std::time::{Duration, Instant};

use crate::schedule::{CancellationToken, Priority, Schedule};
use crate::task::Task;

/// One text, with what belongs to it alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Input {
    pub(crate) text: String,
    /// Instead of the text.
    pub(crate) ids: Option<Vec<u32>>,
    pub(crate) title: Option<String>,
    /// `None`: the request's. `Some(None)`: none, whatever the request's.
    pub(crate) task: Option<Option<Task>>,
}

impl Input {
    /// A text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Token ids of the model's own vocabulary, which the network reads as they are: no prompt, and no special tokens but
    /// those that are among them.
    pub fn from_ids(ids: impl Into<Vec<u32>>) -> Self {
        Self { ids: Some(ids.into()), ..Self::default() }
    }

    /// Its title. Only the document prompt of some models has a place for it; a text with a title and no
    /// task is a document. A blank title is none.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into()).filter(|title| !title.trim().is_empty());
        self
    }

    /// A title for a text that has none of its own.
    pub fn title_if_none(self, title: &str) -> Self {
        match self.title {
            Some(_) => self,
            None => self.title(title),
        }
    }

    /// A task of its own, instead of the request's.
    pub fn task(mut self, task: Task) -> Self {
        self.task = Some(Some(task));
        self
    }

    /// No task and no prompt, whatever the request's.
    pub fn without_task(mut self) -> Self {
        self.task = Some(None);
        self
    }

    /// The task of a name, as rows of files give it: `none` in any case is no task and no prompt, an empty name says nothing.
    ///
    /// # Errors
    /// If no task is called so; names those that there are.
    pub fn task_named(self, name: &str) -> Result<Self, String> {
        match name {
            "" => Ok(self),
            none if none.trim().eq_ignore_ascii_case("none") => Ok(self.without_task()),
            name => name.parse().map(|task| self.task(task)),
        }
    }

    /// The task that this text has under a request's options; `None`: it goes to the model as it is, or
    /// with the request's own prompt. A text with a title is a document unless it is said to be something
    /// else, or to have [no prompt](Options::without_default_prompt).
    pub fn effective_task(&self, options: &Options) -> Option<Task> {
        let titled = self.title.as_ref().filter(|_| options.default_prompt).map(|_| Task::Document);
        match &self.task {
            Some(own) => own.clone(),
            None => options.task.clone().or(titled),
        }
    }

    /// An input of the same kind (task, and whether it has a title) without any words: inputs of one kind
    /// lie in one vector space.
    pub fn without_words(&self) -> Self {
        Self {
            text: String::new(),
            ids: None,
            title: self.title.as_ref().map(|_| "title".to_owned()),
            task: self.task.clone(),
        }
    }

    /// An input of the same kind with these words, such as a part of its own.
    pub fn with_words(&self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ids: None, title: self.title.clone(), task: self.task.clone() }
    }

    /// The text; empty for token ids.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&&str> for Input {
    fn from(text: &&str) -> Self {
        Self::new(*text)
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Input {
    fn from(text: &String) -> Self {
        Self::new(text.as_str())
    }
}

/// What to do with a text that is longer than the limit. Special tokens and the prompt always stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Truncation {
    /// Refuse it.
    Error,
    /// Cut its end, and report it. What sentence-transformers does.
    #[default]
    End,
    /// Cut its start, and report it.
    Start,
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Truncation::Error => "error",
            Truncation::End => "end",
            Truncation::Start => "start",
        })
    }
}

impl FromStr for Truncation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "error" => Ok(Truncation::Error),
            "end" => Ok(Truncation::End),
            "start" => Ok(Truncation::Start),
            other => Err(format!("no truncation policy is called `{other}`; there is error, end and start")),
        }
    }
}

/// How long vectors are made. It keeps their direction, but not their distances and inner products: each norm is a vector
/// space of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Norm {
    /// As the network gives them.
    None,
    /// The largest absolute value is 32760, so that values fit into 16-bit integers, as llama.cpp has it.
    Largest,
    /// The p-norm is 1: the sum of absolute values for 1, the length for 2.
    P(NonZeroU32),
}

impl Norm {
    /// Unit length.
    pub const L2: Self = Norm::P(NonZeroU32::new(2).unwrap());
}

/// How texts become vectors: everything but the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(crate) task: Option<Task>,
    pub(crate) prompt: Option<String>,
    /// Whether the model's default prompt goes before texts that have neither task nor prompt.
    pub(crate) default_prompt: bool,
    pub(crate) dimensions: Option<usize>,
    pub(crate) norm: Norm,
    pub(crate) truncation: Truncation,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) special_tokens: SpecialTokens,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            task: None,
            prompt: None,
            default_prompt: true,
            dimensions: None,
            norm: Norm::L2,
            truncation: Truncation::default(),
            max_tokens: None,
            special_tokens: SpecialTokens::default(),
        }
    }
}

impl Options {
    /// No prompt, all dimensions, unit length, ends cut: what a plain call gets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The task, which chooses the model's prompt. Default: none, and no prompt. A text that begins with just that prompt
    /// does not get it twice.
    pub fn task(mut self, task: Task) -> Self {
        self.task = Some(task);
        self
    }

    /// A prompt of the caller's own, put before every text as it is. Not together with a task.
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Texts without a task and a prompt go to the model as they are, even where it has a
    /// [default prompt](crate::Model::default_prompt).
    pub fn without_default_prompt(mut self) -> Self {
        self.default_prompt = false;
        self
    }

    /// Cut vectors to this many values (and normalise them again). For Matryoshka models only.
    pub fn dimensions(mut self, dimensions: usize) -> Self {
        self.dimensions = Some(dimensions);
        self
    }

    /// Whether vectors get unit length (L2). Default: yes.
    pub fn normalize(self, normalize: bool) -> Self {
        self.norm(if normalize { Norm::L2 } else { Norm::None })
    }

    /// How long vectors are made. Default: [`Norm::L2`].
    pub fn norm(mut self, norm: Norm) -> Self {
        self.norm = norm;
        self
    }

    /// What to do with texts that are too long. Default: [`Truncation::End`].
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// Whether texts that are too long are cut instead of refused.
    pub fn cuts(&self) -> bool {
        self.truncation != Truncation::Error
    }

    /// The limit in tokens, special tokens and prompt included, instead of the model's own; at most the
    /// model's context length.
    pub fn max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = Some(max_tokens);
        self
    }

    /// Whether texts such as `[SEP]` or `<eos>` inside the input are special tokens (the default, as the
    /// authors' tokenizers have it) or plain text.
    pub fn special_tokens(mut self, special_tokens: SpecialTokens) -> Self {
        self.special_tokens = special_tokens;
        self
    }
}

/// Texts and how they become vectors.
///
/// Anything that gives texts is a request with default options: `embedder.embed(["a", "b"])`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub(crate) inputs: Vec<Input>,
    pub(crate) options: Options,
    pub(crate) schedule: Schedule,
}

impl Request {
    /// A request for these texts.
    pub fn new<T: Into<Input>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self { inputs: texts.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// With these options.
    pub fn with(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// As [`Options::task`].
    pub fn task(mut self, task: Task) -> Self {
        self.options = self.options.task(task);
        self
    }

    /// As [`Options::dimensions`].
    pub fn dimensions(mut self, dimensions: usize) -> Self {
        self.options = self.options.dimensions(dimensions);
        self
    }

    /// Who goes first, where calls meet. Default: calls of few tokens (up to a micro-batch, 512) are interactive, larger
    /// ones are batch work.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.schedule.priority = Some(priority);
        self
    }

    /// When the answer is of no use any more: texts that are not computed by then fail with
    /// [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) and cost nothing further. Among calls of one
    /// priority the earliest deadline goes first.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.schedule.deadline = Some(deadline);
        self
    }

    /// As [`deadline`](Self::deadline), from now on.
    pub fn timeout(self, timeout: Duration) -> Self {
        let now = Instant::now();
        // A time past what the clock can say is no deadline.
        match now.checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// What can end the call from another thread: texts that are not computed by then fail with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn cancellation(mut self, token: &CancellationToken) -> Self {
        self.schedule.cancellation = Some(token.clone());
        self
    }
}

impl<T: Into<Input>, I: IntoIterator<Item = T>> From<I> for Request {
    fn from(texts: I) -> Self {
        Self::new(texts)
    }
}
