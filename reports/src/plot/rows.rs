//! One row per name: bars from zero, or points with whiskers; the value written at the end.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::frame::{self, Area, Drawn, PlotError, WIDTH, canvas, chart, pixel};
use super::ink::Ink;
use super::look::Look;
use crate::units::{fit, fit_middle};

/// Height of a row.
const ROW: u32 = 24;
/// Height of everything but the rows.
const AROUND: u32 = 24 + 24 + 20;
/// Room for names.
const LEFT: u32 = 138;
/// Longest name that fits there.
const LONGEST_NAME: usize = 18;
/// Half the thickness of a bar.
const HALF_BAR: i32 = 7;

/// What a row shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A bar from zero in two parts, and where the owner's own account ends.
    Bar {
        /// Full length.
        all: f64,
        /// Of which the first, darker part.
        first: f64,
        /// A tick across the bar.
        tick: Option<f64>,
    },
    /// Points, each with a look and an interval.
    Points(Vec<Point>),
    /// Nothing to show: a reason instead.
    Nothing(String),
}

/// A point in a row: its look, its value, and the ends of its interval.
pub type Point = (Look, f64, Option<(f64, f64)>);

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its look: colour of bars.
    pub look: Look,
    /// What it shows.
    pub shown: Shown,
    /// The value in words; written where there is room.
    pub label: String,
}

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// For those who cannot see it.
    pub title: String,
    /// What it shows, in words.
    pub description: String,
    /// The axis of values.
    pub x: Axis,
    /// Its rows, top first.
    pub rows: Vec<Row>,
}

impl Rows {
    /// Draws the panel.
    ///
    /// # Errors
    /// What the drawing library refuses.
    pub fn svg(&self) -> Result<String, PlotError> {
        let rows = u32::try_from(self.rows.len()).unwrap_or(0).clamp(1, 400);
        canvas(
            (WIDTH, AROUND + ROW * rows),
            &self.title,
            &self.description,
            |root| self.draw(root),
        )
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        let count = self.rows.len().clamp(1, 400) as f64;
        let y = Axis {
            title: String::new(),
            low: 0.0,
            high: count,
            ticks: Vec::new(),
        };
        let chart = chart(root, &self.x, &y, LEFT)?;
        for (index, row) in self.rows.iter().take(400).enumerate() {
            let height = count - index as f64 - 0.5;
            let (left, middle) = chart.backend_coord(&(self.x.low, height));
            frame::write(
                root,
                &fit_middle(&row.name, LONGEST_NAME),
                (left - 8, middle),
                Ink::Text,
                HPos::Right,
            )?;
            self.draw_row(root, row, |value| chart.backend_coord(&(value, height)), left)?;
        }
        Ok(())
    }

    fn draw_row(&self, root: &Area<'_>, row: &Row, place: impl Fn(f64) -> (i32, i32), left: i32) -> Drawn {
        let ink = Ink::Series(row.look.color).rgb();
        match &row.shown {
            Shown::Bar { all, first, tick } => {
                let (end, y) = place(*all);
                let (part, _) = place(first.min(*all));
                let (top, bottom) = (y - HALF_BAR, y + HALF_BAR);
                root.draw(&Rectangle::new(
                    [(left, top), (end, bottom)],
                    ink.mix(0.55).filled(),
                ))?;
                root.draw(&Rectangle::new([(left, top), (part, bottom)], ink.filled()))?;
                if let Some(tick) = tick {
                    let (x, _) = place(*tick);
                    let ends = vec![(x, top - 2), (x, bottom + 2)];
                    root.draw(&PathElement::new(ends, Ink::Text.rgb().stroke_width(2)))?;
                }
                self.label(root, &row.label, end.max(place(tick.unwrap_or(0.0)).0) + 6, y)
            }
            Shown::Points(points) => {
                let mut last = left;
                for (look, value, interval) in points {
                    let (x, y) = place(*value);
                    if let Some((low, high)) = interval {
                        let ((from, _), (to, _)) = (place(low.max(self.x.low)), place(high.min(self.x.high)));
                        let style = Ink::Series(look.color).rgb().stroke_width(2);
                        root.draw(&PathElement::new(vec![(from, y), (to, y)], style))?;
                        last = last.max(to);
                    }
                    frame::marker(root, *look, (x, y))?;
                    last = last.max(x);
                }
                self.label(root, &row.label, last + 9, place(self.x.low).1)
            }
            Shown::Nothing(reason) => {
                let (_, y) = place(self.x.low);
                frame::write(root, &fit(reason, 44), (left + 6, y), Ink::Muted, HPos::Left)
            }
        }
    }

    /// A label right of `x`, or, where it would leave the panel, at its edge on the colour of the page.
    fn label(&self, root: &Area<'_>, text: &str, x: i32, y: i32) -> Drawn {
        /// Average width of a character of this text, pixels; generous.
        const CHARACTER: i32 = 7;
        if text.is_empty() {
            return Ok(());
        }
        let width = i32::try_from(text.chars().count())
            .unwrap_or(0)
            .saturating_mul(CHARACTER);
        let edge = pixel(WIDTH) - 4;
        if x.saturating_add(width) <= edge {
            return frame::write(root, text, (x, y), Ink::Text, HPos::Left);
        }
        let back = Rectangle::new(
            [(edge - width - 2, y - 7), (edge, y + 7)],
            Ink::Page.rgb().mix(0.85).filled(),
        );
        root.draw(&back)?;
        frame::write(root, text, (edge - 2, y), Ink::Text, HPos::Right)
    }
}
