//! Aligned columns for people. Knows widths; escapes every cell, so that no row of a peer's making
//! can move the cursor or pretend to be another row.

use crate::cli::text::{self, Colour, Paint};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows under a head.
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

/// One value, with the colour it may have.
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    pub fn coloured(text: impl AsRef<str>, colour: Colour) -> Self {
        Self { colour: Some(colour), ..Self::from(text.as_ref()) }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text::escape(text).into_owned(), colour: None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Table {
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row. Cells beyond the head's columns are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The head and all rows, two blanks between columns, none at a line's end.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                cells.map(|cell| text::width(&cell.text)).fold(text::width(name), usize::max)
            })
            .collect();
        let mut lines = String::new();
        let head: Vec<Cell> = self
            .columns
            .iter()
            .map(|(name, _)| Cell { text: name.clone(), colour: Some(Colour::Bold) })
            .collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            self.push_line(&mut lines, row, &widths, paint);
        }
        lines
    }

    fn push_line(&self, lines: &mut String, row: &[Cell], widths: &[usize], paint: Paint) {
        // Blanks are owed until something follows them.
        let mut owed = 0;
        for ((cell, width), (_, align)) in row.iter().zip(widths).zip(&self.columns) {
            let padding = width.saturating_sub(text::width(&cell.text));
            let (before, after) = match align {
                Align::Left => (0, padding),
                Align::Right => (padding, 0),
            };
            if !cell.text.is_empty() {
                lines.extend(std::iter::repeat_n(' ', owed + before));
                match cell.colour {
                    Some(colour) => lines.push_str(&paint.paint(colour, &cell.text)),
                    None => lines.push_str(&cell.text),
                }
                owed = after + GAP;
            } else {
                owed += before + after + GAP;
            }
        }
        lines.push('\n');
    }
}

const GAP: usize = 2;

#[cfg(test)]
mod tests;
