//! Language models that are asked whether a document answers a query, and whose next word is the score: how much more likely
//! one word is than another. Such a judge is the text around a pair and the two words; its network is a family's.

use gguf::OwnedValue;

use super::{Family, KeyList};
use crate::config::Config;
use crate::error::Error;
use crate::model::{RowOrder, Tensor, Values};
use crate::tokenizer::TokenizerKeys;
use crate::weights::Weights;

/// A judge, as its authors' code has it.
#[derive(Debug)]
pub(crate) struct Judge {
    /// Whose it is, for errors.
    pub(crate) title: &'static str,
    /// `general.architecture` of its language model.
    architecture: &'static str,
    /// Its folder looks as its language model's, so its name tells: it has all of these.
    named: &'static [&'static str],
    /// The tokens for a document that answers and for one that does not.
    answers: [&'static str; 2],
    /// The text of a pair, with {query} and {document}, in the parts that its authors tokenize one by one. The marks in them are
    /// the pair's only ones.
    parts: &'static [&'static str],
}

const JUDGES: &[Judge] = &[
    // The authors' example code (model card), whose three parts meet at marks and line ends, where texts are cut anyway.
    Judge {
        title: "Qwen3-Reranker",
        architecture: "qwen3",
        named: &["reranker"],
        answers: ["yes", "no"],
        parts: &[
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. \
            Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, \
            retrieve relevant passages that answer the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n\
            <|im_start|>assistant\n<think>\n\n</think>\n\n",
        ],
    },
    // mxbai_rerank_v2.py of the package mxbai-rerank 0.1.6.
    Judge {
        title: "mxbai-rerank-v2",
        architecture: "qwen2",
        named: &["mxbai", "rerank"],
        answers: ["1", "0"],
        parts: &[
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
            "query: {query}",
            "\n",
            "document: {document}",
            "\n",
            "You are a search relevance expert who evaluates how well documents match search queries. For each query-document pair, \
            carefully analyze the semantic relationship between them, then provide your binary relevance judgment (0 for not \
            relevant, 1 for relevant).\nRelevance:",
            "<|im_end|>\n<|im_start|>assistant\n",
        ],
    },
];

/// The answers that a folder names (sentence-transformers' module `LogitScore`), by their ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) yes: u32,
    /// Without it the score is the logit of the other alone.
    pub(crate) no: Option<u32>,
}

/// Whether folders of a family's judges look as those of its language models; and what names tell them apart.
pub(crate) fn names_of_judges(family: &Family) -> Option<String> {
    let judges = JUDGES.iter().filter(|judge| judge.architecture == family.architecture);
    let names: Vec<String> = judges.map(|judge| judge.named.join("-")).collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// The judge that a folder is, if it is one.
///
/// # Errors
/// If it says that it is one, and its form is not known.
pub(super) fn find(
    family: &Family,
    config: &Config,
    name: &str,
    answers: Option<Answers>,
) -> Result<Option<&'static Judge>, Error> {
    let names =
        [Some(name), config.text("_name_or_path")].map(|name| name.unwrap_or_default().to_lowercase());
    let is_named =
        |judge: &&Judge| names.iter().any(|name| judge.named.iter().all(|word| name.contains(word)));
    let found = JUDGES.iter().filter(|judge| judge.architecture == family.architecture).find(is_named);
    if found.is_none() && answers.is_some() {
        let known: Vec<String> = JUDGES
            .iter()
            .map(|judge| {
                format!(
                    "{} ({}, with {} in its name)",
                    judge.title,
                    judge.architecture,
                    judge.named.join("-")
                )
            })
            .collect();
        return Err(Error::unsupported(format!(
            "modules.json: the folder is a language model that judges pairs (LogitScore), and the text around a pair is a program \
             (a Jinja template), which is not run; known are {}: if it is one of these, say so with --name",
            known.join(" and ")
        )));
    }
    Ok(found)
}

impl Judge {
    /// The rows of the language model's output for the answers, and what they mean.
    pub(super) fn head(
        &self,
        tokenizer: &TokenizerKeys,
        weights: &Weights,
        answers: Option<Answers>,
    ) -> Result<(Tensor, KeyList), Error> {
        let rows: Vec<usize> = match answers {
            Some(Answers { yes, no }) => {
                [Some(yes), no].into_iter().flatten().map(|id| id as usize).collect()
            }
            None => {
                let id = |word: &str| {
                    tokenizer.id(word).ok_or_else(|| {
                        let title = self.title;
                        Error::mismatch(format!(
                            "{title} answers by the token {word:?}, which its tokenizer lacks"
                        ))
                    })
                };
                self.answers.into_iter().map(id).collect::<Result<_, _>>()?
            }
        };
        let output = weights.get("lm_head.weight").or_else(|| weights.get("embed_tokens.weight"));
        let output = output.filter(|output| output.shape.len() == 2).ok_or_else(|| {
            Error::mismatch(format!("{} has no lm_head.weight and no embed_tokens.weight", self.title))
        })?;
        if let Some(row) = rows.iter().find(|row| **row >= output.shape[0]) {
            return Err(Error::mismatch(format!(
                "an answer is token {row}, and the language model's output has {} rows",
                output.shape[0]
            )));
        }
        let labels = ["yes", "no"][..rows.len()].to_vec();
        let tensor = Tensor {
            name: "cls.output.weight".to_owned(),
            dims: vec![output.shape[1] as u64, rows.len() as u64],
            values: Values::Stored { bytes: output.stored.clone(), rows: RowOrder::Picked(rows), plus: 0.0 },
        };
        let keys = vec![
            ("pooling_type".to_owned(), OwnedValue::from(4u32)),
            ("classifier.output_labels".to_owned(), labels.into()),
        ];
        Ok((tensor, keys))
    }

    /// Keys of the tokenizer that its pairs need.
    pub(crate) fn template(&self) -> Vec<(String, OwnedValue)> {
        let mut keys = vec![
            ("tokenizer.chat_template.rerank".to_owned(), self.parts.concat().into()),
            ("tokenizer.chat_templates".to_owned(), vec!["rerank"].into()),
        ];
        if self.parts.len() > 1 {
            // connote's own; others tokenize the whole.
            keys.push(("tokenizer.chat_template.rerank.parts".to_owned(), self.parts.to_vec().into()));
        }
        keys
    }

    /// Refuses a folder that asks for something else than the form does.
    pub(crate) fn check_prompt(&self, prompt: &str) -> Result<(), Error> {
        // It is a line of the form, or what a line of it says behind its name.
        let line = |line: &str| line == prompt || line.ends_with(&format!(": {prompt}"));
        if prompt.is_empty() || self.parts.concat().lines().any(line) {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "config_sentence_transformers.json: the default prompt is {prompt:?}, and the form of {} that is known asks for \
             something else",
            self.title
        )))
    }
}
