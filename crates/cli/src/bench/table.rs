//! Tables for people: names to the left, figures to the right, nothing wider than [`WIDTH`].

use std::io;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use terminal_size::{Width, terminal_size_of};

/// Columns that a report may take, at a terminal (or fewer) and anywhere else.
const WIDTH: u16 = 100;

/// A table whose first `names` columns are words and the others figures.
pub(crate) fn figures(names: usize, head: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_row(head);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if index < names { CellAlignment::Left } else { CellAlignment::Right });
    }
    trimmed(&table)
}

/// A label and what there is to say about it, a row each.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let terminal = terminal_size_of(io::stdout()).map_or(WIDTH, |(Width(width), _)| width);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(terminal.min(WIDTH));
    for (label, text) in rows {
        table.add_row([*label, text]);
    }
    if let Some(labels) = table.column_mut(0) {
        labels.set_constraint(ColumnConstraint::ContentWidth);
    }
    trimmed(&table)
}

/// Without the white space at the ends of lines.
fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Three digits of a figure, whatever its size; never a column that jumps.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.0995 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

/// A fraction in percent.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.0}%", fraction * 100.0)
}
