//! What a vector is for. Models that were trained with prompts have one a task.

use std::fmt;
use std::str::FromStr;

/// What a text's vector is for.
///
/// A task only chooses a prompt, and only for models whose authors give one; without a task the text goes
/// to the model as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Task {
    /// A search query.
    Query,
    /// A text to be found; may have a title.
    Document,
    /// A question whose answer is looked for.
    QuestionAnswering,
    /// A claim whose evidence is looked for.
    FactChecking,
    /// Sorting into known classes.
    Classification,
    /// Sorting into groups not known before.
    Clustering,
    /// How close two texts are in meaning.
    Similarity,
    /// A description of code that is looked for.
    CodeRetrieval,
    /// Any other task, in the words the model is to read.
    Custom(String),
}

impl Task {
    /// All tasks with a name of their own.
    pub const NAMED: [Task; 8] = [
        Task::Query,
        Task::Document,
        Task::QuestionAnswering,
        Task::FactChecking,
        Task::Classification,
        Task::Clustering,
        Task::Similarity,
        Task::CodeRetrieval,
    ];

    /// The names a task is known by, the first being its own. Case, `-`, `_` and `.` do not matter: Cohere's `search_query`,
    /// Jina's `retrieval.passage`, Google's `CODE_RETRIEVAL_QUERY` and sentence-transformers' `Retrieval-query` are read.
    fn names(&self) -> &'static [&'static str] {
        match self {
            Task::Query => &[
                "query",
                "search query",
                "search result",
                "retrieval query",
                "search",
                "retrieval",
                "instruction retrieval",
            ],
            Task::Document => {
                &["document", "search document", "retrieval document", "passage", "retrieval passage"]
            }
            Task::QuestionAnswering => &["question answering", "qa"],
            Task::FactChecking => &["fact checking", "fact verification"],
            Task::Classification => &["classification"],
            Task::Clustering => &["clustering"],
            Task::Similarity => {
                &["similarity", "sentence similarity", "semantic similarity", "sts", "text matching"]
            }
            Task::CodeRetrieval => &["code retrieval", "code", "code retrieval query"],
            Task::Custom(_) => &[],
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::Custom(description) => write!(f, "custom:{description}"),
            named => f.pad(&named.names()[0].replace(' ', "-")),
        }
    }
}

impl FromStr for Task {
    type Err = String;

    /// A name such as `query` or `question-answering`, or `custom:DESCRIPTION`.
    fn from_str(name: &str) -> Result<Self, String> {
        if let Some(description) = name.strip_prefix("custom:") {
            let description = description.trim();
            return match description {
                "" => Err("a custom task needs its description, as in `custom:legal precedents`".to_owned()),
                description => Ok(Task::Custom(description.to_owned())),
            };
        }
        let plain = name.trim().to_lowercase().replace(['-', '_', '.'], " ");
        let known = Self::NAMED.into_iter().find(|task| task.names().contains(&plain.as_str()));
        known.ok_or_else(|| {
            let names: Vec<String> = Self::NAMED.iter().map(Task::to_string).collect();
            format!("no task is called `{name}`; there is {}, and custom:DESCRIPTION", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_read_back_by_the_name_it_shows() {
        for task in Task::NAMED.into_iter().chain([Task::Custom("legal precedents".to_owned())]) {
            assert_eq!(task.to_string().parse(), Ok(task));
        }
    }

    #[test]
    fn spelling_is_forgiven_and_nonsense_is_not() {
        assert_eq!("Search_Query".parse(), Ok(Task::Query));
        assert_eq!("sentence similarity".parse(), Ok(Task::Similarity));
        assert_eq!("retrieval.passage".parse(), Ok(Task::Document));
        assert_eq!("CODE_RETRIEVAL_QUERY".parse(), Ok(Task::CodeRetrieval));
        assert!("poetry".parse::<Task>().unwrap_err().contains("question-answering"));
        assert!("custom: ".parse::<Task>().is_err());
    }
}
