//! Columns of text, as Kafka's group tool lays them out.

use std::io::Write;

use super::ToolError;

/// A column's heading and width.
pub struct Cell {
    name: &'static str,
    width: usize,
    grows: bool,
}

impl Cell {
    /// As wide as its widest content, and at least `width`.
    pub fn wide(name: &'static str, width: usize) -> Cell {
        Cell { name, width, grows: true }
    }

    /// Padded to `width`.
    pub fn fixed(name: &'static str, width: usize) -> Cell {
        Cell { name, width, grows: false }
    }
}

/// Rows under headings. A table without rows prints nothing, unless it keeps its headings.
pub struct Table {
    header: Vec<Cell>,
    rows: Vec<Vec<String>>,
    keeps_headings: bool,
}

impl Table {
    pub fn new(header: Vec<Cell>) -> Table {
        Table { header, rows: Vec::new(), keeps_headings: false }
    }

    /// Headings are printed even where no row follows.
    pub fn keeping_headings(self) -> Table {
        Table { keeps_headings: true, ..self }
    }

    /// A row with as many cells as the header has.
    pub fn add(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.header.len(), "a row has a cell per column");
        self.rows.push(row);
    }

    /// Prints an empty line, the headings and the rows.
    pub fn print(mut self, out: &mut dyn Write) -> Result<(), ToolError> {
        if self.rows.is_empty() && !self.keeps_headings {
            return Ok(());
        }
        for (column, cell) in self.header.iter_mut().enumerate() {
            let widest = self.rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            if cell.grows {
                cell.width = cell.width.max(widest);
            }
        }
        writeln!(out)?;
        let names = self.header.iter().map(|cell| cell.name.to_owned()).collect();
        for row in std::iter::once(&names).chain(&self.rows) {
            let cells = row.iter().zip(&self.header).map(|(text, cell)| {
                let width = cell.width;
                format!("{text:<width$}")
            });
            writeln!(out, "{}", super::common::join(cells, " "))?;
        }
        Ok(())
    }
}
