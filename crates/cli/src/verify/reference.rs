//! Vectors of the authors' own stack, to be compared with.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use connote::gguf::TensorType;
use connote::{Embedder, Input, Model, Options, Request, cosine_similarity};
use serde::{Deserialize, Serialize};

use super::Check;
use crate::failure::Failure;

/// A line of a reference; other fields may be there.
#[derive(Debug, Deserialize)]
struct Line {
    text: Option<String>,
    #[serde(default)]
    prompt: String,
    ids: Option<Vec<u32>>,
    embedding: Option<Vec<f32>>,
}

/// A text and what it should become.
#[derive(Debug)]
struct Wanted {
    line: usize,
    text: String,
    ids: Option<Vec<u32>>,
    embedding: Vec<f32>,
}

/// A file of them.
#[derive(Debug)]
pub(super) struct Reference {
    file: String,
    wanted: Vec<Wanted>,
}

/// Cosines that are enough.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Bounds {
    pub(super) mean: f64,
    pub(super) least: f64,
}

impl Bounds {
    /// What a file of this kind reaches: files of floats are bound by their format alone, Q8_0 by what it lost (EmbeddingGemma and
    /// MiniLM in exact arithmetic: 0.99981 in the mean, 0.9994 at least). For coarser types no bound is known.
    pub(super) fn of(model: &Model) -> Option<Self> {
        let floats = [TensorType::F32, TensorType::F16, TensorType::BF16];
        let only = |types: &[TensorType]| model.gguf().tensors().all(|tensor| types.contains(&tensor.ty()));
        if only(&floats) {
            Some(Self { mean: 0.999_999, least: 0.999_99 })
        } else if only(&[floats.as_slice(), &[TensorType::Q8_0]].concat()) {
            Some(Self { mean: 0.9997, least: 0.999 })
        } else {
            None
        }
    }
}

/// How near a text's vector came.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Distance {
    pub(super) line: usize,
    pub(super) cosine: f64,
    /// `None` where the reference has no ids.
    pub(super) same_ids: Option<bool>,
    pub(super) text: String,
}

/// What became of a reference.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    texts: usize,
    mean_cosine: f64,
    least_cosine: f64,
    /// None where none is known and none was given.
    bounds: Option<Bounds>,
    /// Texts whose ids were compared, and of those the ones that differ.
    ids_compared: usize,
    ids_differ: usize,
    /// The farthest first.
    pub(super) worst: Vec<Distance>,
}

impl Reference {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let unreadable = |error: std::io::Error| Failure::nothing(format!("{file}: cannot be read: {error}"));
        let reader = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut wanted = Vec::new();
        for (index, line) in reader.lines().enumerate() {
            let line = line.map_err(unreadable)?;
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |why: &str| {
                Failure::usage(format!(
                    "{file}, line {}: {why}; a line is {{\"text\": .., \"embedding\": [..]}}",
                    index + 1
                ))
            };
            let read: Line = serde_json::from_str(&line).map_err(|error| wrong(&error.to_string()))?;
            let text = read.text.ok_or_else(|| wrong("there is no `text`, so nothing can be compared"))?;
            let embedding = read.embedding.ok_or_else(|| wrong("there is no `embedding`"))?;
            if !embedding.iter().all(|value| value.is_finite()) || embedding.iter().all(|value| *value == 0.0)
            {
                return Err(wrong("the vector is zero or has a value that is no number of 32 bits"));
            }
            wanted.push(Wanted { line: index + 1, text: read.prompt + &text, ids: read.ids, embedding });
        }
        if wanted.is_empty() {
            return Err(Failure::usage(format!(
                "{file}: has no lines; a line is {{\"text\": .., \"embedding\": [..]}}"
            )));
        }
        Ok(Self { file, wanted })
    }

    /// Embeds its texts, without task or prompt of their own.
    pub(super) fn compare(&self, embedder: &Embedder, bounds: Option<Bounds>) -> Result<Comparison, Failure> {
        let mut distances = Vec::with_capacity(self.wanted.len());
        for some in self.wanted.chunks(256) {
            if let Some(other) = some.iter().find(|wanted| wanted.embedding.len() != embedder.dimensions()) {
                return Err(Failure::usage(format!(
                    "{}, line {}: a vector of {} values; this model's have {}: it is another model's reference",
                    self.file,
                    other.line,
                    other.embedding.len(),
                    embedder.dimensions()
                )));
            }
            let texts: Vec<Input> = some.iter().map(|wanted| Input::new(&*wanted.text)).collect();
            let vectors = embedder.embed(Request::new(texts.clone()))?;
            for ((wanted, input), got) in some.iter().zip(&texts).zip(vectors) {
                let ids = embedder.model().prepare(input, &Options::new())?.ids;
                distances.push(Distance {
                    line: wanted.line,
                    cosine: f64::from(cosine_similarity(&wanted.embedding, &got.vector)),
                    same_ids: wanted.ids.as_ref().map(|wanted| *wanted == ids),
                    text: wanted.text.clone(),
                });
            }
        }
        let count = distances.len();
        let mean = distances.iter().map(|one| one.cosine).sum::<f64>() / count as f64;
        let (compared, differ) =
            distances.iter().fold((0, 0), |(compared, differ), one| match one.same_ids {
                None => (compared, differ),
                Some(same) => (compared + 1, differ + usize::from(!same)),
            });
        // Those with other ids first: their cosines follow from it.
        distances.sort_by(|a, b| {
            let differ = |one: &Distance| one.same_ids != Some(false);
            differ(a).cmp(&differ(b)).then(a.cosine.total_cmp(&b.cosine))
        });
        let least = distances.iter().map(|one| one.cosine).fold(f64::INFINITY, f64::min);
        distances.truncate(5);
        Ok(Comparison {
            texts: count,
            mean_cosine: mean,
            least_cosine: least,
            bounds,
            ids_compared: compared,
            ids_differ: differ,
            worst: distances,
        })
    }
}

impl Comparison {
    /// As checks.
    pub(super) fn checks(&self) -> Vec<Check> {
        let bounded = |name: &'static str, value: f64, bound: Option<f64>| match bound {
            None => Check::skipped(
                name,
                format!(
                    "{value:.6} of {} texts; no bound is known for this file's types, give one",
                    self.texts
                ),
            ),
            Some(bound) => {
                let seen = format!("{value:.6} of {} texts, bound {bound}", self.texts);
                Check::of(name, if value >= bound { Ok(seen) } else { Err(seen) })
            }
        };
        let ids = match (self.ids_compared, self.ids_differ) {
            (0, _) => Check::skipped("token ids are the reference's", "it has no `ids`"),
            (all, 0) => Check::of("token ids are the reference's", Ok(format!("{all} texts"))),
            (all, some) => {
                Check::of("token ids are the reference's", Err(format!("not of {some} of {all} texts")))
            }
        };
        vec![
            ids,
            bounded("mean cosine to the reference", self.mean_cosine, self.bounds.map(|bounds| bounds.mean)),
            bounded(
                "smallest cosine to the reference",
                self.least_cosine,
                self.bounds.map(|bounds| bounds.least),
            ),
        ]
    }
}
