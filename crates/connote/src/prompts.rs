//! What goes before a text: the file's own prompts, else those of the table of known models.
//!
//! Files that `connote convert` makes hold what sentence-transformers' configuration says; nothing of the table is
//! applied against that.

use std::fmt;

use gguf::Metadata;

use crate::error::Error;
use crate::known::KnownModel;
use crate::task::Task;

const NAMES: &str = "sentence_transformers.prompt_names";
const TEXTS: &str = "sentence_transformers.prompts";
const DEFAULT: &str = "sentence_transformers.default_prompt_name";
const LONGEST: &str = "sentence_transformers.max_seq_length";
const NORMALIZES: &str = "sentence_transformers.normalize";

/// What goes before a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptTemplate {
    /// These words.
    Plain(String),
    /// These words around the text's title, `none` if it has none.
    Titled(String, String),
}

impl PromptTemplate {
    /// `{title}` is the place of a title.
    pub(crate) fn parse(words: &str) -> Self {
        match words.split_once("{title}") {
            Some((before, after)) => Self::Titled(before.to_owned(), after.to_owned()),
            None => Self::Plain(words.to_owned()),
        }
    }

    /// The words for a text with this title, or without one.
    pub fn words(&self, title: Option<&str>) -> String {
        match self {
            Self::Plain(words) => words.clone(),
            Self::Titled(before, after) => format!("{before}{}{after}", title.unwrap_or("none")),
        }
    }

    /// Whether it puts nothing before a text.
    pub fn is_wordless(&self) -> bool {
        matches!(self, Self::Plain(words) if words.is_empty())
    }
}

impl fmt::Display for PromptTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PromptTemplate::Plain(words) => f.write_str(words),
            PromptTemplate::Titled(before, after) => write!(f, "{before}{{title}}{after}"),
        }
    }
}

/// What a file says of texts before they reach the network, in sentence-transformers' words.
#[derive(Debug, Default)]
pub(crate) struct Stated {
    pub(crate) prompts: Vec<(Task, PromptTemplate)>,
    /// All of them, by the names that its authors gave them, in their order.
    pub(crate) named: Vec<(String, String)>,
    /// Special tokens included.
    pub(crate) max_tokens: Option<usize>,
    /// What goes before a text that is given neither a task nor a prompt; empty if nothing does.
    pub(crate) default_prompt: String,
    /// Whether its modules end in one that gives vectors unit length.
    pub(crate) normalizes: Option<bool>,
}

impl Stated {
    pub(crate) fn read(metadata: &Metadata) -> Result<Self, Error> {
        let texts = |key: &str| -> Result<Vec<String>, Error> {
            let Some(array) = metadata.array(key)? else { return Ok(Vec::new()) };
            let strings = array.strings().into_iter().flatten();
            Ok(strings.map(|text| String::from_utf8_lossy(text).into_owned()).collect())
        };
        let named: Vec<(String, String)> = texts(NAMES)?.into_iter().zip(texts(TEXTS)?).collect();
        let mut prompts: Vec<(Task, PromptTemplate)> = Vec::new();
        // A task by its own name goes before one by another: EmbeddingGemma has ten names for a query's prompt or two.
        let own = |name: &str, task: &Task| name.eq_ignore_ascii_case(&task.to_string());
        for by_own_name in [true, false] {
            for (name, words) in &named {
                let Ok(task) = name.parse::<Task>() else { continue };
                let is_custom = matches!(task, Task::Custom(_));
                if is_custom
                    || own(name, &task) != by_own_name
                    || prompts.iter().any(|(known, _)| *known == task)
                {
                    continue;
                }
                prompts.push((task, PromptTemplate::Plain(words.clone())));
            }
        }
        let default = metadata.str(DEFAULT)?;
        let default_prompt = named.iter().find(|(name, _)| Some(name.as_str()) == default);
        let default_prompt = default_prompt.map(|(_, words)| words.clone()).unwrap_or_default();
        let max_tokens = metadata.usize(LONGEST)?.filter(|longest| *longest > 0);
        Ok(Self { prompts, named, max_tokens, default_prompt, normalizes: metadata.bool(NORMALIZES)? })
    }

    /// The file's prompts, and for tasks that it does not name those of the table. Where both say the same of a text
    /// without a title, the table knows the place of a title.
    pub(crate) fn over(&self, known: Option<&KnownModel>) -> Vec<(Task, PromptTemplate)> {
        let of_table = known.map_or(&[][..], |known| &known.prompts);
        let stated =
            |task: &Task| self.prompts.iter().find(|(named, _)| named == task).map(|(_, template)| template);
        let chosen = |(task, template): &(Task, PromptTemplate)| {
            let file = stated(task).filter(|file| file.words(None) != template.words(None));
            (task.clone(), file.unwrap_or(template).clone())
        };
        let mut prompts: Vec<_> = of_table.iter().map(chosen).collect();
        let more = self.prompts.iter().filter(|(task, _)| of_table.iter().all(|(known, _)| known != task));
        prompts.extend(more.cloned());
        prompts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::known_models;

    fn stated(prompts: &[(&str, &str)]) -> Stated {
        let (names, texts): (Vec<&str>, Vec<&str>) = prompts.iter().copied().unzip();
        let bytes =
            gguf::Writer::new().metadata(NAMES, names).metadata(TEXTS, texts).metadata(LONGEST, 77u32);
        let gguf = gguf::Gguf::from_bytes(bytes.to_bytes().expect("a file")).expect("it opens");
        Stated::read(gguf.metadata()).expect("keys")
    }

    #[test]
    fn a_task_goes_by_its_own_name_first() {
        let stated = stated(&[
            ("InstructionRetrieval", "code: "),
            ("passage", "p: "),
            ("query", "q: "),
            ("odd one", "x"),
        ]);
        let plain = |words: &str| PromptTemplate::Plain(words.to_owned());
        assert_eq!(stated.prompts, [(Task::Query, plain("q: ")), (Task::Document, plain("p: "))]);
        let names: Vec<&str> = stated.named.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["InstructionRetrieval", "passage", "query", "odd one"], "by name all are there");
        assert_eq!(stated.max_tokens, Some(77));
        assert_eq!(stated.default_prompt, "", "nothing is a default that is not named");
    }

    #[test]
    fn the_file_goes_before_the_table() {
        let gemma = known_models().iter().find(|known| known.name.starts_with("EmbeddingGemma"));
        let of = |prompts: &[(&str, &str)], task: &Task| {
            let all = stated(prompts).over(gemma);
            all.into_iter().find(|(known, _)| known == task).map(|(_, template)| template.to_string())
        };
        let same = [("document", "title: none | text: "), ("query", "ask: ")];
        assert_eq!(of(&same, &Task::Document).as_deref(), Some("title: {title} | text: "));
        assert_eq!(of(&same, &Task::Query).as_deref(), Some("ask: "));
        assert_eq!(of(&same, &Task::Clustering).as_deref(), Some("task: clustering | query: "));
        assert_eq!(of(&[("document", "")], &Task::Document).as_deref(), Some(""));
    }
}
