//! Colours that are decided by the page, not by the drawing.
//!
//! The drawing backend writes fixed colours. So drawings use reserved ones, and [`themed`] replaces each by a CSS
//! variable of the page: one drawing then serves light, dark and print. The same way carries dash patterns, which
//! the backend does not have.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// First byte of every reserved colour.
const RESERVED: u8 = 0xf1;
/// Second byte: what the third means.
const NAMED: u8 = 0x00;
/// See [`NAMED`]: a palette colour.
const SERIES: u8 = 0x01;
/// See [`NAMED`]: a palette colour in the high half, a dash pattern in the low one.
const DASHED: u8 = 0x02;

/// Colours of the palette.
pub const COLORS: u8 = 8;
/// Dash patterns; the first is none.
pub const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "4 2"];

/// A colour by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text and axes.
    Text,
    /// Less important text and marks.
    Muted,
    /// Grid lines.
    Grid,
    /// The page behind.
    Page,
    /// A colour of the palette.
    Series(u8),
    /// A line in a colour of the palette with a dash pattern.
    Line {
        /// Colour of the palette.
        color: u8,
        /// Index into [`DASHES`].
        dash: u8,
    },
    /// A dashed line of little weight.
    MutedDashed,
}

const NAMES: [&str; 4] = ["--text", "--muted", "--grid", "--page"];
const MUTED_DASHED: u8 = 0x10;

impl Ink {
    /// The reserved colour that stands for this ink in a drawing.
    #[must_use]
    pub fn rgb(self) -> RGBColor {
        let (kind, value) = match self {
            Self::Text => (NAMED, 0),
            Self::Muted => (NAMED, 1),
            Self::Grid => (NAMED, 2),
            Self::Page => (NAMED, 3),
            Self::MutedDashed => (NAMED, MUTED_DASHED),
            Self::Series(color) => (SERIES, color % COLORS),
            Self::Line { color, dash } => (DASHED, ((color % COLORS) << 4) | (dash % 5)),
        };
        RGBColor(RESERVED, kind, value)
    }

    /// CSS variable and dash pattern of a reserved colour.
    fn resolve(kind: u8, value: u8) -> Option<(String, &'static str)> {
        match kind {
            NAMED if value == MUTED_DASHED => Some((NAMES[1].to_owned(), DASHES[4])),
            NAMED => NAMES.get(usize::from(value)).map(|name| ((*name).to_owned(), "")),
            SERIES => Some((format!("--s{value}"), "")),
            DASHED => DASHES
                .get(usize::from(value & 0xf))
                .map(|dash| (format!("--s{}", value >> 4), *dash)),
            _ => None,
        }
    }
}

/// Replaces reserved colours in an SVG by variables of the page.
///
/// Only attribute values are touched: the backend writes quotes inside text as `&quot;`, so the pattern cannot come
/// from a name. Every element the backend writes has at most one colour, hence at most one `style`.
#[must_use]
pub fn themed(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len() + svg.len() / 4);
    let mut rest = svg;
    while let Some(place) = rest.find("=\"#F1") {
        let start = rest[..place].rfind(' ').map_or(0, |space| space + 1);
        let property = &rest[start..place];
        let digits = rest.get(place + 5..place + 9);
        let bytes = digits
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .map(u16::to_be_bytes);
        let resolved = bytes.and_then(|[kind, value]| Ink::resolve(kind, value));
        let end = place + 10;
        match resolved {
            Some((variable, dash)) if matches!(property, "fill" | "stroke") => {
                out.push_str(&rest[..start]);
                // Writing to a String cannot fail.
                let _ = write!(out, "style=\"{property}:var({variable})\"");
                if !dash.is_empty() {
                    let _ = write!(out, " stroke-dasharray=\"{dash}\"");
                }
                rest = &rest[end..];
            }
            _ => {
                out.push_str(&rest[..place + 1]);
                rest = &rest[place + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(ink: Ink) -> String {
        let RGBColor(r, g, b) = ink.rgb();
        format!("#{r:02X}{g:02X}{b:02X}")
    }

    #[test]
    fn every_ink_becomes_a_variable() {
        let cases = [
            (Ink::Text, "stroke", r#"<p style="stroke:var(--text)" x="1"/>"#),
            (Ink::Page, "fill", r#"<p style="fill:var(--page)" x="1"/>"#),
            (Ink::Series(3), "fill", r#"<p style="fill:var(--s3)" x="1"/>"#),
            (
                Ink::Line { color: 7, dash: 0 },
                "stroke",
                r#"<p style="stroke:var(--s7)" x="1"/>"#,
            ),
            (
                Ink::Line { color: 2, dash: 3 },
                "stroke",
                r#"<p style="stroke:var(--s2)" stroke-dasharray="9 3 2 3" x="1"/>"#,
            ),
            (
                Ink::MutedDashed,
                "stroke",
                r#"<p style="stroke:var(--muted)" stroke-dasharray="4 2" x="1"/>"#,
            ),
        ];
        for (ink, property, expected) in cases {
            assert_eq!(
                themed(&format!("<p {property}=\"{}\" x=\"1\"/>", hex(ink))),
                expected
            );
        }
    }

    #[test]
    fn other_colours_and_text_stay() {
        for same in [
            "<p fill=\"#123456\"/>",
            "<t>=&quot;#F10001&quot;</t>",
            "<p fill=\"#F1\"/>",
            "",
            "=\"#F1",
        ] {
            assert_eq!(themed(same), same);
        }
        assert_eq!(themed("<p fill=\"#F1FFFF\"/>"), "<p fill=\"#F1FFFF\"/>");
        assert_eq!(themed("<p data=\"#F10001\"/>"), "<p data=\"#F10001\"/>");
    }
}
