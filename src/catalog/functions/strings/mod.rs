//! Functions of strings.

pub(super) mod build;
pub(super) mod cases;
pub(super) mod format;
pub(super) mod parts;

use crate::pgerror::PgError;

/// The longest text that a function makes.
const MAX_LEN: usize = 64 << 20;

fn too_long() -> PgError {
    PgError::error("54000", "requested length too large")
}
