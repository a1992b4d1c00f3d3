//! What all drawings share: the canvas, the frame with its axes, text, markers.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::ink::{Ink, themed};
use super::look::{Look, Marker};
use super::slim::slim;
use crate::units::clean;

/// Width of a panel in its own pixels; a phone shows it nearly one to one.
pub(super) const WIDTH: u32 = 420;
/// Height of most panels.
pub(super) const HEIGHT: u32 = 290;
/// Size of text in pixels. The backend divides what it is given by 1.24.
const TEXT_PX: f64 = 12.5;
const BACKEND_TEXT_SCALE: f64 = 1.24;

/// Why a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("plot {title:?} cannot be drawn: {reason}")]
pub struct PlotError {
    /// Which.
    pub title: String,
    /// What the drawing library said.
    pub reason: String,
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Ticked, Ticked>>;
pub(super) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

/// Linear coordinates with the ticks of an [`Axis`].
pub(super) struct Ticked {
    inner: RangedCoordf64,
    places: Vec<f64>,
}

impl Ticked {
    fn new(axis: &Axis) -> Self {
        let places = axis.ticks.iter().map(|(place, _)| *place).collect();
        Self {
            inner: (axis.low..axis.high).into(),
            places,
        }
    }
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.inner.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.places.clone()
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.inner.range()
    }
}

/// Draws on a canvas and returns the SVG, themed, scalable, with a title and a description for those who cannot see it.
pub(super) fn canvas(
    size: (u32, u32),
    title: &str,
    description: &str,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&root)
            .and_then(|()| root.present())
            .map_err(|error| PlotError {
                title: title.to_owned(),
                reason: error.to_string(),
            })?;
    }
    Ok(dressed(&themed(&slim(&svg)), size, title, description))
}

/// Fixed size off, role, title and description on.
fn dressed(svg: &str, (width, height): (u32, u32), title: &str, description: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\">\
         <title>{}</title><desc>{}</desc>\n{body}",
        escaped(title),
        escaped(description)
    )
}

fn escaped(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Frame, grid and axes. `left` pixels are set aside for the labels of the y axis.
pub(super) fn chart<'a>(root: &Area<'a>, x: &Axis, y: &Axis, left: u32) -> Drawn<Chart<'a>> {
    let mut chart = ChartBuilder::on(root)
        .margin_top(24)
        .margin_right(14)
        .margin_bottom(20)
        .x_label_area_size(24)
        .y_label_area_size(left)
        .build_cartesian_2d(Ticked::new(x), Ticked::new(y))?;
    let label = |axis: &Axis, value: f64| {
        let near = |one: &&(f64, String), other: &&(f64, String)| {
            (one.0 - value).abs().total_cmp(&(other.0 - value).abs())
        };
        axis.ticks
            .iter()
            .min_by(near)
            .map_or_else(String::new, |(_, label)| label.clone())
    };
    let (x_label, y_label) = (|value: &f64| label(x, *value), |value: &f64| label(y, *value));
    chart
        .configure_mesh()
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label)
        .label_style(text_style(Ink::Text, HPos::Center))
        .axis_style(Ink::Muted.rgb())
        .bold_line_style(Ink::Grid.rgb())
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(4)
        .draw()?;
    let (width, height) = root.dim_in_pixel();
    let (width, height) = (pixel(width), pixel(height));
    write(root, &x.title, (width - 14, height - 8), Ink::Muted, HPos::Right)?;
    write(root, &y.title, (6, 10), Ink::Muted, HPos::Left)?;
    Ok(chart)
}

pub(super) fn pixel(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(super) fn text_style(ink: Ink, anchor: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", TEXT_PX * BACKEND_TEXT_SCALE).into_font();
    TextStyle {
        color: ink.rgb().to_backend_color(),
        pos: Pos::new(anchor, VPos::Center),
        font,
    }
}

/// Text at a pixel, its vertical middle there.
pub(super) fn write(root: &Area<'_>, text: &str, place: (i32, i32), ink: Ink, anchor: HPos) -> Drawn {
    if text.is_empty() {
        return Ok(());
    }
    // Zero font size or empty text would make the backend divide by nothing; both are excluded here.
    root.draw(&Text::new(clean(text), place, text_style(ink, anchor)))
}

/// Line weights in pixels.
pub(super) const LINE: u32 = 2;
pub(super) const HAIR: u32 = 1;
/// Half the size of a marker.
const MARKER: i32 = 4;

pub(super) fn line_ink(look: Look) -> Ink {
    Ink::Line {
        color: look.color,
        dash: look.dash,
    }
}

/// A marker at a pixel.
pub(super) fn marker(root: &Area<'_>, look: Look, (x, y): (i32, i32)) -> Drawn {
    let ink = Ink::Series(look.color).rgb();
    let polygon = |corners: &[(i32, i32)]| {
        let points: Vec<(i32, i32)> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        root.draw(&Polygon::new(points, ink.filled()))
    };
    let stroke = |from: (i32, i32), to: (i32, i32)| {
        let ends = vec![(x + from.0, y + from.1), (x + to.0, y + to.1)];
        root.draw(&PathElement::new(ends, ink.stroke_width(LINE)))
    };
    const M: i32 = MARKER;
    match look.marker {
        Marker::Circle => root.draw(&Circle::new((x, y), M, ink.filled())),
        Marker::Square => polygon(&[(-M + 1, -M + 1), (M - 1, -M + 1), (M - 1, M - 1), (-M + 1, M - 1)]),
        Marker::Up => polygon(&[(0, -M - 1), (M + 1, M - 1), (-M - 1, M - 1)]),
        Marker::Down => polygon(&[(0, M + 1), (M + 1, -M + 1), (-M - 1, -M + 1)]),
        Marker::Diamond => polygon(&[(0, -M - 1), (M + 1, 0), (0, M + 1), (-M - 1, 0)]),
        Marker::Right => polygon(&[(M + 1, 0), (-M + 1, M + 1), (-M + 1, -M - 1)]),
        Marker::Plus => stroke((-M, 0), (M, 0)).and_then(|()| stroke((0, -M), (0, M))),
        Marker::Cross => stroke((-M, -M), (M, M)).and_then(|()| stroke((-M, M), (M, -M))),
    }
}

/// A piece of line with its marker, for a legend.
///
/// # Errors
/// What the drawing library refuses.
pub fn swatch(name: &str, look: Look) -> Result<String, PlotError> {
    canvas((36, 14), name, "its line and marker in the plots", |root| {
        root.draw(&PathElement::new(
            vec![(1, 7), (35, 7)],
            line_ink(look).rgb().stroke_width(LINE),
        ))?;
        marker(root, look, (18, 7))
    })
}
