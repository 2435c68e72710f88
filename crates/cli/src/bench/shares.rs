//! Where the time of forward passes goes, and how near their products come to the registers' peak.

use connote::encoder::{Batch, Work, Workspace};
use connote::kernels::Layout;
use connote::threads::Team;
use connote::{Embedder, Input, Options};
use serde::Serialize;

use super::peaks::{self, RegisterPeak};
use super::timing::{Bounds, Figure};
use super::workloads::Workload;

/// One thread's time over a workload, by kind of work. Of several passes: the best.
#[derive(Debug, Serialize)]
pub(crate) struct Shares {
    pub(crate) workload: &'static str,
    pub(crate) tokens: usize,
    /// As the library cuts the call.
    pub(crate) micro_batches: usize,
    pub(crate) passes: usize,
    /// Of a pass over all micro-batches: the sum of the kinds of work.
    pub(crate) seconds: Figure,
    pub(crate) work: Vec<Share>,
    pub(crate) products: ProductShare,
    /// Everything but the products.
    pub(crate) rest_share: f64,
}

/// One kind of work.
#[derive(Debug, Serialize)]
pub(crate) struct Share {
    pub(crate) work: &'static str,
    pub(crate) seconds: f64,
    pub(crate) share: f64,
}

/// The products with the layers' weights, endings (bias, activation, gate) included.
#[derive(Debug, Serialize)]
pub(crate) struct ProductShare {
    pub(crate) macs: u64,
    /// Billions of multiply-adds a second.
    pub(crate) gmacs: f64,
    /// The layout of most multiply-adds.
    pub(crate) layout: &'static str,
    /// Of all layouts that the layers have, measured before and after the passes: the better.
    pub(crate) peaks: Vec<RegisterPeak>,
    /// Time that the multiply-adds would take at their layouts' peaks, of the time they took: a mean over all linear
    /// layers, weighted by time. `None` if the level has no peak for a layout.
    pub(crate) fraction_of_peak: Option<f64>,
}

/// Runs a workload through the encoder in the library's own micro-batches.
pub(crate) fn measure(
    embedder: &Embedder,
    workload: &Workload,
    passes: usize,
    peak_bounds: Bounds,
) -> Result<Shares, connote::Error> {
    let (encoder, options) = (embedder.encoder(), Options::new());
    let prepare = |text: &String| Ok(embedder.model().prepare(&Input::new(text), &options)?.ids);
    let texts: Vec<Vec<u32>> = workload.texts.iter().map(prepare).collect::<Result<_, connote::Error>>()?;
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    let plan = embedder.micro_batches(&lengths);
    let pack = |batch: &Vec<usize>| batch.iter().map(|&text| texts[text].as_slice()).collect();
    let batches: Vec<Batch> = plan.iter().map(pack).collect();

    let layouts = encoder.layouts();
    let peaks = || {
        layouts
            .iter()
            .filter_map(|&(layout, _)| peaks::measure_layout(encoder.kernels(), layout, peak_bounds))
    };
    let mut peak_figures: Vec<RegisterPeak> = peaks().collect();
    let (team, mut workspace) = (Team::new(1), Workspace::new());
    let mut rounds = Vec::new();
    let mut best: Option<(f64, [f64; Work::ALL.len()], u64)> = None;
    for _ in 0..passes {
        workspace.profile().start();
        for batch in &batches {
            encoder.forward(&team, batch, embedder.pooling(), &mut workspace);
        }
        let profile = workspace.profile();
        let spent = Work::ALL.map(|work| profile.spent(work).as_secs_f64());
        let total: f64 = spent.iter().sum();
        rounds.push(total);
        if best.is_none_or(|(least, ..)| total < least) {
            best = Some((total, spent, profile.macs()));
        }
    }
    peaks::keep_better(&mut peak_figures, peaks().collect());

    let (total, spent, macs) = best.unwrap_or((f64::NAN, [f64::NAN; Work::ALL.len()], 0));
    let in_products = spent[Work::Products as usize];
    let work = Work::ALL.iter().zip(spent);
    let work = work.map(|(work, seconds)| Share { work: work.name(), seconds, share: seconds / total });
    let fraction_of_peak =
        seconds_at_peak(&layouts, &peak_figures, macs).map(|seconds| seconds / in_products);
    Ok(Shares {
        workload: workload.name,
        tokens: lengths.iter().sum(),
        micro_batches: batches.len(),
        passes,
        seconds: Figure::of_seconds(rounds),
        work: work.collect(),
        products: ProductShare {
            macs,
            gmacs: macs as f64 / in_products / 1e9,
            layout: layouts.first().map_or("none", |(layout, _)| layout.name()),
            peaks: peak_figures,
            fraction_of_peak,
        },
        rest_share: 1.0 - in_products / total,
    })
}

/// How long `macs` multiply-adds, shared among layouts as in the model, would take on registers alone.
fn seconds_at_peak(layouts: &[(Layout, u64)], peaks: &[RegisterPeak], macs: u64) -> Option<f64> {
    let all: u64 = layouts.iter().map(|(_, macs)| macs).sum();
    let of = |&(layout, share): &(Layout, u64)| {
        let peak = peaks.iter().find(|peak| peak.of == layout)?;
        Some(macs as f64 * share as f64 / all as f64 / (peak.gmacs.best * 1e9))
    };
    layouts.iter().map(of).sum()
}
