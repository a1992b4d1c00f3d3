//! Series over a numeric axis: throughput over connections or threads, percentiles, counts over time.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::frame::{self, Area, Drawn, HAIR, HEIGHT, LINE, PlotError, WIDTH, canvas, chart, line_ink, pixel};
use super::ink::Ink;
use super::look::Look;

/// Room for the labels of the y axis.
const LEFT: u32 = 46;
/// Labels of two marks closer than this would touch: the later one goes a line lower.
const LABEL_GAP: i32 = 34;

/// A point in plot coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Place on the x axis.
    pub x: f64,
    /// Place on the y axis.
    pub y: f64,
    /// Ends of its interval on the y axis, where there is one.
    pub interval: Option<(f64, f64)>,
}

/// A series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// How it looks.
    pub look: Look,
    /// Its points, ascending in x.
    pub points: Vec<Point>,
    /// Points that get a marker besides the line.
    pub markers: Vec<(f64, f64)>,
}

/// A vertical line with a name, such as the size of a cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Place on the x axis; left out where outside of it.
    pub x: f64,
    /// Its label, a few characters.
    pub label: String,
}

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// For those who cannot see it.
    pub title: String,
    /// What it shows, in words.
    pub description: String,
    /// The x axis.
    pub x: Axis,
    /// The y axis.
    pub y: Axis,
    /// Its series.
    pub series: Vec<Series>,
    /// Its vertical marks.
    pub marks: Vec<Mark>,
    /// Thin dashed lines in the background, such as perfect scaling.
    pub references: Vec<Vec<(f64, f64)>>,
}

impl Lines {
    /// Draws the panel.
    ///
    /// # Errors
    /// What the drawing library refuses.
    pub fn svg(&self) -> Result<String, PlotError> {
        canvas((WIDTH, HEIGHT), &self.title, &self.description, |root| {
            self.draw(root)
        })
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        let mut chart = chart(root, &self.x, &self.y, LEFT)?;
        self.draw_marks(root, &chart)?;
        for reference in &self.references {
            chart.draw_series(LineSeries::new(
                reference.iter().copied(),
                Ink::MutedDashed.rgb().stroke_width(HAIR),
            ))?;
        }
        for series in &self.series {
            let style = line_ink(series.look).rgb().stroke_width(LINE);
            chart.draw_series(LineSeries::new(
                series.points.iter().map(|point| (point.x, point.y)),
                style,
            ))?;
        }
        // Whiskers and markers after all lines, so that none is hidden by another table's line.
        for series in &self.series {
            for point in &series.points {
                let Some((low, high)) = point.interval else {
                    continue;
                };
                let (x, top) = chart.backend_coord(&(point.x, high.min(self.y.high)));
                let (_, bottom) = chart.backend_coord(&(point.x, low.max(self.y.low)));
                whisker(root, series.look, x, top, bottom)?;
            }
            for place in &series.markers {
                frame::marker(root, series.look, chart.backend_coord(place))?;
            }
        }
        Ok(())
    }

    fn draw_marks(&self, root: &Area<'_>, chart: &frame::Chart<'_>) -> Drawn {
        let (_, top) = chart.backend_coord(&(self.x.low, self.y.high));
        let (_, bottom) = chart.backend_coord(&(self.x.low, self.y.low));
        let mut last: Option<(i32, i32)> = None;
        let mut marks: Vec<&Mark> = self
            .marks
            .iter()
            .filter(|mark| mark.x >= self.x.low && mark.x <= self.x.high)
            .collect();
        marks.sort_by(|one, other| one.x.total_cmp(&other.x));
        for mark in marks {
            let (x, _) = chart.backend_coord(&(mark.x, self.y.low));
            root.draw(&PathElement::new(
                vec![(x, top), (x, bottom)],
                Ink::MutedDashed.rgb().stroke_width(HAIR),
            ))?;
            // Labels lie above the frame; where two would touch, the second goes inside, just below it.
            let y = match last {
                Some((before, line)) if x - before < LABEL_GAP && line < top => top + 9,
                _ => top - 9,
            };
            let inside = x.clamp(LABEL_GAP / 2, pixel(WIDTH) - LABEL_GAP / 2);
            frame::write(root, &mark.label, (inside, y), Ink::Muted, HPos::Center)?;
            last = Some((x, y));
        }
        Ok(())
    }
}

fn whisker(root: &Area<'_>, look: Look, x: i32, top: i32, bottom: i32) -> Drawn {
    const CAP: i32 = 3;
    let style = Ink::Series(look.color).rgb().stroke_width(HAIR);
    // Less than a marker's height says "narrow" by itself.
    root.draw(&PathElement::new(vec![(x, top), (x, bottom)], style))?;
    root.draw(&PathElement::new(vec![(x - CAP, top), (x + CAP, top)], style))?;
    root.draw(&PathElement::new(
        vec![(x - CAP, bottom), (x + CAP, bottom)],
        style,
    ))
}
