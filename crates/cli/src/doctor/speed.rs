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
    pub(crate) instruction: Option<&'static str>,
    pub(crate) peak_gmacs: Option<f64>,
    /// Multiply-adds of the weights a second, of the peak of all threads; attention, norms and tokenizing take their time from it.
    pub(crate) fraction_of_peak: Option<f64>,
}

const SHORT: &str = "Machine learning is a subset of artificial intelligence";

/// Some 5 seconds.
pub(crate) fn check(embedder: &Embedder, level: Level) -> Result<Speed, Failure> {
    let kernels = Kernels::of(level).ok_or_else(|| Failure::nothing(format!("{level} is not here")))?;
    let encoder = embedder.encoder();
    let layout = encoder.layouts().first().map_or(kernels.quantised, |&(layout, _)| layout);
    let peak = measure_layout(kernels, layout, Bounds::new(300, 3));
    let short = try_seconds(Bounds::new(1000, 3), || embedder.embed([SHORT]).map(drop))?;
    // A slow level gets fewer texts, so that a round stays below a second or so.
    let count = (0.1 / short.best).clamp(1.0, 32.0) as usize;
    let texts: Vec<String> =
        (0..count).map(|index| format!("{index} {}", format!("{SHORT}. ").repeat(4))).collect();
    let tokens: usize = embedder.embed(texts.clone())?.iter().map(|one| one.tokens).sum();
    let batch = try_seconds(Bounds::new(2500, 2), || embedder.embed(texts.clone()).map(drop))?;
    let tokens_a_second = tokens as f64 / batch.best;
    let work = tokens_a_second * encoder.macs_a_token() as f64 / 1e9;
    Ok(Speed {
        model: embedder.model().name().to_owned(),
        threads: embedder.threads(),
        short_text_ms: short.best * 1e3,
        batch_tokens_a_second: tokens_a_second,
        instruction: peak.as_ref().map(|peak| peak.instruction),
        peak_gmacs: peak.as_ref().map(|peak| peak.gmacs.best),
        fraction_of_peak: peak.map(|peak| work / (peak.gmacs.best * embedder.threads() as f64)),
    })
}
