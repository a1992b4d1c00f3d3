//! Plots as SVG text, drawn by `plotters`.
//!
//! Each panel is a drawing of its own, about as wide as a phone, so that a page can put one or three beside each other
//! and text stays readable; the legend belongs to the page. No font file is needed: the SVG backend
//! writes text with an anchor and leaves its shape to the reader's browser, and all room for text is set aside in
//! pixels here.
//!
//! * [`lines`]: series over a numeric axis, with whiskers and marks.
//! * [`rows`]: one horizontal row per name, with bars or points.
//! * [`areas`]: stacked areas over time.

pub mod areas;
pub mod axis;
mod frame;
pub mod ink;
pub mod lines;
pub mod look;
pub mod rows;
mod slim;

pub use frame::{PlotError, swatch};
