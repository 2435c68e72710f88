//! The axes of a chart: where values lie, and where ticks are.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// What an axis stands for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Axis {
    pub(crate) label: String,
    scale: Scale,
    /// Where a linear one begins.
    from: f64,
}

#[derive(Debug, Clone, Default)]
enum Scale {
    #[default]
    Linear,
    /// Equal ratios are equal lengths.
    Log,
    /// The whole numbers from 0 on have these names.
    Named(Vec<String>),
}

impl Axis {
    pub(crate) fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    pub(crate) fn log(label: impl Into<String>) -> Self {
        Self { scale: Scale::Log, ..Self::linear(label) }
    }

    pub(crate) fn named(label: impl Into<String>, names: impl IntoIterator<Item = impl ToString>) -> Self {
        let names = names.into_iter().map(|name| name.to_string()).collect();
        Self { scale: Scale::Named(names), ..Self::linear(label) }
    }

    /// Begins at `from` instead of 0, or before it where a value does.
    pub(crate) fn from(self, from: f64) -> Self {
        Self { from, ..self }
    }

    /// Whether it counts names instead of measuring.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.scale, Scale::Named(_))
    }

    /// Where a value lies.
    pub(crate) fn place(&self, value: f64) -> f64 {
        if matches!(self.scale, Scale::Log) { value.max(1e-9).log10() } else { value }
    }

    /// First and last place, and the places of its ticks, for these values.
    pub(crate) fn extent(&self, values: impl Iterator<Item = f64>) -> (f64, f64, Vec<f64>) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(self.place(value)), high.max(self.place(value)));
        }
        if low > high {
            (low, high) = (self.place(1.0), self.place(1.0));
        }
        match &self.scale {
            Scale::Named(names) => {
                let count = names.len().max(1);
                (-0.4, count as f64 - 0.6, (0..count).map(|index| index as f64).collect())
            }
            Scale::Linear => {
                let begin = low.min(self.from);
                let room = 0.06 * (high - begin).max(1e-9);
                // A value before the beginning gets room as well; the beginning itself is an edge.
                let begin = if low < self.from { begin - room } else { begin };
                (begin, high + room, linear_ticks(begin, high + room))
            }
            Scale::Log => {
                let (low, high) = (low - 0.08, high + 0.12);
                (low, high, log_ticks(low, high))
            }
        }
    }

    /// What stands at a place.
    pub(crate) fn tick(&self, place: f64) -> String {
        match &self.scale {
            Scale::Named(names) => names.get(place.round() as usize).cloned().unwrap_or_default(),
            Scale::Log => plain(10_f64.powf(place)),
            Scale::Linear => plain(place),
        }
    }
}

/// Places between two ends, with ticks where [`Axis`] wants them.
pub(crate) struct Places {
    pub(crate) ends: Range<f64>,
    pub(crate) ticks: Vec<f64>,
}

impl Ranged for Places {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, pixels: (i32, i32)) -> i32 {
        let share = (value - self.ends.start) / (self.ends.end - self.ends.start);
        pixels.0 + (share * f64::from(pixels.1 - pixels.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.ends.clone()
    }
}

/// About six round places.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|&step| step >= rough)
        .unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    (first..first + 20).map(|index| index as f64 * step).take_while(|&tick| tick <= high).collect()
}

/// Powers of ten, with more between them where there are few.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let between: &[f64] = match high - low {
        span if span < 1.1 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        span if span < 2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let powers = low.floor() as i32..=high.ceil() as i32;
    let ticks = powers.flat_map(|power| between.iter().map(move |step| f64::from(power) + step.log10()));
    ticks.filter(|&tick| tick >= low && tick <= high).collect()
}

/// A tick's value, without digits that say nothing.
fn plain(value: f64) -> String {
    let digits = format!("{value:.3}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    if digits == "-0" { "0".to_owned() } else { digits.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(linear_ticks(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear_ticks(0.0, 437.0), [0.0, 100.0, 200.0, 300.0, 400.0]);
        let names = |low: f64, high: f64| {
            log_ticks(low, high).iter().map(|&tick| plain(10_f64.powf(tick))).collect::<Vec<_>>()
        };
        assert_eq!(names(-1.1, 1.1), ["0.1", "0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(names(0.25, 0.9), ["2", "3", "4", "5", "7"]);
        assert_eq!(names(0.0, 4.0), ["1", "10", "100", "1000", "10000"]);
        assert_eq!((plain(-0.0), plain(0.95), plain(1200.0)), ("0".into(), "0.95".into(), "1200".into()));
    }

    #[test]
    fn axes_hold_what_they_show() {
        let (low, high, _) = Axis::linear("").from(0.8).extent([0.7, 1.1].into_iter());
        assert!(low < 0.7 && high > 1.1);
        assert_eq!(Axis::linear("").extent([0.7].into_iter()).0, 0.0);
        let (low, high, _) = Axis::log("").extent([1.0, 100.0].into_iter());
        assert!(low < 0.0 && high > 2.0);
        let (low, high, ticks) = Axis::named("", ["a", "b", "c"]).extent([0.0].into_iter());
        assert_eq!((ticks.len(), low < 0.0, high > 2.0), (3, true, true));
        let (low, high, _) = Axis::linear("").extent([f64::NAN].into_iter());
        assert!(low < high, "without values there is still an axis");
    }
}
