//! What the catalog says of its objects: definitions, descriptions, visibility.

pub(super) mod described;
pub(super) mod lookups;
pub(super) mod objects;
pub(super) mod printed;
pub(super) mod visible;
