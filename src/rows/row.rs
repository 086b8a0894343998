//! The values of one row, in one buffer that is used again and again.

use std::ops::Range;

/// How much memory an empty row keeps, bytes.
const MOST_KEPT: usize = 1 << 20;

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// NULL
    Null,
    /// An update left it as it was, and it is not known here (an unchanged TOAST value).
    Unchanged,
    /// A value as PostgreSQL prints it.
    Text(&'a str),
}

/// The values of a row: one for each column of its table that is not dropped, in their order.
#[derive(Debug, Clone, Default)]
pub struct Row {
    text: String,
    cells: Vec<Stored>,
    unchanged_members: Vec<String>,
}

#[derive(Debug, Clone)]
enum Stored {
    Null,
    Unchanged,
    Text(Range<usize>),
}

impl Row {
    /// Empties the row, keeping its memory unless one large value had blown it up.
    pub fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(MOST_KEPT);
        self.cells.clear();
        self.unchanged_members.clear();
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.cells.push(Stored::Null);
    }

    /// Appends a value that stayed as it was.
    pub fn push_unchanged(&mut self) {
        self.cells.push(Stored::Unchanged);
    }

    /// Appends a value.
    pub fn push_text(&mut self, value: &str) {
        self.push_with(|text| text.push_str(value));
    }

    /// Appends a value that `write` appends to the text it is given.
    pub fn push_with(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.cells.push(Stored::Text(start..self.text.len()));
    }

    /// Appends a value that `write` appends to the text it is given; nothing when that fails.
    pub fn try_push_with<E>(
        &mut self,
        write: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.text.len();
        let written = write(&mut self.text);
        if written.is_ok() {
            self.cells.push(Stored::Text(start..self.text.len()));
        } else {
            self.text.truncate(start);
        }
        written
    }

    /// Appends a value of another row.
    pub fn push_cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Null => self.push_null(),
            Cell::Unchanged => self.push_unchanged(),
            Cell::Text(text) => self.push_text(text),
        }
    }

    /// Notes that a member of a collection's document stayed as it was and is not known here.
    pub fn push_unchanged_member(&mut self, name: &str) {
        self.unchanged_members.push(name.to_owned());
    }

    /// The members of a collection's document that stayed as they were and are not in it.
    pub fn unchanged_members(&self) -> &[String] {
        &self.unchanged_members
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The value of the column with this place among those that are not dropped; a missing one is
    /// NULL, as PostgreSQL reads rows that are older than a column.
    pub fn cell(&self, place: usize) -> Cell<'_> {
        self.cells
            .get(place)
            .map_or(Cell::Null, |cell| self.read(cell))
    }

    /// The values in order.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.cells.iter().map(|cell| self.read(cell))
    }

    fn read(&self, cell: &Stored) -> Cell<'_> {
        match cell {
            Stored::Null => Cell::Null,
            Stored::Unchanged => Cell::Unchanged,
            Stored::Text(at) => Cell::Text(self.text.get(at.clone()).unwrap_or_default()),
        }
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.cells().eq(other.cells())
    }
}

impl<'a> FromIterator<Cell<'a>> for Row {
    fn from_iter<T: IntoIterator<Item = Cell<'a>>>(cells: T) -> Self {
        let mut row = Self::default();
        for cell in cells {
            row.push_cell(cell);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_back_what_was_put_into_it_and_null_for_what_was_not() {
        let cells = [
            Cell::Text("a"),
            Cell::Null,
            Cell::Unchanged,
            Cell::Text(""),
            Cell::Text("ä\n"),
        ];
        let mut row: Row = cells.into_iter().collect();
        assert!(row.cells().eq(cells));
        assert_eq!(row.cell(4), Cell::Text("ä\n"));
        assert_eq!(row.cell(5), Cell::Null);
        row.clear();
        assert!(row.is_empty());
    }
}
