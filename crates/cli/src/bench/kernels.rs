//! `connote bench kernels`: each kernel at each CPU level, beside the peak of the machine's registers.

use std::time::Instant;

use connote::kernels::decode::{Float16, Grain};
use connote::kernels::{Kept, Kernels, Layout, Level, LevelError};
use connote::threads::{Budget, Team, TeamOptions};
use serde::Serialize;

use super::args::KernelsArgs;
use super::attention::{self, AttentionProduct};
use super::kernels_report;
use super::machine::Machine;
use super::peaks::{self, RegisterPeak};
use super::products::{Copies, MATRICES, Matrix, Product, QUICK_MATRICES};
use super::progress::Steps;
use super::row_functions::{self, RowFunction};
use super::timing::Bounds;
use crate::args::OutputFormat;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// The document of `connote bench kernels --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// `kernels`.
    bench: &'static str,
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    /// Threads of the matrix products.
    pub(crate) threads: usize,
    /// Seconds that a figure was measured for, warming up included.
    pub(crate) seconds_a_figure: f64,
    pub(crate) levels: Vec<LevelReport>,
    /// Seconds the whole run took.
    pub(crate) seconds: f64,
}

/// What one CPU level does.
#[derive(Debug, Serialize)]
pub(crate) struct LevelReport {
    pub(crate) level: &'static str,
    /// The layout that it multiplies quantised weights in.
    pub(crate) quantised_layout: &'static str,
    /// On one thread.
    pub(crate) peaks: Vec<RegisterPeak>,
    pub(crate) products: Vec<Product>,
    pub(crate) attention: Vec<AttentionProduct>,
    pub(crate) row_functions: Vec<RowFunction>,
}

/// Which cells, and how long each.
struct Extent {
    bounds: Bounds,
    matrices: &'static [Matrix],
    rows: &'static [usize],
    attention: &'static [(usize, usize)],
}

impl Extent {
    /// The scalar level is so slow that large products say nothing new.
    fn of(level: Level, quick: bool) -> Self {
        let rows: &[usize] = match (quick, level) {
            (true, Level::Scalar) => &[1, 11],
            (true, _) => &[1, 11, 128],
            (false, Level::Scalar) => &[1, 3, 11, 54, 128],
            (false, _) => &[1, 3, 11, 54, 128, 256, 512],
        };
        Self {
            bounds: if quick { Bounds::new(30, 3) } else { Bounds::new(250, 3) },
            matrices: if quick { QUICK_MATRICES } else { MATRICES },
            rows,
            attention: if quick { &attention::SHAPES[..1] } else { attention::SHAPES },
        }
    }

    fn steps(&self, kernels: &Kernels) -> usize {
        let products = forms(kernels).count() * self.matrices.len() * (self.rows.len() + 1);
        2 + products + self.attention.len() + row_functions::COUNT
    }
}

pub(crate) fn run(args: &KernelsArgs) -> Result<Outcome, Failure> {
    let rows_of = |level: Level| Kernels::of(level).ok_or(LevelError::Lacking(level));
    // CONNOTE_CPU is the highest, as everywhere.
    let highest = Level::chosen().map_err(Failure::usage)?;
    let up_to_it = || Level::available().filter(|&level| level <= highest).collect();
    let mut levels = if args.levels.is_empty() { up_to_it() } else { args.levels.clone() };
    levels.sort_unstable();
    levels.dedup();
    let levels: Vec<&Kernels> =
        levels.into_iter().map(rows_of).collect::<Result<_, _>>().map_err(Failure::usage)?;
    // Asked for by number, it may be more than this process should use: that is for whoever asks to know.
    let budget = (args.threads > 0).then(|| Budget::new(args.threads).into());
    let team = Team::with(TeamOptions { threads: args.threads, budget, ..TeamOptions::default() })
        .map_err(|error| Failure::nothing(format!("--threads {}: {error}", args.threads)))?;

    let begin = Instant::now();
    let machine = Machine::look();
    let quick = args.form.quick;
    let extents: Vec<Extent> = levels.iter().map(|kernels| Extent::of(kernels.level, quick)).collect();
    let steps = Steps::new(extents.iter().zip(&levels).map(|(extent, kernels)| extent.steps(kernels)).sum());
    let levels = levels.iter().zip(&extents);
    let levels = levels.map(|(kernels, extent)| measure(kernels, &team, extent, &steps)).collect();
    drop(steps);
    let report = Report {
        bench: "kernels",
        machine,
        quick,
        threads: team.threads(),
        seconds_a_figure: extents.first().map_or(0.0, |extent| extent.bounds.time.as_secs_f64()),
        levels,
        seconds: begin.elapsed().as_secs_f64(),
    };
    let mut output = Output::stdout(Some(OutputFormat::Text));
    if args.form.json { output.json(&report) } else { kernels_report::write(&mut output, &report) }?;
    output.finish()?;
    Ok(Outcome::Complete)
}

/// The layouts that a level multiplies, and the forms in which it may keep weights of each.
fn forms(kernels: &Kernels) -> impl Iterator<Item = (Layout, Option<Kept>)> {
    let of = |layout| {
        let kept: &[Kept] = match layout {
            Layout::I16 if kernels.byte_rows > 0 => &[Kept::Bytes(Grain::Coarse), Kept::Bytes(Grain::Fine)],
            Layout::F32 if kernels.keeps_float16 => {
                &[Kept::Float16(Float16::F16), Kept::Float16(Float16::Bf16)]
            }
            _ => &[],
        };
        std::iter::once((layout, None)).chain(kept.iter().map(move |&kept| (layout, Some(kept))))
    };
    kernels.peaks.iter().flat_map(move |peak| of(peak.layout))
}

fn measure(kernels: &Kernels, team: &Team, extent: &Extent, steps: &Steps) -> LevelReport {
    let level = kernels.level;
    let bounds = extent.bounds;
    steps.next(format!("{level}: register peaks"));
    let mut peaks = peaks::measure(kernels, bounds);
    let mut products = Vec::new();
    for (layout, kept) in forms(kernels) {
        for &matrix in extent.matrices {
            let what = format!("{level}: {} {} {}", layout.name(), matrix.model, matrix.name);
            steps.next(format!("{what}, packing weights"));
            let copies = Copies::pack(kernels, team, layout, kept, matrix);
            for &rows in extent.rows {
                steps.next(format!("{what}, rows: {rows}"));
                products.push(copies.measure(kernels, team, rows, bounds));
            }
        }
    }
    let mut attention = Vec::new();
    for &shape in extent.attention {
        steps.next(format!("{level}: attention, {} tokens", shape.0));
        attention.extend(attention::measure(kernels, shape, bounds));
    }
    steps.next(format!("{level}: register peaks again"));
    peaks::keep_better(&mut peaks, peaks::measure(kernels, bounds));
    let row_functions =
        row_functions::measure(kernels, bounds, |name| steps.next(format!("{level}: {name}")));

    let peak_of = |layout: &str| peaks.iter().find(|peak| peak.of.name() == layout);
    for product in &mut products {
        if let Some(peak) = peak_of(product.layout) {
            product.fraction_of_peak = product.gmacs.best / (peak.gmacs.best * team.threads() as f64);
        }
    }
    for product in &mut attention {
        if let Some(peak) = peak_of(product.layout) {
            product.fraction_of_peak = product.gmacs.best / peak.gmacs.best;
        }
    }
    let quantised_layout = kernels.quantised.name();
    LevelReport { level: level.name(), quantised_layout, peaks, products, attention, row_functions }
}
