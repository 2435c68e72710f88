//! The tables and the chart of `connote bench strategies`.

use super::chart::{Chart, Panels};
use super::chart_axis::Axis;
use super::chart_panels::{Bar, Ends, Rows};
use super::statistics::Median;
use super::strategies::{Compared, Contender, Report, Verdict, WITHIN};
use super::subject::{Findings, Setting, section};
use super::table::{figures, number};
use crate::failure::Failure;
use crate::output::Output;

impl Findings for Report {
    fn write(&self, setting: &Setting, output: &mut Output) -> Result<(), Failure> {
        section(
            output,
            "AUTOMATIC AGAINST FIXED: throughput over that of the fixed shape it looks worst beside",
            "1.00 is as fast, 0.95 is 5% slower. Medians of interleaved pairs, with the interval that holds the true \
             median with at least 95% (of fewer than 6 pairs: what there is). A verdict with ? is the median's, and the \
             interval does not agree.",
        )?;
        let head =
            ["texts x tokens", "best fixed", "worst beside", "automatic", "interval", "pairs", "within 5%"]
                .map(str::to_owned);
        let row = |one: &Compared| {
            let ratio = one.automatic_over_it;
            let verdict = match one.verdict {
                Verdict::Within => "yes",
                Verdict::ProbablyWithin => "yes?",
                Verdict::ProbablyBelow => "no?",
                Verdict::Below => "no",
            };
            vec![
                one.cell.name(),
                one.best_fixed.clone(),
                one.worst_beside.clone(),
                format!("{:.3}", ratio.median),
                format!("{:.3} to {:.3}", ratio.low, ratio.high),
                ratio.pairs.to_string(),
                verdict.to_owned(),
            ]
        };
        output.line(&figures(3, &head, &self.cells.iter().map(row).collect::<Vec<_>>()))?;
        let verdict = if self.within_in_every_cell { "yes" } else { "no" };
        output.line(&format!("In every cell within 5% of the best fixed choice, by medians: {verdict}"))?;

        section(
            output,
            "ALL WAYS: texts a second, medians",
            "Shapes are workers x threads. * ran three rounds only: it was more than 20% slower than the best.",
        )?;
        let names = self.cells.first().map(|cell| cell.ways.iter().map(|way| way.way.clone()));
        let mut head = vec!["texts x tokens".to_owned()];
        head.extend(names.into_iter().flatten());
        let figure = |way: &Contender| {
            let short = if way.rounds < setting.rounds { "*" } else { "" };
            format!("{}{short}", number(way.texts_a_second.median))
        };
        let row = |one: &Compared| {
            let mut row = vec![one.cell.name()];
            row.extend(one.ways.iter().map(figure));
            row
        };
        output.line(&figures(1, &head, &self.cells.iter().map(row).collect::<Vec<_>>()))
    }

    fn chart(&self, _: &Setting) -> Chart {
        let policies = ["adaptive", "cost-model", "table"];
        let bar = |ratio: Median| Bar { value: ratio.median, low: ratio.low, high: ratio.high };
        let of = |policy: &str| {
            let find = |cell: &Compared| {
                let way = cell.ways.iter().find(|way| way.way == policy);
                way.map(|way| bar(way.over_best_fixed))
            };
            self.cells.iter().map(find).collect()
        };
        Chart {
            title: "Policies against the best fixed shape".to_owned(),
            legend: ["adaptive (automatic)", "cost model", "table"].map(str::to_owned).to_vec(),
            panels: Panels::Rows(Rows {
                x: Axis::linear("throughput over that of the best fixed shape: median and its interval")
                    .from(0.8),
                categories: self.cells.iter().map(|cell| format!("{} tokens", cell.cell.name())).collect(),
                series: policies.map(of).to_vec(),
                ends: Ends::Dots,
                marks: vec![(WITHIN, "5% below".to_owned()), (1.0, "as fast".to_owned())],
            }),
        }
    }
}
