//! The fields of one row, in one buffer that is used again and again.

use std::ops::Range;

/// The fields of a row; `None` is NULL.
#[derive(Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    places: Vec<Option<Range<usize>>>,
    began: usize,
}

impl Fields {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let field = |place: &Range<usize>| self.bytes.get(place.clone()).unwrap_or_default();
        self.places
            .iter()
            .map(move |place| place.as_ref().map(field))
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.places.clear();
        self.began = 0;
    }

    /// Adds to the field that is being written.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What is written of the field.
    pub(super) fn written(&self) -> &[u8] {
        self.bytes.get(self.began..).unwrap_or_default()
    }

    /// Ends the field that is being written.
    pub(super) fn end(&mut self, is_null: bool) {
        let end = self.bytes.len();
        self.places.push((!is_null).then_some(self.began..end));
        self.began = end;
    }
}
