//! A few seconds of work beside this machine's own peak.

use connote::Embedder;
use connote::kernels::{Kernels, Level};
use serde::Serialize;

use crate::bench::{Bounds, measure_layout, try_seconds};
use crate::failure::Failure;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Speed {
    pub(crate) model: String,
    pub(crate) threads: usize,
    pub(crate) short_text_ms: f64,
    pub(crate) batch_tokens_a_second: f64,
    /// What the registers do at most, on one thread.
    pub(crate) instruction: &'static str,
    pub(crate) peak_gmacs: f64,
    /// Multiply-adds of the weights a second, of the peak of all threads; attention, norms and tokenizing take their time from it.
    pub(crate) fraction_of_peak: f64,
}

const SHORT: &str = "Machine learning is a subset of artificial intelligence";

/// Some 5 seconds.
pub(crate) fn check(embedder: &Embedder, level: Level) -> Result<Speed, Failure> {
    let kernels = Kernels::of(level).ok_or_else(|| Failure::nothing(format!("{level} is not here")))?;
    let encoder = embedder.encoder();
    let layout = encoder.layouts().first().map_or(kernels.quantised, |&(layout, _)| layout);
    let peak = measure_layout(kernels, layout, Bounds::new(300, 3));
    let short = try_seconds(Bounds::new(1000, 3), || embedder.embed([SHORT]).map(drop))?;
    let texts: Vec<String> =
        (0..32).map(|index| format!("{index} {}", format!("{SHORT}. ").repeat(4))).collect();
    let tokens: usize = embedder.embed(texts.clone())?.iter().map(|one| one.tokens).sum();
    let batch = try_seconds(Bounds::new(2500, 3), || embedder.embed(texts.clone()).map(drop))?;
    let tokens_a_second = tokens as f64 / batch.best;
    let (instruction, gmacs) = peak.map_or(("", f64::NAN), |peak| (peak.instruction, peak.gmacs.best));
    let work = tokens_a_second * encoder.macs_a_token() as f64 / 1e9;
    Ok(Speed {
        model: embedder.model().name().to_owned(),
        threads: embedder.threads(),
        short_text_ms: short.best * 1e3,
        batch_tokens_a_second: tokens_a_second,
        instruction,
        peak_gmacs: gmacs,
        fraction_of_peak: work / (gmacs * embedder.threads() as f64),
    })
}
