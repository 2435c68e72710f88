//! The panels of a chart: lines over two axes, and rows of bars or dots with their intervals.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Area, Drawn, FAINT, INK, LETTER, colour, style};
use super::chart_axis::{Axis, Places};

/// Lines over two axes.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Of this panel.
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    /// Heights that a reader should compare with, and what they are.
    pub(crate) marks: Vec<(f64, String)>,
}

/// One line.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) points: Vec<(f64, f64)>,
    /// Beside the points; there may be fewer, or none.
    pub(crate) labels: Vec<String>,
    pub(crate) join: Join,
}

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Join {
    #[default]
    Straight,
    /// A value holds until the next one.
    Steps,
    Apart,
}

impl Series {
    /// How many percent of the values are at most as large, for each value.
    pub(crate) fn shares(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let percent = |rank: usize| rank as f64 / values.len() as f64 * 100.0;
        let points = values.iter().enumerate().map(|(index, &value)| (value, percent(index + 1)));
        Self { points: points.collect(), join: Join::Steps, ..Self::default() }
    }
}

pub(crate) fn draw_lines(area: &Area<'_>, lines: &Lines) -> Drawn {
    let (x, y) = (&lines.x, &lines.y);
    let points = || lines.series.iter().flat_map(|series| series.points.iter().copied());
    let (left, right, x_ticks) = x.extent(points().map(|point| point.0));
    let heights = points().map(|point| point.1).chain(lines.marks.iter().map(|mark| mark.0));
    let (bottom, top, y_ticks) = y.extent(heights);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(18)
        .caption(&lines.title, style(15, INK))
        .x_label_area_size(44)
        .y_label_area_size(62)
        .build_cartesian_2d(
            Places { ends: left..right, ticks: x_ticks },
            Places { ends: bottom..top, ticks: y_ticks },
        )?;
    let (x_tick, y_tick) = (|place: &f64| x.tick(*place), |place: &f64| y.tick(*place));
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(x.label.clone())
        .y_desc(y.label.clone())
        .x_label_formatter(&x_tick)
        .y_label_formatter(&y_tick)
        .label_style(style(12, INK))
        .axis_desc_style(style(13, INK))
        .axis_style(FAINT)
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.13));
    if x.is_named() {
        mesh.disable_x_mesh();
    }
    mesh.draw()?;
    for (height, name) in &lines.marks {
        let height = y.place(*height);
        chart.draw_series(DashedLineSeries::new(
            [(left, height), (right, height)],
            6,
            4,
            INK.stroke_width(1),
        ))?;
        let above = style(12, INK).pos(Pos::new(HPos::Left, VPos::Bottom));
        let label = Text::new(name.clone(), (6, -4), above);
        chart.draw_series([EmptyElement::at((left, height)) + label])?;
    }
    let mut labelled: Vec<(f64, f64)> = Vec::new();
    for (index, series) in lines.series.iter().enumerate() {
        let colour = colour(index);
        let finite = series.points.iter().filter(|point| point.0.is_finite() && point.1.is_finite());
        let places: Vec<(f64, f64)> = finite.map(|point| (x.place(point.0), y.place(point.1))).collect();
        let line = match series.join {
            Join::Straight => places.clone(),
            Join::Steps => steps(&places),
            Join::Apart => Vec::new(),
        };
        // A broad line shows beside a later one that covers it: distributions are often alike.
        let broad = series.join == Join::Steps && index == 0;
        let line_style = if broad { colour.mix(0.45).stroke_width(7) } else { colour.stroke_width(2) };
        chart.draw_series(LineSeries::new(line, line_style))?;
        chart.draw_series(places.iter().map(|&place| Circle::new(place, 3, colour.filled())))?;
        let beside = style(11, colour);
        for (&place, label) in places.iter().zip(&series.labels) {
            let share = ((place.0 - left) / (right - left), (place.1 - bottom) / (top - bottom));
            // Where points of several lines meet, the first one's label speaks for all.
            let near =
                |other: &(f64, f64)| (other.0 - share.0).abs() < 0.035 && (other.1 - share.1).abs() < 0.04;
            if !labelled.iter().any(near) {
                labelled.push(share);
                let label = Text::new(label.clone(), (6, 3), beside.clone());
                chart.draw_series([EmptyElement::at(place) + label])?;
            }
        }
    }
    Ok(())
}

/// Corners of a line on which a value holds until the next one.
fn steps(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::with_capacity(2 * places.len());
    for &(x, y) in places {
        corners.extend(corners.last().map(|&(_, before)| (x, before)));
        corners.push((x, y));
    }
    corners
}

