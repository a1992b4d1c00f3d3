//! Stacked areas over time: what is in the table.

use plotters::prelude::*;

use super::axis::Axis;
use super::frame::{Area, Drawn, HAIR, PlotError, canvas, chart};
use super::ink::Ink;

/// Room for the labels of the y axis.
const LEFT: u32 = 46;

/// Small: there is one per table, and their shapes are compared at a glance.
const SIZE: (u32, u32) = (300, 190);

/// One layer; layers are stacked in order, the first at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Colour of the palette.
    pub color: u8,
    /// (x, thickness), ascending in x; every layer has the same x.
    pub points: Vec<(f64, f64)>,
}

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Areas {
    /// For those who cannot see it.
    pub title: String,
    /// What it shows, in words.
    pub description: String,
    /// The x axis.
    pub x: Axis,
    /// The y axis.
    pub y: Axis,
    /// Its layers.
    pub layers: Vec<Layer>,
}

impl Areas {
    /// Draws the panel.
    ///
    /// # Errors
    /// What the drawing library refuses.
    pub fn svg(&self) -> Result<String, PlotError> {
        canvas(SIZE, &self.title, &self.description, |root| self.draw(root))
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        let mut chart = chart(root, &self.x, &self.y, LEFT)?;
        let mut floor: Vec<(f64, f64)> = Vec::new();
        for layer in &self.layers {
            if floor.len() != layer.points.len() {
                floor = layer.points.iter().map(|&(x, _)| (x, 0.0)).collect();
            }
            let top: Vec<(f64, f64)> = layer
                .points
                .iter()
                .zip(&floor)
                .map(|(&(x, thickness), &(_, below))| (x, below + thickness))
                .collect();
            if top.len() > 1 {
                let outline: Vec<(f64, f64)> =
                    top.iter().copied().chain(floor.iter().rev().copied()).collect();
                let ink = Ink::Series(layer.color).rgb();
                chart.draw_series([Polygon::new(outline, ink.mix(0.7).filled())])?;
                chart.draw_series(LineSeries::new(top.iter().copied(), ink.stroke_width(HAIR)))?;
            }
            floor = top;
        }
        Ok(())
    }
}
