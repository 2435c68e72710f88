//! From the outputs of a head to a score.

use std::cmp::Ordering;

use encoder::Scoring;

use crate::error::{Error, ErrorKind};

/// How well a document answers a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// From 0 to 1: the sigmoid of [`raw`](Self::raw) or, of a model with several labels, the chosen label's share of a
    /// softmax over all.
    pub score: f32,
    /// As the head gives it, a logit. For models that answer by "yes" and "no", how much the first is above the second.
    pub raw: f32,
    /// All outputs of the head, in the order of [`Reranker::labels`](crate::Reranker::labels).
    pub logits: Vec<f32>,
    /// Tokens the network read, of query, document and what goes around them.
    pub tokens: usize,
    /// Whether the document was cut to fit.
    pub truncated: bool,
}

/// A document's place among all.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ranked {
    /// Which document of the request it is, counted from 0.
    pub index: usize,
    /// Its score.
    pub score: Score,
}

impl Score {
    /// Which of two is better, the better one first: by the score, and where that is as good as 0 or 1 for both, by the logit.
    pub fn better_first(&self, other: &Self) -> Ordering {
        // Large logits have the same sigmoid in f32; a label's logit alone says nothing.
        other.score.total_cmp(&self.score).then(other.raw.total_cmp(&self.raw))
    }
}

impl Ranked {
    /// The scores of all documents in their order, the best first, of equal ones the earlier, and no more than `top_n`.
    pub fn best_first(scores: Vec<Score>, top_n: Option<usize>) -> Vec<Self> {
        let ranked = scores.into_iter().enumerate().map(|(index, score)| Self { index, score });
        let mut ranked: Vec<Self> = ranked.collect();
        // A stable sort.
        ranked.sort_by(|one, other| one.score.better_first(&other.score));
        ranked.truncate(top_n.unwrap_or(usize::MAX));
        ranked
    }
}

/// Which of a head's outputs is the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// There is one.
    Only,
    /// The first of these against the second.
    Against(usize, usize),
    /// This one among all.
    Label(usize),
}

/// The names of a head's outputs; those that the file does not name, as Hugging Face calls them.
pub(crate) fn labels(scoring: &Scoring) -> Vec<String> {
    if scoring.labels.is_empty() {
        return (0..scoring.outputs).map(|output| format!("LABEL_{output}")).collect();
    }
    scoring.labels.clone()
}

impl Reading {
    /// What a request that names this label, or none, is answered by.
    ///
    /// # Errors
    /// If there is no such label, or one must be named.
    pub(crate) fn choose(labels: &[String], asked: Option<&str>) -> Result<Self, Error> {
        let place = |name: &str| labels.iter().position(|label| label.eq_ignore_ascii_case(name));
        let names = labels.join(", ");
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidRequest, message));
        match (asked, place("yes"), place("no")) {
            (Some(asked), ..) => match place(asked.trim()) {
                Some(_) if labels.len() == 1 => Ok(Reading::Only),
                Some(output) => Ok(Reading::Label(output)),
                None => invalid(format!("the model has no label `{asked}`; it has {names}")),
            },
            (None, Some(yes), Some(no)) if labels.len() == 2 => Ok(Reading::Against(yes, no)),
            (None, ..) if labels.len() == 1 => Ok(Reading::Only),
            (None, ..) => invalid(format!(
                "the model gives {} scores and does not say which ranks; name a label: {names}",
                labels.len()
            )),
        }
    }

    /// The score of a head's outputs.
    ///
    /// # Errors
    /// If they are not finite.
    pub(crate) fn score(self, logits: Vec<f32>, tokens: usize, truncated: bool) -> Result<Score, Error> {
        if logits.iter().any(|logit| !logit.is_finite()) {
            let message = "the score is not finite, so it was withheld: the file is damaged or not the model it says it is";
            return Err(Error::new(ErrorKind::BadVector, message));
        }
        let of = |output: usize| f64::from(logits[output]);
        let (raw, score) = match self {
            Reading::Only => (of(0), sigmoid(of(0))),
            Reading::Against(yes, no) => (of(yes) - of(no), sigmoid(of(yes) - of(no))),
            Reading::Label(output) => {
                let above: f64 = logits.iter().map(|&other| (f64::from(other) - of(output)).exp()).sum();
                (of(output), 1.0 / above)
            }
        };
        Ok(Score { score: score as f32, raw: raw as f32, logits, tokens, truncated })
    }
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.to_owned()).collect()
    }

    #[test]
    fn a_label_is_chosen_only_where_there_is_one_to_choose() {
        let choose =
            |labels: &[&str], asked| Reading::choose(&names(labels), asked).map_err(|e| e.to_string());
        assert_eq!(choose(&["LABEL_0"], None), Ok(Reading::Only));
        assert_eq!(choose(&["relevant"], Some("Relevant")), Ok(Reading::Only));
        assert_eq!(choose(&["yes", "no"], None), Ok(Reading::Against(0, 1)));
        assert_eq!(choose(&["no", "yes"], None), Ok(Reading::Against(1, 0)));
        let three = ["contradiction", "entailment", "neutral"];
        assert_eq!(choose(&three, Some(" entailment ")), Ok(Reading::Label(1)));
        for (asked, part) in
            [(None, "name a label: contradiction, entailment, neutral"), (Some("maybe"), "no label `maybe`")]
        {
            assert!(choose(&three, asked).is_err_and(|error| error.contains(part)));
        }
    }

    #[test]
    fn scores_are_sigmoids_and_shares() {
        let score =
            |reading: Reading, logits: &[f32]| reading.score(logits.to_vec(), 3, false).expect("finite");
        let one = score(Reading::Only, &[2.0]);
        assert_eq!((one.raw, one.tokens), (2.0, 3));
        assert!((one.score - 0.880_797_1).abs() < 1e-7);
        let yes = score(Reading::Against(0, 1), &[3.0, 1.0]);
        assert_eq!((yes.raw, yes.score), (one.raw, one.score));
        // The share of a softmax of two is the sigmoid of their difference.
        let share = score(Reading::Label(0), &[3.0, 1.0]);
        assert_eq!((share.raw, share.score), (3.0, one.score));
        let certain = score(Reading::Label(1), &[-3e38, 3e38, 0.0]);
        assert_eq!((certain.raw, certain.score), (3e38, 1.0));
        assert_eq!(score(Reading::Only, &[-3e38]).score, 0.0);
        let fault = Reading::Only.score(vec![f32::NAN], 1, false).expect_err("withheld");
        assert_eq!(fault.kind(), ErrorKind::BadVector);
    }
}
