//! What the machine's registers could do: the ceiling beside which products are shown.

use std::time::Duration;

use connote::kernels::{Kernels, Layout, Peak};
use serde::Serialize;

use super::timing::{Bounds, Figure, seconds};

/// Long enough that starting and ending the loop are nothing.
const RUN: Duration = Duration::from_millis(1);

/// Loops over registers alone, on one thread.
#[derive(Debug, Serialize)]
pub(crate) struct RegisterPeak {
    pub(crate) instruction: &'static str,
    #[serde(skip)]
    pub(crate) of: Layout,
    pub(crate) layout: &'static str,
    pub(crate) gmacs: Figure,
}

/// Every peak of a level.
pub(crate) fn measure(kernels: &Kernels, bounds: Bounds) -> Vec<RegisterPeak> {
    kernels.peaks.iter().map(|peak| of(peak, bounds)).collect()
}

/// The one of a layout, if the level has it.
pub(crate) fn measure_layout(kernels: &Kernels, layout: Layout, bounds: Bounds) -> Option<RegisterPeak> {
    kernels.peaks.iter().find(|peak| peak.layout == layout).map(|peak| of(peak, bounds))
}

fn of(peak: &Peak, bounds: Bounds) -> RegisterPeak {
    let mut steps = 1024;
    while seconds(Bounds::new(0, 1), || (peak.run)(steps)).best < RUN.as_secs_f64() {
        steps *= 2;
    }
    let gmacs = seconds(bounds, || (peak.run)(steps)).giga_per_second(steps * peak.macs);
    RegisterPeak { instruction: peak.name, of: peak.layout, layout: peak.layout.name(), gmacs }
}

/// Takes the better of two measurements of the same peaks: a clock that rose in between must not make a product
/// seem faster than its registers.
pub(crate) fn keep_better(peaks: &mut [RegisterPeak], again: Vec<RegisterPeak>) {
    for (peak, again) in peaks.iter_mut().zip(again) {
        if again.gmacs.best > peak.gmacs.best {
            *peak = again;
        }
    }
}
