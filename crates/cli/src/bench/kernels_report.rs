//! The tables of `connote bench kernels`.

use super::kernels::{LevelReport, Report};
use super::products::Product;
use super::row_functions::ROW;
use super::table::{facts, figures, number, percent};
use super::timing::Figure;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn write(output: &mut Output, report: &Report) -> Result<(), Failure> {
    let threads = report.threads;
    let workers = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let measured = format!(
        "{workers}, {} s a figure{}, {:.0} s in all",
        report.seconds_a_figure,
        if report.quick { " (quick: rough)" } else { "" },
        report.seconds
    );
    let times = if threads == 1 { String::new() } else { format!(", times {threads}") };
    let figures = format!(
        "GMAC/s are billions of multiply-adds a second, ns nanoseconds. \"best\" is the best round, \"median\" the median \
         one; \"of peak\" is the best over the best of the layout's register peak{times}"
    );
    output.line(&report.machine.report(&[("Measured", measured), ("Figures", figures)]))?;
    for level in &report.levels {
        write_level(output, level)?;
    }
    output.line("\nROW FUNCTIONS: ns a value, best (median)")?;
    let rows =
        format!("1 thread, rows of {ROW} values in the first cache; the copy that restores them included");
    output.line(&facts(&[("Rows", rows)]))?;
    output.line(&row_functions(&report.levels))
}

fn write_level(output: &mut Output, level: &LevelReport) -> Result<(), Failure> {
    let name = level.level.to_uppercase();
    output.line(&format!(
        "\n{name}: register peaks, GMAC/s, 1 thread; quantised weights run as {}",
        level.quantised_layout
    ))?;
    let head = ["layout", "instruction", "best", "median"].map(str::to_owned);
    let peaks: Vec<Vec<String>> = level
        .peaks
        .iter()
        .map(|peak| {
            let names = [peak.layout, peak.instruction].map(str::to_owned);
            names.into_iter().chain([number(peak.gmacs.best), number(peak.gmacs.median)]).collect()
        })
        .collect();
    output.line(&figures(2, &head, &peaks))?;

    for of_layout in level.products.chunk_by(|a, b| (a.layout, a.kept_as) == (b.layout, b.kept_as)) {
        let Product { layout, kept_as, .. } = of_layout[0];
        let kept = if kept_as == layout { String::new() } else { format!(" (weights kept as {kept_as})") };
        output.line(&format!("\n{name}: {layout} products{kept}, GMAC/s, by rows of activations"))?;
        let matrices: Vec<&[Product]> =
            of_layout.chunk_by(|a, b| (a.model, a.matrix) == (b.model, b.matrix)).collect();
        let mut head = vec!["inputs x outputs".to_owned(), String::new()];
        head.extend(matrices[0].iter().map(|product| product.rows.to_string()));
        let mut rows = Vec::new();
        for products in matrices {
            let first = &products[0];
            let cells: Vec<(Figure, f64)> =
                products.iter().map(|product| (product.gmacs, product.fraction_of_peak)).collect();
            let size = format!("{} x {}", first.inputs, first.outputs);
            rows.extend(three_lines([size, first.model.to_owned(), first.matrix.to_owned()], &cells));
        }
        output.line(&figures(2, &head, &rows))?;
    }

    output.line(&format!("\n{name}: products of attention, GMAC/s, one head, 1 thread"))?;
    let mut head = vec!["tokens, head".to_owned(), String::new()];
    let shapes: Vec<_> =
        level.attention.chunk_by(|a, b| (a.tokens, a.head_dim) == (b.tokens, b.head_dim)).collect();
    head.extend(shapes.iter().map(|shape| format!("{}, {}", shape[0].tokens, shape[0].head_dim)));
    let mut rows = Vec::new();
    for which in 0..shapes.first().map_or(0, |shape| shape.len()) {
        let cells: Vec<(Figure, f64)> =
            shapes.iter().map(|shape| (shape[which].gmacs, shape[which].fraction_of_peak)).collect();
        rows.extend(three_lines(
            [shapes[0][which].product.to_owned(), shapes[0][which].layout.to_owned(), String::new()],
            &cells,
        ));
    }
    output.line(&figures(2, &head, &rows))
}

/// Best, median and fraction below each other.
fn three_lines(labels: [String; 3], cells: &[(Figure, f64)]) -> [Vec<String>; 3] {
    let [first, second, third] = labels;
    let line = |label: String, what: &str, cell: &dyn Fn(&(Figure, f64)) -> String| {
        [label, what.to_owned()].into_iter().chain(cells.iter().map(cell)).collect()
    };
    [
        line(first, "best", &|(gmacs, _)| number(gmacs.best)),
        line(second, "median", &|(gmacs, _)| number(gmacs.median)),
        line(third, "of peak", &|&(_, fraction)| percent(fraction)),
    ]
}

/// A row a function, a column a level.
fn row_functions(levels: &[LevelReport]) -> String {
    let head: Vec<String> =
        [""].into_iter().chain(levels.iter().map(|level| level.level)).map(str::to_owned).collect();
    let count = levels.first().map_or(0, |level| level.row_functions.len());
    let rows: Vec<Vec<String>> = (0..count)
        .map(|which| {
            let cell = |level: &LevelReport| {
                let Figure { best, median } = level.row_functions[which].nanoseconds_a_value;
                format!("{best:.3} ({median:.3})")
            };
            let name = levels[0].row_functions[which].name.to_owned();
            [name].into_iter().chain(levels.iter().map(cell)).collect()
        })
        .collect();
    figures(1, &head, &rows)
}
