//! From an input to the token ids that the network reads: prompt, tokens, limit, special tokens.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::model::Model;
use crate::prompts::PromptTemplate;
use crate::request::{Input, Options, Truncation};
use crate::task::Task;
use crate::tokens::{Token, TokenSource};

/// A text as the network reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Token ids, special tokens included; never empty.
    pub ids: Vec<u32>,
    /// Whether the text was cut to fit.
    pub truncated: bool,
}

/// A text as the network reads it, and where it has that from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedTokens {
    /// The tokens, special ones included; never empty. With pooling `none` there is a row for each.
    pub tokens: Vec<Token>,
    /// Whether the text was cut to fit.
    pub truncated: bool,
}

impl Model {
    /// All token ids of one input, prompt and special tokens included, however many they are.
    ///
    /// # Errors
    /// If the options make no sense for this model, or an id is not in its vocabulary.
    pub fn tokenize(&self, input: &Input, options: &Options) -> Result<Vec<u32>, Error> {
        Ok(self.sequence(input, options, Wanted::Ids)?.whole())
    }

    /// As [`tokenize`](Self::tokenize), with where each token comes from.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn tokens(&self, input: &Input, options: &Options) -> Result<Vec<Token>, Error> {
        let sequence = self.sequence(input, options, Wanted::Sources)?;
        Ok(sequence.whole().into_iter().zip(sequence.whole_sources()).map(Token::from).collect())
    }

    /// The longest text in tokens under these options, special tokens and prompt included.
    pub fn limit(&self, options: &Options) -> usize {
        options.max_tokens.unwrap_or(self.max_tokens())
    }

    /// One input as the network would read it, however long.
    pub(crate) fn sequence<'a>(
        &'a self,
        input: &'a Input,
        options: &Options,
        wanted: Wanted,
    ) -> Result<Sequence<'a>, Error> {
        let prompt = self.prompt_for(input, options)?;
        let (before, after) = (self.tokenizer().prefix(), self.tokenizer().suffix());
        let Some(ids) = &input.ids else {
            let (body, sources) = self.encode(&prompt, input, options, wanted);
            return Ok(Sequence { before, body: Cow::Owned(body), after, prompt, sources });
        };
        if !prompt.is_empty() {
            return Err(invalid(
                "token ids cannot have a prompt before them, so neither a task that has one; send the text itself"
                    .to_owned(),
            ));
        }
        let words = self.tokenizer().vocab_size();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= words) {
            return Err(invalid(format!(
                "the token id {id} is not in the vocabulary, whose ids are below {words}"
            )));
        }
        // Special tokens that stand at the ends are those of the text, and stay when it is cut.
        let (before, body) =
            ids.strip_prefix(before).map_or((&[][..], ids.as_slice()), |body| (before, body));
        let (body, after) = body.strip_suffix(after).map_or((body, &[][..]), |body| (body, after));
        let sources = match wanted {
            Wanted::Sources => vec![TokenSource::Id; body.len()],
            Wanted::Ids | Wanted::FirstIds(_) => Vec::new(),
        };
        Ok(Sequence { before, body: Cow::Borrowed(body), after, prompt, sources })
    }

    /// Prompt and text as one, without special tokens around them, and where the tokens come from if that is wanted.
    fn encode(
        &self,
        prompt: &str,
        input: &Input,
        options: &Options,
        wanted: Wanted,
    ) -> (Vec<u32>, Vec<TokenSource>) {
        // Clients that put a task's prompt there themselves would get vectors of a prompt that nobody trained. A prompt in
        // the caller's own words goes before every text, as it says.
        let has_it = prompt.is_empty() || (options.prompt.is_none() && input.text.starts_with(prompt));
        let text: Cow<'_, str> = match has_it {
            true => Cow::Borrowed(&input.text),
            false => Cow::Owned(format!("{prompt}{}", input.text)),
        };
        let special = options.special_tokens;
        let (ids, offsets) = match wanted {
            Wanted::Sources => self.tokenizer().encode_with_offsets(&text, special),
            Wanted::Ids => return (self.tokenizer().encode(&text, special), Vec::new()),
            Wanted::FirstIds(enough) => {
                return (self.tokenizer().encode_first(&text, special, enough), Vec::new());
            }
        };
        let (begins, added) = (prompt.len(), if has_it { 0 } else { prompt.len() });
        let source = |bytes: Range<usize>| match bytes.end <= begins {
            true => TokenSource::Prompt,
            // A token may join the end of the prompt and the start of the text.
            false => TokenSource::Text(bytes.start.max(begins) - added..bytes.end - added),
        };
        (ids, offsets.into_iter().map(source).collect())
    }

    /// Whether these options make sense for this model, whatever the texts.
    ///
    /// # Errors
    /// If they do not.
    pub fn check_options(&self, options: &Options) -> Result<(), Error> {
        self.prompt_for(&Input::default(), options)?;
        self.check_dimensions(options.dimensions)?;
        self.room(options).map(drop)
    }

    /// Whether texts may have a title with these options: only some prompts have a place for one.
    ///
    /// # Errors
    /// If they may not.
    pub fn check_titles(&self, options: &Options) -> Result<(), Error> {
        self.prompt_for(&Input::new("").title("a title"), options).map(drop)
    }

    /// Tokenizes one input: what [`crate::Embedder::embed`] feeds to the network.
    ///
    /// # Errors
    /// If the options make no sense for this model, the text is too long under [`Truncation::Error`], or it
    /// gives no tokens.
    pub fn prepare(&self, input: &Input, options: &Options) -> Result<Prepared, Error> {
        let wanted = match options.truncation {
            // One more than any text may have tells that it is cut; what follows would be thrown away.
            Truncation::End => Wanted::FirstIds(self.limit(options).saturating_add(1)),
            // How long it is, or how it ends, must be known.
            Truncation::Error | Truncation::Start => Wanted::Ids,
        };
        Ok(self.fitted(input, options, wanted)?.0)
    }

    /// As [`prepare`](Self::prepare), with where each token comes from: with pooling `none`, what the rows are of.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prepare_tokens(&self, input: &Input, options: &Options) -> Result<PreparedTokens, Error> {
        let (Prepared { ids, truncated }, sources) = self.fitted(input, options, Wanted::Sources)?;
        Ok(PreparedTokens { tokens: ids.into_iter().zip(sources).map(Token::from).collect(), truncated })
    }

    fn fitted(
        &self,
        input: &Input,
        options: &Options,
        wanted: Wanted,
    ) -> Result<(Prepared, Vec<TokenSource>), Error> {
        let room = self.room(options)?;
        let mut sequence = self.sequence(input, options, wanted)?;
        let specials = sequence.before.len() + sequence.after.len();
        let room = room + self.special_token_count() - specials;
        let truncated = sequence.body.len() > room;
        let mut ids = std::mem::take(&mut sequence.body).into_owned();
        if truncated {
            if options.truncation == Truncation::Error {
                let (tokens, limit) = (ids.len() + specials, room + specials);
                let message = format!(
                    "the text has {tokens} tokens and the limit is {limit}; shorten it, or let it be cut (truncation `end` or `start`)"
                );
                return Err(Error::new(ErrorKind::TooLong, message));
            }
            let kept = self.kept_prompt(&sequence.prompt, &ids, 0, room, options)?;
            if options.truncation == Truncation::Start {
                let cut = kept..kept + ids.len() - room;
                if wanted == Wanted::Sources {
                    sequence.sources.drain(cut.clone());
                }
                ids.drain(cut);
            }
            ids.truncate(room);
            sequence.sources.truncate(room);
        }
        let ids = [sequence.before, ids.as_slice(), sequence.after].concat();
        if ids.is_empty() {
            let message =
                "the text gives no tokens, and the model adds none of its own; there is nothing to embed";
            return Err(Error::new(ErrorKind::NoTokens, message));
        }
        let sources = match wanted {
            Wanted::Sources => sequence.whole_sources(),
            Wanted::Ids | Wanted::FirstIds(_) => Vec::new(),
        };
        Ok((Prepared { ids, truncated }, sources))
    }

    /// How many of the first ids stay as the prompt, of a text that does not fit: `least`, and what keeps it whole.
    ///
    /// # Errors
    /// If they leave no room for others.
    pub(crate) fn kept_prompt(
        &self,
        prompt: &str,
        ids: &[u32],
        least: usize,
        room: usize,
        options: &Options,
    ) -> Result<usize, Error> {
        let kept = self.prompt_tokens(prompt, ids, options).max(least);
        if kept >= room && kept > 0 {
            let message = format!(
                "the prompt alone takes {kept} tokens of the {room} there is room for; raise the token limit"
            );
            return Err(Error::new(ErrorKind::TooLong, message));
        }
        Ok(kept)
    }

    /// The words that go before the text.
    pub(crate) fn prompt_for(&self, input: &Input, options: &Options) -> Result<String, Error> {
        self.words_before(input, options).map_err(|error| {
            let untitled = Input { task: input.task.clone(), ..Input::default() };
            match input.title.is_some() && self.words_before(&untitled, options).is_ok() {
                true => error.because_of_the_title(),
                false => error,
            }
        })
    }

    fn words_before(&self, input: &Input, options: &Options) -> Result<String, Error> {
        let asked = input.task.clone().unwrap_or_else(|| options.task.clone());
        if let (Some(prompt), None | Some(Some(_))) = (&options.prompt, &input.task) {
            return match (asked, &input.title) {
                (None, None) => Ok(prompt.clone()),
                (Some(task), _) => Err(invalid(format!(
                    "both a prompt and the task `{task}` are given; a task chooses the prompt, so give one of them"
                ))),
                (None, Some(_)) => Err(invalid(
                    "both a prompt and a title are given; put the title into the prompt, or use the task `document`"
                        .to_owned(),
                )),
            };
        }
        let Some(task) = input.effective_task(options) else {
            return match &input.title {
                None if input.task.is_some() || !options.default_prompt => Ok(String::new()),
                None => Ok(self.default_prompt().to_owned()),
                Some(_) => Err(invalid(
                    "a title is given and no task; only the task `document` has a place for one".to_owned(),
                )),
            };
        };
        let title = input.title.as_deref();
        match self.template(&task)? {
            Template::Known(template @ PromptTemplate::Titled(..)) => Ok(template.words(title)),
            Template::Known(PromptTemplate::Plain(_)) | Template::Custom(_) if title.is_some() => {
                Err(invalid(format!(
                    "a title is given, and the model's prompt for the task `{task}` has no place for one; leave the title out, or put it into the text"
                )))
            }
            Template::Known(PromptTemplate::Plain(words)) => Ok(words),
            Template::Custom(words) => Ok(words),
        }
    }

    fn template(&self, task: &Task) -> Result<Template, Error> {
        if self.prompts().is_empty() {
            let message = format!(
                "the model `{}` has no prompts that connote knows of, so the task `{task}` cannot be applied; give the prompt itself instead",
                self.name()
            );
            return Err(invalid(message));
        }
        let template = match (task, self.custom_prompt()) {
            (Task::Custom(words), Some(custom)) => Some(Template::Custom(custom.replace("{task}", words))),
            _ => self.prompt(task).cloned().map(Template::Known),
        };
        template.ok_or_else(|| {
            let tasks: Vec<String> = self.prompts().iter().map(|(task, _)| task.to_string()).collect();
            invalid(format!(
                "the model `{}` has no prompt for the task `{task}`; it has {}",
                self.known().map_or(self.name(), |known| &known.name),
                tasks.join(", ")
            ))
        })
    }

    fn special_token_count(&self) -> usize {
        self.tokenizer().prefix().len() + self.tokenizer().suffix().len()
    }

    /// Tokens there is room for beside the special tokens.
    pub(crate) fn room(&self, options: &Options) -> Result<usize, Error> {
        let specials = self.special_token_count();
        let limit = self.limit(options);
        if limit > self.context_length() {
            let message = format!(
                "a limit of {limit} tokens is more than the model's context of {}",
                self.context_length()
            );
            return Err(invalid(message));
        }
        if limit <= specials {
            return Err(invalid(format!(
                "a limit of {limit} tokens leaves no room beside {specials} special tokens"
            )));
        }
        Ok(limit - specials)
    }

    /// How many of the first ids the prompt needs to stay whole. The end of a prompt may join the start of
    /// the text in one token, which then stays too; white space that ends a prompt may go with the text.
    fn prompt_tokens(&self, prompt: &str, ids: &[u32], options: &Options) -> usize {
        if prompt.is_empty() {
            return 0;
        }
        let alone = self.tokenizer().encode(prompt.trim_end(), options.special_tokens);
        let common = alone.iter().zip(ids).take_while(|(a, b)| a == b).count();
        // Of a text that is cut the ids may end inside the prompt.
        if common == alone.len() || common == ids.len() { alone.len() } else { common + 1 }
    }
}

/// What is wanted of a text's tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of them, and where each comes from.
    Sources,
    /// All of them.
    Ids,
    /// At least so many, if there are as many: more would be thrown away.
    FirstIds(usize),
}

/// What the network reads of one input, in its parts.
pub(crate) struct Sequence<'a> {
    /// Special tokens.
    pub(crate) before: &'a [u32],
    pub(crate) body: Cow<'a, [u32]>,
    /// Special tokens.
    pub(crate) after: &'a [u32],
    /// The words that the body begins with.
    pub(crate) prompt: String,
    /// Of the tokens of the body, where that is kept.
    pub(crate) sources: Vec<TokenSource>,
}

impl Sequence<'_> {
    fn whole(&self) -> Vec<u32> {
        [self.before, &self.body, self.after].concat()
    }

    fn whole_sources(&self) -> Vec<TokenSource> {
        let special = |ids: &[u32]| vec![TokenSource::Special; ids.len()];
        [special(self.before), self.sources.clone(), special(self.after)].concat()
    }
}

enum Template {
    Known(PromptTemplate),
    Custom(String),
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
