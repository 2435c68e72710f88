//! How near a model comes to a reference.

use bulk::Precision;
use connote::{Embedder, ErrorKind, Input, Options, Request, Task, cosine_similarity};
use serde::Serialize;

use super::Check;
use super::bounds::{Bounds, rounded};
use super::reference::{Reference, Wanted};
use crate::failure::Failure;

/// How near a text's vector came.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Distance {
    /// The line of JSONL or the row of a table, counted from 1.
    pub(super) line: usize,
    pub(super) cosine: f64,
    /// `None` where the reference has no ids.
    pub(super) same_ids: Option<bool>,
    pub(super) text: String,
}

/// A text that the model refuses.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Refused {
    line: usize,
    why: String,
}

/// What the reference is, as far as it says.
#[derive(Debug, Serialize)]
struct Origin {
    file: String,
    model: Option<String>,
    fingerprint: Option<String>,
    task: Option<String>,
    prompt: Option<String>,
    dimensions: usize,
    precision: Precision,
    /// Rows that have no vector.
    left_out: usize,
}

/// What became of a reference.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    reference: Origin,
    /// This model's space, texts being prepared as the reference's were.
    fingerprint: String,
    texts: usize,
    mean_cosine: Option<f64>,
    least_cosine: Option<f64>,
    bounds: Bounds,
    /// Whether a cosine was held to a bound that it could have missed.
    pub(super) judged: bool,
    /// Texts whose ids were compared, and of those the ones that differ.
    ids_compared: usize,
    ids_differ: usize,
    /// Texts that the model refuses, and the first of them.
    refused: usize,
    refused_first: Vec<Refused>,
    /// What a row is called.
    #[serde(skip)]
    pub(super) unit: &'static str,
    /// The farthest first.
    pub(super) worst: Vec<Distance>,
}

/// Rows that are embedded in one call.
const TOGETHER: usize = 256;

/// Rows that are named.
const NAMED: usize = 5;

/// Embeds the texts as those of the reference were, and compares in its precision.
pub(super) fn compare(
    reference: &Reference,
    embedder: &Embedder,
    given: (Option<f64>, Option<f64>),
) -> Result<Comparison, Failure> {
    let options = options(reference, embedder)?;
    let fingerprint = embedder.fingerprint(&options)?.to_string();
    let precision = reference.precision;
    let dimensions = reference.wanted[0].embedding.len();
    let usual = Bounds::of(embedder.model(), dimensions);
    // What rounding takes from bounds is measured where they are not given by somebody who knows it.
    let measured = !precision.is_float();
    let (mut distances, mut refused, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for some in reference.wanted.chunks(TOGETHER) {
        let inputs: Vec<Input> =
            some.iter().map(|wanted| as_used(reference, wanted, embedder, &options)).collect();
        let results = embedder.embed_each(Request::new(inputs.clone()).with(options.clone()))?;
        for ((wanted, input), result) in some.iter().zip(&inputs).zip(results) {
            match result {
                Ok(got) => {
                    // Prepared once more only where ids are to be compared.
                    let same_ids = match &wanted.ids {
                        Some(wanted) => Some(*wanted == embedder.model().prepare(input, &options)?.ids),
                        None => None,
                    };
                    let vector = rounded(&got.vector, precision);
                    distances.push(Distance {
                        line: wanted.place,
                        cosine: f64::from(cosine_similarity(&wanted.embedding, &vector)),
                        same_ids,
                        text: wanted.input.text().to_owned(),
                    });
                    if measured {
                        own.push(got.vector);
                    }
                }
                Err(error) if error.kind() == ErrorKind::BadVector => return Err(error.into()),
                Err(error) => {
                    refused.push(Refused { line: wanted.place, why: error.message().to_owned() });
                }
            }
        }
    }
    let bounds = Bounds::or_given(usual.rounded(precision, &own), given.0, given.1);
    let count = distances.len();
    let mean = distances.iter().map(|one| one.cosine).sum::<f64>() / count.max(1) as f64;
    let least = distances.iter().map(|one| one.cosine).fold(f64::INFINITY, f64::min);
    let compared = distances.iter().filter(|one| one.same_ids.is_some()).count();
    let differ = distances.iter().filter(|one| one.same_ids == Some(false)).count();
    // Those with other ids first: their cosines follow from it.
    distances.sort_by(|a, b| {
        let differ = |one: &Distance| one.same_ids != Some(false);
        differ(a).cmp(&differ(b)).then(a.cosine.total_cmp(&b.cosine))
    });
    distances.truncate(NAMED);
    let space = reference.space.as_ref();
    let of_space = |what: fn(&bulk::Space) -> Option<String>| space.and_then(what);
    let counted = refused.len();
    refused.truncate(NAMED);
    Ok(Comparison {
        reference: Origin {
            file: reference.file.clone(),
            model: of_space(|space| Some(space.model.clone())),
            fingerprint: of_space(|space| Some(space.fingerprint.clone())),
            task: of_space(|space| space.task.clone()),
            prompt: of_space(|space| space.prompt.clone()),
            dimensions,
            precision,
            left_out: reference.left_out,
        },
        fingerprint,
        texts: count,
        mean_cosine: (count > 0).then_some(mean),
        least_cosine: (count > 0).then_some(least),
        judged: count > 0 && [bounds.mean, bounds.least].into_iter().any(can_be_missed),
        bounds,
        ids_compared: compared,
        ids_differ: differ,
        refused: counted,
        refused_first: refused,
        unit: reference.unit,
        worst: distances,
    })
}

/// How the reference's texts were prepared, as far as it says: its task, its prompt, its dimensions.
fn options(reference: &Reference, embedder: &Embedder) -> Result<Options, Failure> {
    let file = &reference.file;
    let first = &reference.wanted[0];
    let (dimensions, whole) = (first.embedding.len(), embedder.dimensions());
    let mut options = Options::new();
    if dimensions != whole {
        options = options.dimensions(dimensions);
        let packed = packed(reference, whole);
        if embedder.model().check_dimensions(Some(dimensions)).is_err() {
            return Err(Failure::usage(format!(
                "{file}, {} {}: a vector of {dimensions} values; this model's have {whole}: it is another model's reference{}",
                reference.unit, first.place, packed
            )));
        }
        if reference.space.is_none() && !packed.is_empty() {
            return Err(Failure::usage(format!(
                "{file}, {} {}: {dimensions} values, all of them bytes{packed}",
                reference.unit, first.place
            )));
        }
    }
    let Some(space) = &reference.space else { return Ok(options) };
    let refused = |why: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "{file}: its texts were prepared for {} in a way that this model has not: {why}",
            space.model
        ))
    };
    if let Some(task) = &space.task {
        options = options.task(task.parse::<Task>().map_err(|why| refused(&why))?);
    }
    if let Some(prompt) = &space.prompt {
        options = options.prompt(prompt);
    }
    embedder.model().check_options(&options).map_err(|error| refused(&error.message()))?;
    Ok(options)
}