/// Rows of bars or dots, a row a category.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) x: Axis,
    /// From the top.
    pub(crate) categories: Vec<String>,
    /// Of each series a value a category, where there is one.
    pub(crate) series: Vec<Vec<Option<Bar>>>,
    pub(crate) ends: Ends,
    /// Values that a reader should compare with, and what they are.
    pub(crate) marks: Vec<(f64, String)>,
}

/// What stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Bars from 0.
    Bars,
    /// Dots, with their intervals.
    Dots,
}

/// A value and its interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Rows {
    /// Pixels that they need.
    pub(crate) fn height(&self) -> u32 {
        let a_row = (16 * self.series.len().max(1) + 14) as u32;
        110 + a_row * self.categories.len().max(1) as u32
    }
}

pub(crate) fn draw_rows(area: &Area<'_>, rows: &Rows) -> Drawn {
    let count = rows.categories.len().max(1);
    let bars = || rows.series.iter().flatten().flatten();
    let ends = bars().flat_map(|bar| [bar.value, bar.low, bar.high]);
    let (left, right, ticks) = rows.x.extent(ends.chain(rows.marks.iter().map(|mark| mark.0)));
    let longest = rows.categories.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    // The first row is the topmost.
    let height = |row: usize| (count - 1 - row) as f64;
    let name = |place: f64| {
        let row = count - 1 - (place.round().max(0.0) as usize).min(count - 1);
        rows.categories.get(row).cloned().unwrap_or_default()
    };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(22)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size((longest as f64 * LETTER) as u32 + 16)
        .build_cartesian_2d(
            Places { ends: left..right, ticks },
            Places { ends: -0.5..count as f64 - 0.5, ticks: (0..count).map(|row| row as f64).collect() },
        )?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc(rows.x.label.clone())
        .x_label_formatter(&|place| rows.x.tick(*place))
        .y_label_formatter(&|place| name(*place))
        .label_style(style(12, INK))
        .axis_desc_style(style(13, INK))
        .axis_style(FAINT)
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.13))
        .draw()?;
    let lane = 0.8 / rows.series.len().max(1) as f64;
    for (index, series) in rows.series.iter().enumerate() {
        let colour = colour(index);
        for (row, bar) in series.iter().enumerate() {
            let Some(bar) = bar.filter(|bar| bar.value.is_finite()) else { continue };
            let y = height(row) + 0.4 - (index as f64 + 0.5) * lane;
            let interval =
                |colour: RGBColor| PathElement::new([(bar.low, y), (bar.high, y)], colour.stroke_width(2));
            match rows.ends {
                Ends::Bars => {
                    let corners = [(left, y - 0.42 * lane), (bar.value, y + 0.42 * lane)];
                    chart.draw_series([Rectangle::new(corners, colour.mix(0.75).filled())])?;
                    chart.draw_series([interval(INK)])?;
                }
                Ends::Dots => {
                    chart.draw_series([interval(colour)])?;
                    chart.draw_series([Circle::new((bar.value, y), 4, colour.filled())])?;
                }
            }
        }
    }
    for (index, (place, name)) in rows.marks.iter().enumerate() {
        let line = [(*place, -0.5), (*place, count as f64 - 0.5)];
        chart.draw_series(DashedLineSeries::new(line, 6, 4, INK.stroke_width(1)))?;
        // Names of marks that are close go apart.
        let close = |other: Option<usize>| {
            let other = other.and_then(|other| rows.marks.get(other));
            other.is_some_and(|(other, _)| (other - place).abs() < 0.15 * (right - left))
        };
        let (side, shift) = match (close(index.checked_sub(1)), close(Some(index + 1))) {
            (false, true) => (HPos::Right, 4),
            (true, false) => (HPos::Left, -4),
            _ => (HPos::Center, 0),
        };
        let above = style(12, INK).pos(Pos::new(side, VPos::Bottom));
        let label = Text::new(name.clone(), (shift, -4), above);
        chart.draw_series([EmptyElement::at((*place, count as f64 - 0.5)) + label])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_climb_in_steps() {
        let series = Series::shares(vec![3.0, 1.0]);
        assert_eq!(series.points, [(1.0, 50.0), (3.0, 100.0)]);
        assert_eq!(steps(&series.points), [(1.0, 50.0), (3.0, 50.0), (3.0, 100.0)]);
        assert_eq!(Series::shares(Vec::new()).points, []);
    }
}
