//! The texts that a model is measured with: those of the shared benchmark client (`http_bench.py`).

use connote::{Embedder, Options, Request};
use serde::Serialize;

use super::timing::{Bounds, Figure, try_seconds};

const SHORT: &str = "Machine learning is a subset of artificial intelligence";
const LONG: &str = "Machine learning is a field of study concerned with algorithms that improve from data. It includes \
supervised methods, where examples carry labels, and unsupervised methods, which look for structure without them. Deep \
networks learn layered representations of text, images and sound from raw input.";

/// The one whose time is taken apart.
pub(crate) const TAKEN_APART: &str = "batch96_long";

/// One call's texts.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) texts: Vec<String>,
}

/// All of them, in the order of the client.
pub(crate) fn all() -> Vec<Workload> {
    let xlong = format!("{LONG} ").repeat(8);
    let mixed: [&str; 8] = [SHORT, LONG, "cat", &xlong, SHORT, LONG, "two words", SHORT];
    vec![
        numbered("single_short", 1, &[SHORT]),
        numbered("single_long", 1, &[LONG]),
        numbered("single_xlong", 1, &[&xlong]),
        numbered("batch96_short", 96, &[SHORT]),
        numbered(TAKEN_APART, 96, &[LONG]),
        numbered("batch16_xlong", 16, &[&xlong]),
        numbered("mixed64", 64, &mixed),
    ]
}

/// These texts by turns, each with its number before it, so that no two are the same.
fn numbered(name: &'static str, count: usize, texts: &[&str]) -> Workload {
    let texts = texts.iter().cycle().take(count).enumerate();
    Workload { name, texts: texts.map(|(index, text)| format!("{index} {text}")).collect() }
}

/// Speed of one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) workload: &'static str,
    pub(crate) texts: usize,
    /// Tokens computed, special tokens included.
    pub(crate) tokens: usize,
    /// Texts that were longer than the model's limit and lost their end, as by default.
    pub(crate) texts_cut: usize,
    /// Of the whole call.
    pub(crate) seconds: Figure,
    pub(crate) tokens_a_second: Figure,
}

/// Times `embed` on one workload.
pub(crate) fn measure(
    embedder: &Embedder,
    workload: &Workload,
    bounds: Bounds,
) -> Result<Measured, connote::Error> {
    let (mut tokens, mut texts_cut) = (0, 0);
    let seconds = try_seconds(bounds, || -> Result<(), connote::Error> {
        let embeddings = embedder.embed(Request::new(&workload.texts).with(Options::new()))?;
        tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
        texts_cut = embeddings.iter().filter(|embedding| embedding.truncated).count();
        Ok(())
    })?;
    Ok(Measured {
        workload: workload.name,
        texts: workload.texts.len(),
        tokens,
        texts_cut,
        seconds,
        tokens_a_second: seconds.map(|seconds| tokens as f64 / seconds),
    })
}