/// Words on signs that are packed and do not say so; empty where the numbers are none.
fn packed(reference: &Reference, whole: usize) -> String {
    let is_byte = |value: &f32| value.fract() == 0.0 && (0.0..=255.0).contains(value);
    let first = &reference.wanted[0].embedding;
    let bytes = reference.precision == Precision::F32
        && first.len() == whole.div_ceil(8)
        && first.iter().all(is_byte);
    match bytes {
        true => format!(
            ", or packed signs; put {}.meta.json beside it, as `connote embed` wrote it, or write the reference with --precision f32",
            reference.file
        ),
        false => String::new(),
    }
}

/// A row's input with the task and the title that counted. A row that connote gave a vector to had none that it refuses, so what is
/// refused now is a column that was only carried along.
fn as_used(reference: &Reference, wanted: &Wanted, embedder: &Embedder, options: &Options) -> Input {
    let input = &wanted.input;
    let is_refused = |input: &Input| {
        embedder.model().prepare(input, options).is_err_and(|error| error.kind() == ErrorKind::InvalidRequest)
    };
    if reference.space.is_some() && is_refused(input) {
        let plain = Input::new(input.text());
        if !is_refused(&plain) {
            return plain;
        }
    }
    input.clone()
}

/// Whether a bound says anything.
fn can_be_missed(bound: f64) -> bool {
    bound > -1.0
}

impl Comparison {
    /// As checks.
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.space()];
        let (unit, file) = (self.unit, &self.reference.file);
        if let Some(first) = self.refused_first.first() {
            checks.push(Check::of(
                "the reference's texts can be embedded",
                Err(format!(
                    "not {} of {}: {file}, {unit} {}: {}",
                    self.refused,
                    self.refused + self.texts,
                    first.line,
                    first.why
                )),
            ));
        }
        checks.push(match (self.ids_compared, self.ids_differ) {
            (0, _) => Check::skipped("token ids are the reference's", "it has no `ids`"),
            (all, 0) => Check::of("token ids are the reference's", Ok(format!("{all} texts"))),
            (all, some) => {
                Check::of("token ids are the reference's", Err(format!("not of {some} of {all} texts")))
            }
        });
        let Bounds { mean, least, .. } = self.bounds;
        checks.push(self.bounded("mean cosine to the reference", self.mean_cosine, mean));
        checks.push(self.bounded("smallest cosine to the reference", self.least_cosine, least));
        checks
    }

    fn bounded(&self, name: &'static str, value: Option<f64>, bound: f64) -> Check {
        let Some(value) = value else { return Check::skipped(name, "none of its texts could be embedded") };
        let seen = format!("{value:.6} of {} texts, bound {bound:.6} ({})", self.texts, self.bounds.why);
        match can_be_missed(bound) {
            false => Check::skipped(name, format!("{seen}, which no cosine could miss")),
            true => Check::of(name, if value >= bound { Ok(seen) } else { Err(seen) }),
        }
    }

    /// Whether the reference is of this very model; another one may be compared with as well.
    fn space(&self) -> Check {
        const NAME: &str = "vector space of the reference";
        let Origin { model, fingerprint, task, prompt, dimensions, precision, left_out, .. } =
            &self.reference;
        let (Some(model), Some(fingerprint)) = (model, fingerprint) else {
            return Check::skipped(
                NAME,
                "it does not say which; its texts went in with no other task, title or prompt than those of their rows",
            );
        };
        let mut how = format!("{dimensions} dimensions, {precision}");
        if let Some(task) = task {
            how += &format!(", task {task}");
        }
        if let Some(prompt) = prompt {
            how += &format!(", prompt {prompt:?}");
        }
        if *left_out > 0 {
            how += &format!(", {left_out} rows without a vector left out");
        }
        match *fingerprint == self.fingerprint {
            true => Check::of(NAME, Ok(format!("this model's, {fingerprint} ({how})"))),
            false => Check::skipped(
                NAME,
                format!(
                    "of {model}, {fingerprint}, and this model's is {}; compared all the same ({how})",
                    self.fingerprint
                ),
            ),
        }
    }
}
