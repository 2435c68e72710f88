//! The tables and the chart of `connote bench priority`.

use super::chart::{Chart, Panels};
use super::chart_axis::Axis;
use super::chart_panels::{Join, Lines, Series};
use super::priority::Report;
use super::statistics::Percentiles;
use super::subject::{Findings, Setting, section};
use super::table::{facts, figures, number};
use crate::failure::Failure;
use crate::output::Output;

impl Findings for Report {
    fn write(&self, _: &Setting, output: &mut Output) -> Result<(), Failure> {
        section(
            output,
            "PRIORITY: ms that a short query takes, alone and while a bulk job runs",
            "A query overtakes the job at its next layer, so it should wait for two layers at most. With fewer than 100 \
             queries p99 is the slowest of them.",
        )?;
        let head = ["", "p50 ms", "p95 ms", "p99 ms", "max ms", "queries"].map(str::to_owned);
        let row = |name: &str, of: Percentiles| {
            let figures = [of.p50, of.p95, of.p99, of.max].map(number);
            [name.to_owned()].into_iter().chain(figures).chain([of.count.to_string()]).collect::<Vec<_>>()
        };
        let mut rows = vec![row("nothing else runs", self.idle_ms)];
        rows.extend(self.busy_ms.map(|busy| row("beside the bulk job", busy)));
        output.line(&figures(1, &head, &rows))?;
        let bulk = &self.bulk;
        let loss = bulk.loss_percent;
        let interval = match loss.pairs {
            1 => String::new(),
            rounds => format!(" ({:+.1}% to {:+.1}% over {rounds} rounds)", loss.low, loss.high),
        };
        output.line("")?;
        output.line(&facts(&[
            ("Queries", format!("{} tokens, one every {} ms", self.query_tokens, number(self.interval_ms))),
            (
                "Bulk job",
                format!("{} texts, {} tokens, {} micro-batches", bulk.texts, bulk.tokens, bulk.micro_batches),
            ),
            ("A layer of it", format!("{} ms, a micro-batch on each thread", number(bulk.layer_ms))),
            ("Idle p99 and two layers", format!("{} ms", number(self.idle_p99_and_two_layers_ms))),
            ("Bulk alone", format!("{} texts/s", number(bulk.texts_a_second_alone))),
            ("Beside queries", format!("{} texts/s", number(bulk.texts_a_second_with_queries))),
            ("It loses", format!("{:.1}%{interval}", loss.median)),
        ]))
    }

    fn chart(&self, _: &Setting) -> Chart {
        let share = |queries: &[(f64, f64)]| {
            Series::shares(queries.iter().map(|(_, milliseconds)| *milliseconds).collect())
        };
        let over_time = |queries: &[(f64, f64)]| Series {
            points: queries.to_vec(),
            join: Join::Apart,
            ..Series::default()
        };
        let bound = self.idle_p99_and_two_layers_ms;
        Chart {
            title: format!("A short query beside a bulk job of {} texts", self.bulk.texts),
            legend: vec!["nothing else runs".to_owned(), "beside the bulk job".to_owned()],
            panels: Panels::Lines(vec![
                Lines {
                    title: "Every query".to_owned(),
                    x: Axis::linear("seconds"),
                    y: Axis::linear("latency, ms"),
                    series: vec![over_time(&self.idle), over_time(&self.busy)],
                    marks: vec![(bound, format!("idle p99 and two layers: {} ms", number(bound)))],
                },
                Lines {
                    title: "How many were answered by then".to_owned(),
                    x: Axis::log("latency, ms"),
                    y: Axis::linear("% of queries"),
                    series: vec![share(&self.idle), share(&self.busy)],
                    marks: Vec::new(),
                },
            ]),
        }
    }
}
