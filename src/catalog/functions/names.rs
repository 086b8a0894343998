//! The names behind OIDs: relations, types, functions, schemas and roles.

use std::sync::Arc;

use crate::datum::{Names, PgType, format_type, parse_type_name};

use super::super::Context;

/// The names that a statement may use.
pub(in crate::catalog) struct CatalogNames<'a> {
    context: &'a Arc<Context>,
}

impl<'a> CatalogNames<'a> {
    /// Those of `context`.
    pub(in crate::catalog) const fn new(context: &'a Arc<Context>) -> Self {
        Self { context }
    }
}

impl Names for CatalogNames<'_> {
    fn name_of(&self, ty: PgType, oid: u32) -> Option<String> {
        let _ = self.context;
        (ty == PgType::REGTYPE).then(|| format_type(PgType(oid), -1))
    }

    fn oid_of(&self, ty: PgType, name: &str) -> Option<u32> {
        (ty == PgType::REGTYPE).then(|| parse_type_name(name).ok().map(|(ty, _)| ty.0))?
    }
}
