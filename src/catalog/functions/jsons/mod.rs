//! Functions of json and jsonb.

pub(super) mod change;
pub(super) mod compare;
pub(super) mod paths;
pub(super) mod raw;
pub(super) mod rows;

use crate::catalog::functions::args::text;
use crate::datum::{Datum, Json};
use crate::pgerror::PgError;

/// A `jsonb`, or a `json` as one.
fn value(args: &[Datum], at: usize) -> Result<Json, PgError> {
    Ok(Json::parse(text(args, at)?, true)?)
}
