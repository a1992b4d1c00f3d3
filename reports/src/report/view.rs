//! What the template is given: text and drawings, nothing left to compute.

use serde::Serialize;

/// A plot of several panels with all that belongs to it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    /// Anchor in the page.
    pub(super) id: String,
    /// Heading.
    pub(super) title: String,
    /// What it shows.
    pub(super) caption: String,
    /// How to read it.
    pub(super) reading: String,
    /// A small table that belongs beside the drawings, with its heading.
    pub(super) beside: Option<(String, DataTable)>,
    /// Legend of all groups; may be empty where each has its own.
    pub(super) legend: Vec<LegendItem>,
    /// Panels, in groups.
    pub(super) groups: Vec<PanelGroup>,
    /// Commands that reproduce it.
    pub(super) commands: Vec<String>,
    /// The numbers behind it.
    pub(super) data: DataTable,
}

/// Panels under one heading.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PanelGroup {
    /// Heading; may be empty.
    pub(super) heading: String,
    /// Legend of this group alone; may be empty.
    pub(super) legend: Vec<LegendItem>,
    /// Whether the drawings are small ones, many beside each other.
    pub(super) small: bool,
    /// Its panels.
    pub(super) panels: Vec<Panel>,
}

impl PanelGroup {
    /// Panels of the usual size under the figure's legend.
    pub(super) fn plain(heading: String, panels: Vec<Panel>) -> Self {
        Self {
            heading,
            legend: Vec::new(),
            small: false,
            panels,
        }
    }
}

/// One drawing.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Panel {
    /// Heading.
    pub(super) title: String,
    /// The drawing.
    pub(super) svg: String,
    /// What is missing and why; may be empty.
    pub(super) note: String,
}

/// One name in a legend.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LegendItem {
    /// Its drawing; may be empty.
    pub(super) svg: String,
    /// Its colour as a CSS class, where it is a filled box; may be empty.
    pub(super) class: String,
    /// Its name.
    pub(super) name: String,
}

/// A table of numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct DataTable {
    /// Column heads.
    pub(super) columns: Vec<&'static str>,
    /// How many columns from the left are names.
    pub(super) names: usize,
    /// Rows.
    pub(super) rows: Vec<Vec<String>>,
}

/// A matrix of tables by workloads or sizes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Matrix {
    /// Anchor.
    pub(super) id: String,
    /// Heading.
    pub(super) title: String,
    /// What its cells say.
    pub(super) caption: String,
    /// Columns.
    pub(super) columns: Vec<MatrixColumn>,
    /// Rows.
    pub(super) rows: Vec<MatrixRow>,
    /// Head of the last column, where there is one.
    pub(super) overall: String,
}

/// A column head.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MatrixColumn {
    /// Name.
    pub(super) name: String,
    /// What it needs of a table; may be empty.
    pub(super) about: String,
    /// Size.
    pub(super) size: String,
}

/// A table's row.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MatrixRow {
    /// Its legend drawing.
    pub(super) svg: String,
    /// Its name.
    pub(super) table: String,
    /// Its cells.
    pub(super) cells: Vec<MatrixCell>,
    /// Its overall cell.
    pub(super) overall: Option<MatrixCell>,
}

/// A cell.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MatrixCell {
    /// CSS class.
    pub(super) class: &'static str,
    /// Ratio to the best, or why there is none.
    pub(super) text: String,
    /// Word that goes with it, such as `best` or `tie`; may be empty.
    pub(super) word: &'static str,
    /// The figure itself; may be empty.
    pub(super) detail: String,
}

/// A name and what it says.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fact {
    /// Name.
    pub(super) name: String,
    /// Value.
    pub(super) value: String,
}

impl Fact {
    pub(super) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}
