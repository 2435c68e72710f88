//! The tables and the chart of `connote bench cancellation`.

use super::cancellation::{Call, Report};
use super::chart::{Chart, Panels};
use super::chart_axis::Axis;
use super::chart_panels::{Lines, Series};
use super::statistics::Percentiles;
use super::subject::{Findings, Setting, section};
use super::table::{facts, figures, number};
use crate::failure::Failure;
use crate::output::Output;

impl Findings for Report {
    fn write(&self, _: &Setting, output: &mut Output) -> Result<(), Failure> {
        section(
            output,
            "CARRYING A TOKEN: calls with one that nobody cancels, beside calls without",
            "The cost is the median of interleaved pairs, with the interval that holds the true one with at least 95% (of \
             fewer than 6 pairs: what there is). Below 0 is noise.",
        )?;
        let head = ["texts", "tokens", "ms without", "cost", "interval", "pairs"].map(str::to_owned);
        let rows: Vec<Vec<String>> = self
            .costs
            .iter()
            .map(|cost| {
                vec![
                    cost.texts.to_string(),
                    cost.tokens.to_string(),
                    number(cost.seconds_without * 1e3),
                    format!("{:+.2}%", cost.percent.median),
                    format!("{:+.2}% to {:+.2}%", cost.percent.low, cost.percent.high),
                    cost.percent.pairs.to_string(),
                ]
            })
            .collect();
        output.line(&figures(0, &head, &rows))?;

        let cancelled = &self.cancelled;
        section(
            output,
            "CANCELLING: ms from cancelling a call",
            "Work has stopped when the CPU time of this process's threads no longer rises (looked at every ms; the kernel \
             counts in ticks of up to 4 ms).",
        )?;
        let mut about = vec![
            (
                "Calls",
                format!(
                    "{} texts, {} tokens, {} ms if left alone",
                    cancelled.texts,
                    cancelled.tokens,
                    number(cancelled.whole_call_ms)
                ),
            ),
            (
                "Ended",
                format!(
                    "{} cancelled, {} had their answer first",
                    cancelled.ended_cancelled, cancelled.ended_complete
                ),
            ),
        ];
        if cancelled.stop_ms.is_none() {
            about.push(("CPU time", "this system does not say".to_owned()));
        }
        output.line(&facts(&about))?;
        let head = ["", "p50 ms", "p95 ms", "max ms", "calls"].map(str::to_owned);
        let rows = [
            ("until the call returns", cancelled.return_ms),
            ("until its work has stopped", cancelled.stop_ms),
            ("CPU time after cancelling", cancelled.cpu_after_ms),
        ];
        let row = |(name, percentiles): (&str, Option<Percentiles>)| {
            let of = percentiles?;
            let figures = [of.p50, of.p95, of.max].map(number);
            Some([name.to_owned()].into_iter().chain(figures).chain([of.count.to_string()]).collect())
        };
        output.line(&figures(1, &head, &rows.into_iter().filter_map(row).collect::<Vec<_>>()))
    }

    fn chart(&self, _: &Setting) -> Chart {
        let shares = |value: &dyn Fn(&Call) -> Option<f64>| {
            Series::shares(self.cancelled.calls.iter().filter_map(value).collect())
        };
        Chart {
            title: format!("After cancelling a call of {} texts", self.cancelled.texts),
            legend: vec!["the call has returned".to_owned(), "its work has stopped".to_owned()],
            panels: Panels::Lines(vec![Lines {
                title: format!(
                    "{} calls, each of {} ms if left alone",
                    self.cancelled.calls.len(),
                    number(self.cancelled.whole_call_ms)
                ),
                x: Axis::linear("ms since cancelling"),
                y: Axis::linear("% of calls"),
                series: vec![shares(&|call| call.return_ms), shares(&|call| call.stop_ms)],
                marks: Vec::new(),
            }]),
        }
    }
}
