//! A picture of a benchmark's figures: a title, what was measured where, a legend, and panels beneath.

use std::io::Write;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart_panels::{self, Lines, Rows};
use super::subject::Setting;
use crate::aside::Aside;
use crate::failure::Failure;

/// Colours that people of every colour vision tell apart, dark enough on white (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(150, 110, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
pub(crate) const FAINT: RGBColor = RGBColor(110, 110, 110);
const MARGIN: i32 = 24;
/// Pixels of the title, the caption and the legend.
const HEAD: u32 = 104;
/// Width of a letter of the legend, roughly: an SVG does not know the fonts it will be drawn with.
pub(crate) const LETTER: f64 = 7.0;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// Names of the series, which all panels share: the first has the first colour.
    pub(crate) legend: Vec<String>,
    pub(crate) panels: Panels,
}

/// Panels of one kind, side by side.
#[derive(Debug)]
pub(crate) enum Panels {
    Lines(Vec<Lines>),
    Rows(Rows),
}

impl Panels {
    fn size(&self) -> (u32, u32) {
        match self {
            Panels::Lines(panels) => {
                let width = if panels.len() == 1 { 900 } else { 400 * panels.len() as u32 };
                (width.max(800), HEAD + 420)
            }
            Panels::Rows(rows) => (960, HEAD + rows.height()),
        }
    }
}

/// The colour of the series with this index.
pub(crate) fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// Plain text of a size and colour, by default from its upper left corner.
pub(crate) fn style(size: i32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour).pos(Pos::new(HPos::Left, VPos::Top))
}

/// Where a chart goes.
pub(crate) struct ChartFile {
    name: String,
    aside: Aside,
    file: std::fs::File,
}

impl ChartFile {
    /// Before anything is measured: a run that could not write its chart must not begin.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if path.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("svg")) {
            return Err(Failure::usage(format!("--chart {name}: charts are SVG; give the file that ending")));
        }
        if path.is_dir() {
            return Err(Failure::nothing(format!("{name}: is a folder; name a file")));
        }
        let (aside, file) = Aside::create(path)?;
        Ok(Self { name, aside, file })
    }

    /// Draws the chart and gives the file its name.
    pub(crate) fn complete(mut self, chart: &Chart, setting: &Setting) -> Result<(), Failure> {
        let svg = chart.svg(&setting.caption()).map_err(|error| {
            Failure::nothing(format!("{}: the chart cannot be drawn: {error}", self.name))
        })?;
        self.file.write_all(svg.as_bytes()).map_err(|error| Failure::writing(&self.name, &error))?;
        self.aside.complete()
    }
}

impl Chart {
    /// As SVG.
    fn svg(&self, caption: &str) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
        let mut svg = String::new();
        {
            let size = self.panels.size();
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE)?;
            root.draw(&Text::new(self.title.clone(), (MARGIN, 16), style(22, INK)))?;
            root.draw(&Text::new(caption.to_owned(), (MARGIN, 46), style(13, FAINT)))?;
            self.draw_legend(&root)?;
            let area = root.margin(HEAD, 12, 12, 16);
            match &self.panels {
                Panels::Lines(panels) => {
                    let areas = area.split_evenly((1, panels.len().max(1)));
                    areas
                        .iter()
                        .zip(panels)
                        .try_for_each(|(area, lines)| chart_panels::draw_lines(area, lines))?;
                }
                Panels::Rows(rows) => chart_panels::draw_rows(&area, rows)?,
            }
            root.present()?;
        }
        Ok(svg)
    }

    fn draw_legend(&self, root: &Area<'_>) -> Drawn {
        let mut x = MARGIN;
        for (index, name) in self.legend.iter().enumerate() {
            root.draw(&Rectangle::new([(x, 76), (x + 14, 88)], colour(index).filled()))?;
            root.draw(&Text::new(name.clone(), (x + 20, 75), style(13, INK)))?;
            x += 20 + (name.chars().count() as f64 * LETTER) as i32 + 26;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::chart_axis::Axis;
    use super::super::chart_panels::{Bar, Ends, Series};
    use super::*;

    /// Checks that elements close in the order they opened, and that nothing is left unescaped; how many elements.
    fn elements(svg: &str) -> usize {
        let mut open = Vec::new();
        let mut count = 0;
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{text}");
            for after in tag.split('&').skip(1).chain(text.split('&').skip(1)) {
                assert!(after.split_once(';').is_some_and(|(name, _)| name.len() < 6), "&{after}");
            }
            let name = tag.split_whitespace().next().expect("a name");
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{svg}");
            } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
                open.push(name);
                count += 1;
            } else {
                count += 1;
            }
        }
        assert_eq!(open, [""; 0]);
        count
    }

    #[test]
    fn lines_are_well_formed_whatever_their_names() {
        let lines = Lines {
            title: "a < b & \"c\"".to_owned(),
            x: Axis::named("workers", ["1", "2"]),
            y: Axis::log("ms"),
            series: vec![Series {
                points: vec![(0.0, 0.02), (1.0, 900.0), (1.0, f64::NAN)],
                labels: vec!["<8>".to_owned()],
                ..Series::default()
            }],
            marks: vec![(5.0, "p99".to_owned())],
        };
        let chart = Chart {
            title: "<&>".to_owned(),
            legend: vec!["x & y".to_owned()],
            panels: Panels::Lines(vec![lines]),
        };
        let svg = chart.svg("model <x> & 'y'").expect("drawn");
        assert!(elements(&svg) > 20);
        for text in ["&lt;&amp;&gt;", "x &amp; y", "&lt;8&gt;", "workers", "p99"] {
            assert!(svg.contains(text), "{text}:\n{svg}");
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn rows_are_well_formed_with_and_without_figures() {
        for ends in [Ends::Bars, Ends::Dots] {
            let rows = Rows {
                x: Axis::linear("ratio").from(0.5),
                categories: vec!["8 x 4".to_owned(), "16 x 4".to_owned()],
                series: vec![vec![Some(Bar { value: 1.0, low: 0.9, high: 1.2 }), None]],
                ends,
                marks: vec![(0.95, "-5%".to_owned())],
            };
            let chart = Chart { title: String::new(), legend: vec![], panels: Panels::Rows(rows) };
            assert!(elements(&chart.svg("").expect("drawn")) > 10);
        }
        let empty =
            Rows { x: Axis::linear(""), categories: vec![], series: vec![], ends: Ends::Dots, marks: vec![] };
        let chart = Chart { title: String::new(), legend: vec![], panels: Panels::Rows(empty) };
        elements(&chart.svg("").expect("drawn"));
    }
}
